"""Rows of the table: dtypes, cells and options against a plain layer, and values that vanish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.acceptance.alternate import Call, Settings, alternate
from bench.acceptance.layers import SHAPES, Say, input_of, layer_of, passes
from bench.acceptance.targets import Point
from simdrnn.bench.cases import CELLS, Case
from simdrnn.bench.stats import PASSES

__all__ = ["measure_denormals", "measure_variants"]

_DECAY = 0.1

# Off in inference, so not timed there.
_DROPOUT = "dropout 0.3, x2"


def measure_variants(
    settings: Settings, say: Say, shapes: Sequence[tuple[int, int, int, int]] = SHAPES
) -> Iterator[Point]:
    """Time per FLOP of everything that is not a plain float32 LSTM, over that one's."""
    for shape in shapes:
        plain = Case("lstm", *shape)
        variants = _variants(plain)
        calls = {
            name: passes(layer, input_of(case), num_threads=settings.threads)
            for name, (case, layer) in {"plain": (plain, layer_of(plain)), **variants}.items()
        }
        for which in PASSES:
            say(f"variants of {plain.label}: {which}")
            due = [name for name in calls if which == "training" or name != _DROPOUT]
            rounds = alternate({name: calls[name][which] for name in due}, settings)
            for name in due[1:]:
                case = variants[name][0]
                scale = plain.forward_flops() / case.forward_flops()
                target = "float64" if case.dtype == "float64" else "variants"
                band = rounds.ratio(name, "plain", scale)
                yield Point(target, f"{name} {plain.label} {which}", settings.threads, band)


def _variants(plain: Case) -> dict[str, tuple[Case, Any]]:
    """Cases, for their FLOPs, and layers by name."""
    import simdrnn

    sizes = plain.I, plain.H
    double, both = replace(plain, dtype="float64"), replace(plain, bidirectional=True)
    return {
        "float64": (double, layer_of(double)),
        "bidirectional": (both, layer_of(both)),
        "reset-before": (
            replace(plain, cell="gru"),
            simdrnn.GRU(*sizes, reset_after=False, seed=0),
        ),
        "clipped": (plain, simdrnn.LSTM(*sizes, gate_clip=5.0, cell_clip=5.0, seed=0)),
        _DROPOUT: (
            replace(plain, layers=2),
            simdrnn.LSTM(*sizes, num_layers=2, dropout=0.3, seed=0),
        ),
    }


def measure_denormals(
    settings: Settings, say: Say, shape: tuple[int, int, int, int] = (1000, 1, 64, 64)
) -> Iterator[Point]:
    """Constant inputs that decay into denormals, over random ones; see `_decaying`."""
    for cell in CELLS:
        case = Case(cell, *shape)
        options = {"num_threads": settings.threads}
        normal = passes(layer_of(case), input_of(case), **options)
        decaying = {sign: _decaying(case, sign, **options) for sign in ("+", "-")}
        for which in PASSES:
            say(f"denormals: {case.label} {which}")
            calls = {sign: both[which] for sign, both in decaying.items()}
            rounds = alternate({"normal": normal[which], **calls}, settings)
            for sign in decaying:
                label = f"x = {sign}{_DECAY} {case.label} {which}"
                yield Point("denormals", label, settings.threads, rounds.ratio(sign, "normal"))


def _decaying(case: Case, sign: str, **options: Any) -> dict[str, Call]:
    """Both passes of a layer whose parameters are all the same, on an input that is constant."""
    layer = layer_of(case)
    weights = {name: np.full_like(value, -_DECAY) for name, value in layer.state_dict().items()}
    layer.load_state_dict(weights)
    x = np.full((case.T, case.B, case.I), float(f"{sign}{_DECAY}"), case.dtype)
    return passes(layer, x, **options)
