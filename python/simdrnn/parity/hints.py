"""Finding what explains a difference: mistakes are made on purpose until the results agree."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.copies import copy_of
from simdrnn.parity.runs import Inputs, as_state
from simdrnn.parity.variants import Variant, variants_of
from simdrnn.validate import Array

__all__ = ["find_hints"]

# A mistake explains the difference if this many times the tolerance remains at most: with the
# mistake, a layer may let roundings grow otherwise. Without it, what remains is far larger.
_LEEWAY = 10.0

# Whatever is hinted at makes the difference smaller by this factor. Some mistakes change nothing,
# such as leaving out biases of zero.
_SHRINKS = 3.0

# Rows and steps that are enough to tell.
_ROWS, _STEPS = 2, 8


class _Search:
    """Copies of a layer on a part of its input, beside what the other side made of it."""

    def __init__(self, layer: RecurrentLayer, inputs: Inputs, theirs: Array, last: bool) -> None:
        self.layer, self.last = layer, last
        batch_axis = 0 if layer.batch_first else 1
        causal = not (layer.bidirectional or layer.structure.reverse or last)
        # Swapped axes and reversed time need all of the input.
        self.whole = inputs.x, as_state(inputs.states), theirs
        rows = [slice(None)] * 3
        rows[batch_axis] = slice(_ROWS)
        steps = list(rows)
        steps[1 - batch_axis] = slice(_STEPS if causal else None)
        states = tuple(np.ascontiguousarray(one[:, :_ROWS]) for one in inputs.states)
        part = np.ascontiguousarray(inputs.x[tuple(steps)])
        cut = theirs[:_ROWS] if last else theirs[tuple(steps)]
        self.part = part, as_state(states), cut
        self._copies: dict[str, RecurrentLayer] = {}

    def difference(self, mistakes: tuple[Variant, ...]) -> float:
        """Return how far both sides are apart with these mistakes, relative to the largest."""
        arguments: dict[str, Any] = {}
        values = self.layer.parameters()
        run = None
        for one in mistakes:
            arguments |= one.arguments
            values = values if one.change is None else one.change(values)
            run = one.run or run
        key = repr(arguments)
        if key not in self._copies:
            self._copies[key] = copy_of(self.layer, **arguments)
        copy = self._copies[key]
        copy.load_state_dict({name: np.asarray(one, copy.dtype) for name, one in values.items()})
        x, state, theirs = self.part if run is None else self.whole
        if self.last:
            if run is not None:
                return np.inf
            ours = copy.last_output(copy(x, state)[1])
        else:
            ours = copy(x, state)[0] if run is None else run(copy, x, state)
        if ours.shape != theirs.shape:
            return np.inf
        with np.errstate(all="ignore"):
            scale = np.max(np.abs(theirs), initial=0.0)
            apart = np.max(np.abs(ours.astype(np.float64) - theirs), initial=0.0)
        return float(apart / scale) if np.isfinite(apart) and scale else np.inf


def find_hints(
    layer: RecurrentLayer, inputs: Inputs, theirs: Array, tolerance: float, *, last: bool
) -> list[str]:
    """Return sentences that say what makes a layer agree with the other side.

    Single mistakes are tried, then pairs of different kinds. If none explains the difference, the
    one that shrinks it most is named.

    Parameters
    ----------
    layer, inputs : ours.
    theirs : their output, arranged as ours, or that of the last step.
    tolerance : of the output.
    last : whether `theirs` is the output of the last step.
    """
    search = _Search(layer, inputs, theirs, last)
    before = search.difference(())
    singles = [(one,) for one in variants_of(layer, bool(inputs.states))]
    pairs = [(a, b) for (a,), (b,) in combinations(singles, 2) if a.kind != b.kind]
    nearest: tuple[float, tuple[Variant, ...]] = (np.inf, ())
    for tried in (singles, pairs):
        found = [(search.difference(mistakes), mistakes) for mistakes in tried]
        enough = min(_LEEWAY * tolerance, before / _SHRINKS)
        explained = [mistakes for difference, mistakes in found if difference <= enough]
        if explained:
            return [f"they agree if {' and '.join(one.text for one in m)}" for m in explained]
        nearest = min(nearest, *found, key=lambda one: one[0])
    if nearest[0] * _SHRINKS < before:
        text = " and ".join(one.text for one in nearest[1])
        return [
            f"not explained; the output's difference shrinks from {before:.2g} to "
            f"{nearest[0]:.2g} of the largest if {text}"
        ]
    return ["not explained by the order of gates, biases, the cell's form, axes or direction"]
