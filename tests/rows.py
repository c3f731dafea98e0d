"""The table of the suite: rows that cover all factors of layers and calls.

Every three of the settings that choose a way through the kernels meet in a row, and every two of
all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from covering import Row, Wanted, cover
from factors import (
    CALL,
    CELLS,
    DEFAULTS,
    FACTORS,
    HEADS,
    LAYER,
    RULES,
    SCALAR_MOST,
    SIZES,
    STEP,
    info_of,
)


@cache
def kind_of(cell: str) -> str:
    """Return the first cell that time loops, plans and threads cannot tell from this one."""

    def counts(name: str) -> tuple[Any, ...]:
        i = info_of(name)
        own = (i.params > 0, i.step_inputs, i.input_only, i.normalise, i.common)
        return (i.gates, i.separate, i.states, i.phases, *own, name.endswith(HEADS))

    return next(name for name in CELLS if counts(name) == counts(cell))


@cache
def way_of(cell: str) -> str:
    """Return the first cell that goes the same way through the kernels, whatever its sizes."""

    def counts(name: str) -> tuple[Any, ...]:
        i = info_of(name)
        narrow = (i.input_only > 0, i.phases, i.separate > 0)
        return (i.states, i.common and i.gates, *narrow, name.endswith(HEADS))

    return next(name for name in CELLS if counts(name) == counts(cell))


# What is random is off where training is, and what is put out at steps that are not real is seen
# where there are some.
DRAWN = (
    "input_dropout",
    "recurrent_dropout",
    "candidate_dropout",
    "weight_dropout",
    "weight_noise",
)
SHOWN_BY: dict[str, list[tuple[str, tuple[Any, ...]]]] = {
    name: [("training", ("on",))] for name in DRAWN
}
SHOWN_BY |= {
    "masked_output": [("mask", ("random",)), ("lengths", ("ragged",))],
    "reset_state": [("reset", ("random",))],
    "learned": [("state", ("none",)), ("reset_state", ("learned",))],
}
# Of whose values the classes of cells meet each, not the cells.
LARGE = frozenset({"B", "H", "T", "I", "shape", "activation", "memory"})
PATHS = ("way", "isa", "twin", "rows", "width")
ROWS_APART = (1, 2, 6, 7, 13)


def items(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Return what a value counts as; see `covering.Wanted`."""
    yield name, value
    if name == "cell":
        yield "kind", kind_of(value)
        yield "way", way_of(value)
    if name == "B" and value in ROWS_APART:
        yield "rows", value
    if name == "H":
        yield "width", "part" if value < 8 else "tile" if value <= SCALAR_MOST else "tiles"


def apart(one: str, other: str) -> bool:
    """Say which pairs are not sought: units and inputs are the two sides of no tile."""
    names = {one, other}
    if names & {"way", "rows", "width"}:
        return not names <= set(PATHS)
    if "kind" in names:
        return not names & LARGE
    if "cell" in names:
        return bool(names & LARGE)
    return names == {"H", "I"} or names == {"I", "B"} or names == {"T", "activation"}


def label(row: Row) -> str:
    """Name a row by what is not the default, without blanks."""
    parts = []
    for name, value in row.items():
        where, values = FACTORS[name].where, FACTORS[name].values
        if name in ("cell", "isa", "dtype", "shape"):
            parts.append(str(value).replace("/", "."))
        elif where == "size":
            parts.append(f"{name}{value}")
        elif value != next(iter(values)):
            parts.append(name if value == "on" else f"{name}.{value}")
    return "-".join(parts)


def _wanted(names: Mapping[str, Iterable[Any] | None], triples: tuple[str, ...] = ()) -> Wanted:
    """Return what a block of the table covers: all values of factors, or those that are given."""
    factors = {n: tuple(FACTORS[n].values if v is None else v) for n, v in names.items()}
    return Wanted(factors, RULES, items, apart, triples, SHOWN_BY)


def _marked(row: Row) -> bool:
    """Say whether the kernels with options are what a row needs."""
    return row["twin"] == "plain" or any(
        row.get(name, first) != first for name, first in DEFAULTS.items() if name in STEP
    )


SMALL = _wanted(dict.fromkeys([*CALL, *SIZES, *LAYER, *STEP]), PATHS)
# For threads and long calls: one cell of each kind, and of the options those that have threads meet
# or share rows in another way.
KINDS = tuple(dict.fromkeys(map(kind_of, CELLS)))
BUSY = _wanted(
    {
        "cell": KINDS,
        "shape": None,
        "threads": (2, 3, 7),
        "isa": None,
        "twin": None,
        "dtype": None,
        "directions": ("one", "both", "reversed"),
        "layers": ("1", "2", "dropped"),
        "lengths": ("off", "ragged"),
        "mask": ("off", "random"),
        "reset": ("off", "random"),
        "masked_output": None,
        "state": ("given", "none"),
        "checkpoints": (0, 7),
        "merge": ("concat", "sum"),
        "step_clip": ("off", "both"),
        "hidden_clip": None,
        "projection": ("off", "clipped"),
        "layer_norm": ("off", "haste", "tf"),
        "zoneout": ("off", "one"),
        "recurrent_dropout": None,
        "input_dropout": None,
    }
)


@cache
def covering_rows() -> tuple[Row, ...]:
    """Return the table, the same every time."""
    found = [*cover(SMALL), *cover(BUSY)]
    for row in found:
        if not _marked(row):
            row["gate_clip"] = "on"
    return tuple(found)
