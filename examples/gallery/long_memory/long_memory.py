"""
What keeps a network from remembering, and the cure
===================================================

Two tasks that nothing but memory solves (Hochreiter and Schmidhuber 1997). *Adding*: of a hundred
numbers, or two thousand, two are marked, and their sum is asked for at the end. *Copying*: a word
comes first, a hundred blanks follow, and then it is to be said again. The data are drawn at random.

Three networks that do not learn it are sick in three ways: their gradients vanish, explode, or
their gates are stuck at the ends. ``diagnose`` says which and names a cure; here it is followed.
Then six kinds of networks are compared, and what it costs to go back through a long sequence.

Who always says 1 has a mean squared error of 0.167 in adding. After a thousand updates the sick
networks have 0.17, 0.19 and 0.16 over a hundred steps; healed, they have 0.0005 (forgot), 0.04
(blew up) and 0.0002 (stuck). Over two thousand steps an LSTM that starts with ``chrono`` has 0.02
and a GRU 0.03; a plain RNN and an LSTM that starts as usual learn nothing (November 2026).

Needs: matplotlib. Takes: 35 seconds.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from _tasks import LETTERS, WORD, adding, copying

import simdrnn as sr
from simdrnn.demos.gallery import by_size

HIDDEN, ROWS = 32, 32
STEPS = by_size(full=100, small=50)
GUESS = 1 / 6  # mean squared error of always saying 1, the mean of the sum of two numbers

# %%
# A loop for both tasks
# ---------------------
# A layer, and a head that reads its last output. Gradients are clipped by their common norm, which
# is what one does first against large ones; against what happens from step to step it is too late.


def train(layer, updates, steps, lr=1e-2, scale=1.0, shift=0.0, seed=1):
    """Teach adding; return the head and the error of each update."""
    rng, head = np.random.default_rng(seed), sr.Linear(HIDDEN, 1, seed=1)
    optimizer, errors = sr.optim.Adam([layer, head], lr=lr), []
    go_on(layer, head, optimizer, updates, steps, rng, errors, scale, shift)
    return head, np.array(errors)


def go_on(layer, head, optimizer, updates, steps, rng, errors, scale=1.0, shift=0.0):
    """Train for some more updates, on sequences of this many steps."""
    for _ in range(updates):
        x, total = adding(rng, steps, ROWS)
        every = max(steps // 20, 1) if steps > 400 else None  # what is kept: more of that below
        tape = layer.record((x + np.float32(shift)) * np.float32(scale), checkpoint_every=every)
        answer = head.record(tape.last_output)
        loss = sr.mse(answer.output, total)
        d_head = answer.backward(loss.backward())
        d_layer = tape.backward(d_last_output=d_head.x)
        optimizer.step([d_layer, d_head], max_norm=1.0)
        errors.append(float(loss.value))


# %%
# Three sick networks
# -------------------
# A plain network whose tanh forgets; one without an upper end (relu), whose recurrent matrix is too
# large; and an LSTM that could remember, but is told its numbers in thousandths.


def chrono(inputs, steps):
    """Make an LSTM whose forget gates begin where they keep for up to so many steps."""
    memory = [sr.init.zeros(), sr.init.chrono(t_max=steps)]
    return sr.init.apply(sr.LSTM(inputs, HIDDEN, seed=0), bias=memory, seed=0)


def large():
    """Make a network of relu units whose recurrent matrix has a radius of 1.8."""
    layer = sr.RNN(2, HIDDEN, nonlinearity="relu", seed=0)
    return sr.init.apply(layer, weight_hh=sr.init.spectral_radius(1.8), seed=0)


sick = {
    "vanishing": (sr.RNN(2, HIDDEN, seed=0), 1.0, 0.0),
    "exploding": (large(), 1.0, 0.0),
    "saturated": (chrono(2, STEPS), 1000.0, 0.0),
}
x, _ = adding(np.random.default_rng(0), STEPS, 8)
reports = {}
for name, (layer, scale, shift) in sick.items():
    reports[name] = sr.diagnose(layer.record((x + np.float32(shift)) * np.float32(scale)))
    print(f"--- {name}: {', '.join(reports[name].troubles)}")
    print(reports[name])
    print()

# %%
# The cures that it names
# -----------------------
# Word for word what stands behind "Try": gates, and biases that let them keep; the identity for
# what is multiplied again and again; inputs of mean 0 and variance 1.

lstm = sr.LSTM(2, HIDDEN, seed=0)
sr.init.apply(lstm, bias=[sr.init.zeros(), sr.init.chrono(t_max=STEPS)], seed=0)
relu = sr.init.apply(large(), weight_hh=sr.init.identity())
mean, deviation = float(x.mean()), float(x.std())
healed = {
    "vanishing": (lstm, 1.0, 0.0),
    "exploding": (relu, 1.0, 0.0),
    "saturated": (chrono(2, STEPS), 1.0 / deviation, -mean),
}
cured = {}
for name, (layer, scale, shift) in healed.items():
    cured[name] = sr.diagnose(layer.record((x + np.float32(shift)) * np.float32(scale)))
    print(f"{name}: {', '.join(reports[name].troubles)} before, {cured[name].verdict} after")

# %%
# Does it learn now?
# ------------------
# Left: what is left of a gradient on its way from the last step (right) to the first. Right: the
# error while learning, before (dashed) and after. The line is what one has who always says 1.

RATES = {"vanishing": 1e-2, "exploding": 1e-3, "saturated": 1e-2}
updates = by_size(full=1000, small=60)
errors = {}
for name in sick:
    for when, networks in (("before", sick), ("after", healed)):
        layer, scale, shift = networks[name]
        errors[name, when] = train(layer, updates, STEPS, RATES[name], scale, shift)[1]


def smooth(values, width=20):
    """Return means over some updates."""
    width = min(width, len(values))
    return np.convolve(values, np.ones(width) / width, "valid")


figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for number, name in enumerate(sick):
    for found, style in ((reports[name], "--"), (cured[name], "-")):
        state = "c" if "c" in found.layers[0].gradient else "h"
        curve = found.layers[0].curve(state)
        axes[0].semilogy(np.where(curve > 0, curve, np.nan), style, color=f"C{number}")
    axes[1].semilogy(smooth(errors[name, "before"]), "--", color=f"C{number}")
    axes[1].semilogy(smooth(errors[name, "after"]), "-", color=f"C{number}", label=name)
axes[1].axhline(GUESS, color="black", linewidth=0.8)
axes[0].set(xlabel="step", ylabel="norm of the gradient", ylim=(1e-12, 1e12))
axes[1].set(xlabel="update", ylabel="mean squared error", ylim=(1e-4, 10.0))
axes[1].legend()
plt.show()


# %%
# Six networks
# ------------
# All learn adding over a hundred steps, and go on over four hundred, and a little over a thousand;
# then they are asked over up to two thousand, which none of them has seen. IRNN is the relu network
# from above (Le, Jaitly and Hinton 2015); chrono is Tallec and Ollivier's start of an LSTM (2018);
# IndRNN (Li et al. 2018) lets each unit see itself alone, and its units begin where they keep a
# hundredth or more of what they had over all the steps.


def networks(inputs, steps):
    """Return a layer and a learning rate of each kind."""
    relu = sr.RNN(inputs, HIDDEN, nonlinearity="relu", seed=0)
    alone, rng = sr.IndRNN(inputs, HIDDEN, 2, seed=0), np.random.default_rng(0)
    alone.weight_u_l0, alone.weight_u_l1 = rng.uniform(
        0.01 ** (1 / steps), 1.0, (2, HIDDEN)
    ).astype("float32")
    identity = {"weight_hh": sr.init.identity(), "bias": sr.init.zeros()}
    return {
        "RNN": (sr.RNN(inputs, HIDDEN, seed=0), 2e-3),
        "IRNN": (sr.init.apply(relu, **identity, seed=0), 1e-3),
        "LSTM": (sr.LSTM(inputs, HIDDEN, seed=0), 1e-2),
        "LSTM, chrono": (chrono(inputs, steps), 1e-2),
        "GRU": (sr.GRU(inputs, HIDDEN, seed=0), 1e-2),
        "IndRNN": (alone, 5e-3),
    }


def error_of(layer, head, steps):
    """Return the error on sequences that were not seen."""
    x, total = adding(np.random.default_rng(99), steps, 128)
    return float(np.square(head(layer(x)[0][-1]) - total).mean())


lengths = by_size(full=(100, 200, 400, 1000, 2000), small=(50, 200))
stages = by_size(full=((100, 1500), (400, 150), (1000, 40)), small=((50, 6), (100, 2)))
curves = {}
for name, (layer, lr) in networks(2, STEPS).items():
    rng, head, losses = np.random.default_rng(1), sr.Linear(HIDDEN, 1, seed=1), []
    optimizer = sr.optim.Adam([layer, head], lr=lr)
    for steps, count in stages:
        go_on(layer, head, optimizer, count, steps, rng, losses)
        optimizer.lr = lr / 4
    curves[name] = [error_of(layer, head, steps) for steps in lengths]
    print(f"{name:14s}" + "".join(f"{value:10.4f}" for value in curves[name]))

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for name, values in curves.items():
    axis.loglog(lengths, values, ".-", label=name)
axis.axhline(GUESS, color="black", linewidth=0.8)
axis.set(xlabel="steps", ylabel="mean squared error of the sum", xticks=lengths, ylim=(1e-4, 10.0))
axis.set_xticklabels(map(str, lengths))
axis.legend()
plt.show()

# %%
# Copying
# -------
# Here there is nothing to count, only to keep: three letters of four, over as many blanks. The
# lines are a guess, and what one has who knows the letters, but not in which order they came: the
# most frequent one is right in 9 of 16 cases. An LSTM without the right biases does not get to know
# even these; the order takes all of them longer than this page.


def copied(layer, lr, updates):
    """Teach copying; return the share of letters that are right, by update."""
    rng, head, right = np.random.default_rng(2), sr.Linear(HIDDEN, LETTERS, seed=1), []
    optimizer = sr.optim.Adam([layer, head], lr=lr)
    for _ in range(updates):
        x, letters = copying(rng, STEPS, ROWS)
        tape = layer.record(x)
        answer = head.record(tape.output[-WORD:])
        d_head = answer.backward(sr.softmax_cross_entropy(answer.output, letters).backward())
        d_output = np.zeros_like(tape.output)
        d_output[-WORD:] = d_head.x
        optimizer.step([tape.backward(d_output), d_head], max_norm=1.0)
        right.append((answer.output.argmax(axis=-1) == letters).mean())
    return np.array(right)


shares = {
    name: copied(layer, lr, by_size(full=500, small=120))
    for name, (layer, lr) in networks(LETTERS + 1, STEPS).items()
    if name != "IndRNN"
}
figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, share in shares.items():
    axis.plot(smooth(share), label=name)
for value in (1 / LETTERS, 9 / 16):
    axis.axhline(value, color="black", linewidth=0.8)
axis.set(xlabel="update", ylabel="letters right", ylim=(0, 1.02))
axis.legend()
plt.show()

# %%
# What it costs to go back
# ------------------------
# A tape keeps what each step made. Checkpoints keep some of it and make the rest again: the same
# gradients to the bit, for one more way forward. Truncated back-propagation (``tbptt``) keeps one
# chunk at a time, and its gradients end where the chunk begins. Over two thousand steps:

layer, long = chrono(2, 2000), by_size(full=2000, small=400)
x, total = adding(np.random.default_rng(3), long, ROWS)
ones = np.ones((long, ROWS, HIDDEN), "float32")


def measured(kind):
    """Return kilobytes that are kept at a time, and seconds there and back."""
    begin, kept = time.perf_counter(), 0
    if kind == "tbptt":
        for chunk in sr.tbptt(layer, x, k=100):
            chunk.tape.backward(ones[chunk.start : chunk.stop])
            kept = max(kept, chunk.tape.nbytes)
    else:
        tape = layer.record(x, checkpoint_every=45 if kind == "checkpoints" else None)
        tape.backward(ones)
        kept = tape.nbytes
    return kept / 1e3, time.perf_counter() - begin


measured("everything")  # the first one has its memory to get
costs = {kind: measured(kind) for kind in ("everything", "checkpoints", "tbptt")}
for kind, (kilobytes, seconds) in costs.items():
    print(f"{kind:12s} {kilobytes:10,.0f} kB kept {seconds:8.3f} s")

# %%
# And what is learned of adding with all the gradients, or with those of the last half or quarter of
# the steps. Later and less exactly, but it is learned: the weights that write down the second
# number, which is near enough, are those that write down the first. Only what nothing newer teaches
# is lost where gradients are cut. ``tbptt`` itself takes checkpoints, too.


def truncated(k, updates):
    """Teach adding by gradients that go back k steps; return the errors."""
    layer, head, rng = chrono(2, STEPS), sr.Linear(HIDDEN, 1, seed=1), np.random.default_rng(1)
    optimizer, errors = sr.optim.Adam([layer, head], lr=1e-2), []
    for _ in range(updates):
        x, total = adding(rng, STEPS, ROWS)
        *_, last = sr.tbptt(layer, x, k, checkpoint_every=10)
        answer = head.record(last.tape.output[-1])
        loss = sr.mse(answer.output, total)
        d_head = answer.backward(loss.backward())
        d_output = np.zeros_like(last.tape.output)
        d_output[-1] = d_head.x
        optimizer.step([last.tape.backward(d_output), d_head], max_norm=1.0)
        errors.append(float(loss.value))
    return np.array(errors)


parts = {STEPS: "all steps", STEPS // 2: "the last half", STEPS // 4: "the last quarter"}
learned = {text: truncated(k, by_size(full=1000, small=6)) for k, text in parts.items()}
figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
for text, values in learned.items():
    axis.semilogy(smooth(values), label=f"gradients of {text}")
axis.axhline(GUESS, color="black", linewidth=0.8)
axis.set(xlabel="update", ylabel="mean squared error")
axis.legend()
plt.show()

# %%
# In numbers:


def end(values):
    """Return the mean of the last tenth."""
    return float(np.mean(values[-max(len(values) // 10, 1) :]))


TROUBLES = {"vanishing": "vanish", "exploding": "explode", "saturated": "saturated"}
scores = {
    "sick": sum(trouble in reports[name].troubles for name, trouble in TROUBLES.items()),
    "healed": sum(not found.troubles for found in cured.values()),
    "baseline": GUESS,
    "kept": costs["checkpoints"][0] / costs["everything"][0],
}
scores |= {f"{name}_before": end(errors[name, "before"]) for name in sick}
scores |= {f"{name}_after": end(errors[name, "after"]) for name in sick}
for name, values in curves.items():
    scores[f"{name.replace(', ', '_')}_longest"] = values[-1]
for name, share in shares.items():
    scores[f"{name.replace(', ', '_')}_copied"] = end(share)
for text, values in learned.items():
    scores[text.replace(" ", "_")] = end(values)
for name, value in scores.items():
    print(f"{name:24s} {value:.4g}")
