"""Any argument at any entry point: a right result, or an error that names it and changes nothing.

Every strategy knows what each argument stands for, so both halves are checked: what is accepted
must give the reference's numbers, and what is refused must be refused with the documented error.
"""

from __future__ import annotations

import copy
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simdrnn as sr
from helpers import CELLS, as_tuple, assert_close, assert_same_bits, make_layer, printed, tolerance
from helpers_inputs import (
    NO_BOOL,
    NO_COUNT,
    NO_NAME,
    NO_NUMBERS,
    NO_POSITIVE,
    OBJECTS,
    REFUSED,
    Given,
    arrays,
    assert_refused,
    refusal,
    snapshot,
    values,
)
from simdrnn import reference

I = D_H = 4  # noqa: E741  I = D*H, so that `out` may be `x` by mistake

SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.sampled_from(["float32", "float64"])


@cache
def twins(cell, dtype, first, layers, both):
    """Return layers with equal weights on the compiled engine and on the reference."""
    arguments = {
        "dtype": dtype, "batch_first": first, "num_layers": layers, "bidirectional": both, "seed": 0
    }  # fmt: skip
    hidden = D_H // (2 if both else 1)
    return tuple(make_layer(engine, cell, I, hidden, **arguments) for engine in (sr, reference))


@st.composite
def layers(draw):
    cell, dtype, first = draw(st.sampled_from(CELLS)), draw(FLOATS), draw(st.booleans())
    return twins(cell, dtype, first, draw(st.sampled_from([1, 2])), draw(st.booleans()))


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
        "state": draw(states([state_shape] * layer._info.states, dtype, rng)),
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


def set_of_counts():
    """Return what is no number of threads; None is one."""
    return [value for value in NO_COUNT if value is not None]


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


# Constructors

SIZES = values([1, 2, np.int64(3)], [0, *NO_COUNT])
BOOLS = values([True, False, np.True_], NO_BOOL)
DTYPES = values(
    ["float32", "float64", "f4", "<f8", float, np.float32, np.dtype("float64")],
    ["float16", "int64", "complex64", ">f4", object, int, None, "nonsense", 3, [1], "f4,f4", ()],
)
NO_SEEDS = [value for value in NO_COUNT if value is not None]
LIMITS = values(
    [None, 1, 0.5, np.float32(2), 1e300, 1e-300], [v for v in NO_POSITIVE if v is not None]
)
COMMON = {
    "bias": BOOLS,
    "dtype": DTYPES,
    "seed": values([None, 0, 2**64, 10**30, np.uint8(3)], NO_SEEDS),
    "initializer": values(["uniform", "glorot", "orthogonal"], NO_NAME),
    **dict.fromkeys(("gate_clip", "hidden_clip", "step_grad_clip", "step_grad_norm"), LIMITS),
}
LAYER = COMMON | {
    "num_layers": values([1, 2], [0, *NO_COUNT]),
    "batch_first": BOOLS,
    "bidirectional": BOOLS,
    "dropout": values(
        [0, 1, 0.5, np.float32(0.25)], [-0.1, 1.1, 10**400, float("nan"), True, *NO_NUMBERS]
    ),
}
OF_KIND = {
    "RNN": {"nonlinearity": values(["tanh", "relu"], NO_NAME)},
    "GRU": {"reset_after": BOOLS},
    "LSTM": {
        "cell_clip": LIMITS,
        "forget_bias": values(
            [None, 1, -0.5], [float("inf"), float("nan"), 10**400, "1", True, 1j]
        ),
    },
}
CONSTRUCTORS = {kind: LAYER | own for kind, own in OF_KIND.items()}
CONSTRUCTORS |= {f"{kind}Cell": COMMON | own for kind, own in OF_KIND.items()}
CONSTRUCTORS["LSTM"]["proj_size"] = values(
    [0], [1, -1, "0", None, False, 0.5, np.array([0, 0]), 10**400]
)
MODULES = {
    "Linear": ({"in_features": SIZES, "out_features": SIZES}, {"bias": BOOLS}),
    "Embedding": ({"num_embeddings": SIZES, "embedding_dim": SIZES}, {}),
}
for name, (sizes, own) in MODULES.items():
    CONSTRUCTORS[name] = sizes | own | {key: COMMON[key] for key in ("dtype", "seed")}


@pytest.mark.parametrize("kind", CONSTRUCTORS)
@given(data=st.data())
def test_constructors(kind, data):
    required = MODULES[kind][0] if kind in MODULES else dict.fromkeys(
        ("input_size", "hidden_size"), SIZES
    )  # fmt: skip
    optional = {key: value for key, value in CONSTRUCTORS[kind].items() if key not in required}
    arguments = data.draw(st.fixed_dictionaries(required, optional=optional))
    passed = {name: argument.value for name, argument in arguments.items()}
    # A forget bias needs a bias to be part of.
    biased = bool(arguments.get("bias", Given(True, True, "")).plain)
    if not biased and arguments.get("forget_bias", Given(None, None, "")).value is not None:
        arguments["forget_bias"] = Given(passed["forget_bias"], REFUSED, "without bias")

    def make(**arguments):
        with warnings.catch_warnings():  # of dropout that has no place to act
            warnings.filterwarnings("ignore", "dropout: acts between")
            return getattr(sr, kind)(**arguments)

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, make, **passed)
    else:
        made = make(**passed)
        width = passed[next(iter(required))]
        x = np.zeros((2, 1, width) if kind in OF_KIND else (1, width), made.dtype)
        made(np.zeros((2, 2), int) if kind == "Embedding" else x)


ABSURD = [2**40, 2**62, 2**63, 2**64, 10**30]


@pytest.mark.parametrize("size", ABSURD)
@pytest.mark.parametrize(
    ("kind", "name", "arguments"),
    [
        ("LSTM", "input_size", {"hidden_size": 4096}),
        ("GRU", "hidden_size", {"input_size": 4096}),
        ("RNN", "num_layers", {"input_size": 1, "hidden_size": 1}),
        ("GRUCell", "hidden_size", {"input_size": 4096}),
        ("Linear", "in_features", {"out_features": 4096}),
        ("Linear", "out_features", {"in_features": 4096}),
        ("Embedding", "num_embeddings", {"embedding_dim": 4096}),
    ],
)
def test_absurd_sizes_do_not_fit_in_memory(kind, name, arguments, size):
    with pytest.raises((ValueError, MemoryError), match=name):
        getattr(sr, kind)(**arguments, **{name: size})


@given(T=st.integers(-2, 2**70), B=st.integers(-2, 2**16) | st.integers(2**31, 2**70))
def test_workspace_of_any_size(T, B):
    layer, _ = twins("lstm", "float32", False, 1, False)

    error = refusal(layer.workspace_bytes, T, B)

    if error is None:
        assert layer.workspace_bytes(T, B) >= 0
    else:
        assert str(error).startswith(("T:", "B:"))
        assert not (0 <= T < 2**20 and 0 <= B < 2**20)


def test_many_steps_of_nothing_take_no_time():
    code = f"""
    import signal
    import numpy as np
    import simdrnn as sr
    signal.alarm(20)  # a call that counts the steps would take an hour
    output, state = sr.GRU({I}, 2, num_layers=2, bidirectional=True)(
        np.zeros((2**40, 0, {I}), "float32")
    )
    print(output.shape, state.shape)
    """

    assert printed(code) == "(1099511627776, 0, 4) (4, 0, 2)"


# Parameters


@given(st.data())
def test_assigned_parameters(data):
    layer = copy.deepcopy(data.draw(layers())[0])
    rng = np.random.default_rng(data.draw(SEEDS))
    name = data.draw(st.sampled_from([*layer.parameters()]))
    before = layer.state_dict()
    argument = data.draw(arrays(rng.standard_normal(before[name].shape).astype(layer.dtype)))

    if argument.refused:
        assert_refused({name: argument}, setattr, layer, name, argument.value)
        assert_close(layer.state_dict(), before, 0.0)
    else:
        setattr(layer, name, argument.value)
        assert_close(layer.state_dict(), before | {name: argument.plain}, 0.0)


@given(st.data())
def test_loaded_parameters(data):
    layer = copy.deepcopy(data.draw(layers())[0])
    rng = np.random.default_rng(data.draw(SEEDS))
    before = layer.state_dict()
    arguments = {
        name: data.draw(arrays(rng.standard_normal(value.shape).astype(layer.dtype)))
        for name, value in before.items()
    }
    passed: Any = {name: argument.value for name, argument in arguments.items()}
    change = data.draw(st.sampled_from(["none"] * 4 + ["missing", "unexpected", "strict", "list"]))
    strict: Any = True
    if change == "missing":
        del passed[data.draw(st.sampled_from([*passed]))]
    elif change == "unexpected":
        passed[3] = np.zeros(2)
    elif change == "list":
        passed = data.draw(st.sampled_from([list(passed), None, 3, "weights", before.items()]))
    elif change == "strict":
        strict = data.draw(st.sampled_from(NO_BOOL))
    if change != "none":
        name = "strict" if change == "strict" else "state_dict"
        arguments = arguments | {name: Given(passed, REFUSED, change)}

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, layer.load_state_dict, passed, strict)
        assert_close(layer.state_dict(), before, 0.0)
    else:
        layer.load_state_dict(passed)
        assert_close(layer.state_dict(), {n: a.plain for n, a in arguments.items()}, 0.0)


# Linear, Embedding and losses


@cache
def linear(dtype):
    return sr.Linear(I, 3, dtype=dtype, seed=0)


@given(st.data())
def test_linear(data):
    layer = linear(data.draw(FLOATS))
    rng = np.random.default_rng(data.draw(SEEDS))
    leading = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    plain = rng.standard_normal((*leading, I)).astype(layer.dtype)
    x = data.draw(arrays(plain, never={"deeper", "longer", "shorter", "flat", "turned"}))
    if x.refused:
        assert_refused({"x": x}, layer, x.value)
        assert_refused({"x": x}, layer.record, x.value)
        return
    bound = tolerance(layer.dtype, 1, plain.size + I + 3)
    tape = layer.record(x.value)
    assert_close(tape.output, plain @ layer.weight.T + layer.bias, bound)

    d_plain = rng.standard_normal(tape.output.shape).astype(layer.dtype)
    d_output = data.draw(arrays(d_plain))
    if d_output.refused:
        assert_refused({"d_output": d_output}, tape.backward, d_output.value)
    else:
        grads = tape.backward(d_output.value)
        assert_close(grads.x, d_plain @ layer.weight, bound)
        flat_d, flat_x = d_plain.reshape(-1, 3), plain.reshape(-1, I)
        assert_close(grads.params["weight"], flat_d.T @ flat_x, bound)


def integer_arrays(plain, stop):
    """Draw forms of integers in [0, stop)."""
    high, low = plain + stop, plain - stop
    wrong = {
        "float": plain.astype(float), "bool": plain.astype(bool), "masked": np.ma.array(plain),
        "complex": plain.astype(complex), "object": plain.astype(object), "none": None,
        "ragged": [[1], [1, 2]], "text": "abc", "time": plain.astype("m8[s]"),
    }  # fmt: skip
    if plain.size:
        wrong |= {"high": high, "low": low, "huge": np.full(plain.shape, 2**64 - 1, "u8")}
    right = {kind: plain.astype(kind) for kind in ("i1", "u1", "i4", "u8", ">i8")}
    right |= {form: make(plain) for form, make in FORMS.items()}
    good = st.sampled_from([*right]).map(lambda form: Given(right[form], plain, form))
    bad = st.sampled_from([*wrong]).map(lambda form: Given(wrong[form], REFUSED, form))
    return st.integers(0, 3).flatmap(lambda roll: good if roll else bad)


FORMS = {
    "list": lambda array: array.tolist() if array.size else array,
    "reversed": lambda array: np.asarray(np.flip(np.flip(array).copy())),
    "fortran": lambda array: np.array(array, order="F"),
}


@given(st.data())
def test_embedding(data):
    layer = sr.Embedding(5, 3, dtype=data.draw(FLOATS), seed=0)
    rng = np.random.default_rng(data.draw(SEEDS))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    plain = np.asarray(rng.integers(0, 5, shape))
    x = data.draw(integer_arrays(plain, 5))
    if x.refused:
        assert_refused({"x": x}, layer, x.value)
        assert_refused({"x": x}, layer.record, x.value)
        return
    tape = layer.record(x.value)
    np.testing.assert_array_equal(tape.output, layer.weight[plain])

    d_plain = rng.standard_normal(tape.output.shape).astype(layer.dtype)
    d_output = data.draw(arrays(d_plain))
    if d_output.refused:
        assert_refused({"d_output": d_output}, tape.backward, d_output.value)
    else:
        want = np.zeros((5, 3))
        np.add.at(want, plain, d_plain)
        got = tape.backward(d_output.value).params["weight"]
        assert_close(got, want, tolerance(layer.dtype, 1, plain.size))


D_VALUES = values([1.0, 2, -0.5, np.float32(3)], ["1", None, 1j, [1.0], np.ones(2), 10**400, True])


@given(st.data())
def test_softmax_cross_entropy(data):
    rng = np.random.default_rng(data.draw(SEEDS))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=2)))
    plain = rng.standard_normal((*shape, 4)).astype(data.draw(FLOATS))
    integers = np.asarray(rng.integers(0, 4, shape))
    either = {"dtype float32", "dtype float64"}  # logits may have either
    arguments = {
        "logits": data.draw(arrays(plain, shapes=False, never=either | {"none"})),
        "targets": data.draw(integer_arrays(integers, 4)),
        "mask": data.draw(arrays(np.asarray(rng.random(shape) < 0.7), optional=True)),
    }
    logits, targets, mask = (argument.value for argument in arguments.values())

    if any(argument.refused for argument in arguments.values()):
        # Integers out of range are not looked at where the mask leaves them out.
        ranges = {"high", "low", "huge"}
        if arguments["targets"].form in ranges and arguments["mask"].plain is not None:
            arguments["targets"] = Given(targets, REFUSED, "maybe")
            if not any(arguments[name].refused for name in ("logits", "mask")):
                return
        assert_refused(arguments, sr.softmax_cross_entropy, logits, targets, mask=mask)
        return
    loss = sr.softmax_cross_entropy(logits, targets, mask=mask)
    want = sr.softmax_cross_entropy(plain, integers, mask=arguments["mask"].plain)
    assert loss.value == want.value
    check_d_value(data, loss, want)


def check_d_value(data, loss, want):
    d_value = data.draw(D_VALUES)
    if d_value.refused:
        assert_refused({"d_value": d_value}, loss.backward, d_value.value)
    else:
        np.testing.assert_array_equal(loss.backward(d_value.value), want.backward(d_value.plain))


@given(st.data())
def test_mse(data):
    rng = np.random.default_rng(data.draw(SEEDS))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    dtype = data.draw(FLOATS)
    one, other = (np.asarray(rng.standard_normal(shape)).astype(dtype) for _ in range(2))
    other_type = {"dtype float32", "dtype float64", "none"}
    numbers = {"number", "scalar"} if dtype == "float64" and shape == () else set()
    depth = data.draw(st.integers(0, len(shape)))
    arguments = {
        "prediction": data.draw(arrays(one, shapes=False, never=other_type | {"number"})),
        "target": data.draw(arrays(other, never=numbers)),
        # A mask of another depth may be right, so only wrong types are drawn.
        "mask": data.draw(
            arrays(np.asarray(rng.random(shape[:depth]) < 0.7), optional=True, shapes=False)
        ),
    }
    prediction, target, mask = (argument.value for argument in arguments.values())

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, sr.mse, prediction, target, mask=mask)
        return
    loss, want = (
        sr.mse(prediction, target, mask=mask),
        sr.mse(one, other, mask=arguments["mask"].plain),
    )
    assert_close(loss.value, want.value, tolerance(dtype, 1, one.size))
    check_d_value(data, loss, want)


# Clipping and optimisers


@st.composite
def clippable(draw, plain):
    """Draw a form of a gradient to be changed in place: an array, which can be written."""
    # No arrays at all, an empty dict is a tree without leaves, and both types are right.
    never = {"none", "dict", "ragged", "dtype float32", "dtype float64"}
    argument = draw(arrays(plain, shapes=False, never=never))
    writable = isinstance(argument.value, np.ndarray) and argument.form not in {
        "swapped",
        "read-only",
    }
    return argument if argument.refused or writable else argument._replace(plain=REFUSED)


@given(st.data())
def test_clip_grad(data):
    rng = np.random.default_rng(data.draw(SEEDS))
    dtype = data.draw(FLOATS)
    plain = {
        name: np.asarray(rng.standard_normal(shape)).astype(dtype)
        for name, shape in {"a": (3, 2), "b": (0, 2), "c": ()}.items()
    }
    members = {name: data.draw(clippable(a)) for name, a in plain.items()}
    tree = {name: member.value for name, member in members.items()}
    form = data.draw(st.sampled_from(["dict", "list", "gradients", "nested"]))
    passed = {
        "dict": tree,
        "list": list(tree.values()),
        "gradients": sr.Gradients(None, None, tree),
        "nested": [tree["a"], {"b": tree["b"]}, (sr.Gradients(None, None, {"c": tree["c"]}),)],
    }[form]
    function = data.draw(st.sampled_from([sr.clip_grad_norm_, sr.clip_grad_value_]))
    name = {sr.clip_grad_norm_: "max_norm", sr.clip_grad_value_: "clip_value"}[function]
    limit = data.draw(
        values([0, 0.5, 1e300, float("inf"), np.float32(1)], [-1, float("nan"), True, *NO_NUMBERS])
    )
    arguments = {name: limit}
    if any(member.refused for member in members.values()):
        arguments["grads_or_list"] = Given(passed, REFUSED, str(members))
    before = snapshot(tree)

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, function, passed, limit.value)
        assert snapshot(tree) == before
    else:
        got = function(passed, limit.value)
        wanted = list(plain.values())
        want = function(wanted, limit.value)
        assert (got is None and want is None) or np.isclose(got, want)
        for one, other in zip(tree.values(), wanted, strict=True):
            assert_close(one, other, tolerance(dtype, 1, 7))


@pytest.mark.parametrize("bad", [value for form, value in OBJECTS.items() if form != "dict"])
def test_clip_grad_of_anything_else(bad):
    for function in (sr.clip_grad_norm_, sr.clip_grad_value_):
        error = refusal(function, bad, 1.0)
        assert str(error).startswith("grads_or_list")


RATES = [0, 0.5, 1e-3, np.float32(0.25)]
NO_RATES = [-1, float("nan"), float("inf"), 10**400, True, *NO_NUMBERS]
RATE, DECAY = values(RATES, NO_RATES), values([0, 0.5, 0.9], [1, *NO_RATES])
OPTIMISERS = {
    "SGD": {"momentum": RATE, "dampening": RATE, "weight_decay": RATE},
    "Adam": {
        "betas": values([(0.9, 0.99), [0, 0]], [None, 0.9, (1,), (1, 1), (0.9, "1"), "ab", (2, 0)]),
        "eps": RATE,
        "weight_decay": RATE,
        "amsgrad": BOOLS,
    },
    "RMSprop": {"alpha": DECAY, "eps": RATE, "momentum": RATE, "centered": BOOLS},
}
OPTIMISERS["RMSprop"]["alpha"] = values([0, 0.5, 1], NO_RATES)
OPTIMISERS["AdamW"] = OPTIMISERS["Adam"]


@pytest.mark.parametrize("kind", OPTIMISERS)
@given(data=st.data())
def test_optimisers(kind, data):
    rng = np.random.default_rng(data.draw(SEEDS))
    dtype = data.draw(FLOATS)
    layer, weight = sr.RNN(2, 3, dtype=dtype, seed=0), np.ones((2, 3), dtype)
    twin, twin_weight = copy.deepcopy(layer), weight.copy()
    options = data.draw(st.fixed_dictionaries({}, optional={"lr": RATE} | OPTIMISERS[kind]))
    passed = {name: option.value for name, option in options.items()}
    make = getattr(sr.optim, kind)
    if any(option.refused for option in options.values()):
        assert_refused(options, make, [layer, weight], **passed)
        return

    optimiser, plain_optimiser = (
        make([layer, weight], **passed),
        make([twin, twin_weight], **passed),
    )
    plain = {n: rng.standard_normal(p.shape).astype(dtype) for n, p in layer.parameters().items()}
    plain_weight = rng.standard_normal(weight.shape).astype(dtype)
    grads = {name: data.draw(arrays(value)) for name, value in plain.items()}
    last = data.draw(arrays(plain_weight))
    form = data.draw(st.sampled_from(["right"] * 6 + ["short", "alone", "missing", "none"]))
    tree = {name: member.value for name, member in grads.items()}
    step: Any = [sr.Gradients(None, None, tree), last.value]
    if form == "short":
        step = step[:1]
    elif form == "alone":
        step = step[0]
    elif form == "missing":
        del tree["weight_hh_l0"]
    elif form == "none":
        step = None
    before = snapshot([layer.state_dict(), weight, optimiser.state_dict()["state"]])

    if form != "right" or last.refused or any(member.refused for member in grads.values()):
        assert_refused({"grads": Given(step, REFUSED, form)}, optimiser.step, step)
        assert snapshot([layer.state_dict(), weight, optimiser.state_dict()["state"]]) == before
    else:
        optimiser.step(step)
        plain_optimiser.step([plain, plain_weight])
        assert_same_bits(layer.state_dict(), twin.state_dict())
        np.testing.assert_array_equal(weight, twin_weight)


@given(data=st.data())
def test_assigned_learning_rate(data):
    optimiser = sr.optim.SGD(np.zeros(2), lr=0.125)
    rate = data.draw(RATE)

    if rate.refused:
        assert_refused({"lr": rate}, setattr, optimiser, "lr", rate.value)
        assert optimiser.lr == 0.125
    else:
        optimiser.lr = rate.value
        assert optimiser.lr == rate.value


# The machine


@given(st.data())
def test_isa_of_any_name(data):
    name = data.draw(
        values(
            sr.isa.available(), ["", "AVX2", "neon", "avx2\0", None, 3, b"avx2", ["avx2"], "\ud800"]
        )
    )
    before = sr.isa.active()

    if name.refused:
        assert_refused({"isa": name}, sr.isa.use, name.value)
        assert sr.isa.active() == before
    else:
        sr.isa.use(name.value)
        assert sr.isa.active() == name.value
        sr.isa.use(before)


@given(st.data())
def test_threads_of_any_number(data):
    count = data.draw(values([1, 2, np.int8(3), 2**31, 10**30], [0, *set_of_counts()]))
    before = sr.get_num_threads()

    if count.refused:
        assert_refused({"n": count}, sr.set_num_threads, count.value)
        assert sr.get_num_threads() == before
    else:
        sr.set_num_threads(count.value)
        assert 1 <= sr.get_num_threads() <= count.value
        sr.set_num_threads(None)
