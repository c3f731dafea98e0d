"""What can be known of a cell's gates from its tape, for those who look at them: `sr.diagnose`."""

from __future__ import annotations

from typing import NamedTuple

from simdrnn.reference.activations import Activation, activation_of
from simdrnn.reference.cell_protocol import Cell
from simdrnn.spec.options import Options

__all__ = ["H_ITSELF", "Gate", "gates_of"]

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


def gates_of(cell: Cell, options: Options) -> tuple[Gate, ...]:
    """Return the gates of a cell whose activations are known, in the order of its weights.

    Cells save the values of their gates first, in that order, and only h where they save nothing; a
    twin that does otherwise says where they are in a class attribute ``gate_places``. One that has
    more activations than blocks of weights names them in ``activation_names``.
    """
    info = cell.info
    names = getattr(cell, "activation_names", info.gate_names)
    places = getattr(cell, "gate_places", tuple(range(len(names))) if info.saved else (H_ITSELF,))
    return tuple(
        Gate(name, activation_of(options.activations[index]), place)
        for index, (name, place) in enumerate(zip(names, places, strict=True))
        if info.default_activations[index : index + 1] not in ((), ("-",))
    )
