"""Calls of layers and cells: any argument is right, or is refused by name and changes nothing.

Every strategy knows what each argument stands for, so both halves are checked: what is accepted
must give the reference's numbers, and what is refused must be refused with the documented error.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import simdrnn as sr
from helpers import as_tuple, assert_close, tolerance
from helpers_inputs import (
    D_H,
    FLOATS,
    NO_BOOL,
    REFUSED,
    SEEDS,
    Given,
    I,
    arrays,
    assert_refused,
    layers,
    set_of_counts,
    snapshot,
    values,
)
from simdrnn import reference
from simdrnn.layers.bound import bound_layer


def tuple_of(members, alone):
    """Give states the form of a cell's: an array, or a tuple where it has two."""
    return members[0] if alone else tuple(members)


@st.composite
def states(draw, shapes, dtype, rng, *, partial=False):
    """Draw an initial state, or with `partial` a gradient of one, whose members may be None."""
    alone = len(shapes) == 1
    optional = partial or alone  # a state alone is the argument itself, which may be None
    members = [
        draw(arrays(rng.standard_normal(s).astype(dtype), optional=optional)) for s in shapes
    ]
    form = draw(st.sampled_from(["right"] * 8 + ["none", "none", "form", "count"]))
    if form == "none":
        return Given(None, None, form)
    if form == "form":  # an array for a tuple, or the other way round
        plain = rng.standard_normal(shapes[0]).astype(dtype)
        wrong = (plain,) if alone else plain
        return Given(wrong, REFUSED, form)
    if form == "count":
        return Given(tuple(m.value for m in members) * 2, REFUSED, form)
    if any(member.refused for member in members):
        plain = REFUSED
    elif all(member.plain is None for member in members):
        plain = None
    else:
        plain = tuple_of(
            [
                np.zeros(s, dtype) if m.plain is None else m.plain
                for m, s in zip(members, shapes, strict=True)
            ],
            alone,
        )
    return Given(tuple_of([m.value for m in members], alone), plain, str(members))


@st.composite
def lengths(draw, shape, T, rng):
    """Draw lengths of `shape`, (B,) or (), in [0, T]."""
    plain = np.asarray(rng.integers(0, T + 1, shape))
    roll = draw(st.integers(0, 9))
    if roll < 4:
        return Given(None, None, "none")
    if roll < 8:
        kind = draw(st.sampled_from(["i1", "u1", "i4", "u8", ">i8", "<i2", "list"]))
        value = plain.tolist() if kind == "list" and plain.size else plain.astype("i8")
        return Given(plain.astype(kind) if kind != "list" else value, plain, kind)
    high, low = plain.copy(), plain.copy()
    high[...], low[...] = T + 1, -1
    wrong = {
        "float": plain.astype(float), "bool": plain.astype(bool), "deeper": plain[None],
        "masked": np.ma.array(plain), "object": plain.astype(object), "text": "3",
        "longer": np.append(plain, [0, 0]), "ragged": [[1], [1, 2]], "dict": {},
    }  # fmt: skip
    if plain.size:
        wrong |= {"high": high, "low": low, "huge": np.full(shape, 2**64 - 1, "u8")}
        wrong |= {"too huge": [10**30] * plain.size}
    form = draw(st.sampled_from([*wrong]))
    return Given(wrong[form], REFUSED, form)


@st.composite
def outputs(draw, shape, dtype, x):
    """Draw an `out` of `shape`, filled with NaN, or None."""
    plain = np.full(shape, np.nan, dtype)
    if draw(st.booleans()):
        return Given(None, None, "none")
    right = {
        "plain": plain.copy(),
        "turned": np.swapaxes(np.full(np.swapaxes(plain, 0, -2).shape, np.nan, dtype), 0, -2),
        "part": np.full((*shape[:-1], shape[-1] + 3), np.nan, dtype)[..., 1:-2],
        "backwards": plain.copy()[::-1],
    }
    if draw(st.integers(0, 2)):
        form = draw(st.sampled_from([*right]))
        return Given(right[form], right[form], form)
    fixed = plain.copy()
    fixed.flags.writeable = False
    wrong = {
        "read-only": fixed,
        "dtype": np.full(shape, np.nan, "float32" if dtype == "float64" else "float64"),
        "swapped": plain.astype(plain.dtype.newbyteorder()),
        "integers": np.zeros(shape, "int64"),
        "masked": np.ma.array(plain),
        "list": [1.0],
        "number": 1.0,
        "wider": np.full((*shape[:-1], shape[-1] + 1), np.nan, dtype),
        "deeper": plain[None],
        "true": True,
    }
    if plain.size:
        memory = np.zeros(plain.nbytes + 1, "uint8")[1:].view(dtype).reshape(shape)
        wrong |= {
            "misaligned": memory,
            "inner stride": np.full((*shape[:-1], 2 * shape[-1]), np.nan, dtype)[..., ::2],
        }
        if shape[0] > 1:
            wrong["broadcast"] = np.lib.stride_tricks.as_strided(
                plain.copy(), shape, (0, *plain.strides[1:])
            )
        if isinstance(x, np.ndarray) and x.dtype == dtype and x.shape == shape and x.size:
            wrong["x itself"] = x
    form = draw(st.sampled_from([*wrong]))
    return Given(wrong[form], REFUSED, form)


@st.composite
def calls(draw, layer, *, with_out):
    """Draw all arguments of a call by name, with its sizes and whether it is batched."""
    rng = np.random.default_rng(draw(SEEDS))
    T, B = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    batched = draw(st.integers(0, 3)) > 0
    B = B if batched else 1
    order = (lambda t, b: (b, t)) if layer.batch_first else (lambda t, b: (t, b))
    leading = order(T, B) if batched else (T,)
    dtype, H = layer.dtype, layer.hidden_size
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    # (T, I) is right too: what a dropped axis leaves.
    x = draw(arrays(rng.standard_normal((*leading, I)).astype(dtype),
                    never={"longer", "shorter", "flat", "turned", "deeper"}))  # fmt: skip
    state_shape = (rows, B, H) if batched else (rows, H)
    flags = {
        name: draw(
            st.one_of(
                st.just(Given(None, None, "none")),
                arrays(np.asarray(rng.random(leading) < share), optional=True),
            )
        )
        for name, share in (("mask", 0.7), ("reset", 0.3))
    }
    call = {
        "state": draw(states([state_shape] * bound_layer(layer).info.states, dtype, rng)),
        "lengths": draw(lengths((B,) if batched else (), T, rng)),
        "mask": flags["mask"],
        "reset": flags["reset"],
        "masked_output": draw(values(["zero", "hold"], ["last", "", None, 0, b"zero", ["hold"]])),
        "num_threads": draw(
            values([None, 1, 2, np.int32(2), 10**6, 2**31, 10**30], [0, *set_of_counts()])
        ),
    }
    if with_out:
        call["out"] = draw(outputs((*leading, D_H), dtype, x.value))
    return {"x": x} | call, T


def plain_call(given):
    """Return the arguments as the reference takes them."""
    return {k: v.plain for k, v in given.items() if k not in {"x", "out", "num_threads"}}


def allowed(layer, T):
    return tolerance(layer.dtype, (T + 1) * layer.num_layers, 4 * D_H + I)


@cache
def canary(dtype):
    return np.random.default_rng(0).standard_normal((3, 2, I)).astype(dtype)


@given(st.data())
def test_calls(data):
    layer, twin = data.draw(layers())
    arguments, T = data.draw(calls(layer, with_out=True))
    x, rest = arguments["x"].value, {k: v.value for k, v in arguments.items() if k != "x"}
    before = snapshot([x, list(rest.values())])
    known = layer(canary(layer.dtype))[0]

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, layer, x, **rest)

        assert snapshot([x, list(rest.values())]) == before
    else:
        out = rest["out"]
        output, state = layer(x, **rest)

        want, want_state = twin(arguments["x"].plain, **plain_call(arguments))
        assert out is None or output is out
        assert_close(output, want, allowed(layer, T))
        assert_close(as_tuple(state), as_tuple(want_state), allowed(layer, T))
        rest["out"] = None
        before[1][-1] = None
        assert snapshot([x, list(rest.values())]) == before
    np.testing.assert_array_equal(layer(canary(layer.dtype))[0], known)


@given(st.data())
def test_record_and_backward(data):
    layer, twin = data.draw(layers())
    arguments, T = data.draw(calls(layer, with_out=False))
    arguments["training"] = data.draw(values([True, False], NO_BOOL))
    x, rest = arguments["x"].value, {k: v.value for k, v in arguments.items() if k != "x"}
    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, layer.record, x, **rest)
        return
    rng = np.random.default_rng(data.draw(SEEDS))
    tape = layer.record(x, **rest)
    shapes = [member.shape for member in as_tuple(tape.state)]
    gradients = {
        "d_output": data.draw(
            arrays(rng.standard_normal(tape.output.shape).astype(layer.dtype), optional=True)
        ),
        "d_state": data.draw(states(shapes, layer.dtype, rng, partial=len(shapes) > 1)),
    }
    given_gradients = {name: argument.value for name, argument in gradients.items()}
    before = snapshot([x, list(rest.values()), list(given_gradients.values())])

    if any(argument.refused for argument in gradients.values()):
        assert_refused(gradients, tape.backward, **given_gradients)
        got, plain = tape.backward(), {}  # the tape is as good as before
    else:
        got = tape.backward(**given_gradients)
        plain = {name: argument.plain for name, argument in gradients.items()}

    wanted = twin.record(arguments["x"].plain, **plain_call(arguments))
    want = wanted.backward(**plain)
    assert_close(tape.output, wanted.output, allowed(layer, T))
    bound = allowed(layer, 2 * T)
    assert_close(got.x, want.x, bound)
    assert_close(as_tuple(got.state), as_tuple(want.state), bound)
    assert_close(got.params, want.params, bound)
    assert snapshot([x, list(rest.values()), list(given_gradients.values())]) == before


@cache
def twin_cells(kind, dtype):
    return tuple(getattr(engine, kind)(I, 3, dtype=dtype, seed=0) for engine in (sr, reference))


@given(st.data())
def test_cells(data):
    kind = data.draw(st.sampled_from(["RNNCell", "LSTMCell", "GRUCell"]))
    cell, twin = twin_cells(kind, data.draw(FLOATS))
    rng = np.random.default_rng(data.draw(SEEDS))
    leading = data.draw(st.sampled_from([(), (0,), (1,), (3,)]))
    shapes = [(*leading, 3)] * (2 if kind == "LSTMCell" else 1)
    plain = rng.standard_normal((*leading, I)).astype(cell.dtype)
    arguments = {
        "x": data.draw(arrays(plain, never={"longer", "shorter", "flat", "turned", "deeper"})),
        "state": data.draw(states(shapes, cell.dtype, rng)),
    }
    passed = [argument.value for argument in arguments.values()]

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, cell, *passed)
    else:
        want = twin(*[argument.plain for argument in arguments.values()])
        assert_close(as_tuple(cell(*passed)), as_tuple(want), tolerance(cell.dtype, 1, I + 3))
