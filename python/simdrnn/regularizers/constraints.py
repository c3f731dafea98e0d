"""What is done to parameters after a step, rather than added to the loss."""

from __future__ import annotations

import numpy as np

from simdrnn.regularizers.names import Names, chosen, gates_of
from simdrnn.training.trainable import Trainable, kept_still, lend
from simdrnn.validate import Array, as_positive_number, check_choice

__all__ = ["max_norm_"]


def max_norm_(layer: Trainable, limit: float, names: Names = "weight*", *, per: str = "row") -> int:
    """Shorten what is longer than `limit` to that Euclidean norm, in place, after a step.

    Parameters
    ----------
    layer : a recurrent layer, a cell, or a module such as `Linear`.
    limit : the largest norm let through; positive.
    names : which parameters: patterns such as ``"weight_hh*"``, or a list of them.
    per : ``"row"``, the incoming weights of one gate of one unit; or ``"unit"``, those of all its
        gates together. Of a bias a row is one number.

    Returns
    -------
    The number of rows, or units, that were shortened. If it is 0 nothing has been written, and
    tapes recorded before stay valid.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a pattern matches no parameter.

    Notes
    -----
    Norms are taken in float64. The result is rounded to the layer's dtype, so a norm may exceed
    the limit by a unit in the last place. What is not finite is left as it is.

    References
    ----------
    Srebro and Shraibman 2005, "Rank, trace-norm and max-norm"; with dropout, Srivastava et al.
    2014, "Dropout: a simple way to prevent neural networks from overfitting".

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.RNN(2, 2, dtype="float64")
    >>> layer.weight_ih_l0 = np.array([[3.0, 4.0], [0.3, 0.4]])
    >>> max_norm_(layer, 1.0, "weight_ih*")
    1
    >>> layer.weight_ih_l0.round(3).tolist()
    [[0.6, 0.8], [0.3, 0.4]]
    """
    largest = as_positive_number("limit", limit)
    check_choice("per", per, ("row", "unit"))
    with kept_still(layer):  # what is read and what is written are of one version
        return _shorten(layer, largest, names, per)


def _shorten(layer: Trainable, largest: float, names: Names, per: str) -> int:
    """Do what `max_norm_` says, while no other thread writes."""
    shortened: dict[str, Array] = {}
    count = 0
    for name, array in chosen(layer, names).items():
        gates = gates_of(layer, name, array) if per == "unit" else 1
        blocks = array.astype(np.float64).reshape(gates, array.shape[0] // gates, -1)
        norms = np.sqrt(np.square(blocks).sum(axis=(0, 2)))
        long = (norms > largest) & np.isfinite(norms)
        if long.any():
            blocks[:, long] *= (largest / norms[long])[:, np.newaxis]
            shortened[name] = blocks.reshape(array.shape)
            count += int(np.count_nonzero(long))
    if shortened:
        with lend(layer) as arrays:
            for name, value in shortened.items():
                arrays[name][...] = value
    return count
