"""Penalties on parameters: L1, L2, and the distance from orthogonal matrices."""

from __future__ import annotations

import numpy as np

from simdrnn.regularizers.names import Names, Penalty, matrices_of, penalise
from simdrnn.training.trainable import Trainable, as_number
from simdrnn.validate import Array

__all__ = ["l1", "l2", "orthogonality"]


def l1(layer: Trainable, strength: float, names: Names = "weight*") -> Penalty:
    """Penalise magnitudes: ``strength * sum(|w|)``, which drives small weights to 0.

    Parameters
    ----------
    layer : a recurrent layer, a cell, or a module such as `Linear`.
    strength : factor, 0 or more.
    names : which parameters: patterns such as ``"weight_hh*"``, or a list of them.

    Returns
    -------
    A `Penalty`: ``value`` and gradients by name. At 0 the gradient is 0.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a pattern matches no parameter.

    References
    ----------
    Tibshirani 1996, "Regression shrinkage and selection via the lasso".

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.RNN(2, 1, dtype="float64")
    >>> layer.weight_ih_l0 = np.array([[3.0, -4.0]])
    >>> value, gradients = l1(layer, 0.5, "weight_ih*")
    >>> value, gradients["weight_ih_l0"].tolist()
    (3.5, [[0.5, -0.5]])
    """
    factor = as_number("strength", strength)
    return penalise(
        layer, names, lambda _, w: (factor * float(np.abs(w).sum()), factor * np.sign(w))
    )


def l2(layer: Trainable, strength: float, names: Names = "weight*") -> Penalty:
    """Penalise squares: ``strength * sum(w**2)``, as Keras; half of it is weight decay's.

    Parameters
    ----------
    layer : a recurrent layer, a cell, or a module such as `Linear`.
    strength : factor, 0 or more.
    names : which parameters: patterns such as ``"weight_hh*"``, or a list of them.

    Returns
    -------
    A `Penalty`: ``value`` and gradients ``2 * strength * w`` by name.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a pattern matches no parameter.

    References
    ----------
    Krogh and Hertz 1992, "A simple weight decay can improve generalization".

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.RNN(2, 1, dtype="float64")
    >>> layer.weight_ih_l0 = np.array([[3.0, -4.0]])
    >>> value, gradients = l2(layer, 0.5, "weight_ih*")
    >>> value, gradients["weight_ih_l0"].tolist()
    (12.5, [[3.0, -4.0]])
    """
    factor = as_number("strength", strength)
    return penalise(
        layer, names, lambda _, w: (factor * float(np.square(w).sum()), 2.0 * factor * w)
    )


def orthogonality(layer: Trainable, strength: float, names: Names = "weight_hh*") -> Penalty:
    """Penalise the distance from orthogonal matrices: ``strength * |W^T W - 1|^2``, gate by gate.

    With heads, head by head.

    Parameters
    ----------
    layer : a recurrent layer, a cell, or a module such as `Linear`.
    strength : factor, 0 or more.
    names : which parameters, all of them matrices: patterns, or a list of them.

    Returns
    -------
    A `Penalty`: ``value``, with the squared Frobenius norms of all gates added up, and gradients
    ``4 * strength * W (W^T W - 1)`` by name.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a pattern matches no matrix.

    Notes
    -----
    A matrix wider than high has no orthonormal columns; of such the rows are taken, W W^T.

    References
    ----------
    Vorontsov, Trabelsi, Kadoury and Pal 2017, "On orthogonality and learning recurrent networks
    with long term dependencies", arXiv:1702.00071.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.RNN(3, 2, dtype="float64")
    >>> layer.weight_hh_l0 = np.array([[2.0, 0.0], [0.0, 1.0]])
    >>> value, gradients = orthogonality(layer, 1.0)
    >>> value, gradients["weight_hh_l0"].tolist()
    (9.0, [[24.0, 0.0], [0.0, 0.0]])
    """
    factor = as_number("strength", strength)

    def penalty(name: str, parameter: Array) -> tuple[float, Array]:
        if parameter.ndim != 2:
            raise ValueError(f"names: expected matrices only, got {name} of {parameter.shape}")
        weights = parameter.reshape(matrices_of(layer, name, parameter), -1, parameter.shape[-1])
        tall = weights if weights.shape[1] >= weights.shape[2] else weights.swapaxes(1, 2)
        excess = tall.swapaxes(1, 2) @ tall - np.eye(tall.shape[2])
        gradient = 4.0 * factor * (tall @ excess)
        if tall is not weights:
            gradient = gradient.swapaxes(1, 2)
        return factor * float(np.square(excess).sum()), gradient.reshape(parameter.shape)

    return penalise(layer, names, penalty)
