"""What layers can be put on top of one another."""

from __future__ import annotations

from collections.abc import Sequence

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.stack.skips import SKIPS, Skip

__all__ = ["as_layers", "connect"]


def as_layers(layers: object) -> tuple[RecurrentLayer, ...]:
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
        if layer._info.step_inputs:
            raise ValueError(
                f"{label}: expected a layer that takes nothing beside x, got {layer._info.name}, "
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


def connect(layers: Sequence[RecurrentLayer], name: object) -> Skip:
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
            size = kind.given_size(layers[0].input_size, below._width)
            if layer.input_size != size:
                raise ValueError(
                    f"layers[{index}]: expected input_size={size}, which is what it is given, "
                    f"got {layer.input_size}"
                )
    return kind([layer.input_size for layer in layers], [layer._width for layer in layers])
