"""The numbers every implementation is given, and the answers it must give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdrnn.bench.cases import Case

__all__ = ["Answers", "Array", "Problem", "Weights", "make_layer", "make_problem", "mismatch"]

Array = NDArray[np.floating[Any]]
Weights = Mapping[str, Array]

# Standard deviations allowed to a rounding error. Of the random model of rounding (Higham and
# Mary 2019, doi:10.1137/18M1226312): an element exceeds it with probability 2 exp(-8^2 / 2).
_DEVIATIONS = 8.0

_LAYERS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


@dataclass(frozen=True, slots=True)
class Problem:
    """A case with its data.

    Parameters
    ----------
    case : shapes.
    weights : parameters under PyTorch's names and in its layouts.
    x : (T, B, I).
    d_output : (T, B, D*H), gradient of the loss by the output, for training.
    threads : number of threads to use.
    """

    case: Case
    weights: Weights
    x: Array
    d_output: Array
    threads: int


@dataclass(frozen=True, slots=True)
class Answers:
    """Output (T, B, D*H) and gradients by name (``x`` and parameters); none without training."""

    output: Array
    gradients: Mapping[str, Array] = field(default_factory=dict)


def make_layer(module: ModuleType, case: Case, dtype: str) -> Any:
    """Build the layer of a case from `simdrnn` or from its reference, which share signatures."""
    layer = getattr(module, _LAYERS[case.cell])
    return layer(
        case.I,
        case.H,
        num_layers=case.layers,
        bidirectional=case.bidirectional,
        dtype=dtype,
        seed=0,
    )


def make_problem(case: Case, weights: Weights, threads: int) -> Problem:
    """Draw input and output gradient of a case; the same ones every time."""
    rng = np.random.default_rng(0)
    outputs = case.directions * case.H
    return Problem(
        case=case,
        weights={name: np.array(value) for name, value in weights.items()},
        x=rng.standard_normal((case.T, case.B, case.I)).astype(case.dtype),
        d_output=rng.standard_normal((case.T, case.B, outputs)).astype(case.dtype),
        threads=threads,
    )


def tolerance(case: Case, reduction: int) -> float:
    """Largest error, relative to the largest element, that rounding explains.

    An element is the end of a chain of `reduction` multiply-adds, and carries the errors of up to
    `T` steps; independent rounding errors add up like the square root of their number.
    """
    return float(_DEVIATIONS * np.finfo(case.dtype).eps * np.sqrt(reduction * case.T))


def mismatch(case: Case, ours: Answers, theirs: Answers) -> str | None:
    """Describe the first array in which two answers differ by more than rounding; None if equal.

    Gradients are compared only where both have them.
    """
    step = max(case.input_size(layer) for layer in range(case.layers)) + case.H
    # Weight gradients are one sum over all rows of all steps, on top of what a step sums.
    pairs = [("output", ours.output, theirs.output, step)]
    for name, value in theirs.gradients.items() if ours.gradients else ():
        pairs.append((f"gradient of {name}", ours.gradients[name], value, step + case.T * case.B))
    for name, got, want, reduction in pairs:
        if got.shape != want.shape:
            return f"{name}: shape {got.shape} here, {want.shape} there"
        scale = float(np.max(np.abs(want))) or 1.0
        error = float(np.max(np.abs(got - want))) / scale
        allowed = tolerance(case, reduction)
        if not error <= allowed:  # in this form NaN is a difference too
            return f"{name}: differs by {error:.1e} of its largest element, rounding allows " + (
                f"{allowed:.1e}"
            )
    return None
