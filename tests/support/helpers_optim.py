"""The rules of optimisers in NumPy, pass by pass: what the engine's one pass has the bits of."""

from __future__ import annotations

import math

import numpy as np


def sgd(p, g, state, step, *, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0,
        nesterov=False):  # fmt: skip
    """Update an array and the state of its own, both in place; `step` counts from 1."""
    if weight_decay:
        g = p * weight_decay + g
    if momentum:
        if step == 1:
            state["momentum_buffer"] = g.copy()
        else:
            state["momentum_buffer"] *= momentum
            state["momentum_buffer"] += g * (1.0 - dampening)
        buffer = state["momentum_buffer"]
        g = g + buffer * momentum if nesterov else buffer
    p -= g * lr


def adam(p, g, state, step, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
         amsgrad=False, decoupled=False):  # fmt: skip
    """As `sgd`."""
    mean = state.setdefault("exp_avg", np.zeros_like(p))
    square = state.setdefault("exp_avg_sq", np.zeros_like(p))
    if weight_decay and decoupled:
        p *= 1.0 - lr * weight_decay
    elif weight_decay:
        g = p * weight_decay + g
    mean += (g - mean) * (1.0 - betas[0])
    square *= betas[1]
    square += g * g * (1.0 - betas[1])
    if amsgrad:
        largest = state.setdefault("max_exp_avg_sq", np.zeros_like(p))
        square = np.maximum(largest, square, out=largest)
    root = np.sqrt(square) / math.sqrt(1.0 - betas[1] ** step)
    p -= mean / (root + eps) * (lr / (1.0 - betas[0] ** step))


def adamw(p, g, state, step, *, weight_decay=1e-2, **options):
    """As `sgd`."""
    adam(p, g, state, step, weight_decay=weight_decay, decoupled=True, **options)


def rmsprop(p, g, state, step, *, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0,
            centered=False):  # fmt: skip
    """As `sgd`."""
    square = state.setdefault("square_avg", np.zeros_like(p))
    if weight_decay:
        g = p * weight_decay + g
    square *= alpha
    square += g * g * (1.0 - alpha)
    below = square
    if centered:
        mean = state.setdefault("grad_avg", np.zeros_like(p))
        mean += (g - mean) * (1.0 - alpha)
        below = np.maximum(square - mean * mean, 0.0)
    change = g / (np.sqrt(below) + eps)
    if momentum:
        buffer = state.setdefault("momentum_buffer", np.zeros_like(p))
        buffer *= momentum
        buffer += change
        change = buffer
    p -= change * lr
