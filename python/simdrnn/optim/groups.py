"""Parameters that an optimiser treats differently: their own learning rates and weight decays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeAlias

from simdrnn.training.trainable import as_number

__all__ = ["Groups", "GroupsOf", "Rates"]

GroupsOf: TypeAlias = "Mapping[str, Mapping[str, float]]"

_OPTIONS = ("lr", "weight_decay")


class Rates(NamedTuple):
    """What is the same for the parameters that are updated together.

    Attributes
    ----------
    lr, weight_decay : of theirs.
    step : how many steps they have been trained, this one among them.
    """

    lr: float
    weight_decay: float
    step: int


class Groups:
    """Options by patterns of names; what several patterns match has the last one's of each.

    Parameters
    ----------
    groups : pattern -> options, as `Optimizer` takes them.
    names : of all parameters.
    lr : the optimiser's, which a group's own is a fixed part of from then on.

    Raises
    ------
    TypeError, ValueError : a pattern matches nothing, an option is none, or no number.
    """

    def __init__(self, groups: object, names: Sequence[str], lr: float) -> None:
        self._lr = lr
        self._patterns = _checked(groups, names, lr)
        self._own: list[dict[str, float]] = []
        for name in names:
            own: dict[str, float] = {}
            for pattern, options in self._patterns.items():
                own |= options if fnmatchcase(name, pattern) else {}
            self._own.append(own)

    def described(self) -> dict[str, Any]:
        """Return what an optimiser's state says of them."""
        return {"lr": self._lr, "patterns": self._patterns}

    def rates(self, leaf: int, lr: float, weight_decay: float, step: int) -> Rates:
        """Return those of the parameter with this number, while the optimiser has these."""
        own = self._own[leaf]
        # A factor of exactly 1 leaves the learning rate what the group says, to the bit.
        rate = own["lr"] * (lr / self._lr) if "lr" in own else lr
        return Rates(rate, own.get("weight_decay", weight_decay), step)


def _checked(groups: object, names: Sequence[str], lr: float) -> dict[str, dict[str, float]]:
    """Return the options as floats by pattern."""
    if not isinstance(groups, Mapping):
        raise TypeError(f"groups: expected a dict pattern -> options, got {type(groups).__name__}")
    found: dict[str, dict[str, float]] = {}
    for pattern, options in _items(groups):
        label = f"groups[{pattern!r}]"
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"groups: expected patterns of some of {list(names)}, got {pattern!r}")
        if not isinstance(options, Mapping) or not options or set(options) - set(_OPTIONS):
            raise ValueError(f"{label}: expected a dict with lr or weight_decay, got {options!r}")
        if "lr" in options and lr == 0:
            raise ValueError(f"{label}: expected an optimiser whose lr is above 0 for a group's lr")
        found[pattern] = {n: as_number(f"{label}[{n!r}]", value) for n, value in options.items()}
    return found


def _items(groups: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for pattern, options in groups.items():
        if not isinstance(pattern, str):
            raise TypeError(f"groups: expected patterns as strings, got {pattern!r}")
        yield pattern, options
