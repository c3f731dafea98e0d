"""Recurrent layers in PyTorch, a step at a time, from their sources' formulas: autograd tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from simdrnn.engine.random_words import Feature, call_key, happens

# Activations by our argument.
ACTIVATIONS: dict[Any, Callable[[Any], Any]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "softsign": F.softsign,
    ("elu", 0.5): lambda x: F.elu(x, 0.5),
    ("scaled_tanh", 1.25, 0.75): lambda x: 1.25 * torch.tanh(0.75 * x),
    ("hard_sigmoid", 0.3, 0.4): lambda x: (0.3 * x + 0.4).clamp(0, 1),
}


def bounded(value: Any, bound: float | None) -> Any:
    """Clip to [-bound, bound], if there is a bound."""
    return value if bound is None else value.clamp(-bound, bound)


@dataclass
class Step:
    """What a cell is given at one step: lists are of (B, H), one per gate.

    `x` are the gates' input parts W x + b_ih, `h` is what each sees of the state h, and `recurrent`
    makes recurrent parts R v + b_hh of such a list.
    """

    x: list[Any]
    recurrent: Callable[[list[Any]], list[Any]]
    h: list[Any]
    kept: float | Any  # what the candidate is multiplied by
    own: Mapping[str, Any]  # peepholes
    options: Mapping[str, Any]

    def sums(self) -> list[Any]:
        """Return W x + b_ih + R h + b_hh by gate."""
        return [a + b for a, b in zip(self.x, self.recurrent(self.h), strict=True)]

    def gate(self, argument: Any) -> Any:
        """Activate a gate that is a sigmoid by default."""
        chosen = ACTIVATIONS[self.options.get("recurrent_activation", "sigmoid")]
        return chosen(bounded(argument, self.options.get("gate_clip")))

    def candidate(self, argument: Any, default: str = "tanh") -> Any:
        """Activate the candidate."""
        chosen = ACTIVATIONS[self.options.get("activation", default)]
        return chosen(bounded(argument, self.options.get("gate_clip")))


def elman(step: Step, state: tuple[Any, ...], default: str = "tanh") -> tuple[Any, ...]:
    """Elman 1990, and ``torch.nn.RNN``."""
    return (step.candidate(step.sums()[0], default),)


def lstm(step: Step, state: tuple[Any, ...], gates: str = "ifgo") -> tuple[Any, ...]:
    """Long short-term memory; peepholes of Gers and Schmidhuber 2000, section 2.

    Without f it is Greff et al. 2017's coupled f = 1 - i (section 3.B, "CIFG"), without i it is
    TensorFlow Lite's i = 1 - f.
    """
    a = dict(zip(gates, step.sums(), strict=True))
    c = state[1]
    peep = {gate: step.own.get(f"weight_c{gate}", 0.0) for gate in "ifo"}
    opened = {gate: step.gate(a[gate] + peep[gate] * c) for gate in "if" if gate in a}
    i = opened["i"] if "i" in opened else 1 - opened["f"]
    f = opened["f"] if "f" in opened else 1 - opened["i"]
    # Semeniuta et al. 2016, equation 10: c_t = f * c_(t-1) + i * d(g).
    c = bounded(f * c + i * (step.kept * step.candidate(a["g"])), step.options.get("cell_clip"))
    o = step.gate(a["o"] + peep["o"] * c)
    return o * ACTIVATIONS[step.options.get("output_activation", "tanh")](c), c


def gru(step: Step, state: tuple[Any, ...]) -> tuple[Any, ...]:
    """The formulas in the documentation of ``torch.nn.GRU``."""
    parts = step.recurrent(step.h)
    r, z = (step.gate(step.x[k] + parts[k]) for k in (0, 1))
    n = step.kept * step.candidate(step.x[2] + r * parts[2])
    return ((1 - z) * n + z * state[0],)


def gru_reset_before(step: Step, state: tuple[Any, ...]) -> tuple[Any, ...]:
    """ONNX's GRU with ``linear_before_reset`` = 0."""
    parts = step.recurrent(step.h)
    r, z = (step.gate(step.x[k] + parts[k]) for k in (0, 1))
    n = step.kept * step.candidate(step.x[2] + step.recurrent([r * h for h in step.h])[2])
    return ((1 - z) * n + z * state[0],)


def mgu(step: Step, state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Flax's ``MGUCell``: h' = (1 - f) * n + f * h."""
    parts = step.recurrent(step.h)
    f = step.gate(step.x[0] + parts[0])
    n = step.kept * step.candidate(step.x[1] + f * parts[1])
    return ((1 - f) * n + f * state[0],)


def ugrnn(step: Step, state: tuple[Any, ...], default: str = "tanh") -> tuple[Any, ...]:
    """Collins et al. 2017: h = g * h + (1 - g) * c; with relu Ravanelli et al. 2018's Li-GRU."""
    z, n = step.sums()
    z = step.gate(z)
    return (z * state[0] + (1 - z) * (step.kept * step.candidate(n, default)),)


def janet(step: Step, state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Van der Westhuizen and Lasenby 2018, equation 4, with beta = 1."""
    s, c = step.sums()
    new = step.kept * step.candidate(c)
    return (step.gate(s) * state[0] + (1 - step.gate(s - 1)) * new,)


CELLS: dict[str, Callable[[Step, tuple[Any, ...]], tuple[Any, ...]]] = {
    "rnn_tanh": elman,
    "rnn_relu": lambda step, state: elman(step, state, "relu"),
    "lstm": lstm,
    "lstm_peephole": lstm,
    "lstm_coupled_input": lambda step, state: lstm(step, state, "igo"),
    "lstm_coupled_forget": lambda step, state: lstm(step, state, "fgo"),
    "lstm_peephole_coupled_input": lambda step, state: lstm(step, state, "igo"),
    "lstm_peephole_coupled_forget": lambda step, state: lstm(step, state, "fgo"),
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "mgu": mgu,
    "ugrnn": ugrnn,
    "li_gru": lambda step, state: ugrnn(step, state, "relu"),
    "janet": janet,
}


@dataclass
class Masks:
    """The masks of a layer's first recorded training call, drawn again."""

    seed: int
    training: bool
    key: int = field(init=False)

    def __post_init__(self) -> None:
        """Work out the key."""
        self.key = call_key(self.seed, 0)

    def multiplier(
        self, shape: tuple[int, int, int], feature: int, stream: int, probability: float | None
    ) -> Any:
        """Return what dropout multiplies by: 1 off training, else 0 or 1 / (1 - probability)."""
        if not (self.training and probability):
            return torch.ones(shape, dtype=torch.float64)
        dropped = happens(shape, feature, stream, probability, self.key)
        return torch.from_numpy(np.where(dropped, 0.0, 1 / (1 - probability)))

    def updated(
        self, shape: tuple[int, int, int], state: int, stream: int, probability: float
    ) -> Any:
        """Return the share of the new value under zoneout, the mean of it off training.

        Krueger et al. 2016, equations 5 and 6 for c and h, and section 3.1 for the mean.
        """
        if not (self.training and probability):
            return torch.full(shape, 1 - probability, dtype=torch.float64)
        kept = happens(shape, Feature.ZONEOUT + state, stream, probability, self.key)
        return torch.from_numpy(1.0 - kept)


def clipped_backward(value: Any, options: Mapping[str, Any]) -> Any:
    """Return the value; the gradient that comes back to it is clipped on its way on."""
    bound, norm = options.get("step_grad_clip"), options.get("step_grad_norm")

    def hook(gradient: Any) -> Any:
        gradient = bounded(gradient, bound)
        if norm is not None:  # of rows, as torch.nn.utils.clip_grad_norm_ without its 1e-6
            size = gradient.norm(dim=-1, keepdim=True)
            gradient = gradient * (norm / size).clamp(max=1)
        return gradient

    carried = value.clone()
    if bound is not None or norm is not None:
        carried.register_hook(hook)
    return carried


def run_direction(
    cell: str,
    parameters: Mapping[str, Any],
    x: Any,
    state: tuple[Any, ...],
    options: Mapping[str, Any],
    masks: Masks,
    stream: int,
    *,
    reverse: bool,
) -> tuple[Any, tuple[Any, ...]]:
    """Run one direction of one layer.

    Parameters
    ----------
    parameters : by name without suffix.
    x : (T, B, I).
    state : of (B, H).
    options : as our layer's constructor has them.
    stream : layer * D + direction, of the masks.

    Returns
    -------
    output (T, B, H), and the final state.
    """
    weight_ih, weight_hh = parameters["weight_ih"], parameters["weight_hh"]
    steps, (batch, hidden) = len(x), state[0].shape
    shape = (steps, batch, hidden)
    gates = len(weight_hh) // hidden
    per_gate = options.get("recurrent_dropout_per_gate", False)
    recurrent = masks.multiplier(
        (1, batch, (gates if per_gate else 1) * hidden),
        Feature.RECURRENT,
        stream,
        options.get("recurrent_dropout"),
    )[0].split(hidden, -1)
    recurrent = recurrent if per_gate else recurrent * gates
    kept = masks.multiplier(shape, Feature.CANDIDATE, stream, options.get("candidate_dropout"))
    zoneout = options.get("zoneout") or 0.0
    zoneouts = zoneout if isinstance(zoneout, tuple) else (zoneout,) * len(state)
    updated = [masks.updated(shape, k, stream, p) for k, p in enumerate(zoneouts)]
    times = list(reversed(range(steps)) if reverse else range(steps))
    # A layer with `reverse` counts steps as it takes them; the second of two directions by time.
    drawn_at = range(steps) if reverse and stream == 0 else times
    outputs = [None] * steps

    blocks = weight_hh.split(hidden)
    biases = parameters["bias_hh"].split(hidden) if "bias_hh" in parameters else [None] * gates

    def product(operands: list[Any]) -> list[Any]:
        return [F.linear(*of_gate) for of_gate in zip(operands, blocks, biases, strict=True)]

    for t, place in zip(times, drawn_at, strict=True):
        parts = F.linear(x[t], weight_ih, parameters.get("bias_ih")).split(hidden, -1)
        seen = [state[0] * mask for mask in recurrent]
        step = Step(list(parts), product, seen, kept[place], parameters, options)
        made = CELLS[cell](step, state)
        made = (bounded(made[0], options.get("hidden_clip")), *made[1:])
        mixed = tuple(
            share[place] * new + (1 - share[place]) * old
            for share, new, old in zip(updated, made, state, strict=True)
        )
        outputs[t] = mixed[0]
        state = (clipped_backward(mixed[0], options), *mixed[1:])
    return torch.stack(outputs), state
