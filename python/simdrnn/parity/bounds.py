"""How far two correct results may lie apart: a bound on roundings, and how the layer grows them."""

from __future__ import annotations

import math

import numpy as np

from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.copies import copy_of
from simdrnn.parity.runs import Inputs, run_ours
from simdrnn.validate import Array

__all__ = ["tolerances"]

# Roundings of a step besides those of its sums: a handful of operations and activations.
_STEP_ROUNDINGS = 32

# Relative change of weights and inputs by which the growth is measured in float64: far above its
# roundings of 1e-16, far below where the response is no longer proportional.
_CHANGE = 1e-7

# How many random changes; growth is the largest response.
_CHANGES = 3


def _longest_sum(layer: RecurrentLayer, steps: int, batch: int) -> int:
    """Return the terms of the longest sum: of a step, of its gradients, or of a weight's."""
    bound, hidden = bound_layer(layer), layer.hidden_size
    inputs = max(layer.input_size, bound.width if layer.num_layers > 1 else 0)
    return max(inputs + hidden, (bound.info.gates + bound.info.separate) * hidden, steps * batch)


def _changed(array: Array, rng: np.random.Generator) -> Array:
    """Change every number by the same share, up or down at random."""
    return np.asarray(array * (1.0 + _CHANGE * rng.choice((-1.0, 1.0), array.shape)))


def tolerances(
    layer: RecurrentLayer,
    inputs: Inputs,
    dtype: np.dtype[np.floating],
    changes: int = _CHANGES,
) -> dict[str, float]:
    """Return what differences may come to, relative to the largest number, by name of the result.

    Roundings are taken as independent changes of relative size u = eps / 2. A sum of n terms is
    then off by more than 6 u sqrt(n) times the sum of magnitudes with a probability below
    2 exp(-18) (Higham and Mary 2019, "A new approach to probabilistic rounding error analysis",
    theorem 2.4); to n belong the other roundings of a step. What comes of them over all steps and
    layers is measured: a float64 copy is run with all weights and inputs changed by a small share,
    up or down at random, which is how roundings act on a step, and at every step alike, so that
    they add up more than roundings do. The response divided by that share, and 1 for the roundings
    of the result itself, multiplies the error of a step. Each side may be off by this.

    Parameters
    ----------
    layer : ours.
    inputs : of both.
    dtype : the coarser of both.
    changes : how many random ones; of fewer, the growth counts for more.
    """
    copy = copy_of(layer, "float64")
    exact_inputs = inputs.astype("float64")
    exact = run_ours(copy, exact_inputs)
    growth = dict.fromkeys(exact, 0.0)
    rng = np.random.default_rng(0)
    for _ in range(changes):
        changed = {name: _changed(value, rng) for name, value in copy.parameters().items()}
        given = exact_inputs._replace(
            x=_changed(exact_inputs.x, rng),
            states=tuple(_changed(one, rng) for one in exact_inputs.states),
        )
        response = run_ours(copy_of(copy, parameters=changed), given)
        for name, value in exact.items():
            scale = np.max(np.abs(value), initial=0.0)
            apart = np.max(np.abs(response[name] - value), initial=0.0)
            grown = float(apart / scale) / _CHANGE if scale else 0.0
            growth[name] = max(growth[name], grown if math.isfinite(grown) else math.inf)
    batch_axis, time_axis = (0, 1) if layer.batch_first else (1, 0)
    steps, batch = inputs.x.shape[time_axis], inputs.x.shape[batch_axis]
    unit = float(np.finfo(dtype).eps) / 2
    each = 6 * unit * math.sqrt(_longest_sum(layer, steps, batch) + _STEP_ROUNDINGS)
    more = math.sqrt(_CHANGES / changes)
    return {name: 2 * each * (1.0 + more * size) for name, size in growth.items()}
