"""
Spoken digits to text
=====================

Many to many, unequal lengths: sound comes in, a hundred pieces of it, and a few words come out.
Nobody says where in the sound a word is. That is what connectionist temporal classification (CTC)
is for: it adds up the probabilities of all ways to place the words in time.

espeak-ng (GPL) speaks two to six digits at a time: some sixty voices in six accents of English,
slow and fast, high and low, with noise. The package espeakng-loader ships it with its voices.
Twelve voices are never heard in training; what counts is the share of words that are wrong in what
these say. The baseline has the same loss and hears at every step a fifth of a second, and no more.

On 2026-11-30 the network got 1.5 % of the words of strange voices wrong, the baseline 7.5 %.

Needs: espeakng-loader, matplotlib. Takes: 90 seconds.
"""

import matplotlib.pyplot as plt
import numpy as np
from _speech import VOICES, WORDS, Speaker, log_mel, noisy, spoken, word_errors

import simdrnn as sr
from simdrnn.demos.gallery import by_size

# %%
# What is said
# ------------
# A class for silence and all that is between words (blank, 0), and one for each digit.

rng = np.random.default_rng(0)
speaker = Speaker()
strangers = list(rng.choice(VOICES, 12, replace=False))
friends = [voice for voice in VOICES if voice not in strangers]
training = spoken(speaker, friends, by_size(full=1500, small=320), rng)
test = spoken(speaker, strangers, by_size(full=200, small=40), rng)
seconds = sum(len(samples) for samples, _, _ in training) / speaker.rate
print(f"{len(training)} utterances, {seconds / 60:.0f} minutes, by {len(friends)} voices")
print("the strangers:", ", ".join(strangers))


def heard(utterances, decibels, rng):
    """Return what is heard (T, B, bands), its lengths, the classes of words and their number."""
    sounds = [log_mel(noisy(one[0], decibels(), rng), speaker.rate) for one in utterances]
    lengths = np.array([len(sound) for sound in sounds])
    x = np.zeros((lengths.max(), len(sounds), sounds[0].shape[1]), "float32")
    counts = np.array([len(one[1]) for one in utterances])
    targets = np.zeros((len(sounds), counts.max()), int)
    for row, (sound, one) in enumerate(zip(sounds, utterances, strict=True)):
        x[: len(sound), row] = sound
        targets[row, : len(one[1])] = one[1] + 1
    return x, lengths, targets, counts


# %%
# The network
# -----------
# A GRU in both directions and a linear layer. The baseline puts ten pieces of sound beside one
# another, and has a hidden layer in place of the memory.

bands, hidden = 32, 96


class Listener:
    """A bidirectional GRU that says at every step a digit or nothing."""

    def __init__(self):
        self.gru = sr.GRU(bands, hidden, bidirectional=True, seed=1)
        self.head = sr.Linear(2 * hidden, len(WORDS) + 1, seed=2)
        self.optimizer = sr.optim.Adam([self.gru, self.head], lr=4e-3)

    def __call__(self, x, lengths):
        """Return scores (T, B, 11)."""
        return self.head(self.gru(x, lengths=lengths)[0])

    def learn(self, x, lengths, targets, counts):
        """Take one step; return the loss."""
        tape = self.gru.record(x, lengths=lengths)
        scores = self.head.record(tape.output)
        loss = sr.losses.ctc(scores.output, targets, lengths, counts)
        d_head = scores.backward(loss.backward())
        self.optimizer.step([tape.backward(d_head.x), d_head], max_norm=1.0)
        return loss.value


class Window:
    """The baseline: two linear layers, which hear ten steps and remember none."""

    width = 10

    def __init__(self):
        self.hidden = sr.Linear(bands * self.width, 2 * hidden, seed=1)
        self.head = sr.Linear(2 * hidden, len(WORDS) + 1, seed=2)
        self.optimizer = sr.optim.Adam([self.hidden, self.head], lr=2e-3)

    def beside(self, x):
        """Return each step with those around it, (T, B, bands * width)."""
        padded = np.pad(x, ((5, 4), (0, 0), (0, 0)))
        return np.concatenate([padded[i : i + len(x)] for i in range(self.width)], axis=-1)

    def __call__(self, x, lengths):
        """Return scores (T, B, 11)."""
        return self.head(np.maximum(self.hidden(self.beside(x)), 0))

    def learn(self, x, lengths, targets, counts):
        """Take one step; return the loss."""
        tape = self.hidden.record(self.beside(x))
        active = tape.output > 0
        scores = self.head.record(tape.output * active)
        loss = sr.losses.ctc(scores.output, targets, lengths, counts)
        d_head = scores.backward(loss.backward())
        self.optimizer.step([tape.backward(d_head.x * active), d_head], max_norm=1.0)
        return loss.value


# %%
# Training
# --------
# Every utterance is heard with new noise each time, 5 to 30 decibels below the voice. Utterances of
# similar lengths go together.


def trained(network, epochs):
    """Let a network learn; return its losses."""
    draw, losses = np.random.default_rng(1), []
    rate, steps = network.optimizer.lr, epochs * -(-len(training) // 16)
    for _ in range(epochs):
        length = [len(one[0]) + draw.uniform(-9e3, 9e3) for one in training]
        groups = np.array_split(np.argsort(length), -(-len(training) // 16))
        draw.shuffle(groups)
        for group in groups:
            network.optimizer.lr = rate * (1.0 - len(losses) / steps)
            batch = heard([training[row] for row in group], lambda: draw.uniform(5.0, 30.0), draw)
            losses.append(network.learn(*batch))
    return losses


epochs = by_size(full=6, small=4)
listener, window = Listener(), Window()
losses = {"GRU": trained(listener, epochs), "window": trained(window, epochs)}

# %%
# How many words are wrong
# ------------------------
# Reading the likeliest class at every step is nearly as good as searching for the likeliest words.


def errors(network, utterances, decibels, beam=None):
    """Return the share of words that are wrong."""
    x, lengths, targets, counts = heard(utterances, lambda: decibels, np.random.default_rng(2))
    scores = network(x, lengths)
    if beam is None:
        read = sr.losses.ctc_greedy(scores, lengths)
    else:
        found = sr.losses.ctc_beam_search(scores, lengths, beam_width=beam)
        read = [best[0].labels for best in found]
    wrong = [
        word_errors(one, target[:count])
        for one, target, count in zip(read, targets, counts, strict=True)
    ]
    return sum(wrong) / counts.sum()


scores = {
    "word_error": errors(listener, test, 15.0, beam=8),
    "greedy": errors(listener, test, 15.0),
    "baseline": errors(window, test, 15.0),
    "friends": errors(listener, training[: len(test)], 15.0),
    "loss": float(np.mean(losses["GRU"][-20:])),
}
print(f"words of strange voices that are wrong: {scores['word_error']:.1%},")
print(f"read greedily {scores['greedy']:.1%}, by the baseline {scores['baseline']:.1%};")
print(f"of known voices {scores['friends']:.1%}")

# %%
# What is said when
# -----------------
# Above what is heard, below what the network thinks. It says most words in a step or two, wherever
# it likes, and nothing between.

shown = max(test, key=lambda one: len(one[1]))
x, lengths, targets, counts = heard([shown], lambda: 15.0, np.random.default_rng(3))
logits = listener(x, lengths)[:, 0]
belief = np.exp(logits - logits.max(axis=1, keepdims=True))
belief /= belief.sum(axis=1, keepdims=True)
best = sr.losses.ctc_beam_search(logits[:, None])[0][0].labels
time = np.arange(len(x)) * 0.02

fig, axes = plt.subplots(2, 1, figsize=(9, 5.5), sharex=True, layout="constrained")
axes[0].imshow(
    x[:, 0].T, origin="lower", aspect="auto", cmap="magma", extent=(0, time[-1], 0, bands)
)
axes[0].set(ylabel="band", title=f"said: {' '.join(WORDS[word - 1] for word in targets[0])}")
axes[1].plot(time, belief[:, 0], color="0.8", label="nothing")
for word in sorted(set(best) | set(targets[0, : counts[0]])):
    axes[1].plot(time, belief[:, word], label=WORDS[word - 1])
axes[1].set(xlabel="seconds", ylabel="probability")
axes[1].set_title(f"read: {' '.join(WORDS[word - 1] for word in best)}")
axes[1].legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
plt.show()

# %%
# With more noise than in training, too:

levels = by_size(full=[30, 20, 15, 10, 5, 0, -5], small=[20, 5])
fig, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
for label, network in {"GRU, both directions": listener, "window": window}.items():
    axis.plot(levels, [errors(network, test, level) for level in levels], "o-", label=label)
axis.invert_xaxis()
axis.set(xlabel="decibels that the noise is below the voice", ylabel="wrong words", ylim=(0, 1))
axis.legend()
plt.show()
