"""Layers and cells of `simdrnn.torch` equal PyTorch's: values, gradients, forms, error texts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_loops import every

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

from torch.nn.utils.rnn import PackedSequence, pack_sequence  # noqa: E402

import simdrnn.torch  # noqa: E402
from helpers import assert_close  # noqa: E402
from helpers_bridge_torch import (  # noqa: E402
    CELLS,
    LAYERS,
    Arguments,
    allowed,
    array,
    as_tuple,
    assert_same,
    call,
    pair,
)

USES = (("output", "h", "c"), ("output",), ("h",), ("c",), ("h", "c"))
WANTS = (("x", "state", "weights"), ("x",), ("state",), ("weights",), ())


@st.composite
def layer_calls(draw):
    """Draw a pair of layers and arguments for them."""
    cell = draw(st.sampled_from(sorted(LAYERS)))
    T, B = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    I, H = draw(st.integers(1, 9)), draw(st.integers(1, 19))  # noqa: E741
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    layers, batch_first = draw(st.integers(1, 3)), draw(st.booleans())
    bidirectional = draw(st.booleans())
    projected = draw(st.integers(0, H - 1)) if cell == "lstm" else 0
    torch.manual_seed(draw(st.integers(0, 1000)))
    theirs, ours = pair(
        cell, I, H, layers, bias=draw(st.booleans()), batch_first=batch_first,
        bidirectional=bidirectional, dtype=dtype, dropout=0.3 if layers > 1 else 0.0,
        **({"proj_size": projected} if projected else {}),
    )  # fmt: skip
    theirs.eval(), ours.eval()
    form = draw(st.sampled_from(["batch", "one", "packed", "packed-sorted"]))
    rows = layers * (2 if bidirectional else 1)
    state = None
    if draw(st.booleans()):
        widths = (projected or H, H)[: 2 if cell == "lstm" else 1]
        rows_first = (rows,) if form == "one" else (rows, B)
        state = tuple(torch.randn(*rows_first, width, dtype=dtype) for width in widths)
    if form == "one":
        x = torch.randn(T, I, dtype=dtype)
    else:
        x = torch.randn((B, T, I) if batch_first else (T, B, I), dtype=dtype)
    lengths = None
    if form.startswith("packed"):
        lengths = torch.tensor(
            [T, *draw(st.lists(st.integers(1, T), min_size=B - 1, max_size=B - 1))]
        )
        lengths = lengths.sort(descending=True)[0] if form == "packed-sorted" else lengths.flip(0)
    arguments = Arguments(
        x, state, lengths, form == "packed-sorted", batch_first,
        uses=draw(st.sampled_from(USES)), wants=draw(st.sampled_from(WANTS)),
    )  # fmt: skip
    return theirs, ours, arguments


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # PyTorch's own
@settings(max_examples=300)
@given(layer_calls())
def test_layers_equal_pytorch(problem):
    theirs, ours, arguments = problem
    seen = []
    simdrnn_calls = simdrnn.torch.layers.run
    simdrnn.torch.layers.run = lambda *a, **k: seen.append(simdrnn_calls(*a, **k)) or seen[-1]

    try:
        assert_same(theirs, ours, arguments)
    finally:
        simdrnn.torch.layers.run = simdrnn_calls

    assert seen, "PyTorch's path ran"
    assert seen[-1] is not None


@settings(max_examples=100)
@given(st.data())
def test_cells_equal_pytorch(data):
    cell = data.draw(st.sampled_from(sorted(CELLS)))
    B, I, H = (data.draw(st.integers(1, 9)) for _ in range(3))  # noqa: E741
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    theirs, ours = pair(cell, I, H, single=True, bias=data.draw(st.booleans()), dtype=dtype)
    rows = (B,) if data.draw(st.booleans()) else ()
    states = tuple(torch.randn(*rows, H, dtype=dtype) for _ in range(2 if cell == "lstm" else 1))
    arguments = Arguments(
        torch.randn(*rows, I, dtype=dtype),
        data.draw(st.sampled_from([None, states])),
        uses=data.draw(st.sampled_from(USES[1:])) if cell == "lstm" else ("h",),
        wants=data.draw(st.sampled_from(WANTS)),
    )

    assert_same(theirs, ours, arguments)


def test_a_cell_steps_through_a_sequence_as_the_layer_does():
    theirs, ours = pair("lstm", 3, 5, single=True)
    x, state = torch.randn(6, 2, 3), None
    want = None

    for step in x:
        state, want = ours(step, state), theirs(step, want)
    torch.stack(state).sum().backward()
    torch.stack(want).sum().backward()

    within = allowed(ours, Arguments(x, None), torch.float32)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(array(one.grad), array(other.grad), within)


@pytest.mark.parametrize("shape", [(4, 0, 3), (1, 1, 3)], ids=["no-rows", "one-row"])
def test_small_batches(shape):
    theirs, ours = pair("gru", 3, 5, 2, bidirectional=True)

    assert_same(theirs, ours, Arguments(torch.randn(shape), None))


@every(
    "view",
    [
        lambda x: x.transpose(0, 1),
        lambda x: x[::2],
        lambda x: x[..., 1:],
        lambda x: x.expand(5, *x.shape[1:]) if len(x) == 1 else x[:1].expand(5, *x.shape[1:]),
        lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        lambda x: torch.view_as_complex(torch.stack((x, x), -1)).conj().imag,
    ],
    ids=["transposed", "strided", "sliced", "expanded", "inner-stride", "negative-bit"],
)
def test_views_are_read_as_what_they_are(view):
    x = view(torch.randn(4, 4, 6))
    theirs, ours = pair("lstm", x.shape[-1], 5)

    with torch.no_grad():
        output, (h, c) = ours(x)
        want, (want_h, want_c) = theirs(x)

    within = allowed(ours, Arguments(x, None), torch.float32)
    assert_close(
        (array(output), array(h), array(c)), (array(want), array(want_h), array(want_c)), within
    )


def test_states_that_are_views_are_read_as_what_they_are():
    theirs, ours = pair("lstm", 3, 5, 2)
    h = torch.randn(4, 2, 5)[::2]
    c = torch.randn(2, 1, 5).expand(2, 2, 5)

    assert_same(theirs, ours, Arguments(torch.randn(4, 2, 3), (h, c)))
    with torch.no_grad():
        got, want = ours(torch.ones(4, 2, 3), (h, c)), theirs(torch.ones(4, 2, 3), (h, c))
    within = allowed(ours, Arguments(torch.ones(4, 2, 3), None), torch.float32)
    assert_close(tuple(map(array, got[1])), tuple(map(array, want[1])), within)


def test_an_output_gradient_may_be_any_view():
    theirs, ours = pair("gru", 3, 5, batch_first=True)
    x = torch.randn(2, 4, 3)

    for module in (ours, theirs):
        module(x)[0].sum().backward()  # expanded: all strides 0

    within = allowed(ours, Arguments(x, None), torch.float32)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(array(one.grad), array(other.grad), within)


def test_packed_results_carry_the_order_of_the_batch():
    ours = simdrnn.torch.LSTM(3, 5)
    sequences = [torch.randn(n, 3) for n in (2, 6, 4)]

    packed, (h, _) = ours(pack_sequence(sequences, enforce_sorted=False))

    padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed)
    assert isinstance(packed, PackedSequence)
    assert lengths.tolist() == [2, 6, 4]
    for row, n in enumerate(lengths):
        torch.testing.assert_close(padded[n - 1, row], h[0, row], rtol=0, atol=0)
        assert not padded[n:, row].any()


BAD_CALLS = {
    "dtype": lambda: ((torch.randn(4, 2, 3, dtype=torch.float64),), "lstm"),
    "four-dimensions": lambda: ((torch.randn(4, 2, 3, 1),), "gru"),
    "width": lambda: ((torch.randn(4, 2, 7),), "lstm"),
    "no-steps": lambda: ((torch.randn(0, 2, 3),), "gru"),
    "state-shape": lambda: ((torch.randn(4, 2, 3), torch.randn(1, 3, 5)), "gru"),
    "state-of-a-batch": lambda: ((torch.randn(4, 3), torch.randn(1, 2, 5)), "gru"),
    "state-without-a-batch": lambda: ((torch.randn(4, 2, 3), torch.randn(1, 5)), "rnn_tanh"),
    "one-state": lambda: ((torch.randn(4, 2, 3), torch.randn(1, 2, 5)), "lstm"),
    "other-c": lambda: (
        (torch.randn(4, 2, 3), (torch.randn(1, 2, 5), torch.randn(2, 2, 5))),
        "lstm",
    ),
    "state-dtype": lambda: ((torch.randn(4, 2, 3), torch.randn(1, 2, 5).double()), "gru"),
    "no-tensor": lambda: (([[1.0, 2.0, 3.0]],), "gru"),
    "growing-batch": lambda: ((PackedSequence(torch.randn(3, 3), torch.tensor([1, 2])),), "lstm"),
    "wrong-sizes": lambda: ((PackedSequence(torch.randn(3, 3), torch.tensor([2, 2])),), "gru"),
    "packed-width": lambda: ((PackedSequence(torch.randn(3, 7), torch.tensor([2, 1])),), "gru"),
}


def error_of(call, *arguments, **options):
    """Return the error that a call raises."""
    try:
        call(*arguments, **options)
    except Exception as error:
        return error
    pytest.fail("nothing was raised")


@every("case", BAD_CALLS)
def test_bad_arguments_raise_what_pytorch_raises(case):
    arguments, cell = BAD_CALLS[case]()
    theirs, ours = pair(cell, 3, 5)

    want, got = error_of(theirs, *arguments), error_of(ours, *arguments)

    assert type(got) is type(want)
    assert str(got) == str(want)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_constructors_are_pytorchs(name):
    ours, theirs = getattr(simdrnn.torch, name), getattr(torch.nn, name)
    arguments = (3, 5, 2)
    options = {"bias": False, "batch_first": True, "dropout": 0.2, "bidirectional": True}

    assert repr(ours(*arguments, **options)) == repr(theirs(*arguments, **options))
    torch.manual_seed(1)
    want = theirs(3, 5).state_dict()
    torch.manual_seed(1)
    got = ours(3, 5).state_dict()
    assert list(got) == list(want)
    assert all(torch.equal(got[key], want[key]) for key in want)
    for bad in ({"dropout": 2.0}, {"num_layers": 0}, {"bias": 1}):
        assert str(error_of(ours, 3, 5, **bad)) == str(error_of(theirs, 3, 5, **bad))


def test_attributes_may_change_between_calls():
    theirs, ours = pair("lstm", 3, 5)
    for module in (theirs, ours):
        module(torch.randn(4, 2, 3))
        module.batch_first = True

    assert_same(theirs, ours, Arguments(torch.randn(2, 4, 3), None))


def test_all_results_are_tensors_of_their_own():
    ours = simdrnn.torch.LSTM(3, 5)
    x = torch.randn(4, 2, 3)
    with torch.no_grad():
        first = ours(x)
        kept = [t.clone() for t in (first[0], *as_tuple(first[1]))]
        ours(x + 1)

    assert all(map(torch.equal, (first[0], *first[1]), kept))
    assert call(ours, Arguments(x, None))[0]["output"].shape == (4, 2, 5)
