"""How much memory tapes with checkpoints say they take, how much they take, and budgets for it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers import CELLS, ENGINES, INFOS, few, make_layer, printed

# The RNN saves nothing beside h, so that its tapes never have checkpoints.
SAVING = tuple(cell for cell in CELLS if INFOS[cell].saved)

on_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs the sizes in /proc/self/status"
)

# How far a recorded call and its gradients raise the peak of memory, and what is said of it.
PEAK = """
    from pathlib import Path
    import numpy as np
    import simdrnn as sr

    def memory(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(l.split()[1]) * 1024 for l in lines if l.startswith(name))

    layer = sr.{layer}
    T, B, every, call = {T}, {B}, {every}, {call}
    x = np.ones((T, B, 1), "float32")
    warm = layer.record(x[:60], lengths=np.full(B, 50), checkpoint_every=7)
    warm.backward(np.ones((60, B, warm.output.shape[-1]), "float32"))
    del warm
    sr.release_memory()
    before = memory("VmRSS")
    tape = layer.record(x, checkpoint_every=every, **call)
    tape.backward(tape.output)
    print(memory("VmHWM") - before, tape.peak_nbytes, tape.nbytes)
"""


DEEP = "LSTM(1, 48, 3, bidirectional=True, dropout=0.2, seed=0)"
LENGTHS = "{'lengths': np.linspace(2000, 4000, 8).astype(int)}"


@on_linux
@pytest.mark.quiet
@pytest.mark.parametrize(
    ("layer", "sizes", "saving", "call"),
    [
        ("LSTM(1, 64, seed=0)", {"T": 10_000, "B": 8}, 4, "{}"),
        (DEEP, {"T": 4000, "B": 8}, 3.5, LENGTHS),
        ("GRU(1, 64, 2, seed=0)", {"T": 8000, "B": 8}, 3, "{'num_threads': 1}"),
    ],
)
def test_calls_take_the_memory_they_say(layer, sizes, saving, call):
    steps, batch = sizes.values()
    found = {}
    for every in (None, 150):
        code = PEAK.format(layer=layer, **sizes, every=every, call=call)
        taken, peak, kept = (int(word) for word in printed(code).split())

        slack = (2 << 20) + 4 * steps * batch  # a huge page, and the gradient of x
        # What rows that have ended leave of the workspace is not always written to.
        untouched = peak // 50 if "lengths" in call else 0
        assert kept > 7 * slack
        assert -slack - untouched < taken - peak < slack, (call, every, taken, peak)
        found[every] = taken
    assert found[None] > saving * found[150], found


def test_workspace_of_checkpoints_is_a_stretch_of_saved_values():
    layer = sr.LSTM(16, 32, 2, bidirectional=True, seed=0)

    plain, short, long = (layer.workspace_bytes(5000, 8, True, k) for k in (None, 100, 300))

    stretch = 8 * 5 * 32 * 4  # of one step
    assert long - short == 200 * stretch
    assert 100 * stretch < short - plain < 120 * stretch
    assert layer.workspace_bytes(5000, 8, False, 100) == layer.workspace_bytes(5000, 8, False)


@few(cell=CELLS, every=[None, 70])
def test_peaks_are_tape_and_workspace(cell, every):
    layer = make_layer(sr, cell, 3, 4, 2, bidirectional=True, seed=0)

    tape = layer.record(np.ones((300, 5, 3), "float32"), checkpoint_every=every)

    # So little work is for one thread, and backward takes more than forward.
    assert tape.peak_nbytes == tape.nbytes + layer.workspace_bytes(300, 5, checkpoint_every=every)


# -- memory_budget ---------------------------------------------------------------------------------


def smallest(layer, x, **call):
    """Return the budget that an error names."""
    with pytest.raises(ValueError, match="memory_budget: expected at least") as caught:
        layer.record(x, memory_budget=1, **call)
    return int(re.search(r"at least (\d+) bytes for this call, got 1$", str(caught.value))[1])


@few(engine=ENGINES, cell=CELLS, shape=[(3000, 2), (40, 500), (1, 1), (500, 1)])
def test_budgets_are_kept(engine, cell, shape):
    steps, batch = shape if engine is sr else (shape[0] // 10 + 1, shape[1])
    layer = make_layer(engine, cell, 2, 4, 2, dtype="float32", seed=0)
    x = np.ones((steps, batch, 2), "float32")
    full = layer.record(x).peak_nbytes

    least = smallest(layer, x)

    for budget in (least, (least + full) // 2, full):
        tape = layer.record(x, memory_budget=budget)
        assert tape.peak_nbytes <= budget
        assert (tape.checkpoint_every is None) == (budget >= full)
    with pytest.raises(ValueError, match=f"at least {least} bytes for this call, got {least - 1}"):
        layer.record(x, memory_budget=least - 1)


@few(cell=SAVING, shape=[(2000, 3), (300, 50), (60, 700)])
def test_no_spacing_takes_less_than_the_one_chosen(cell, shape):
    layer = make_layer(sr, cell, 2, 6, seed=0)
    x = np.ones((*shape, 2), "float32")

    least = smallest(layer, x, num_threads=1)

    found = layer.record(x, memory_budget=least, num_threads=1).checkpoint_every
    peaks = {
        every: layer.record(x, checkpoint_every=every, num_threads=1).peak_nbytes
        for every in {*range(1, 120), *range(120, shape[0] + 1, 7), found}
    }
    assert peaks[found] == least == min(peaks.values())
    info = INFOS[cell]
    if info.states > 1:
        # T/k checkpoints of S - 1 states and k steps of what is saved: so it is least
        best = np.sqrt(shape[0] * (info.states - 1) / info.saved)
        walked = sr.explain(layer, *shape).backward.chunk
        assert found == pytest.approx(max(walked, best), rel=0.2)


def test_budgets_look_at_lengths_and_masks():
    layer = sr.LSTM(2, 4, seed=0)
    x, mask = np.ones((400, 3, 2), "float32"), np.ones((400, 3), bool)

    # One byte of flags for each step of each row, and a number for each that is walked at once.
    extra = smallest(layer, x, mask=mask) - smallest(layer, x)

    assert 1200 + 128 * 3 * 4 <= extra <= 1200 + 128 * 3 * 4 + 512
