"""Attention: right values and gradients, exact zeros, bits of a row its own."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from helpers_nn import assert_close, central_difference, dot_tolerance
from simdrnn.attention import kinds

KINDS = ["dot", "general", "additive"]
DTYPES = ["float32", "float64"]


def make(kind, dtype="float64", query=4, memory=5, **options):
    if kind == "dot":
        return sr.Attention("dot", dtype=dtype, **options)
    if kind == "additive":
        options = {"attention_size": 3, **options}
    return sr.Attention(kind, query, memory, dtype=dtype, seed=1, **options)


def draw(rng, kind, dtype="float64", T=3, B=3, S=6, query=4, memory=5):
    """Return queries (T, B, Q) and a memory (S, B, M)."""
    memory = query if kind == "dot" else memory
    return (
        rng.standard_normal((T, B, query)).astype(dtype),
        rng.standard_normal((S, B, memory)).astype(dtype),
    )


def by_hand(attention, query, memory, lengths):
    """Return weights and contexts, written out row by row in float64."""
    own = {name: np.asarray(value, "f8") for name, value in attention.parameters().items()}
    scale = attention.scale
    weights = np.zeros((len(query), query.shape[1], len(memory)))
    for t, b in np.ndindex(*query.shape[:2]):
        q, m = query[t, b].astype("f8"), memory[: lengths[b], b].astype("f8")
        if attention.kind == "dot":
            scores = m @ q * (1 / np.sqrt(q.size) if scale is None else scale)
        elif attention.kind == "general":
            scores = m @ (own["weight"] @ q) * (1.0 if scale is None else scale)
        else:
            sums = own["weight_query"] @ q + m @ own["weight_memory"].T + own["bias"]
            scores = np.tanh(sums) @ own["weight_score"]
        if lengths[b]:
            powers = np.exp(scores - scores.max())
            weights[t, b, : lengths[b]] = powers / powers.sum()
    return weights, np.einsum("tbs,sbm->tbm", weights, memory.astype("f8"))


@every("dtype", DTYPES)
@every("kind", KINDS)
@every("scale", [None, 0.5])
def test_values_are_right(rng, kind, dtype, scale):
    options = {} if kind == "additive" else {"scale": scale}
    attention = make(kind, dtype, **options)
    query, memory = draw(rng, kind, dtype)
    lengths = np.array([6, 0, 2])

    context, weights = attention(query, memory, lengths=lengths)

    want = by_hand(attention, query, memory, lengths)
    tolerance = dot_tolerance(dtype, 12, 3.0)
    assert_close(weights, want[0], tolerance)
    assert_close(context, want[1], tolerance)
    assert context.dtype == weights.dtype == np.dtype(dtype)


@every("kind", KINDS)
@every("scale", [None, 0.7])
def test_gradients_are_those_of_finite_differences(rng, kind, scale):
    attention = make(kind, **({} if kind == "additive" else {"scale": scale}))
    query, memory = draw(rng, kind, T=2, B=3, S=4)
    lengths = [4, 0, 2]
    d_output = rng.standard_normal((*query.shape[:2], memory.shape[2]))
    d_weights = rng.standard_normal((*query.shape[:2], len(memory)))
    parameters = attention.state_dict()

    def loss():
        attention.load_state_dict(parameters)
        context, weights = attention(query, memory, lengths=lengths)
        return float((context * d_output).sum() + (weights * d_weights).sum())

    grads = attention.record(query, memory, lengths=lengths).backward(d_output, d_weights)

    found = {"query": grads.x, "memory": grads.memory, **grads.params}
    given = {"query": query, "memory": memory, **parameters}
    assert list(grads.params) == list(attention.parameters())
    for name, array in given.items():
        assert_close(found[name], central_difference(loss, array, 1e-5), 1e-8)
    assert not grads.memory[2:, 2].any()


@every("kind", KINDS)
def test_what_is_beyond_a_row_is_not_looked_at(rng, kind):
    attention = make(kind, "float32")
    query, memory = draw(rng, kind, "float32")
    lengths = [6, 0, 2]
    mask = np.arange(6)[:, None] < lengths
    spoiled = memory.copy()
    spoiled[~mask] = np.nan

    clean, dirty = (attention.record(query, one, lengths=lengths) for one in (memory, spoiled))
    by_mask = attention(query, spoiled, mask=mask)
    holes = np.arange(6)[:, None] % 3 != np.arange(3)
    both = attention(query, spoiled, lengths=lengths, mask=holes)
    ones = np.ones_like(clean.output)
    d_weights = np.where(mask.T, np.float32(0.5), np.float32(np.nan)) * np.ones((3, 1, 1), "f4")
    grads = [tape.backward(ones, d_weights) for tape in (clean, dirty)]

    assert_same_bits((clean.output, clean.weights), (dirty.output, dirty.weights))
    assert_same_bits((clean.output, clean.weights), by_mask)
    assert_same_bits(both, attention(query, spoiled, mask=mask & holes))
    assert_same_bits(grads[0].params, grads[1].params)
    assert_same_bits((grads[0].x, grads[0].memory), (grads[1].x, grads[1].memory))
    assert (clean.weights[:, ~mask.T] == 0).all()
    assert (clean.output[:, 1] == 0).all()
    assert (grads[0].memory[~mask] == 0).all()
    assert (grads[0].x[:, 1] == 0).all()


def test_additive_scores_in_blocks_are_those_of_one(rng, monkeypatch):
    attention = make("additive")
    query, memory = draw(rng, "additive", T=5)
    ones = rng.standard_normal((5, 3, 5))

    def run():
        tape = attention.record(query, memory, lengths=[6, 0, 2])
        return tape, tape.backward(ones)

    (whole, of_whole), _ = run(), monkeypatch.setattr(kinds, "_BLOCK", 2 * 6 * 3 * 3)  # 2 queries
    cut, of_cut = run()

    assert_same_bits((whole.output, whole.weights), (cut.output, cut.weights))
    assert_same_bits((of_whole.x, of_whole.params["bias"]), (of_cut.x, of_cut.params["bias"]))
    for name in ("weight_score", "weight_memory"):  # summed block by block
        found, wanted = of_cut.params[name], of_whole.params[name]
        assert_close(found, wanted, dot_tolerance("float64", 5 * 6 * 3, 3.0))


@every("kind", KINDS)
def test_bits_of_a_row_are_its_own(rng, kind):
    sizes = {"attention_size": 33} if kind == "additive" else {}
    attention = make(kind, "float32", query=40, memory=70, **sizes)
    query, memory = draw(rng, kind, "float32", T=9, B=7, S=35, query=40, memory=70)
    lengths = np.array([35, 3, 0, 20, 1, 35, 16])
    d_output = rng.standard_normal((9, 7, memory.shape[2])).astype("f4")
    tape = attention.record(query, memory, lengths=lengths)
    grads = tape.backward(d_output)
    before, found = sr.isa.active(), []

    for isa in sr.isa.available():
        sr.isa.use(isa)
        try:
            for threads in (1, 3):
                one = attention.record(query, memory, lengths=lengths, num_threads=threads)
                back = one.backward(d_output)
                found.append((one.output, one.weights, back.x, back.memory, *back.params.values()))
        finally:
            sr.isa.use(before)
    want = (tape.output, tape.weights, grads.x, grads.memory, *grads.params.values())
    for one in found:
        assert_same_bits(one, want)
    for row, steps in ((1, slice(2, 3)), (3, slice(0, 9)), (6, slice(5, 9))):
        own, real = slice(row, row + 1), lengths[row]
        alone = attention.record(query[steps, own], memory[:real, own])
        back = alone.backward(d_output[steps, own])
        assert_same_bits(alone.output, tape.output[steps, own])
        assert_same_bits(alone.weights, tape.weights[steps, own, :real])
        assert_same_bits(back.x, grads.x[steps, own])


@every("kind", KINDS)
def test_layouts_are_views_of_one_another(rng, kind):
    attention, batch_first = make(kind), make(kind, batch_first=True)
    query, memory = draw(rng, kind)
    lengths = [6, 1, 4]
    want = attention.record(query, memory, lengths=lengths)
    d_output = rng.standard_normal(want.output.shape)
    grads = want.backward(d_output)

    turned = batch_first.record(query.swapaxes(0, 1), memory.swapaxes(0, 1), lengths=lengths)
    back = turned.backward(d_output.swapaxes(0, 1))
    assert_same_bits(turned.output.swapaxes(0, 1), want.output)
    assert_same_bits(turned.weights.swapaxes(0, 1), want.weights)
    assert_same_bits(back.x.swapaxes(0, 1), grads.x)
    assert_same_bits(back.memory.swapaxes(0, 1), grads.memory)
    assert_same_bits(back.params, grads.params)

    one = attention.record(query[1], memory, lengths=lengths)
    assert_same_bits(one.output, want.output[1])
    assert_same_bits(one.backward(d_output[1]).x, grads.x[1])
    alone = attention.record(query[:, 2], memory[:, 2], lengths=4)
    assert_same_bits(alone.output, want.output[:, 2])
    assert_same_bits(alone.backward(d_output[:, 2]).memory, grads.memory[:, 2])
    context, weights = attention(query[1, 2], memory[:, 2], mask=np.arange(6) < 4)
    assert_same_bits((context, weights), (want.output[1, 2], want.weights[1, 2]))


@every("kind", KINDS)
@every("sizes", [(0, 2, 3), (2, 0, 3), (2, 3, 0), (0, 0, 0)])
def test_nothing_is_a_size(rng, kind, sizes):
    attention = make(kind)
    T, B, S = sizes
    query, memory = draw(rng, kind, T=T, B=B, S=S)

    tape = attention.record(query, memory)
    grads = tape.backward(np.ones_like(tape.output), np.ones_like(tape.weights))

    assert tape.output.shape == (T, B, memory.shape[2])
    assert tape.weights.shape == (T, B, S)
    assert not tape.output.any()
    assert grads.x.shape == query.shape
    assert not grads.x.any()
    assert grads.memory.shape == memory.shape
    assert not any(one.any() for one in grads.params.values())


@every("kind", KINDS)
def test_it_is_saved_copied_and_trained(rng, tmp_path, kind):
    attention = make(kind, "float32", batch_first=True)
    query, memory = draw(rng, kind, "float32")
    arguments = query.swapaxes(0, 1), memory.swapaxes(0, 1)
    want = attention.record(*arguments, lengths=[6, 0, 2])
    grads = want.backward(np.ones_like(want.output))
    attention.save(tmp_path / "attention.npz")

    for twin in (
        sr.load(tmp_path / "attention.npz"), pickle.loads(pickle.dumps(attention)),
        copy.deepcopy(attention),
    ):  # fmt: skip
        assert repr(twin) == repr(attention)
        assert_same_bits(twin(*arguments, lengths=[6, 0, 2]), (want.output, want.weights))
    again = pickle.loads(pickle.dumps(want))
    assert_same_bits((again.output, again.weights), (want.output, want.weights))
    assert_same_bits(again.backward(np.ones_like(want.output)).params, grads.params)
    sr.optim.Adam([attention], lr=0.1).step([grads])
    assert_same_bits(make(kind, "float32", batch_first=True).state_dict(), twin.state_dict())
    if kind != "dot":
        assert attention.num_parameters > 0
        assert (attention.weight_score if kind == "additive" else attention.weight).any()
        with pytest.raises(ValueError, match="got parameters changed since"):
            want.backward(np.ones_like(want.output))


def test_changed_arguments_are_noticed(rng):
    query, memory = draw(rng, "dot")
    tape = sr.Attention(dtype="float64").record(query, memory)
    memory[0, 0, 0] += 1

    with pytest.raises(ValueError, match="memory: expected what was recorded"):
        tape.backward(np.ones_like(tape.output))
    with pytest.raises(ValueError, match="read-only"):
        tape.weights[0] = 0


@every(
    "arguments, message",
    [
        ({"kind": "luong"}, "kind: expected 'dot' or 'general' or 'additive', got 'luong'"),
        ({"kind": "general"}, "query_size: expected a positive integer for kind 'general', got No"),
        ({"query_size": 3, "memory_size": 4}, "memory_size: expected query_size = 3 for kind 'do"),
        ({"attention_size": 4}, "attention_size: expected None for kind 'dot', got 4"),
        ({"kind": "additive", "query_size": 3, "scale": 2.0}, "scale: expected None for kind 'ad"),
        ({"scale": np.inf}, "scale: expected a finite number, got inf"),
        ({"dtype": "float16"}, "dtype: expected float32 or float64, got 'float16'"),
    ],
)
def test_constructors_say_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        sr.Attention(**arguments)


@every(
    "change, message",
    [
        ({"query": (3, 3, 5)}, "query: expected shape (T, B, 4) or (B, 4), got (3, 3, 5)"),
        ({"query": (3, 2, 4)}, "query: expected shape (T, B, Q) = (3, 3, 4), got (3, 2, 4)"),
        ({"query": (2, 4)}, "query: expected shape (B, Q) = (3, 4), got (2, 4)"),
        ({"memory": (6, 3, 4)}, "memory: expected shape (S, B, 5) or (S, 5), got (6, 3, 4)"),
        ({"lengths": [7, 1, 1]}, "lengths: expected values in [0, S] = [0, 6], got 7 in row 0"),
        ({"mask": np.ones((3, 6), bool)}, "mask: expected shape (S, B) = (6, 3), got (3, 6)"),
    ],
)
def test_calls_say_what_is_wrong(change, message):
    attention = make("general")
    shapes = {"query": (3, 3, 4), "memory": (6, 3, 5)} | {
        name: value for name, value in change.items() if isinstance(value, tuple)
    }
    rest = {name: value for name, value in change.items() if name not in shapes}

    with pytest.raises(ValueError, match=re.escape(message)):
        attention(*(np.ones(shape) for shape in shapes.values()), **rest)


def test_gradients_and_assignments_say_what_is_wrong():
    attention = make("general")
    tape = attention.record(np.ones((2, 3, 4)), np.ones((6, 3, 5)))

    with pytest.raises(ValueError, match=r"d_output: expected shape \(T, B, M\) = \(2, 3, 5\), "):
        tape.backward(np.ones((2, 3, 4)))
    with pytest.raises(TypeError, match="d_weights: expected dtype float64, got float32"):
        tape.backward(None, np.ones((2, 3, 6), "float32"))
    with pytest.raises(AttributeError, match="bias: expected a parameter of kind 'general'"):
        attention.bias = np.ones(3)
    with pytest.raises(AttributeError, match="kind: fixed when the Attention was made"):
        attention.kind = "dot"


@pytest.mark.peers
@every("kind", ["dot", "additive"])
def test_it_equals_pytorch(rng, kind, torch):
    attention = make(kind)
    query, memory = draw(rng, kind)
    mask = np.arange(6)[:, None] < [6, 3, 2]
    given = [torch.tensor(one.swapaxes(0, 1).copy(), requires_grad=True) for one in (query, memory)]
    parameters = attention.state_dict()
    own = {name: torch.tensor(one, requires_grad=True) for name, one in parameters.items()}
    real = torch.tensor(mask.T.copy())[:, None]
    if kind == "dot":
        attend = torch.nn.functional.scaled_dot_product_attention
        want = attend(given[0], given[1], given[1], attn_mask=real)
    else:
        sums = (given[0] @ own["weight_query"].T + own["bias"])[:, :, None]
        keys = (given[1] @ own["weight_memory"].T)[:, None]
        scores = torch.tanh(sums + keys) @ own["weight_score"]
        want = torch.softmax(scores.masked_fill(~real, -torch.inf), -1) @ given[1]
    tape = attention.record(query, memory, mask=mask)
    d_output = rng.standard_normal(tape.output.shape)
    grads = tape.backward(d_output)
    want.backward(torch.tensor(d_output.swapaxes(0, 1).copy()))

    assert_close(tape.output.swapaxes(0, 1), want.detach().numpy(), 1e-13)
    assert_close(grads.x.swapaxes(0, 1), given[0].grad.numpy(), 1e-13)
    assert_close(grads.memory.swapaxes(0, 1), given[1].grad.numpy(), 1e-13)
    for name, one in own.items():
        assert_close(grads.params[name], one.grad.numpy(), 1e-13)
