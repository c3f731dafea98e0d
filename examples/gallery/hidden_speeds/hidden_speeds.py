"""
A pole whose speeds are hidden
==============================

Control: a cart balances a pole, and the network pushes the cart left or right. Usually it is told
four numbers: where the cart is, how far the pole leans, and how fast both change. Here both speeds
are hidden, and one picture of the scene says too little: a pole that leans may be falling or
rising. A network with a memory can work the speeds out from what it saw before.

The pole is gymnasium's ``CartPole-v1`` (MIT licence), all of its copies in one call. The baseline
is the same network with the same training, whose memory is wiped at every step.

Needs: gymnasium, matplotlib. Takes: 20 seconds.
"""

import gymnasium
import matplotlib.pyplot as plt
import numpy as np

import simdrnn as sr
from simdrnn.demos.gallery import by_size

# %%
# What is seen
# ------------
# Of position, its speed, angle, its speed only the first and third, in sizes that suit a network.
# 32 carts run side by side, an episode is over when the pole has fallen, the cart has left, or
# after 500 steps.

carts, steps = 32, 128
updates = by_size(full=150, small=16)
tries = by_size(full=100, small=20)
discount, smoothing = 0.99, 0.95


def make_carts(count):
    """Return that many carts, stepped together."""
    return gymnasium.make_vec("CartPole-v1", count, vectorization_mode="vector_entry_point")


def seen(observations):
    """Return what the network is shown of (B, 4): position and angle, (B, 2)."""
    return observations[:, [0, 2]] * np.array([1.0, 10.0], "float32")


# %%
# The network
# -----------
# A GRU whose state at the beginning of an episode is learned, and on its output two linear layers:
# the actor's odds of the two pushes, and what the critic expects to come.


class Player:
    """A network that plays; one without memory forgets its state before every step."""

    def __init__(self, memory, seed):
        self.memory = memory
        self.gru = sr.GRU(2, 64, learn_initial_state=True, seed=seed)
        self.actor = sr.Linear(64, 2, seed=seed + 1)
        self.critic = sr.Linear(64, 1, seed=seed + 2)
        self.optimizer = sr.optim.Adam([self.gru, self.actor, self.critic], lr=3e-3)

    def forgets(self, begins):
        """Return at which steps the state is replaced by the learned initial one."""
        return begins if self.memory else np.ones_like(begins)


# %%
# Acting
# ------
# A stream takes one step of all carts, and ``reset(rows=...)`` begins those anew whose episode
# begins. After an episode's end gymnasium shows one more picture, in which no push counts: there
# the critic says what a cart that still stood at step 500 could have hoped for; it is left out of
# the losses.


def act(player, env, stream, scene, rng):
    """Play `steps` steps; return what happened, as arrays (T, B), and the scene to go on with."""
    names = ("x", "begins", "counts", "push", "logp", "value", "reward", "fell", "ended")
    kept = {name: [] for name in names}
    observations, begins, counts = scene
    for _ in range(steps):
        x = seen(observations)
        stream.reset(rows=np.flatnonzero(player.forgets(begins)))
        output = stream.step(x)
        logp = log_softmax(player.actor(output))
        push = (rng.random(carts) < np.exp(logp[:, 1])).astype("int64")
        observations, reward, fell, late, _ = env.step(push)
        ended = fell | late
        chosen, value = logp[np.arange(carts), push], player.critic(output)[:, 0]
        for name, what in zip(
            names, (x, begins, counts, push, chosen, value, reward, fell, ended), strict=True
        ):
            kept[name].append(what)
        begins, counts = ~counts, ~ended  # the picture after the end is followed by a beginning
    return {name: np.array(what) for name, what in kept.items()}, (observations, begins, counts)


def log_softmax(logits):
    """Return the logarithms of probabilities."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


# %%
# How good was a push?
# --------------------
# Rewards to come, less what the critic had expected (generalised advantages, Schulman et al. 2016).
# A reward is one hundredth per step, so that balancing for ever is worth 1.


def advantages(played, last_value):
    """Return the advantages (T, B) of what was played, given the critic's value of what follows."""
    values = np.concatenate([played["value"], last_value[None]])
    result, later = np.zeros_like(played["value"]), 0.0
    for t in reversed(range(steps)):
        goes_on, stands = ~played["ended"][t], ~played["fell"][t]
        surprise = (1 - discount) * played["reward"][t]
        surprise = surprise + discount * stands * values[t + 1] - values[t]
        later = surprise + discount * smoothing * goes_on * later
        result[t] = later
    return result


# %%
# Learning from it
# ----------------
# Proximal policy optimisation (Schulman et al. 2017), the gradient by the logits written out: a
# push that went better than expected becomes more likely, but no more than a fifth per rollout. The
# recorded call covers the rollout of 128 steps, with the ends of episodes inside it: ``reset`` says
# where the state becomes the learned one, and no gradient crosses there, other than into that
# learned state.


def learn(player, played, state, advantage, rows):
    """Take one optimiser's step on some of the carts."""
    x, push, counts = (played[name][:, rows] for name in ("x", "push", "counts"))
    gain, target = advantage[:, rows], (advantage + played["value"])[:, rows]
    gain = (gain - gain[counts].mean()) / (gain[counts].std() + 1e-6)

    resets = player.forgets(played["begins"][:, rows])
    tape = player.gru.record(x, state[:, rows], reset=resets)
    actor, critic = player.actor.record(tape.output), player.critic.record(tape.output)

    logp = log_softmax(actor.output)
    p, chosen = np.exp(logp), np.eye(2, dtype="float32")[push]
    ratio = np.exp((logp * chosen).sum(axis=-1) - played["logp"][:, rows])
    free = np.where(gain > 0, ratio < 1.2, ratio > 0.8) & counts
    entropy = -(p * logp).sum(axis=-1, keepdims=True)
    d_logits = (free * gain * ratio)[..., None] * (p - chosen)
    d_logits += 0.01 * p * (logp + entropy) * counts[..., None]  # against deciding too early
    d_value = (critic.output[..., 0] - target) * counts

    real = np.float32(counts.sum())
    d_actor = actor.backward((d_logits / real).astype("float32"))
    d_critic = critic.backward((d_value[..., None] / real).astype("float32"))
    grads = tape.backward(d_actor.x + d_critic.x)
    player.optimizer.step([grads, d_actor, d_critic], max_norm=0.5)


# %%
# Playing for a score
# -------------------
# Episodes that training never saw, with the likelier push each time. Beside how long the poles
# stand, it keeps the network's outputs and the speeds that it was not shown.


def play(player, count, seed):
    """Return how long `count` poles stand, and outputs and true states over the steps."""
    env, stream = make_carts(count), player.gru.stream(batch_size=count)
    observations, _ = env.reset(seed=seed)
    stood, standing, outputs, truth = np.zeros(count), np.ones(count, bool), [], []
    while standing.any():
        if not player.memory:
            stream.reset()
        outputs.append(stream.step(seen(observations)))
        truth.append(np.where(standing[:, None], observations, np.nan))
        push = player.actor(outputs[-1]).argmax(axis=-1)
        observations, reward, fell, late, _ = env.step(push)
        stood += reward * standing
        standing &= ~(fell | late)
    return stood, np.array(outputs), np.array(truth)


# %%
# Training
# --------
# A rollout begins with the states in which the one before it ended, and a stream is made anew for
# each, because a stream keeps the weights that it was made with.


def train(player, seed):
    """Train; return how many steps were played and how long poles then stand."""
    env, rng = make_carts(carts), np.random.default_rng(seed)
    scene = env.reset(seed=seed)[0], np.ones(carts, bool), np.ones(carts, bool)
    state = player.gru.stream(batch_size=carts).state
    curve = []
    for update in range(updates):
        player.optimizer.lr = 3e-3 * (1.0 - update / updates)
        stream = player.gru.stream(batch_size=carts)
        stream.state = before = state
        played, scene = act(player, env, stream, scene, rng)
        state = stream.state
        stream.reset(rows=np.flatnonzero(player.forgets(scene[1])))
        advantage = advantages(played, player.critic(stream.step(seen(scene[0])))[:, 0])
        for _ in range(4):
            for rows in np.array_split(rng.permutation(carts), 2):
                learn(player, played, before, advantage, rows)
        if update % 5 == 0:
            curve.append(((update + 1) * carts * steps, play(player, 20, seed=10_000)[0].mean()))
    return np.array(curve)


players = {"with memory": Player(True, seed=0), "without": Player(False, seed=0)}
curves = {name: train(player, seed=1) for name, player in players.items()}
final = {name: play(player, tries, seed=20_000) for name, player in players.items()}
for name, (stood, _, _) in final.items():
    print(f"{name}: the pole stands {stood.mean():.0f} of 500 steps, over {tries} episodes")

# %%
# At full size, in November 2026: 500 of 500 steps with memory and about 42 without, and the same
# from six other seeds. CartPole counts as solved at 475.

fig, axis = plt.subplots(figsize=(7, 3.3), layout="constrained")
for name, curve in curves.items():
    axis.plot(curve[:, 0] / 1000, curve[:, 1], marker=".", label=name)
axis.axhline(475, color="0.5", linestyle=":", label="solved")
axis.set(xlabel="thousand steps played", ylabel="steps that the pole stands", ylim=(0, 520))
axis.legend()
plt.show()

# %%
# Does it know the speeds?
# ------------------------
# Nobody told the network to work out speeds. A linear map from its output to the true speeds,
# fitted on half of the episodes by least squares, reads them on the other half.

stood, outputs, truth = final["with memory"]
half = tries // 2
known = ~np.isnan(truth[..., 0])
known[:5] = False  # a first look says nothing about speeds


def with_one(outputs):
    """Return outputs with a column of ones, for the constant of the map."""
    return np.hstack([outputs, np.ones((len(outputs), 1), "float32")])


fitted, read = np.split(np.arange(tries), [half])
before, after = known[:, fitted], known[:, read]
true_speeds = truth[:, read][after][:, [1, 3]]
weights, *_ = np.linalg.lstsq(
    with_one(outputs[:, fitted][before]), truth[:, fitted][before][:, [1, 3]], rcond=None
)
read_speeds = with_one(outputs[:, read][after]) @ weights
explained = 1 - np.var(true_speeds - read_speeds, axis=0) / np.var(true_speeds, axis=0)
print("explained variance of the hidden speeds:", np.round(explained, 2))

fig, axes = plt.subplots(1, 3, figsize=(10, 3.3), layout="constrained")
for column, (axis, name) in enumerate(zip(axes, ("cart", "pole"), strict=False)):
    shown = slice(None, None, max(1, len(read_speeds) // 2000))
    axis.plot(true_speeds[shown, column], read_speeds[shown, column], ".", markersize=2)
    axis.axline((0, 0), slope=1, color="0.5", linewidth=1)
    axis.set(title=f"speed of the {name}", xlabel="true, hidden", ylabel="read from the network")
for name, (_, _, path) in final.items():
    axes[2].plot(np.degrees(path[:150, 0, 2]), label=name)
axes[2].set(title="one episode", xlabel="step", ylabel="degrees that the pole leans")
axes[2].legend()
plt.show()

scores = {
    "steps": final["with memory"][0].mean(),
    "baseline": final["without"][0].mean(),
    "explained": explained[1],
}
