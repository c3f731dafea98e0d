"""Adam and AdamW.

    m <- m + (1 - beta1) * (g - m)                   v <- beta2 * v + (1 - beta2) * g**2
    p <- p - lr / (1 - beta1**t) * m / (sqrt(v / (1 - beta2**t)) + eps)

Source: Kingma and Ba 2015, arXiv:1412.6980. With amsgrad (Reddi et al. 2018, arXiv:1904.09237) the
largest v so far stands in the quotient. Weight decay is added to the gradient in Adam, and taken
off the parameter in AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101): p <- p - lr * decay * p.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from simdrnn.optim.base import Optimizer
from simdrnn.optim.reduction import AllReduce
from simdrnn.optim.tree import ParameterTree
from simdrnn.training.trainable import as_number
from simdrnn.validate import Array, as_bool

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam, the usual choice for recurrent networks.

    Parameters
    ----------
    layers, all_reduce : see `Optimizer`.
    lr : learning rate, about the largest change of a parameter in one step.
    betas : decay rates of the running means of the gradient and of its square.
    eps : added to the square root.
    weight_decay : L2 penalty, added to the gradient.
    amsgrad : divide by the largest mean square so far.

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"w": np.array([1.0, -2.0])}
    >>> optimizer = Adam(weights, lr=0.5)
    >>> optimizer.step({"w": np.array([3.0, -0.1])})
    >>> weights["w"].round(6)  # the first step is lr, whatever the gradient's size
    array([ 0.5, -1.5])
    """

    __module__ = "simdrnn.optim"

    _options: ClassVar[tuple[str, ...]] = ("betas", "eps", "weight_decay", "amsgrad")
    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        layers: ParameterTree,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        all_reduce: AllReduce | None = None,
    ) -> None:
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(f"betas: expected a pair of numbers, got {betas!r}")
        self._betas = (
            as_number("betas[0]", betas[0], high=1.0),
            as_number("betas[1]", betas[1], high=1.0),
        )
        self._eps = as_number("eps", eps)
        self._weight_decay = as_number("weight_decay", weight_decay)
        self._amsgrad = as_bool("amsgrad", amsgrad)
        largest = ["max_exp_avg_sq"] if amsgrad else []
        super().__init__(layers, lr, ["exp_avg", "exp_avg_sq", *largest], all_reduce)

    def _update(self, p: Array, g: Array, state: Mapping[str, Array], scratch: Array) -> None:
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        a, b = scratch
        beta1, beta2 = self._betas
        if self._weight_decay and self._decoupled:
            p *= 1.0 - self.lr * self._weight_decay
        elif self._weight_decay:
            np.multiply(p, self._weight_decay, out=b)
            b += g
            g = b

        np.subtract(g, mean, out=a)
        a *= 1.0 - beta1
        mean += a
        np.multiply(g, g, out=a)
        a *= 1.0 - beta2
        square *= beta2
        square += a
        if self._amsgrad:
            square = np.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])

        np.sqrt(square, out=a)
        a /= math.sqrt(1.0 - beta2**self._steps)
        a += self._eps
        np.divide(mean, a, out=a)
        a *= self.lr / (1.0 - beta1**self._steps)
        p -= a


class AdamW(Adam):
    """Adam with decoupled weight decay: the decay does not pass through the running means.

    Parameters
    ----------
    layers, lr, betas, eps, amsgrad, all_reduce : see `Adam`.
    weight_decay : the part of a parameter, times `lr`, taken off at every step.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([1.0, -2.0])
    >>> AdamW(weight, lr=0.5, weight_decay=0.1).step(np.zeros(2))
    >>> weight
    array([ 0.95, -1.9 ])
    """

    __module__ = "simdrnn.optim"

    _decoupled: ClassVar[bool] = True

    def __init__(
        self,
        layers: ParameterTree,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        all_reduce: AllReduce | None = None,
    ) -> None:
        super().__init__(layers, lr, betas, eps, weight_decay, amsgrad, all_reduce=all_reduce)
