"""Random numbers from a counter-based generator: each depends on nothing but where it applies.

Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011. One block makes four 32-bit words from a 128-bit counter and a 64-bit key; the counter
holds feature, row, step and layer, so neither threads nor order of evaluation can matter.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from simdrnn.validate import Array

__all__ = [
    "Feature",
    "between_layers",
    "call_key",
    "happens",
    "multipliers",
    "normals",
    "philox",
    "uniforms",
]

# Multipliers and key increments of Philox4x32 (section 4 of the paper).
_MULTIPLIER_0, _MULTIPLIER_2 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEP_0, _KEY_STEP_1 = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10

# Weyl increment, 2**64 / golden ratio: spreads the keys of successive calls (docs/engines.md).
_KEY_STEP = 0x9E3779B97F4A7C15
_KEY_MASK = 2**64 - 1
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Words = tuple[Array, Array, Array, Array]


def call_key(seed: int, call: int) -> int:
    """Return the 64-bit key of the masks of one recorded training call; calls count from 0."""
    return (seed + _KEY_STEP * call) & _KEY_MASK


def philox(counter: tuple[npt.ArrayLike, ...], key: tuple[int, int]) -> Words:
    """Return the four words of Philox4x32-10.

    Parameters
    ----------
    counter : four arrays of 32-bit words that broadcast together.
    key : two 32-bit words.

    Returns
    -------
    four uint32 arrays of the broadcast shape.

    Examples
    --------
    >>> [f"{int(word):08x}" for word in philox((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in np.broadcast_arrays(*counter))
    k0, k1 = key
    for _ in range(_ROUNDS):
        product_0, product_2 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_2
        c0, c1, c2, c3 = (
            (product_2 >> _HALF) ^ c1 ^ np.uint64(k0),
            product_2 & _LOW,
            (product_0 >> _HALF) ^ c3 ^ np.uint64(k1),
            product_0 & _LOW,
        )
        k0, k1 = (k0 + _KEY_STEP_0) & 0xFFFFFFFF, (k1 + _KEY_STEP_1) & 0xFFFFFFFF
    return tuple(word.astype(np.uint32) for word in (c0, c1, c2, c3))  # type: ignore[return-value]


class Feature(IntEnum):
    """What random words are drawn for; in the counter, above the stream."""

    BETWEEN_LAYERS = 0
    INPUT = 1
    RECURRENT = 2
    CANDIDATE = 3
    ZONEOUT = 4  # of h; the other states follow, so that the next number is well behind them
    STATE_NOISE = 12
    WEIGHT_DROPOUT = 16
    WEIGHT_NOISE = 17
    SAMPLE = 18
    MODULE = 19  # dropout as a module of its own
    GRADIENT_NOISE = 20


def _words(
    shape: tuple[int, int, int], feature: int, stream: int, key: int, first: int = 0
) -> Array:
    """Return a word for each place of `shape`: (T, B, F) uint32; `first` is the first step."""
    steps, batch, width = shape
    blocks = (width + 3) // 4
    t, b, block = np.ogrid[first : first + steps, :batch, :blocks]
    words = philox((block, b, t, feature << 24 | stream), (key & 0xFFFFFFFF, key >> 32))
    # The size is spelt out: -1 is ambiguous where a dimension is 0.
    return np.stack(words, axis=-1).reshape(steps, batch, 4 * blocks)[..., :width]


def happens(
    shape: tuple[int, int, int], feature: int, stream: int, probability: float, key: int
) -> Array:
    """Tell where something random happens.

    Parameters
    ----------
    shape : (T, B, F); T is 1 for what is drawn once per sequence.
    feature : what it is drawn for.
    stream : layer, or layer * D + direction for what a direction does by itself.
    probability : of happening.
    key : 64 bits.

    Returns
    -------
    (T, B, F) bool array.
    """
    # float64 holds every uint32 exactly
    return _words(shape, feature, stream, key) < probability * 2.0**32


def multipliers(
    shape: tuple[int, int, int],
    stream: int,
    probability: float,
    key: int,
    dtype: npt.DTypeLike,
    feature: int = Feature.BETWEEN_LAYERS,
) -> Array:
    """Return what dropout multiplies by: 0, or 1 / (1 - probability).

    Parameters
    ----------
    shape, stream, probability, key, feature : as for `happens`.
    dtype : to which the scale is rounded.

    Returns
    -------
    (T, B, F) array of that dtype.
    """
    dropped = happens(shape, feature, stream, probability, key)
    scale = 1.0 / (1.0 - probability) if probability < 1 else 0.0
    return np.where(dropped, np.zeros(1, dtype), np.full(1, scale, dtype))


def between_layers(
    shape: tuple[int, int, int], layer: int, probability: float, key: int, dtype: npt.DTypeLike
) -> Array | None:
    """Return what dropout multiplies by what `layer` hands to the one above; None where it is off.

    Its gradient is multiplied by the same.

    Parameters
    ----------
    shape, probability, key, dtype : as for `multipliers`.
    """
    return multipliers(shape, layer, probability, key, dtype) if probability > 0 else None


def normals(
    shape: tuple[int, int, int], feature: int, stream: int, key: int, first: int = 0
) -> Array:
    """Return numbers from the standard normal distribution.

    Two words u, v make two of them (Box and Muller 1958, "A note on the generation of random normal
    deviates"): with r = sqrt(-2 log((u + 1/2) / 2**32)) and a = 2 pi v / 2**32, r cos(a) and
    r sin(a). None is beyond 6.77, the r of u = 0.

    Parameters
    ----------
    shape, feature, stream, key : as for `happens`.
    first : number of the first step.

    Returns
    -------
    (T, B, F) float64 array.

    Examples
    --------
    >>> some = normals((1, 2, 3), Feature.WEIGHT_NOISE, 0, 7, first=1)
    >>> bool((some == normals((2, 2, 3), Feature.WEIGHT_NOISE, 0, 7)[1:]).all())
    True
    """
    steps, batch, width = shape
    words = _words((steps, batch, width + width % 2), feature, stream, key, first)
    radius = np.sqrt(-2.0 * np.log((words[..., ::2] + 0.5) / 2.0**32))
    angle = 2.0 * np.pi * (words[..., 1::2] / 2.0**32)
    pairs = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=-1)
    return pairs.reshape(words.shape)[..., :width]


def uniforms(steps: int, batch: int, key: int) -> Array:
    """Return (T, B) float64 numbers in [0, 1), each of 53 bits: of two words u, v the upper ones.

    Examples
    --------
    >>> some = uniforms(4, 3, key=7)
    >>> bool((some[:2, :1] == uniforms(2, 1, key=7)).all())
    True
    >>> bool((some >= 0).all() and (some < 1).all())
    True
    """
    words = _words((steps, batch, 2), Feature.SAMPLE, 0, key).astype(np.uint64)
    upper = (words[..., 0] << np.uint64(21)) | (words[..., 1] >> np.uint64(11))
    numbers: Array = upper * 2.0**-53
    return numbers
