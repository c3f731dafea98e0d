"""Every bad argument raises an error that names it, what was expected and what came."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helpers_loops import every

T, B, I, H = 5, 2, 3, 4  # noqa: E741


def floats(*shape):
    return np.zeros(shape, "float32")


def read_only(array):
    array.flags.writeable = False
    return array


X = floats(T, B, I)

CONSTRUCTOR = [
    ((0, 4), {}, ValueError, "input_size: expected a positive integer, got 0"),
    ((3, -1), {}, ValueError, "hidden_size: expected a positive integer, got -1"),
    ((3.0, 4), {}, TypeError, "input_size: expected a positive integer, got 3.0"),
    ((3, float("nan")), {}, TypeError, "hidden_size: expected a positive integer, got nan"),
    ((3, True), {}, TypeError, "hidden_size: expected a positive integer, got True"),
    ((3, "4"), {}, TypeError, "hidden_size: expected a positive integer, got '4'"),
    ((3, 4, 0), {}, ValueError, "num_layers: expected a positive integer, got 0"),
    ((3, 4), {"bias": 1}, TypeError, "bias: expected True or False, got 1"),
    ((3, 4), {"batch_first": None}, TypeError, "batch_first: expected True or False"),
    ((3, 4), {"bidirectional": "no"}, TypeError, "bidirectional: expected True or False"),
    ((3, 4), {"dropout": 1.5}, ValueError, r"dropout: expected a number in [0, 1], got 1.5"),
    ((3, 4), {"dropout": float("nan")}, ValueError, r"dropout: expected a number in [0, 1]"),
    ((3, 4), {"dropout": True}, TypeError, r"dropout: expected a number in [0, 1], got True"),
    ((3, 4), {"proj_size": 4}, ValueError, "proj_size: expected less than hidden_size = 4, or 0"),
    ((3, 4), {"proj_size": -1}, ValueError, "proj_size: expected a non-negative integer, got -1"),
    ((3, 4), {"proj_size": 2.0}, TypeError, "proj_size: expected a non-negative integer, got 2.0"),
    ((3, 4), {"proj_clip": 0.5}, ValueError, "proj_clip: expected an LSTM with proj_size > 0, got"),
    (
        (3, 4),
        {"proj_size": 2, "hidden_clip": 0.5},
        ValueError,
        "hidden_clip: expected proj_clip in place of it where h is projected, got 0.5",
    ),
    ((3, 4), {"dtype": "float16"}, ValueError, "dtype: expected float32 or float64, got 'float16'"),
    ((3, 4), {"dtype": ">f4"}, ValueError, "dtype: expected float32 or float64, got '>f4'"),
    ((3, 4), {"dtype": None}, ValueError, "dtype: expected float32 or float64, got None"),
    ((3, 4), {"dtype": "no type"}, TypeError, "dtype: expected float32 or float64, got 'no type'"),
    ((3, 4), {"seed": -1}, ValueError, "seed: expected a non-negative integer, got -1"),
    ((3, 4), {"seed": 0.5}, TypeError, "seed: expected a non-negative integer, got 0.5"),
    ((3, 4), {"initializer": "he"}, ValueError, "initializer: expected 'uniform' or 'glorot' or"),
    ((3, 4), {"forget_bias": float("inf")}, ValueError, "forget_bias: expected a finite number"),
    ((3, 4), {"forget_bias": 1.0, "bias": False}, ValueError, "forget_bias: expected bias=True"),
    ((3, 4), {"zone": 1.0}, TypeError, "zone: unknown option; expected one of gate_clip, cell_"),
    ((3, 4), {"gate_clip": 0}, ValueError, "gate_clip: expected a positive finite number, got 0"),
    ((3, 4), {"cell_clip": -1.0}, ValueError, "cell_clip: expected a positive finite number"),
    ((3, 4), {"hidden_clip": float("inf")}, ValueError, "hidden_clip: expected a positive finite"),
    ((3, 4), {"step_grad_clip": True}, TypeError, "step_grad_clip: expected a positive finite"),
    ((3, 4), {"step_grad_norm": "1"}, TypeError, "step_grad_norm: expected a positive finite"),
    ((3, 4), {"gate_clip": 10**400}, ValueError, "gate_clip: expected a positive finite number"),
]

CALL = [
    (
        {"x": floats(T, B, I + 1)},
        ValueError,
        "x: expected shape (T, B, 3) or unbatched (T, 3), got",
    ),
    ({"x": floats(I)}, ValueError, "x: expected shape (T, B, 3) or unbatched (T, 3), got (3,)"),
    ({"x": floats(1, T, B, I)}, ValueError, "x: expected shape (T, B, 3)"),
    ({"x": np.float32(1)}, ValueError, "x: expected shape (T, B, 3) or unbatched (T, 3), got ()"),
    ({"x": np.zeros((T, B, I))}, TypeError, "x: expected dtype float32, got float64"),
    ({"x": np.zeros((T, B, I), "float16")}, TypeError, "x: expected dtype float32, got float16"),
    ({"x": np.zeros((T, B, I), "int32")}, TypeError, "x: expected dtype float32, got int32"),
    ({"x": np.zeros((T, B, I), bool)}, TypeError, "x: expected dtype float32, got bool"),
    (
        {"x": np.zeros((T, B, I), "complex64")},
        TypeError,
        "x: expected dtype float32, got complex64",
    ),
    ({"x": np.zeros((T, B, I), object)}, TypeError, "x: expected dtype float32, got object"),
    ({"x": np.full((T, B, I), "1")}, TypeError, "x: expected dtype float32, got <U1"),
    ({"x": np.zeros((T, B, I), "M8[s]")}, TypeError, "x: expected dtype float32, got datetime64"),
    (
        {"x": np.ma.zeros((T, B, I), "float32")},
        TypeError,
        "x: expected a plain array, got a masked",
    ),
    ({"x": [[1.0], [1.0, 2.0]]}, TypeError, "x: expected an array of float32, got list"),
    ({"x": None}, TypeError, "x: expected an array of float32, got NoneType"),
    ({"x": (floats(1, I),) * 2}, TypeError, "x: expected an array of float32, got a tuple of 2"),
    ({"state": floats(1, B, H)}, TypeError, "state: expected a tuple (h_0, c_0), got ndarray"),
    (
        {"state": (floats(1, B, H),)},
        TypeError,
        "state: expected a tuple (h_0, c_0), got tuple of 1",
    ),
    ({"state": (floats(1, B, H),) * 3}, TypeError, "(h_0, c_0), got tuple of 3"),
    (
        {"state": (floats(1, B, H), floats(1, B, 5))},
        ValueError,
        "state[1]: expected shape (L*D, B, H) = (1, 2, 4), got (1, 2, 5)",
    ),
    ({"state": (floats(B, H), floats(B, H))}, ValueError, "state[0]: expected shape (L*D, B, H)"),
    (
        {"state": (floats(1, B, H), None)},
        TypeError,
        "state[1]: expected an array of float32, got NoneType",
    ),
    ({"state": (np.zeros((1, B, H)),) * 2}, TypeError, "state[0]: expected dtype float32"),
    (
        {"lengths": [5, 6]},
        ValueError,
        "lengths: expected values in [0, T] = [0, 5], got 6 in row 1",
    ),
    (
        {"lengths": [-1, 6]},
        ValueError,
        "lengths: expected values in [0, T] = [0, 5], got -1 in row 0",
    ),
    ({"lengths": np.array([5, 2**63], "uint64")}, ValueError, "got 9223372036854775808 in row 1"),
    ({"lengths": [5]}, ValueError, "lengths: expected shape (B,) = (2,), got (1,)"),
    ({"lengths": 5}, ValueError, "lengths: expected shape (B,) = (2,), got ()"),
    ({"lengths": [5.0, 2.0]}, TypeError, "lengths: expected an integer dtype, got float64"),
    ({"lengths": [True, False]}, TypeError, "lengths: expected an integer dtype, got bool"),
    ({"lengths": np.ma.array([5, 2])}, TypeError, "lengths: expected a plain array, got a masked"),
    ({"lengths": [[1], [1, 2]]}, TypeError, "lengths: expected integers, got list"),
    ({"lengths": len}, TypeError, "lengths: expected integers, got builtin_function_or_method"),
    (
        {"mask": np.ones((B, T), bool)},
        ValueError,
        "mask: expected shape (T, B) = (5, 2), got (2, 5)",
    ),
    ({"mask": np.ones((T, B), "uint8")}, TypeError, "mask: expected dtype bool, got uint8"),
    ({"mask": np.ma.ones((T, B), bool)}, TypeError, "mask: expected a plain array, got a masked"),
    ({"reset": np.ones((T,), bool)}, ValueError, "reset: expected shape (T, B) = (5, 2), got (5,)"),
    ({"reset": np.ones((T, B))}, TypeError, "reset: expected dtype bool, got float64"),
    ({"masked_output": "last"}, ValueError, "masked_output: expected 'zero' or 'hold', got 'last'"),
    (
        {"masked_output": np.array(["zero", "hold"])},
        ValueError,
        "masked_output: expected 'zero' or",
    ),
    ({"masked_output": None}, ValueError, "masked_output: expected 'zero' or 'hold', got None"),
    ({"num_threads": 0}, ValueError, "num_threads: expected a positive integer, got 0"),
    ({"num_threads": 1.5}, TypeError, "num_threads: expected a positive integer, got 1.5"),
]

OUT = [
    (floats(T, B, H + 1), ValueError, "out: expected shape (T, B, D*H) = (5, 2, 4), got (5, 2, 5)"),
    (np.zeros((T, B, H)), TypeError, "out: expected dtype float32, got float64"),
    (np.zeros((T, B, H), ">f4"), TypeError, "out: expected dtype float32, got >f4"),
    ([[0.0]], TypeError, "out: expected a numpy.ndarray, got list"),
    (
        np.ma.zeros((T, B, H), "float32"),
        TypeError,
        "out: expected a numpy.ndarray, got MaskedArray",
    ),
    (read_only(floats(T, B, H)), ValueError, "out: expected a writable array, got a read-only one"),
    (floats(T, B, 2 * H)[..., ::2], ValueError, "out: expected an aligned array with a contiguous"),
    (floats(T, H, B).swapaxes(1, 2), ValueError, "out: expected an aligned array"),
    (
        np.zeros(T * B * H * 4 + 1, "uint8")[1:].view("float32").reshape(T, B, H),
        ValueError,
        "out: expected an aligned array",
    ),
    (
        np.lib.stride_tricks.as_strided(floats(T, H), (T, B, H), (4 * H, 0, 4)),
        ValueError,
        "out: expected elements that share no memory, got shape (5, 2, 4) with strides (16, 0, 4)",
    ),
    (
        np.lib.stride_tricks.as_strided(floats(40), (T, B, H), (8, 12, 4)),  # rows overlap
        ValueError,
        "out: expected elements that share no memory",
    ),
    (
        np.lib.stride_tricks.as_strided(floats(60), (T, B, H), (12, 36, 4)),  # some rows do
        ValueError,
        "out: expected elements that share no memory",
    ),
]


def ids(cases):
    """Name cases by what their message begins with."""
    return [re.sub(r"[^a-z_]+", "-", case[-1].lower())[:40] for case in cases]


@every("sizes, options, error, message", CONSTRUCTOR)
@every("engine")
def test_constructor_names_the_bad_argument(engine, sizes, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        engine.LSTM(*sizes, **options)


@every("call, error, message", CALL, ids=ids(CALL))
@every("method", ["__call__", "record"])
@every("engine")
def test_call_names_the_bad_argument(engine, method, call, error, message):
    layer = engine.LSTM(I, H, dtype="float32")
    arguments = {"x": X} | call

    with pytest.raises(error, match=re.escape(message)):
        getattr(layer, method)(arguments.pop("x"), **arguments)


@every("out, error, message", OUT, ids=ids(OUT))
@every("engine")
def test_out_is_checked_before_anything_runs(engine, out, error, message):
    layer = engine.LSTM(I, H, dtype="float32")

    with pytest.raises(error, match=re.escape(message)):
        layer(X, out=out)


@every("shared", ["x", "state"])
@every("engine")
def test_out_must_not_overlap_what_is_read(engine, shared):
    layer = engine.LSTM(4, 4, dtype="float32")
    memory = floats(6, 1, 4)
    x, h = floats(5, 1, 4), floats(1, 1, 4)
    x, h = (memory[1:], h) if shared == "x" else (x, memory[2:3])

    message = f"out: expected memory of its own, got memory shared with {shared}"
    with pytest.raises(ValueError, match=message):
        layer(x, (h, floats(1, 1, 4)), out=memory[:5])


def test_out_may_interleave_with_x(engine):
    layer = engine.GRU(4, 4, dtype="float32")
    memory = floats(5, 2, 8)

    output, _ = layer(memory[..., :4], out=memory[..., 4:])

    np.testing.assert_array_equal(output, layer(floats(5, 2, 4))[0])


@every(
    "arguments, error, message",
    [
        ({"d_output": floats(T, B, 5)}, ValueError, "d_output: expected shape (T, B, D*H) ="),
        ({"d_output": np.zeros((T, B, H))}, TypeError, "d_output: expected dtype float32"),
        ({"d_state": floats(1, B, H)}, TypeError, "d_state: expected a tuple (h_0, c_0)"),
        ({"d_state": (None, floats(1, H))}, ValueError, "d_state[1]: expected shape (L*D, B, H)"),
    ],
)
@every("engine")
def test_backward_names_the_bad_argument(engine, arguments, error, message):
    tape = engine.LSTM(I, H, dtype="float32").record(X)

    with pytest.raises(error, match=re.escape(message)):
        tape.backward(**arguments)


@every("kind", ["GRU", "RNN"])
@every("engine")
def test_a_tuple_for_a_single_state_is_refused(engine, kind):
    layer = getattr(engine, kind)(I, H, dtype="float32")

    with pytest.raises(TypeError, match="state: expected one array h_0, got a tuple of 2"):
        layer(X, (floats(1, B, H), floats(1, B, H)))


def test_batch_first_messages_use_the_layout_of_the_caller(engine):
    layer = engine.GRU(I, H, batch_first=True, dtype="float32")

    with pytest.raises(
        ValueError, match=re.escape("mask: expected shape (B, T) = (2, 5), got (5, 2)")
    ):
        layer(floats(B, T, I), mask=np.ones((T, B), bool))


def test_unbatched_messages_leave_the_batch_out(engine):
    layer = engine.GRU(I, H, dtype="float32")

    with pytest.raises(ValueError, match=re.escape("state: expected shape (L*D, H) = (1, 4)")):
        layer(floats(T, I), floats(1, B, H))
    with pytest.raises(ValueError, match=re.escape("lengths: expected shape () = (), got (1,)")):
        layer(floats(T, I), lengths=[3])


@every("kind", ["GRU", "RNN", "GRUCell", "RNNCell"])
@every("option", ["cell_clip", "forget_bias"])
@every("engine")
def test_options_of_the_lstm_are_refused_elsewhere(engine, kind, option):
    with pytest.raises(ValueError, match=f"{option}: expected a cell with a"):
        getattr(engine, kind)(3, 4, **{option: 1.0})


def test_unknown_names_are_refused(engine):
    with pytest.raises(ValueError, match="nonlinearity: expected 'tanh' or 'relu', got 'elu'"):
        engine.RNN(3, 4, nonlinearity="elu")
    with pytest.raises(TypeError, match="reset_after: expected True or False, got 'yes'"):
        engine.GRU(3, 4, reset_after="yes")


@every(
    "call, message",
    [
        (lambda engine: engine.GRU(3), "GRU.__init__() missing 1 required positional argument"),
        (lambda engine: engine.MGUCell(3), "MGUCell.__init__() missing 1 required positional"),
        (
            lambda engine: engine.LSTM(I, H)(X, lens=[3]),
            "LSTM.__call__() got an unexpected keyword",
        ),
        (
            lambda engine: engine.MGU(I, H).record(X, 1, 2),
            "MGU.record() takes from 2 to 3 positional",
        ),
        (
            lambda engine: engine.RNNCell(I, H)(X, h=X),
            "RNNCell.__call__() got an unexpected keyword",
        ),
    ],
)
def test_calls_of_another_form_are_said_to_be_of_the_class_that_people_know(engine, call, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        call(engine)


def test_what_a_layer_was_made_with_is_fixed(engine):
    layer = engine.GRU(3, 4)

    with pytest.raises(AttributeError, match="hidden_size: fixed when the GRU was made"):
        layer.hidden_size = 5


@every(
    "x, state, error, message",
    [
        (floats(2, 5), None, ValueError, "x: expected shape (B, 3) or (3,), got (2, 5)"),
        (floats(1, 2, 3), None, ValueError, "x: expected shape (B, 3) or (3,), got (1, 2, 3)"),
        (floats(2, 3), floats(3, 4), ValueError, "state: expected shape (B, H) = (2, 4), got"),
        (floats(3), floats(1, 4), ValueError, "state: expected shape (H,) = (4,), got (1, 4)"),
        (np.zeros((2, 3)), None, TypeError, "x: expected dtype float32, got float64"),
    ],
)
@every("engine")
def test_cells_name_the_bad_argument(engine, x, state, error, message):
    with pytest.raises(error, match=re.escape(message)):
        engine.GRUCell(3, 4, dtype="float32")(x, state)
