"""Options of a step for every cell, layers that show their random masks, and a model by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers import INFOS
from simdrnn.engine.random_words import Feature, call_key, happens, multipliers

RANDOM = ("input_dropout", "recurrent_dropout", "candidate_dropout", "zoneout", "pair")
PROBABILITY = 0.4


def random_option(name: str, cell: str) -> dict[str, Any] | None:
    """Return one of `RANDOM` as a constructor takes it; None where the cell has no place for it."""
    info = INFOS[cell]
    if name == "candidate_dropout" and info.candidate < 0:
        return None
    if name == "recurrent_dropout" and info.recurrent_blocks == 0:
        return None
    if name == "pair":
        return {"zoneout": (0.2, 0.6)} if info.states == 2 else None
    return {name: PROBABILITY}


# For gates: never 1 where the argument is within 2, as `gate_clip` has it in `every_option`. A gate
# of 1 keeps an h that is clipped at the very kink of the clip: the last bit would decide on the
# derivative.
GATES = (("hard_sigmoid", 0.15, 0.45), "softsign", ("hard_sigmoid", 0.1, 0.3))


def activations(cell: str) -> dict[str, Any]:
    """Return activations other than the cell's own for all of its places, one for each gate."""
    defaults = INFOS[cell].default_activations
    gates = defaults[: INFOS[cell].gate_activations]
    places = {
        "activation": (any(name not in ("sigmoid", "-") for name in gates), "softsign"),
        "recurrent_activation": ("sigmoid" in gates, [*GATES[: gates.count("sigmoid")]]),
        "output_activation": (len(defaults) > len(gates), ("leaky_relu", 0.5)),
    }
    return {name: value for name, (there, value) in places.items() if there}


def every_option(cell: str) -> dict[str, Any]:
    """Return all options of a step together, those that clip among them."""
    found: dict[str, Any] = activations(cell) | {"gate_clip": 2.0, "hidden_clip": 0.6}
    for name in RANDOM:
        found |= random_option(name, cell) or {}
    return found | ({"cell_clip": 0.8} if INFOS[cell].states > 1 else {})


# Layers that put out their masks


def shown(
    module: Any, feature: int, probability: float, shape: Any, call: int = 0, **extra: Any
) -> Any:
    """Record a call whose output shows one feature's draws, (T, B, H) bool: True where it happened.

    Feature.RECURRENT shows one step. `call` calls were recorded before; `extra` goes to the
    constructor.
    """
    T, B, H = shape
    options: dict[str, Any] = {"seed": 11, "dtype": "float64"} | extra
    ones, state = np.ones((T, B, H)), np.ones((1, B, H))
    every = np.ones((T, B), bool)  # every step begins with the initial state

    def made(name: str, given: dict[str, Any], **own: Any) -> Any:
        layer = getattr(module, name)(H, H, **own, **options)
        layer.load_state_dict(_matrices(layer, **given))
        layer._recorded = call
        return layer

    if feature == Feature.INPUT:
        own = {"activation": "identity", "input_dropout": probability}
        return made("RNN", {"weight_ih": np.eye(H)}, **own).record(ones).output == 0
    if feature == Feature.RECURRENT:
        own = {"activation": "identity", "recurrent_dropout": probability}
        return made("RNN", {"weight_hh": np.eye(H)}, **own).record(ones[:1], state).output == 0
    if feature == Feature.CANDIDATE:
        own = {"activation": "identity", "candidate_dropout": probability}
        layer = made("GRU", {"bias_ih": np.ones(3 * H)}, **own)
        return layer.record(ones, 0 * state, reset=every, reset_state="given").output == 0
    if feature == Feature.ZONEOUT:
        layer = made("RNN", {}, zoneout=probability)
        return layer.record(ones, state, reset=every, reset_state="given").output == 1
    layer = made("LSTM", {}, zoneout=(0.0, probability))  # a new c is half the old one
    tape = layer.record(ones, (state, state), reset=every, reset_state="given")
    return tape.all_states[1][:, 0] == 1


def _matrices(layer: Any, **given: Any) -> dict[str, Any]:
    """Return parameters of zeros except for those given, of a layer of one direction."""
    zeros = {name: np.zeros_like(value) for name, value in layer.parameters().items()}
    return zeros | {f"{name}_l0": value.astype(layer.dtype) for name, value in given.items()}


# A model by hand: two cells, any layers and directions, from the documents alone


def model(layer: Any, x: Any, call: int = 0, training: bool = True) -> Any:
    """Return the output (T, B, D*H) of an RNN or LSTM with any of the random options.

    Written from docs/engines.md and the masks of `simdrnn.engine.random_words` only.
    """
    key, options, below = call_key(layer.seed, call), layer.options, x.astype(np.float64)
    directions = 2 if layer.bidirectional else 1
    for depth in range(layer.num_layers):
        steps, batch, width = below.shape
        if training and depth and layer.dropout:
            shape = (steps, batch, width)
            below = below * multipliers(shape, depth - 1, layer.dropout, key, "float64")
        if training and options.input_dropout:
            chance = options.input_dropout
            below = below * multipliers((1, batch, width), depth, chance, key, "float64",
                                        Feature.INPUT)  # fmt: skip
        outputs = []
        for direction in range(directions):
            end = f"_l{depth}" + "_reverse" * direction
            weights = {
                name: getattr(layer, name + end).astype(np.float64)
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            stream = depth * directions + direction
            order = range(steps)[::-1] if direction else range(steps)
            outputs.append(_direction(weights, below, order, options, key, stream, training))
        below = np.concatenate(outputs, axis=-1)
    return below


def _direction(
    weights: dict[str, Any], x: Any, order: range, options: Any, key: int, stream: int,
    training: bool,
) -> Any:  # fmt: skip
    """Run one direction, whose steps come in `order`."""
    steps, batch, _ = x.shape
    hidden = weights["weight_hh"].shape[1]
    lstm = len(weights["weight_hh"]) == 4 * hidden
    states = [np.zeros((batch, hidden)) for _ in range(2 if lstm else 1)]
    seen = np.ones((1, batch, hidden))
    candidate = np.ones((steps, batch, hidden))
    if training and options.recurrent_dropout:
        chance = options.recurrent_dropout
        seen = multipliers(seen.shape, stream, chance, key, "float64", Feature.RECURRENT)
    if training and options.candidate_dropout:
        chance = options.candidate_dropout
        candidate = multipliers(candidate.shape, stream, chance, key, "float64", Feature.CANDIDATE)
    keeps = []
    for number, chance in enumerate(options.zoneouts(len(states))):
        shape = (steps, batch, hidden)
        kept = happens(shape, Feature.ZONEOUT + number, stream, chance, key)
        keeps.append(kept if training else np.full(shape, chance))
    output = np.empty((steps, batch, hidden))
    for t in order:
        gates = x[t] @ weights["weight_ih"].T + (states[0] * seen[0]) @ weights["weight_hh"].T
        gates += weights["bias_ih"] + weights["bias_hh"]
        if lstm:
            i, f, g, o = np.split(gates, 4, axis=-1)
            c = _sigmoid(f) * states[1] + _sigmoid(i) * (np.tanh(g) * candidate[t])
            made = [_sigmoid(o) * np.tanh(c), c]
        else:
            made = [np.tanh(gates)]
        states = [
            keep[t] * old + (1 - keep[t]) * new
            for keep, old, new in zip(keeps, states, made, strict=True)
        ]
        output[t] = states[0]
    return output


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))
