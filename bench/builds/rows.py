"""What two builds are compared on, as plain data that a process of either understands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from simdrnn.bench.cases import CELLS, GRID, QUICK, Case

__all__ = ["SECTIONS", "Row", "rows_of"]

# How a row is called: a whole sequence, or one step of one row through a layer or a single step.
_SEQUENCE, _LAYER_STEP, _CELL_STEP = "sequence", "layer step", "cell step"

_PASSES = ("forward", "training")

# Options with a layer each, at the two sizes below: every group of loops in the kernels once.
_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("LSTM", {"layer_norm": True}),
    ("GRU", {"layer_norm": "torch"}),
    ("LSTM", {"proj_size": 32}),
    ("LSTM", {"gate_clip": 5.0, "cell_clip": 5.0}),
    ("LSTM", {"peephole": True}),
    ("LSTM", {"zoneout": 0.1}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"recurrent_dropout": 0.25}),
    ("GRU", {"activation": "Softsign"}),
    ("RNN", {"residual": True}),
    ("SLSTM", {}),
    ("MGU", {}),
    ("IndRNN", {}),
    ("LSTM", {"dtype": "float64"}),
    ("GRU", {"num_layers": 2, "bidirectional": True}),
)
_OPTION_SIZES = ((100, 32, 128, 128), (100, 1, 64, 64))

_STEP_UNITS = (8, 32, 64, 256)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to time.

    Parameters
    ----------
    section : one of `SECTIONS`.
    how : ``"sequence"``, ``"layer step"`` or ``"cell step"``.
    layer : name of the class in `simdrnn`; for a cell step that of its layer.
    sizes : T, B, I, H.
    which : ``"forward"`` or ``"training"``.
    threads : of every call; None says nothing about them.
    options : of the layer.
    ragged : whether the rows of x have lengths drawn from 1 to T.
    """

    section: str
    how: str
    layer: str
    sizes: tuple[int, int, int, int]
    which: str
    threads: int | None
    options: dict[str, Any] = field(default_factory=dict)
    ragged: bool = False

    @property
    def label(self) -> str:
        """Name for tables, without pass and threads."""
        text = f"{self.layer} {','.join(map(str, self.sizes))}"
        if self.how != _SEQUENCE:
            text = f"{self.layer} H={self.sizes[3]}, one {self.how}"
        for name, value in self.options.items():
            text += f" {name}={value}"
        return text + (" ragged" if self.ragged else "")

    def as_dict(self) -> dict[str, Any]:
        """Field names and values, for JSON."""
        return asdict(self)


def rows_of(
    sections: Sequence[str], threads: Sequence[int], quick: bool = False, text: str = ""
) -> list[Row]:
    """Return the rows of some sections.

    Parameters
    ----------
    sections : names from `SECTIONS`.
    threads : numbers of threads, each a row of its own.
    quick : a dozen shapes instead of the grid, and the larger size of the options alone.
    text : what a label must contain.
    """
    found = (row for name in sections for row in SECTIONS[name](threads, quick))
    return [row for row in found if text in row.label]


def _shapes(threads: Sequence[int], quick: bool) -> Iterator[Row]:
    for case in QUICK if quick else GRID:
        for which in _PASSES:
            for count in threads:
                yield _row_of(case, which, count)


def _row_of(case: Case, which: str, threads: int) -> Row:
    sizes = (case.T, case.B, case.I, case.H)
    options = {"bidirectional": True} if case.bidirectional else {}
    return Row("shapes", _SEQUENCE, case.cell.upper(), sizes, which, threads, options)


def _options(threads: Sequence[int], quick: bool) -> Iterator[Row]:
    for sizes in _OPTION_SIZES[: 1 if quick else None]:
        for layer, options in _OPTIONS:
            for which in _PASSES:
                for count in threads:
                    yield Row("options", _SEQUENCE, layer, sizes, which, count, options)
    for layer in ("LSTM", "GRU"):
        for which in _PASSES:
            for count in threads:
                sizes = _OPTION_SIZES[0]
                yield Row("options", _SEQUENCE, layer, sizes, which, count, ragged=True)


def _steps(threads: Sequence[int], quick: bool) -> Iterator[Row]:
    """One step of one row is never shared among threads, so no number of them is named."""
    del threads, quick
    for cell in CELLS:
        for units in _STEP_UNITS:
            sizes = (1, 1, units, units)
            for how, which in (
                (_LAYER_STEP, "forward"), (_LAYER_STEP, "training"), (_CELL_STEP, "forward"),
            ):  # fmt: skip
                yield Row("steps", how, cell.upper(), sizes, which, None)


SECTIONS = {"shapes": _shapes, "options": _options, "steps": _steps}
