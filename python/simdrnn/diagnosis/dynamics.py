"""How a recorded network carries small changes from step to step: Jacobians and their products."""

from __future__ import annotations

import numpy as np

from simdrnn.diagnosis.recorded import Sample, stretches
from simdrnn.diagnosis.spectrum import radius_of_products
from simdrnn.validate import Array

__all__ = ["jacobian_radii", "lyapunov_exponent", "sampled"]

# The last steps, in processing order, over which a Lyapunov exponent is averaged: a step takes
# NumPy about a tenth of a millisecond, and the average of so many is within a few percent.
_MOST_STEPS = 2000

# A random direction needs some steps to turn to the one that grows most; the growth in this share
# of each stretch, the first of the way back, is not counted.
_SETTLE = 0.25


def sampled(real: Array, most: int) -> Array:
    """Return up to `most` rows, evenly spaced among those with a real step; `real` is (T, B).

    Examples
    --------
    >>> sampled(np.ones((5, 9), bool), 3).tolist()
    [0, 4, 8]
    """
    rows = np.flatnonzero(real.any(axis=0))
    return _spread(rows, most)


def _spread(values: Array, most: int) -> Array:
    """Return up to `most` of `values`, evenly spaced, with the first and the last."""
    places = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(np.intp)
    return np.asarray(values[places])


def jacobian_radii(sample: Sample, most: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return spectral radii of the Jacobian of a step, d(state_t) / d(state_{t-1}).

    Parameters
    ----------
    sample : the rows that are looked at, n of them.
    most : how many times are looked at.
    rng : see `radius_of_products`.

    Returns
    -------
    times : (m,), evenly spaced among those where a row takes part.
    radii : (m, n), NaN where the row does not take part.
    """
    real = sample.steps.real
    times = _spread(np.flatnonzero(real.any(axis=1)), most)
    radii = np.full((len(times), sample.count), np.nan)
    which = real[times]
    at, rows = np.nonzero(which)
    if len(at):
        radii[which] = radius_of_products(
            sample.way_back(times[at], rows), len(at), sample.size, rng
        )
    return times, radii


def lyapunov_exponent(sample: Sample, rng: np.random.Generator) -> float:
    """Return the largest Lyapunov exponent: mean log growth per step of a small change.

    A random gradient is taken back through the recorded steps and made a unit vector again after
    each (Benettin et al. 1980, "Lyapunov characteristic exponents for smooth dynamical systems",
    Meccanica 15); the transposed Jacobians have the same exponents. For recurrent networks: Vogt et
    al. 2020, arXiv:2006.14123; Engelken, Wolf and Abbott 2020, arXiv:2006.02427.

    Returns
    -------
    mean over all rows and steps but those in which the direction settles; -inf if a gradient comes
    to nothing, NaN without steps.
    """
    steps = sample.steps
    growth = np.full(steps.real.shape, np.nan)
    d_state = _directions(sample, rng)
    order = list(steps.order)[::-1][:_MOST_STEPS]
    with np.errstate(all="ignore"):
        for t in order:
            real = steps.real[t]
            d_before = sample.way_back(t, slice(None))(d_state)
            size = np.linalg.norm(d_before, axis=1)
            growth[t, real] = np.log(size[real])
            unit = d_before / np.where(size > 0, size, 1.0)[:, None]
            d_state = np.where(real[:, None], unit, d_state)
            fresh = steps.fresh[t][:, None]
            if fresh.any():
                d_state = np.where(fresh, _directions(sample, rng), d_state)
    seen = growth[_settled(sample, order) & steps.real]
    return float(seen.mean()) if seen.size else float("nan")


def _directions(sample: Sample, rng: np.random.Generator) -> Array:
    """Draw a unit vector (S * H) for each row."""
    drawn = rng.standard_normal((sample.count, sample.size))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _settled(sample: Sample, order: list[int]) -> Array:
    """Tell for each (t, row) whether enough real steps of its stretch were walked before it."""
    walked = np.zeros(sample.steps.real.shape, bool)
    walked[order] = True
    number, age = stretches(sample.steps)
    settled = walked.copy()
    for row in range(sample.count):
        real = np.flatnonzero(sample.steps.real[:, row] & walked[:, row])
        for stretch in np.unique(number[real, row]):
            members = real[number[real, row] == stretch]
            ages = age[members, row]
            settled[members, row] = ages.max() - ages >= int(_SETTLE * len(members))
    return settled
