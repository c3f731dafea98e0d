"""Rows of the table: lengths, masks and resets against the same layer without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.acceptance.alternate import Settings, alternate
from bench.acceptance.layers import SHAPES, Say, gated_cases, input_of, layer_of, passes
from bench.acceptance.targets import Point
from simdrnn.bench.cases import Case
from simdrnn.bench.stats import PASSES

__all__ = ["measure_masks", "measure_ragged"]

# Share of the steps that are not real, and at which an episode ends.
_HOLES, _RESETS = 0.1, 0.01

# Target -> keyword arguments of a call, and the share of the full time that it may take as 1.
_Options = dict[str, tuple[dict[str, Any], float]]


def measure_ragged(
    settings: Settings, say: Say, shapes: Sequence[tuple[int, int, int, int]] = SHAPES
) -> Iterator[Point]:
    """Lengths drawn from 1 to T, in no order, and lengths that are all T."""
    for case in gated_cases(shapes):
        lengths = np.random.default_rng(1).integers(1, case.T + 1, case.B)
        share = float(lengths.sum()) / (case.T * case.B)
        equal = np.full(case.B, case.T)
        options: _Options = {"ragged": ({"lengths": lengths}, share)}
        yield from _compare(case, options | {"equal": ({"lengths": equal}, 1.0)}, settings, say)


def measure_masks(
    settings: Settings, say: Say, shapes: Sequence[tuple[int, int, int, int]] = SHAPES
) -> Iterator[Point]:
    """Masks with holes, and resets; both may cost no more than the full layer."""
    for case in gated_cases(shapes):
        drawn = np.random.default_rng(1).random((2, case.T, case.B))
        mask, reset = drawn[0] >= _HOLES, drawn[1] < _RESETS
        options: _Options = {"mask": ({"mask": mask}, 1.0), "reset": ({"reset": reset}, 1.0)}
        yield from _compare(case, options, settings, say)


def _compare(case: Case, options: _Options, settings: Settings, say: Say) -> Iterator[Point]:
    """Time a layer with each of the options and without."""
    layer, x = layer_of(case), input_of(case)
    given = {"full": {}, **{target: call for target, (call, _) in options.items()}}
    calls = {
        name: passes(layer, x, num_threads=settings.threads, **call)
        for name, call in given.items()
    }  # fmt: skip
    for which in PASSES:
        label = f"{case.label} {which}"
        say(f"{', '.join(options)}: {label}")
        rounds = alternate({name: call[which] for name, call in calls.items()}, settings)
        for target, (_, share) in options.items():
            yield Point(target, label, settings.threads, rounds.ratio(target, "full", 1 / share))
