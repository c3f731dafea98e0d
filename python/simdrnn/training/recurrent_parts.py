"""Which parts of a network have states: what `tbptt` and `diagnose` ask of layers, stacks, models.

A model is anything that offers what `Truncatable` says; nothing here knows its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.tape import Tape
from simdrnn.stack.stack import Stack

__all__ = ["RecurrentPart", "Truncatable", "layer_tapes", "layers_of", "recurrent_parts"]

RecurrentPart: TypeAlias = "RecurrentLayer | Stack"


@runtime_checkable
class Truncatable(Protocol):
    """A network of parts that can be recorded in chunks.

    Its tapes have ``output``, ``state``, ``backward(d_output, d_state)``, and ``tapes``: by name
    the tapes of the parts. The gradients have ``state`` and ``reset_state`` in the states' form.
    """

    @property
    def parts(self) -> Mapping[str, Any]:
        """Name -> part, in the order they are run in.

        The network's state is that of its only layer or stack; of several, a tuple.
        """
        ...

    def record(self, x: Any, state: Any = None, **call: Any) -> Any:
        """Record a call; `call` is what ``record`` of its parts takes, and goes to those that do.

        `x` has one more axis than time and batch, or as integers none; so has the output.
        """
        ...


def recurrent_parts(network: Any) -> dict[str, RecurrentPart]:
    """Return what of a network has a state, by name.

    Raises
    ------
    TypeError, ValueError : it is none of ours, has no such part, or one without outputs at steps.
    """
    if isinstance(network, (RecurrentLayer, Stack)):
        return {"": network}
    if not isinstance(network, Truncatable):
        raise TypeError(
            "layer: expected a recurrent layer, a stack or a model of them, "
            f"got {type(network).__name__}"
        )
    found: dict[str, RecurrentPart] = {}
    for name, part in network.parts.items():
        if isinstance(part, (RecurrentLayer, Stack)):
            found[name] = part
        elif isinstance(part, Truncatable):
            raise TypeError(f"{name}: expected a layer, stack or module, got a model in a model")
        elif not hasattr(part, "record"):
            raise TypeError(
                f"{name}: expected parts that put something out at each step, "
                f"got {type(part).__name__}"
            )
    if not found:
        raise ValueError(
            f"layer: expected a model with a layer or stack, got {list(network.parts)}"
        )
    return found


def layers_of(name: str, part: RecurrentPart) -> dict[str, RecurrentLayer]:
    """Return the layers of a part by the names that messages give them.

    Examples
    --------
    >>> import simdrnn as sr
    >>> list(layers_of("", sr.Stack([sr.GRU(2, 3), sr.LSTM(3, 3)])))
    ['layers[0]', 'layers[1]']
    """
    if isinstance(part, RecurrentLayer):
        return {name or "layer": part}
    prefix = f"{name}." if name else ""
    return {f"{prefix}layers[{index}]": layer for index, layer in enumerate(part.layers)}


def layer_tapes(tape: Any, name: str = "") -> dict[str, Tape]:
    """Return the tapes of the recurrent layers in a tape, by names as of their parameters.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> stack = sr.Stack([sr.GRU(2, 3), sr.LSTM(3, 3)])
    >>> list(layer_tapes(stack.record(np.ones((4, 1, 2), "float32"))))
    ['0', '1']
    """
    if isinstance(tape, Tape):
        return {name: tape}
    inner = getattr(tape, "tapes", ())
    named = inner.items() if isinstance(inner, Mapping) else enumerate(inner)
    found: dict[str, Tape] = {}
    for key, own in named:
        found |= layer_tapes(own, f"{name}.{key}" if name else str(key))
    return found
