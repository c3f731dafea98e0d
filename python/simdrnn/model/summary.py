"""What a model is made of, as a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from simdrnn.validate import Array

__all__ = ["Row", "Summary"]


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter of a model.

    Attributes
    ----------
    name, shape, values : its name in the model, its shape, and how many numbers that is.
    trained : whether optimisers update it.
    tied : the name of the parameter that it is, or None where it has an array of its own; it then
        counts there.
    """

    name: str
    shape: tuple[int, ...]
    values: int
    trained: bool
    tied: str | None = None

    def cells(self) -> tuple[str, str, str, str]:
        """Return what stands in the columns of the table."""
        trained = "yes" if self.trained else "no"
        own = "  " + self.name.partition(".")[2]
        shown = trained if self.tied is None else f"is {self.tied}"
        return own, str(self.shape), f"{self.values:,}", shown


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model is made of; ``print`` shows it as a table.

    Attributes
    ----------
    parts : name -> what it is, as it shows itself.
    rows : one for each parameter, in the order of the parts.
    num_parameters, num_trained : numbers of values; what is tied counts once.
    nbytes : of all parameters.
    """

    parts: dict[str, str]
    rows: tuple[Row, ...]
    num_parameters: int
    num_trained: int
    nbytes: int

    @classmethod
    def of(
        cls,
        members: Mapping[str, Any],
        parameters: Mapping[str, Array],
        frozen: Collection[str],
        tied: Mapping[str, str],
    ) -> Summary:
        """Describe parts and their parameters."""
        rows = [
            Row(full, view.shape, view.size, tied.get(full, full) not in frozen, tied.get(full))
            for prefix, part in members.items()
            for name, view in part.parameters().items()
            for full in [f"{prefix}.{name}"]
        ]
        own = [row for row in rows if row.tied is None]
        return cls(
            {name: repr(part) for name, part in members.items()},
            tuple(rows),
            sum(row.values for row in own),
            sum(row.values for row in own if row.trained),
            sum(view.nbytes for view in parameters.values()),
        )

    def __str__(self) -> str:
        """Return the table as lines of text."""
        cells = {row.name: row.cells() for row in self.rows}
        heading = ("parameter", "shape", "values", "trained")
        widths = [max(map(len, column)) for column in zip(heading, *cells.values(), strict=True)]
        text = [_line(heading, widths)]
        for part, shown in self.parts.items():
            text.append(f"{part}: {shown}")
            text += [
                _line(own, widths) for name, own in cells.items() if name.startswith(f"{part}.")
            ]
        total = f"{self.num_parameters:,} values, {self.num_trained:,} trained"
        return "\n".join([*text, f"{total}; {self.nbytes:,} bytes"])

    def __repr__(self) -> str:
        """Show the table in a session, too."""
        return str(self)


def _line(cells: tuple[str, str, str, str], widths: list[int]) -> str:
    """Return a line of the table: numbers stand on the right."""
    name, shape, values, trained = cells
    return f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {values:>{widths[2]}}  {trained}"
