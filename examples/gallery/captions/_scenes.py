"""Scenes of two or three handwritten digits, with sentences that say what is where."""

import numpy as np
from sklearn.datasets import load_digits

SIDE, CELL = 32, 10  # pixels of a scene, and from one digit to the next
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
WORDS = ["<end>", "a", *NAMES, "above", "left", "of"]
NUMBER = {word: number for number, word in enumerate(WORDS)}
LONGEST = 11  # "a two left of a two left of a two" and the end


class Scenes:
    """An endless supply of scenes.

    Parameters
    ----------
    part : "training" or "test": no handwritten digit is in both.
    seed : of what is drawn.
    """

    def __init__(self, part, seed):
        digits = load_digits()
        rows = np.random.default_rng(0).permutation(digits.target.size)
        rows = rows[:1400] if part == "training" else rows[1400:]
        self.images = (digits.images[rows] / 16).astype("float32")
        self.labels = digits.target[rows]
        self.rng = np.random.default_rng(seed)

    def draw(self, count, digits=(2, 3)):
        """Return pictures (B, 1, SIDE, SIDE) and the numbers of captions' words (LONGEST, B).

        A scene has one of the given numbers of digits.
        """
        pictures = np.zeros((count, 1, SIDE, SIDE), "float32")
        captions = np.zeros((LONGEST, count), "int64")
        for scene in range(count):
            words = self._paste(pictures[scene, 0], self.rng.choice(digits))
            captions[: len(words), scene] = [NUMBER[word] for word in words]
        pictures += self.rng.normal(0.0, 0.1, pictures.shape).astype("float32")
        return pictures, captions

    def _paste(self, picture, count):
        """Paste digits, each to the right of or below the one before; return words."""
        rng, moves = self.rng, self.rng.integers(0, 2, count - 1)
        places = np.cumsum([[0, 0], *([0, CELL] if move else [CELL, 0] for move in moves)], axis=0)
        room = SIDE - 8 - places[-1]
        places = places + rng.integers(0, room + 1)
        words = []
        for number, (top, left) in enumerate(places):
            row = rng.integers(0, self.labels.size)
            top, left = (np.array([top, left]) + rng.integers(-1, 2, 2)).clip(0, SIDE - 8)
            area = picture[top : top + 8, left : left + 8]
            np.maximum(area, self.images[row], out=area)
            if number:
                words += ["left", "of"] if moves[number - 1] else ["above"]
            words += ["a", NAMES[self.labels[row]]]
        return words


def sentence(words):
    """Return a sentence for word numbers (T,), up to the end."""
    words = [*words, 0]
    return " ".join(WORDS[word] for word in words[: words.index(0)] if word)
