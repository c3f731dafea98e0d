"""What a layer can be compared with: what each kind of it can do, and results as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from simdrnn.dialects.arrays import as_weights
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.probes import Constants, constants_of_code
from simdrnn.validate import Array

__all__ = ["Peer", "as_result", "flatten"]


class Peer:
    """A plain function from x to an output, or to an output and states.

    Attributes
    ----------
    name : in words.
    dtype : of what it is given; None for the layer's.
    batch_first : whether its sequences are (B, T, ...); None for as the layer has them.
    takes_state : whether initial states can be handed to it.
    takes_lengths : whether it asks for the lengths of rows.
    why_no_gradients : said in the report where there are none; empty where there are.
    """

    dtype: np.dtype[Any] | None = None
    batch_first: bool | None = None
    takes_state = False
    takes_lengths = False
    why_no_gradients = "gradients: theirs is only known as a function"

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self.name = getattr(thing, "__name__", None) or type(thing).__name__

    def run(self, x: Array, states: tuple[Array, ...]) -> list[Array]:
        """Return the output, then whatever else comes with it, as arrays.

        Parameters
        ----------
        x : (T, B, I) or (B, T, I), as `batch_first` says.
        states : initial ones, (L*D, B, H), if it takes them.
        """
        return [*flatten(self.thing(x))]

    def run_lengths(self, x: Array, states: tuple[Array, ...], lengths: Array) -> list[Array]:
        """Do the same with the lengths of rows, of what asks for them."""
        raise NotImplementedError

    def constants(self) -> Constants:
        """Return numbers that it may compare elements with, as far as they can be seen."""
        call = vars(type(self.thing)).get("__call__")
        return Constants.among([*constants_of_code(self.thing), *constants_of_code(call)])

    def gradients(
        self, x: Array, states: tuple[Array, ...], d_results: list[Array | None]
    ) -> dict[str, Array]:
        """Return gradients by name, given those of the results that `run` returned."""
        raise NotImplementedError

    def renamed(self, gradients: dict[str, Array], layer: RecurrentLayer) -> dict[str, Array]:
        """Return gradients of our layer by the names that `gradients` has, as far as it can."""
        return gradients


def as_result(value: Any) -> Array:
    """Return an array of what a function returned."""
    return as_weights("theirs", value)


def flatten(result: Any, convert: Callable[[Any], Any] = as_result) -> Iterable[Any]:
    """Yield the arrays of nested tuples, lists and dicts."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        for member in result:
            yield from flatten(member, convert)
    elif result is not None:
        yield convert(result)
