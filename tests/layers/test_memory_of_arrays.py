"""Arrays in memory of any kind: unaligned, backwards, read-only, overlapping themselves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers import as_tuple, assert_same_bits, every, make_layer
from simdrnn.validate import repeats_memory

T, B, H = 5, 3, 4


def unaligned(array):
    """Return an equal array one byte behind where its elements could be."""
    memory = np.zeros(array.nbytes + 1, "uint8")
    found = memory[1:].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def in_records(array):
    """Return an equal array that is a field of packed records."""
    records = np.zeros(array.shape, [("kind", "int8"), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


class Exporter:
    """What has `__array__` and is no array."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


FORMS = {
    "unaligned": unaligned,
    "in records": in_records,
    "backwards": lambda array: array[::-1].copy()[::-1],
    "inner backwards": lambda array: array[..., ::-1].copy()[..., ::-1],
    "other bytes": lambda array: array.astype(array.dtype.newbyteorder()),
    "read-only": read_only,
    "fortran": np.asfortranarray,
    "every second": lambda array: np.repeat(array, 2, -1)[..., ::2],
    "memoryview": memoryview,
    "exporter": Exporter,
}
# Of these `out` takes those that kernels can write to in place.
WRITTEN = ("backwards",)


@every("form", FORMS)
@every("options", [{}, {"merge": "mul"}, {"batch_first": True}, {"learn_initial_state": True}])
def test_values_do_not_depend_on_memory(engine, form, options, rng):
    layer = make_layer(engine, "lstm", 3, H, 2, bidirectional=True, dtype="float32", **options)
    change, shape = FORMS[form], (B, T) if "batch_first" in options else (T, B)
    draw = lambda *shape: rng.standard_normal(shape).astype("float32")  # noqa: E731
    states = [(draw(4, B, H), draw(4, B, H)) for _ in range(3)]
    width = H if "merge" in options else 2 * H
    x, d_output, d_last = draw(*shape, 3), draw(*shape, width), draw(B, width)
    call = {"mask": rng.random(shape) < 0.8, "reset": rng.random(shape) < 0.3}
    call["lengths"] = np.array([T, 0, 3])
    want = layer.record(x, states[0], **call, reset_state=states[1])
    want = want, want.backward(d_output, states[2], d_last)
    each = lambda state: tuple(map(change, state))  # noqa: E731
    twin = make_layer(engine, "lstm", 3, H, 2, bidirectional=True, dtype="float32", **options)
    twin.load_state_dict({name: change(value) for name, value in layer.state_dict().items()})

    tape = twin.record(
        change(x), each(states[0]), **{name: change(one) for name, one in call.items()},
        reset_state=each(states[1]),
    )  # fmt: skip
    grads = tape.backward(change(d_output), each(states[2]), change(d_last))

    assert_same_bits(tape.output, want[0].output)
    assert_same_bits(as_tuple(tape.state), as_tuple(want[0].state))
    assert_same_bits(grads.x, want[1].x)
    assert_same_bits(grads.params, want[1].params)
    assert_same_bits(as_tuple(grads.reset_state), as_tuple(want[1].reset_state))
    out = change(np.zeros_like(want[0].output))
    if form in WRITTEN:
        assert_same_bits(layer(x, states[0], out=out)[0], layer(x, states[0])[0])
        assert_same_bits(out, layer(x, states[0])[0])
    else:
        with pytest.raises((TypeError, ValueError), match="out: expected"):
            layer(x, states[0], out=out)


@every("form", FORMS)
def test_single_cells_and_modules_take_them_too(engine, form, rng):
    cell, change = engine.LSTMCell(3, H, dtype="float32", seed=0), FORMS[form]
    draw = lambda *shape: rng.standard_normal(shape).astype("float32")  # noqa: E731
    x, state = draw(B, 3), (draw(B, H), draw(B, H))
    assert_same_bits(cell(change(x), tuple(map(change, state))), cell(x, state))
    assert_same_bits(cell(change(x[0])), cell(x[0]))

    linear, embedding, d_output = sr.Linear(3, 2, seed=0), sr.Embedding(4, 2, seed=0), draw(B, 2)
    grads, want = (linear.record(f(x)).backward(f(d_output)) for f in (change, np.array))
    assert_same_bits(grads.params, want.params)
    assert_same_bits(grads.x, want.x)
    indices = np.array([1, 3, 1])
    grads = embedding.record(change(indices)).backward(change(d_output))
    assert_same_bits(grads.params, embedding.record(indices).backward(d_output).params)
    labels = sr.softmax_cross_entropy(change(d_output), change(np.array([0, 1, 0])))
    assert labels.value == sr.softmax_cross_entropy(d_output, np.array([0, 1, 0])).value


@every("form", ["unaligned", "in records", "backwards", "inner backwards", "fortran"])
def test_arrays_that_are_written_to_in_place(form, rng):
    array, change = rng.standard_normal((4, 6)).astype("float32"), FORMS[form]
    clipped, cut, stepped = (change(array) for _ in range(3))

    sr.clip_grad_norm_([clipped], 0.5)
    sr.clip_grad_value_(cut, 0.5)
    sr.optim.SGD([stepped], lr=0.5).step([change(array)])

    for found, function in (
        (clipped, lambda twin: sr.clip_grad_norm_([twin], 0.5)),
        (cut, lambda twin: sr.clip_grad_value_(twin, 0.5)),
        (stepped, lambda twin: sr.optim.SGD([twin], lr=0.5).step([array])),
    ):
        twin = array.copy()
        function(twin)
        np.testing.assert_allclose(found, twin, rtol=1e-6)


# -- overlaps --------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-6, 6)), min_size=1, max_size=4),
    st.sampled_from([1, 2, 4]),
)
def test_overlaps_are_found_exactly(axes, itemsize):
    shape = tuple(count for count, _ in axes)
    strides = tuple(stride * itemsize // 2 for _, stride in axes)
    pairs = list(zip(shape, strides, strict=True))
    begin = sum(-stride * max(count - 1, 0) for count, stride in pairs if stride < 0)
    memory = np.zeros(400, "uint8")
    array = np.ndarray(shape, f"u{itemsize}", memory.data, begin, strides)

    touched: list[int] = []
    for index in product(*map(range, shape)):
        at = sum(i * stride for i, stride in zip(index, strides, strict=True))
        touched += range(at, at + itemsize)

    assert repeats_memory(array) == (len(touched) != len({*touched}))


def test_rows_that_overlap_are_refused_and_rows_that_interleave_are_not(engine, rng):
    layer, x = engine.GRU(2, 5, dtype="float32", seed=0), np.ones((6, 3, 2), "float32")
    memory = np.zeros(400, "float32")
    strided = np.lib.stride_tricks.as_strided
    with pytest.raises(ValueError, match=r"out: expected elements that share no memory.*\(8, 12"):
        layer(x, out=strided(memory, (6, 3, 5), (8, 12, 4)))

    # Steps of the three rows lie between each other: 60 and 20 bytes apart, as a batch of time.
    for strides in [(60, 20, 4), (20, 120, 4), (28, 188, 4)]:
        out = strided(memory, (6, 3, 5), strides)
        layer(x, out=out)
        assert_same_bits(out.copy(), layer(x)[0])


def test_whatever_is_written_in_place_may_not_overlap_itself():
    def array():
        return np.lib.stride_tricks.as_strided(np.zeros(9, "float32"), (4, 3), (8, 4))

    for function in (
        lambda: sr.clip_grad_norm_([array()], 1.0),
        lambda: sr.clip_grad_value_({"weight": array()}, 1.0),
        lambda: sr.optim.SGD({"weight": array()}, lr=0.1),
        lambda: sr.regularizers.add_({"weight": array()}, {"weight": np.zeros((4, 3), "float32")}),
    ):
        with pytest.raises(ValueError, match=r"expected elements that share no memory, got shape"):
            function()
