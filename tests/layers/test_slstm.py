"""sLSTM: equations and true gradients in autograd, numbers of any size, heads."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    DTYPES,
    ENGINES,
    PATTERNS,
    Case,
    as_tuple,
    assert_close,
    assert_same_bits,
    few,
    make_problem,
    results,
    tolerance,
)
from simdrnn import reference

# Heads, and units: heads of whole vectors, of less than one, of one unit, and in between.
HEADS = ((1, 19), (2, 32), (4, 12), (3, 57), (5, 5))


def random_state(rng, rows, B, H):
    h, c, n, m = rng.standard_normal((4, rows, B, H))
    return h, c, 0.5 + abs(n), m


def one_layer(engine, H=6, **options):
    return engine.SLSTM(3, H, dtype="float64", seed=1, **options)


def autograd_run(torch, layer, x, state, heads=1):
    """Run the paper's equations; return tensors: those given, outputs and final state."""

    def tensor(array):
        return torch.tensor(np.array(array), requires_grad=True)

    weights = {name: tensor(value) for name, value in layer.parameters().items()}
    given, start = tensor(x), [tensor(member) for member in state]
    h, c, n, m = (member[0] for member in start)
    blocks = weights["weight_hh_l0"].reshape(4 * heads, -1, h.shape[-1] // heads)
    R = torch.cat(
        [torch.block_diag(*blocks[gate * heads : (gate + 1) * heads]) for gate in range(4)]
    )
    bias, outputs = weights["bias_ih_l0"] + weights["bias_hh_l0"], []
    for step in given:
        i, f, z, o = (step @ weights["weight_ih_l0"].T + h @ R.T + bias).chunk(4, -1)
        log_f, empty = torch.nn.functional.logsigmoid(f) + m, n == 0
        m = torch.where(empty, i, torch.maximum(log_f, i))
        i, f = torch.exp(i - m), torch.where(empty, torch.zeros_like(m), torch.exp(log_f - m))
        c, n = f * c + i * torch.tanh(z), f * n + i
        h = torch.sigmoid(o) * c / n
        outputs.append(h)
    return weights, given, start, torch.stack(outputs), (h, c, n, m)


@pytest.mark.peers
@pytest.mark.parametrize("heads", [1, 2, 3, 6])
@pytest.mark.parametrize("with_state", [True, False])
def test_it_is_the_formula_in_autograd(torch, engine, with_state, heads, rng):
    layer = one_layer(engine, num_heads=heads)
    x, state = rng.standard_normal((5, 4, 3)), random_state(rng, 1, 4, 6)
    if not with_state:
        state = tuple(np.zeros_like(member) for member in state)
    d_output = rng.standard_normal((5, 4, 6))
    d_state = tuple(rng.standard_normal(member.shape) for member in state)
    tape = layer.record(x, state)
    grads = tape.backward(d_output, d_state)

    weights, given, start, output, final = autograd_run(torch, layer, x, state, heads)
    total = (output * torch.tensor(d_output)).sum()
    for member, weight in zip(final, d_state, strict=True):
        total = total + (member * torch.tensor(weight[0])).sum()
    total.backward()

    allowed = tolerance("float64", 5, 5 * 4 + 3 + 4 * 6)
    assert_close(tape.output, output.detach().numpy(), allowed)
    assert_close(tape.state, tuple(s.detach().numpy()[None] for s in final), allowed)
    assert_close(grads.x, given.grad.numpy(), allowed)
    assert_close(grads.params, {name: w.grad.numpy() for name, w in weights.items()}, allowed)
    assert_close(grads.state, tuple(s.grad.numpy() for s in start), allowed)


def test_h_does_not_depend_on_m(engine, rng):
    """c and n scale together, so what is for h alone is the same with m taken for a constant."""
    layer, x = one_layer(engine), rng.standard_normal((5, 4, 3))
    h, c, n, m = random_state(rng, 1, 4, 6)
    shift = rng.standard_normal(m.shape)
    scaled = (h, c * np.exp(-shift), n * np.exp(-shift), m + shift)
    tapes = [layer.record(x, state) for state in ((h, c, n, m), scaled)]
    grads = [tape.backward(np.ones_like(tape.output)) for tape in tapes]

    allowed = tolerance("float64", 5, 5 * 4 + 3 + 4 * 6)
    assert_close(tapes[1].output, tapes[0].output, allowed)
    assert_close(grads[1].params, grads[0].params, allowed)
    # Along that scaling nothing changes: d_m = c d_c + n d_n.
    _, d_c, d_n, d_m = grads[0].state
    assert_close(d_m, c * d_c + n * d_n, allowed)


@few(engine=ENGINES, num_heads=[1, 2, 4], state=[None, "random"])
def test_gradients_are_those_of_differences(engine, num_heads, state):
    layer = engine.SLSTM(3, 4, 2, bidirectional=True, dtype="float64", seed=0, num_heads=num_heads)

    report = sr.gradcheck(
        layer, 5, 3, state=state, lengths="random", mask="random", reset="random", entries=4
    )

    assert (report.ok, report.skipped) == (True, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("gate", ["i", "f"])
def test_gates_of_any_size_neither_overflow_nor_divide_by_0(engine, gate, size, dtype, rng):
    layer = engine.SLSTM(3, 5, dtype=dtype, seed=1)
    bias = np.zeros(20, dtype)
    bias[5 * "ifzo".index(gate) :][:5] = size
    layer.bias_ih_l0 = bias
    x = rng.standard_normal((7, 2, 3)).astype(dtype)

    tape = layer.record(x)
    grads = tape.backward(np.ones_like(tape.output))

    assert (abs(tape.output) < 1).all()
    for array in (*as_tuple(tape.state), grads.x, *grads.params.values(), *as_tuple(grads.state)):
        assert np.isfinite(array).all()
    assert (tape.state[2] >= 1).all()
    assert (grads.params["weight_ih_l0"] != 0).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_m_of_any_size_is_a_matter_of_memory(engine, dtype, rng):
    """With m far above all gates nothing is written, far below all is: with n = 0 it is ignored."""
    layer = engine.SLSTM(3, 5, dtype=dtype, seed=1)
    x = rng.standard_normal((1, 2, 3)).astype(dtype)
    h, c, n, _ = (member.astype(dtype) for member in random_state(rng, 1, 2, 5))
    m = np.full_like(h, np.finfo(dtype).max / 4)

    kept, renewed = layer(x, (h, c, n, m))[1], layer(x, (h, c, n, -m))[1]
    empty = layer(x, (h, c, np.zeros_like(n), np.full_like(m, np.nan)))[1]

    assert_same_bits(kept[1:], (c, n, m))
    assert_same_bits(renewed[2], np.ones_like(n))
    assert_same_bits(empty, renewed)


def test_an_open_forget_gate_adds_up(engine, rng):
    """With f at 1 and all i the same, n counts steps and c sums what is written: h is the mean."""
    layer = engine.SLSTM(3, 4, dtype="float64", seed=0)
    sr.init.apply(layer, weight_hh=sr.init.zeros(), bias=sr.init.zeros())
    weights = layer.state_dict()
    weights["weight_ih_l0"][:8] = 0.0
    weights["bias_ih_l0"][4:8] = 60.0  # of f
    weights["weight_ih_l0"][12:] = 0.0
    layer.load_state_dict(weights)
    x = rng.standard_normal((6, 2, 3))

    output, (_, c, n, m) = layer(x)

    written = np.tanh(x @ weights["weight_ih_l0"][8:12].T)
    steps = np.arange(1, 7)[:, None, None]
    allowed = tolerance("float64", 6, 3)
    assert_close(output, 0.5 * np.cumsum(written, axis=0) / steps, allowed)
    assert_close(c[0], written.sum(axis=0), allowed)
    np.testing.assert_allclose(n, 6.0, rtol=0, atol=6 * np.exp(-60) + 6 * 2.0**-52)
    np.testing.assert_allclose(m, 0.0, rtol=0, atol=6 * np.exp(-60))


def test_a_tie_is_left_to_the_first_argument(engine):
    """All gates are 0, c = n = 1 and m is chosen to tie: c' = f' = 1, m' = 0, and m' follows m."""
    layer = engine.SLSTM(1, 1, bias=False, dtype="float64")
    layer.load_state_dict({name: np.zeros_like(v) for name, v in layer.state_dict().items()})
    # log sigmoid(0) + m as the engine rounds it, whose tie with 0 is exact.
    x, one = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
    near = np.log(2.0) + np.arange(-4, 5) * 2.0**-53
    steps = [(m, layer(x, (one, one, one, one * m))[1]) for m in near]
    (m,) = [m for m, (_, f, _, after) in steps if (f, after) == (1.0, 0.0)]

    grads = layer.record(x, (one, one, one, one * m)).backward(None, (None, None, None, one))

    assert grads.state[3] == 1.0
    below = layer.record(x, (one, one, one, one * np.nextafter(m, 0)))
    assert below.backward(None, (None, None, None, one)).state[3] == 0.0


@few(case=HEADS, pattern=PATTERNS, dtype=DTYPES)
def test_the_engine_does_as_the_reference(case, pattern, dtype, rng):
    heads, H = case
    case = Case("slstm", dtype=dtype, T=9, B=7, H=H, layers=2, directions=2, pattern=pattern)
    seed = int(rng.integers(2**32))
    got, want = (
        results(
            make_problem(
                module,
                "slstm",
                rng=np.random.default_rng(seed),
                T=9,
                B=7,
                I=5,
                H=H,
                dtype=dtype,
                pattern=pattern,
                num_layers=2,
                bidirectional=True,
                num_heads=heads,
            )
        )
        for module in (sr, reference)
    )

    assert_close(got, want, case.tolerance())


@few(case=HEADS, B=[1, 13])
def test_threads_and_checkpoints_change_no_bit(case, B, rng):
    heads, H = case
    problem = make_problem(
        sr, "slstm", rng=rng, T=30, B=B, I=7, H=H, dtype="float32", pattern="all",
        num_layers=2, num_heads=heads, recurrent_dropout=0.2, step_grad_clip=0.1,
    )  # fmt: skip
    want = results(problem)

    for call in ({"num_threads": 2}, {"num_threads": 5}, {"checkpoint_every": 4}):
        assert_same_bits(results(problem, **call), want)


@pytest.mark.quiet
@pytest.mark.parametrize(("heads", "H"), [(3, 768), (4, 768), (6, 834)])
def test_threads_that_share_units_change_no_bit(heads, H, rng):
    """One row of weights too many for one core: heads of whole vectors are shared, or none are.

    Of three heads, two threads share the second.

    Where another program has just made threads wait, none are asked to meet: then all is repeated.
    """
    problem = make_problem(
        sr, "slstm", rng=rng, T=20, B=1, I=9, H=H, dtype="float32", num_heads=heads
    )
    assert sr.explain(problem.layer, 20, 1, num_threads=2).forward.schedule == "units"

    assert_same_bits(results(problem, num_threads=2), results(problem, num_threads=1))


@pytest.mark.parametrize(("heads", "H"), HEADS)
def test_every_instruction_set_gives_the_same_bits(heads, H):
    found = []
    active = sr.isa.active()
    try:
        for isa in sr.isa.available():
            sr.isa.use(isa)
            problem = make_problem(
                sr, "slstm", rng=np.random.default_rng(0), T=9, B=7, H=H, dtype="float32",
                pattern="all", num_heads=heads, bidirectional=True,
            )  # fmt: skip
            found.append(results(problem))
    finally:
        sr.isa.use(active)
    for other in found[1:]:
        assert_same_bits(other, found[0])


def test_heads_are_the_blocks_of_a_whole_matrix(rng):
    """The zeros of a whole matrix change no bit, so its results are those of its blocks."""
    blocks, plain = (sr.SLSTM(3, 12, seed=1, num_heads=n) for n in (3, None))
    weights = blocks.state_dict()
    full = np.zeros((4, 12, 12), "float32")
    for head in range(3):
        own = slice(4 * head, 4 * head + 4)
        full[:, own, own] = weights["weight_hh_l0"].reshape(4, 12, 4)[:, own]
    plain.load_state_dict(weights | {"weight_hh_l0": full.reshape(48, 12)})
    x = rng.standard_normal((9, 5, 3)).astype("float32")
    tapes = [layer.record(x) for layer in (blocks, plain)]
    got, want = (tape.backward(np.ones_like(tape.output)) for tape in tapes)

    assert_same_bits(tapes[0].output, tapes[1].output)
    np.testing.assert_array_equal(got.x, want.x)
    d_full = want.params["weight_hh_l0"].reshape(4, 12, 12)
    for head in range(3):
        own = slice(4 * head, 4 * head + 4)
        d_block = got.params["weight_hh_l0"].reshape(4, 12, 4)[:, own]
        np.testing.assert_array_equal(d_block, d_full[:, own, own])


@pytest.mark.parametrize("num_heads", [2, 3, 12])
def test_heads_do_not_see_each_other(engine, num_heads, rng):
    layer = engine.SLSTM(3, 12, dtype="float64", seed=1, num_heads=num_heads)
    x, size = rng.standard_normal((6, 2, 3)), 12 // num_heads
    h, c, n, m = random_state(rng, 1, 2, 12)
    broken = h.copy()
    broken[..., :size] = np.nan

    output, other = layer(x, (h, c, n, m))[0], layer(x, (broken, c, n, m))[0]

    assert_same_bits(other[..., size:], output[..., size:])
    assert np.isnan(other[..., :size]).all()


def test_heads_are_checked_shown_and_initialised(engine):
    layer = engine.SLSTM(3, 12, 2, num_heads=4, seed=0, initializer="orthogonal", dtype="float64")

    assert repr(layer) == "SLSTM(3, 12, num_layers=2, dtype='float64', num_heads=4)"
    assert layer.weight_hh_l1.shape == (48, 3)
    expected = np.broadcast_to(np.eye(3), (16, 3, 3))
    for _ in range(2):
        blocks = layer.weight_hh_l1.reshape(16, 3, 3)
        np.testing.assert_allclose(blocks @ blocks.swapaxes(1, 2), expected, atol=1e-14)
        sr.init.apply(layer, weight_hh=sr.init.orthogonal(), seed=1)
    value, gradients = sr.regularizers.orthogonality(layer, 1.0)
    assert value < 1e-27
    assert abs(gradients["weight_hh_l0"]).max() < 1e-13
    uniform = sr.init.apply(layer, weight_hh=sr.init.uniform(), seed=1).weight_hh_l0
    assert 0.27 < abs(uniform).max() <= 12**-0.5
    with pytest.raises(ValueError, match=r"weight_hh_l0: expected shape \(4\*H, H/4\) = \(48, 3\)"):
        layer.weight_hh_l0 = np.zeros((48, 12))
    with pytest.raises(ValueError, match="num_heads: expected a divisor of hidden_size=12, got 5"):
        engine.SLSTM(3, 12, num_heads=5)
    with pytest.raises(TypeError, match=r"num_heads: expected a positive integer, got 2\.0"):
        engine.SLSTM(3, 12, num_heads=2.0)
    with pytest.raises(ValueError, match="num_heads: expected a cell with heads, got lstm"):
        engine.LSTM(3, 12, num_heads=2)


def test_diagnosis_knows_its_states_and_heads(engine, rng):
    layer = engine.SLSTM(3, 6, dtype="float64", seed=0, num_heads=2)
    found = sr.diagnose(layer.record(rng.standard_normal((20, 3, 3)))).layers[0]

    assert list(found.gradient) == ["h", "c", "n", "m"]
    blocks = layer.weight_hh_l0.reshape(4, 2, 3, 3)
    want = abs(np.linalg.eigvals(blocks)).max(axis=(1, 2))
    assert list(found.recurrent_radius) == ["i", "f", "z", "o"]
    np.testing.assert_allclose(list(found.recurrent_radius.values()), want, rtol=1e-9)


def test_states_have_names_and_forms(engine, rng):
    layer = engine.SLSTM(3, 4, dtype="float64", seed=0, learn_initial_state=True)
    x = rng.standard_normal((5, 2, 3))

    assert [name for name in layer.parameters() if "_0_" in name] == [
        "h_0_l0", "c_0_l0", "n_0_l0", "m_0_l0",
    ]  # fmt: skip
    _, state, states = layer(x, return_all_states=True)
    assert [member.shape for member in state] == [(1, 2, 4)] * 4
    for member, last in zip(states, state, strict=True):
        assert_same_bits(member[-1], last)
    with pytest.raises(TypeError, match=r"state: expected a tuple \(h_0, c_0, n_0, m_0\), got"):
        layer(x, state[:2])
    with pytest.raises(AttributeError, match="n_0_l1: unknown parameter"):
        layer.n_0_l1 = np.zeros(4)
    h, c, n, m = engine.SLSTMCell(3, 4, dtype="float64", seed=0)(x[0])
    assert (n == 1).all()
    assert h.shape == c.shape == m.shape == (2, 4)
