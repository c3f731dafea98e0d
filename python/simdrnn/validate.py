"""Checks of what users pass. Every message reads ``argument: expected ..., got ...``.

Arrays are never cast: the one conversion made in silence is of byte order, which keeps the value.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "MOST_THREADS",
    "Array",
    "array_of",
    "as_array",
    "as_bool",
    "as_callable",
    "as_count",
    "as_dtype",
    "as_finite_number",
    "as_flags",
    "as_iterable",
    "as_lengths",
    "as_positive",
    "as_positive_number",
    "as_probability",
    "as_real",
    "as_reals",
    "as_seed",
    "as_threads",
    "check_changeable",
    "check_choice",
    "check_distinct_elements",
    "check_out",
    "check_shape",
    "dense",
    "readable",
    "unread",
]

Array: TypeAlias = "npt.NDArray[Any]"

# What is asked for beyond this is this: the engine counts threads in an int.
MOST_THREADS = 2**30

# Which attribute of what a recorded call returns is the array that was meant.
_MEANT = (
    ("output", "its output is one"),
    ("x", "its x is one"),
    ("backward", "its backward() returns one"),
)

# Effort NumPy may spend to prove that two strided arrays do not overlap before it assumes they do.
_OVERLAP_WORK = 10_000


def _as_integer(name: str, value: object, expected: str, least: int) -> int:
    """Return an integer of any integer type as int; bool is none of them."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name}: expected {expected}, got {value!r}")
    number = int(value)
    if number < least:
        raise ValueError(f"{name}: expected {expected}, got {number}")
    return number


def as_count(name: str, value: object) -> int:
    """Return a non-negative integer as int."""
    return _as_integer(name, value, "a non-negative integer", 0)


def as_positive(name: str, value: object) -> int:
    """Return a positive integer as int.

    Examples
    --------
    >>> as_positive("hidden_size", 8)
    8
    >>> as_positive("hidden_size", True)
    Traceback (most recent call last):
    TypeError: hidden_size: expected a positive integer, got True
    """
    return _as_integer(name, value, "a positive integer", 1)


def as_bool(name: str, value: object) -> bool:
    """Return a Python or NumPy bool as bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def _as_float(name: str, value: object, expected: str) -> float:
    """Return a real number as float; what float cannot hold becomes infinite."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name}: expected {expected}, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def as_finite_number(name: str, value: object) -> float:
    """Return a finite real number as float."""
    number = _as_float(name, value, "a finite number")
    if not math.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, got {number}")
    return number


def as_positive_number(name: str, value: object) -> float:
    """Return a positive finite real number as float."""
    number = _as_float(name, value, "a positive finite number")
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name}: expected a positive finite number, got {number}")
    return number


def as_real(name: str, value: object) -> float:
    """Return a real number as float; infinity and NaN are some.

    Examples
    --------
    >>> as_real("value", "0.5")
    Traceback (most recent call last):
    TypeError: value: expected a number, got '0.5'
    """
    return _as_float(name, value, "a number")


def as_probability(name: str, value: object) -> float:
    """Return a real number in [0, 1] as float."""
    number = _as_float(name, value, "a number in [0, 1]")
    if not 0.0 <= number <= 1.0:  # written so that NaN fails too
        raise ValueError(f"{name}: expected a number in [0, 1], got {number}")
    return number


def as_chance(name: str, value: object) -> float:
    """Return a real number in [0, 1) as float."""
    number = _as_float(name, value, "a number in [0, 1)")
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1), got {number}")
    return number


def as_seed(value: object) -> int:
    """Return the seed given, or 64 fresh random bits for None."""
    if value is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    return as_count("seed", value)


def as_dtype(value: npt.DTypeLike) -> np.dtype[Any]:
    """Return float32 or float64, in native byte order, as a NumPy dtype."""
    message = f"dtype: expected float32 or float64, got {value!r}"
    if value is None:  # NumPy takes it for float64
        raise ValueError(message)
    try:
        dtype = np.dtype(value)
    except TypeError as error:
        raise TypeError(message) from error
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(message)
    return dtype


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise unless `value` is one of the names in `choices`."""
    known = tuple(choices)
    if not (isinstance(value, str) and value in known):
        expected = " or ".join(repr(choice) for choice in known)
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def array_of(name: str, value: object, expected: str) -> Array:
    """Return `value` as NumPy reads it, if NumPy makes more of it than one object.

    A tuple of arrays is what a layer returns: NumPy would put output and state on top of each other
    where their shapes happen to agree, as after a single step. And it would forget what is masked.

    Parameters
    ----------
    name : of the argument.
    value : what came.
    expected : what was to come, for the message.

    Examples
    --------
    >>> array_of("x", None, "an array of float32")
    Traceback (most recent call last):
    TypeError: x: expected an array of float32, got NoneType
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected a plain array, got a masked array; use mask= instead")
    found = type(value).__name__
    if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):
        raise TypeError(
            f"{name}: expected {expected}, got a tuple of {len(value)}; "
            "a layer returns (output, state), of which the first is meant"
        )
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected {expected}, got {unread(value, error)}") from error
    if array.dtype == object and array.ndim == 0 and not isinstance(value, np.ndarray):
        meant = next((f"; {text}" for part, text in _MEANT if hasattr(value, part)), "")
        raise TypeError(f"{name}: expected {expected}, got {found}{meant}")
    return array


def unread(value: object, error: Exception) -> str:
    """Say what NumPy makes no array of: lists of unequal lengths, in words of ours."""
    found = type(value).__name__
    if isinstance(value, (list, tuple)) and "inhomogeneous" in str(error):
        return f"{found}, whose members differ in shape"
    return f"{found}: {error}"


def as_callable(name: str, value: object, expected: str) -> Callable[..., Any]:
    """Return a function, or what else can be called.

    Examples
    --------
    >>> as_callable("loss", "mse", "a function (output, target) -> loss")
    Traceback (most recent call last):
    TypeError: loss: expected a function (output, target) -> loss, got 'mse'
    """
    if not callable(value):
        raise TypeError(f"{name}: expected {expected}, got {_found(value)}")
    return value


def as_iterable(name: str, value: object, expected: str) -> Iterable[Any]:
    """Return what can be gone through.

    Examples
    --------
    >>> as_iterable("grads", None, "gradients of several slices")
    Traceback (most recent call last):
    TypeError: grads: expected gradients of several slices, got None
    """
    if not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected {expected}, got {_found(value)}")
    return value


def _found(value: object) -> str:
    """Name what came where a number, a name or None is shown as it is."""
    plain = value is None or isinstance(value, (str, int, float))
    return repr(value) if plain else type(value).__name__


def as_array(name: str, value: object, dtype: np.dtype[Any]) -> Array:
    """Return `value` as an ndarray of exactly `dtype`, in native byte order.

    Anything NumPy can read is accepted, including objects with ``__array__``; its dtype must
    already be the wanted one.

    Examples
    --------
    >>> as_array("x", [1.0, 2.0], np.dtype("float64"))
    array([1., 2.])
    >>> as_array("x", [1, 2], np.dtype("float64"))
    Traceback (most recent call last):
    TypeError: x: expected dtype float64, got int64; convert it explicitly
    """
    if type(value) is np.ndarray and value.dtype == dtype:  # the usual case, and the cheap one
        return value
    array = array_of(name, value, f"an array of {dtype}")
    if array.dtype == dtype:
        return array
    if array.dtype.newbyteorder("=") == dtype:
        return array.astype(dtype)
    raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}; convert it explicitly")


def as_reals(name: str, value: object, expected: str = "numbers") -> Array:
    """Return real numbers of any type, also integers, as an array of float64.

    Examples
    --------
    >>> as_reals("frequencies", [8, 1])
    array([8., 1.])
    >>> as_reals("frequencies", ["8", "1"])
    Traceback (most recent call last):
    TypeError: frequencies: expected numbers, got dtype <U1
    """
    array = array_of(name, value, expected)
    if array.dtype.kind not in "fiu":
        found = repr(value) if isinstance(value, str) else f"dtype {array.dtype}"
        raise TypeError(f"{name}: expected {expected}, got {found}")
    return array.astype(np.float64)


def _tuple_text(letters: tuple[str, ...]) -> str:
    """Write a tuple of letters as Python writes a tuple."""
    return f"({letters[0]},)" if len(letters) == 1 else f"({', '.join(letters)})"


def check_shape(name: str, array: Array, letters: tuple[str, ...], shape: tuple[int, ...]) -> None:
    """Raise unless `array` has `shape`, which the message also gives in `letters`.

    Examples
    --------
    >>> check_shape("weight_hh_l0", np.zeros((512, 64)), ("4*H", "H"), (512, 128))
    Traceback (most recent call last):
    ValueError: weight_hh_l0: expected shape (4*H, H) = (512, 128), got (512, 64)
    """
    if array.shape != shape:
        text = _tuple_text(letters)
        raise ValueError(f"{name}: expected shape {text} = {shape}, got {array.shape}")


def _addressable(array: Array) -> bool:
    """Tell whether kernels can read `array` in place: aligned, whole strides, inner stride 1."""
    flags = array.flags
    if not flags.aligned:
        return False
    if flags.c_contiguous:
        return True
    size = array.itemsize
    if array.strides[-1] != size and array.shape[-1] > 1:
        return False
    return all(stride % size == 0 for stride in array.strides)


def readable(array: Array) -> Array:
    """Return `array`, or a copy if kernels could not read it in place."""
    return array if _addressable(array) else array.copy(order="C")


def dense(array: Array) -> Array:
    """Return `array`, or a copy if it is not C-contiguous and aligned."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else array.copy(order="C")


def repeats_memory(array: Array) -> bool:
    """Tell whether two elements of an array share memory, as in views that stride tricks make.

    Examples
    --------
    >>> memory = np.zeros(20, "float32")
    >>> rows = np.lib.stride_tricks.as_strided(memory, (6, 3, 5), (8, 12, 4))
    >>> repeats_memory(rows), repeats_memory(rows[:, :1, :2])
    (True, False)
    """
    if array.size < 2 or array.flags.c_contiguous or array.flags.f_contiguous:
        return False
    if 0 in array.strides and any(
        stride == 0 and count > 1 for stride, count in zip(array.strides, array.shape, strict=True)
    ):
        return True
    axes = sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1)
    extent = array.itemsize
    for stride, count in axes:  # each leaps over all that the smaller ones reach
        if stride < extent:
            break
        extent += stride * (count - 1)
    else:
        return False
    # That was enough, but is not needed: so see where every run of neighbours begins.
    run = array.itemsize
    if axes[0][0] == run:
        run *= axes.pop(0)[1]
    places = np.zeros(1, np.int64)
    for stride, count in axes:
        places = (places[:, None] + stride * np.arange(count)).reshape(len(places) * count)
    places.sort()
    return bool((np.diff(places) < run).any())


def check_distinct_elements(name: str, array: Array) -> None:
    """Raise if elements of an array that is written to share memory."""
    if repeats_memory(array):
        raise ValueError(
            f"{name}: expected elements that share no memory, got shape {array.shape} with strides "
            f"{array.strides}"
        )


def check_changeable(name: str, array: object) -> None:
    """Raise unless this is an array of floats that can be changed in place."""
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected a numpy.ndarray, got {type(array).__name__}")
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{name}: expected dtype float32 or float64, got {array.dtype}")
    if not array.flags.writeable:
        raise ValueError(f"{name}: expected a writable array, got a read-only one")
    check_distinct_elements(name, array)


def as_threads(value: object) -> int:
    """Return how many threads a call may use, 0 for as many as the engine likes."""
    return 0 if value is None else min(as_positive("num_threads", value), MOST_THREADS)


def as_lengths(
    value: object, steps: int, batch: int | None, letter: str = "T", name: str = "lengths"
) -> Array:
    """Return lengths as a fresh (B,) int64 array, each in [0, steps].

    The copy is deliberate: kernels trust these numbers, so nobody else may hold them.

    Parameters
    ----------
    value : (B,) integers, or one integer for unbatched input.
    steps : T, or what `letter` calls it.
    batch : B, or None for unbatched input.
    name : of the argument.
    """
    array = array_of(name, value, "integers")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected an integer dtype, got {array.dtype}")
    if batch is None:
        check_shape(name, array, (), ())
    else:
        check_shape(name, array, ("B",), (batch,))
    rows = array.reshape(-1)
    wrong = np.flatnonzero((rows < 0) | (rows > steps))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            f"{name}: expected values in [0, {letter}] = [0, {steps}], got {rows[row]} in row {row}"
        )
    return rows.astype(np.int64)


def as_flags(name: str, value: object, letters: tuple[str, ...], shape: tuple[int, ...]) -> Array:
    """Return a bool array of the given shape; no other dtype passes for bool."""
    array = as_array(name, value, np.dtype(np.bool_))
    check_shape(name, array, letters, shape)
    return array


def check_out(
    out: object,
    dtype: np.dtype[Any],
    letters: tuple[str, ...],
    shape: tuple[int, ...],
    inputs: Iterable[tuple[str, Array]],
) -> Array:
    """Return `out` if results can be written to it while `inputs` are being read."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out: expected a numpy.ndarray, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out: expected dtype {dtype}, got {out.dtype}")
    check_shape("out", out, letters, shape)
    if not out.flags.writeable:
        raise ValueError("out: expected a writable array, got a read-only one")
    if not _addressable(out):
        found = f"strides {out.strides}" if out.flags.aligned else "an unaligned one"
        raise ValueError(f"out: expected an aligned array with a contiguous last axis, got {found}")
    check_distinct_elements("out", out)
    for name, array in inputs:
        # The stubs know only two special values of max_work, not that any number is allowed.
        if np.may_share_memory(out, array, max_work=_OVERLAP_WORK):  # type: ignore[arg-type]
            raise ValueError(f"out: expected memory of its own, got memory shared with {name}")
    return out
