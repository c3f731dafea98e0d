"""The table of the suite: rows that cover all factors of layers and calls.

Every three of the settings that choose a way through the kernels meet in a row, and every two of
all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import product
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
    SHAPE,
    SHAPES,
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
    "state_noise",
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


def _acting(row: Row) -> Row:
    """Return the row with an option, where it is for the kernels with options and has none."""
    acts = any(row.get(name, first) != first for name, first in DEFAULTS.items() if name in STEP)
    if acts or row["twin"] == "plain" or not info_of(row["cell"]).common:
        return row
    return row | {"step_clip": "both"}


SMALL = _wanted(dict.fromkeys([*CALL, *SIZES, *LAYER, *STEP]), PATHS)
# For threads and long calls: one cell of each kind, and of the options those that have threads meet
# or share rows in another way.
KINDS = tuple(dict.fromkeys(map(kind_of, CELLS)))
BUSY = _wanted(
    {
        "cell": KINDS,
        "shape": tuple(name for name in SHAPES if name != "ahead"),
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
        "checkpoints": None,
        "merge": ("concat", "sum"),
        "step_clip": ("off", "both"),
        "hidden_clip": None,
        "projection": ("off", "clipped"),
        "layer_norm": ("off", "haste", "tf"),
        "zoneout": ("off", "one"),
        "recurrent_dropout": None,
        "input_dropout": None,
        "state_noise": None,
    }
)
# For one row whose input products and gradients are formed beside its steps, which needs vectors
# with many registers, and forward a cell without options.
OVERLAPPED = _wanted(
    {
        "cell": ("lstm", "gru", "rnn_tanh", "gru_reset_before"),
        "shape": ("ahead",),
        "isa": ("avx512",),
        "twin": None,
        "dtype": None,
        "threads": (1, 2),
        "directions": ("one", "both", "reversed"),
        "layers": ("1", "2"),
        "lengths": ("off", "ragged"),
        "mask": ("off", "random"),
        "reset": ("off", "random"),
        "masked_output": None,
        "bias": None,
        "gradients": None,
        "projection": ("off", "on"),
        "layer_norm": ("off", "haste"),
        "recurrent_dropout": None,
        "step_clip": ("off", "both"),
    },
    ("cell", "twin", "dtype"),
)
# For stacks that are the engine's own. In most rows above layers are merged, residual or reversed,
# which is put together layer by layer: what layers hand to each other in one call had met little.
STACKED = _wanted(
    {"cell": ("lstm", "gru", "gru_reset_before", "rnn_tanh")}
    | dict.fromkeys(
        (
            "isa", "twin", "dtype", "training", "masked_output", "state", "reset_state", "learned",
            "checkpoints", "gradients", "axes", "bias", "weight_dropout", "hidden_clip",
            "input_dropout", "candidate_dropout",
        )
    )
    | {
        "B": (1, 7),
        "H": (9, 17),
        "T": (6,),
        "I": (9,),
        "threads": (1, 3),
        "directions": ("one", "both"),
        "layers": ("2", "3", "dropped"),
        "lengths": ("off", "ragged"),
        "mask": ("off", "random"),
        "reset": ("off", "random"),
        "zoneout": ("off", "pair"),
        "projection": ("off", "on"),
        "layer_norm": ("off", "haste"),
        "recurrent_dropout": ("off", "on"),
        "step_clip": ("off", "norm"),
    }
)  # fmt: skip
# For gradients against differences, which take many calls: small, in double, without the clips of
# back-propagated gradients, which no function has, and without what changes weights, which
# test_weight_noise.py has.
DIFFERENCES = _wanted(
    dict.fromkeys(["cell", "twin"])
    | {
        "dtype": ("float64",),
        "T": (5,),
        "B": (3,),
        "I": (3,),
        "H": (7,),
        "training": None,
        "directions": None,
        "layers": ("1", "2", "dropped"),
        "lengths": ("off", "ragged"),
        "mask": ("off", "random"),
        "reset": ("off", "random"),
        "masked_output": None,
        "state": None,
        "reset_state": None,
        "activation": ("own", "softsign", "elu-steep", "softplus", "scaled_tanh"),
    }
    | dict.fromkeys(
        name
        for name in (*LAYER, *STEP)
        if name not in ("activation", "step_clip", "weight_dropout", "weight_noise")
    )
)


@cache
def rows_for_differences() -> tuple[Row, ...]:
    """Return the rows whose gradients are compared with differences."""
    return tuple(cover(DIFFERENCES))


@cache
def small_rows() -> tuple[Row, ...]:
    """Return rows around every lane and tile, with all that a layer and a call may have."""
    return tuple(map(_acting, cover(SMALL)))


@cache
def busy_rows() -> tuple[Row, ...]:
    """Return rows with work for several threads, or for more than one chunk of steps."""
    return tuple(map(_acting, cover(BUSY)))


@cache
def overlapped_rows() -> tuple[Row, ...]:
    """Return rows of one sequence, whose inputs are looked at ahead."""
    return tuple(map(_acting, cover(OVERLAPPED)))


@cache
def stacked_rows() -> tuple[Row, ...]:
    """Return rows of stacks that run in one call of the engine."""
    return tuple(map(_acting, cover(STACKED)))


# More than pairs: planted faults had been missed.
FURTHER = (
    # An option that nothing acts beside: cells that are compiled without options, too, are told by
    # it alone which of the two they run. In the rows above every option has company.
    *(
        {"cell": "lstm", name: value}
        for name, value in (
            ("activation", "softsign"), ("recurrent_activation", "hard"),
            ("output_activation", "elu-steep"), ("gate_clip", "on"), ("cell_clip", "on"),
            ("hidden_clip", "on"), ("step_clip", "norm"), ("projection", "on"),
            ("layer_norm", "haste"), ("zoneout", "one"), ("input_dropout", "on"),
            ("recurrent_dropout", "on"), ("candidate_dropout", "on"),
        )
    ),
    {"cell": "rnn_tanh", "state_noise": "on"},
    # Gangs, on both ways, of which the busy rows have few.
    {"cell": "lstm", "shape": "units", "threads": 3},
    {"cell": "gru", "shape": "units", "threads": 3, "directions": "both"},
)  # fmt: skip


def covering_rows() -> tuple[Row, ...]:
    """Return the table, the same every time."""
    covered = small_rows() + busy_rows() + overlapped_rows() + stacked_rows()
    return covered + tuple(map(_usual, FURTHER))


# For `pytest --exhaustive`: factors of which all values meet, and what the others are.
PRODUCTS = (
    ("cell", "isa", "H", "B"),
    ("cell", "isa", "lengths", "mask", "reset", "masked_output"),
    ("cell", "dtype", "gate_clip", "cell_clip", "hidden_clip", "step_clip"),
    ("cell", "directions", "layers", "merge", "residual"),
    ("cell", "dtype", "activation", "recurrent_activation"),
    ("cell", "isa", "zoneout", "recurrent_dropout", "candidate_dropout", "input_dropout"),
    ("cell", "isa", "H", "projection", "layer_norm"),
    ("cell", "dtype", "T", "checkpoints", "threads"),
    ("cell", "axes", "memory", "gradients"),
    ("cell", "shape", "threads", "layers"),
)
USUAL = {"B": 7, "H": 17, "T": 6, "I": 9, "reset": "random", "learned": "on"}


def _usual(settings: Mapping[str, Any]) -> Row:
    """Return the row with these settings and what is usual of all others."""
    left_out = SIZES if "shape" in settings else SHAPE
    row = {n: v for n, v in (DEFAULTS | USUAL).items() if n not in left_out} | dict(settings)
    options = any(row[name] != DEFAULTS[name] for name in STEP)
    row["twin"] = "optioned" if options or not info_of(row["cell"]).common else "plain"
    if row["axes"] == "unbatched" and "B" in row:
        row["B"] = 1
    return row


def exhaustive_rows() -> Iterator[Row]:
    """Yield the products of some factors: whatever a rule forbids is left out."""
    seen = {*map(label, covering_rows())}
    for names in PRODUCTS:
        for values in product(*(FACTORS[name].values for name in names)):
            row = _usual(dict(zip(names, values, strict=True)))
            if not any(rule.broken(row) for rule in RULES) and label(row) not in seen:
                seen.add(label(row))
                yield row
