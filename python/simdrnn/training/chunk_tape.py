"""A recorded chunk of a sequence: a tape, or two of them where rows are reset inside the chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.engine.protocol import State
from simdrnn.layers.arguments import Layout
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.passes import LearnedStates
from simdrnn.layers.tape import Tape, recording_of
from simdrnn.validate import Array

__all__ = ["Again", "ChunkGradients", "ChunkTape"]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkGradients(Gradients):
    """Gradients of one chunk.

    Attributes
    ----------
    x, params, attention : as in `Gradients`.
    state : gradient for the state carried into the chunk. Truncation means not to use it; handed
        to the chunk before as ``d_state``, the gradients become those of one call.
    initial : gradient for the initial state that `tbptt` was given, from resets in this chunk; and
        in the first chunk, where both are the same state, all of `state`.
    """

    initial: State


def _only(where: Array | None, array: Array) -> Array:
    """Return a copy of `array` with 0 where `where` is not True; None is nowhere."""
    if where is None:
        return np.zeros_like(array)
    return np.where(where, array, array.dtype.type(0))


@dataclass(frozen=True, slots=True, eq=False)
class Again:
    """The rows of a chunk that are reset in it, from there on.

    Parameters
    ----------
    rows : their indices, n of them.
    before : (t, B, 1) bool, which steps come before a row's first reset; all in other rows.
    tape : of these n rows from the initial state.
    """

    rows: Array
    before: Array
    tape: Tape


class ChunkTape:
    """A recorded chunk: as `Tape`, whose attributes and `backward` it has.

    Attributes
    ----------
    output : (t, B, D*H) laid out like ``x``; read-only.
    state : the state after the chunk, in the form of the layer's state; carried to the next.
    checkpoint_every, nbytes, peak_nbytes : as those of `Tape`, of one recording or both.
    """

    __slots__ = ("_again", "_first", "_layout", "_learned", "_renewed", "_tape", "output", "state")

    def __init__(
        self,
        tape: Tape,
        layout: Layout,
        first: bool = False,
        renewed: Array | None = None,
        again: Again | None = None,
        learned: LearnedStates | None = None,
    ) -> None:
        # `renewed`, (B, 1) bool: which rows begin a later chunk with the initial state. `learned`
        # is what made that state, if it was made of parameters.
        self._tape, self._layout = tape, layout
        self._first, self._renewed, self._again = first, renewed, again
        self._learned = learned
        self.output, self.state = tape.output, tape.state
        if again is not None:
            rows = again.rows
            output = layout.time_first(tape.output).copy()
            later = layout.time_first(again.tape.output)
            output[:, rows] = np.where(again.before[:, rows], output[:, rows], later)
            output.flags.writeable = False
            self.output = layout.caller(output)
            self.state = self._with_rows(tape.state, again.tape.state, rows)

    def _tapes(self) -> list[Tape]:
        """Return the one recording, or both."""
        return [self._tape] if self._again is None else [self._tape, self._again.tape]

    @property
    def checkpoint_every(self) -> int | None:
        """Steps between checkpoints."""
        return self._tape.checkpoint_every

    @property
    def nbytes(self) -> int:
        """Bytes kept for `backward`."""
        return sum(tape.nbytes for tape in self._tapes())

    @property
    def peak_nbytes(self) -> int:
        """Bytes kept and the most working memory of `backward`, which takes one at a time."""
        return self.nbytes + max(tape.peak_nbytes - tape.nbytes for tape in self._tapes())

    def backward(self, d_output: object = None, d_state: object = None) -> ChunkGradients:
        """Propagate gradients back through the chunk, and no further. May be called again.

        Parameters
        ----------
        d_output : dL/d(output), of the shape of ``output``; None is zero.
        d_state : dL/d(state), in the form of ``state``; None is zero, also inside the tuple, which
            is what truncation means.

        Returns
        -------
        ChunkGradients: with respect to the chunk of ``x``, the carried state, the initial state
        and every parameter.

        Raises
        ------
        ValueError : the layer's parameters changed after the chunk was recorded.
        """
        later: list[Array] = []
        if self._again is None:
            grads = self._tape.backward(d_output, d_state)
        else:
            grads, later = self._backward_twice(self._again, d_output, d_state)
        carried = self.members(grads.state)
        if self._first:  # it begins with the initial state itself
            initial = [member.copy() for member in carried]
        else:
            initial = [_only(self._renewed, member) for member in carried]
            if self._renewed is not None:
                carried = [_only(~self._renewed, member) for member in carried]
        if self._again is not None:
            for member, d_initial in zip(initial, later, strict=True):
                member[:, self._again.rows] += d_initial
        if self._learned is not None:
            self._learned.backward([initial], grads.params)
        form = self._layout.caller_state
        return ChunkGradients(
            grads.x, form(tuple(carried)), grads.params, form(tuple(initial)),
            attention=grads.attention,
        )  # fmt: skip

    def _backward_twice(
        self, again: Again, d_output: object, d_state: object
    ) -> tuple[Gradients, list[Array]]:
        """Go back through both recordings; return also the gradient for the second's state."""
        layout, tape, rows = self._layout, self._tape, again.rows
        recording = recording_of(tape)
        d_sequence, d_final = recording.d_output(d_output), recording.d_final(d_state)
        d_first = _only(again.before, d_sequence)
        d_later = _only(~again.before[:, rows], d_sequence[:, rows])
        states = [state.copy() for state in d_final]
        for state in states:
            state[:, rows] = 0.0
        form = layout.caller_state
        grads = tape.backward(layout.caller(d_first), form(tuple(states)))
        later = again.tape.backward(
            layout.caller(d_later), form(tuple(state[:, rows] for state in d_final))
        )
        layout.time_first(grads.x)[:, rows] += layout.time_first(later.x)  # type: ignore[arg-type]
        if grads.attention is not None and later.attention is not None:
            layout.time_first(grads.attention)[:, rows] += layout.time_first(later.attention)
        for name, value in later.params.items():
            grads.params[name] += value
        return grads, self.members(later.state)

    def members(self, state: Any) -> list[Array]:
        """View a caller's state as arrays (L, B, H)."""
        members = state if isinstance(state, tuple) else (state,)
        return [self._layout.layered(member) for member in members]

    def _with_rows(self, state: Any, other: Any, rows: Array) -> State:
        """Return `state` with some rows taken from `other`."""
        merged = [member.copy() for member in self.members(state)]
        for member, replaced in zip(merged, self.members(other), strict=True):
            member[:, rows] = replaced
        return self._layout.caller_state(tuple(merged))
