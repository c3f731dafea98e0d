"""Adam and AdamW.

    m <- m + (1 - beta1) * (g - m)                   v <- beta2 * v + (1 - beta2) * g**2
    p <- p - lr / (1 - beta1**t) * m / (sqrt(v / (1 - beta2**t)) + eps)

Source: Kingma and Ba 2015, arXiv:1412.6980. With amsgrad (Reddi et al. 2018, arXiv:1904.09237) the
largest v so far stands in the quotient. Weight decay is added to the gradient in Adam, and taken
off the parameter in AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101): p <- p - lr * decay * p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from simdrnn.engine.updates import adam
from simdrnn.optim.base import Optimizer, Updated
from simdrnn.optim.constraining import Constraining
from simdrnn.optim.groups import GroupsOf
from simdrnn.optim.reduction import AllReduce
from simdrnn.optim.tree import ParameterTree
from simdrnn.training.trainable import as_number
from simdrnn.validate import as_bool

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam, the usual choice for recurrent networks.

    Parameters
    ----------
    layers, all_reduce, groups, constraints : see `Optimizer`.
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
        groups: GroupsOf | None = None,
        constraints: Sequence[Constraining] = (),
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
        super().__init__(
            layers, lr, ["exp_avg", "exp_avg_sq", *largest], all_reduce, groups, constraints
        )

    def _update(self, arrays: Updated) -> None:
        beta1, beta2 = self._betas
        added, shrink = arrays.weight_decay, 1.0
        if self._decoupled:
            added, shrink = 0.0, 1.0 - arrays.lr * arrays.weight_decay
        adam(
            arrays.parameters, arrays.gradients, arrays.kept, arrays.scale, added,
            shrink, 1.0 - beta1, beta2, 1.0 - beta2,
            math.sqrt(1.0 - beta2**arrays.step), self._eps, arrays.lr / (1.0 - beta1**arrays.step),
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay: the decay does not pass through the running means.

    Parameters
    ----------
    layers, lr, betas, eps, amsgrad, all_reduce, groups, constraints : see `Adam`.
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
        groups: GroupsOf | None = None,
        constraints: Sequence[Constraining] = (),
    ) -> None:
        super().__init__(
            layers, lr, betas, eps, weight_decay, amsgrad,
            all_reduce=all_reduce, groups=groups, constraints=constraints,
        )  # fmt: skip
