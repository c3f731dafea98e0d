"""Clips in which a handwritten digit moves, made anew for each batch."""

import numpy as np
from sklearn.datasets import load_digits

SIZE, STEPS = 16, 12  # pixels of a side, frames of a clip
WAYS = 8  # directions, from east against the clock
SPEEDS = np.array([0.3, 0.6, 1.2])  # pixels a frame
NOISE = 0.15  # standard deviation on every pixel of every frame, which are 0 to 1


def digit_pictures():
    """Return pictures (N, 8, 8) of 0 to 1: four fifths for training, the others held out."""
    pictures = load_digits().images.astype("float32") / 16.0
    pictures = pictures[np.random.default_rng(0).permutation(len(pictures))]
    return pictures[360:], pictures[:360]


def make_clips(pictures, count, rng):
    """Return frames (T, B, 1, SIZE, SIZE), the way at each of them (T, B) and the speed (B,).

    A digit begins anywhere and is thrown back by the edges, so that at every frame it may be
    anywhere on its way anywhere: one frame alone tells nothing.
    """
    start_way, speed = rng.integers(WAYS, size=count), rng.integers(len(SPEEDS), size=count)
    angle = 2 * np.pi * start_way / WAYS
    velocity = SPEEDS[speed] * np.stack([-np.sin(angle), np.cos(angle)])  # y goes down
    room = SIZE - 8
    unfolded = rng.uniform(0, room, (2, count)) + np.arange(STEPS)[:, None, None] * velocity
    phase = unfolded % (2 * room)
    place = np.where(phase > room, 2 * room - phase, phase)  # (T, 2, B)
    y, x = np.moveaxis(np.where(phase > room, -velocity, velocity), 1, 0)
    way = np.rint(np.arctan2(-y, x) * WAYS / (2 * np.pi)).astype(int) % WAYS
    canvas = np.zeros((count, SIZE, SIZE), "float32")
    canvas[:, :8, :8] = pictures[rng.integers(len(pictures), size=count)]
    frames = _shifted(canvas, place)
    frames += NOISE * rng.standard_normal(frames.shape, dtype="float32")
    return frames[:, :, None], way, speed


def _shifted(canvas, place):
    """Return pictures moved by places (T, 2, B) that need not be whole pixels: (T, B, ...)."""
    whole = np.floor(place).astype(int)
    part = (place - whole).astype("float32")
    rows, axis = np.arange(canvas.shape[0])[:, None, None], np.arange(SIZE)
    frames = np.zeros((len(place), *canvas.shape), "float32")
    for down in (0, 1):
        for right in (0, 1):
            y = (axis[:, None] - (whole[:, 0] + down)[..., None, None]) % SIZE
            x = (axis[None, :] - (whole[:, 1] + right)[..., None, None]) % SIZE
            share = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
            frames += share[..., None, None] * canvas[rows, y, x]
    return frames
