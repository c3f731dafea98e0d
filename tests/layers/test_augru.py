"""AUGRU: the score of every step, against the equations in autograd, everywhere it has to go."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    ENGINES,
    KINDS,
    PATTERNS,
    as_tuple,
    assert_close,
    assert_same_bits,
    few,
    make_layer,
    make_pattern,
    make_problem,
    tolerance,
)

STRUCTURES = (
    {},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "merge": "ave"},
    {"reverse": True},
    {"reverse": True, "keep_order": False, "num_layers": 2},
)


def draw(rng, T=6, B=4, I=3, H=5, dtype="float64", **options):  # noqa: E741
    layer = sr.AUGRU(I, H, dtype=dtype, seed=1, **options)
    x = rng.standard_normal((T, B, I)).astype(dtype)
    return layer, x, rng.random((T, B)).astype(dtype)


@pytest.mark.peers
def test_it_is_the_formula_in_autograd(torch, engine, rng):
    layer = engine.AUGRU(3, 5, dtype="float64", seed=1)
    x, scores = rng.standard_normal((6, 4, 3)), rng.standard_normal((6, 4))
    h_0, d_output = rng.standard_normal((1, 4, 5)), rng.standard_normal((6, 4, 5))
    tape = layer.record(x, h_0, attention=scores)
    grads = tape.backward(d_output)

    def tensor(array):
        return torch.tensor(np.array(array), requires_grad=True)

    weights = {name: tensor(value) for name, value in layer.parameters().items()}
    given, attention, start = tensor(x), tensor(scores), tensor(h_0)
    h, outputs = start[0], []
    for t in range(6):
        of_x = given[t] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        of_h = h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        (r_x, u_x, n_x), (r_h, u_h, n_h) = of_x.chunk(3, -1), of_h.chunk(3, -1)
        u = (1 - attention[t][:, None]) * torch.sigmoid(u_x + u_h)
        candidate = torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h)
        h = u * h + (1 - u) * candidate
        outputs.append(h)
    output = torch.stack(outputs)
    (output * torch.tensor(d_output)).sum().backward()

    allowed = tolerance("float64", 6, 6 * 4 + 3 + 5)
    assert_close(tape.output, output.detach().numpy(), allowed)
    assert_close(grads.attention, attention.grad.numpy(), allowed)
    assert_close(grads.x, given.grad.numpy(), allowed)
    assert_close(grads.state, start.grad.numpy(), allowed)
    assert_close(grads.params, {name: w.grad.numpy() for name, w in weights.items()}, allowed)


def test_a_score_of_0_is_a_gru_and_one_of_1_forgets(engine, rng):
    layer, gru = engine.AUGRU(3, 5, dtype="float64", seed=1), engine.GRU(3, 5, dtype="float64")
    gru.load_state_dict(layer.state_dict())
    x, h = rng.standard_normal((6, 4, 3)), rng.standard_normal((1, 4, 5))

    assert_close(layer(x, h, attention=np.zeros((6, 4)))[0], gru(x, h)[0], tolerance(float, 6, 8))
    layer.weight_hh_l0 = np.zeros_like(layer.weight_hh_l0)  # nothing else sees h
    scores = np.ones((6, 4))
    assert_same_bits(layer(x, h, attention=scores)[0], layer(x, -h, attention=scores)[0])
    assert not np.array_equal(layer(x, h, attention=scores / 2)[0], layer(x, attention=scores)[0])


@few(engine=ENGINES, options=STRUCTURES[:2], state=[None, "random"])
def test_gradients_are_those_of_differences(engine, options, state):
    layer = engine.AUGRU(3, 4, dtype="float64", seed=0, **options)

    report = sr.gradcheck(
        layer, 5, 3, state=state, lengths="random", mask="random", reset="random",
        masked_output="hold",
    )  # fmt: skip

    assert report.tensors["attention"].compared == 5 * 3
    assert report.skipped == 0


def test_layers_and_directions_see_the_same_scores_and_their_gradients_add_up(rng):
    """One direction of two is a layer of its own, so the sum can be taken apart."""
    layer, x, scores = draw(rng, bidirectional=True)
    d_output = rng.standard_normal((6, 4, 10))
    parts = []
    for direction, options in enumerate(({}, {"reverse": True})):
        one = sr.AUGRU(3, 5, dtype="float64", **options)
        end = "_reverse" if direction else ""
        one.load_state_dict({name: getattr(layer, name + end) for name in one.parameters()})
        half = slice(5 * direction, 5 * direction + 5)
        parts.append(one.record(x, attention=scores).backward(d_output[..., half]).attention)

    got = layer.record(x, attention=scores).backward(d_output).attention

    assert_same_bits(got, 0.0 + parts[0] + parts[1])


def test_layouts_are_those_of_x(engine, rng):
    layer = engine.AUGRU(3, 5, dtype="float64", seed=1)
    other = engine.AUGRU(3, 5, dtype="float64", seed=1, batch_first=True)
    x, scores = rng.standard_normal((6, 4, 3)), rng.random((6, 4))
    want = layer.record(x, attention=scores)
    d_output = rng.standard_normal(want.output.shape)
    d_want = want.backward(d_output).attention

    swapped = other.record(x.swapaxes(0, 1), attention=scores.T)
    d_swapped = swapped.backward(d_output.swapaxes(0, 1)).attention
    single = layer.record(x[:, 1], attention=scores[:, 1])

    assert d_swapped.shape == (4, 6)
    assert d_want.shape == (6, 4)
    assert_same_bits(swapped.output.swapaxes(0, 1), want.output)
    assert_same_bits(d_swapped.T, d_want)
    allowed = tolerance("float64", 6, 8)  # the reference's products are NumPy's
    assert_close(single.output, want.output[:, 1], allowed)
    assert_close(single.backward(d_output[:, 1]).attention, d_want[:, 1], allowed)
    assert_close(layer(x, attention=scores)[0], want.output, 0)


def test_scores_of_steps_that_are_not_real_are_not_read(engine, rng):
    layer = engine.AUGRU(3, 5, dtype="float64", seed=1)
    call = make_pattern("all", 6, 4, rng)
    real = call["mask"] & (np.arange(6)[:, None] < call["lengths"])
    x, scores = rng.standard_normal((6, 4, 3)), rng.random((6, 4))
    wrong = np.where(real, scores, np.nan)

    tapes = [layer.record(x, attention=given, **call) for given in (scores, wrong)]
    grads = [tape.backward(np.ones_like(tape.output)) for tape in tapes]

    assert_same_bits(tapes[1].output, tapes[0].output)
    assert_same_bits(grads[1].attention, grads[0].attention)
    assert (grads[0].attention[~real] == 0).all()
    assert (grads[0].attention[real] != 0).all()


@few(pattern=PATTERNS, k=[1, 3, 6])
def test_chunks_are_the_whole(rng, pattern, k):
    problem = make_problem(sr, "augru", rng=rng, T=6, pattern=pattern)
    tape = problem.record()
    want = tape.backward(problem.d_output, problem.d_state)

    chunks = list(sr.tbptt(problem.layer, problem.x, k, problem.state, **problem.call))
    d_state, d_attention = problem.d_state, []
    for chunk in reversed(chunks):
        grads = chunk.tape.backward(problem.d_output[chunk.start : chunk.stop], d_state)
        d_state = grads.state
        d_attention.insert(0, grads.attention)

    assert_same_bits(np.concatenate([chunk.tape.output for chunk in chunks]), tape.output)
    assert_close(np.concatenate(d_attention), want.attention, tolerance("float64", 6, 16))


def test_the_single_cell_takes_one_step_of_it(engine, rng):
    layer, cell = (kind(3, 5, dtype="float64", seed=1) for kind in (engine.AUGRU, engine.AUGRUCell))
    x, scores = rng.standard_normal((4, 3)), rng.random(4)
    want = layer(x[None], attention=scores[None])[1][0]

    assert_same_bits(cell(x, attention=scores), want)
    assert_close(cell(x[1], attention=scores[1]), want[1], tolerance("float64", 1, 8))
    with pytest.raises(ValueError, match=r"attention: expected shape \(B,\) = \(4,\), got \(3,\)"):
        cell(x, attention=scores[:3])
    with pytest.raises(ValueError, match=r"attention: expected shape \(B,\) = \(4,\), .* got None"):
        cell(x)
    with pytest.raises(ValueError, match="attention: expected None, as gru takes no attention"):
        engine.GRUCell(3, 5, dtype="float64")(x, attention=scores)


def test_mistakes_are_named(engine, rng):
    layer = engine.AUGRU(3, 5, dtype="float64", batch_first=True)
    x, scores = rng.standard_normal((4, 6, 3)), rng.random((4, 6))

    for call in (layer, layer.record):
        with pytest.raises(
            ValueError, match=r"attention: expected shape \(B, T\) = \(4, 6\), .*No"
        ):
            call(x)
        with pytest.raises(ValueError, match=r"attention: expected shape \(B, T\) = \(4, 6\), got"):
            call(x, attention=scores.T)
        with pytest.raises(TypeError, match="attention: expected dtype float64, got float32"):
            call(x, attention=scores.astype("float32"))
    with pytest.raises(
        ValueError, match=r"attention: expected shape \(T,\) = \(6,\), got \(4, 6\)"
    ):
        layer(x[0], attention=scores)
    plain, memory = engine.AUGRU(3, 5, dtype="float64"), np.zeros((4, 6, 5))
    shared = memory.reshape(-1)[:24].reshape(4, 6)
    with pytest.raises(ValueError, match=r"out: expected memory of its own, .* with attention"):
        plain(x, attention=shared, out=memory)


@few(engine=ENGINES, cell=KINDS)
def test_other_layers_refuse_it(engine, cell, rng):
    layer = make_layer(engine, cell, 3, 5, dtype="float64")
    x, scores = rng.standard_normal((6, 4, 3)), rng.random((6, 4))

    for call in (layer, layer.record, lambda x, **given: sr.tbptt(layer, x, 2, **given)):
        with pytest.raises(ValueError, match=r"attention: expected None, as .* takes no attention"):
            call(x, attention=scores)


def test_stacks_refuse_it(engine):
    with pytest.raises(ValueError, match=r"layers\[1\]: expected a layer that takes nothing besid"):
        sr.Stack([engine.GRU(3, 5), engine.AUGRU(5, 5)])


def test_diagnosis_and_copies_know_it(engine, rng):
    layer = engine.AUGRU(3, 5, 2, dtype="float64", seed=1)
    x, scores = rng.standard_normal((20, 4, 3)), rng.random((20, 4))
    tape = layer.record(x, attention=scores)

    found = sr.diagnose(tape)
    other = sr.diagnose(layer.record(x, attention=1.0 - scores))

    assert {*found.layers[0].saturation} == {"r", "z", "n"}
    assert found.layers[0].lyapunov != other.layers[0].lyapunov  # its Jacobians see the scores
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_same_bits(twin(x, attention=scores), layer(x, attention=scores))
    _, _, states = layer(x, attention=scores, return_all_states=True)
    assert_same_bits(states[:, 1], tape.output)


def test_nothing_is_computed_of_nothing(engine):
    layer = engine.AUGRU(3, 5, dtype="float64", bidirectional=True)

    for T, B in ((0, 4), (6, 0)):
        tape = layer.record(np.zeros((T, B, 3)), attention=np.zeros((T, B)))
        grads = tape.backward(np.zeros((T, B, 10)))
        assert grads.attention.shape == (T, B)
        assert all((value == 0).all() for value in grads.params.values())
        assert as_tuple(tape.state)[0].shape == (2, B, 5)
