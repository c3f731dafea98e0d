"""What is measured: shapes as plain data, and how many operations they take."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["CELLS", "GRID", "QUICK", "Case"]

# Gates of each cell; ``rnn`` is the tanh one.
CELLS = {"lstm": 4, "gru": 3, "rnn": 1}

DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of one cell.

    Parameters
    ----------
    cell : one of `CELLS`.
    T, B, I, H : steps, batch, inputs, hidden units.
    dtype : ``"float32"`` or ``"float64"``.
    layers, bidirectional : as in the layers.

    Raises
    ------
    ValueError : a value is not one of these; the message names it.
    """

    cell: str
    T: int
    B: int
    I: int  # noqa: E741 - the letter of the documentation
    H: int
    dtype: str = "float32"
    layers: int = 1
    bidirectional: bool = False

    def __post_init__(self) -> None:
        """Reject what no implementation could run."""
        if self.cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {self.cell!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {self.dtype!r}")
        for name in ("T", "B", "I", "H", "layers"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}: expected a positive integer, got {value}")

    @property
    def directions(self) -> int:
        """Number of directions, 1 or 2."""
        return 2 if self.bidirectional else 1

    @property
    def label(self) -> str:
        """Name for tables: ``lstm 100,32,128,128``, then whatever is not the default."""
        label = f"{self.cell} {self.T},{self.B},{self.I},{self.H}"
        if self.layers > 1:
            label += f" x{self.layers}"
        if self.bidirectional:
            label += " bi"
        if self.dtype != "float32":
            label += f" {self.dtype}"
        return label

    def input_size(self, layer: int) -> int:
        """Return I for the first layer, the joined directions of the one below for the others."""
        return self.I if layer == 0 else self.directions * self.H

    def forward_flops(self) -> int:
        """Operations of the input and recurrent products, a multiply-add counted as two.

        Gate arithmetic is left out, as everywhere in the field: it is O(H), the products O(H^2).
        """
        per_row = sum(
            2 * CELLS[self.cell] * self.H * (self.input_size(layer) + self.H)
            for layer in range(self.layers)
        )
        return per_row * self.directions * self.T * self.B

    def steps(self) -> int:
        """Count the steps of all layers and directions, each of which reads its weights."""
        return self.T * self.layers * self.directions

    def recurrent_bytes(self) -> int:
        """Size of the recurrent weights of one layer and direction: what every step reads."""
        return CELLS[self.cell] * self.H * self.H * (4 if self.dtype == "float32" else 8)

    def training_flops(self) -> int:
        """Forward and backward: each product has two more as its derivatives."""
        return 3 * self.forward_flops()

    def as_dict(self) -> dict[str, object]:
        """Field names and values, for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


# A few minutes of the field's typical shapes: large and small batches, a single row, each cell.
QUICK = (
    Case("lstm", 100, 32, 128, 128),
    Case("lstm", 100, 64, 256, 256),
    Case("lstm", 50, 64, 512, 512),
    Case("lstm", 28, 256, 28, 128),
    Case("lstm", 100, 16, 64, 64),
    Case("lstm", 100, 16, 64, 64, bidirectional=True),
    Case("lstm", 100, 1, 64, 64),
    Case("lstm", 100, 1, 256, 256),
    Case("gru", 100, 16, 64, 64),
    Case("gru", 100, 64, 256, 256),
    Case("rnn", 100, 16, 128, 128),
    Case("rnn", 100, 64, 256, 256),
)

_GRID = (
    (100, 1, 16, 16),
    (1000, 1, 32, 32),
    (100, 1, 64, 64),
    (100, 1, 256, 256),
    (50, 1, 1024, 1024),
    (128, 8, 64, 256),
    (100, 16, 64, 64),
    (150, 16, 256, 256),
    (25, 16, 512, 512),
    (35, 20, 200, 200),
    (100, 32, 128, 128),
    (28, 256, 28, 128),
    (100, 64, 256, 256),
    (50, 64, 512, 512),
    (25, 64, 1024, 1024),
    (365, 256, 27, 64),
)

# The grid that speed is promised on: every shape with every cell.
GRID = tuple(Case(cell, *shape) for cell in CELLS for shape in _GRID)
