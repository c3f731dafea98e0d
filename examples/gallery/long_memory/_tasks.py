"""The two tasks of Hochreiter and Schmidhuber (1997) that long memory is measured by."""

import numpy as np

LETTERS, WORD = 4, 3


def adding(rng, steps, rows):
    """Draw numbers, two of which are marked, one in each half: their sum is asked for at the end.

    Returns x (T, B, 2) and the sums (B, 1).
    """
    x = np.zeros((steps, rows, 2), "float32")
    x[..., 0] = rng.random((steps, rows))
    half, every = steps // 2, np.arange(rows)
    marked = rng.integers(0, half, rows), rng.integers(half, steps, rows)
    for place in marked:
        x[place, every, 1] = 1.0
    return x, sum(x[place, every, 0] for place in marked)[:, None]


def copying(rng, steps, rows):
    """Draw a word of letters, blanks, and a signal behind which the word is to be said again.

    Returns x (T + 2 * WORD, B, LETTERS + 1) and the letters (WORD, B).
    """
    letters = rng.integers(0, LETTERS, (WORD, rows))
    x = np.zeros((steps + 2 * WORD, rows, LETTERS + 1), "float32")
    x[np.arange(WORD)[:, None], np.arange(rows), letters] = 1.0
    x[WORD + steps - 1, :, LETTERS] = 1.0
    return x, letters
