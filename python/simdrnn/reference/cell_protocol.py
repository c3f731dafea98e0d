"""What a cell of the NumPy engine is: equations on (B, H) arrays, run forward.

They are written for NumPy, by `*`, `np.exp` and the like, and run on variables of a tape as well
(`simdrnn.reference.autodiff`), which differentiates them.
"""

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

    def forward(self, pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Return the next state, and what a tape keeps of the step, as `CellInfo.saved` counts.

        `pre` ends with the cell's own parameters, (1, H) each, and then what it takes of the step
        beside x, (B, 1). What is kept is for those who look at gates: `sr.diagnose`.
        """
        ...


class TwoPhaseCell(Cell, Protocol):
    """A cell whose last gate's recurrent product takes an operand made from the other gates."""

    def operand(self, pre: Arrays, state: Arrays, p: StepOptions) -> Array:
        """Return the operand (B, H)."""
        ...


class HalvedCell(Cell, Protocol):
    """A cell with c, in halves: what makes c, and what makes h of it. Layer norm acts between."""

    def update(self, pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Array, Arrays]:
        """Return c before it is clipped, and what is kept of its gates."""
        ...

    def hidden(self, pre: Arrays, c: Array, p: StepOptions) -> tuple[Array, Arrays]:
        """Return h, made of c, and what is kept of its gate."""
        ...
