"""One run of a layer of ours: output, final states and gradients by name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simdrnn.engine.protocol import State
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.validate import Array

__all__ = ["Inputs", "as_state", "as_states", "run_ours"]


class Inputs(NamedTuple):
    """What both sides are given.

    Parameters
    ----------
    x : (T, B, I), or as the layer has it with ``batch_first``.
    states : initial ones, none, one or two of (L*D, B, H).
    d_output, d_states : gradients of the loss, or None for a run without gradients.
    lengths : of rows, or None where all are full.
    """

    x: Array
    states: tuple[Array, ...]
    d_output: Array | None = None
    d_states: tuple[Array, ...] | None = None
    lengths: Array | None = None

    def astype(self, dtype: np.dtype[np.floating] | str) -> Inputs:
        """Return all arrays in another dtype."""
        cast = (
            None
            if part is None
            else tuple(one.astype(dtype) for one in part)
            if isinstance(part, tuple)
            else part.astype(dtype)
            for part in self[:-1]
        )
        return Inputs(*cast)._replace(lengths=self.lengths)  # type: ignore[arg-type]


def as_states(state: State | None) -> tuple[Array, ...]:
    """Return a state as a tuple of arrays."""
    if state is None:
        return ()
    return state if isinstance(state, tuple) else (state,)


def as_state(states: tuple[Array, ...]) -> State | None:
    """Return the form in which layers take states."""
    if len(states) < 2:
        return states[0] if states else None
    return states


def run_ours(layer: RecurrentLayer, inputs: Inputs) -> dict[str, Array]:
    """Run a layer as in inference, and back if the loss has gradients.

    Returns
    -------
    dict name -> array: ``"output"``, ``"state h"``, ...; ``"gradient of x"``, ...
    """
    state = as_state(inputs.states)
    given: dict[str, Any] = {} if inputs.lengths is None else {"lengths": inputs.lengths}
    tape = None
    if inputs.d_output is not None:
        tape = layer.record(inputs.x, state, training=False, **given)
    output, final = layer(inputs.x, state, **given) if tape is None else (tape.output, tape.state)
    found: dict[str, Array] = {"output": output}
    found |= {f"state {n}": one for n, one in zip("hc", as_states(final), strict=False)}
    if tape is not None:
        d_states = None if inputs.d_states is None else as_state(inputs.d_states)
        grads = tape.backward(inputs.d_output, d_states)
        if grads.x is not None:
            found["gradient of x"] = grads.x
        if inputs.states:
            found |= {
                f"gradient of initial {n}": one
                for n, one in zip("hc", as_states(grads.state), strict=False)
            }
        found |= {f"gradient of {name}": one for name, one in grads.params.items()}
    return found
