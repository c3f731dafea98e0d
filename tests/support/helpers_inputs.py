"""Strategies for arguments of every form, each with what it stands for or that it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import simdrnn as sr
from helpers import CELLS, make_layer
from simdrnn import reference

REFUSED = object()  # what a refused argument stands for


class Given(NamedTuple):
    """An argument, the plain argument it stands for or `REFUSED`, and a word for reports."""

    value: Any
    plain: Any
    form: str

    @property
    def refused(self) -> bool:
        """Whether the call must raise."""
        return self.plain is REFUSED

    def __repr__(self) -> str:
        """Show the form: arrays would fill pages."""
        return f"<{self.form}>"


# How an array may come without changing its meaning.


class _Duck:
    """An object that is no array but has one."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._array if dtype is None else self._array.astype(dtype)


class _Sub(np.ndarray):
    """A subclass that means nothing."""


def _spread(array: Any) -> Any:
    wide = np.zeros([2 * n for n in array.shape], array.dtype)
    every_other = (..., *(slice(None, None, 2) for _ in array.shape))
    wide[every_other] = array
    return wide[every_other]


def _misaligned(array: Any) -> Any:
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
    memory[:] = np.frombuffer(array.tobytes(), np.uint8)
    return memory.view(array.dtype).reshape(array.shape)


def _read_only(array: Any) -> Any:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _listed(array: Any) -> Any:
    """Return nested lists where NumPy reads them as the same type, else the array."""
    same = np.asarray(array.tolist()).dtype == array.dtype
    return array.tolist() if same and array.size else array.copy()


DISGUISES: dict[str, Callable[[Any], Any]] = {
    "plain": np.copy,
    "fortran": lambda array: np.array(array, order="F"),
    "reversed": lambda array: np.asarray(np.flip(np.flip(array).copy())),
    "spread": _spread,
    "misaligned": _misaligned,
    "swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "read-only": _read_only,
    "object": _Duck,
    "subclass": lambda array: array.copy().view(_Sub),
    "list": _listed,
    "part": lambda array: np.pad(array, 1)[(..., *(slice(1, -1),) * array.ndim)],
}

# What no array of numbers may be.
DTYPES = (
    "float16", "float32", "float64", "longdouble", "int8", "int64", "uint8", "uint64", "bool",
    "complex64", "complex128", "object", "U3", "S3", "M8[s]", "m8[s]", "V4", "f4,f4",
)  # fmt: skip

OBJECTS = {
    "text": "abc",
    "bytes": b"abc",
    "dict": {},
    "set": {1.0},
    "ragged": [[1.0], [1.0, 2.0]],
    "function": np.sin,
    "type": np.ndarray,
    "ellipsis": ...,
    "number": 1.5,
    "integer": 7,
    "complex": 1j,
    "huge": 10**400,
    "generator": (x for x in ()),
}


def _retyped(array: Any, dtype: str) -> Any:
    return np.zeros(array.shape, dtype)


def _reshaped(array: Any) -> dict[str, Any]:
    """Return arrays of the same type and another shape."""
    found = {"deeper": array[None], "scalar": np.zeros((), array.dtype)}
    if array.ndim:
        found["longer"] = np.concatenate([array, np.zeros((1, *array.shape[1:]), array.dtype)])
        found["wider"] = np.zeros((*array.shape[:-1], array.shape[-1] + 1), array.dtype)
        found["flat"] = array.reshape(-1)
        found["turned"] = array.T
        if len(array):
            found["shorter"] = array[1:]
    return {form: other for form, other in found.items() if other.shape != array.shape}


def wrong_forms(array: Any, *, shapes: bool = True, objects: bool = True) -> dict[str, Any]:
    """Return everything that is refused where `array` is right, by form."""
    found = {
        f"dtype {name}": _retyped(array, name) for name in DTYPES if np.dtype(name) != array.dtype
    }
    found["masked"] = np.ma.array(array)
    if shapes:
        found |= _reshaped(array)
    if objects:
        found |= OBJECTS
    return found


@st.composite
def arrays(
    draw: Any, array: Any, *, optional: bool = False, shapes: bool = True, never: Any = ()
) -> Given:
    """Draw a form of `array`: four times in five a right one.

    Parameters
    ----------
    array : the plain argument.
    optional : whether None is right.
    shapes : whether another shape is wrong.
    never : forms that would be right here.
    """
    if draw(st.integers(0, 4)):
        form = draw(st.sampled_from([*DISGUISES] + ["none"] * optional))
        if form == "none":
            return Given(None, None, form)
        return Given(DISGUISES[form](array), array, form)
    wrong = wrong_forms(array, shapes=shapes)
    if not optional:
        wrong["none"] = None
    form = draw(st.sampled_from([name for name in wrong if name not in never]))
    return Given(wrong[form], REFUSED, form)


def values(right: Any, wrong: Any) -> Any:
    """Draw a value that is right, or one time in five one that is refused."""
    good = st.sampled_from(list(right)).map(lambda value: Given(value, value, f"{value!r:.40}"))
    bad = st.sampled_from(list(wrong)).map(lambda value: Given(value, REFUSED, f"{value!r:.40}"))
    return st.integers(0, 4).flatmap(lambda roll: good if roll else bad)


# Values that are refused as a number of one kind or another.
NO_NUMBERS = ("1", None, 1j, [1], (), {}, np.ones(2), np.ma.masked, print, b"1", float)
NO_POSITIVE = (0, -1, float("inf"), float("nan"), 10**400, True, np.True_, *NO_NUMBERS)
NO_COUNT = (-1, 1.5, 2.0, float("nan"), True, np.float64(2), np.array([2]), *NO_NUMBERS)
NO_BOOL = (0, 1, "yes", 1.0, [], np.array(True), np.array([True]), None)
NO_NAME = ("elu", "", None, 3, ["tanh"], np.array(["tanh"]), b"tanh")


def refusal(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Exception | None:
    """Call and return the documented error, if it is one; any other error is the test's failure."""
    try:
        function(*args, **kwargs)
    except (TypeError, ValueError) as error:
        return error
    return None


def assert_refused(given: dict[str, Given], function: Callable[..., Any], *args: Any,
                   **kwargs: Any) -> None:  # fmt: skip
    """Call, and check that the error names one of the refused arguments first."""
    names = [name for name, argument in given.items() if argument.refused]
    error = refusal(function, *args, **kwargs)
    assert error is not None, f"accepted {names}: {given}"
    assert re.match(rf"({'|'.join(map(re.escape, names))})\b", str(error)), str(error)


def snapshot(argument: Any) -> Any:
    """Return what an argument holds, to see later whether it was written to."""
    if isinstance(argument, np.ndarray) and argument.dtype != object:
        return np.ma.getdata(argument).tobytes()
    if isinstance(argument, (tuple, list)):
        return [snapshot(member) for member in argument]
    if isinstance(argument, dict):
        return {key: snapshot(member) for key, member in argument.items()}
    return None


# What several files draw.

I = D_H = 4  # noqa: E741  I = D*H, so that `out` may be `x` by mistake

SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.sampled_from(["float32", "float64"])
BOOLS = values([True, False, np.True_], NO_BOOL)


def set_of_counts() -> list[Any]:
    """Return what is no number of threads; None is one."""
    return [value for value in NO_COUNT if value is not None]


@cache
def twins(cell: str, dtype: str, first: bool, layers: int, both: bool) -> tuple[Any, ...]:
    """Return layers with equal weights on the compiled engine and on the reference."""
    arguments = {
        "dtype": dtype, "batch_first": first, "num_layers": layers, "bidirectional": both, "seed": 0
    }  # fmt: skip
    hidden = D_H // (2 if both else 1)
    return tuple(make_layer(engine, cell, I, hidden, **arguments) for engine in (sr, reference))


@st.composite
def layers(draw: Any) -> tuple[Any, ...]:
    """Draw a pair of `twins`."""
    cell, dtype, first = draw(st.sampled_from(CELLS)), draw(FLOATS), draw(st.booleans())
    return twins(cell, dtype, first, draw(st.sampled_from([1, 2])), draw(st.booleans()))
