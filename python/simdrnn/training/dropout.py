"""Dropout as a module of its own, for what stands between layers and heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.engine.packing import Counter
from simdrnn.engine.random_words import Feature, call_key, multipliers
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parametrised import Parametrised
from simdrnn.validate import (
    Array,
    as_array,
    as_bool,
    as_dtype,
    as_probability,
    as_seed,
    check_shape,
)

__all__ = ["Dropout", "DropoutTape"]


class Dropout(Parametrised):
    """Sets elements to 0 at random while recording for training, PyTorch's `torch.nn.Dropout`.

    Calling it changes nothing. What is dropped depends on the seed, the number of the recorded
    call, and the place: a run is repeated by its seed, on any machine.

    Parameters
    ----------
    p : probability of an element to become 0; the others are multiplied by 1 / (1 - p).
    dtype : float32 or float64, of input and output.
    seed : of what is dropped; None draws one.

    References
    ----------
    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    Examples
    --------
    >>> dropout = Dropout(0.5, seed=0)
    >>> tape = dropout.record(np.ones((2, 4), "float32"))
    >>> tape.output
    array([[2., 2., 0., 2.],
           [0., 2., 2., 0.]], dtype=float32)
    >>> bool((tape.backward(np.ones((2, 4), "float32")).x == tape.output).all())
    True
    """

    __module__ = "simdrnn"

    _fixed = frozenset({"p", "seed"})
    _made = frozenset({"_calls"})

    p: float
    seed: int

    def __init__(
        self, p: float = 0.5, *, dtype: npt.DTypeLike = "float32", seed: int | None = None
    ) -> None:
        self.p = as_probability("p", p)
        self.dtype = as_dtype(dtype)
        self.seed = as_seed(seed)
        self._calls = Counter()
        self._own_parameters([], dict)

    @property
    def _recorded(self) -> int:
        """How many training calls were recorded; no two threads have the same."""
        return self._calls.value

    @_recorded.setter
    def _recorded(self, count: int) -> None:
        self._calls = Counter(count)

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments."""
        return {"p": self.p, "dtype": self.dtype.name, "seed": self.seed}

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default."""
        return f"Dropout({self.p})"

    def __call__(self, x: Array) -> Array:
        """Return `x` as it is."""
        return as_array("x", x, self.dtype)

    def record(self, x: Array, *, training: bool = True) -> DropoutTape:
        """Return a tape with ``output`` and ``backward``.

        Parameters
        ----------
        x : of any shape.
        training : whether elements are dropped; if not, the output is `x`.
        """
        array = as_array("x", x, self.dtype)
        if not as_bool("training", training) or self.p == 0.0:
            return DropoutTape(array, lambda d_output: d_output)
        key = call_key(self.seed, self._calls.take())
        rows, width = math.prod(array.shape[:-1]), array.shape[-1] if array.ndim else 1
        drawn = multipliers((1, rows, width), 0, self.p, key, self.dtype, Feature.MODULE)
        factors = drawn.reshape(array.shape)
        return DropoutTape(array * factors, lambda d_output: d_output * factors)


@dataclass(frozen=True, slots=True, eq=False)
class DropoutTape:
    """A recorded call of a `Dropout`; `output` has the shape of its input."""

    output: Array
    _back: Callable[[Array], Array]

    def backward(self, d_output: Array) -> Gradients:
        """Return the gradient for the input as ``x``; may be called more than once."""
        array = as_array("d_output", d_output, self.output.dtype)
        check_shape("d_output", array, ("...",), self.output.shape)
        return Gradients(np.asarray(self._back(array)), None, {})
