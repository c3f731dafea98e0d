"""Truncated back-propagation through time: a long sequence in chunks, with the state carried over.

The results are those of one call, bit for bit. Resets go where they go in that call, also with
``reset_state="given"``: to the state the whole sequence began with, not the one carried in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.tape import recording_of
from simdrnn.stack.stack import Stack
from simdrnn.training.chunk_calls import LongCall
from simdrnn.training.chunk_tape import ChunkTape
from simdrnn.training.recurrent_parts import (
    RecurrentPart,
    Truncatable,
    layer_tapes,
    layers_of,
    recurrent_parts,
)
from simdrnn.validate import as_bool, as_positive

__all__ = ["Chunk", "tbptt"]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """One chunk of a sequence.

    Attributes
    ----------
    index : 0, 1, ...
    start, stop : its steps are ``x[start:stop]``, or ``x[:, start:stop]`` with ``batch_first``.
    tape : `ChunkTape` with ``output``, ``state`` and ``backward``.
    """

    index: int
    start: int
    stop: int
    tape: ChunkTape


def tbptt(
    layer: RecurrentPart | Truncatable,
    x: npt.ArrayLike,
    k: int,
    state: object = None,
    *,
    training: bool = True,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    masked_output: str = "zero",
    checkpoint_every: int | None = None,
    num_threads: int | None = None,
    reset_state: object = None,
    attention: npt.ArrayLike | None = None,
) -> Iterator[Chunk]:
    """Record a long sequence in chunks of `k` steps, each from the state the one before left.

    Gradients go back to the start of a chunk and stop: memory and time per update depend on `k`,
    not on T. Outputs and states are those of one call, bit for bit, as long as the parameters stay
    the same and there is no dropout.

    Parameters
    ----------
    layer : a layer, a stack, or a model of them (`Truncatable`), in one direction.
    x : (T, B, I), (B, T, I) with ``batch_first``, or unbatched (T, I); or what the model takes.
    k : steps of a chunk; the last one may be shorter.
    state : the initial state, as when calling the layer; None is zeros, or what was learned by the
        time of this call. To go on where an earlier sequence ended, hand in its last
        chunk's ``tape.state``.
    checkpoint_every : steps between checkpoints inside a chunk: see `simdrnn.LSTM.record`.
    training, lengths, mask, reset, masked_output, num_threads, reset_state, attention : as for
        ``layer.record``, for the whole sequence; ``reset_state="given"`` is `state`, and learned
        states are those of the moment when a chunk is recorded. A row that ended before a chunk
        stays as it is. Every chunk draws dropout of its own.

    Returns
    -------
    Iterator of `Chunk`: each is recorded when it is asked for, with the parameters of that moment.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a layer is bidirectional or reversed; the
        message names it. All arguments are checked before the first chunk.

    Notes
    -----
    Call ``chunk.tape.backward`` before the parameters change: as with any tape, it raises
    afterwards. Steps of the optimiser between chunks are the rule; the carried state is then that
    of the older parameters. Calls ``tbptt(..., k=T)`` and ``layer.record`` are the same.

    References
    ----------
    Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories".

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.GRU(3, 4, seed=0)
    >>> optimizer = sr.optim.Adam(layer, lr=1e-2)
    >>> x, target = np.ones((50, 2, 3), "float32"), np.zeros((50, 2, 4), "float32")
    >>> for chunk in sr.tbptt(layer, x, k=20):
    ...     loss = sr.mse(chunk.tape.output, target[chunk.start : chunk.stop])
    ...     grads = chunk.tape.backward(loss.backward())
    ...     optimizer.step(grads)
    ...     print(chunk.index, chunk.start, chunk.stop)
    0 0 20
    1 20 40
    2 40 50
    """
    parts = recurrent_parts(layer)
    for name, part in parts.items():
        for level, own in layers_of(name, part).items():
            _check_direction(level, own)
    steps = as_positive("k", k)
    kept: dict[str, Any] = {"training": as_bool("training", training)}
    if checkpoint_every is not None:
        kept["checkpoint_every"] = as_positive("checkpoint_every", checkpoint_every)
    call = {
        "lengths": lengths, "mask": mask, "reset": reset, "masked_output": masked_output,
        "num_threads": num_threads, "attention": attention,
    }  # fmt: skip
    if isinstance(layer, (RecurrentLayer, Stack)):
        whole = LongCall.of_part(layer, x, state, reset_state, call, kept)
    else:
        whole = LongCall.of_parts(parts, x, state, reset_state, call, kept)
    return _chunks(layer, whole, steps)


def _check_direction(name: str, layer: RecurrentLayer) -> None:
    """Raise unless a layer takes the first step first and the last one last."""
    if layer.bidirectional:
        raise ValueError(
            f"{name}: expected one direction, got bidirectional=True: the other begins with steps "
            "that are still to come"
        )
    if layer.structure.reverse:
        raise ValueError(
            f"{name}: expected the first step first, got reverse=True: it begins with steps that "
            "are still to come"
        )


def _chunks(network: Any, whole: LongCall, k: int) -> Iterator[Chunk]:
    """Record chunk after chunk, each from the state that the one before left."""
    carried: Any = whole.begin
    steps, learned = len(whole.run.x), any(whole.learned)
    for index, start in enumerate(range(0, steps, k)):
        stop = min(start + k, steps)
        x, call = whole.chunk(start, stop)
        tape = network.record(x, carried, **call)
        if learned:
            _tell_uses(whole, tape, first=index == 0)
        carried = tape.state
        yield Chunk(index, start, stop, ChunkTape(tape, index == 0, whole.goes_back))


def _tell_uses(whole: LongCall, tape: Any, *, first: bool) -> None:
    """Tell the recordings which states were learned: each was handed its own, as if given."""
    tapes = layer_tapes(tape).values()
    for own, (learned, goes_back) in zip(tapes, whole.uses, strict=True):
        if learned:
            recording = recording_of(own)
            uses = recording.uses
            recording.uses = uses._replace(
                learned_initial=first, learned_reset=uses.learned_reset or goes_back
            )
