"""How a row of the table becomes a layer, the arguments of a call, and gradients to send back.

All numbers are made of the raw words of a generator, and all parameters are set: what is drawn
depends on no distribution of NumPy's and on no initialiser.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np

from covering import Row
from factors import DEFAULTS, FACTORS, HEADS, INFOS, SHAPES, info_of
from rows import label

# Class and constructor arguments that make a layer of each cell: those that are an option of
# another's layer, then all others of the table.
LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "gru_reset_before": ("GRU", {"reset_after": False}),
    "lstm_peephole": ("LSTM", {"peephole": True}),
    "lstm_coupled_input": ("LSTM", {"coupled_input_forget": True}),
    "lstm_coupled_forget": ("LSTM", {"coupled_input_forget": "forget"}),
    "lstm_peephole_coupled_input": ("LSTM", {"peephole": True, "coupled_input_forget": "input"}),
    "lstm_peephole_coupled_forget": ("LSTM", {"peephole": True, "coupled_input_forget": "forget"}),
}
LAYERS |= {name: (str(info.layer), {}) for name, info in INFOS.items() if name not in LAYERS}


class Words:
    """Numbers from the raw words of a generator that a text seeds."""

    def __init__(self, text: str) -> None:
        self._bits = np.random.PCG64(zlib.crc32(text.encode()))

    def uniform(self, *shape: int) -> Any:
        """Return float64 in [-1, 1)."""
        count = int(np.prod(shape))
        words = self._bits.random_raw(count).reshape(shape)
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0

    def happens(self, chance: float, *shape: int) -> Any:
        """Return bool: True where something of a probability happens."""
        return self.uniform(*shape) < 2 * chance - 1

    def below(self, high: int, *shape: int) -> Any:
        """Return integers in [0, high)."""
        return ((self.uniform(*shape) + 1) / 2 * high).astype(np.int64)


# Multiplications for a gate.
SCALAR_WORK = 1_000_000

# Uniform in [-a, a) with a^2 / 3 = 1.
DEVIATION = 3.0**0.5


def as_tuple(state: Any) -> tuple[Any, ...]:
    """Return the members of a state in either form."""
    return state if isinstance(state, tuple) else (state,)


def in_form(members: tuple[Any, ...]) -> Any:
    """Return a state in the form in which layers take it."""
    return members if len(members) > 1 else members[0]


def each(function: Any, state: Any) -> Any:
    """Return a state, or None or a word in place of one, with a function of its members."""
    if state is None or isinstance(state, str):
        return state
    return in_form(tuple(function(member) for member in as_tuple(state)))


class Setting:
    """What a row says, by name; what it leaves out is the default."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.cell = row["cell"].removesuffix(HEADS)
        self.info = info_of(row["cell"])
        sizes = SHAPES[row["shape"]] if "shape" in row else [row[name] for name in "TBIH"]
        self.T, self.B, self.I, self.H = sizes

    def __getitem__(self, name: str) -> Any:
        return self.row.get(name, DEFAULTS[name])

    def arguments(self, where: str) -> dict[str, Any]:
        """Return the keyword arguments of a layer or a call."""
        found: dict[str, Any] = {}
        for name, value in self.row.items():
            if FACTORS[name].where == where:
                found |= FACTORS[name].values[value]
        return found

    @property
    def projected(self) -> int:
        """The size of h with a projection, else 0."""
        return {"off": 0, "on": (self.H + 1) // 2, "clipped": max(1, self.H // 3)}[
            self["projection"]
        ]

    @property
    def h_size(self) -> int:
        return self.projected or self.H

    @property
    def layers(self) -> int:
        return int(self.arguments("layer").get("num_layers", 1))

    @property
    def directions(self) -> int:
        return 2 if self["directions"] == "both" else 1

    @property
    def width(self) -> int:
        """What a layer hands on."""
        return self.h_size * (self.directions if self["merge"] == "concat" else 1)

    @property
    def inputs(self) -> int:
        """The input's size, which is the output's where one is added to the other."""
        return self.width if self["residual"] == "on" else self.I

    @property
    def quick(self) -> bool:
        """Whether the scalar kernels, whose FMA is a function, take no longer than a test may."""
        work = self.T * self.B * self.H * (self.H + self.inputs)
        return work * self.layers * self.directions <= SCALAR_WORK

    @property
    def random(self) -> bool:
        """Whether anything is drawn while training."""
        names = ("input_dropout", "recurrent_dropout", "candidate_dropout", "weight_dropout")
        kinds = any(
            self[name] != "off" for name in (*names, "weight_noise", "state_noise", "zoneout")
        )
        return kinds or self["layers"] == "dropped"


def build(module: ModuleType, setting: Setting, **more: Any) -> Any:
    """Make the layer of a row, with parameters that are drawn one by one."""
    options = setting.arguments("layer") | more
    if setting.projected:
        options["proj_size"] = setting.projected
    if setting["cell"].endswith(HEADS):
        options["num_heads"] = next(n for n in range(2, setting.H + 1) if setting.H % n == 0)
    name, own = LAYERS[setting.cell]
    layer = getattr(module, name)(
        setting.inputs, setting.H, **own, **{"dtype": setting["dtype"], "seed": 7} | options
    )
    layer.load_state_dict(
        {n: _parameter(setting, n, value) for n, value in layer.parameters().items()}
    )
    return layer


def _parameter(setting: Setting, name: str, like: Any) -> Any:
    """Draw a parameter: about 1 where it multiplies what is normalised, else as PyTorch does."""
    drawn = Words(f"{label(setting.row)} {name}").uniform(*like.shape)
    if name.startswith("weight_ln"):
        drawn = 1 + 0.4 * drawn
    elif name.startswith("leak"):  # dt over a time constant
        drawn = 0.5 + 0.4 * drawn
    elif name[1:3] == "_0":
        positive = {state.name for state in setting.info.carried if state.positive}
        drawn = 0.5 + abs(drawn) if name[0] in positive else drawn
    else:
        drawn = drawn / np.sqrt(setting.H)
    return drawn.astype(like.dtype)


@dataclass
class Problem:
    """A layer, the arguments of one call, time first, and gradients to send back through it."""

    layer: Any
    x: Any
    state: Any
    call: dict[str, Any] = field(default_factory=dict)
    d_output: Any = None
    d_state: Any = None
    d_last: Any = None
    training: bool = True

    def changed(self, **values: Any) -> Problem:
        """Return the problem with other values."""
        return replace(self, **values)

    def record(self, **more: Any) -> Any:
        """Record the call; a copy of the layer draws the same dropout each time."""
        given = {"training": self.training} | self.call | more
        return copy.deepcopy(self.layer).record(self.x, self.state, **given)

    def results(self, **more: Any) -> dict[str, Any]:
        """Return all that a recorded call gives: outputs, states and every gradient."""
        return outcome(self.record(**more), self)

    def run(self, **more: Any) -> dict[str, Any]:
        """Return what a call gives that is not recorded."""
        output, state = self.layer(self.x, self.state, **self.call, **more)
        return {"output": output, "state": as_tuple(state)}


def outcome(tape: Any, problem: Problem) -> dict[str, Any]:
    """Return what is on a tape, and what goes back through it."""
    found = {"output": tape.output, "state": as_tuple(tape.state)}
    if problem.d_last is not None:
        found["last_output"] = tape.last_output
    grads = tape.backward(problem.d_output, problem.d_state, problem.d_last)
    found |= {"d_x": grads.x, "d_state": as_tuple(grads.state), "d_params": grads.params}
    if grads.reset_state is not None:
        found["d_reset_state"] = as_tuple(grads.reset_state)
    if grads.attention is not None:
        found["d_attention"] = grads.attention
    return found


def _states(setting: Setting, words: Words, given: bool) -> Any:
    """Draw a state; where it is given, some must be positive, and not so small as to divide by."""
    rows, members = setting.layers * setting.directions, []
    for number, state in enumerate(setting.info.carried):
        size = setting.h_size if number == 0 else setting.H
        drawn = words.uniform(rows, setting.B, size)
        members.append(0.5 + abs(drawn) if given and state.positive else drawn)
    return in_form(tuple(member.astype(setting["dtype"]) for member in members))


def _steps(setting: Setting, words: Words) -> dict[str, Any]:
    """Draw which steps are real and where rows are cut; the second row has no steps."""
    T, B, call = setting.T, setting.B, {}
    lengths = 1 + words.below(T, B)
    lengths[0], lengths[1:2] = T, 0
    kinds = {
        "lengths": {"ragged": lengths, "full": np.full(B, T)},
        "mask": {"random": words.happens(0.7, T, B), "idle": np.ones((T, B), bool)},
        "reset": {"random": words.happens(0.3, T, B), "idle": np.zeros((T, B), bool)},
    }
    for name, values in kinds.items():
        if setting[name] != "off":
            call[name] = values[setting[name]]
    return call


def draw(module: ModuleType, row: Mapping[str, Any]) -> Problem:
    """Draw the problem of a row: the same numbers whatever the module.

    With more inputs than units x is smaller, so that activations are not saturated: the slope
    1 - y^2 of a y next to 1 has few correct digits.
    """
    setting = Setting(dict(row))
    words = Words(label(dict(row)))
    dtype, T, B = setting["dtype"], setting.T, setting.B
    layer = build(module, setting)
    call = setting.arguments("call") | _steps(setting, words)
    training = call.pop("training", True)
    scale = DEVIATION * min(1.0, setting.H / setting.inputs) ** 0.5
    x = (scale * words.uniform(T, B, setting.inputs)).astype(dtype)
    state, other = (_states(setting, words, given=True) for _ in range(2))
    if setting["reset_state"] != "off":
        goal = setting["reset_state"]
        call["reset_state"] = other if goal == "given" else goal
    if setting.info.step_inputs:
        call["attention"] = ((words.uniform(T, B) + 1) / 2).astype(dtype)
    kind = setting["gradients"]
    shape = (2, setting.h_size) if setting["merge"] == "none" else (setting.width,)
    d_output = (DEVIATION * words.uniform(T, B, *shape)).astype(dtype)
    d_last = words.uniform(B, *shape).astype(dtype) if kind == "last" else None
    return Problem(
        layer,
        x,
        state if setting["state"] == "given" else None,
        call,
        d_output if kind in ("all", "output") else None,
        _states(setting, words, given=False) if kind in ("all", "state") else None,
        d_last,
        training,
    )
