"""Optimisers with PyTorch's formulas, defaults and argument names, on layers and plain arrays.

>>> import numpy as np
>>> weight = np.array([1.0, -2.0])
>>> optimizer = Adam(weight, lr=0.1)
>>> for _ in range(100):
...     optimizer.step(2.0 * weight)  # the gradient of sum(weight**2)
>>> bool(np.abs(weight).max() < 0.1)
True
"""

from __future__ import annotations

from simdrnn.optim.adam import Adam, AdamW
from simdrnn.optim.base import Optimizer
from simdrnn.optim.rmsprop import RMSprop
from simdrnn.optim.schedules import Cosine, Exponential, Plateau, Schedule, Step, Warmup
from simdrnn.optim.sgd import SGD
from simdrnn.optim.slices import TreeMean
from simdrnn.optim.stopping import EarlyStopping, GradientNoise

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Cosine",
    "EarlyStopping",
    "Exponential",
    "GradientNoise",
    "Optimizer",
    "Plateau",
    "RMSprop",
    "Schedule",
    "Step",
    "TreeMean",
    "Warmup",
]
