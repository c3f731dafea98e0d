"""Layers with layer normalisation: parameters away from where they begin, and how far to trust."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    INFOS,
    Problem,
    as_tuple,
    make_layer,
    make_problem,
    results,
    tolerance,
)
from simdrnn import reference

PLACEMENTS = ("haste", "torch", "tf")
EPSILON = {"haste": 1e-5, "torch": 1e-5, "tf": 1e-3}
CELLS = tuple(name for name, info in INFOS.items() if info.normalisable)

# Of relative movements of inputs: small beside the least deviation of a row, sqrt(epsilon), and
# large beside the roundings of float32.
_MOVED = 1e-5


def scattered(problem: Problem, twin: Any = None) -> Problem:
    """Move every parameter away from where it begins: weights of norms are 1, biases 0 there."""
    rng = np.random.default_rng(5)
    for name, value in problem.layer.parameters().items():
        moved = value + rng.uniform(-0.4, 0.4, value.shape).astype(value.dtype)
        for layer in (problem.layer, twin):
            if layer is not None:
                setattr(layer, name, moved)
    return problem


def side_by_side(
    cell: str, placement: str, rng: np.random.Generator, *, sizes: dict[str, Any], **options: Any
) -> tuple[Problem, Problem]:
    """Draw a problem of the compiled engine, and the same on the reference."""
    options["layer_norm"] = placement
    problem = make_problem(sr, cell, rng=rng, **sizes, **options)
    layer = problem.layer
    twin = make_layer(
        reference, cell, layer.input_size, layer.hidden_size, dtype=layer.dtype, seed=layer.seed,
        **options,
    )  # fmt: skip
    scattered(problem, twin)
    return problem, Problem(
        twin, problem.x, problem.state, problem.call, problem.d_output, problem.d_state
    )


def _arrays(found: Any) -> list[Any]:
    """Return the arrays of nested tuples and dicts."""
    if isinstance(found, dict):
        found = tuple(found.values())
    if isinstance(found, tuple):
        return [array for member in found for array in _arrays(member)]
    return [found]


def distance(got: dict[str, Any], want: dict[str, Any]) -> float:
    """Return how far results lie apart, relative to the largest value, or gradient, of any.

    A norm's gradient is what is left when two means are taken away from one: of a row of two
    elements, which are always 1 and -1, nothing. What it is rounded by is relative to what there
    was before. So all gradients are measured with one scale.
    """
    apart = 0.0
    for gradients in (False, True):
        names = [name for name in want if name.startswith("d_") == gradients]
        given, wanted = (_arrays(tuple(found[n] for n in names)) for found in (got, want))
        scale = max((np.abs(array).max(initial=0.0) for array in wanted), default=0.0) or 1.0
        for one, other in zip(given, wanted, strict=True):
            assert one.shape == other.shape
            apart = max(apart, float(np.abs(one - other).max(initial=0.0)) / scale)
    return apart


def moved(problem: Problem, rng: np.random.Generator) -> Problem:
    """Return the problem with every number of its inputs moved by about `_MOVED` of itself."""

    def move(value: Any) -> Any:
        return (value * (1 + _MOVED * rng.standard_normal(value.shape))).astype(value.dtype)

    layer = copy.deepcopy(problem.layer)
    for name, value in layer.parameters().items():
        setattr(layer, name, move(value))
    state = tuple(move(member) for member in as_tuple(problem.state))
    return Problem(
        layer, move(problem.x), state if len(state) > 1 else state[0], problem.call,
        problem.d_output, problem.d_state,
    )  # fmt: skip


def allowed(problem: Problem, reduction: int) -> float:
    """Return the `distance` at which the results of a problem of the reference may be.

    `tolerance` is about steps that amplify nothing. A norm divides by the deviation of a row, and
    its gradient once more. By how much the whole amplifies is measured: all inputs are moved a
    little, weights of every step among them, so that every W x and R h moves as roundings move it.
    Of three draws the largest, and at least 1.
    """
    rng, want, most = np.random.default_rng(0), results(problem), 1.0
    for _ in range(3):
        most = max(most, distance(results(moved(problem, rng)), want) / _MOVED)
    steps = len(problem.x) * problem.layer.num_layers
    return tolerance(problem.layer.dtype, steps, reduction) * most


def layer_of(cell: str, placement: str, options: dict[str, Any], **more: Any) -> Any:
    """Make a layer of the options that are defined for the cell, its parameters moved."""
    info = INFOS[cell]
    missing = set() if info.states > 1 else {"cell_clip"}
    missing |= set() if info.candidate >= 0 else {"candidate_dropout"}
    missing |= set() if "sigmoid" in info.activations else {"recurrent_activation"}
    if options and set(options) <= missing:
        pytest.skip(f"{cell} has no {', '.join(options)}")
    known = {name: value for name, value in options.items() if name not in missing}
    layer = make_layer(sr, cell, 3, 5, layer_norm=placement, dtype="float64", **known, **more)
    rng = np.random.default_rng(5)
    for name, value in layer.parameters().items():
        setattr(layer, name, value + rng.uniform(-0.4, 0.4, value.shape))
    return layer
