"""Where `simdrnn.cells` was in version 0.1.0, for pickles of it."""

from simdrnn.spec.cell import CellInfo

__all__ = ["CellInfo"]
