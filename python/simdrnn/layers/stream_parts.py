"""What a stream is made of: its layers, the form of their states, and what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from simdrnn.engine.streaming import Stage
from simdrnn.layers.arguments import ArgumentChecks, Layout
from simdrnn.validate import Array, as_array, readable

__all__ = ["Form", "Frozen", "Group", "Inputs", "StreamLayer", "Vectors"]


class StreamLayer(NamedTuple):
    """A layer in a stream: what its states are, and how they are checked.

    Attributes
    ----------
    checks : of its states, with the learned ones of the version.
    layers : of each of its networks: how many of its L layers it has.
    """

    checks: ArgumentChecks
    layers: tuple[int, ...]


class Group(NamedTuple):
    """The form of several states: a tuple, of those of layers or of the parts of a model."""

    what: str
    forms: tuple[Form, ...]


# How callers have states: that of a layer, by its place; several; none.
Form: TypeAlias = "int | Group | None"


class Inputs(Protocol):
    """What a stream is given: vectors, or for an embedding integers."""

    size: int | None
    letters: tuple[str, ...]
    sizes: tuple[int, ...]

    def array(self, name: str, value: object) -> Array:
        """Return what a caller has as an array of any shape."""
        ...

    def ready(self, name: str, array: Array) -> Array:
        """Return it as the engine reads it, its shape being right."""
        ...


class Vectors:
    """(..., I) of a dtype.

    Attributes
    ----------
    size : I.
    letters, sizes : the last axis.
    """

    letters: tuple[str, ...] = ("I",)

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self._dtype = dtype
        self.size: int | None = size
        self.sizes: tuple[int, ...] = (size,)

    def array(self, name: str, value: object) -> Array:
        """Return what a caller has as an array of any shape."""
        return as_array(name, value, self._dtype)

    def ready(self, name: str, array: Array) -> Array:
        """Return it as the engine reads it."""
        return readable(array)


class Frozen(NamedTuple):
    """What a stream is made of.

    Attributes
    ----------
    owner : a copy of the layer, stack or model that nobody else has, with the parameters of then.
    stages : what the engine does at a step.
    members : the layers, in the order of the networks.
    form : of `state`, which has those of the members.
    layout : of sequences.
    dtype : of vectors.
    inputs : what a step is given.
    output_size : F.
    attention : checks what its cells take beside x, if they do; None where there are no cells.
    """

    owner: Any
    stages: Sequence[Stage]
    members: tuple[StreamLayer, ...]
    form: Form
    layout: Layout
    dtype: np.dtype[Any]
    inputs: Inputs
    output_size: int
    attention: ArgumentChecks | None
