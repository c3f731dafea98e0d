"""What streams run on: stages one behind the other, and the states of their networks.

A stage is a graph of nodes, each a packed network or what joins outputs, or what a model has around
its layers: an affine map, or a table whose rows are looked up.

A stream on the compiled engine is a ``StreamCore`` (``csrc/engine/stream.hpp``). `CalledCore` is
the same for engines that have no such thing: it calls their networks for what has arrived.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simdrnn.engine.protocol import CheckedCall, PackedNetwork, TapeArrays
from simdrnn.validate import Array

if TYPE_CHECKING:
    from simdrnn.engine.dense import PackedDense

__all__ = ["CalledCore", "Node", "Nodes", "Stage"]


class Node(NamedTuple):
    """One of the things that a step does.

    Attributes
    ----------
    operation : ``"network"``; ``"add"``; ``"concat"``; or ``"highway"``, of (given, made):
        ``g * made + (1 - g) * given`` with g the network's first output from zeros on `given`.
    inputs : what it takes: 0 is x, i + 1 what node i makes.
    packed : the network's version.
    layers : of the network.
    state_sizes : of each of its states.
    width : of what it makes.
    initial : S states (L, size) that rows begin with; None is zeros.
    """

    operation: str
    inputs: tuple[int, ...]
    packed: PackedNetwork | None
    layers: int
    state_sizes: tuple[int, ...]
    width: int
    initial: tuple[Array, ...] | None = None


class Stage(NamedTuple):
    """One of the things that stand behind each other in a stream.

    Attributes
    ----------
    kind : ``"graph"``, ``"linear"`` or ``"embedding"``, the last of which may be the first alone.
    nodes : of a graph; 0 is what the stage is given.
    packed : the version of an affine map.
    width : of what that makes.
    table : (N, E), whose rows are looked up; nobody writes to it.
    """

    kind: str
    nodes: Sequence[Node] = ()
    packed: PackedDense | None = None
    width: int = 0
    table: Array | None = None

    @property
    def described(self) -> tuple[str, Any]:
        """What ``StreamCore`` is given."""
        if self.kind == "embedding":
            return self.kind, self.table
        if self.packed is not None:
            return self.kind, self.packed.core
        return self.kind, [
            (node.operation, node.inputs, getattr(node.packed, "core", None), node.initial)
            for node in self.nodes
        ]


class Nodes:
    """Collects the nodes of a stream; what each method returns stands for what its node makes.

    Parameters
    ----------
    input_size : I of the stream.
    """

    def __init__(self, input_size: int) -> None:
        self.made: list[Node] = []
        self._widths = [input_size]

    def _append(self, node: Node) -> int:
        self.made.append(node)
        self._widths.append(node.width)
        return len(self.made)

    def network(
        self,
        packed: PackedNetwork,
        given: int,
        layers: int,
        state_sizes: tuple[int, ...],
        initial: tuple[Array, ...] | None,
    ) -> int:
        """Add a network of so many layers, or the nodes that it is put together of."""
        composed = getattr(packed, "stream_nodes", None)
        if composed is not None:
            return composed(self, given, state_sizes, initial)  # type: ignore[no-any-return]
        width = state_sizes[0]
        return self._append(Node("network", (given,), packed, layers, state_sizes, width, initial))

    def add(self, made: int, given: int) -> int:
        """Add a sum."""
        return self._append(Node("add", (made, given), None, 0, (), self._widths[made]))

    def highway(self, gate: PackedNetwork, given: int, made: int) -> int:
        """Add a mixture by what a gate's network makes of `given`."""
        return self._append(Node("highway", (given, made), gate, 1, (), self._widths[made]))

    def concat(self, one: int, other: int) -> int:
        """Add what stands side by side."""
        width = self._widths[one] + self._widths[other]
        return self._append(Node("concat", (one, other), None, 0, (), width))


class CalledCore:
    """A stream on any engine, by calls of its networks: what ``StreamCore`` is to the compiled one.

    It promises what the engine does about calls of one step, and is as fast.
    """

    def __init__(self, stages: Sequence[Stage], batch: int, threads: int, dtype: str) -> None:
        self._stages, self._batch, self._threads = stages, batch, threads
        self._dtype = np.dtype(dtype)
        self._stateful = [node for stage in stages for node in stage.nodes if node.state_sizes]
        self._states = [self._initial(node, batch) for node in self._stateful]
        self._lock = threading.Lock()

    def _initial(self, node: Node, rows: int) -> tuple[Array, ...]:
        """Return what so many rows of a network begin with: S arrays (L, rows, size)."""
        if node.initial is None:
            return tuple(np.zeros((node.layers, rows, n), self._dtype) for n in node.state_sizes)
        return tuple(np.repeat(state[:, None], rows, axis=1) for state in node.initial)

    def _enter(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise ValueError(
                "stream: expected one thread at a time, got a call while another is in; "
                "give each thread a stream of its own, as clone() makes them"
            )

    def _feed(self, x: Array, out: Array, rows: Any, attention: Array | None) -> None:
        """Run x (T, N, I), or integers (T, N), into out (T, N, F)."""
        self._enter()
        try:
            chosen = slice(None) if rows is None else np.asarray(rows, np.intp)
            value, states = x, iter(self._states)
            after: list[tuple[Array, ...]] = []
            for stage in self._stages:
                if stage.table is not None:
                    value = stage.table[value]
                elif stage.packed is not None:
                    value = self._mapped(stage.packed, value, stage.width)
                else:
                    value = self._run(stage.nodes, value, states, chosen, after, attention)
            out[...] = value
            for held, final in zip(self._states, after, strict=True):  # nothing fails from here on
                for state, new in zip(held, final, strict=True):
                    state[:, chosen] = new
        finally:
            self._lock.release()

    def _run(
        self, nodes: Sequence[Node], x: Array, states: Iterator[tuple[Array, ...]], chosen: Any,
        after: list[tuple[Array, ...]], attention: Array | None,
    ) -> Array:  # fmt: skip
        """Return what nodes make of x; what their states of some rows become goes to `after`."""
        values = [x]
        for node in nodes:
            inputs = [values[index] for index in node.inputs]
            if node.state_sizes:
                held = tuple(np.ascontiguousarray(s[:, chosen]) for s in next(states))
                made, final = self._called(node, inputs[0], held, attention)
                after.append(final)
            else:
                made = self._joined(node, inputs)
            values.append(made)
        return values[-1]

    def _mapped(self, packed: PackedDense, x: Array, width: int) -> Array:
        """Return what an affine map makes of x."""
        steps, rows, size = x.shape
        made = np.empty((steps * rows, width), self._dtype)
        packed.forward(np.ascontiguousarray(x).reshape(steps * rows, size), made, self._threads)
        return made.reshape(steps, rows, width)

    def _called(
        self, node: Node, x: Array, states: tuple[Array, ...], attention: Array | None
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return what a network makes of x, and its states after."""
        assert node.packed is not None
        output = np.empty((*x.shape[:2], node.width), self._dtype)
        final = tuple([np.empty_like(state) for state in states])
        run = CheckedCall(
            np.ascontiguousarray(x), states, num_threads=self._threads, attention=attention
        )
        node.packed.forward(run, output, final, tape=None)
        return output, final

    def _joined(self, node: Node, inputs: list[Array]) -> Array:
        """Return what a node without states makes of its inputs."""
        if node.operation == "add":
            return inputs[0] + inputs[1]
        if node.operation == "concat":
            return np.concatenate(inputs, axis=-1)
        given, made = inputs
        assert node.packed is not None
        flat = np.ascontiguousarray(given).reshape(1, -1, given.shape[-1])
        output, zero = np.empty_like(flat), np.zeros_like(flat)
        tape = TapeArrays([np.empty((*flat.shape[:2], 0), flat.dtype)], [output])
        node.packed.forward(CheckedCall(flat, (zero,)), output, (np.empty_like(flat),), tape=tape)
        gate = output.reshape(given.shape)
        mixed: Array = gate * made + (1 - gate) * given
        return mixed

    def _reset(self, rows: Any) -> None:
        """Begin anew: rows, or all of them."""
        self._enter()
        try:
            chosen = slice(None) if rows is None else np.asarray(rows, np.intp)
            for node, states in zip(self._stateful, self._states, strict=True):
                for state, initial in zip(states, self._initial(node, 1), strict=True):
                    state[:, chosen] = initial
        finally:
            self._lock.release()

    def _move_states(self, networks: Sequence[Sequence[Array]], read: bool) -> None:
        """Copy the states into arrays, or from them."""
        self._enter()
        try:
            for given, states in zip(networks, self._states, strict=True):
                for array, state in zip(given, states, strict=True):
                    if read:
                        array[...] = state
                    else:
                        state[...] = array
        finally:
            self._lock.release()

    @property
    def nbytes(self) -> int:
        """Bytes of states."""
        return sum(state.nbytes for states in self._states for state in states)
