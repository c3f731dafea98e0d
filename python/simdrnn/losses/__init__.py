"""Losses: value and gradient, means over real steps, with masks and weights.

>>> import numpy as np
>>> loss = huber(np.array([0.5, 3.0]), np.zeros(2), mask=np.array([True, False]))
>>> loss.value, loss.backward()
(0.125, array([0.5, 0. ]))

Every one is a mean over the positions that are real, weighted where weights are given, and is
computed in float64. Positions that a mask leaves out may hold anything, NaN too; where nothing is
real, the value is 0 and so is the gradient.
"""

from __future__ import annotations

from simdrnn.losses.classes import cross_entropy
from simdrnn.losses.continuous import Gaussian, StudentT
from simdrnn.losses.counts import NegativeBinomial
from simdrnn.losses.crf import CRF, CRFTape
from simdrnn.losses.ctc import ctc
from simdrnn.losses.ctc_decoding import Reading, ctc_beam_search, ctc_greedy
from simdrnn.losses.likelihood import Likelihood
from simdrnn.losses.pointwise import binary_cross_entropy, huber, quantile
from simdrnn.losses.ranking import ClassSampler, HeadLoss, PairLoss, bpr, sampled_softmax
from simdrnn.training.losses import Loss, mse, softmax_cross_entropy

__all__ = [
    "CRF",
    "CRFTape",
    "ClassSampler",
    "Gaussian",
    "HeadLoss",
    "Likelihood",
    "Loss",
    "NegativeBinomial",
    "PairLoss",
    "Reading",
    "StudentT",
    "binary_cross_entropy",
    "bpr",
    "cross_entropy",
    "ctc",
    "ctc_beam_search",
    "ctc_greedy",
    "huber",
    "mse",
    "quantile",
    "sampled_softmax",
    "softmax_cross_entropy",
]
