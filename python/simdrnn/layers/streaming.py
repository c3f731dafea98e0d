"""Streams: layers, stacks and models that are fed as their input arrives; their states live on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.engine.protocol import PackedNetwork, State
from simdrnn.engine.stream_core import StreamCore
from simdrnn.engine.streaming import CalledCore, Node, Nodes, Stage
from simdrnn.layers.bound import BoundLayer
from simdrnn.layers.parameters import Parameters
from simdrnn.layers.stream_parts import Form, Frozen, Group, StreamLayer, Vectors
from simdrnn.spec.structure import Structure
from simdrnn.validate import (
    MOST_THREADS,
    Array,
    array_of,
    as_positive,
    check_out,
    check_shape,
    dense,
)

__all__ = [
    "Stream",
    "check_causal",
    "check_settled",
    "copy_of_version",
    "frozen_layer",
    "layer_stage",
    "member_of",
    "open_stream",
]

_MOST_ROWS = 2**31 - 1  # of a batch: the engine numbers rows with 32 bits


def check_causal(name: str, structure: Structure, directions: int) -> None:
    """Raise unless each output of a layer depends on nothing that comes after it."""
    if directions == 2:
        raise ValueError(
            f"{name}: expected a layer of one direction, got bidirectional=True: the other begins "
            "with the end of the sequence, which a stream has not seen"
        )
    if structure.reverse:
        raise ValueError(
            f"{name}: expected a layer that runs forward in time, got reverse=True: it begins with "
            "the end of the sequence, which a stream has not seen"
        )


def member_of(
    nodes: Nodes, bound: BoundLayer, packed: PackedNetwork, given: int
) -> tuple[int, StreamLayer]:
    """Add the nodes of a layer with a version of its parameters; return what it makes, too."""
    checks = packed.beside or bound.checks
    initial = None
    if bound.learned is not None:
        learned = checks.reset_states("state", None, 1, checks.layout)
        initial = tuple(np.ascontiguousarray(state[:, 0]) for state in learned or ())
    before = len(nodes.made)
    made = nodes.network(
        packed, given, bound.sizes.num_layers, tuple(bound.checks.state_sizes), initial
    )
    own = tuple(node.layers for node in nodes.made[before:] if node.state_sizes)
    return made, StreamLayer(checks, own)


class Stream:
    """A layer, a stack or a model that is fed as its input arrives.

    The rows' states live on from call to call, and however a sequence is cut into calls, the
    outputs are those of one call over all of it, bit for bit. The weights are those of the moment
    when it was made. Made by `simdrnn.LSTM.stream` and its like, by `simdrnn.Stack.stream` and by
    `simdrnn.Model.stream`.

    A stream belongs to one thread at a time: a call from another, while one is in, is refused. Any
    number of streams of one layer may run in as many threads; they share its packed weights.

    Attributes
    ----------
    batch_size : B.
    input_size, output_size : I, F. I is None for a model that begins with an `Embedding`: it is
        given integers.
    dtype : of all arrays, but for such integers.
    state : what the rows have now, in the form that the layer or the model returns it: a copy.
        Assigning one sets it.
    nbytes : of states and working memory.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer, x = sr.GRU(3, 4, seed=0), np.ones((6, 2, 3), "float32")
    >>> stream = layer.stream(batch_size=2)
    >>> parts = [stream.feed(x[:4]), stream.step(x[4])[None], stream.step(x[5])[None]]
    >>> bool((np.concatenate(parts) == layer(x)[0]).all())
    True
    >>> stream.reset(rows=[1])
    >>> [bool(row.any()) for row in stream.state[0]]
    [True, False]
    """

    __module__ = "simdrnn"

    batch_size: int
    num_threads: int
    _frozen: Frozen
    _feed: Callable[..., None]
    _reset: Callable[..., None]
    _move_states: Callable[..., None]

    def __new__(cls, *_: object, **__: object) -> Any:
        """Refuse to make one of no layer."""
        if cls is Stream:
            raise TypeError("Stream: expected one that layer.stream(batch_size) makes")
        return super().__new__(cls)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Floating-point type of all arrays."""
        return self._frozen.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of states and working memory; the weights, which streams share, not counted."""
        raise NotImplementedError

    @property
    def input_size(self) -> int | None:
        """I, or None where integers are taken."""
        return self._frozen.inputs.size

    @property
    def output_size(self) -> int:
        """F: D*H, or P with a projection; of a stack or a model what its last layer hands on."""
        return self._frozen.output_size

    def step(
        self,
        x: npt.ArrayLike,
        out: Array | None = None,
        *,
        rows: npt.ArrayLike | None = None,
        attention: npt.ArrayLike | None = None,
    ) -> Array:
        """Take one step.

        Parameters
        ----------
        x : (B, I), or with `rows` (N, I): what arrived for each of them, in their order; integers
            (B,) or (N,) for a model that begins with an `Embedding`.
        out : where the output is written; it must not overlap `x`. Without it an array is made.
        rows : N different row numbers; the other rows stay as they are. None is all rows.
        attention : (B,) or (N,): for cells that take a number beside x, and needed there.

        Returns
        -------
        (B, F), or with `rows` (N, F); `out` itself where it was given.

        Raises
        ------
        TypeError, ValueError : an argument does not fit, or another thread is in this stream. The
            states are then as they were.
        """
        numbers, letter = self._rows(rows)
        count = self.batch_size if numbers is None else len(numbers)
        inputs = self._frozen.inputs
        array = inputs.array("x", x)
        check_shape("x", array, (letter, *inputs.letters), (count, *inputs.sizes))
        given = inputs.ready("x", array)
        beside = self._attention(attention, (letter,), (count,))
        shape = (count, self.output_size)
        if out is None:
            output = np.empty(shape, self.dtype)
        else:
            output = check_out(out, self.dtype, (letter, "F"), shape, _inputs(array, beside))
        beside = None if beside is None else dense(beside).reshape(1, count)
        self._feed(given[None], output[None], numbers, beside)
        return output

    _step = step  # what the compiled engine's own step leaves to it

    def feed(
        self,
        chunk: npt.ArrayLike,
        out: Array | None = None,
        *,
        rows: npt.ArrayLike | None = None,
        attention: npt.ArrayLike | None = None,
    ) -> Array:
        """Take the steps of a chunk, as many as there are.

        Parameters
        ----------
        chunk : (t, B, I), or with `rows` (t, N, I); laid out as the layer's sequences are, so
            (B, t, I) with ``batch_first``. Without I, and integers, for a model that begins with an
            `Embedding`.
        out : where the output is written; it must not overlap `chunk`.
        rows : N different row numbers; the other rows stay as they are. None is all rows.
        attention : (t, B) or (t, N), laid out like `chunk`: for cells that take one, and needed.

        Returns
        -------
        (t, B, F) or (t, N, F), laid out like `chunk`; `out` itself where it was given.

        Raises
        ------
        TypeError, ValueError : an argument does not fit, or another thread is in this stream. The
            states are then as they were; so they are after Ctrl-C.
        """
        layout, inputs = self._frozen.layout, self._frozen.inputs
        numbers, letter = self._rows(rows)
        count = self.batch_size if numbers is None else len(numbers)
        array = inputs.array("chunk", chunk)
        letters = layout.shape("t", letter, *inputs.letters)
        if array.ndim != len(letters):
            wanted = ", ".join(map(str, layout.shape("t", count, *inputs.sizes)))
            raise ValueError(
                f"chunk: expected shape ({', '.join(letters)}) = ({wanted}), got {array.shape}; "
                "a single step is for step"
            )
        steps = array.shape[int(layout.batch_first)]
        check_shape("chunk", array, letters, layout.shape(steps, count, *inputs.sizes))
        given = inputs.ready("chunk", array)
        beside = self._attention(attention, layout.shape("t", letter), layout.shape(steps, count))
        shape = layout.shape(steps, count, self.output_size)
        if out is None:
            output = layout.caller(np.empty((steps, count, self.output_size), self.dtype))
        else:
            letters = layout.shape("t", letter, "F")
            output = check_out(out, self.dtype, letters, shape, _inputs(array, beside))
        self._feed(
            layout.time_first(given),
            layout.time_first(output),
            numbers,
            None if beside is None else dense(layout.time_first(beside)),
        )
        return output

    def reset(self, rows: npt.ArrayLike | None = None) -> None:
        """Begin anew, with what was learned where there is such, else with zeros.

        Parameters
        ----------
        rows : different row numbers; the other rows stay as they are. None is all rows.
        """
        self._reset(self._rows(rows)[0])

    @property
    def state(self) -> Any:
        """What the rows have now, in the form that the layer returns it; a copy."""
        states = self._arrays()
        self._move_states(self._networks(states), True)
        layout = self._frozen.layout
        return _formed(self._frozen.form, [layout.caller_state(own) for own in states])

    @state.setter
    def state(self, value: Any) -> None:
        checked = []
        for name, place, own in _taken_apart(self._frozen.form, "state", value):
            checks = self._frozen.members[place].checks
            checked.append(checks.states(name, own, self.batch_size, self._frozen.layout))
        self._move_states(self._networks(checked), False)

    def clone(self) -> Stream:
        """Return another stream with the same weights, which they share, and the states of now."""
        made = open_stream(self._frozen, self.batch_size, self.num_threads)
        made.state = self.state
        return made

    def __copy__(self) -> Stream:
        """Return a clone."""
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Stream:
        """Return a clone: nobody can change the weights."""
        return self.clone()

    def __reduce__(self) -> tuple[Callable[..., Stream], tuple[Any, ...]]:
        """Pickle the weights of the moment when it was made, and the states of now."""
        return _restored, (self._frozen.owner, self.batch_size, self.num_threads, self.state)

    def __repr__(self) -> str:
        """Show what it is a stream of."""
        return f"{self._frozen.owner!r}.stream(batch_size={self.batch_size})"

    def _arrays(self) -> list[tuple[Array, ...]]:
        """Return fresh arrays for the states: of each layer S arrays (L, B, size)."""
        return [
            tuple(
                np.empty((sum(member.layers), self.batch_size, size), self.dtype)
                for size in member.checks.state_sizes
            )
            for member in self._frozen.members
        ]

    def _networks(self, states: Sequence[tuple[Array, ...]]) -> list[list[Array]]:
        """Return views of layers' states (L, B, size) by network."""
        found = []
        for member, own in zip(self._frozen.members, states, strict=True):
            first = 0
            for layers in member.layers:
                found.append([state[first : first + layers] for state in own])
                first += layers
        return found

    def _rows(self, rows: object) -> tuple[Array | None, str]:
        """Check row numbers; return also the letter for how many there are."""
        if rows is None:
            return None, "B"
        array = array_of("rows", rows, "a list of row numbers")
        if array.size == 0:
            array = array.astype(np.int64)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise TypeError(
                f"rows: expected a list of row numbers, got {type(rows).__name__} "
                f"of shape {array.shape} and dtype {array.dtype}"
            )
        batch = self.batch_size
        if array.size and (array.min() < 0 or array.max() >= batch):
            worst = array.min() if array.min() < 0 else array.max()
            raise ValueError(f"rows: expected numbers in [0, B) = [0, {batch}), got {worst}")
        numbers, counts = np.unique(array, return_counts=True)
        if len(numbers) < len(array):
            raise ValueError(
                f"rows: expected each row once, got {numbers[counts.argmax()]} {counts.max()} times"
            )
        return np.ascontiguousarray(array, np.int64), "N"

    def _attention(
        self, value: object, letters: tuple[str, ...], shape: tuple[int, ...]
    ) -> Array | None:
        """Check the attention."""
        checks = self._frozen.attention
        if checks is not None:
            return checks.attention(value, letters, shape)
        if value is not None:
            found = type(value).__name__
            raise ValueError(f"attention: expected None, as no part takes attention, got {found}")
        return None


def _formed(form: Form, states: Sequence[State]) -> Any:
    """Return the states of the layers as callers have them."""
    if isinstance(form, Group):
        return tuple([_formed(one, states) for one in form.forms])
    return None if form is None else states[form]


def _taken_apart(form: Form, name: str, value: Any) -> Iterator[tuple[str, int, Any]]:
    """Yield the state of each layer with its name and place."""
    if isinstance(form, int):
        yield name, form, value
    elif form is None:
        if value is not None:
            found = type(value).__name__
            raise ValueError(f"{name}: expected None, since no part has a state, got {found}")
    else:
        count = len(form.forms)
        if not isinstance(value, (tuple, list)) or len(value) != count:
            found = type(value).__name__
            found += f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
            raise TypeError(
                f"{name}: expected a tuple of {count}, one for each {form.what}, got {found}"
            )
        for index, (one, own) in enumerate(zip(form.forms, value, strict=True)):
            yield from _taken_apart(one, f"{name}[{index}]", own)


def _inputs(x: Array, attention: Array | None) -> list[tuple[str, Array]]:
    """Return what a call reads, by name."""
    return [("x", x)] + ([] if attention is None else [("attention", attention)])


class _CompiledStream(StreamCore, Stream):
    """On the compiled engine, whose own step comes first."""

    def __init__(self, frozen: Frozen, batch: int, threads: int) -> None:
        stages = [stage.described for stage in frozen.stages]
        size = frozen.inputs.size or 0
        StreamCore.__init__(self, stages, size, batch, threads, frozen.dtype.name)
        self._frozen, self.batch_size, self.num_threads = frozen, batch, threads


class _CompiledModelStream(_CompiledStream):
    """Of several stages, which the engine runs on dense arrays."""

    def _feed(self, x: Array, out: Array, rows: Array | None, attention: Array | None) -> None:
        """Run x into out."""
        to = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        super()._feed(dense(x), to, rows, attention)
        if to is not out:
            out[...] = to


class _CalledStream(CalledCore, Stream):
    """On an engine that is called for each step."""

    def __init__(self, frozen: Frozen, batch: int, threads: int) -> None:
        CalledCore.__init__(self, frozen.stages, batch, threads, frozen.dtype.name)
        self._frozen, self.batch_size, self.num_threads = frozen, batch, threads


def open_stream(frozen: Frozen, batch_size: object, num_threads: object) -> Stream:
    """Return a stream of so many rows."""
    batch = as_positive("batch_size", batch_size)
    if batch > _MOST_ROWS:
        raise ValueError(f"batch_size: expected at most {_MOST_ROWS}, got {batch}")
    threads = min(as_positive("num_threads", num_threads), MOST_THREADS)
    nodes = [node for stage in frozen.stages for node in stage.nodes]
    try:
        return _opened(frozen, nodes, batch, threads)
    except MemoryError as error:
        numbers = sum(node.layers * sum(node.state_sizes) for node in nodes)
        least = batch * numbers * frozen.dtype.itemsize
        raise MemoryError(
            f"batch_size: expected rows whose states, {least} bytes, and working memory fit into "
            f"memory, got {batch}"
        ) from error


def _opened(frozen: Frozen, nodes: list[Node], batch: int, threads: int) -> Stream:
    """Return a stream on the engine that runs its nodes."""
    if not all(hasattr(node.packed, "core") for node in nodes if node.packed is not None):
        return _CalledStream(frozen, batch, threads)
    if [stage.kind for stage in frozen.stages] == ["graph"]:
        return _CompiledStream(frozen, batch, threads)
    return _CompiledModelStream(frozen, batch, threads)


def layer_stage(bound: BoundLayer, packed: PackedNetwork) -> tuple[Stage, StreamLayer]:
    """Return what a layer with a version of its parameters is in a stream."""
    nodes = Nodes(bound.sizes.input_size)
    _, member = member_of(nodes, bound, packed, 0)
    return Stage("graph", nodes.made), member


def frozen_layer(layer: Any, bound: BoundLayer) -> Frozen:
    """Return what a stream of a layer is made of, with the parameters of now."""
    check_causal("stream", bound.structure, bound.sizes.num_directions)
    with bound.parameters.hold():
        check_settled(bound.parameters)
        packed = bound.ready()
        owner = copy_of_version(layer, packed.version, copy.copy)
    stage, member = layer_stage(bound, packed)
    inputs = Vectors(bound.dtype, bound.sizes.input_size)
    return Frozen(
        owner, [stage], (member,), 0, bound.checks.layout, bound.dtype, inputs, bound.width,
        bound.checks,
    )  # fmt: skip


def check_settled(parameters: Parameters) -> None:
    """Raise where this very thread is changing parameters: in what a signal handler interrupted."""
    if parameters.written_here():
        raise ValueError(
            "stream: expected parameters that are whole, got a call in the middle of their change "
            "by the same thread"
        )


def copy_of_version(layer: Any, version: object, make: Callable[[Any], Any]) -> Any:
    """Return the copy of a layer, stack or model that all streams of a version of it have.

    Nobody writes to it: it is there to be pickled.
    """
    known, made = vars(layer).get("_frozen_copy", (None, None))
    if made is None or known != version:
        made = make(layer)
        vars(layer)["_frozen_copy"] = (version, made)
    return made


def _restored(owner: Any, batch_size: int, num_threads: int, state: State) -> Stream:
    """Return the stream that was pickled."""
    made: Stream = owner.stream(batch_size, num_threads)
    made.state = state
    return made
