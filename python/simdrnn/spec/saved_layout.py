"""What a step leaves on the tape, part by part: said once, for whoever writes or reads tapes."""

from __future__ import annotations

from typing import NamedTuple

from simdrnn.spec.cell import CellInfo

__all__ = ["SavedLayout"]


class SavedLayout(NamedTuple):
    """Places in blocks of H values, as ``csrc/abi/row_layout.hpp`` has them.

    Parameters
    ----------
    cell : of the cell's values; before them is what layer normalisation needs.
    carried : of h as the cell made it and of the other states as they are carried on, where
        zoneout mixes them with the old ones.
    last_states : of the states other than h that are carried on.
    width : how many blocks there are.
    """

    cell: int
    carried: int
    last_states: int
    width: int

    @classmethod
    def of(cls, cell: CellInfo, norms: int, *, keeps_carried: bool) -> SavedLayout:
        """Lay out what a cell saves behind `norms` values of layer normalisation.

        Examples
        --------
        >>> lstm = CellInfo("lstm", gates=4, separate=0, states=2, saved=5)
        >>> SavedLayout.of(lstm, 0, keeps_carried=True)
        SavedLayout(cell=0, carried=5, last_states=6, width=7)
        """
        carried = norms + cell.saved
        width = carried + (cell.states if keeps_carried else 0)
        return cls(norms, carried, width - cell.states + 1, width)

    @property
    def other_states(self) -> range:
        """Where the states other than h are."""
        return range(self.last_states, self.width)
