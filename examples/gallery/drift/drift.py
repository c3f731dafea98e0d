"""
A stream that drifts
====================

A sensor tells its next value from the ones before; what it measures speeds up over the months, and
then somebody turns the sensor round. A network that was trained once is as good as ever on what it
was trained on, and on nothing else. The same network, which goes on learning from every twenty
values that arrive (``tbptt``), follows. The stream is simulated, so that it is known what can be
told of it at all.

One step ahead the frozen network is wrong by 0.40 (root mean square, behind what it was trained
on), the last value by 0.25, the one that goes on learning by 0.07; 0.05 is noise (November 2026).

Needs: matplotlib. Takes: 5 seconds.
"""

import copy

import matplotlib.pyplot as plt
import numpy as np

import simdrnn as sr
from simdrnn.demos.gallery import by_size

# %%
# The stream
# ----------
# Two oscillations, of which the faster one speeds up by half between the first and the second
# third of the stream, and noise that nobody can foretell. Before the last third the sign changes,
# and the level.

STEPS, KNOWN, NOISE = by_size(full=60_000, small=6_000), by_size(full=6_000, small=1_500), 0.05
rng, third = np.random.default_rng(0), STEPS // 3
time = np.arange(STEPS + 1)
speed = np.interp(time, [third // 2, 2 * third], [1 / 25, 1.5 / 25])
signal = np.sin(2 * np.pi * np.cumsum(speed)) + 0.5 * np.sin(2 * np.pi * time / 61)
signal = np.where(time < 2 * third, signal, 0.7 - signal)
values = (signal + NOISE * rng.standard_normal(len(time))).astype("float32")
x, target = values[:-1, None, None], values[1:, None, None]  # (T, 1, 1): one stream

# %%
# A network, trained once
# -----------------------
# Two levels of GRU. What is known at the beginning is cut into ten pieces that are learned side by
# side, a few times over.


def learn(chunk, head, optimizer, target):
    """Make one step from a chunk; return what was foretold before it."""
    answer = head.record(chunk.tape.output)
    loss = sr.mse(answer.output, target[chunk.start : chunk.stop])
    d_head = answer.backward(loss.backward())
    optimizer.step([chunk.tape.backward(d_head.x), d_head], max_norm=1.0)
    return answer.output


K, PIECES = 20, 10
network = sr.Stack([sr.GRU(1, 24, seed=0), sr.GRU(24, 24, seed=1)])
head = sr.Linear(24, 1, seed=2)
optimizer = sr.optim.Adam([network, head], lr=5e-3)
pieces, answers = (part[:KNOWN, 0].reshape(PIECES, -1, 1).swapaxes(0, 1) for part in (x, target))
epochs = by_size(full=100, small=6)
for epoch in range(epochs):
    optimizer.lr = 5e-3 * (1.0 - epoch / epochs)
    for chunk in sr.tbptt(network, pieces, K):
        learn(chunk, head, optimizer, answers)

# %%
# Frozen, and online
# ------------------
# The copy goes through the stream once, in chunks of twenty steps. Each is foretold with what was
# learned before it, and learned afterwards: so the errors are those of someone who does not know
# what comes. The state goes from chunk to chunk, the gradients do not, and nothing grows with the
# length of the stream.

live, live_head = copy.deepcopy([network, head])
optimizer = sr.optim.Adam([live, live_head], lr=2e-3)
online = np.concatenate([
    learn(chunk, live_head, optimizer, target) for chunk in sr.tbptt(live, x, K)
])  # fmt: skip
frozen = head(network(x)[0])

# %%
# Are twenty steps enough? ``diagnose`` takes chunks, too, and looks at both levels: by how much a
# step back multiplies a gradient says what is left of it where a chunk begins. A fifth in the upper
# level, next to nothing in the lower one: what they make of the stream lies in the last few values,
# and cutting costs little. (That gradients vanish is an illness only where something older is to be
# learned.)

*_, last = sr.tbptt(live, x[-400:], 5 * K)
found = sr.diagnose(last.tape)
print(found)
left = {layer.name: np.exp(K * layer.growth) for layer in found.layers}
for name, share in left.items():
    print(f"{name}: {share:.1e} of a gradient is left after {K} steps")

# %%
# Errors over time
# ----------------
# Root mean square over windows of some hundred steps. The last value is what one has without any
# network, the line at the bottom the noise.


WINDOW = by_size(full=300, small=100)


def rms(told):
    """Return the error in windows."""
    error = np.square(told - target)[: STEPS // WINDOW * WINDOW, 0, 0]
    return np.sqrt(error.reshape(-1, WINDOW).mean(axis=1))


curves = {"trained once": rms(frozen), "learning on": rms(online), "the last value": rms(x)}
figure, axes = plt.subplots(2, 1, figsize=(9, 6), layout="constrained", height_ratios=(1, 2))
for place in (0, third, STEPS - 120):
    axes[0].plot(np.arange(120) + len(axes[0].lines) * 140, values[place : place + 120])
axes[0].set(xticks=(), title="At the beginning, after a third, at the end: 120 steps each")
for name, curve in curves.items():
    axes[1].semilogy(np.linspace(0, STEPS, len(curve)), curve, label=name)
axes[1].axhline(NOISE, color="black", linewidth=0.8)
axes[1].axvline(KNOWN, color="black", linewidth=0.8, linestyle=":")
axes[1].set(xlabel="step (trained on what is left of the dots)", ylabel="error one step ahead")
axes[1].legend()
plt.show()

# %%
# What was foretold around the moment when the sensor was turned round:

moment = slice(2 * third - 60, 2 * third + 240)
figure, axis = plt.subplots(figsize=(9, 3.5), layout="constrained")
axis.plot(time[moment], target[moment, 0, 0], color="black", linewidth=0.8, label="measured")
axis.plot(time[moment], frozen[moment, 0, 0], label="trained once")
axis.plot(time[moment], online[moment, 0, 0], label="learning on")
axis.set(xlabel="step", ylabel="value")
axis.legend()
plt.show()

# %%
# In numbers, over what came after the training, and over its last third:


def error(told, part):
    """Return the root mean square error in a part of the stream."""
    return float(np.sqrt(np.square(told[part] - target[part]).mean()))


after, end = slice(KNOWN, None), slice(2 * third, None)
scores = {"noise": NOISE, "left": float(max(left.values()))}
for name, told in {"online": online, "frozen": frozen, "last_value": x}.items():
    scores |= {name: error(told, after), f"{name}_end": error(told, end)}
for name, value in scores.items():
    print(f"{name:16s} {value:.4g}")
