"""One call of a stack: its arguments, checked for all layers before the first one runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simdrnn.engine.protocol import CheckedCall, PackedNetwork
from simdrnn.engine.random_words import between_layers
from simdrnn.engine.steps import real_steps
from simdrnn.layers.arguments import Layout
from simdrnn.layers.bound import BoundLayer
from simdrnn.stack.skips import Skip
from simdrnn.validate import Array

__all__ = ["StackCall", "each"]


def each(name: str, value: object, count: int) -> Sequence[Any]:
    """Return one value for each layer: None for all of them, or the members of a tuple."""
    if value is None:
        return (None,) * count
    if not isinstance(value, (tuple, list)) or len(value) != count:
        found = type(value).__name__
        found += f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
        raise TypeError(f"{name}: expected a tuple of {count}, one for each layer, got {found}")
    return value


class Climbed(NamedTuple):
    """The stack's output in the caller's layout, and what each connection keeps for backward."""

    output: Array
    kept: list[Any]


@dataclass(frozen=True, slots=True, eq=False)
class StackCall:
    """The arguments of a call.

    Attributes
    ----------
    run, layout : of the first layer, without states.
    states, reset_states : for each layer, as the caller gave them.
    shared : arguments that every layer takes as they are, besides the reset states.
    real : (T, B) bool, or None where every step is.
    dropout, key : between layers; 0 is off.
    """

    run: CheckedCall
    layout: Layout
    states: Sequence[Any]
    reset_states: Sequence[Any]
    shared: dict[str, Any]
    real: Array | None
    dropout: float = 0.0
    key: int = 0

    @classmethod
    def check(
        cls,
        bounds: Sequence[BoundLayer],
        x: object,
        state: object,
        reset_state: object,
        **shared: Any,
    ) -> StackCall:
        """Check the arguments for every layer."""
        run, layout = bounds[0].checks.check(
            x, None, shared["lengths"], shared["mask"], shared["reset"], shared["masked_output"],
            shared["num_threads"],
        )  # fmt: skip
        batch, count = run.x.shape[1], len(bounds)
        states = each("state", state, count)
        by_name = isinstance(reset_state, str)
        resets = (reset_state,) * count if by_name else each("reset_state", reset_state, count)
        if reset_state is not None and shared["reset"] is None:
            raise ValueError("reset_state: expected reset= with it, got None")
        for index, bound in enumerate(bounds):
            checks, own, goal = bound.checks, states[index], resets[index]
            if own is not None:
                checks.states(f"state[{index}]", own, batch, layout)
            if goal is not None:
                label = "reset_state" if by_name else f"reset_state[{index}]"
                checks.reset_states(label, goal, batch, layout)
        return cls(run, layout, states, resets, shared, real_steps(run))

    def options(self, index: int) -> dict[str, Any]:
        """Return the keyword arguments of layer `index`."""
        return self.shared | {"reset_state": self.reset_states[index]}

    def multipliers(self, layer: int, joined: Array) -> Array | None:
        """Return what dropout multiplies what `layer` hands on by, if it is on."""
        return between_layers(joined.shape, layer, self.dropout, self.key, joined.dtype)

    def climb(
        self,
        skip: Skip,
        count: int,
        run: Callable[[int, Array], Array],
        versions: Mapping[str, PackedNetwork],
    ) -> Climbed:
        """Run `count` layers from the bottom to the top.

        Parameters
        ----------
        skip : how they are connected.
        run : takes the index of a layer and what it is given, returns what it makes; both in the
            caller's layout.
        versions : of the parameters of layers and gates, by their names in the stack.
        """
        x, layout, threads = self.run.x, self.layout, self.run.num_threads
        handed_on: list[Array] = []
        kept: list[Any] = []
        for index in range(count):
            given = x
            if index:
                dropped = self.multipliers(index - 1, handed_on[-1])
                below = handed_on[-1] if dropped is None else handed_on[-1] * dropped
                given = skip.give(x, below)
            made = layout.time_first(run(index, layout.caller(given)))
            gate = versions.get(f"{index}.gate")
            joined, own = skip.join(index, given, made, self.real, threads, gate)
            handed_on.append(joined)
            kept.append(own)
        output = skip.output([handed_on[index] for index in skip.shown()])
        return Climbed(layout.caller(output), kept)

    def zeros(self, width: int, dtype: np.dtype[Any]) -> Array:
        """Return a (T, B, width) gradient of zeros, to be added to."""
        return np.zeros((*self.run.x.shape[:2], width), dtype)
