"""From what a cell makes of h to the h that is carried: clipped, or projected and then clipped.

    h = clip(W_hr m)        m (B, H) what the cell made, h (B, P): no bias, no activation

Sak, Senior and Beaufays 2014, arXiv:1402.1128; ``torch.nn.LSTM(proj_size=P)``. The clip is
TensorFlow's ``proj_clip``, with its true derivative.
"""

from __future__ import annotations

import numpy as np

from simdrnn.reference.options import StepOptions, clip, clip_backward
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["project", "project_backward", "weight_gradient"]


def project(weight: Array | None, made: Array, options: Options) -> Array:
    """Return h before zoneout, (B, P), of what the cell made of it, (B, H).

    Parameters
    ----------
    weight : (P, H), or None: h is not projected.
    """
    if weight is None:
        return clip(made, options.hidden_clip)
    return clip(made @ weight.T, options.proj_clip)


def project_backward(weight: Array | None, h: Array, d_h: Array, options: Options) -> Array:
    """Return the gradient for what the cell made; `h` is what `project` returned."""
    if weight is None:
        return clip_backward(h, d_h, options.hidden_clip)
    return clip_backward(h, d_h, options.proj_clip) @ weight


def weight_gradient(cell: object, saved: Array, h: Array, d_h: Array, options: Options) -> Array:
    """Return the gradient (P, H) for the weight over all steps.

    Parameters
    ----------
    cell : its method ``output`` returns what it made of h, of what it saved.
    saved : (T, saved, B, H) what it saved.
    h, d_h : (T, B, P) what `project` returned, and its gradient: 0 where a step is not real.
    """
    d_product = clip_backward(h, d_h, options.proj_clip)
    made = cell.output(tuple(saved.swapaxes(0, 1)), StepOptions(options))  # type: ignore[attr-defined]
    gradient: Array = np.einsum("tbp,tbh->ph", d_product, made)
    return gradient
