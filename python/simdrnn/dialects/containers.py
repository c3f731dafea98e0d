"""What holds the arrays of a stack of layers: named, listed, nested, stacked, or as numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from simdrnn.dialects.arrays import as_weights, from_numbers
from simdrnn.dialects.blocks import Direction, Named, read_direction
from simdrnn.dialects.choosing import chosen
from simdrnn.dialects.slots import Container, Layout
from simdrnn.validate import Array

__all__ = ["read_stack"]

# The arrays of one direction, by name of the slot.
Arrays = dict[str, Named]
Stack = list[list[Direction]]

_END = re.compile(r"(.*?)(?:_l(\d+)(_reverse)?)?", re.S)

# The most layers that names may count to; a name alone must not make a list of any length.
_MOST_LAYERS = 2**16


def _read(arrays: Arrays, layout: Layout, where: str = "") -> Direction:
    """Read one direction if every array is there that has to be.

    Of biases, and of peepholes, there are all or none.
    """
    biases = [slot.name for slot in layout.slots if slot.is_bias and not slot.optional]
    peepholes = [slot.name for slot in layout.slots if slot.pieces[0][0] == "peephole"]
    required = [slot.name for slot in layout.slots if not (slot.is_bias or slot.optional)]
    for together in (biases, peepholes):
        if any(name in arrays for name in together):
            required += together
    if any(name not in arrays for name in required):
        raise ValueError(
            f"weights{where}: expected {', '.join(required)}, got {', '.join(arrays) or 'nothing'}"
        )
    return read_direction(arrays, layout)


class _Names:
    """Parts the names of one module's weights into a start, which all share, and a slot's name."""

    def __init__(self, layout: Layout, where: str = "") -> None:
        self.names = [slot.name for slot in layout.slots]
        self.known = sorted(self.names, key=len, reverse=True)  # "projection/kernel", "kernel"
        self.where = where
        self.first: tuple[str, str] | None = None

    def split(self, text: str) -> tuple[str, str] | None:
        """Part a name into its start and a slot's name; None where it does not end in one."""
        for name in self.known:
            if text == name or text.endswith(("/" + name, "." + name)):
                return text.removesuffix(name), name
        return None

    def find(self, key: str, text: str) -> str:
        """Return the slot's name that `text`, `key` without what is no name, ends in."""
        parts = self.split(text)
        if parts is None:
            names = ", ".join(self.names)
            raise ValueError(f"weights{self.where}: expected names among {names}, got {key!r}")
        start, name = parts
        if self.first is None:
            self.first = start, key
        elif self.first[0] != start:
            raise ValueError(
                f"weights{self.where}: expected the names of one module, got {self.first[1]!r} "
                f"and {key!r}"
            )
        return name


def _flatten(value: object, where: str = "") -> dict[str, Any]:
    """Join the names of nested dicts with "/"."""
    if not isinstance(value, Mapping):
        found = type(value).__name__
        found += ": pass its state_dict()" if hasattr(value, "state_dict") else ""
        raise TypeError(f"weights{where}: expected a dict, got {found}")
    flat: dict[str, Any] = {}
    for key, member in value.items():
        if not isinstance(key, str):
            raise TypeError(f"weights{where}: expected names, got {key!r}")
        if isinstance(member, Mapping):
            flat |= {f"{key}/{name}": one for name, one in _flatten(member, where).items()}
        else:
            flat[key] = member
    return flat


def _required(layout: Layout) -> set[str]:
    """Return the names of the slots that no layer does without."""
    return {slot.name for slot in layout.slots if not (slot.is_bias or slot.optional)}


def _named(value: object, layout: Layout, where: str, prefix: str | None) -> Arrays:
    """Return the arrays of a dict, which may be nested, by name of the slot."""
    names, arrays = _Names(layout, where), {}

    def split(key: str) -> tuple[str, str] | None:
        # TensorFlow 1 adds to its variables' names the number of an operation's output.
        return names.split(key.removesuffix(":0"))

    flat = chosen(_flatten(value, where), split, _required(layout), prefix, where)
    for key, member in flat.items():
        name, label = names.find(key, key.removesuffix(":0")), f"weights{where}[{key!r}]"
        arrays[name] = Named(label, as_weights(label, member))
    return arrays


def _suffixed(
    weights: object, layout: Layout, prefix: str | None, read: Callable[[str, object], Array]
) -> Stack:
    """Read names that end in the layer's number and the direction."""
    names = _Names(layout)

    def parts(key: str) -> tuple[str, str | None, str | None]:
        match = _END.fullmatch(key)
        return match.groups() if match else (key, None, None)  # type: ignore[return-value]

    flat = _flatten(weights)
    flat = chosen(flat, lambda key: names.split(parts(key)[0]), _required(layout), prefix, "")
    groups: dict[tuple[int, bool], Arrays] = {}
    for key, value in flat.items():
        text, number, reverse = parts(key)
        name = names.find(key, text)
        arrays = groups.setdefault((int(number or 0), reverse is not None), {})
        if name in arrays:
            raise ValueError(f"weights: expected one of {arrays[name].label!r} and {key!r}")
        arrays[name] = Named(key, read(key, value))
    layers = 1 + max((layer for layer, _ in groups), default=0)
    directions = (False, True)[: 1 + any(reverse for _, reverse in groups)]
    if layers > _MOST_LAYERS:
        raise ValueError(f"weights: expected at most {_MOST_LAYERS} layers, got {layers}")
    return [
        [
            _read(
                groups.get((layer, reverse), {}),
                layout,
                f" of layer {layer}{', reverse' * reverse}",
            )
            for reverse in directions
        ]
        for layer in range(layers)
    ]


def _listed(weights: object, expected: str) -> Sequence[Any]:
    """Return a list that is not empty."""
    if not isinstance(weights, (list, tuple)):
        found = type(weights).__name__
        found += ": pass its get_weights()" if hasattr(weights, "get_weights") else ""
        raise TypeError(f"weights: expected {expected}, got {found}")
    if not weights:
        raise ValueError(f"weights: expected {expected}, got an empty one")
    return weights


def _sequence(weights: object, layout: Layout) -> list[Direction]:
    """Read a list of the arrays of all directions; with biases if they can be such."""
    values: list[Any] = []
    for value in _listed(weights, "a list of arrays"):  # or of lists, one for each layer
        values += value if isinstance(value, (list, tuple)) else [value]
    arrays = [as_weights(f"weights[{k}]", value) for k, value in enumerate(values)]
    names = [slot.name for slot in layout.slots]
    without = [name for name in names if name not in layout.biases]
    failed: ValueError | None = None
    for group in (names, without):
        if len(arrays) % len(group):
            continue
        try:
            return [
                _read(
                    {
                        name: Named(f"weights[{start + k}] ({name})", arrays[start + k])
                        for k, name in enumerate(group)
                    },
                    layout,
                )
                for start in range(0, len(arrays), len(group))
            ]
        except ValueError as error:
            failed = failed or error
    raise failed or ValueError(
        f"weights: expected {len(names)} arrays for each direction ({', '.join(names)}), or "
        f"{len(without)} without biases, got {len(arrays)}"
    )


def _units(weights: object) -> list[tuple[str, object]]:
    """Return what holds one layer or direction, each with its place for messages."""
    if isinstance(weights, Mapping):
        return [("", weights)]
    return [(f"[{k}]", one) for k, one in enumerate(_listed(weights, "a dict, or a list of dicts"))]


def _stacked_directions(weights: object, layout: Layout) -> Stack:
    """Read dicts, one for each layer, of arrays whose first axis is for the directions."""
    stack: Stack = []
    for where, unit in _units(weights):
        arrays = _named(unit, layout, where, None)
        counts: dict[int, str] = {}
        for label, array in arrays.values():
            if array.ndim == 0 or array.shape[0] not in (1, 2):
                raise ValueError(
                    f"{label}: expected a first axis of 1 or 2 directions, got shape {array.shape}"
                )
            counts.setdefault(array.shape[0], label)
        if len(counts) > 1:
            raise ValueError(
                f"weights{where}: expected as many directions in {counts[1]} as in {counts[2]}"
            )
        stack.append(
            [
                _read(
                    {n: Named(f"{a.label}[{d}]", a.array[d]) for n, a in arrays.items()},
                    layout,
                    where,
                )
                for d in range(max(counts, default=1))
            ]
        )
    return stack


def _numbers(weights: object, layout: Layout, kind: str) -> list[Direction]:
    """Read layers as they stand in RTNeural's JSON files, or all that are of the kind."""
    units = _units(weights)
    if isinstance(weights, Mapping) and "layers" in weights:
        members = enumerate(_listed(weights["layers"], "a list under 'layers'"))
        units = [
            (f"['layers'][{k}]", one)
            for k, one in members
            if isinstance(one, Mapping) and one.get("type") == kind
        ]
        if not units:
            raise ValueError(f"weights: expected a layer of type {kind!r} under 'layers', got none")
    names, found = [slot.name for slot in layout.slots], []
    for where, unit in units:
        if not isinstance(unit, Mapping) or "weights" not in unit:
            raise ValueError(f"weights{where}: expected a dict with 'weights', got {unit!r:.80}")
        if unit.get("type", kind) != kind:
            raise ValueError(f"weights{where}['type']: expected {kind!r}, got {unit['type']!r}")
        place = f"weights{where}['weights']"
        values = unit["weights"]
        if not isinstance(values, (list, tuple)) or len(values) != len(names):
            raise ValueError(f"{place}: expected a list of {', '.join(names)}, got {values!r:.80}")
        labels = [f"{place}[{k}]" for k in range(len(names))]
        read = [from_numbers(one, value) for one, value in zip(labels, values, strict=True)]
        if len({array.dtype for array in read}) > 1:  # lists only: some fit float32, others do not
            read = [array.astype("float64") for array in read]
        found.append(_read(dict(zip(names, map(Named, labels, read), strict=True)), layout, where))
    return found


def _pair(directions: list[Direction], bidirectional: bool | None) -> Stack:
    """Tell layers from directions: by what was said, else by the numbers of inputs."""
    count = len(directions)
    if bidirectional is None:
        pairs = list(zip(directions[::2], directions[1::2], strict=count % 2 == 0))
        paired = count % 2 == 0 and all(
            one.input_size == other.input_size and one.hidden_size == other.hidden_size
            for one, other in pairs
        )
        chained = all(
            above.input_size == below.output_size for below, above in pairwise(directions)
        )
        if paired and chained:
            raise ValueError(
                f"bidirectional: expected True or False, as the weights may be those of {count} "
                f"layers or of {count // 2} in both directions"
            )
        bidirectional = paired
    if bidirectional and count % 2:
        raise ValueError(
            f"bidirectional: expected False, as there are weights of {count} directions, got True"
        )
    each = 2 if bidirectional else 1
    return [directions[k : k + each] for k in range(0, count, each)]


def read_stack(
    weights: object,
    container: Container,
    layout: Layout,
    kind: str,
    bidirectional: bool | None,
    prefix: str | None = None,
) -> Stack:
    """Read all layers and directions.

    Parameters
    ----------
    weights : in the dialect's container.
    container, layout : of the dialect.
    kind : name of the cell.
    bidirectional : whether directions in a list are paired; None finds out.
    prefix : what the names of the module begin with, in the weights of a whole model.

    Returns
    -------
    list of layers, each the list of its directions.

    Raises
    ------
    TypeError, ValueError
        If the container or what it holds is not the dialect's.
    """
    if container is Container.SUFFIXED:
        stack = _suffixed(weights, layout, prefix, as_weights)
    elif container is Container.MODEL:
        stack = _suffixed(weights, layout, prefix, from_numbers)
    elif container is Container.DIRECTIONS:
        stack = _stacked_directions(weights, layout)
    elif container is Container.SEQUENCE:
        stack = _pair(_sequence(weights, layout), bidirectional)
    elif container is Container.JSON:
        stack = _pair(_numbers(weights, layout, kind), bidirectional)
    else:
        units = _units(weights)
        directions = [
            _read(_named(unit, layout, where, prefix), layout, where) for where, unit in units
        ]
        stack = _pair(directions, bidirectional)
    if bidirectional is not None and any(len(row) != 1 + bidirectional for row in stack):
        raise ValueError(
            f"bidirectional: expected {not bidirectional}, as the weights show, got {bidirectional}"
        )
    return stack
