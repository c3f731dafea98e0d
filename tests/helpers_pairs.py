"""Settings of layers and calls, which go together, and few combinations that have every pair."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

from helpers import INFOS, make_layer

Row = Mapping[str, str]


class Factor(NamedTuple):
    """What a setting is an argument of, and its values by name; the first is the default."""

    where: str
    values: dict[str, dict[str, Any]]


def switch(where: str, **argument: Any) -> Factor:
    """Make a factor that is off or on."""
    return Factor(where, {"off": {}, "on": argument})


BOTH, BACK = {"bidirectional": True}, {"reverse": True}
SUMS = ("sum", "mul", "ave")
NAMES = ("softsign", "elu", "softplus", ("scaled_tanh", 1.2, 0.8), ("affine", 0.5, 0.1))

# Cells, and those with heads once more as "cell/heads".
KINDS = dict(INFOS)
KINDS |= {f"{name}/3": info for name, info in INFOS.items() if info.heads}

# An option joins with a line here, and with one in RULES for what it does not go with.
FACTORS: dict[str, Factor] = {
    "cell": Factor("cell", {kind: {} for kind in KINDS}),
    "directions": Factor(
        "layer",
        {"one": {}, "both": BOTH, "reversed": BACK, "turned": BACK | {"keep_order": False}},
    ),
    "layers": Factor(
        "layer", {"1": {}, "2": {"num_layers": 2}, "dropped": {"num_layers": 2, "dropout": 0.3}}
    ),
    "merge": Factor("layer", {m: {"merge": m} for m in ("concat", *SUMS, "none")}),
    "residual": switch("layer", residual=True),
    "learned": switch("layer", learn_initial_state=True),
    "bias": Factor("layer", {"on": {}, "off": {"bias": False}}),
    "batch_first": switch("layer", batch_first=True),
    "activation": Factor("layer", {"own": {}} | {str(n): {"activation": n} for n in NAMES}),
    "recurrent_activation": Factor(
        "layer",
        {
            "own": {},
            "softsign": {"recurrent_activation": "softsign"},
            "hard": {"recurrent_activation": ("hard_sigmoid", 0.25, 0.45)},
        },
    ),
    "output_activation": switch("layer", output_activation="elu"),
    "gate_clip": switch("layer", gate_clip=1.0),
    "cell_clip": switch("layer", cell_clip=0.5),
    "hidden_clip": switch("layer", hidden_clip=0.4),
    "projection": Factor(
        "layer",
        {"off": {}, "on": {"proj_size": 2}, "clipped": {"proj_size": 2, "proj_clip": 0.3}},
    ),
    "layer_norm": Factor(
        "layer", {"off": {}} | {p: {"layer_norm": p} for p in ("haste", "torch", "tf")}
    ),
    "zoneout": Factor(
        "layer", {"off": {}, "one": {"zoneout": 0.3}, "pair": {"zoneout": (0.2, 0.4)}}
    ),
    "input_dropout": switch("layer", input_dropout=0.3),
    "recurrent_dropout": Factor(
        "layer",
        {
            "off": {},
            "on": {"recurrent_dropout": 0.3},
            "by gate": {"recurrent_dropout": 0.3, "recurrent_dropout_per_gate": True},
        },
    ),
    "candidate_dropout": switch("layer", candidate_dropout=0.3),
    "weight_dropout": switch("layer", weight_dropout=0.3),
    "weight_noise": switch("layer", weight_noise=0.1),
    "lengths": switch("call", lengths="random"),
    "mask": switch("call", mask="random"),
    "reset": switch("call", reset="random"),
    "masked_output": Factor("call", {"zero": {}, "hold": {"masked_output": "hold"}}),
    "reset_state": Factor(
        "call", {"off": {}} | {v: {"reset_state": v} for v in ("zero", "random", "learned")}
    ),
    "state": Factor("call", {"given": {}, "none": {"state": None}}),
    "training": Factor("call", {"on": {}, "off": {"training": False}}),
    "checkpoints": Factor(
        "record", {"off": {}, "1": {"checkpoint_every": 1}, "3": {"checkpoint_every": 3}}
    ),
}


class Rule(NamedTuple):
    """Values of two factors that a constructor or a call refuses together, and its message."""

    first: str
    of_first: tuple[str, ...]
    second: str
    of_second: tuple[str, ...]
    message: str


def cells(without: Any) -> tuple[str, ...]:
    """Return the cells whose entry in the table lacks something."""
    return tuple(name for name, info in KINDS.items() if without(info))


RULES = (
    Rule("cell", cells(lambda i: i.states < 2), "cell_clip", ("on",), "cell_clip: expected a cell"),
    Rule("cell", cells(lambda i: i.states != 2), "zoneout", ("pair",), "zoneout: expected one num"),
    Rule("cell", cells(lambda i: i.candidate < 0), "candidate_dropout", ("on",),
         "candidate_dropout: expected a cell with a candidate"),
    Rule("cell", cells(lambda i: "/" not in i.activations), "output_activation", ("on",),
         "output_activation: expected a cell with such a gate"),
    Rule("cell", cells(lambda i: "sigmoid" not in i.activations), "recurrent_activation",
         ("softsign", "hard"), "recurrent_activation: expected a cell with such a gate"),
    Rule("cell", cells(lambda i: not i.name.startswith("lstm")), "projection", ("on", "clipped"),
         "proj_size: expected the layer LSTM, which alone has projections"),
    Rule("cell", cells(lambda i: i.recurrent_blocks == 0), "recurrent_dropout", ("on", "by gate"),
         "recurrent_dropout: expected a cell with a recurrent product"),
    Rule("cell", cells(lambda i: i.recurrent_blocks == 0), "weight_dropout", ("on",),
         "weight_dropout: expected a cell with a recurrent product"),
    Rule("cell", cells(lambda i: not i.normalisable), "layer_norm", ("haste", "torch", "tf"),
         "layer_norm: expected a cell whose gates are all sums"),
    Rule("projection", ("on", "clipped"), "layer_norm", ("haste", "torch", "tf"),
         "layer_norm: expected an LSTM with proj_size=0"),
    Rule("hidden_clip", ("on",), "projection", ("on", "clipped"),
         "hidden_clip: expected proj_clip in place of it"),
    Rule("directions", ("one", "reversed", "turned"), "merge", (*SUMS, "none"),
         "merge: expected bidirectional=True with it"),
    Rule("layers", ("2", "dropped"), "merge", ("none",),
         "merge: expected 'concat', 'sum', 'mul' or 'ave' in a network of several layers"),
    Rule("residual", ("on",), "merge", ("none",), "residual: expected directions that merge"),
    Rule("learned", ("off",), "reset_state", ("learned",),
         "reset_state: expected a layer with learn_initial_state=True"),
    Rule("reset", ("off",), "reset_state", ("zero", "random", "learned"),
         "reset_state: expected reset= with it"),
)  # fmt: skip


def broken(row: Row) -> list[Rule]:
    """Return the rules that a row, or a part of one, breaks."""
    return [
        rule
        for rule in RULES
        if row.get(rule.first) in rule.of_first and row.get(rule.second) in rule.of_second
    ]


def fill(part: Row, missing: set[Any], spared: tuple[Rule, ...] = ()) -> dict[str, str]:
    """Complete a row: factor by factor the value that has most missing pairs with what is there.

    It breaks no rules but those `spared`. Among equals the first value is taken.
    """
    row = dict(part)
    for name in FACTORS:
        if name in row:
            continue
        fit = [
            value
            for value in FACTORS[name].values
            if not set(broken(row | {name: value})) - set(spared)
        ]
        row[name] = max(fit, key=lambda value: len(pairs_with(row, name, value) & missing))
    return {name: row[name] for name in FACTORS}


def pairs_with(row: Row, name: str, value: str) -> set[Any]:
    """Return the pairs that a value makes with those of a row."""
    return {frozenset(((name, value), other)) for other in row.items() if other[0] != name}


def every_pair() -> list[Any]:
    """Return every pair of values of two factors, in order."""
    return [
        frozenset(((a, x), (b, y)))
        for a, b in combinations(FACTORS, 2)
        for x in FACTORS[a].values
        for y in FACTORS[b].values
    ]


def covering_rows() -> list[dict[str, str]]:
    """Return rows that break no rule and in which every pair occurs that breaks none itself.

    Greedy: each row starts from the first pair that is still missing (Cohen, Dalal, Fredman and
    Patton 1997, "The AETG system").
    """
    order = [pair for pair in every_pair() if not broken(dict(pair))]
    missing, rows = set(order), []
    for pair in order:
        if pair not in missing:
            continue
        row = fill(dict(pair), missing)
        for name, value in row.items():
            missing -= pairs_with(row, name, value)
        rows.append(row)
    return rows


def arguments(row: Row, where: str) -> dict[str, Any]:
    """Return the keyword arguments of a layer or a call that a row stands for."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if FACTORS[name].where == where:
            found |= FACTORS[name].values[value]
    return found


def build(module: Any, row: Row, seed: int = 0) -> Any:
    """Make the layer of a row; its input has the size of its output where that is added to it."""
    options, hidden = arguments(row, "layer"), 3
    cell, _, heads = row["cell"].partition("/")
    if heads:
        options["num_heads"] = int(heads)
    joined = options.get("bidirectional") and options.get("merge", "concat") == "concat"
    width = options.get("proj_size", hidden) * (2 if joined else 1)
    inputs = width if options.get("residual") else 2
    return make_layer(module, cell, inputs, hidden, dtype="float64", seed=seed, **options)
