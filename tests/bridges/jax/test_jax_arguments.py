"""What `simdrnn.jax` says to arguments that do not fit; parameters there and back."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import simdrnn as sr
from helpers import INFOS, assert_same_bits
from helpers_loops import every

pytestmark = pytest.mark.peers

jax = pytest.importorskip("jax", reason="needs the [peers] extra: jax")

import jax.numpy as jnp  # noqa: E402

import simdrnn.jax as srj  # noqa: E402
from helpers_jax import assert_same, x64  # noqa: E402, F401

T, B, I, H = 5, 2, 3, 4  # noqa: E741
PARAMS = {name: np.asarray(value) for name, value in sr.LSTM(I, H, seed=0).parameters().items()}
X = np.ones((T, B, I), "float32")
STATE = np.zeros((1, B, H), "float32")


def without(name):
    return {key: value for key, value in PARAMS.items() if key != name}


REFUSED = {
    "params: a list": (TypeError, {"params": [1]}, "params: expected a dict name -> array, got l"),
    "params: empty": (ValueError, {"params": {}}, "params: expected weight_ih_l0, weight_hh_l0"),
    "params: missing": (
        ValueError, {"params": without("bias_hh_l0")}, "missing ['bias_hh_l0'], unexpected []",
    ),
    "params: unexpected": (
        ValueError, {"params": PARAMS | {"weight_ci_l0": X}}, "unexpected ['weight_ci_l0']",
    ),
    "params: shape": (
        ValueError,
        {"params": PARAMS | {"weight_ih_l0": np.ones((15, I), "float32")}},
        "weight_ih_l0: expected shape (4*H, I) = (16, 3), got (15, 3)",
    ),
    "params: a vector": (
        ValueError,
        {"params": PARAMS | {"weight_hh_l0": np.ones(4, "float32")}},
        "weight_hh_l0: expected a matrix, got shape (4,)",
    ),
    "params: half": (
        TypeError,
        {"params": {name: value.astype("float16") for name, value in PARAMS.items()}},
        "weight_ih_l0: expected dtype float32 or float64, got float16; convert it explicitly",
    ),
    "params: mixed": (
        TypeError,
        {"params": PARAMS | {"bias_ih_l0": np.ones(16, "float64")}},
        "bias_ih_l0: expected dtype float32, got float64; convert it explicitly",
    ),
    "x: dtype": (
        TypeError, {"x": np.ones((T, B, I))}, "x: expected dtype float32, got float64; convert",
    ),
    "x: JAX's": (
        TypeError, {"x": jnp.ones((T, B, I), jnp.bfloat16)}, "x: expected dtype float32, got bfl",
    ),
    "x: shape": (
        ValueError, {"x": X[..., :2]}, "x: expected shape (T, B, 3) or unbatched (T, 3), got (5",
    ),
    "x: batch first": (
        ValueError, {"x": X[0, 0], "batch_first": True}, "x: expected shape (B, T, 3) or unbatched",
    ),
    "state: one": (
        TypeError, {"initial_state": STATE}, "initial_state: expected a tuple (h_0, c_0), got",
    ),
    "state: shape": (
        ValueError,
        {"initial_state": (STATE, STATE[:, :1])},
        "initial_state[1]: expected shape (L*D, B, H) = (1, 2, 4), got (1, 1, 4)",
    ),
    "lengths: values": (
        ValueError, {"lengths": [5, 6]}, "lengths: expected values in [0, T] = [0, 5], got 6",
    ),
    "lengths: shape": (ValueError, {"lengths": [5]}, "lengths: expected shape (B,) = (2,), got"),
    "lengths: dtype": (TypeError, {"lengths": [5.0, 2.0]}, "lengths: expected an integer dtype"),
    "mask: dtype": (TypeError, {"mask": np.ones((T, B), int)}, "mask: expected dtype bool, got"),
    "mask: shape": (
        ValueError, {"mask": np.ones((B, T), bool)}, "mask: expected shape (T, B) = (5, 2), got",
    ),
    "reset_state: alone": (ValueError, {"reset_state": "zero"}, "reset_state: expected reset="),
    "reset_state: name": (
        ValueError,
        {"reset_state": "one", "reset": np.ones((T, B), bool)},
        "reset_state: expected 'zero' or 'learned' or 'given', got 'one'",
    ),
    "reset_state: not learned": (
        ValueError,
        {"reset_state": "learned", "reset": np.ones((T, B), bool)},
        "reset_state: expected params with learned states",
    ),
    "masked_output": (ValueError, {"masked_output": "keep"}, "masked_output: expected 'zero'"),
    "num_threads": (ValueError, {"num_threads": 0}, "num_threads: expected a positive"),
    "checkpoint_every": (
        ValueError, {"checkpoint_every": 0}, "checkpoint_every: expected a positive integer, got 0",
    ),
    "batch_first": (TypeError, {"batch_first": 1}, "batch_first: expected True or False, got 1"),
    "key": (TypeError, {"key": "seed"}, "key: expected a key of jax.random, got str"),
    "option: unknown": (TypeError, {"gate_clap": 1.0}, "gate_clap: unknown option; expected"),
    "option: value": (
        ValueError, {"gate_clip": -1.0}, "gate_clip: expected a positive finite number, got -1.0",
    ),
    "told": (
        TypeError, {"num_layers": 2}, "num_layers: expected none, since names and shapes of params",
    ),
    "seed": (TypeError, {"seed": 1}, "seed: expected none, since params are given, got 1"),
    "merge": (ValueError, {"merge": "sum"}, "merge: expected bidirectional=True with it"),
    "reverse": (
        ValueError, {"reverse": True}, "reverse: expected none, since simdrnn.jax leaves it to JAX",
    ),
    "weight_noise": (ValueError, {"weight_noise": 0.1}, "weight_noise: expected none, since"),
}  # fmt: skip


@every("traced", [False, True], ids=["eager", "jit"])
@every("name", REFUSED)
def test_what_does_not_fit_is_said_before_anything_runs(name, traced):
    error, changes, sentence = REFUSED[name]
    call = {"params": PARAMS, "x": X} | changes
    params, x = call.pop("params"), call.pop("x")

    def function():
        return srj.lstm(params, x, **call)

    with pytest.raises(error, match=re.escape(sentence)):
        (jax.jit(function) if traced else function)()


def test_what_traced_lengths_may_be():
    with pytest.raises(TypeError, match="lengths: expected an integer dtype"):
        jax.jit(lambda n: srj.lstm(PARAMS, X, lengths=n))(jnp.ones(B))
    with pytest.raises(ValueError, match="lengths: expected shape"):
        jax.jit(lambda n: srj.lstm(PARAMS, X, lengths=n))(jnp.ones(3, int))


def test_cells_are_told_by_the_names_of_layers():
    with pytest.raises(ValueError, match=r"cell: expected .*'GRU' or"):
        srj.apply("lstm", PARAMS, X)
    with pytest.raises(TypeError, match=re.escape("initial_state: expected one array h_0, got a")):
        srj.gru(srj.init_params(jax.random.key(0), "GRU", I, H), X, (STATE,))


def test_what_does_not_fit_a_step():
    params = {name.removesuffix("_l0"): value for name, value in PARAMS.items()}
    for changes, error, sentence in [
        ({"params": [1]}, TypeError, "params: expected a dict name -> array, got list"),
        ({"params": PARAMS}, ValueError, "params: expected weight_ih_l0, weight_hh_l0"),
        ({"x": X}, ValueError, "x: expected shape (B, 3) or (3,), got (5, 2, 3)"),
        ({"state": STATE[0]}, TypeError, "initial_state: expected a tuple (h_0, c_0), got"),
        ({"batch_first": True}, TypeError, "batch_first: expected none, since it is an argument"),
    ]:
        with pytest.raises(error, match=re.escape(sentence)):
            srj.lstm_cell(**{"params": params, "x": X[0]} | changes)


def test_what_is_wrong_leaves_nothing_behind(rng):
    for _ in range(2):  # a refused set of options must not be taken for one that was checked
        with pytest.raises(ValueError, match="gate_clip"):
            srj.lstm(PARAMS, X, gate_clip=0.0)
    assert_same(srj.lstm(PARAMS, X), srj.to_layer("LSTM", PARAMS)(X))


# Parameters


def test_layers_come_back_as_they_were():
    layer = sr.LSTM(I, H, 2, bidirectional=True, peephole=True, gate_clip=0.5, seed=3)

    params, function = srj.from_layer(layer)
    again = srj.to_layer("LSTM", params, peephole=True, gate_clip=0.5)

    assert repr(again) == repr(layer)
    for name, value in layer.parameters().items():
        assert_same_bits(getattr(again, name), value)
    assert_same(function(params, X), layer(X))
    with pytest.raises(ValueError, match="missing"):
        function({}, X)
    with pytest.raises(TypeError, match="layer: expected a layer of simdrnn, got LSTMCell"):
        srj.from_layer(sr.LSTMCell(I, H))


def test_parameters_taken_from_a_layer_are_its_no_more():
    layer = sr.GRU(I, H, seed=3)
    params, _ = srj.from_layer(layer)
    before = np.array(params["bias_ih_l0"])

    layer.bias_ih_l0 = np.zeros(3 * H, "float32")

    assert_same(params["bias_ih_l0"], before)


TAKEN = sorted({i.layer for i in INFOS.values() if i.sums_alone and i.layer})


@every("cell", TAKEN)
def test_parameters_are_those_of_a_layer(cell):
    layer = getattr(sr, cell)(I, H, 2, bidirectional=True)

    params = srj.init_params(jax.random.key(1), cell, I, H, 2, bidirectional=True)

    assert {name: value.shape for name, value in params.items()} == {
        name: value.shape for name, value in layer.parameters().items()
    }
    assert {value.dtype for value in params.values()} == {np.dtype("float32")}


@pytest.mark.parametrize("initializer", ["uniform", "glorot", "orthogonal"])
def test_parameters_are_drawn_as_a_layer_draws_them(initializer):
    layer = sr.LSTM(40, 64, initializer=initializer, forget_bias=1.0, seed=0)

    params = srj.init_params(
        jax.random.key(1), "LSTM", 40, 64, initializer=initializer, forget_bias=1.0
    )

    for name, value in layer.parameters().items():
        got = np.asarray(params[name])
        # Standard deviations of as many numbers are this close, but once in a million.
        assert abs(got.std() - value.std()) <= 5 / np.sqrt(2 * value.size) * max(value.std(), 1e-9)
        assert np.abs(got).max() <= np.abs(value).max() * 1.1 or initializer == "orthogonal"
        if name.startswith("bias"):
            assert_same(got[64:128], np.asarray(value[64:128]))
    if initializer == "orthogonal":
        square = np.asarray(params["weight_hh_l0"][:64])
        np.testing.assert_allclose(square @ square.T, np.eye(64), atol=1e-5)


def test_what_cannot_be_drawn():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="initializer: expected 'uniform' or"):
        srj.init_params(key, "LSTM", I, H, initializer="zeros")
    with pytest.raises(ValueError, match="forget_bias: expected bias=True"):
        srj.init_params(key, "LSTM", I, H, bias=False, forget_bias=1.0)
    with pytest.raises(ValueError, match="forget_bias: expected a cell with a forget gate"):
        srj.init_params(key, "RNN", I, H, forget_bias=1.0)
    with pytest.raises(ValueError, match="hidden_size: expected a positive integer"):
        srj.init_params(key, "LSTM", I, 0)


def test_float64_needs_jax_to_have_it(x64):  # noqa: F811
    params = srj.init_params(jax.random.key(0), "GRU", I, H, dtype="float64")
    assert params["weight_ih_l0"].dtype == np.float64
    jax.config.update("jax_enable_x64", False)
    for refused in (
        lambda: srj.init_params(jax.random.key(0), "GRU", I, H, dtype="float64"),
        lambda: srj.from_layer(sr.GRU(I, H, dtype="float64")),
        lambda: srj.gru(sr.GRU(I, H, dtype="float64").parameters(), X.astype("float64")),
    ):
        with pytest.raises(TypeError, match="jax_enable_x64"):
            refused()


def test_functions_are_described():
    for name in srj.__all__:
        text = inspect.getdoc(getattr(srj, name))
        assert text
        if name not in ("uses_ffi", "release_memory"):
            assert "Parameters\n----" in text
            assert "Returns\n----" in text


@pytest.mark.parametrize("cell", sorted({*sr.list_cells()} - {*TAKEN}))
def test_cells_of_other_forms_are_refused(cell):
    with pytest.raises(ValueError, match=f"cell: expected one whose gates are all .*, got {cell}"):
        srj.from_layer(getattr(sr, cell)(I, H))


@pytest.mark.parametrize(("cell", "option"), [("LSTM", "layer_norm"), ("SLSTM", "num_heads")])
def test_layer_norm_and_heads_are_refused(cell, option):
    layer = getattr(sr, cell)(I, 4, **{option: True if option == "layer_norm" else 2})

    with pytest.raises(ValueError, match=f"{option}: expected none in simdrnn.jax, got"):
        srj.from_layer(layer)
