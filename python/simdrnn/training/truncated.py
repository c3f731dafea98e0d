"""Truncated back-propagation through time: a long sequence in chunks, with the state carried over.

The results are those of one call, bit for bit. The one thing that is not simply a shorter call is a
reset: it goes back to the state the whole sequence began with, which is not the one the chunk
begins with. So a row that is reset inside a chunk is recorded twice: up to its first reset from the
carried state, and from there on, with the steps before masked, from the initial one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simdrnn.engine.protocol import CheckedCall
from simdrnn.layers.arguments import Layout
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.passes import LearnedStates
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.tape import Tape
from simdrnn.training.chunk_tape import Again, ChunkTape
from simdrnn.validate import Array, as_bool, as_positive

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
    layer: RecurrentLayer,
    x: npt.ArrayLike,
    k: int,
    state: object = None,
    *,
    training: bool = True,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    masked_output: str = "zero",
    num_threads: int | None = None,
    attention: npt.ArrayLike | None = None,
) -> Iterator[Chunk]:
    """Record a long sequence in chunks of `k` steps, each from the state the one before left.

    Gradients go back to the start of a chunk and stop: memory and time per update depend on `k`,
    not on T. Outputs and states are those of one call, bit for bit, as long as the parameters stay
    the same and there is no dropout. (On the reference, whose products are NumPy's: up to rounding
    where rows are reset.)

    Parameters
    ----------
    layer : a layer in one direction.
    x : (T, B, I), (B, T, I) with ``batch_first``, or unbatched (T, I).
    k : steps of a chunk; the last one may be shorter.
    state : the initial state, as when calling the layer; None is zeros, or what was learned by the
        time of this call. To go on where an earlier sequence ended, hand in its last
        chunk's ``tape.state``.
    training, lengths, mask, reset, masked_output, num_threads, attention : as for
        ``layer.record``, for the whole sequence. A reset goes back to `state`; a row that ended
        before a chunk stays as it is. Every chunk draws dropout of its own.

    Returns
    -------
    Iterator of `Chunk`: each is recorded when it is asked for, with the parameters of that moment.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or the layer is bidirectional. All arguments
        are checked before the first chunk.

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
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"layer: expected a recurrent layer, got {type(layer).__name__}")
    if layer.bidirectional:
        raise ValueError(
            "layer: expected one direction, got bidirectional=True: the other begins with steps "
            "that are still to come"
        )
    steps = as_positive("k", k)
    if layer.structure.reverse:
        raise ValueError(
            "layer: expected the first step first, got reverse=True: it begins with steps that are "
            "still to come"
        )
    as_bool("training", training)
    bound = bound_layer(layer)
    run, layout = bound.checks.check(
        x, state, lengths, mask, reset, masked_output, num_threads, attention=attention
    )
    return _chunks(
        layer, run, layout, steps, training, None if state is not None else bound.learned
    )


def _chunks(
    layer: RecurrentLayer,
    run: CheckedCall,
    layout: Layout,
    k: int,
    training: bool,
    learned: LearnedStates | None,
) -> Iterator[Chunk]:
    """Record chunk after chunk."""
    carried = run.states
    for index, start in enumerate(range(0, len(run.x), k)):
        part = _cut(run, start, min(start + k, len(run.x)))
        tape = _record(layer, part, carried, index == 0, layout, training, learned)
        carried = tuple(tape.members(tape.state))
        yield Chunk(index, start, start + len(part.x), tape)


def _cut(run: CheckedCall, start: int, stop: int) -> CheckedCall:
    """Return steps `start` to `stop` of a run."""
    lengths = None if run.lengths is None else np.clip(run.lengths - start, 0, stop - start)
    mask = None if run.mask is None else run.mask[start:stop]
    reset = None if run.reset is None else run.reset[start:stop]
    attention = None if run.attention is None else run.attention[start:stop]
    return run._replace(
        x=run.x[start:stop], lengths=lengths, mask=mask, reset=reset, attention=attention
    )


def _record(
    layer: RecurrentLayer,
    run: CheckedCall,
    carried: tuple[Array, ...],
    first: bool,
    layout: Layout,
    training: bool,
    learned: LearnedStates | None,
) -> ChunkTape:
    """Record one chunk, whose initial state, where resets go back to, is ``run.states``."""
    steps, batch = run.x.shape[:2]

    def record(part: CheckedCall) -> Tape:
        form = layout.caller
        lengths = part.lengths
        if lengths is not None and not layout.batched:
            lengths = lengths[0]
        return layer.record(
            form(part.x), layout.caller_state(part.states), training=training, lengths=lengths,
            mask=None if part.mask is None else form(part.mask),
            reset=None if part.reset is None else form(part.reset),
            masked_output="hold" if part.hold else "zero", num_threads=part.num_threads or None,
            attention=None if part.attention is None else form(part.attention),
        )  # fmt: skip

    if first or run.reset is None:
        return ChunkTape(record(run._replace(states=carried)), layout, first, learned=learned)
    lengths = np.full(batch, steps) if run.lengths is None else run.lengths
    cuts = run.reset & (np.arange(steps)[:, None] < lengths)
    begin = np.where(cuts.any(axis=0), cuts.argmax(axis=0), steps)  # of each row's first reset
    at_once = (begin == 0)[:, None]  # the row has no step from the carried state
    start = tuple(
        np.where(at_once, initial, member)
        for initial, member in zip(run.states, carried, strict=True)
    )
    (rows,) = np.nonzero((begin > 0) & (begin < steps))
    again = None
    before = np.arange(steps)[:, None] < np.where(begin == 0, steps, begin)
    if rows.size:
        mask = ~before[:, rows]
        again = Again(
            rows,
            before[..., np.newaxis],
            record(
                run._replace(
                    x=run.x[:, rows],
                    states=tuple(member[:, rows] for member in run.states),
                    lengths=lengths[rows],
                    mask=mask if run.mask is None else mask & run.mask[:, rows],
                    reset=run.reset[:, rows],
                    attention=None if run.attention is None else run.attention[:, rows],
                )
            ),
        )
        lengths = lengths.copy()
        lengths[rows] = begin[rows]
    # What resets are left go back to the state that the rows begin with: it is the initial one.
    tape = record(run._replace(states=start, lengths=lengths, reset=cuts & at_once[:, 0]))
    return ChunkTape(tape, layout, renewed=at_once, again=again, learned=learned)
