"""The attributes of one recurrent node, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simdrnn.onnx.activations import read_activations
from simdrnn.onnx.operators import OPERATORS, Operator
from simdrnn.spec.activations import Activation
from simdrnn.validate import as_positive_number

__all__ = ["NodeAttributes"]

_DIRECTIONS = ("forward", "reverse", "bidirectional")
_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_NAMES = {
    "activation_alpha",
    "activation_beta",
    "activations",
    "clip",
    "direction",
    "hidden_size",
    "layout",
}
_OWN = {"RNN": set(), "GRU": {"linear_before_reset"}, "LSTM": {"input_forget"}}


@dataclass(frozen=True, slots=True)
class NodeAttributes:
    """What the attributes of a recurrent node say.

    Parameters
    ----------
    label : ``node 'name' (LSTM)``, for messages.
    operator : what the node runs.
    direction : ``"forward"``, ``"reverse"`` or ``"bidirectional"``.
    activations : for each direction, one for each of the operator's slots.
    clip : bound on the arguments of all gates, or None.
    coupled : LSTM: whether f = 1 - i, ``input_forget``.
    reset_after : GRU: ``linear_before_reset``.
    layout : 1 where the batch is the first axis of everything.
    hidden_size : H, where the node says it.
    """

    label: str
    operator: Operator
    direction: str
    activations: tuple[tuple[Activation, ...], ...]
    clip: float | None
    coupled: bool
    reset_after: bool
    layout: int
    hidden_size: int | None

    @property
    def directions(self) -> int:
        """D."""
        return len(self.activations)

    @classmethod
    def parse(cls, label: str, name: str, given: Mapping[str, Any]) -> NodeAttributes:
        """Check the attributes of a node.

        Parameters
        ----------
        label : of the node, for messages.
        name : of the operator.
        given : attributes by name; None is an attribute that the node does not have.

        Raises
        ------
        ValueError : an attribute is unknown, or its value is none that the specification has.

        Examples
        --------
        >>> NodeAttributes.parse("node 'n' (GRU)", "GRU", {"linear_before_reset": 1}).reset_after
        True
        >>> NodeAttributes.parse("node 'n' (GRU)", "GRU", {"direction": "both"})
        Traceback (most recent call last):
        ValueError: node 'n' (GRU): direction: expected one of forward, reverse, bidirectional, \
got 'both'
        """
        values = {key: value for key, value in given.items() if value is not None}
        for key in values:
            if key not in _NAMES | _OWN[name]:
                known = ", ".join(sorted(_NAMES | _OWN[name]))
                raise ValueError(f"{label}: {key}: expected one of the attributes {known}")
        operator, direction = OPERATORS[name], values.get("direction", "forward")
        if direction not in _DIRECTIONS:
            raise ValueError(
                f"{label}: direction: expected one of {', '.join(_DIRECTIONS)}, got {direction!r}"
            )
        size = values.get("hidden_size")
        return cls(
            label,
            operator,
            direction,
            _activations(label, operator, 2 if direction == "bidirectional" else 1, values),
            _clip(label, values.get("clip")),
            _flag(label, "input_forget", values),
            _flag(label, "linear_before_reset", values),
            int(_flag(label, "layout", values)),
            None if size is None else int(size),
        )

    def part(self, direction: int) -> NodeAttributes:
        """Return the attributes of one direction of two, as a node of its own."""
        name, chosen = _DIRECTIONS[direction], self.activations[direction : direction + 1]
        return replace(self, direction=name, activations=chosen)

    def beside(self, other: NodeAttributes) -> NodeAttributes:
        """Return the attributes of one node whose directions are this one and another."""
        both = self.activations + other.activations
        return replace(self, direction="bidirectional", activations=both)

    def options(self) -> dict[str, Any]:
        """Return what the layer of the first direction is made with, where it is not default."""
        options: dict[str, Any] = {} if self.clip is None else {"gate_clip": self.clip}
        chosen = self.activations[0]
        if self.operator.name == "RNN" and chosen[0].name == "relu":
            return options | {"nonlinearity": "relu"}
        named = zip(self.operator.slots, chosen, _DEFAULTS[self.operator.name], strict=True)
        return options | {
            slot: one.argument for slot, one, default in named if one.name != default.lower()
        }


def _flag(label: str, name: str, values: Mapping[str, Any]) -> bool:
    value = values.get(name, 0)
    if value not in (0, 1):
        raise ValueError(f"{label}: {name}: expected 0 or 1, got {value}")
    return bool(value)


def _clip(label: str, value: Any) -> float | None:
    return None if value is None else as_positive_number(f"{label}: clip", float(value))


def _activations(
    label: str, operator: Operator, directions: int, values: Mapping[str, Any]
) -> tuple[tuple[Activation, ...], ...]:
    """Return the activations of every direction."""
    slots = len(operator.slots)
    names: Sequence[str] = values.get("activations") or _DEFAULTS[operator.name] * directions
    if operator.name == "RNN" and directions == 1 and list(names) == ["Tanh", "Tanh"]:
        names = names[:1]  # the specification's default, whatever the direction
    if len(names) != slots * directions:
        raise ValueError(
            f"{label}: activations: expected {slots * directions} names, {slots} for each "
            f"direction, got {len(names)}"
        )
    alphas, betas = (values.get(f"activation_{name}") or () for name in ("alpha", "beta"))
    found = read_activations(label, names, alphas, betas)
    return tuple(found[slots * d : slots * (d + 1)] for d in range(directions))
