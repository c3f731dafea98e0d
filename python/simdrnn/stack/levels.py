"""The layers of a stack, checked to fit on one another, as its calls and tapes see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.engine.streaming import Nodes
from simdrnn.layers.bound import BoundLayer, bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.stepped import add_layer, chained, stage_of
from simdrnn.stack.skips import SKIPS, Highway, Skip

__all__ = ["Levels"]


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The layers, the first one at the bottom, and how they are connected.

    Attributes
    ----------
    layers, bounds : as people see them, and as they are bound.
    name, skip : of the connections, and what they do.
    letters : how messages write the output's size.
    """

    layers: tuple[RecurrentLayer, ...]
    bounds: tuple[BoundLayer, ...]
    name: str | None
    skip: Skip
    letters: tuple[str, ...]

    @classmethod
    def check(cls, layers: object, name: str | None) -> Levels:
        """Check a stack's arguments."""
        checked = _as_layers(layers)
        skip = _connect(checked, name)
        bounds = tuple(bound_layer(layer) for layer in checked)
        letters = bounds[-1].values.letters if name != "concat" else ("F",)
        return cls(checked, bounds, name, skip, letters)

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Floating-point type of all arrays."""
        return self.bounds[0].dtype

    def stepped(self) -> dict[str, Any]:
        """Return what the stack is to those who step it: see `simdrnn.layers.stepped`."""
        first, skip = self.bounds[0], self.skip
        nodes, joined = Nodes(first.sizes.input_size), list[int]()
        gates = skip.gates if isinstance(skip, Highway) else {}
        for index, bound in enumerate(self.bounds):
            given = skip.stream_give(nodes, joined[-1]) if index else 0
            made = add_layer(nodes, bound, given, f"{index}.")
            gate = gates[index].stepped(f"{index}.gate.") if index in gates else None
            joined.append(skip.stream_join(nodes, index, given, made, gate))
        skip.stream_output(nodes, joined)
        return chained(first.dtype, first.sizes.input_size, [stage_of(nodes)])

    def check_last(self) -> None:
        """Raise unless the output is made of the layers' states alone."""
        if not self.skip.last_is_state:
            raise ValueError(
                f"last_output: expected skip None or 'concat', got {self.name!r}; "
                "take the output at the last real step of each row"
            )


def _as_layers(layers: object) -> tuple[RecurrentLayer, ...]:
    """Return the layers of a stack, each checked to be one, and to be there once."""
    if not isinstance(layers, (list, tuple)):
        raise TypeError(f"layers: expected a list of layers, got {type(layers).__name__}")
    if not layers:
        raise ValueError("layers: expected at least one layer, got none")
    first = layers[0]
    for index, layer in enumerate(layers):
        label = f"layers[{index}]"
        if not isinstance(layer, RecurrentLayer):
            raise TypeError(f"{label}: expected a recurrent layer, got {type(layer).__name__}")
        info = bound_layer(layer).info
        if info.step_inputs:
            raise ValueError(
                f"{label}: expected a layer that takes nothing beside x, got {info.name}, "
                "which takes attention"
            )
        if any(layer is other for other in layers[:index]):
            raise ValueError(f"{label}: expected each layer once, got one twice")
        if layer.dtype != first.dtype:
            raise ValueError(
                f"{label}: expected dtype {first.dtype} as layers[0], got {layer.dtype}"
            )
        if layer.batch_first != first.batch_first:
            raise ValueError(
                f"{label}: expected batch_first={first.batch_first} as layers[0], "
                f"got {layer.batch_first}"
            )
    return tuple(layers)


def _connect(layers: Sequence[RecurrentLayer], name: object) -> Skip:
    """Return the connections of a stack if the sizes of its layers go with them."""
    if not (name is None or isinstance(name, str)) or name not in SKIPS:
        names = ", ".join(repr(known) for known in SKIPS)
        raise ValueError(f"skip: expected one of {names}, got {name!r}")
    kind = SKIPS[name]
    for index, layer in enumerate(layers):
        structure, alone = layer.structure, name is None and index == len(layers) - 1
        if structure.merge == "none" and not alone:
            raise ValueError(
                f"layers[{index}]: expected directions that merge, except at the top of a stack "
                "without skips, got merge='none'"
            )
        if not structure.keep_order and not alone:
            raise ValueError(
                f"layers[{index}]: expected outputs at their times, except at the top of a stack "
                "without skips, got keep_order=False"
            )
        if index:
            below = layers[index - 1]
            size = kind.given_size(layers[0].input_size, bound_layer(below).width)
            if layer.input_size != size:
                raise ValueError(
                    f"layers[{index}]: expected input_size={size}, which is what it is given, "
                    f"got {layer.input_size}"
                )
    widths = [bound_layer(layer).width for layer in layers]
    return kind([layer.input_size for layer in layers], widths)
