"""`simdrnn.jax` gives the layers' bits, both ways to the engine, and what JAX's own scan gives."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    INFOS,
    KINDS,
    LAYERS,
    PATTERNS,
    as_tuple,
    assert_close,
    make_layer,
    make_problem,
    tolerance,
)
from helpers_loops import every

pytestmark = pytest.mark.peers

jax = pytest.importorskip("jax", reason="needs the [peers] extra: jax")

import jax.numpy as jnp  # noqa: E402

import simdrnn.jax as srj  # noqa: E402
from helpers_jax import (  # noqa: E402, F401
    assert_same,
    assert_same_as_layer,
    differentiated,
    run_problem,
    scan_stack,
    to_jax,
    way,
    x64,
)

# Those that simdrnn.jax has; and of them one of each kind. What all units share has a gradient that
# JAX sums, in another order.
TAKEN = tuple(cell for cell in CELLS if INFOS[cell].sums_alone)
OF_EACH_KIND = tuple(
    cell for cell in KINDS if cell in TAKEN and not any(own.shared for own in INFOS[cell].own)
)


@every("cell", TAKEN)
def test_every_cell_is_the_layers(cell, way, rng):  # noqa: F811
    problem = make_problem(sr, cell, rng=rng, dtype="float32", pattern="all")

    results, gradients = run_problem(problem, cell)

    assert_same_as_layer(problem, results, gradients)


@every("pattern", PATTERNS)
@every("cell", ["lstm", "gru"])
def test_stacks_in_both_directions_are_the_layers(cell, pattern, x64, rng):  # noqa: F811
    problem = make_problem(
        sr, cell, rng=rng, T=7, H=9, pattern=pattern, num_layers=3, bidirectional=True
    )

    results, gradients = run_problem(problem, cell)

    assert_same_as_layer(problem, results, gradients)


@pytest.mark.parametrize(
    ("cell", "layers", "directions"),
    [("lstm", 2, 2), ("gru", 1, 2), ("gru", 2, 1), ("rnn_tanh", 1, 1)],
)
def test_equals_a_scan_that_jax_differentiates(cell, layers, directions, x64, rng):  # noqa: F811
    problem = make_problem(
        sr, cell, rng=rng, T=9, B=3, I=5, H=8, num_layers=layers, bidirectional=directions == 2
    )
    params = problem.layer.state_dict()
    state = as_tuple(problem.state)
    cotangents = (problem.d_output, as_tuple(problem.d_state))
    want, (d_params, d_x, d_state) = differentiated(
        lambda params, x, state: scan_stack(cell, params, x, state, layers, directions),
        (params, problem.x, state), cotangents,
    )  # fmt: skip

    results, gradients = run_problem(problem, cell)

    near = 2 * tolerance("float64", 9 * layers, 4 * 8)
    assert_close((results[0], tuple(as_tuple(results[1]))), want, near)
    assert_close(gradients["x"], d_x, near)
    assert_close(tuple(as_tuple(gradients["state"])), d_state, near)
    for name, value in d_params.items():
        assert_close(gradients["params"][name], value, near, name)


OPTIONS = {
    "clips": {"gate_clip": 0.7, "hidden_clip": 0.3, "step_grad_clip": 0.1},
    "activations": {"activation": ("leaky_relu", 0.1), "recurrent_activation": "hard_sigmoid"},
    "list": {"recurrent_activation": ["softsign", "sigmoid", ("hard_sigmoid", 0.25, 0.45)]},
    "zoneout mean": {"zoneout": (0.2, 0.4)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_the_layers(name, rng):
    options = OPTIONS[name]
    problem = make_problem(sr, "lstm", rng=rng, dtype="float32", **options)
    problem.call["training"] = False
    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)
    del problem.call["training"]

    results, gradients = run_problem(problem, "lstm", **options)

    assert_same(results, (tape.output, tape.state))
    assert_same(gradients["params"], grads.params)


RANDOM = {
    "between": {"dropout": 0.4},
    "input": {"input_dropout": 0.4},
    "recurrent": {"recurrent_dropout": 0.4},
    "candidate": {"candidate_dropout": 0.4},
    "zoneout": {"zoneout": 0.4},
    "state": {"state_noise": 0.4},
}


@every("name", RANDOM)
def test_keys_switch_on_what_is_random(name, way, rng):  # noqa: F811
    options, cell = RANDOM[name], "rnn_tanh" if name == "state" else "gru"
    problem = make_problem(sr, cell, rng=rng, dtype="float32", num_layers=2, **options)
    key = jax.random.key(5)
    low, high = np.asarray(jax.random.bits(key, (2,), "uint32")).tolist()
    # What a layer draws in its first call is a function of its seed.
    seed = low | high << 32
    again = make_layer(sr, cell, 2, 3, 2, dtype="float32", seed=seed, **options)
    again.load_state_dict(problem.layer.state_dict())
    problem.layer = again

    results, gradients = run_problem(problem, cell, key=key, **options)

    assert_same_as_layer(problem, results, gradients)
    without, _ = run_problem(problem, cell, **options)
    assert not np.array_equal(without[0], results[0])


@every("cell", OF_EACH_KIND)
def test_checkpoints_change_no_bit(cell, rng):
    problem = make_problem(sr, cell, rng=rng, T=12, dtype="float32", num_layers=2)

    results, gradients = run_problem(problem, cell, checkpoint_every=5)

    assert_same_as_layer(problem, results, gradients)


@every("pattern", ["plain", "all-hold"])
@every("cell", OF_EACH_KIND)
@every("threads", [1, 2])
def test_gradients_of_parameters_alone_have_the_same_bits(cell, pattern, threads, rng):
    problem = make_problem(
        sr, cell, rng=rng, T=12, B=5, H=17, dtype="float32", pattern=pattern, bidirectional=True
    )
    name, extra = LAYERS[cell]
    x, state, d_output = to_jax((problem.x, problem.state, problem.d_output))

    def function(params):
        return srj.apply(
            name, params, x, state, num_threads=threads, **problem.call, **extra
        )[0]  # fmt: skip

    params = {key: np.asarray(value) for key, value in problem.layer.parameters().items()}
    _, (alone,) = differentiated(function, (params,), d_output)

    want = problem.record().backward(problem.d_output)
    assert_same(alone, want.params)


@pytest.mark.parametrize("reset_state", [None, "zero", "given", "own"])
def test_resets_go_where_they_are_told(reset_state, rng):
    problem = make_problem(sr, "lstm", rng=rng, dtype="float32", pattern="reset")
    own = tuple(-member for member in problem.state)
    problem.call["reset_state"] = own if reset_state == "own" else reset_state
    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)

    results, gradients = run_problem(problem, "lstm")

    assert_same(results, (tape.output, tape.state))
    assert_same(gradients["state"], grads.state)
    if reset_state == "own":
        call = {"reset": problem.call["reset"]}
        _, (d_reset,) = differentiated(
            lambda reset: srj.lstm(
                dict(problem.layer.parameters()), problem.x, problem.state, reset_state=reset,
                **call,
            ),
            (own,), (problem.d_output, problem.d_state),
        )  # fmt: skip
        assert_same(d_reset, grads.reset_state)


@pytest.mark.parametrize("call", ["none", "none, reset", "given, reset", "given, learned"])
def test_learned_states_are_used_and_get_gradients(call, rng):
    pattern = "reset" if "," in call else "plain"
    problem = make_problem(
        sr, "lstm", rng=rng, dtype="float32", pattern=pattern, learn_initial_state=True
    )
    state = {name: rng.standard_normal(3).astype("float32") for name in ("h_0_l0", "c_0_l0")}
    problem.layer.load_state_dict(problem.layer.state_dict() | state)
    problem.state = None if "none" in call else problem.state
    problem.call |= {"reset_state": "learned"} if "learned" in call else {}

    results, gradients = run_problem(problem, "lstm")

    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)
    assert_same(results, (tape.output, tape.state))
    for name, value in grads.params.items():
        # The layer sums over the batch in float64, JAX in float32.
        near = tolerance("float32", 0, 4) if name in state else 0
        assert_close(gradients["params"][name], value, near, name)


@every("layout", ["batch first", "unbatched", "unbatched, batch first"])
def test_layouts_are_the_layers(layout, way, rng):  # noqa: F811
    batch_first = "first" in layout
    layer = sr.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=batch_first, seed=1)
    T, B = 6, 4
    shape = (T,) if "unbatched" in layout else (B, T) if batch_first else (T, B)
    x = rng.standard_normal((*shape, 3)).astype("float32")
    call = {
        "mask": rng.random(shape) < 0.7,
        "reset": rng.random(shape) < 0.3,
        "lengths": np.int64(4) if "unbatched" in layout else np.array([6, 0, 3, 5]),
    }
    d_output = rng.standard_normal((*shape, 10)).astype("float32")
    tape = layer.record(x, **call)
    grads = tape.backward(d_output)
    params, function = srj.from_layer(layer)

    (output, state), (d_params, d_x) = differentiated(
        lambda params, x: function(params, x, **call), (params, x),
        (d_output, jax.tree.map(np.zeros_like, tape.state)),
    )  # fmt: skip

    assert_same((output, state), (tape.output, tape.state))
    assert_same(d_x, grads.x)
    assert_same(d_params, grads.params)


def test_empty_sequences_and_batches_give_the_states_back(way, rng):  # noqa: F811
    params = srj.init_params(jax.random.key(0), "LSTM", 3, 4, num_layers=2)
    for T, B in [(0, 2), (2, 0)]:
        state = tuple(rng.standard_normal((2, B, 4)).astype("float32") for _ in range(2))
        x = np.zeros((T, B, 3), "float32")

        (output, final), (d_params, d_state) = differentiated(
            lambda params, state, x=x: srj.lstm(params, x, state), (params, state),
            (np.ones((T, B, 4), "float32"), state),
        )  # fmt: skip

        assert output.shape == (T, B, 4)
        if T == 0:
            assert_same(final, state)
            assert_same(d_state, state)
        assert all(not np.asarray(value).any() for value in d_params.values())


def test_states_may_have_no_gradient_and_outputs_none_asked_for(rng):
    params = srj.init_params(jax.random.key(1), "LSTM", 3, 4)
    x = rng.standard_normal((5, 2, 3)).astype("float32")
    layer = srj.to_layer("LSTM", params)

    got = jax.grad(lambda params: srj.lstm(params, x)[1][1].sum())(params)

    tape = layer.record(x)
    assert_same(got, tape.backward(None, (None, np.ones((1, 2, 4), "float32"))).params)


def test_single_steps_are_the_cells(rng):
    for cell in ("LSTM", "GRU", "RNN", "MGU"):
        ours = getattr(sr, f"{cell}Cell")(3, 4, seed=2)
        states = INFOS[{"LSTM": "lstm"}.get(cell, "gru")].states
        state = tuple(rng.standard_normal((2, 4)).astype("float32") for _ in range(states))
        given = state if states > 1 else state[0]
        x = rng.standard_normal((2, 3)).astype("float32")

        assert_same(srj.step(cell, dict(ours.parameters()), x, given), ours(x, given))
        alone = jax.tree.map(lambda member: member[0], given)
        assert_same(srj.step(cell, dict(ours.parameters()), x[0], alone), ours(x[0], alone))
    params = dict(sr.LSTMCell(3, 4, seed=2).parameters())
    assert_same(srj.lstm_cell(params, x), sr.LSTMCell(3, 4, seed=2)(x))
    assert srj.gru_cell(dict(sr.GRUCell(3, 4).parameters()), x).shape == (2, 4)
    assert srj.rnn_cell(dict(sr.RNNCell(3, 4).parameters()), jnp.asarray(x)).shape == (2, 4)


@every("clip", [{}, {"proj_clip": 0.1}], ids=["", "clipped"])
@every("pattern", ["plain", "all"])
def test_projections_are_the_layers(clip, pattern, way, x64, rng):  # noqa: F811
    problem = make_problem(
        sr, "lstm", rng=rng, T=7, H=9, proj_size=4, pattern=pattern, num_layers=2,
        bidirectional=True, **clip,
    )  # fmt: skip

    results, gradients = run_problem(problem, "lstm", **clip)

    assert_same_as_layer(problem, results, gradients)
