"""What the special rows share: layers with data, and their two passes as calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bench.acceptance.alternate import Call, Settings
from bench.acceptance.targets import Point
from simdrnn.bench.cases import Case
from simdrnn.bench.problem import Array, make_layer
from simdrnn.bench.run import Say
from simdrnn.bench.stats import PASSES

__all__ = ["SHAPES", "Measure", "Say", "gated_cases", "input_of", "layer_of", "passes"]

# A row: measures its points one after another.
Measure = Callable[[Settings, Say], Iterator[Point]]

# (T, B, I, H) of the rows that compare an option with the same layer without it.
SHAPES = ((100, 32, 128, 128), (100, 16, 64, 64), (150, 16, 256, 256))


def gated_cases(shapes: Sequence[tuple[int, int, int, int]]) -> list[Case]:
    """Return the shapes with LSTM and GRU."""
    return [Case(cell, *shape) for cell in ("lstm", "gru") for shape in shapes]


def layer_of(case: Case) -> Any:
    """Make our layer of a case."""
    import simdrnn

    return make_layer(simdrnn, case, case.dtype)


def input_of(case: Case) -> Array:
    """Draw x (T, B, I) of a case, the same one every time."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((case.T, case.B, case.I)).astype(case.dtype)


def passes(layer: Any, x: Array, **options: Any) -> dict[str, Call]:
    """Return forward and training of a layer as calls; `options` go to both."""
    width = layer.hidden_size * (2 if layer.bidirectional else 1)
    d_output = np.ones((*x.shape[:2], width), x.dtype)

    def forward() -> Any:
        return layer(x, **options)

    def training() -> Any:
        tape = layer.record(x, **options)
        return tape.output, tape.backward(d_output)

    return dict(zip(PASSES, (forward, training), strict=True))
