"""What a tape with checkpoints keeps of a pass, and how the rest is made again from it.

Borders lie before steps k, 2k, ... in processing order. The states there are kept, but for h: that
is in the output, at the step which each row continues from.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simdrnn.engine.steps import Steps
from simdrnn.reference.sequence import Pass
from simdrnn.validate import Array

__all__ = ["keep", "recompute"]


def keep(run: Pass, output: Array, saved: Array, every: int) -> Array:
    """Return the states other than h at the borders, (N, B, (S-1)*H).

    Parameters
    ----------
    run : the pass that was run.
    output, saved : what its `forward` returned.
    every : steps between borders.
    """
    times = list(run.steps.order[every::every])
    others = run.before(output, saved)[1:]  # (T, B, H) each
    batch, hidden = run.initial[-1].shape
    kept = [state[times] for state in others] or [np.empty((len(times), batch, 0))]
    return np.concatenate(kept, axis=-1).reshape(len(times), batch, len(others) * hidden)


def recompute(run: Pass, output: Array, checkpoints: Array, every: int) -> Array:
    """Return what `forward` saved, (T, saved, B, H), running it again from border to border."""
    length, (batch, hidden), info = len(output), run.initial[-1].shape, run.cell.info
    saved = np.empty((length, run.options.saved(info).width, batch, hidden))
    known = np.concatenate([output, run.reset[0][None], run.initial[0][None]])  # -2 and -1
    previous, rows = run.steps.previous(), np.arange(batch)
    start = run.initial
    for index, first in enumerate(range(0, length, every)):
        times = run.steps.order[first : first + every]
        if index:
            others = checkpoints[index - 1].reshape(batch, info.states - 1, hidden)
            start = (known[previous[times[0]], rows], *others.swapaxes(0, 1))
        begin, end = min(times), max(times) + 1
        saved[begin:end] = _stretch(run, begin, end).forward(start).saved
    return saved


def _stretch(run: Pass, begin: int, end: int) -> Pass:
    """Cut the times [begin, end) out of a pass."""
    times = range(end - begin)
    order = times if run.steps.order.step > 0 else times[::-1]
    steps = Steps(run.steps.real[begin:end], run.steps.fresh[begin:end], order)
    return replace(
        run,
        x=run.x[begin:end],
        steps=steps,
        noise=run.noise.of_times(slice(begin, end)),
        step_inputs=run.step_inputs[:, begin:end],
    )
