"""What `backward` returns: one gradient for everything the forward pass was given."""

from __future__ import annotations

from dataclasses import dataclass, field

from simdrnn.engine.protocol import State
from simdrnn.validate import Array

__all__ = ["Gradients"]


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """Gradients of one recorded call.

    Attributes
    ----------
    x : gradient for the input, in its shape; None where the input is integers.
    state : gradient for the initial state, in the form the layer takes it: ``(L*D, B, H)``, a tuple
        of such arrays for an LSTM, or None for a module without state.
    params : gradients for the parameters: name -> array, the keys and shapes of ``parameters()``.
    reset_state : gradient for the state given as ``reset_state``, in its form; else None.
    attention : gradient for the attention given, in its shape; None where the cell takes none.

    The object is frozen, its arrays are not: `clip_grad_norm_` scales them in place. Two objects
    are equal only if they are the same one, since arrays have no single truth value.

    Examples
    --------
    >>> import numpy as np
    >>> grads = Gradients(x=None, state=None, params={"weight": np.ones((2, 3), "float32")})
    >>> grads.params["weight"].shape
    (2, 3)
    """

    __module__ = "simdrnn"

    x: Array | None
    state: State | None
    params: dict[str, Array]
    # By keyword only, so that subclasses can add fields without defaults.
    reset_state: State | None = field(default=None, kw_only=True)
    attention: Array | None = field(default=None, kw_only=True)
