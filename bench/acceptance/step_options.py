"""Rows of the table: what an option of a layer adds to the time of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.acceptance.alternate import Settings, alternate
from bench.acceptance.layers import Say, input_of, passes
from bench.acceptance.targets import Point
from simdrnn.bench.cases import CELLS, Case

__all__ = ["measure_options"]

# An option as it is used, at rates from the papers that propose it.
_OPTIONS: dict[str, dict[str, Any]] = {
    "gate_clip": {"gate_clip": 5.0},
    "cell_clip": {"cell_clip": 5.0},
    "hidden_clip": {"hidden_clip": 5.0},
    "step_grad_clip": {"step_grad_clip": 1.0},
    "step_grad_norm": {"step_grad_norm": 1.0},
    "activations": {"activation": "softsign", "recurrent_activation": "hard_sigmoid"},
    "zoneout": {"zoneout": 0.1},
    "input_dropout": {"input_dropout": 0.25},
    "recurrent_dropout": {"recurrent_dropout": 0.25},
    "candidate_dropout": {"candidate_dropout": 0.25},
    "weight_dropout": {"weight_dropout": 0.5},
    "weight_noise": {"weight_noise": 0.075},
    "peephole": {"peephole": True},
    "coupled_input_forget": {"coupled_input_forget": True},
    "residual": {"residual": True},
    "learn_initial_state": {"learn_initial_state": True},
    "layer_norm": {"layer_norm": True},
    "layer_norm torch": {"layer_norm": "torch"},
}


def measure_options(
    settings: Settings, say: Say, shape: tuple[int, int, int, int] = (100, 32, 128, 128)
) -> Iterator[Point]:
    """Time of a training step with an option over the plain cell's, for each that takes it."""
    for cell in CELLS:
        plain = Case(cell, *shape)
        layers = _layers(plain)
        say(f"options of {plain.label}: training")
        x = input_of(plain)
        calls = {
            name: passes(layer, x, num_threads=settings.threads)["training"]
            for name, layer in layers.items()
        }
        rounds = alternate(calls, settings)
        for name in list(layers)[1:]:
            target = "layer_norm" if name.startswith("layer_norm") else "options"
            yield Point(
                target, f"{name} {plain.label}", settings.threads, rounds.ratio(name, "plain")
            )


def _layers(plain: Case) -> dict[str, Any]:
    """Layers by option, the plain one first, without those that the cell refuses."""
    import simdrnn

    make = getattr(simdrnn, plain.cell.upper())
    found = {"plain": make(plain.I, plain.H, seed=0)}
    for name, options in _OPTIONS.items():
        try:
            found[name] = make(plain.I, plain.H, seed=0, **options)
        except (TypeError, ValueError):  # nothing in this cell for it to act on
            continue
    return found
