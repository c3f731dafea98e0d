"""From what a cell makes of h to the h that is carried: clipped, or projected and then clipped.

    h = clip(W_hr m)        m (B, H) what the cell made, h (B, P): no bias, no activation

Sak, Senior and Beaufays 2014, arXiv:1402.1128; ``torch.nn.LSTM(proj_size=P)``. The clip is
TensorFlow's ``proj_clip``, with its true derivative.
"""

from __future__ import annotations

from simdrnn.reference.options import clip
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["project"]


def project(weight: Array | None, made: Array, options: Options) -> Array:
    """Return h before zoneout, (B, P), of what the cell made of it, (B, H).

    Parameters
    ----------
    weight : (P, H), or None: h is not projected.
    """
    if weight is None:
        return clip(made, options.hidden_clip)
    return clip(made @ weight.T, options.proj_clip)
