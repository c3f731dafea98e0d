"""Layer normalisation inside the recurrent step: where it acts, and with which parameters.

With ``LN(a) = (a - mean(a)) / sqrt(var(a) + epsilon)`` over a whole row, ``w`` weights and ``b``
biases, every placement has

    a = w_ih * LN(W x) + w_hh * LN(R h) + biases

each over all gates together, and for an LSTM, with ``u = f * c + i * g``,

    haste    c' = u                         h' = o * tanh(w_c * LN(c') + b_c)
    torch    c' = w_c * LN(u) + b_c         h' = o * tanh(c')
    tf       as torch

========= ==================================== =======
placement biases                               epsilon
========= ==================================== =======
haste     bias_ih, bias_hh                     1e-5
torch     bias_ln_ih, bias_ln_hh               1e-5
tf        bias_ln_ih, bias_ln_hh and the first 1e-3
========= ==================================== =======

Ba, Kiros and Hinton 2016, arXiv:1607.06450. The placements are those of haste's ``LayerNormLSTM``
and ``LayerNormGRU``, of ``LayerNormLSTMCell`` in PyTorch's benchmark ``custom_lstms.py``, and of
``LayerNormLSTMCell`` in TensorFlow Addons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["PLACEMENTS", "Placement", "as_placement"]


Pair: TypeAlias = "tuple[Array | None, Array | None]"


class Placement(NamedTuple):
    """What a placement is made of.

    Parameters
    ----------
    offsets : whether the norms of the two products have biases of their own.
    biases : whether the layer's biases are there beside them.
    carried : whether the normalised state is carried on; else only h is made of it.
    epsilon : added to the variance.
    """

    offsets: bool
    biases: bool
    carried: bool
    epsilon: float

    def parameters(self, cell: CellInfo) -> list[tuple[str, int, float]]:
        """Return name, blocks of H values and initial value of each parameter of the norms.

        Examples
        --------
        >>> gru = CellInfo("gru", gates=3, separate=1, states=1, saved=4)
        >>> PLACEMENTS["haste"].parameters(gru)
        [('weight_ln_ih', 3, 1.0), ('weight_ln_hh', 3, 1.0)]
        """
        found = [("weight_ln_ih", cell.gates, 1.0), ("weight_ln_hh", cell.gates, 1.0)]
        if self.offsets:
            found += [("bias_ln_ih", cell.gates, 0.0), ("bias_ln_hh", cell.gates, 0.0)]
        if cell.normalise >= 0:
            found += [("weight_ln_c", 1, 1.0), ("bias_ln_c", 1, 0.0)]
        return found

    def saved(self, cell: CellInfo) -> int:
        """Return how many values per unit a step leaves on the tape for the norms.

        Both products by gate; and where the normalised state is carried, the state before.
        """
        return 2 * cell.gates + (self.carried and cell.normalise >= 0)

    def rows(self, cell: CellInfo, arrays: Sequence[Array]) -> list[Array]:
        """Cut the norms' parameters into what engines take: arrays (H,), biases left out."""
        kept = [*arrays[:2], *arrays[4 if self.offsets else 2 :]]
        blocks = [cell.gates] * 2 + [1] * (len(kept) - 2)
        return [row for one, n in zip(kept, blocks, strict=True) for row in one.reshape(n, -1)]

    def biases_of(self, biases: Pair, arrays: Sequence[Array], *, add: bool) -> Pair:
        """Return what engines add to the parts of the gates, from the layer's and the norms'.

        With `add` their sum, in the layer's dtype; else the layer's where it has any.
        """
        if not self.offsets:
            return biases
        own = (arrays[2], arrays[3])
        if biases[0] is None or biases[1] is None:
            return own
        return (biases[0] + own[0], biases[1] + own[1]) if add else biases


PLACEMENTS = {
    "haste": Placement(offsets=False, biases=True, carried=False, epsilon=1e-5),
    "torch": Placement(offsets=True, biases=False, carried=True, epsilon=1e-5),
    "tf": Placement(offsets=True, biases=True, carried=True, epsilon=1e-3),
}


def as_placement(name: str, value: object) -> str | None:
    """Return the name of a placement; None for False.

    Examples
    --------
    >>> as_placement("layer_norm", True)
    'haste'
    >>> as_placement("layer_norm", "batch")
    Traceback (most recent call last):
    ValueError: layer_norm: expected True, False, 'haste' or 'torch' or 'tf', got 'batch'
    """
    if isinstance(value, (bool, np.bool_)):
        return "haste" if value else None
    names = " or ".join(map(repr, PLACEMENTS))
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected True, False, {names}, got {value!r}")
    if value not in PLACEMENTS:
        raise ValueError(f"{name}: expected True, False, {names}, got {value!r}")
    return value
