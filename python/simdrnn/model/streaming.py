"""A model as a stream: what each part is in it, and which parts cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from simdrnn.engine.streaming import Stage
from simdrnn.layers.arguments import ArgumentChecks, Layout
from simdrnn.layers.bound import BoundLayer, bound_layer
from simdrnn.layers.parametrised import parameters_of
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.stream_parts import Form, Frozen, Group, Inputs, StreamLayer, Vectors
from simdrnn.layers.streaming import (
    Stream,
    check_causal,
    check_settled,
    copy_of_version,
    layer_stage,
    open_stream,
)
from simdrnn.model.chain import Link, links_of
from simdrnn.model.owner import PartOwner
from simdrnn.stack.stack import Stack
from simdrnn.training.dropout import Dropout
from simdrnn.training.modules import Embedding, Linear, as_indices, check_range, integer_array
from simdrnn.training.trainable import kept_still
from simdrnn.validate import Array

__all__ = ["stream"]

_EXPECTED = "layers, stacks, Linear, Dropout, Pooling('last') and an Embedding to begin with"


class Numbers:
    """Integers, for an embedding: what a stream is given in place of vectors.

    Attributes
    ----------
    size : None.
    letters, sizes : no axis.
    """

    size: int | None = None
    letters: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()

    def __init__(self, count: int) -> None:
        self._count = count

    def array(self, name: str, value: object) -> Array:
        """Return what a caller has as an array of any shape."""
        if isinstance(value, (list, tuple)) and not len(value):  # which NumPy takes for floats
            return np.zeros(0, np.int64)
        return integer_array(name, value)

    def ready(self, name: str, array: Array) -> Array:
        """Return it as the engine reads it."""
        check_range(name, array, self._count)
        return as_indices(array).reshape(array.shape)


class _Assembly:
    """Collects what the parts of a model are in a stream.

    Attributes
    ----------
    stages, members : as in `Frozen`.
    inputs : what the first part is given; None as long as there is none.
    output_size, dtype : of the last part.
    bounds : of the members.
    embedding : names that lead to the embedding it begins with, if it does.
    """

    def __init__(self) -> None:
        self.embedding: tuple[str, ...] = ()
        self.stages: list[Stage] = []
        self.members: list[StreamLayer] = []
        self.inputs: Inputs | None = None
        self.output_size = 0
        self.dtype: np.dtype[Any] | None = None
        self.bounds: list[BoundLayer] = []
        self._pooled = False

    def add_parts(self, links: Sequence[Link], path: tuple[str, ...] = ()) -> tuple[Form, ...]:
        """Add the parts of a chain; return the form of its state, if it has any."""
        forms: list[Form] = []
        for link in links:
            inner, part = (*path, link.name), link.part
            name = ".".join(inner)
            if self._pooled and link.recurrent:
                raise ValueError(f"{name}: it needs steps, and a Pooling has made one of them")
            if isinstance(part, PartOwner):
                forms += self.add_parts(_links(name, part), inner)
            elif link.recurrent:
                forms.append(self._recurrent(name, part))
            elif not isinstance(part, Dropout):
                self._around(name, part, inner)
            self._pooled = self._pooled or link.pooling is not None
        return tuple(forms) if len(forms) < 2 else (Group("part", tuple(forms)),)

    def _around(self, name: str, part: Embedding | Linear, path: tuple[str, ...]) -> None:
        """Add a part without a state."""
        check_settled(parameters_of(part))
        if isinstance(part, Embedding):
            self.embedding, inputs = path, Numbers(part.num_embeddings)
            self._append(name, part.dtype, Stage("embedding"), inputs, part.embedding_dim)
            return
        stage = Stage("linear", packed=part._packed(), width=part.out_features)
        given = Vectors(part.dtype, part.in_features)
        self._append(name, part.dtype, stage, given, part.out_features)

    def _recurrent(self, name: str, part: RecurrentLayer | Stack) -> Form:
        """Add a layer or a stack; return the form of its state."""
        first = len(self.members)
        own: tuple[StreamLayer, ...]
        if isinstance(part, Stack):
            stage, own = part._stream_stage()
            bounds, width = [bound_layer(layer) for layer in part.layers], part.output_size
        else:
            check_settled(parameters_of(part))
            bounds = [bound_layer(part)]
            stage, member = layer_stage(bounds[0], bounds[0].ready())
            own, width = (member,), bounds[0].width
        self._append(name, part.dtype, stage, Vectors(part.dtype, part.input_size), width)
        self.members += own
        self.bounds += bounds
        if bounds[0].checks.layout != self.bounds[0].checks.layout:
            raise ValueError(f"{name}: expected parts that all have batch_first, or none")
        if not isinstance(part, Stack):
            return first
        return Group("layer", tuple(range(first, len(self.members))))

    def _append(
        self, name: str, dtype: np.dtype[Any], stage: Stage, inputs: Inputs, width: int
    ) -> None:
        """Add a stage. That models within a model fit what is around them nobody has seen yet."""
        if self.inputs is None:
            self.inputs = inputs
        elif inputs.size != self.output_size or dtype != self.dtype:
            raise ValueError(
                f"{name}: expected a part that takes vectors of {self.output_size} of "
                f"{self.dtype}, got one of {inputs.size} of {dtype}"
            )
        self.stages.append(stage)
        self.output_size, self.dtype = width, dtype

    def attention(self) -> ArgumentChecks | None:
        """Return the checks of a cell that takes attention, if there is one, else of another."""
        takers = [bound for bound in self.bounds if bound.info.step_inputs > 0]
        return next((bound.checks for bound in takers or self.bounds), None)


def stream(self: Any, batch_size: int = 1, num_threads: int = 1) -> Stream:
    """Return a stream: the chain of parts as it is now, fed as its input arrives.

    A step is one call of the engine from what is put in to what the last part makes of it, with
    the bits of calling the model.

    Parameters
    ----------
    batch_size : B, rows whose states the stream keeps.
    num_threads : how many threads a call of the stream may use. Never changes the result.

    Returns
    -------
    Stream; its `state` has the form of the state that a call returns. A model that begins with
    an `Embedding` is given integers, (B,) for a step. With ``Pooling("last")`` what each step
    puts out is what the model makes of all steps up to it. Later changes of the parameters do
    not reach it.

    Raises
    ------
    ValueError : the parts are no chain; a layer is bidirectional or reversed; or there is a
        part that a stream cannot hold, as a pooling over all steps. The message names it.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> model = sr.Model(
    ...     embedding=sr.Embedding(9, 4, seed=0),
    ...     rnn=sr.LSTM(4, 8, seed=1),
    ...     head=sr.Linear(8, 9, seed=2),
    ... )
    >>> tokens = np.array([[1, 2], [3, 4], [5, 6]])  # T, B
    >>> stream = model.stream(batch_size=2)
    >>> steps = [stream.step(row) for row in tokens]
    >>> bool((np.stack(steps) == model(tokens)[0]).all())
    True
    """
    return open_stream(_frozen(self, self._chain()), batch_size, num_threads)


def _frozen(model: Any, links: Sequence[Link]) -> Frozen:
    """Return what a stream of a model is made of, with the parameters of now."""
    if not _check_parts(model.parts, links, "", 0):
        raise ValueError(f"stream: expected a model of {_EXPECTED}, got nothing but Dropout")
    assembly = _Assembly()
    with kept_still(model):
        forms = assembly.add_parts(links)
        owner = copy_of_version(model, model.versions(), _alone)
    if assembly.embedding:
        part = owner
        for name in assembly.embedding:
            part = part.parts[name]
        assembly.stages[0] = Stage("embedding", table=part.parameters()["weight"])
    assert assembly.inputs is not None
    assert assembly.dtype is not None
    checks = assembly.attention()
    layout = Layout() if checks is None else checks.layout
    return Frozen(
        owner, assembly.stages, tuple(assembly.members), next(iter(forms), None), layout,
        assembly.dtype, assembly.inputs, assembly.output_size, checks,
    )  # fmt: skip


def _links(name: str, model: PartOwner) -> list[Link]:
    """Return the chain that a model within a model is."""
    try:
        return links_of(model.parts)
    except ValueError as error:
        raise ValueError(f"{name}: expected parts that follow each other, but {error}") from None


def _check_parts(parts: Mapping[str, Any], links: Sequence[Link], prefix: str, before: int) -> int:
    """Raise unless a stream can hold each part; return how many there are now that do something."""
    for link in links:
        name, part = f"{prefix}{link.name}", link.part
        if link.pooling is not None and link.pooling.kind != "last":
            pooling = next(n for n, one in parts.items() if one is link.pooling)
            raise ValueError(
                f"{prefix}{pooling}: expected a pooling of 'last' in a stream, got "
                f"{link.pooling.kind!r}, which looks at all steps"
            )
        if isinstance(part, PartOwner):
            before = _check_parts(part.parts, _links(name, part), f"{name}.", before)
        elif not isinstance(part, Dropout):
            _check_part(name, part, before)
            before += 1
    return before


def _check_part(name: str, part: Any, before: int) -> None:
    """Raise unless a stream can hold a part that stands behind so many others."""
    if isinstance(part, RecurrentLayer):
        bound = bound_layer(part)
        check_causal(name, bound.structure, bound.sizes.num_directions)
    elif isinstance(part, Stack):
        for index, layer in enumerate(part.layers):
            bound = bound_layer(layer)
            check_causal(f"{name}[{index}]", bound.structure, bound.sizes.num_directions)
    elif isinstance(part, Embedding):
        if before:
            raise ValueError(f"{name}: expected an Embedding as the first part of a stream alone")
    elif not isinstance(part, Linear):
        found = type(part).__name__
        raise ValueError(f"{name}: expected what a stream can hold, {_EXPECTED}; got {found}")


def _alone(part: Any) -> Any:
    """Return a copy of a part; of a model without what trains it or what a user's class has."""
    if not isinstance(part, PartOwner):
        return deepcopy(part)
    state = part.__getstate__()
    made = object.__new__(type(part))
    parts = {name: _alone(one) for name, one in state["parts"].items()}
    made.__setstate__({"parts": parts, "tied": state["tied"], "frozen": state["frozen"]})
    return made
