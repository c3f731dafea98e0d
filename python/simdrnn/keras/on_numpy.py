"""Keras on NumPy: inference only, as Keras itself has it there."""

from __future__ import annotations

from collections.abc import Sequence

from simdrnn.keras.kernel import Call
from simdrnn.validate import Array

__all__ = ["ZERO_BEFORE_FIRST", "obstacle", "run"]

# What a layer that repeats its last output at masked steps puts out before the first real one:
# 0, or as Keras does on this backend the state it begins with.
ZERO_BEFORE_FIRST = False


def obstacle(tensors: Sequence[Array]) -> str | None:
    """Say why these tensors cannot be used; None if they can."""
    return None


def run(
    call: Call, x: Array, mask: Array | None, weights: Sequence[Array], states: Sequence[Array]
) -> tuple[Array | None, tuple[Array, ...]]:
    """Run a kernel.

    Parameters
    ----------
    call, x, mask, weights, states : see `Kernel.forward`; a mask of any dtype.

    Returns
    -------
    output : (B, T, H), or None if not asked for.
    states : arrays (B, H).
    """
    real = None if mask is None else mask.astype(bool)
    output, final = call.kernel.forward(call, x, real, weights, states)
    return output.swapaxes(0, 1) if call.sequences else None, final
