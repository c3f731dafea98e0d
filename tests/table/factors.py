"""The factors of the suite: settings of layers and calls by name, and which do not go together.

An option joins with a line in one of the tables of factors, and with one in `REFUSED` for what it
does not go with. `rows.py` covers the factors, `problems.py` draws a row, `oracles.py` says what
must hold of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from covering import Rule
from simdrnn import reference

INFOS = {name: cell.info for name, cell in reference.CELLS.items()}

# Cells, and those with heads once more.
HEADS = "/heads"
CELLS = (*INFOS, *(name + HEADS for name, info in INFOS.items() if info.heads))


def info_of(cell: str) -> Any:
    """Return the entry of a row's cell in the table of cells."""
    return INFOS[cell.removesuffix(HEADS)]


class Factor(NamedTuple):
    """What a setting is an argument of, and its values by name; the first is the default."""

    where: str
    values: Mapping[Any, Any]


def switch(where: str, **argument: Any) -> Factor:
    """Make a factor that is off or on."""
    return Factor(where, {"off": {}, "on": argument})


def numbers(*values: int) -> Factor:
    """Make a factor of sizes."""
    return Factor("size", {value: value for value in values})


BACK = {"reverse": True}
NAMED = ("softsign", "elu", "softplus", "relu", "hard_sigmoid", "identity")  # without parameters
SCALED = {
    "leaky_relu": 0.2, "thresholded_relu": 0.1, "scaled_tanh": (1.3, 0.7), "affine": (0.6, 0.1),
    "elu-steep": 0.6,
}  # fmt: skip


def _named(name: str) -> Any:
    """Return an activation as a constructor takes it."""
    if name not in SCALED:
        return name
    given = SCALED[name]
    return (name.partition("-")[0], *(given if isinstance(given, tuple) else (given,)))


ACTIVATIONS = {"own": {}} | {n: {"activation": _named(n)} for n in (*NAMED, *SCALED)}
DROPPED = {"recurrent_dropout": 0.3}

# Of every row: what chooses the way through the kernels, then the call.
CALL: dict[str, Factor] = {
    "cell": Factor("cell", {cell: {} for cell in CELLS}),
    "isa": Factor("isa", {name: {} for name in ("avx512", "avx2", "scalar")}),
    # Whether a step has options: common cells are then run by kernels of their own.
    "twin": Factor("twin", {"plain": {}, "optioned": {}}),
    "dtype": Factor("dtype", {name: {} for name in ("float32", "float64")}),
    "training": Factor("call", {"on": {}, "off": {"training": False}}),
    "directions": Factor(
        "layer",
        {
            "one": {},
            "both": {"bidirectional": True},
            "reversed": BACK,
            "turned": BACK | {"keep_order": False},
        },
    ),
    "layers": Factor(
        "layer",
        {
            "1": {},
            "2": {"num_layers": 2},
            "3": {"num_layers": 3},
            "dropped": {"num_layers": 2, "dropout": 0.3},
        },
    ),
    "lengths": Factor("steps", {name: name for name in ("off", "ragged", "full")}),
    "mask": Factor("steps", {name: name for name in ("off", "random", "idle")}),
    "reset": Factor("steps", {name: name for name in ("off", "random", "idle")}),
    "masked_output": Factor("call", {"zero": {}, "hold": {"masked_output": "hold"}}),
    "state": Factor("steps", {name: name for name in ("given", "none")}),
    "reset_state": Factor("steps", {n: n for n in ("off", "zero", "given", "learned")}),
    "threads": Factor("run", {count: count for count in (1, 2, 3, 7)}),
    "checkpoints": Factor("run", {every: every for every in (0, 1, 3, 7)}),
    "gradients": Factor("run", {name: name for name in ("all", "output", "state", "last")}),
    "axes": Factor("run", {name: name for name in ("time", "batch", "unbatched")}),
    "memory": Factor(
        "run",
        {
            name: name
            for name in ("dense", "apart", "steps", "backwards", "inner", "fortran")
        },
    ),
}  # fmt: skip

# Of a layer: its structure, and what acts on weights once per call.
LAYER: dict[str, Factor] = {
    "bias": Factor("layer", {"on": {}, "off": {"bias": False}}),
    "merge": Factor("layer", {m: {"merge": m} for m in ("concat", "sum", "mul", "ave", "none")}),
    "residual": switch("layer", residual=True),
    "learned": switch("layer", learn_initial_state=True),
    "weight_dropout": switch("layer", weight_dropout=0.3),
    "weight_noise": switch("layer", weight_noise=0.1),
}

# Of a step: what the kernels for options do.
STEP: dict[str, Factor] = {
    "activation": Factor("layer", ACTIVATIONS),
    "recurrent_activation": Factor(
        "layer",
        {
            "own": {},
            "softsign": {"recurrent_activation": "softsign"},
            "hard": {"recurrent_activation": ("hard_sigmoid", 0.15, 0.45)},
        },
    ),
    "output_activation": Factor(
        "layer",
        {"own": {}} | {n: {"output_activation": _named(n)} for n in ("elu-steep", "leaky_relu")},
    ),
    "gate_clip": switch("layer", gate_clip=0.4),
    "cell_clip": switch("layer", cell_clip=0.4),
    "hidden_clip": switch("layer", hidden_clip=0.3),
    "step_clip": Factor(
        "layer",
        {
            "off": {},
            "elements": {"step_grad_clip": 0.1},
            "norm": {"step_grad_norm": 0.15},
            "both": {"step_grad_clip": 0.1, "step_grad_norm": 0.15},
        },
    ),
    "projection": Factor("layer", {"off": {}, "on": {}, "clipped": {"proj_clip": 0.03}}),
    "layer_norm": Factor(
        "layer", {"off": {}} | {p: {"layer_norm": p} for p in ("haste", "torch", "tf")}
    ),
    "zoneout": Factor(
        "layer", {"off": {}, "one": {"zoneout": 0.3}, "pair": {"zoneout": (0.2, 0.4)}}
    ),
    "input_dropout": switch("layer", input_dropout=0.3),
    "recurrent_dropout": Factor(
        "layer", {"off": {}, "on": DROPPED, "gates": DROPPED | {"recurrent_dropout_per_gate": True}}
    ),
    "candidate_dropout": switch("layer", candidate_dropout=0.3),
    "state_noise": switch("layer", state_noise=0.2),
}

# Vectors have 1, 4, 8 or 16 lanes and tiles up to 4 vectors; the left and right neighbours of their
# widths leave and fill remainders. Row tiles have 3 or 6 rows. With fewer than four rows the input
# product is formed for 24, 12 and 8 steps at once.
SIZES: dict[str, Factor] = {
    "B": numbers(1, 2, 3, 4, 5, 6, 7, 8, 13),
    "H": numbers(1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 130),
    "T": numbers(1, 2, 3, 5, 6, 8, 9, 26),
    "I": numbers(1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 65),
}
# One lane has no remainders, and is slow: its FMA is a function. Nothing beyond a few tiles is new.
SCALAR_MOST = 33

# Calls with work for several threads, as (T, B, I, H): rows for each, hidden units shared at every
# step, directions or layers side by side; and calls whose steps are walked back in several chunks.
# With many rows backward takes one step at a time, so that checkpoints make few again at once.
SHAPES: dict[str, tuple[int, int, int, int]] = {
    "rows": (25, 47, 60, 70),
    "units": (9, 3, 33, 401),
    "heavy": (6, 13, 260, 300),
    "pipeline": (1300, 1, 40, 40),
    "sides": (1300, 1, 30, 40),
    "long": (100, 13, 7, 9),
    "lone": (500, 1, 9, 7),
    "many": (7, 400, 3, 5),
    "ahead": (61, 1, 97, 81),
}
SHAPE = {"shape": Factor("size", SHAPES)}

FACTORS = CALL | LAYER | STEP | SIZES | SHAPE
DEFAULTS = {name: next(iter(factor.values)) for name, factor in FACTORS.items()}


def without(place: Callable[[Any], Any]) -> tuple[str, ...]:
    """Return the cells whose entry in the table lacks something, as `place` says."""
    return tuple(cell for cell in CELLS if place(info_of(cell)))


def others(name: str) -> tuple[Any, ...]:
    """Return the values of a factor that are not its default."""
    return tuple(FACTORS[name].values)[1:]


# What a constructor or a call refuses, with its message.
REFUSED = [
    Rule({"cell": without(lambda i: i.states < 2), "cell_clip": ("on",)},
         "cell_clip: expected a cell"),
    Rule({"cell": without(lambda i: i.states != 2), "zoneout": ("pair",)},
         "zoneout: expected one num"),
    Rule({"cell": without(lambda i: i.candidate < 0), "candidate_dropout": ("on",)},
         "candidate_dropout: expected a cell with a candidate"),
    Rule({"cell": without(lambda i: not i.noisy), "state_noise": ("on",)},
         "state_noise: expected a cell with a place for it"),
    Rule({"cell": without(lambda i: "/" not in i.activations),
          "output_activation": others("output_activation")},
         "output_activation: expected a cell with such a gate"),
    Rule({"cell": without(lambda i: "sigmoid" not in i.activations),
          "recurrent_activation": others("recurrent_activation")},
         "recurrent_activation: expected a cell with such a gate"),
    Rule({"cell": without(lambda i: not i.name.startswith("lstm")),
          "projection": others("projection")},
         "proj_size: expected the layer LSTM, which alone has projections"),
    Rule({"cell": without(lambda i: i.recurrent_blocks == 0),
          "recurrent_dropout": others("recurrent_dropout")},
         "recurrent_dropout: expected a cell with a recurrent product"),
    Rule({"cell": without(lambda i: i.recurrent_blocks == 0), "weight_dropout": ("on",)},
         "weight_dropout: expected a cell with a recurrent product"),
    Rule({"cell": without(lambda i: not i.normalisable), "layer_norm": others("layer_norm")},
         "layer_norm: expected a cell whose gates are all sums"),
    Rule({"projection": others("projection"), "layer_norm": others("layer_norm")},
         "layer_norm: expected an LSTM with proj_size=0"),
    Rule({"hidden_clip": ("on",), "projection": others("projection")},
         "hidden_clip: expected proj_clip in place of it"),
    Rule({"directions": ("one", "reversed", "turned"), "merge": others("merge")},
         "merge: expected bidirectional=True with it"),
    Rule({"layers": others("layers"), "merge": ("none",)},
         "merge: expected 'concat', 'sum', 'mul' or 'ave' in a network of several layers"),
    Rule({"residual": ("on",), "merge": ("none",)}, "residual: expected directions that merge"),
    Rule({"learned": ("off",), "reset_state": ("learned",)},
         "reset_state: expected a layer with learn_initial_state=True"),
    Rule({"reset": ("off",), "reset_state": others("reset_state")},
         "reset_state: expected reset= with it"),
    Rule({"residual": ("on",), "directions": ("both",), "gradients": ("last",)},
         "last_output: expected one direction with residual=True"),
]  # fmt: skip

# What means nothing, is drawn elsewhere, or takes too long.
IDLE = [
    Rule({"twin": ("plain",), "cell": without(lambda i: not i.common)}),
    *(Rule({"twin": ("plain",), name: others(name)}) for name in STEP),
    # No cell has places for both.
    *(Rule({"state_noise": ("on",), name: others(name)})
      for name in ("recurrent_activation", "output_activation", "projection", "candidate_dropout")),
    Rule({"axes": ("unbatched",), "B": (2, 3, 4, 5, 6, 7, 8, 13)}),
    Rule({"axes": ("unbatched",), "shape": ("rows", "units", "heavy", "long", "many")}),
    # Layers run as a pipeline in one direction, and directions side by side, of the engine's own.
    Rule({"shape": ("pipeline",), "directions": ("both", "reversed", "turned")}),
    Rule({"shape": ("pipeline",), "layers": ("1",)}),
    Rule({"shape": ("sides",), "directions": ("one", "reversed", "turned")}),
    Rule({"shape": ("pipeline", "sides"), "merge": others("merge")}),
    Rule({"shape": ("pipeline", "sides"), "residual": ("on",)}),
    Rule({"isa": ("scalar",), "H": (63, 65, 130)}),
    Rule({"isa": ("scalar",), "I": (65,)}),
    Rule({"isa": ("scalar",), "shape": ("rows", "units", "heavy", "pipeline", "sides")}),
    Rule({"cell": tuple(cell for cell in CELLS if cell.endswith(HEADS)), "H": (1,)}),
    Rule({"projection": others("projection"), "H": (1,)}),
    # Norms of a few numbers that are almost equal are steep; test_layer_norm.py has them.
    Rule({"layer_norm": others("layer_norm"), "H": (1, 3)}),
    # What grows without bounds over many steps.
    Rule({"activation": ("identity", "affine", "softplus", "relu", "leaky_relu", "elu",
                         "elu-steep", "thresholded_relu"), "T": (26,)}),
    Rule({"activation": ("identity", "affine", "softplus"), "merge": ("mul",)}),
]  # fmt: skip
RULES = [*REFUSED, *IDLE]
