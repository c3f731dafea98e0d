"""Which names of a whole model's weights are those of one recurrent module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["chosen"]

# Most names of modules that a message lists.
_SHOWN = 12


def chosen(
    flat: Mapping[str, Any],
    split: Callable[[str], tuple[str, str] | None],
    required: set[str],
    prefix: str | None,
    where: str,
) -> dict[str, Any]:
    """Return the weights of one module out of those of a model.

    Without a prefix that is the only module that has weights of such names; where names do not
    fit, all are returned, for whoever checks them to complain of.

    Parameters
    ----------
    flat : the weights by name.
    split : parts a name into a start and the name of a weight; None where it ends in none.
    required : names of weights that the cell cannot do without.
    prefix : what the names start with, or None.
    where : of messages.

    Raises
    ------
    ValueError
        If no name starts with `prefix`, or several modules have all that is needed.
    """
    found: dict[str, set[str]] = {}
    for name in flat:
        part = split(name)
        if part is not None and (prefix is None or _below(name, prefix)):
            found.setdefault(part[0], set()).add(part[1])
    whole = [start for start, names in found.items() if required <= names]
    if prefix is not None and not any(_below(name, prefix) for name in flat):
        every = {start for start, _ in filter(None, map(split, flat))}
        raise ValueError(
            f"prefix: expected the start of names in weights{where}, got {prefix!r}; "
            f"{_listed(sorted(every))}"
        )
    if len(whole) > 1:
        raise ValueError(
            f"prefix: expected that of one of the modules in weights{where}, which are "
            f"{_listed(whole)}, got {prefix!r}"
        )
    if len(whole) == 1 and len(found) == 1:
        return {name: one for name, one in flat.items() if _own(name, whole[0], split)}
    return {name: one for name, one in flat.items() if prefix is None or _below(name, prefix)}


def _below(name: str, prefix: str) -> bool:
    """Tell whether a name lies in a module: "a.b" does in "a", "ab" does not."""
    rest = name.removeprefix(prefix)
    ended = not prefix or prefix[-1] in "./" or rest[:1] in (".", "/")
    return name.startswith(prefix) and ended


def _own(name: str, start: str, split: Callable[[str], tuple[str, str] | None]) -> bool:
    """Tell whether a weight is the module's own, by whatever name, not that of one below it."""
    part = split(name)
    if part is not None:
        return part[0] == start
    rest = name.removeprefix(start)
    return name.startswith(start) and "." not in rest and "/" not in rest


def _listed(starts: list[str]) -> str:
    """List modules."""
    if not starts:
        return "no module in it has such weights"
    shown = ", ".join(repr(start) for start in starts[:_SHOWN])
    return shown + (f" and {len(starts) - _SHOWN} more" if len(starts) > _SHOWN else "")
