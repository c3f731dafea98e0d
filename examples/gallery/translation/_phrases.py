"""A memory of phrases: the messages nearest to another one, by the short strings in them."""

import zlib

import numpy as np

__all__ = ["Phrases"]

_BUCKETS = 2048


class Phrases:
    """Messages, compared by the cosine of the counts of their strings of 2 to 4 characters.

    A string counts the more, the fewer messages have it. Strings that fall into one bucket are
    taken for the same.
    """

    def __init__(self, messages):
        counts = np.array([_strings(message) for message in messages])
        self._worth = np.log(len(counts) / (1 + (counts > 0).sum(axis=0)))
        self._rows = self._unit(counts)

    def _unit(self, counts):
        weighted = np.minimum(counts, 3) * self._worth
        return weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-9)

    def nearest(self, messages, count, leave_out=None):
        """Return the places of the nearest to each, the nearest first: (N, count).

        Where `leave_out` (N, M) is True, a message is none of them.
        """
        likeness = self._unit(np.array([_strings(one) for one in messages])) @ self._rows.T
        if leave_out is not None:
            likeness[leave_out] = -1
        return np.argsort(-likeness, axis=1, kind="stable")[:, :count]


def _strings(message):
    """Return how often each string is in a message."""
    text, counts = f" {message.lower()} ", np.zeros(_BUCKETS)
    for length in (2, 3, 4):
        for at in range(len(text) - length + 1):
            counts[zlib.crc32(text[at : at + length].encode()) % _BUCKETS] += 1
    return counts
