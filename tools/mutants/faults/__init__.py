"""The mutants, as data: three files of faults in csrc and seven of faults in the package."""

from __future__ import annotations

from tools.mutants.faults import (
    arithmetic,
    attention,
    engine,
    kernels,
    layers,
    losses,
    models,
    onnx,
    packages,
    training,
)
from tools.mutants.mutant import Mutant

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    *arithmetic.MUTANTS,
    *kernels.MUTANTS,
    *engine.MUTANTS,
    *layers.MUTANTS,
    *training.MUTANTS,
    *losses.MUTANTS,
    *attention.MUTANTS,
    *models.MUTANTS,
    *onnx.MUTANTS,
    *packages.MUTANTS,
)
