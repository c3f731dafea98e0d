"""What a cell's twin may say about its gates, for those who look at them (`simdrnn.diagnosis`).

A cell class may have a class attribute ``gates``: one `Gate` per block of H rows of its weights, in
their order. A cell without one is run all the same; its gates then have no names and no measures.
"""

from __future__ import annotations

from typing import NamedTuple

from simdrnn.reference.math import Activation

__all__ = ["H_ITSELF", "Gate"]

H_ITSELF = -1  # the gate's value is not among the saved ones: it is the new h


class Gate(NamedTuple):
    """One gate of a cell.

    Parameters
    ----------
    name : as in the cell's equations.
    activation : what it is made with.
    place : its index among the values saved of each step, or `H_ITSELF`.
    """

    name: str
    activation: Activation
    place: int
