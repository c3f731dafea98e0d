"""Which gradient belongs to which array: the structures that optimisers take, checked.

Both sides come as one item or as a list of them; an item is a layer, a dict of arrays or an array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from simdrnn.layers.gradients import Gradients
from simdrnn.training.trainable import Trainable, as_floats, lend
from simdrnn.validate import Array, as_array

__all__ = [
    "GradientOf",
    "Leaf",
    "Owner",
    "ParameterTree",
    "arrays_of",
    "check_distinct",
    "check_like",
    "check_names",
    "gradients_of",
    "match_one",
    "writable",
]

Owner: TypeAlias = "Trainable | dict[str, Array] | Array"
ParameterTree: TypeAlias = "Owner | Sequence[Owner]"
GradientOf: TypeAlias = "Gradients | Mapping[str, Array] | Array"


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """One parameter: `name` within its owner, `key` in the state dict, `state` of its own."""

    name: str
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    state: dict[str, Array]


def arrays_of(label: str, owner: object) -> Mapping[str, Array]:
    """Return the parameters of `owner` by name, checked to be ones that can be updated."""
    if isinstance(owner, Trainable):
        return owner.parameters()
    named: dict[str, Any] = owner if isinstance(owner, dict) else {"": owner}
    for name, array in named.items():
        where = _join(label, name)
        if not isinstance(array, np.ndarray):
            wanted = "a layer, a module, a float array or a dict of arrays"
            raise TypeError(f"{where}: expected {wanted}, got {type(array).__name__}")
        as_floats(where, array)
        if not array.dtype.isnative:
            raise TypeError(f"{where}: expected native byte order, got {array.dtype}")
        if not array.flags.writeable:
            raise ValueError(f"{where}: expected a writable array, got a read-only one")
    return named


def gradients_of(label: str, owner: object, grads: object) -> Mapping[str, Array]:
    """Return what `grads` holds for `owner`, by name, not checked yet."""
    if isinstance(owner, np.ndarray):
        return {"": grads}  # type: ignore[dict-item]  # checked by _match_one
    if isinstance(grads, Gradients):
        return grads.params
    if isinstance(grads, Mapping):
        return grads
    raise TypeError(f"{label}: expected Gradients or a dict of arrays, got {type(grads).__name__}")


def match_one(
    label: str, leaves: Sequence[Leaf], found: Mapping[str, Array]
) -> Mapping[str, Array]:
    """Return `found` if it is exactly one array for each of `leaves`."""
    check_names(label, [leaf.name for leaf in leaves], found)
    return {
        leaf.name: check_like(_join(label, leaf.name), found[leaf.name], leaf.shape, leaf.dtype)
        for leaf in leaves
    }


def check_like(name: str, value: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return `value` if it has this shape and dtype."""
    array = as_array(name, value, dtype)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return array


def check_names(label: str, expected: Sequence[str] | Mapping[str, Any], found: object) -> None:
    """Raise unless `found` is a mapping with exactly the `expected` names."""
    if not isinstance(found, Mapping):
        raise TypeError(f"{label}: expected a dict, got {type(found).__name__}")
    if set(expected) != set(found):
        raise ValueError(f"{label}: expected the names {list(expected)}, got {list(found)}")


def check_distinct(owners: Sequence[Owner]) -> None:
    """Raise if an owner or an array is listed twice: it would be updated twice a step."""
    seen: set[int] = set()
    for owner in owners:
        for item in owner.values() if isinstance(owner, dict) else [owner]:
            if id(item) in seen:
                raise ValueError("layers: expected each layer and array once, got one twice")
            seen.add(id(item))


def writable(owner: Owner) -> AbstractContextManager[Mapping[str, Array]]:
    """Lend the arrays of `owner` for writing, by name."""
    if isinstance(owner, Trainable):
        return lend(owner)
    return nullcontext(owner if isinstance(owner, dict) else {"": owner})


def _join(label: str, name: str) -> str:
    return f"{label}[{name!r}]" if name else label
