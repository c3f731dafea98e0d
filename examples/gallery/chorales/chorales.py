"""
Melodies in the manner of Bach's chorales
=========================================

One to many: one note goes in, and a melody comes out. An LSTM learns from the sopranos of Bach's
chorales which note follows, pitch and duration at once. Then it is given a first note and continues
on its own, each note that it draws being the next input. What it wrote is drawn as a piano roll and
saved as MIDI.

The scores are those that music21 ships (chorales by Bach, public domain; music21 is under a BSD
licence).

Needs: music21, matplotlib. Takes: 15 seconds.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import music21
import numpy as np
from _melodies import NGram, melodies, tunes

import simdrnn as sr
from simdrnn.demos.gallery import by_size

# %%
# The melodies
# ------------
# All are moved to the key without sharps or flats, so that notes mean the same in each. A token is
# a pitch with a duration; one more is the end. Bach set many hymns several times, and a tune that
# was learned must not be in the test: the melodies are grouped by tune, and whole groups are held
# out.

melodies_read = melodies(by_size(full=None, small=60))
notes = sorted({note for melody in melodies_read for note in melody})
token_of = {note: token for token, note in enumerate(notes)}
end = len(notes)
vocabulary = end + 1

rng = np.random.default_rng(0)
tune = tunes(melodies_read)
groups = rng.permutation(np.unique(tune))
held_out, validation, training = (
    [
        [token_of[note] for note in melody] + [end]
        for melody, number in zip(melodies_read, tune, strict=True)
        if number in chosen
    ]
    for chosen in np.split(groups, [round(0.15 * groups.size), round(0.25 * groups.size)])
)
print(f"{len(melodies_read)} melodies, {groups.size} tunes, {len(notes)} different notes")
print(f"{len(training)} to learn from, {len(validation)} to choose by, {len(held_out)} held out")

# %%
# The baseline
# ------------
# Counting: how often did a note follow the two or three before it? Contexts of all lengths are
# mixed, and how many, and how strongly, is chosen on the validation melodies.

counted = min(
    (NGram(training, vocabulary, order, weight) for order in (2, 3, 4) for weight in (2, 4, 8)),
    key=lambda model: model.bits(validation),
)
baseline = counted.bits(held_out)
alone = NGram(training, vocabulary, 1).bits(held_out)
print(f"an n-gram of up to {counted.order} notes: {baseline:.2f} bits a note")
print(f"how often each note comes, alone: {alone:.2f}")

# %%
# The network
# -----------
# Dropout with one mask for a whole melody on what the LSTM reads and on its state, and the same by
# hand on what it hands on: 14,000 notes are few.

embedding = sr.Embedding(vocabulary, 64, seed=0)
embedding.weight = 0.3 * embedding.weight
lstm = sr.LSTM(64, 128, input_dropout=0.2, recurrent_dropout=0.2, seed=1)
head = sr.Linear(128, vocabulary, seed=2)
optimizer = sr.optim.AdamW([embedding, lstm, head], lr=5e-3, weight_decay=0.01)


def padded(batch):
    """Return inputs and targets (T, B), and the lengths (B,), of melodies."""
    lengths = np.array([len(melody) - 1 for melody in batch])
    tokens = np.zeros((lengths.max() + 1, lengths.size), "int64")
    for row, melody in enumerate(batch):
        tokens[: len(melody), row] = melody
    return tokens[:-1], tokens[1:], lengths


def bits(batch):
    """Return the bits per note that the network needs for melodies whose first notes are given."""
    inputs, targets, lengths = padded(batch)
    output, _ = lstm(embedding(inputs), lengths=lengths)
    real = np.arange(len(inputs))[:, None] < lengths
    return sr.softmax_cross_entropy(head(output), targets, mask=real).value / np.log(2)


def learn(batch):
    """Take one step on some melodies."""
    inputs, targets, lengths = padded(batch)
    vectors = embedding.record(inputs)
    tape = lstm.record(vectors.output, lengths=lengths)
    keep = (rng.random((1, lengths.size, 128)) < 0.6).astype("float32") / 0.6
    logits = head.record(tape.output * keep)
    real = np.arange(len(inputs))[:, None] < lengths
    loss = sr.softmax_cross_entropy(logits.output, targets, mask=real)
    d_head = logits.backward(loss.backward())
    d_lstm = tape.backward(d_head.x * keep)
    optimizer.step([vectors.backward(d_lstm.x), d_lstm, d_head], max_norm=1.0)
    return loss.value / np.log(2)


epochs = by_size(full=40, small=25)
curve = []
for epoch in range(epochs):
    optimizer.lr = 5e-3 * (1.0 - epoch / epochs)
    parts = np.array_split(rng.permutation(len(training)), max(1, len(training) // 16))
    learned = np.mean([learn([training[row] for row in part]) for part in parts])
    curve.append((learned, bits(validation)))

found = bits(held_out)
print(f"the network: {found:.2f} bits a note on held-out melodies; the n-gram {baseline:.2f}")

# %%
# At full size, in November 2026: 3.5 bits against 3.8 of the n-gram, and 5.3 of a model that counts
# how often each note comes.

fig, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.plot(range(1, epochs + 1), np.array(curve), label=["learned from, with dropout", "validation"])
axis.axhline(counted.bits(validation), color="0.5", linestyle=":", label="n-gram, validation")
axis.set(xlabel="epoch", ylabel="bits per note", ylim=(None, 6))
axis.legend()
plt.show()

# %%
# Writing melodies
# ----------------
# ``sr.generate`` runs the three parts as a stream, from a first note for each row of the batch. At
# a temperature below 1 it prefers what is likely. Eight melodies are drawn from each first note;
# shown is the first that has at least thirty notes, because the network now and then ends after one
# phrase.

first = [token_of[note] for note in ((67, 1.0), (69, 1.0), (72, 1.0), (76, 1.0))]
prompts = np.repeat(first, 8)
drawn = sr.generate([embedding, lstm, head], prompts[None], 100, temperature=0.8, seed=0)
melodies_drawn = []
for token, row in zip(prompts, drawn.T, strict=True):
    tokens = [token, *row, end]
    melodies_drawn.append([notes[token] for token in tokens[: tokens.index(end)]])
written = []
for start in range(0, len(prompts), 8):
    eight = melodies_drawn[start : start + 8]
    written.append(next((one for one in eight if len(one) >= 30), max(eight, key=len)))


def copied(melody):
    """Return how many notes in a row, at most, stand in a melody of the training set."""
    sources = [[notes[token] for token in known[:-1]] for known in training]
    for length in range(len(melody), 0, -1):
        runs = {tuple(melody[at : at + length]) for at in range(len(melody) - length + 1)}
        for known in sources:
            if any(tuple(known[at : at + length]) in runs for at in range(len(known))):
                return length
    return 0


for melody in written:
    print(f"{len(melody)} notes, of which at most {copied(melody)} in a row are Bach's")

# %%
# One held-out melody of Bach's, and four of the network's: the first 64 quarters of each. Dotted
# lines are bars of four quarters.


def draw(axis, melody, title, color):
    """Draw a melody as a piano roll."""
    pitches, durations = np.array(melody).T
    starts = np.cumsum(durations) - durations
    axis.barh(pitches, durations - 0.08, left=starts, height=0.9, color=color)
    for bar in np.arange(0, durations.sum(), 4):
        axis.axvline(bar, color="0.8", linestyle=":", linewidth=0.8, zorder=0)
    axis.set_yticks([60, 64, 67, 72, 76, 79], ["C4", "E4", "G4", "C5", "E5", "G5"])
    axis.set(ylim=(55, 88), xlim=(0, 64))
    axis.set_title(title, loc="left", fontsize="medium")


fig, axes = plt.subplots(5, 1, figsize=(9, 9), sharex=True, layout="constrained")
draw(axes[0], [notes[token] for token in held_out[0][:-1]], "Bach, held out", "0.4")
for axis, melody in zip(axes[1:], written, strict=True):
    name = music21.pitch.Pitch(midi=melody[0][0]).nameWithOctave
    draw(axis, melody, f"written by the network, from {name}", "C1")
axes[-1].set_xlabel("quarters")
plt.show()

# %%
# Saved to be heard: music21 writes MIDI, and shows notes where a program for that is installed
# (``.show()``).

score = music21.stream.Stream()
for pitch, quarters in written[0]:
    score.append(music21.note.Note(pitch, quarterLength=quarters))
path = Path(tempfile.gettempdir()) / "melody.mid"
score.write("midi", path)
print(f"{path.name}: {path.stat().st_size} bytes, {score.quarterLength} quarters")

scores = {"bits": found, "baseline": baseline, "first": curve[0][1], "last": curve[-1][1]}
