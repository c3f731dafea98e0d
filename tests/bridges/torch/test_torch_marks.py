"""`lengths`, `mask` and `reset` of `simdrnn.torch`'s layers: what a loop over steps computes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from helpers_loops import every

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

from torch.nn.utils.rnn import pack_padded_sequence  # noqa: E402

import simdrnn.torch  # noqa: E402
from helpers_bridge_torch import LAYERS, as_tuple, pair  # noqa: E402

T, B, I, H = 7, 4, 3, 5  # noqa: E741
F64 = torch.float64


def marks(*names, seed=0):
    """Return keywords, of these names."""
    generator = torch.Generator().manual_seed(seed)
    every_one = {
        "lengths": torch.tensor([T, 3, 0, 5]),
        "mask": torch.rand(T, B, generator=generator) < 0.7,
        "reset": torch.rand(T, B, generator=generator) < 0.3,
    }
    return {name: every_one[name] for name in names}


def one_direction(plain, index, reverse):
    """Return PyTorch's layer of one layer and direction of a stack."""
    suffix = f"_l{index}{'_reverse' if reverse else ''}"
    named = {
        name.removesuffix(suffix) + "_l0": p
        for name, p in plain.named_parameters()
        if name.endswith(suffix)
    }
    projected = {"proj_size": plain.proj_size} if plain.proj_size else {}
    relu = {"nonlinearity": "relu"} if plain.mode == "RNN_RELU" else {}
    width = named["weight_ih_l0"].shape[1]
    layer = type(plain)(width, plain.hidden_size, bias=plain.bias, dtype=F64, **projected, **relu)
    return lambda x, state: torch.func.functional_call(layer, named, (x, state))


def row_by_row(step, x, initial, lengths, mask, reset, to_given, reverse):
    """Walk along each row alone, a step at a time; x (T, B, I), states (B, H)."""
    outputs, finals = [], []
    for b in range(x.shape[1]):
        begin = tuple(state[b : b + 1] for state in initial)
        back = begin if to_given else tuple(torch.zeros_like(state) for state in begin)
        state, width = begin, initial[0].shape[-1]
        row = [torch.zeros(width, dtype=x.dtype)] * len(x)
        times = range(int(lengths[b]))
        for t in reversed(times) if reverse else times:
            cut = t + 1 if reverse else t
            if cut < int(lengths[b]) and reset[cut, b]:
                state = back
            if mask[t, b]:
                output, new = step(x[t, b][None], state if len(state) > 1 else state[0])
                row[t], state = output[0], as_tuple(new)
        outputs.append(torch.stack(row))
        finals.append(state)
    stacked = [torch.cat(states) for states in zip(*finals, strict=True)]
    return torch.stack(outputs, 1), stacked


def by_loop(plain, x, hx, lengths=None, mask=None, reset=None, reset_state="zero"):
    """Return what PyTorch's layer (time first) gives in a loop over steps."""
    steps, batch = x.shape[:2]
    lengths = torch.full((batch,), steps) if lengths is None else lengths
    mask = torch.ones(steps, batch, dtype=torch.bool) if mask is None else mask
    reset = torch.zeros(steps, batch, dtype=torch.bool) if reset is None else reset
    finals = []
    for index in range(plain.num_layers):
        made = []
        for reverse in (False, True)[: 1 + plain.bidirectional]:
            row = index * (1 + plain.bidirectional) + reverse
            step = one_direction(plain, index, reverse)
            initial = [state[row] for state in hx]
            made.append(
                row_by_row(step, x, initial, lengths, mask, reset, reset_state == "given", reverse)
            )
        x = torch.cat([output for output, _ in made], -1)
        finals += [final for _, final in made]
    return (x, *(torch.stack(states) for states in zip(*finals, strict=True)))


def states_of(layer, batch):
    """Return an initial state."""
    rows = layer.num_layers * (1 + layer.bidirectional)
    widths = (layer.proj_size or H, H)[: 2 if layer.mode == "LSTM" else 1]
    return [torch.randn(rows, batch, width, dtype=F64) for width in widths]


def values_and_gradients(run, tensors):
    """Return results, and gradients of a random sum of them for the tensors."""
    results = run()
    generator = torch.Generator().manual_seed(5)
    loss = sum((r * torch.randn(r.shape, generator=generator, dtype=F64)).sum() for r in results)
    gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
    return [r.detach() for r in results], [
        torch.zeros_like(t) if g is None else g for g, t in zip(gradients, tensors, strict=True)
    ]


CALLS = [
    ("lstm", ("lengths",), {}, None),
    ("gru", ("mask",), {}, None),
    ("lstm", ("reset",), {}, "zero"),
    ("gru", ("reset",), {}, "given"),
    ("lstm", ("lengths", "mask", "reset"), {"num_layers": 2, "bidirectional": True}, "given"),
    ("gru", ("lengths", "mask", "reset"), {"num_layers": 2, "bidirectional": True}, None),
    ("rnn_tanh", ("lengths", "reset"), {"bias": False}, None),
    ("rnn_relu", ("mask", "reset"), {"bidirectional": True}, "given"),
    ("lstm", ("lengths", "reset"), {"proj_size": 2, "bidirectional": True}, None),
]


@every("row", CALLS, ids=lambda row: "-".join([row[0], *row[1], *row[2], row[3] or ""]))
@every("batch_first", [False, True])
def test_they_equal_a_loop_over_steps(row, batch_first):
    cell, names, options, reset_state = row
    torch.manual_seed(0)
    theirs, ours = pair(cell, I, H, dtype=F64, **options)
    ours.batch_first = batch_first
    x = torch.randn(T, B, I, dtype=F64, requires_grad=True)
    hx = [state.requires_grad_() for state in states_of(theirs, B)]
    keywords = marks(*names)

    def call():
        flags = {
            name: value.T if batch_first and value.dim() == 2 else value
            for name, value in keywords.items()
        }
        given = x.transpose(0, 1) if batch_first else x
        state = hx[0] if len(hx) == 1 else tuple(hx)
        output, final = ours(given, state, **flags, reset_state=reset_state)
        return (output.transpose(0, 1) if batch_first else output, *as_tuple(final))

    want = values_and_gradients(
        lambda: by_loop(theirs, x, hx, **keywords, reset_state=reset_state or "zero"),
        [x, *hx, *theirs.parameters()],
    )
    got = values_and_gradients(call, [x, *hx, *ours.parameters()])

    torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(list(call()), want[0], rtol=0, atol=1e-12)


@every("cell", LAYERS)
@every("options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}])
def test_pytorchs_path_gives_the_same(cell, options):
    # What the engine cannot run: here a transform, which sees PyTorch's operators.
    torch.manual_seed(0)
    layer = pair(cell, I, H, dtype=F64, **options)[1]
    x = torch.randn(T, B, I, dtype=F64)
    keywords = marks("lengths", "mask", "reset")
    if layer.batch_first:
        x, keywords = (
            x.transpose(0, 1),
            {name: value.T if value.dim() == 2 else value for name, value in keywords.items()},
        )

    def loss(u):
        output, final = layer(u, **keywords)
        return output.square().sum() + sum(s.sum() for s in as_tuple(final))

    u = x.clone().requires_grad_()
    (want,) = torch.autograd.grad(loss(u), u)

    torch.testing.assert_close(torch.func.grad(loss)(x), want, rtol=0, atol=1e-12)


def test_half_precision_takes_pytorchs_path():
    layer = simdrnn.torch.LSTM(I, H).to(torch.bfloat16)
    x = torch.randn(T, B, I).to(torch.bfloat16)
    keywords = marks("lengths", "reset")

    output, _ = layer(x, **keywords)

    want, _ = layer.float()(x.float(), **keywords)
    torch.testing.assert_close(output.float(), want, rtol=0, atol=0.05)


@every("cell", ["lstm", "gru"])
def test_second_derivatives(cell):
    torch.manual_seed(0)
    layer = pair(cell, I, 2, 2, dtype=F64, dropout=0.5)[1]
    keywords = marks("lengths", "mask", "reset")

    def function(x):
        torch.manual_seed(1)
        return layer(x, **keywords)[0]

    x = torch.randn(T, B, I, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(function, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, x, fast_mode=True)


def test_lengths_equal_a_packed_sequence():
    layer = simdrnn.torch.LSTM(I, H, 2, bidirectional=True, batch_first=True)
    x, lengths = torch.randn(B, T, I), torch.tensor([T, 3, 1, 5])

    output, (h, c) = layer(x, lengths=lengths)

    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    want, (want_h, want_c) = layer(packed)
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(want, batch_first=True)
    torch.testing.assert_close((output, h, c), (padded, want_h, want_c), rtol=0, atol=0)


def test_what_is_not_real_is_not_read():
    layer = simdrnn.torch.GRU(I, H)
    x, keywords = torch.randn(T, B, I), marks("lengths", "mask")
    want = layer(x, **keywords)[0]
    for b, t in itertools.product(range(B), range(T)):
        if t >= keywords["lengths"][b] or not keywords["mask"][t, b]:
            x[t, b] = float("nan")

    output, _ = layer(x, **keywords)
    output.sum().backward()

    assert torch.equal(output, want)
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_flags_may_be_used_again_before_the_way_back():
    layer, done = simdrnn.torch.GRU(I, H), marks("reset")["reset"]
    x = torch.randn(T, B, I)
    gradients = []
    for write in (False, True):
        given = done.clone()
        output, _ = layer(x, reset=given)
        if write:
            given.logical_not_()
        gradients.append(torch.autograd.grad(output.sum(), layer.weight_hh_l0)[0])

    assert torch.equal(*gradients)


def test_arrays_lists_and_one_row():
    layer, x = simdrnn.torch.LSTM(I, H), torch.randn(T, B, I)
    keywords = marks("lengths", "mask", "reset")
    want = layer(x, **keywords)[0]

    arrays = {name: value.numpy() for name, value in keywords.items()}
    assert torch.equal(layer(x, **arrays)[0], want)
    assert torch.equal(layer(x, **{n: v.tolist() for n, v in arrays.items()})[0], want)
    narrow = keywords["lengths"].to(torch.int32)
    assert torch.equal(layer(x, lengths=narrow)[0], layer(x, lengths=keywords["lengths"])[0])
    one = layer(x[:, 3], lengths=5, mask=keywords["mask"][:, 3], reset=keywords["reset"][:, 3])[0]
    torch.testing.assert_close(one, want[:, 3], rtol=0, atol=1e-6)


def test_a_rollout_is_one_call():
    # The loop that recurrent policies have, with the state masked where episodes begin.
    layer, x = simdrnn.torch.LSTM(I, H), torch.randn(T, B, I)
    done = marks("reset")["reset"]
    state = (torch.randn(1, B, H), torch.randn(1, B, H))

    outputs, (h, c) = [], state
    for t in range(T):
        keep = (~done[t])[None, :, None]
        output, (h, c) = layer(x[t : t + 1], (h * keep, c * keep))
        outputs.append(output)
    got, (last_h, last_c) = layer(x, state, reset=done)

    torch.testing.assert_close(got, torch.cat(outputs), rtol=0, atol=1e-6)
    torch.testing.assert_close((last_h, last_c), (h, c), rtol=0, atol=1e-6)


REFUSED = {
    "float lengths": ({"lengths": torch.ones(B)}, TypeError, "lengths: expected an integer dtype"),
    "long lengths": (
        {"lengths": torch.tensor([1, 2, 3, T + 1])},
        ValueError,
        r"lengths: expected values in \[0, T\] = \[0, 7\], got 8 in row 3",
    ),
    "negative lengths": (
        {"lengths": [1, -1, 3, 1]}, ValueError, r"lengths: expected values in \[0, T\]",
    ),
    "too many lengths": (
        {"lengths": [1] * 5}, ValueError, r"lengths: expected shape \(B,\) = \(4,\), got \(5,\)",
    ),
    "float mask": (
        {"mask": torch.ones(T, B)},
        TypeError,
        r"mask: expected dtype torch.bool, got torch.float32; convert it explicitly",
    ),
    "mask of the other layout": (
        {"mask": np.ones((B, T), bool)},
        ValueError,
        r"mask: expected shape \(T, B\) = \(7, 4\), got \(4, 7\)",
    ),
    "ragged list": ({"reset": [[True], [True, False]]}, TypeError, "reset: expected a tensor"),
    "reset_state alone": (
        {"reset_state": "zero"}, ValueError, "reset_state: expected reset= with it, got None",
    ),
    "reset_state unknown": (
        {"reset": np.ones((T, B), bool), "reset_state": "learned"},
        ValueError,
        "reset_state: expected 'zero' or 'given', got 'learned'",
    ),
}  # fmt: skip


@every("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    keywords, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        simdrnn.torch.GRU(I, H)(torch.randn(T, B, I), **keywords)


def test_packed_sequences_have_lengths_of_their_own():
    layer = simdrnn.torch.GRU(I, H)
    packed = pack_padded_sequence(torch.randn(T, B, I), torch.tensor([T, 5, 3, 1]))

    for name in ("lengths", "mask", "reset"):
        with pytest.raises(ValueError, match=f"^{name}: expected None with a PackedSequence"):
            layer(packed, **marks(name))


def test_errors_of_x_are_pytorchs():
    layer, plain = simdrnn.torch.LSTM(I, H), torch.nn.LSTM(I, H)
    for x, hx in (
        (torch.randn(T, B, I + 1), None),
        (torch.randn(T, B, I, 1), None),
        (torch.randn(0, B, I), None),
        (torch.randn(T, B, I), (torch.randn(2, B, H),) * 2),
        (torch.randn(T, B, I), torch.randn(1, B, H)),
    ):
        flags = torch.zeros(x.shape[:2], dtype=torch.bool)
        with pytest.raises((RuntimeError, ValueError, IndexError)) as want:
            plain(x, hx)
        with pytest.raises((RuntimeError, ValueError, IndexError)) as got:
            layer(x, hx, reset=flags)
        assert str(got.value) == str(want.value)
