"""Put the arrays of a stack of layers into a package's container."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdrnn.dialects.slots import Container
from simdrnn.validate import Array

__all__ = ["RowArrays", "pack"]

# The arrays of one direction by name of the slot; by layer and direction.
Arrays = dict[str, Array]


class RowArrays:
    """Makes the arrays of one layer's directions.

    Where a package has a first axis for the directions, each gets a view of one array.
    """

    def __init__(self, container: Container, directions: int, dtype: np.dtype[Any]) -> None:
        self._directions = directions if container is Container.DIRECTIONS else 0
        self._dtype = dtype
        self._whole: dict[str, Array] = {}

    def allocate(self, direction: int, name: str, shape: tuple[int, ...]) -> Array:
        """Return an array to be filled with the weights of a direction."""
        if not self._directions:
            return np.empty(shape, self._dtype)
        if name not in self._whole:
            self._whole[name] = np.empty((self._directions, *shape), self._dtype)
        view: Array = self._whole[name][direction]
        return view


def _nested(arrays: Arrays, module: str) -> dict[str, Any]:
    """Part each path into the name of an inner dict and the name in it."""
    nested: dict[str, Any] = {}
    for path, array in arrays.items():
        outer, _, name = "/".join(filter(None, (module, path))).rpartition("/")
        if outer:
            nested.setdefault(outer, {})[name] = array
        else:
            nested[name] = array
    return nested


def _numbers(arrays: Arrays, kind: str, hidden: int) -> dict[str, Any]:
    """Return one layer as it stands in a JSON file."""
    return {
        "type": kind,
        "activation": "",
        "shape": [None, None, hidden],
        "weights": [array.tolist() for array in arrays.values()],
    }


def pack(
    stack: list[list[Arrays]], container: Container, *, kind: str, module: str, hidden_size: int
) -> Any:
    """Return the container, for a single layer or direction without a list around it.

    Parameters
    ----------
    stack : arrays by name of the slot, for each direction of each layer.
    container : of the dialect.
    kind : name of the cell.
    module : what stands before the names of nested dicts.
    hidden_size : H.
    """
    if container in (Container.SUFFIXED, Container.MODEL):
        named = {
            f"{name}_l{layer}{'_reverse' * direction}": array
            for layer, row in enumerate(stack)
            for direction, arrays in enumerate(row)
            for name, array in arrays.items()
        }
        if container is Container.SUFFIXED:
            return named
        return {"state_dict": {f"{module}.{n}": array.tolist() for n, array in named.items()}}
    if container is Container.SEQUENCE:
        return [array for row in stack for arrays in row for array in arrays.values()]
    if container is Container.DIRECTIONS:
        # Each direction is a view of one array that has all of them.
        units: list[Any] = [{name: array.base for name, array in row[0].items()} for row in stack]
    else:
        units = [arrays for row in stack for arrays in row]
        if container is Container.NESTED:
            units = [_nested(arrays, module) for arrays in units]
        elif container is Container.JSON:
            units = [_numbers(arrays, kind, hidden_size) for arrays in units]
    return units[0] if len(units) == 1 else units
