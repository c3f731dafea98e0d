"""
An amplifier, learned from its sound and played live
====================================================

Many to many, in real time: a clean guitar goes in, sample by sample, and out comes what a
distorting amplifier makes of it. A small LSTM learns that from sixteen seconds of both sounds, as
plug-ins for guitarists do (Wright, Damskägg and Välimäki 2019). Then it is played: fed with frames
of 64 samples as a sound card delivers them, each of which has to be done within 1.45 milliseconds.

Guitar and amplifier are calculated here (``_guitar.py``): strings by Karplus and Strong, a circuit
with diodes by its differential equations. With two recordings of a real amplifier everything else
stays as it is.

Needs: matplotlib. Takes: 30 seconds.
"""

import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from _guitar import RATE, amplifier, phrase

import simdrnn as sr
from simdrnn.demos.gallery import by_size

# %%
# The sounds
# ----------
# Sixteen seconds to learn from and four to be tested with, other notes of the same guitar. The
# circuit clips, and not evenly: its diodes charge a capacitor, which shifts the point around which
# it clips. So the same sample comes out differently after a loud note and after a soft one.

dry = phrase(by_size(full=16, small=2), seed=1)
wet = amplifier(dry)
new_dry = phrase(by_size(full=4, small=1), seed=2)
new_wet = amplifier(new_dry)


def error_to_signal(found, wanted):
    """Return the energy of the error as a part of the signal's."""
    return float(np.sum((found - wanted) ** 2) / np.sum(wanted**2))


# %%
# The baseline
# ------------
# What is done without a recurrent network: curves that clip more or less hard, each followed by a
# linear filter of 64 taps. All filters are fitted at once by least squares.


def clipped_and_delayed(sound):
    """Return the columns for least squares: four curves of a sound, each at 64 delays."""
    curves = [sound] + [np.tanh(gain * sound + 0.2 * (gain > 2)) for gain in (2, 8, 30)]
    padded = np.pad(np.array(curves), ((0, 0), (63, 0)))
    delayed = np.lib.stride_tricks.sliding_window_view(padded, sound.size, axis=1)
    columns = delayed.reshape(-1, sound.size).T
    return np.hstack([columns, np.ones((sound.size, 1))])


every = 8  # samples are plenty: an eighth of the equations gives the same filters
columns = clipped_and_delayed(dry)[::every]
filters = np.linalg.solve(
    columns.T @ columns + 1e-3 * np.eye(columns.shape[1]), columns.T @ wet[::every]
)
shaped = clipped_and_delayed(new_dry) @ filters

# %%
# Training
# --------
# The sixteen seconds are cut into pieces of a quarter of a second, the rows of one batch. The first
# thousand samples of each only warm the state up. Then ``sr.tbptt`` takes chunk after chunk of 512
# samples, with a step of the optimiser behind each: gradients go back to the beginning of a chunk,
# states go on. A guitar's samples are small numbers; ten times larger input weights make up for it.

lstm, head = sr.LSTM(1, 24, seed=0), sr.Linear(24, 1, seed=1)
lstm.weight_ih_l0 = 10.0 * lstm.weight_ih_l0
optimizer = sr.optim.Adam([lstm, head], lr=1e-2)
rng = np.random.default_rng(0)
warm_up, piece = 1000, RATE // 4
epochs = by_size(full=80, small=12)
energy = float(np.mean(wet**2))
curve = []
for epoch in range(epochs):
    first = rng.integers(0, piece)  # pieces lie differently in every epoch
    rows = (dry.size - first) // piece
    x, y = (
        sound[first : first + rows * piece].reshape(rows, piece).T[..., None]
        for sound in (dry, wet)
    )
    _, state = lstm(x[:warm_up])
    x, y, errors = x[warm_up:], y[warm_up:], []
    for chunk in sr.tbptt(lstm, x, 512, state):
        optimizer.lr = 1e-2 * (1.0 - (epoch + chunk.start / len(x)) / epochs)
        out = head.record(chunk.tape.output)
        loss = sr.mse(out.output, y[chunk.start : chunk.stop])
        d_head = out.backward(loss.backward(1.0 / energy))
        optimizer.step([chunk.tape.backward(d_head.x), d_head], max_norm=1.0)
        errors.append(loss.value / energy)
    curve.append(np.mean(errors))

# %%
# Playing it
# ----------
# A stream keeps its state between frames, and however long they are, what comes out has the bits of
# one call over the whole sound.

frame = 64
stream = sr.Model(lstm=lstm, head=head).stream()
frames = new_dry[: new_dry.size // frame * frame].reshape(-1, frame, 1, 1)
played, durations = [], []
for sound in frames:
    began = time.perf_counter()
    played.append(stream.feed(sound))
    durations.append(time.perf_counter() - began)

played = np.concatenate(played)[:, 0, 0]
at_once = head(lstm(frames.reshape(-1, 1, 1))[0])[:, 0, 0]
same_bits = bool(np.array_equal(played, at_once))
print("frame by frame, the bits of one call:", same_bits)

scored = slice(warm_up, played.size)
found = error_to_signal(played[scored], new_wet[scored])
baseline = error_to_signal(shaped[scored], new_wet[scored])
print(f"error to signal on new notes: {found:.2%}; curves and filters: {baseline:.2%}")

micro = 1e6 * np.array(durations)
lasts = 1e6 * frame / RATE
late = np.mean(micro > lasts)
print(
    f"a frame lasts {lasts:.0f} microseconds; it takes {np.median(micro):.0f} at the median and "
    f"{np.percentile(micro, 99.9):.0f} at the 99.9th percentile; {late:.2%} are late"
)

# %%
# At full size, in November 2026: the LSTM leaves 0.2 % of the signal's energy as error, curves and
# filters 9 %. A frame takes 18 microseconds at the median, an eightieth of what it lasts.

fig, (above, below) = plt.subplots(2, 1, figsize=(9, 5), layout="constrained")
loudest = int(np.argmax(np.abs(new_dry[scored]))) + warm_up
shown = slice(loudest + 50, loudest + 400)
at = 1e3 * np.arange(350) / RATE
above.plot(at, 3 * new_dry[shown], color="0.7", label="guitar, three times")
above.plot(at, new_wet[shown], color="0.2", linewidth=2.5, label="amplifier")
above.plot(at, shaped[shown], color="C0", linewidth=1, label="curves and filters")
above.plot(at, played[shown], color="C1", linewidth=1, label="LSTM")
above.set(xlabel="milliseconds", ylabel="volts")
above.legend(ncols=4, loc="lower right", fontsize="small")
below.semilogy(range(1, epochs + 1), curve, label="LSTM, in training")
below.axhline(baseline, color="C0", linestyle=":", label="curves and filters, new notes")
below.axhline(found, color="C1", linestyle=":", label="LSTM, new notes")
below.set(xlabel="epoch", ylabel="error to signal")
below.legend(fontsize="small")
plt.show()

# %%
# Time per frame, against what a frame lasts. Beside busy programs a few frames are late, because
# the system lends the core to somebody else: against that helps a thread with real-time priority.

fig, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.hist(micro, bins=np.geomspace(5, max(5000, micro.max()), 90), color="C1")
axis.axvline(lasts, color="0.3", linestyle="--", label="64 samples at 44.1 kHz")
axis.set(xscale="log", yscale="log", xlabel="microseconds per frame", ylabel="frames")
axis.legend()
plt.show()

# %%
# Into a plug-in
# --------------
# A plug-in has no Python. A chain of the two layers is saved to a file that C opens and steps, with
# the same bits, no memory asked for and no lock taken: ``docs/c_api.md`` tells how, and
# ``examples/c_plugin`` is one.

path = Path(tempfile.gettempdir()) / "amplifier.simdrnn"
sr.dialects.Chain([lstm, head]).save(path)
print(f"{path.name}: {path.stat().st_size} bytes")

scores = {
    "error": found,
    "baseline": baseline,
    "same_bits": same_bits,
    "late": late,
    "first": curve[0],
    "last": curve[-1],
}
