"""Calling layers: layouts, forms of states, what is accepted, and what comes back."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from helpers import (
    CELLS,
    INFOS,
    LAYERS,
    as_tuple,
    assert_close,
    make_layer,
    make_problem,
    tolerance,
)
from helpers_loops import every

ALLOWED = tolerance("float64", 5, 5)


@every("cell", CELLS)
@every("dtype")
@every("engine")
def test_shapes_of_output_and_state(engine, cell, dtype, rng):
    problem = make_problem(
        engine, cell, rng=rng, dtype=dtype, num_layers=2, bidirectional=True, T=5, B=4, H=3
    )

    output, state = problem.layer(problem.x)

    assert (output.shape, output.dtype) == ((5, 4, 6), np.dtype(dtype))
    assert [s.shape for s in as_tuple(state)] == [(4, 4, 3)] * INFOS[cell].states
    assert isinstance(state, tuple) == (INFOS[cell].states > 1)


@every("cell", CELLS)
@every("engine")
def test_recorded_output_is_the_output(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng, pattern="all", num_layers=2, bidirectional=True)

    output, state = problem.layer(problem.x, problem.state, **problem.call)
    tape = problem.record()

    np.testing.assert_array_equal(tape.output, output)
    assert_close(as_tuple(tape.state), as_tuple(state), 0.0)


@every("cell", CELLS)
@every("engine")
def test_no_state_is_zero_state(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng)
    zero = tuple(np.zeros_like(s) for s in as_tuple(problem.state))

    got = problem.layer(problem.x)[0]

    want = problem.layer(problem.x, zero if len(zero) > 1 else zero[0])[0]
    np.testing.assert_array_equal(got, want)


def turned(problem, engine, cell):
    """Return a batch-first layer with the problem's weights, and its arguments transposed."""
    layer = make_layer(engine, cell, 2, 3, batch_first=True, bidirectional=True, dtype="float64")
    layer.load_state_dict(problem.layer.state_dict())
    call = dict(problem.call)
    call |= {name: call[name].T for name in ("mask", "reset")}
    return layer, problem.x.swapaxes(0, 1), call


@every("cell", CELLS)
@every("engine")
def test_batch_first_transposes_sequences_but_not_states(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng, pattern="all", bidirectional=True)
    layer, x, call = turned(problem, engine, cell)
    want_output, want_state = problem.layer(problem.x, problem.state, **problem.call)

    output, state = layer(x, problem.state, **call)

    np.testing.assert_array_equal(output, want_output.swapaxes(0, 1))
    assert_close(as_tuple(state), as_tuple(want_state), 0.0)


@every("cell", CELLS)
@every("engine")
def test_batch_first_gradients_are_laid_out_like_the_arguments(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng, pattern="all", bidirectional=True)
    layer, x, call = turned(problem, engine, cell)
    want = problem.gradients()

    tape = layer.record(x, problem.state, **call)
    grads = tape.backward(problem.d_output.swapaxes(0, 1), problem.d_state)

    np.testing.assert_array_equal(grads.x, want.x.swapaxes(0, 1))
    assert_close(as_tuple(grads.state), as_tuple(want.state), 0.0)
    assert_close(grads.params, want.params, 0.0)


@every("batch_first", [False, True])
@every("cell", CELLS)
@every("engine")
def test_unbatched_calls_are_a_batch_of_one(engine, cell, batch_first, rng):
    problem = make_problem(engine, cell, rng=rng, B=1, batch_first=False, pattern="plain")
    layer = make_layer(engine, cell, 2, 3, batch_first=batch_first, dtype="float64")
    layer.load_state_dict(problem.layer.state_dict())
    mask = np.array([True, False, True, True, True])
    reset = np.array([False, False, False, True, False])
    problem.call = {"lengths": [4], "mask": mask[:, None], "reset": reset[:, None]}
    want_output, want_state = problem.layer(problem.x, problem.state, **problem.call)
    want = problem.gradients()
    state = tuple(s[:, 0] for s in as_tuple(problem.state))
    d_state = tuple(s[:, 0] for s in as_tuple(problem.d_state))
    if INFOS[cell].states == 1:
        state, d_state = state[0], d_state[0]

    tape = layer.record(problem.x[:, 0], state, lengths=4, mask=mask, reset=reset)
    grads = tape.backward(problem.d_output[:, 0], d_state)

    np.testing.assert_array_equal(tape.output, want_output[:, 0])
    got_states, want_states = as_tuple(tape.state), as_tuple(want_state)
    assert_close(got_states, tuple(s[:, 0] for s in want_states), 0.0)
    np.testing.assert_array_equal(grads.x, want.x[:, 0])
    assert_close(as_tuple(grads.state), tuple(s[:, 0] for s in as_tuple(want.state)), 0.0)


def strided(x, rng):
    """Yield views and copies of `x` in every layout NumPy can express."""
    wide = np.repeat(x, 2, axis=-1)
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    packed = np.zeros(x.shape, [("pad", "u1"), ("value", x.dtype)])
    packed["value"] = x
    return {
        "fortran": np.asfortranarray(x),
        "reversed": np.ascontiguousarray(x[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
        "inner stride": wide[..., ::2],
        "outer strides": np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
        "misaligned": raw,
        "odd strides": packed["value"],
        "read-only": np.broadcast_to(x, x.shape),
        "byte-swapped": x.astype(x.dtype.newbyteorder()),
        "list": x.tolist(),
    }


LAYOUTS = list(strided(np.zeros((1, 1, 1)), None))


@every("layout", LAYOUTS)
@every("engine")
def test_any_layout_of_x_gives_the_same_bits(engine, layout, rng):
    problem = make_problem(engine, "gru", rng=rng)
    want, want_grads = problem.layer(problem.x)[0], problem.gradients()

    problem.x = strided(problem.x, rng)[layout]
    problem.d_output = strided(problem.d_output, rng)[layout]
    problem.state = strided(problem.state, rng)[layout]
    problem.d_state = strided(problem.d_state, rng)[layout]

    np.testing.assert_array_equal(problem.layer(problem.x)[0], want)
    got = problem.gradients()
    np.testing.assert_array_equal(got.x, want_grads.x)
    np.testing.assert_array_equal(got.state, want_grads.state)


def test_broadcast_rows_are_accepted(engine, rng):
    layer = engine.LSTM(3, 4, dtype="float64")
    row = rng.standard_normal(3)

    output, _ = layer(np.broadcast_to(row, (5, 2, 3)))

    np.testing.assert_array_equal(output, layer(np.tile(row, (5, 2, 1)))[0])


def test_objects_with_an_array_are_accepted(engine, rng):
    class Holder:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    layer = engine.GRU(3, 4, dtype="float64")
    x = rng.standard_normal((5, 2, 3))

    output, _ = layer(Holder(x))

    np.testing.assert_array_equal(output, layer(x)[0])


@every("kind", ["list", "int32", "uint8", "int64"])
@every("engine")
def test_lengths_may_be_of_any_integer_type(engine, kind, rng):
    problem = make_problem(engine, "gru", rng=rng)
    lengths = [5, 2, 0, 3]
    want = problem.layer(problem.x, lengths=np.array(lengths))[0]

    given = lengths if kind == "list" else np.array(lengths, kind)

    np.testing.assert_array_equal(problem.layer(problem.x, lengths=given)[0], want)


@every("batch_first", [False, True])
@every("engine")
def test_out_is_filled_and_returned(engine, batch_first, rng):
    layer = engine.GRU(3, 4, batch_first=batch_first, bidirectional=True, dtype="float64")
    x = rng.standard_normal((5, 2, 3))
    out = np.full((5, 2, 11), np.nan)[..., 2:10]

    output, _ = layer(x, out=out)

    assert output is out
    np.testing.assert_array_equal(out, layer(x)[0])


def test_out_may_be_unbatched(engine, rng):
    layer = engine.GRU(3, 4, dtype="float64")
    x = rng.standard_normal((5, 3))
    out = np.empty((5, 4))

    layer(x, out=out)

    np.testing.assert_array_equal(out, layer(x)[0])


def test_arguments_are_left_alone(engine, rng):
    problem = make_problem(engine, "lstm", rng=rng, pattern="all", num_layers=2)
    arrays = [problem.x, *problem.state, *problem.call.values(), problem.d_output]
    before = [np.copy(array) for array in arrays]

    problem.gradients()

    for array, copied in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copied)


def test_results_share_no_memory_with_arguments_or_each_other(engine, rng):
    problem = make_problem(engine, "gru", rng=rng, T=0)

    _, state = problem.layer(problem.x, problem.state)
    state[...] = 7.0

    assert not np.shares_memory(state, problem.state)
    assert not (problem.layer(problem.x)[1] == 7.0).any()


def test_backward_may_be_called_again(engine, rng):
    tape = make_problem(engine, "lstm", rng=rng, num_layers=2).record()
    d_output = np.ones_like(tape.output)
    first = tape.backward(d_output)

    tape.backward(3 * d_output)
    again = tape.backward(d_output)

    np.testing.assert_array_equal(again.x, first.x)
    assert_close(again.params, first.params, 0.0)


def test_gradients_of_params_have_the_keys_and_shapes_of_parameters(engine, rng):
    problem = make_problem(engine, "lstm", rng=rng, num_layers=2, bidirectional=True)

    params = problem.gradients().params

    shapes = {name: array.shape for name, array in problem.layer.parameters().items()}
    assert {name: array.shape for name, array in params.items()} == shapes
    assert list(params) == list(shapes)


def test_members_of_the_gradient_of_the_state_may_be_missing(engine, rng):
    problem = make_problem(engine, "lstm", rng=rng)
    tape, (d_h, d_c) = problem.record(), problem.d_state

    only_c = tape.backward(None, (None, d_c))

    want = tape.backward(None, (np.zeros_like(d_h), d_c))
    np.testing.assert_array_equal(only_c.x, want.x)


def test_tape_output_cannot_be_changed(engine, rng):
    tape = make_problem(engine, "gru", rng=rng).record()

    with pytest.raises(ValueError, match="read-only"):
        tape.output[0] = 1.0
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        tape.output.flags.writeable = True


def test_backward_after_a_change_of_parameters_says_so(engine, rng):
    problem = make_problem(engine, "gru", rng=rng)
    tape = problem.layer.record(problem.x)

    problem.layer.bias_ih_l0 = np.zeros(9)

    with pytest.raises(ValueError, match="backward: expected the parameters that were recorded"):
        tape.backward(problem.d_output)


@every("unbatched", [False, True])
@every("cell", CELLS)
@every("engine")
def test_cells_take_the_steps_of_layers(engine, cell, unbatched, rng):
    problem = make_problem(engine, cell, rng=rng, bias=True)
    name, extra = LAYERS[cell]
    single = getattr(engine, f"{name}Cell")(2, 3, dtype="float64", **extra)
    single.load_state_dict(
        {key.removesuffix("_l0"): value for key, value in problem.layer.state_dict().items()}
    )
    x, state = problem.x, tuple(s[0] for s in as_tuple(problem.state))
    if unbatched:
        x, state = x[:, 0], tuple(s[0] for s in state)

    for x_t in x:
        state = as_tuple(single(x_t, state if INFOS[cell].states > 1 else state[0]))

    want = tuple(s[0] for s in as_tuple(problem.layer(problem.x, problem.state)[1]))
    assert_close(state, tuple(s[0] for s in want) if unbatched else want, ALLOWED)


def test_cells_start_from_zero_without_a_state(engine, rng):
    cell = engine.LSTMCell(2, 3, dtype="float64")
    x, zero = rng.standard_normal((4, 2)), np.zeros((4, 3))

    assert_close(cell(x), cell(x, (zero, zero)), 0.0)


def test_repr_shows_what_is_not_default(engine):
    layer = engine.GRU(3, 4, 2, bias=False, dropout=0.5, reset_after=False, dtype="float32",
                       gate_clip=2)  # fmt: skip

    text = "GRU(3, 4, num_layers=2, bias=False, dropout=0.5, reset_after=False, gate_clip=2.0)"
    assert repr(layer) == text


def test_workspace_is_a_number_of_bytes(engine):
    layer = engine.LSTM(3, 4, num_layers=2)

    assert layer.workspace_bytes(10, 2) >= layer.workspace_bytes(10, 2, training=False) >= 0


def test_dropout_without_a_place_warns():
    from simdrnn import reference

    with pytest.warns(UserWarning, match="dropout: acts between layers"):
        reference.GRU(3, 4, dropout=0.5)


def test_float32_layers_of_the_reference_round_only_their_results(rng):
    from simdrnn import reference

    layer = reference.LSTM(3, 4, num_layers=2, dtype="float32", gate_clip=0.2)
    twin = reference.LSTM(3, 4, num_layers=2, gate_clip=0.2)
    twin.load_state_dict({k: v.astype("float64") for k, v in layer.state_dict().items()})
    x = rng.standard_normal((5, 2, 3)).astype("float32")

    got = layer.record(x).backward(np.ones((5, 2, 4), "float32"))

    want = twin.record(x.astype("float64")).backward(np.ones((5, 2, 4)))
    np.testing.assert_array_equal(got.x, want.x.astype("float32"))


def test_calls_from_threads_agree(engine, rng):
    from concurrent.futures import ThreadPoolExecutor

    layer = engine.GRU(3, 4, dtype="float64", seed=0)
    x = rng.standard_normal((8, 5, 2, 3))

    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda part: layer(part)[0], x))

    np.testing.assert_array_equal(got, [layer(part)[0] for part in x])
