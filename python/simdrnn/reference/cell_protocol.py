"""What a cell of the NumPy engine is: equations on (B, H) arrays, forward and backward."""

from __future__ import annotations

from typing import ClassVar, Protocol

from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["Cell", "HalvedCell", "TwoPhaseCell"]


class Cell(Protocol):
    """A cell: elementwise equations on (B, H) arrays."""

    info: ClassVar[CellInfo]

    def forward(self, pre: Array, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Return the next state and what is saved.

        `pre` ends with the cell's own parameters, and then what it takes of the step beside x.
        """
        ...

    def backward(
        self,
        saved: Arrays,
        state: Arrays,
        following: Arrays,
        d_following: Arrays,
        p: StepOptions,
    ) -> tuple[Arrays, Arrays]:
        """Return the gradients for `pre`, and for `state` except through `pre`.

        `saved` ends as `pre` does.
        """
        ...


class TwoPhaseCell(Cell, Protocol):
    """A cell whose last gate's recurrent product takes an operand made from the other gates."""

    def operand(self, pre: Array, state: Arrays, p: StepOptions) -> Array:
        """Return the operand (B, H)."""
        ...

    def operand_backward(
        self, saved: Arrays, state: Arrays, d_operand: Array, p: StepOptions
    ) -> tuple[Array, Arrays, Arrays]:
        """Return the operand, and what its gradient adds to those for the first gates and state."""
        ...


class HalvedCell(Cell, Protocol):
    """A cell with c, in halves: what makes c, and what makes h of it. Layer norm acts between."""

    def update(self, pre: Array, state: Arrays, p: StepOptions) -> tuple[Array, Arrays]:
        """Return c before it is clipped, and what is saved of its gates."""
        ...

    def hidden(self, pre: Array, c: Array, p: StepOptions) -> tuple[Array, Arrays]:
        """Return h, made of c, and what is saved of its gate."""
        ...

    def through_hidden(
        self, saved: Arrays, c: Array, d_h: Array, d_c: Array | float, p: StepOptions
    ) -> tuple[Array, Array]:
        """Return the gradients for c as `hidden` took it, `d_c` being from elsewhere, and for o."""
        ...

    def through_update(
        self, saved: Arrays, state: Arrays, seen_c: Array, d_c: Array, d_o: Array, p: StepOptions
    ) -> tuple[Arrays, Arrays]:
        """Return what `backward` does, from the gradients for what `update` returned and for o.

        `seen_c` is what `hidden` took.
        """
        ...
