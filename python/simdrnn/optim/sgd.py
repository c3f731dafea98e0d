"""Stochastic gradient descent with momentum.

    g <- g + weight_decay * p
    b <- momentum * b + (1 - dampening) * g          at the first step: b <- g
    g <- g + momentum * b   if nesterov, else   b
    p <- p - lr * g

Source: Polyak 1964 (heavy ball); Sutskever et al. 2013, ICML, for Nesterov's form. As in PyTorch
the learning rate multiplies the momentum buffer instead of entering it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from simdrnn.engine.updates import sgd
from simdrnn.optim.base import Optimizer, Updated
from simdrnn.optim.constraining import Constraining
from simdrnn.optim.groups import GroupsOf
from simdrnn.optim.reduction import AllReduce
from simdrnn.optim.tree import ParameterTree
from simdrnn.training.trainable import as_number
from simdrnn.validate import as_bool

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent, with momentum or Nesterov momentum if asked for.

    Parameters
    ----------
    layers, all_reduce, groups, constraints : see `Optimizer`.
    lr : learning rate.
    momentum : how much of the buffer is kept from step to step; 0 needs no buffer.
    dampening : the part of a gradient that does not enter the buffer.
    weight_decay : L2 penalty, added to the gradient.
    nesterov : look one step of momentum ahead; needs a momentum and no dampening.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([1.0, -2.0])
    >>> optimizer = SGD(weight, lr=0.5)
    >>> optimizer.step(np.array([1.0, 1.0]))
    >>> weight
    array([ 0.5, -2.5])
    """

    __module__ = "simdrnn.optim"

    _options: ClassVar[tuple[str, ...]] = ("momentum", "dampening", "weight_decay", "nesterov")

    def __init__(
        self,
        layers: ParameterTree,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        all_reduce: AllReduce | None = None,
        groups: GroupsOf | None = None,
        constraints: Sequence[Constraining] = (),
    ) -> None:
        self._momentum = as_number("momentum", momentum)
        self._dampening = as_number("dampening", dampening)
        self._weight_decay = as_number("weight_decay", weight_decay)
        self._nesterov = as_bool("nesterov", nesterov)
        if nesterov and (self._momentum == 0.0 or self._dampening != 0.0):
            got = f"momentum={momentum}, dampening={dampening}"
            raise ValueError(f"nesterov: expected momentum > 0 and dampening = 0, got {got}")
        buffer = ["momentum_buffer"] if self._momentum else []
        super().__init__(layers, lr, buffer, all_reduce, groups, constraints)

    def _update(self, arrays: Updated) -> None:
        sgd(
            arrays.parameters, arrays.gradients, arrays.kept, arrays.scale, arrays.weight_decay,
            arrays.lr, self._momentum, 1.0 - self._dampening, arrays.step == 1, self._nesterov,
        )  # fmt: skip
