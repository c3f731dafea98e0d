"""RMSprop.

    g <- g + weight_decay * p
    v <- alpha * v + (1 - alpha) * g**2
    m <- m + (1 - alpha) * (g - m)                   centered only
    u <- g / (sqrt(v) + eps)                         centered: sqrt(v - m**2)
    b <- momentum * b + u                            without momentum: b <- u
    p <- p - lr * b

Source: Hinton 2012, lecture 6e of "Neural Networks for Machine Learning"; centered: Graves 2013,
arXiv:1308.0850. As in PyTorch eps is added outside the square root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from simdrnn.engine.updates import rmsprop
from simdrnn.optim.base import Optimizer, Updated
from simdrnn.optim.constraining import Constraining
from simdrnn.optim.groups import GroupsOf
from simdrnn.optim.reduction import AllReduce
from simdrnn.optim.tree import ParameterTree
from simdrnn.training.trainable import as_number
from simdrnn.validate import as_bool

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Gradient descent with steps divided by a running root mean square of the gradient.

    Parameters
    ----------
    layers, all_reduce, groups, constraints : see `Optimizer`.
    lr : learning rate.
    alpha : decay rate of the running means.
    eps : added to the square root.
    weight_decay : L2 penalty, added to the gradient.
    momentum : how much of the last step is repeated; 0 needs no buffer.
    centered : divide by the running standard deviation instead. Its square is a difference that
        rounding can take below zero; it is then taken as zero, where PyTorch gives NaN.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([1.0, -2.0])
    >>> optimizer = RMSprop(weight, lr=0.1, alpha=0.75)
    >>> optimizer.step(np.array([3.0, -0.1]))
    >>> weight.round(6)  # the first step is lr / sqrt(1 - alpha)
    array([ 0.8, -1.8])
    """

    __module__ = "simdrnn.optim"

    _options: ClassVar[tuple[str, ...]] = ("alpha", "eps", "weight_decay", "momentum", "centered")

    def __init__(
        self,
        layers: ParameterTree,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        all_reduce: AllReduce | None = None,
        groups: GroupsOf | None = None,
        constraints: Sequence[Constraining] = (),
    ) -> None:
        self._alpha = as_number("alpha", alpha, high=1.0, closed=True)
        self._eps = as_number("eps", eps)
        self._weight_decay = as_number("weight_decay", weight_decay)
        self._momentum = as_number("momentum", momentum)
        self._centered = as_bool("centered", centered)
        buffer = ["momentum_buffer"] if self._momentum else []
        mean = ["grad_avg"] if centered else []
        super().__init__(
            layers, lr, ["square_avg", *buffer, *mean], all_reduce, groups, constraints
        )

    def _update(self, arrays: Updated) -> None:
        rmsprop(
            arrays.parameters, arrays.gradients, arrays.kept, arrays.scale, arrays.weight_decay,
            self._alpha, 1.0 - self._alpha, self._eps, arrays.lr, self._momentum,
            bool(self._momentum), self._centered,
        )  # fmt: skip
