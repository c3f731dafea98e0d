"""A recorded chunk of a sequence, which knows where the states it used came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.engine.protocol import State
from simdrnn.layers.gradients import Gradients
from simdrnn.training.chunk_calls import each_state

__all__ = ["ChunkGradients", "ChunkTape"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ChunkGradients(Gradients):
    """Gradients of one chunk.

    Attributes
    ----------
    x, params, attention : as in `Gradients`.
    state : gradient for the state carried into the chunk. Truncation means not to use it; handed
        to the chunk before as ``d_state``, the gradients become those of one call.
    initial : gradient for the state that the whole sequence began with: in the first chunk that is
        `state`; in later ones what comes from resets with ``reset_state="given"``, else zeros.
    reset_state : gradient for the state given as ``reset_state``, from resets in this chunk.
    """

    initial: State


class ChunkTape:
    """A recorded chunk: as the tape of its network, whose attributes and `backward` it has.

    Attributes
    ----------
    recorded : the tape: a `Tape`, a stack's or a model's.
    output : (t, B, D*H), or what the network puts out, laid out like ``x``; read-only.
    state : the state after the chunk, in the form of the network's state; carried to the next, and
        read-only.
    checkpoint_every, nbytes, peak_nbytes : as those of the tape; stacks have no ``peak_nbytes``.
    """

    __slots__ = ("_first", "_goes_back", "output", "recorded", "state")

    def __init__(self, tape: Any, first: bool, goes_back: Any) -> None:
        # `goes_back`: whether resets go to the state that the whole sequence began with; in the
        # form of the network's state, with a bool for that of a layer.
        self.recorded, self._first, self._goes_back = tape, first, goes_back
        self.output, self.state = tape.output, tape.state

    @property
    def checkpoint_every(self) -> int | None:
        """Steps between checkpoints."""
        return self.recorded.checkpoint_every  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """Bytes kept for `backward`."""
        return self.recorded.nbytes  # type: ignore[no-any-return]

    @property
    def peak_nbytes(self) -> int:
        """Bytes kept and the most working memory of `backward`."""
        return self.recorded.peak_nbytes  # type: ignore[no-any-return]

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
        ValueError : the network's parameters changed after the chunk was recorded.
        """
        grads = self.recorded.backward(d_output, d_state)
        initial: Any = grads.state if self._first else each_state(np.zeros_like, grads.state)
        initial, resets = _sorted(initial, grads.reset_state, self._goes_back)
        return ChunkGradients(
            grads.x, grads.state, grads.params, initial, reset_state=resets,
            attention=grads.attention,
        )  # fmt: skip


def _sorted(initial: Any, resets: Any, goes_back: Any) -> tuple[Any, Any]:
    """Move gradients of resets that go back to the beginning to those of the initial state.

    Returns
    -------
    initial, resets : in the form of the network's state; None where nothing is left of resets.
    """
    if resets is None:
        return initial, None
    if isinstance(goes_back, bool):
        if not goes_back:
            return initial, resets
        return each_state(np.add, initial, resets), None
    pairs = [_sorted(*own) for own in zip(initial, resets, goes_back, strict=True)]
    begun, left = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    return begun, None if all(own is None for own in left) else left
