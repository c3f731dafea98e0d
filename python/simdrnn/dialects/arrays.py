"""Arrays of weights, whoever made them."""

from __future__ import annotations

import numpy as np

from simdrnn.validate import Array

__all__ = ["as_weights", "from_numbers", "permute_gates"]


def as_weights(label: str, value: object) -> Array:
    """Return `value` as an array of floating-point numbers: NumPy's, or one that NumPy can read.

    A tensor that PyTorch would differentiate by is detached first.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{label}: expected a plain array, got a masked array")
    detach = getattr(value, "detach", None)
    try:
        array = np.asarray(value if detach is None else detach())
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{label}: expected an array, got {type(value).__name__}: {error}"
        ) from error
    if array.dtype.kind != "f":
        raise TypeError(f"{label}: expected a floating-point dtype, got {array.dtype}")
    return array


def from_numbers(label: str, value: object) -> Array:
    """Return nested lists of numbers as an array: float32 if every number is one, else float64.

    Examples
    --------
    >>> from_numbers("bias", [0.5, 0.25]).dtype, from_numbers("bias", [0.1]).dtype
    (dtype('float32'), dtype('float64'))
    """
    if not isinstance(value, (list, tuple)):
        return as_weights(label, value)
    try:
        wide = np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{label}: expected nested lists of numbers: {error}") from error
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return narrow if np.array_equal(narrow, wide, equal_nan=True) else wide


def permute_gates(array: object, source: str, target: str, axis: int = 0) -> Array:
    """Put the blocks of gates along one axis into another order.

    Parameters
    ----------
    array : with len(source)*H numbers along `axis`.
    source, target : letters of the gates, in the order that they have and that they shall have.
    axis : along which gates lie.

    Returns
    -------
    a new array.

    Raises
    ------
    ValueError
        If one order is not the other's letters, or the length is no multiple of their number.

    Examples
    --------
    >>> import numpy as np
    >>> permute_gates(np.arange(8.0), "ifgo", "iofg")  # PyTorch's LSTM in ONNX's order
    array([0., 1., 6., 7., 2., 3., 4., 5.])
    """
    values = np.asarray(array)
    for name, order in (("source", source), ("target", target)):
        if not (isinstance(order, str) and order and len(set(order)) == len(order)):
            raise ValueError(f"{name}: expected different letters of gates, got {order!r}")
    if sorted(source) != sorted(target):
        raise ValueError(f"target: expected the letters {source} in some order, got {target!r}")
    if not -values.ndim <= axis < values.ndim:
        raise ValueError(f"axis: expected one of {values.ndim} axes, got {axis!r}")
    if values.shape[axis] % len(source):
        raise ValueError(
            f"array: expected {len(source)}*H along axis {axis}, got shape {values.shape}"
        )
    blocks = np.split(values, len(source), axis)
    return np.concatenate([blocks[source.index(gate)] for gate in target], axis)
