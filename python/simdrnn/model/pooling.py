"""From the outputs of all steps to one vector for each row: the last, the mean or the maximum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.layers.parametrised import Parametrised
from simdrnn.validate import Array, as_dtype, check_choice

__all__ = ["Pooled", "Pooling", "pool"]

_KINDS = ("last", "mean", "max")


class Pooling(Parametrised):
    """The part of a `Model` that makes one vector of each row's steps; it follows the layers.

    Parameters
    ----------
    kind : ``"last"``, the output at each row's last real step, of both directions each the one it
        took last; ``"mean"`` or ``"max"`` over each row's real steps, by elements; of a row without
        any, 0.
    dtype : float32 or float64, of what is pooled.

    Examples
    --------
    >>> import simdrnn as sr
    >>> rnn, head = sr.LSTM(3, 8, seed=0), sr.Linear(8, 2, seed=1)
    >>> model = sr.Model(rnn=rnn, pooling=sr.Pooling("last"), head=head)
    >>> output, state = model(np.ones((5, 4, 3), "float32"), lengths=[5, 1, 2, 3])
    >>> output.shape
    (4, 2)
    """

    __module__ = "simdrnn"

    _fixed = frozenset({"kind"})

    kind: str

    def __init__(self, kind: str = "last", *, dtype: npt.DTypeLike = "float32") -> None:
        check_choice("kind", kind, _KINDS)
        self.kind = kind
        self.dtype = as_dtype(dtype)
        self._own_parameters([], dict)

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments."""
        return {"kind": self.kind, "dtype": self.dtype.name}

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default."""
        return f"Pooling({self.kind!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """What was pooled: `output` (B, F), and `back`, from its gradient to that of (T, B, F)."""

    output: Array
    back: Callable[[Array], Array]


def pool(kind: str, output: Array, real: Array | None) -> Pooled:
    """Pool ``"mean"`` or ``"max"``.

    Parameters
    ----------
    output : (T, B, F).
    real : (T, B) bool; None is all steps.
    """
    flags = None if real is None else real[:, :, None]
    return _mean(output, flags) if kind == "mean" else _maximum(output, flags)


def _mean(output: Array, real: Array | None) -> Pooled:
    """Return the means over real steps, summed in float64, step by step."""
    total = np.zeros(output.shape[1:])
    for step in range(len(output)):  # in this order whatever the batch
        total += output[step] if real is None else np.where(real[step], output[step], 0)
    count: Any = len(output) if real is None else real.sum(axis=0)
    share = 1.0 / np.maximum(count, 1)

    def back(d_pooled: Array) -> Array:
        spread = np.broadcast_to((d_pooled * share).astype(output.dtype), output.shape)
        return spread if real is None else np.where(real, spread, output.dtype.type(0))

    return Pooled((total * share).astype(output.dtype), back)


def _maximum(output: Array, real: Array | None) -> Pooled:
    """Return the maxima over real steps; the gradient goes to the first of the largest."""
    shown = output if real is None else np.where(real, output, -np.inf)
    if not len(output):
        return Pooled(np.zeros(output.shape[1:], output.dtype), lambda d: np.zeros_like(output))
    places = shown.argmax(axis=0)[None]
    taken = np.take_along_axis(output, places, axis=0)[0]
    some = np.ones((1, 1), bool) if real is None else real.any(axis=0)

    def back(d_pooled: Array) -> Array:
        d_output = np.zeros_like(output)
        np.put_along_axis(d_output, places, np.where(some, d_pooled, 0)[None], axis=0)
        return d_output

    return Pooled(np.where(some, taken, output.dtype.type(0)), back)
