"""A decoder run over its steps: all of a sequence that is given, or one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np

from simdrnn.attention.affine import PackedMaps, applied
from simdrnn.attention.arguments import GivenMemory
from simdrnn.attention.attention import version_of
from simdrnn.attention.cell_steps import CellSteps
from simdrnn.attention.decoder_parts import Parts
from simdrnn.attention.version import Attended, AttentionVersion, ReadyMemory
from simdrnn.engine.activate import activate
from simdrnn.engine.kept_arrays import empty
from simdrnn.engine.protocol import CheckedCall, PackedNetwork
from simdrnn.layers.arguments import ArgumentChecks, Layout
from simdrnn.training.modules import check_range, integer_array
from simdrnn.validate import Array

__all__ = ["DecoderState", "Run", "Versions", "stepped"]

_TIME_FIRST = Layout()


class Versions(NamedTuple):
    """One version of the parameters of every part."""

    layer: PackedNetwork
    attention: AttentionVersion
    combine: PackedMaps | None

    @classmethod
    def of(cls, parts: Parts, combine: PackedMaps | None, recorded: bool) -> Versions:
        """Return the present ones."""
        return cls(parts.bound.ready(recorded), version_of(parts.attention), combine)

    def numbers(self) -> dict[str, int | None]:
        """Return the numbers of the versions, by the name of the part."""
        found = {"layer": self.layer.version, "attention": self.attention.packed.version}
        return found if self.combine is None else found | {"combine": self.combine.version}

    def states(self, parts: Parts, state: object, batch: int) -> tuple[Array, ...]:
        """Return the states that the layer begins with, S arrays (L, B, H)."""
        checks: ArgumentChecks = self.layer.beside or parts.bound.checks
        if state is not None:
            return checks.states("state", state, batch, _TIME_FIRST)
        begin = checks.reset_states("state", None, batch, _TIME_FIRST)
        return cast("tuple[Array, ...]", begin)

    def combined(self, parts: Parts, joined: Array, threads: int) -> Array:
        """Return the attentional vectors of rows (N, M + H), or what is fed without `combine`."""
        if self.combine is None:
            return joined[:, : parts.memory_size]
        return activate("tanh", applied(self.combine.maps[0], joined, parts.fed_size, threads))


@dataclass(frozen=True, slots=True, eq=False)
class DecoderState:
    """Where a decoder is, between two steps.

    Attributes
    ----------
    states : of the layer, S arrays (L, B, H).
    fed : (B, F), what the next step is fed.
    weights : (B, S), of the step before.
    attention, memory : what is attended to, made ready by one version of the parameters.
    each : how many rows attend to each row of the memory, as the hypotheses of a beam do.
    """

    __module__ = "simdrnn"

    states: tuple[Array, ...]
    fed: Array
    weights: Array
    attention: AttentionVersion
    memory: ReadyMemory
    each: int

    def take(self, rows: Any) -> DecoderState:
        """Return the state of some `rows`, (N,) integers, in that order; one may come again.

        Where as many rows as each other come from every row of the memory, in its order, they go on
        sharing it; else each gets what it attends to for itself.

        Raises
        ------
        TypeError, ValueError : they are no rows of it.
        """
        integers = integer_array("rows", rows)
        if integers.ndim != 1:
            raise ValueError(f"rows: expected shape (N,), got {integers.shape}")
        chosen = check_range("rows", integers, len(self.fed))
        sources, count = chosen // self.each, len(self.memory.memory.values)
        each, rest = divmod(len(chosen), max(count, 1))
        ready = self.memory
        if rest or not (sources == np.repeat(np.arange(count), each)).all():
            ready, each = self.attention.rows(ready, sources), 1
        return replace(
            self, states=tuple([one[:, chosen] for one in self.states]), fed=self.fed[chosen],
            weights=self.weights[chosen], memory=ready, each=each,
        )  # fmt: skip


class Run:
    """A recorded run over sequences that are given.

    Attributes
    ----------
    real : (T, B) bool, or None where every step is.
    cell : the layer's steps.
    attended : what all steps found.
    joined : (T, B, M + H), the contexts and what the layer put out.
    fed : (T, B, F), what the step after is fed.
    """

    def __init__(
        self, versions: Versions, parts: Parts, given: GivenMemory, inputs: Array,
        states: tuple[Array, ...], lengths: Array | None, threads: int,
    ) -> None:  # fmt: skip
        steps, batch = inputs.shape[:2]
        self.given, self.threads, self.real = given, threads, None
        numbers = None
        if lengths is not None and not (lengths == steps).all():
            self.real = np.arange(steps)[:, None] < lengths
            numbers = self.real.astype(np.int64)
        self.cell = CellSteps(parts.bound, versions.layer, steps, batch, states, numbers, threads)
        self.ready = versions.attention.ready(given.values, given.real, threads)
        dtype, size = inputs.dtype, parts.memory_size
        self.joined = empty((steps, batch, size + parts.hidden_size), dtype)
        self.fed = empty((steps, batch, parts.fed_size), dtype)
        found: list[Attended] = []
        fed = np.zeros((batch, parts.fed_size), dtype)
        self.cell.x[:, :, : parts.input_size] = inputs
        for step in range(steps):
            self.cell.x[step, :, parts.input_size :] = fed
            fed = self._step(versions, parts, step, fed, found)
        self.attended = _together(versions.attention, self.ready, found, batch, parts, dtype)

    def _step(
        self, versions: Versions, parts: Parts, step: int, before: Array, found: list[Attended]
    ) -> Array:
        """Take a step, whose input is there; return what the next one is fed."""
        hidden = self.cell.forward(step)
        one = versions.attention.attend(hidden[None], self.ready)
        joined, fed, size = self.joined[step], self.fed[step], parts.memory_size
        joined[:, :size], joined[:, size:] = one.context[0], hidden
        fed[...] = versions.combined(parts, joined, self.threads)
        if self.real is not None:
            gone = ~self.real[step]
            for array in (one.weights[0], joined):
                array[gone] = 0
            fed[gone] = before[gone]
        found.append(one)
        return np.asarray(fed)

    def output(self, parts: Parts) -> Array:
        """Return what came out, (T, B, F) or (T, B, M + H); 0 at steps that are not real."""
        if parts.combine is None:
            return self.joined
        if self.real is None:
            return self.fed
        return np.where(self.real[..., None], self.fed, self.fed.dtype.type(0))


def _together(
    version: AttentionVersion, ready: ReadyMemory, found: list[Attended], batch: int, parts: Parts,
    dtype: np.dtype[Any],
) -> Attended:  # fmt: skip
    """Return what single steps found as that of one call."""
    if not found:
        query = np.empty((0, batch, parts.hidden_size), dtype)
        return version.attend(query, ready)
    arrays = [np.concatenate([one[place] for one in found]) for place in (2, 3, 4)]
    return Attended(version, ready, *arrays)


def stepped(
    versions: Versions, parts: Parts, inputs: Array, state: DecoderState
) -> tuple[Array, DecoderState]:
    """Take one step of rows (B, E), beyond what `AttentionDecoder.step` checks."""
    if versions.attention.packed.version != state.attention.packed.version:
        raise ValueError(
            "state: expected one that began with the present parameters of the attention, which "
            "have changed since; start again"
        )
    threads, rows, each = state.memory.threads, len(inputs), state.each
    x = np.concatenate([inputs, state.fed], axis=1)[None]
    hidden = np.empty((1, rows, parts.hidden_size), x.dtype)
    final = tuple([np.empty_like(one) for one in state.states])
    versions.layer.forward(
        CheckedCall(x, state.states, num_threads=threads), hidden, final, tape=None
    )
    # The rows of one memory are its queries.
    queries = hidden[0].reshape(rows // each, each, parts.hidden_size).swapaxes(0, 1)
    found = state.attention.attend(queries, state.memory)
    context, weights = (
        one.swapaxes(0, 1).reshape(rows, one.shape[-1]) for one in (found.context, found.weights)
    )
    joined = np.concatenate([context, hidden[0]], axis=1)
    fed = versions.combined(parts, joined, threads)
    after = replace(state, states=final, fed=fed, weights=weights)
    return (joined if parts.combine is None else fed), after
