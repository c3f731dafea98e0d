"""Which gradient belongs to which array: the structures that optimisers take, checked.

Both sides come as one item or as a list of them; an item is a layer, a dict of arrays or an array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from simdrnn.engine.packing import Holding
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.snapshots import is_snapshot
from simdrnn.training.trainable import Trainable, as_floats, lend
from simdrnn.validate import Array, as_array, check_distinct_elements

__all__ = [
    "GradientOf",
    "Leaf",
    "Owner",
    "ParameterTree",
    "arrays_lent",
    "arrays_of",
    "check_distinct",
    "check_like",
    "check_names",
    "gradients_of",
    "is_trained",
    "lent_by",
    "match_one",
    "own_memory",
    "taken_together",
]

Owner: TypeAlias = "Trainable | dict[str, Array] | Array"
ParameterTree: TypeAlias = "Owner | Sequence[Owner]"
GradientOf: TypeAlias = "Gradients | Mapping[str, Array] | Array"
Lent: TypeAlias = "AbstractContextManager[Mapping[str, Array]] | Mapping[str, Array]"


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """One parameter: `name` within its owner, `key` in the state dict, `state` of its own."""

    name: str
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    state: dict[str, Array]


def is_trained(owner: object) -> bool:
    """Tell whether an owner is a layer or module: it takes too long to ask at every step."""
    return isinstance(owner, Trainable)


def arrays_of(label: str, owner: Any, trained: bool) -> Mapping[str, Array]:
    """Return the parameters of `owner` by name, checked to be ones that can be updated."""
    if trained:
        return owner.parameters()  # type: ignore[no-any-return]
    named: dict[str, Any] = owner if isinstance(owner, dict) else {"": owner}
    for name, array in named.items():
        where = _join(label, name)
        if not isinstance(array, np.ndarray):
            wanted = "a layer, a module, a float array or a dict of arrays"
            raise TypeError(f"{where}: expected {wanted}, got {type(array).__name__}")
        as_floats(where, array)
        if not array.dtype.isnative:
            raise TypeError(f"{where}: expected native byte order, got {array.dtype}")
        if is_snapshot(array):
            raise TypeError(
                f"{where}: expected the layer itself, got its state_dict(): copies, whose training "
                "would leave the layer as it is; pass the layer"
            )
        if not array.flags.writeable:
            raise ValueError(
                f"{where}: expected a writable array, got a read-only one; to train a layer pass "
                "the layer, not its parameters()"
            )
        check_distinct_elements(where, array)
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


def match_one(label: str, leaves: Sequence[Leaf], found: Mapping[str, Array]) -> list[Array]:
    """Return what `found` has for each of `leaves`, if it is exactly one array for each."""
    if type(found) is dict and len(found) == len(leaves):
        arrays = []
        for leaf in leaves:  # in line: twice for each parameter at each step
            array = found.get(leaf.name)
            if type(array) is not np.ndarray or array.dtype is not leaf.dtype:
                break
            if array.shape != leaf.shape:
                break
            arrays.append(array)
        else:  # all are beyond doubt arrays of their leaves' shapes and dtypes
            return arrays
    check_names(label, [leaf.name for leaf in leaves], found)
    return [
        check_like(_join(label, leaf.name), found[leaf.name], leaf.shape, leaf.dtype)
        for leaf in leaves
    ]


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
    """Raise if an owner or an array is listed twice: it would be updated twice a step.

    A layer is listed twice, too, beside the stack or the model that it is a part of. So what is
    compared is where arrays begin.
    """
    seen: dict[int, tuple[int, Array]] = {}  # with the array, so that its place stays taken
    for index, owner in enumerate(owners):
        for name, array in arrays_of("layers", owner, is_trained(owner)).items():
            place = array.__array_interface__["data"][0]
            if array.size and place in seen:
                where = _join(f"layers[{index}]", name)
                raise ValueError(
                    "layers: expected each layer and array once, got one twice: "
                    f"{where} is in layers[{seen[place][0]}], too"
                )
            seen[place] = index, array


def own_memory(arrays: dict[str, Array]) -> None:
    """Copy those that cannot be written: pickles and memory maps may lie in memory of others."""
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) and not array.flags.writeable:
            arrays[name] = np.array(array)


def lent_by(owner: Any, trained: bool) -> Lent:
    """Return what lends the arrays of `owner` for writing, by name; or these, if they are bare."""
    if trained:
        return lend(owner)
    return owner if isinstance(owner, dict) else {"": owner}


def taken_together(lent: Sequence[Lent]) -> AbstractContextManager[Any]:
    """Return what has the parameters of all our layers and modules to itself, taken at once.

    So no two optimisers wait for each other, each with what the other needs.
    """
    return Holding.together([one for one in lent if isinstance(one, Holding)])


def arrays_lent(one: Lent, others: ExitStack) -> Mapping[str, Array]:
    """Return the arrays by name, inside `taken_together`; what is not ours is entered."""
    if isinstance(one, Holding):
        return one.lent  # type: ignore[no-any-return]
    return one if isinstance(one, Mapping) else others.enter_context(one)


def _join(label: str, name: str) -> str:
    return f"{label}[{name!r}]" if name else label
