"""Pieces of words, learned as those pairs of neighbours that are met most often.

Byte-pair encoding: Sennrich, Haddow and Birch 2016, arXiv:1508.07909.
"""

import re
from collections import Counter, defaultdict
from itertools import pairwise

__all__ = ["Subwords"]

_WORDS = re.compile(r" ?(?:%\(\w+\)[sd]|%[sd]|\{\w*\}|\w+|[^\w\s])|\s")
_WHOLE = re.compile(r" ?(?:%\(\w+\)[sd]|%[sd]|\{\w*\})")  # what a program fills in


class Subwords:
    """Texts to lists of integers and back. 0 begins a text, 1 ends it, 2 is what is not known."""

    begin, end, unknown = 0, 1, 2

    def __init__(self, texts, merges):
        words = Counter(word for text in texts for word in _WORDS.findall(text))
        parts = {word: self._letters(word) for word in words}
        pairs, places = Counter(), defaultdict(set)
        for word, count in words.items():
            for pair in pairwise(parts[word]):
                pairs[pair] += count
                places[pair].add(word)
        self._ranks = {}
        while len(self._ranks) < merges and pairs:
            pair = max(pairs, key=lambda one: (pairs[one], one))
            if pairs[pair] < 2:
                break
            self._ranks[pair] = len(self._ranks)
            for word in places.pop(pair):
                before, after = parts[word], _joined(parts[word], pair)
                for gone in pairwise(before):
                    pairs[gone] -= words[word]
                for come in pairwise(after):
                    pairs[come] += words[word]
                    places[come].add(word)
                parts[word] = after
            pairs = +pairs
        letters = {letter for word in words for letter in self._letters(word)}
        known = sorted(letters) + ["".join(pair) for pair in self._ranks]
        self.pieces = ["<begin>", "<end>", "<?>", *dict.fromkeys(known)]
        self._numbers = {piece: number for number, piece in enumerate(self.pieces)}
        self._seen = {}

    @staticmethod
    def _letters(word):
        return (word,) if _WHOLE.fullmatch(word) else tuple(word)

    def _split(self, word):
        """Join the neighbours in a word as they were learned to be."""
        if word not in self._seen:
            parts = self._letters(word)
            while len(parts) > 1:
                pairs = [pair for pair in pairwise(parts) if pair in self._ranks]
                if not pairs:
                    break
                parts = _joined(parts, min(pairs, key=self._ranks.get))
            self._seen[word] = parts
        return self._seen[word]

    def encode(self, text):
        """Return the numbers of a text's pieces."""
        parts = [part for word in _WORDS.findall(text) for part in self._split(word)]
        return [self._numbers.get(part, self.unknown) for part in parts]

    def decode(self, numbers):
        """Return the text of the numbers of its pieces."""
        return "".join(
            self.pieces[number] for number in numbers if self.unknown < number < len(self.pieces)
        )


def _joined(parts, pair):
    found, at = [], 0
    while at < len(parts):
        both = parts[at : at + 2] == pair
        found.append("".join(pair) if both else parts[at])
        at += 2 if both else 1
    return tuple(found)
