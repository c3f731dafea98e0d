"""
A decision from noisy evidence, by units that excite or inhibit
===============================================================

A monkey looks at dots, most of which move at random, and says whether the others go left or right
(Britten et al. 1992). How often it is right rises with the share that go together: the psychometric
curve. Here a network of rates does the task, as in Song, Yang and Wang (2016): leaky units with
private noise, of which four in five excite and the others inhibit (Dale's law), a third of whose
synapses are missing, and of which only those that excite are read out. The trials are drawn.

How well that can be done is known exactly: the ideal observer adds up all the evidence, and forgets
nothing. A leaky unit by itself, which forgets within 100 ms, is the other end.

Over trials of all strengths the network is right in 81.7 %, the ideal observer in 81.9 %, the leaky
unit in 72.3 % (November 2026).

Needs: matplotlib. Takes: 15 seconds.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

import simdrnn as sr
from simdrnn.demos.gallery import by_size

# %%
# The task
# --------
# 20 ms a step. A tenth of a second of nothing; then 0.8 s in which one input speaks for left, one
# for right, each with noise at every step; then a tenth of a second in which to answer. The
# coherence is the share of dots that move together, and its sign says where they go.

DT, TAU = 20, 100  # milliseconds
FIXATION, STIMULUS, ANSWER = 5, 40, 5  # steps
STEPS = FIXATION + STIMULUS + ANSWER
STRENGTHS = np.array([0.032, 0.064, 0.128, 0.256, 0.512])
GAIN, NOISE = 0.5, 0.6  # of the evidence at full coherence, and of the noise on it at a step


def drawn(rng, count):
    """Return coherences (B,) of all strengths and both sides."""
    return rng.choice(STRENGTHS, count) * rng.choice([-1.0, 1.0], count)


def trials(rng, coherence):
    """Return inputs (T, B, 2) float32, and what should be said (B,): 1 is right, 0 left."""
    count = len(coherence)
    x, towards = np.zeros((STEPS, count, 2)), np.array([-1.0, 1.0])
    noise = NOISE * rng.standard_normal((STIMULUS, count, 2))
    x[FIXATION : FIXATION + STIMULUS] = 0.5 + GAIN * coherence[:, None] * towards + noise
    return x.astype("float32"), (coherence > 0).astype(int)


# %%
# The network
# -----------
# 50 rates. ``Dale`` gives every unit its sign, ``Connectivity`` says which synapses there are, and
# ``Fixed`` holds the time constants; the optimiser keeps all of it inside its step, exactly. What
# inhibits is one unit in five, and begins four times as strong, so that both sides balance.

UNITS, SHARE = 50, 0.8
rng = np.random.default_rng(0)
rates = sr.CTRNN(2, UNITS, activation="relu", state_noise=0.05, seed=0)
rates.leak_l0 = np.full(UNITS, DT / TAU, "float32")
readout = sr.Linear(UNITS, 2, seed=1)

law = sr.regularizers.Dale(rates, SHARE)
excites = law.signs > 0
synapses = (rng.random((UNITS, UNITS)) < 2 / 3) & ~np.eye(UNITS, dtype=bool)
wiring = sr.regularizers.Connectivity(rates, synapses)
balanced = rates.weight_hh_l0 * np.where(excites, 1.0, SHARE / (1.0 - SHARE))
radius = np.abs(np.linalg.eigvals(balanced)).max()
rates.weight_hh_l0 = (balanced / radius).astype("float32")

eyes = np.repeat(excites[:, None] & (np.arange(UNITS) % 2 == 0)[:, None], 2, axis=1)
constraints = [
    law,
    wiring,
    sr.regularizers.Connectivity(rates, eyes, "weight_ih*"),  # half of those that excite see
    sr.regularizers.Connectivity(readout, np.tile(excites, (2, 1)), "weight"),
    sr.regularizers.Fixed(rates, "leak*"),
]

# %%
# Learning
# --------
# The answer counts in the last tenth of a second alone. A small penalty on rates keeps them where
# neurons have them. ``record`` draws the private noise; a plain call would leave it out.

updates = by_size(full=1500, small=150)
optimizer, losses = sr.optim.Adam([rates, readout], lr=5e-3, constraints=constraints), []
for update in range(updates):
    optimizer.lr = 5e-3 * (1.0 - update / updates)
    x, right = trials(rng, drawn(rng, 64))
    tape = rates.record(x)
    answer = readout.record(tape.output[-ANSWER:])
    loss = sr.softmax_cross_entropy(answer.output, np.tile(right, (ANSWER, 1)))
    d_readout = answer.backward(loss.backward())
    d_output = sr.regularizers.activation(tape.output, 1e-3).d_output
    d_output[-ANSWER:] += d_readout.x
    optimizer.step([tape.backward(d_output), d_readout], max_norm=1.0)
    losses.append(float(loss.value))
print(f"loss {np.mean(losses[:20]):.3f} at first, {np.mean(losses[-20:]):.3f} at the end")

# %%
# Who is how often right
# ----------------------
# The same trials for all three. The ideal observer has the sum of all evidence; the leaky unit what
# is left of it in one that nobody feeds back, and nothing disturbs. The network has its noise.


def choices(x):
    """Return what the network says, 1 for right, and its rates (T, B, H)."""
    output = rates.record(x).output
    return readout(output[-ANSWER:]).mean(axis=0).argmax(axis=-1), output


def summed(x, kept):
    """Return whether there is more evidence for right, if a step keeps this share of it."""
    total = np.zeros(x.shape[1])
    for step in x[..., 1] - x[..., 0]:
        total = kept * total + step
    return (total > 0).astype(int)


def sensitivity(chosen, coherence):
    """Return the slope k that makes these choices likeliest, if right has Phi(k c)."""
    slopes = np.linspace(0.1, 15.0, 150)
    strengths, counts = np.unique(coherence * (2 * chosen - 1), return_counts=True)
    chances = [[math.erfc(-k * c / math.sqrt(2.0)) / 2.0 for c in strengths] for k in slopes]
    return slopes[(np.log(np.maximum(chances, 1e-12)) @ counts).argmax()]


test = np.random.default_rng(1)
coherence = drawn(test, by_size(full=20_000, small=2_000))
x, right = trials(test, coherence)
told, output = choices(x)
observers = {"network": told, "ideal": summed(x, 1.0), "leaky": summed(x, 1.0 - DT / TAU)}
accuracy = {name: (chosen == right).mean() for name, chosen in observers.items()}
slopes = {name: sensitivity(chosen, coherence) for name, chosen in observers.items()}
for name, share in accuracy.items():
    print(f"{name:8s} {share:.3f} right, slope {slopes[name]:.1f}")

# %%
# Left: their psychometric curves. Right: when do they look? Where there is no evidence at all,
# noise alone decides. How much more of it was there, at each step, for the side that was chosen? Of
# the ideal observer that is the same at all steps; the leaky unit knows the last ones.

blank, _ = trials(test, np.zeros(by_size(full=20_000, small=2_000)))
guesses = {
    "network": choices(blank)[0],
    "ideal": summed(blank, 1.0),
    "leaky": summed(blank, 1.0 - DT / TAU),
}
towards, signed = blank[..., 1] - blank[..., 0], np.unique(coherence)
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, chosen in observers.items():
    share = [chosen[coherence == value].mean() for value in signed]
    axes[0].plot(100 * signed, share, ".-", label=f"{name}: {100 * accuracy[name]:.1f} % right")
    kernel = (towards * (2 * guesses[name] - 1)[:, None].T).mean(axis=1)
    axes[1].plot(DT * (np.arange(STEPS) - FIXATION), kernel, label=name)
axes[0].set(xlabel="coherence, % (below 0: left)", ylabel="share of choices of right")
axes[1].set(xlabel="ms since the dots came", ylabel="noise towards what was chosen")
axes[0].legend()
plt.show()

# %%
# What the units do
# -----------------
# Means over trials of one strength, of those that excite: the unit that prefers right most, and the
# one that prefers left. They climb as evidence comes in, the faster the more there is, as neurons
# in the parietal cortex do (Roitman and Shadlen 2002).

end = output[FIXATION + STIMULUS - 1]
prefers = end[coherence > 0].mean(axis=0) - end[coherence < 0].mean(axis=0)
best = np.where(excites, prefers, 0.0)
figure, axes = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained", sharey=True)
for axis, unit, side in zip(axes, (best.argmax(), best.argmin()), ("right", "left"), strict=True):
    for value in signed:
        mean = output[:, coherence == value, unit].mean(axis=1)
        color = plt.cm.coolwarm(0.5 + 0.5 * np.sign(value) * abs(value / signed.max()) ** 0.4)
        axis.plot(DT * (np.arange(STEPS) - FIXATION), mean, color=color, label=f"{100 * value:.0f}")
    axis.set(xlabel="ms since the dots came", title=f"unit {unit}, which prefers {side}")
axes[0].set(ylabel="rate")
axes[1].legend(title="coherence, %", fontsize="small", ncols=2)
plt.show()

# %%
# What the synapses are
# ---------------------
# A column is what leaves a unit: red excites, blue inhibits, white is 0, a synapse that is not
# there. No column has two colours. Units that excite are in the order of what they prefer: those
# that prefer the same side excite each other, which is how the network remembers for longer than
# its units do.

order = np.argsort(np.where(excites, prefers, np.inf), kind="stable")
weights = rates.weight_hh_l0
largest = np.quantile(np.abs(weights), 0.98)
figure, axis = plt.subplots(figsize=(6.5, 5), layout="constrained")
shown = axis.imshow(weights[order][:, order], cmap="RdBu_r", vmin=-largest, vmax=largest)
axis.set(xlabel="from unit (left, right, inhibiting)", ylabel="to unit")
figure.colorbar(shown, label="weight")
plt.show()

both = np.outer(excites, excites) & synapses
alike = np.equal.outer(prefers > 0, prefers > 0)
same, other = weights[both & alike].mean(), weights[both & ~alike].mean()
print(f"mean weight to units of the same side {same:.3f}, of the other {other:.3f}")

# %%
# In numbers. Both laws hold exactly, whatever was learned:

scores = {f"accuracy_{name}": value for name, value in accuracy.items()}
scores |= {
    "sensitivity": slopes["network"] / slopes["ideal"],
    "sensitivity_leaky": slopes["leaky"] / slopes["ideal"],
    "against_the_law": np.count_nonzero(weights * law.signs < 0),
    "missing_synapses": np.count_nonzero(weights[~synapses]),
    "leak_moved": np.abs(rates.leak_l0 - np.float32(DT / TAU)).max(),
    "same_side": same / other,
}
for name, value in scores.items():
    print(f"{name:20s} {value:.4g}")
