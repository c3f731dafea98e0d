"""What `backward` returns: one gradient for everything the forward pass was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from simdrnn.engine.protocol import State
from simdrnn.validate import Array

__all__ = ["Gradients"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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

    ``one + other`` are the gradients of the sum of two losses of one call, or of two calls of the
    same shape: everything is added, in the arrays' own dtype, and what one of them lacks is 0.
    Those of micro-batches of any shapes are added by `accumulate`.

    Examples
    --------
    >>> import numpy as np
    >>> grads = Gradients(x=None, state=None, params={"weight": np.ones((2, 3), "float32")})
    >>> grads
    Gradients(params={'weight': float32(2, 3)})
    """

    __module__ = "simdrnn"

    x: Array | None
    state: State | None
    params: dict[str, Array]
    # By keyword only, so that subclasses can add fields without defaults.
    reset_state: State | None = field(default=None, kw_only=True)
    attention: Array | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        """Show shapes and dtypes, of what there is."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        shown = [f"{name}={_outlined(value)}" for name, value in known.items() if value is not None]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __add__(self, other: object) -> Gradients:
        """Return the sums of everything, as new arrays."""
        if not isinstance(other, Gradients):
            return NotImplemented
        if self.params.keys() != other.params.keys():
            names = f"{sorted(self.params)}, got {sorted(other.params)}"
            raise ValueError(f"gradients: expected those of the same parameters {names}")
        return Gradients(
            _sum("x", self.x, other.x),
            _sum("state", self.state, other.state),
            {n: _sum(f"params[{n!r}]", g, other.params[n]) for n, g in self.params.items()},
            reset_state=_sum("reset_state", self.reset_state, other.reset_state),
            attention=_sum("attention", self.attention, other.attention),
        )


def _sum(name: str, one: Any, other: Any) -> Any:
    """Return the sum of two gradients or structures of them, of which None is 0."""
    if one is None or other is None:
        return one if other is None else other
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        return {key: _sum(f"{name}[{key!r}]", one[key], other[key]) for key in one}
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return tuple(_sum(f"{name}[{index}]", *pair) for index, pair in pairs)
    shapes = [np.shape(array) if isinstance(array, np.ndarray) else None for array in (one, other)]
    if shapes[0] is None or shapes[0] != shapes[1] or one.dtype != other.dtype:
        raise ValueError(
            f"{name}: expected gradients of one shape to be added, got {_shown(one)} and "
            f"{_shown(other)}; simdrnn.accumulate adds those of parameters alone"
        )
    with np.errstate(all="ignore"):  # what is not finite stays so, silently, as in a step
        return np.asarray(one + other)


def _outlined(value: Any) -> str:
    """Return the shapes and dtypes of arrays, in the structure that they are in."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}"
    if isinstance(value, Mapping):
        members = ", ".join(f"{key!r}: {_outlined(own)}" for key, own in value.items())
        return f"{{{members}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_outlined, value))}{',' * (len(value) == 1)})"
    return repr(value)


def _shown(value: Any) -> str:
    """Return the shape and dtype of an array, or what else it is."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} of {value.dtype}"
    size = f" of {len(value)}" if isinstance(value, tuple) else ""
    return f"a {type(value).__name__}{size}"
