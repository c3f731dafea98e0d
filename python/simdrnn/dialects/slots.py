"""What a table of dialects is made of: one array of a package, as blocks of gates."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Container", "Layout", "Piece", "Slot", "bias", "kernel"]

# What a block of H rows is, and the gates that there is one of, in order. The parts:
#   input, recurrent            weights on x and on h
#   fused                       weights on [x; h], side by side
#   input_bias, recurrent_bias  the two biases where both are kept
#   bias                        their sum, where one is kept
#   peephole                    weights from the cell state, one for each unit
#   projection                  of h to fewer numbers; belongs to no gate
Piece = tuple[str, str]


class Container(Enum):
    """What holds the arrays of a stack of layers.

    What holds one layer or one direction only is, for more, a list of such: by layer, and within
    a layer forward, then backward.
    """

    SUFFIXED = "dict, names end in _l0, _l0_reverse, _l1, ..."
    SEQUENCE = "list, as get_weights() returns: all arrays of a direction, then of the next"
    DIRECTIONS = "dict for each layer, with a first axis for the directions"
    NESTED = "dict of dicts for each direction"
    FLAT = "dict for each direction"
    JSON = "dict as in a JSON file, with nested lists of numbers, for each direction"
    MODEL = "dict as in a JSON file: under 'state_dict' nested lists of numbers, by name"


class Slot(NamedTuple):
    """One array of a package.

    Parameters
    ----------
    name : of the array; path of names where dicts are nested.
    pieces : what its rows are, from first to last.
    transposed : whether gates are along its columns instead.
    folded : of transposed ones, whether the memory of each gate's columns is that of its rows: what
        cuDNN is handed flat, with the shape of a kernel.
    stacked : whether each piece is a row of its own, on a first axis.
    optional : whether layers may do without it, apart from biases.
    """

    name: str
    pieces: tuple[Piece, ...]
    transposed: bool = False
    stacked: bool = False
    optional: bool = False
    folded: bool = False

    @property
    def gates(self) -> int:
        """How many blocks of H rows there are."""
        return sum(len(gates) for _, gates in self.pieces)

    @property
    def is_bias(self) -> bool:
        """Whether it holds biases."""
        return self.pieces[0][0].endswith("bias")


class Layout(NamedTuple):
    """The arrays of one cell.

    Parameters
    ----------
    slots : the arrays, in the package's order.
    z_flipped : whether z weighs the candidate instead of the old state: h' = (1 - z) h + z n. As
        1 - sigmoid(a) = sigmoid(-a), all weights of z are the negated ones of the other form.
    forget_bias : what the package adds to the forget gate's argument when it runs.
    apart : gates whose two biases are no sum, though the package has one of them only: the other
        has to be zero.
    """

    slots: tuple[Slot, ...]
    z_flipped: bool = False
    forget_bias: float = 0.0
    apart: str = ""

    @property
    def order(self) -> str:
        """Letters of the gates in the order of the input weights."""
        pieces = (piece for slot in self.slots for piece in slot.pieces)
        return "".join(gates for part, gates in pieces if part in ("input", "fused"))

    @property
    def biases(self) -> tuple[str, ...]:
        """Names of the arrays of biases."""
        return tuple(slot.name for slot in self.slots if slot.is_bias)


def kernel(name: str, part: str, gates: str) -> Slot:
    """Return weights that x or h stands before: (I, G*H) or (H, G*H)."""
    return Slot(name, ((part, gates),), transposed=True)


def bias(name: str, gates: str) -> Slot:
    """Return the one bias of gates: what others keep as two, summed."""
    return Slot(name, (("bias", gates),))
