"""The corpus as numbers: words, what they look like and tags, padded to batches."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hironsan.corpus import hiron2016

UNKNOWN = 0


def sentences():
    """Return the sentences, each a list of words with what an analyser says of them, and a tag."""
    return [one for part in ("train", "test") for one in hiron2016.iob_sents(part)]


def numbered(values, least=1):
    """Return numbers from 1 for what comes at least so often; the rest is UNKNOWN."""
    found = Counter(values)
    return {value: index + 1 for index, value in enumerate(v for v in found if found[v] >= least)}


class Features:
    """Says what the network is shown of a word: numbers in five small dictionaries."""

    names = ("word", "first character", "last character", "characters' kind", "part of speech")

    def __init__(self, known):
        words = [word for sentence in known for word in sentence]
        self.tables = [
            numbered([one[0] for one in words], least=2),
            numbered([one[0][0] for one in words]),
            numbered([one[0][-1] for one in words]),
            numbered([one[1] for one in words]),
            numbered([" ".join(one[2:5]) for one in words]),
        ]

    def __call__(self, sentence):
        """Return (T, 5) integers."""
        said = [(one[0], one[0][0], one[0][-1], one[1], " ".join(one[2:5])) for one in sentence]
        return np.array(
            [
                [table.get(v, UNKNOWN) for table, v in zip(self.tables, one, strict=True)]
                for one in said
            ]
        )


def batches(items, size, rng=None):
    """Yield rows of items of similar lengths together; in another order each time with an rng."""
    lengths = np.array([len(item) for item in items])
    noise = 0 if rng is None else rng.uniform(-3.0, 3.0, len(items))
    order = np.argsort(lengths + noise, kind="stable")
    groups = np.array_split(order, max(1, len(items) // size))
    if rng is not None:
        rng.shuffle(groups)
    yield from groups


def padded(arrays):
    """Return arrays (T, ...) of unequal lengths side by side, (T, B, ...), and the lengths (B,)."""
    lengths = np.array([len(array) for array in arrays])
    found = np.zeros((lengths.max(), len(arrays), *arrays[0].shape[1:]), np.int64)
    for row, array in enumerate(arrays):
        found[: len(array), row] = array
    return found, lengths


def spans(tags):
    """Return the names that B- and I- tags mark: (first, behind the last, kind)."""
    found, begun = set(), None
    for place, tag in enumerate([*tags, "O"]):
        if begun is not None and tag != f"I-{begun[1]}":
            found.add((begun[0], place, begun[1]))
            begun = None
        if tag != "O" and begun is None:
            begun = (place, tag[2:])
    return found
