"""Losses of recommenders: pairs that are ranked, and softmax over more items than can be scored."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.engine.embedding import add_rows, take_rows
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parametrised import restored
from simdrnn.losses.base import Weighing, softplus
from simdrnn.spec.parameters import check_memory
from simdrnn.training.modules import Linear, as_indices, check_range, integer_array
from simdrnn.training.trainable import as_floats
from simdrnn.validate import (
    Array,
    as_array,
    as_finite_number,
    as_positive,
    as_reals,
    as_seed,
)

__all__ = ["ClassSampler", "HeadLoss", "PairLoss", "bpr", "sampled_softmax"]


@dataclass(frozen=True, slots=True, eq=False)
class PairLoss:
    """A recorded loss of two arrays of scores.

    Attributes
    ----------
    value : the mean over the real positions, 0.0 where there are none.
    """

    value: float
    _gradient: Callable[[float], tuple[Array, Array]]

    def __float__(self) -> float:
        """Return `value`."""
        return self.value

    def backward(self, d_value: float = 1.0) -> tuple[Array, Array]:
        """Return ``d_value`` times the gradients of `value` for the first and second argument."""
        return self._gradient(as_finite_number("d_value", d_value))


@dataclass(frozen=True, slots=True, eq=False)
class HeadLoss:
    """A recorded loss that has a linear layer in it.

    Attributes
    ----------
    value : the mean over the real positions, 0.0 where there are none.
    """

    value: float
    _gradient: Callable[[float], Gradients]

    def __float__(self) -> float:
        """Return `value`."""
        return self.value

    def backward(self, d_value: float = 1.0) -> Gradients:
        """Return ``d_value`` times the gradients: ``x`` of the input, ``params`` of the layer."""
        return self._gradient(as_finite_number("d_value", d_value))


def bpr(
    positive: Array, negative: Array, *, mask: Array | None = None, weights: Array | None = None
) -> PairLoss:
    """Mean Bayesian personalised ranking loss: what was chosen is to score above what was not.

    Parameters
    ----------
    positive : (...), float32 or float64, scores of what was chosen.
    negative : (...) or (..., N) in the dtype of `positive`, scores of what was not; with N for each
        position their mean counts.
    mask : bool, the shape of `positive` or its leading dimensions; True where the position is real;
        None is all of them.
    weights : floats, 0 or more, shaped as `mask` may be: the mean is weighted by them.

    Returns
    -------
    A `PairLoss`, whose ``backward()`` is a pair of gradients, shaped as the arguments.

    Raises
    ------
    TypeError, ValueError : an argument is of another type, shape or range.

    Notes
    -----
    ``-log sigmoid(positive - negative)``. The penalty that is added in the paper is
    `simdrnn.regularizers.l2`'s.

    References
    ----------
    Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009, "BPR: Bayesian personalized ranking from
    implicit feedback", arXiv:1205.2618.

    Examples
    --------
    >>> loss = bpr(np.array([2.0, 0.0]), np.array([[0.0, 2.0], [0.0, 0.0]]))
    >>> round(loss.value, 6)
    0.551592
    >>> loss.backward()[0].round(3)
    array([-0.155, -0.25 ])
    """
    above = as_floats("positive", positive)
    below = as_array("negative", negative, above.dtype)
    several = below.ndim == above.ndim + 1
    if below.shape[: above.ndim] != above.shape or not (several or below.ndim == above.ndim):
        shape = ", ".join(map(str, above.shape))
        raise ValueError(f"negative: expected shape ({shape}) or ({shape}, N), got {below.shape}")
    weighing = Weighing.of(above.shape, mask, weights)
    each = below if several else below[..., np.newaxis]
    if each.shape[-1] == 0:
        raise ValueError(f"negative: expected N >= 1, got shape {below.shape}")
    with np.errstate(all="ignore"):
        terms, slopes = softplus(each.astype(np.float64) - above[..., np.newaxis])
        slopes /= each.shape[-1]
        terms = terms.mean(axis=-1)

    def gradient(d_value: float) -> tuple[Array, Array]:
        down = weighing.gradient(-slopes.sum(axis=-1), above.dtype, d_value)
        return down, weighing.gradient(slopes, above.dtype, d_value).reshape(below.shape)

    return PairLoss(weighing.mean(terms), gradient)


class ClassSampler:
    """Draws classes with given frequencies, for `sampled_softmax`.

    Parameters
    ----------
    frequencies : (V,), numbers above 0, which need not sum to 1: say counts in the training data,
        or their power of 0.75, which draws rare ones more often.
    seed : non-negative integer for the same draws again, or None for other ones every time.

    Attributes
    ----------
    draws : how many times was drawn. A draw depends on the seed and this number alone, and setting
        it goes on from there.

    Examples
    --------
    >>> sampler = ClassSampler([8.0, 1.0, 1.0], seed=0)
    >>> sampler.draw(5).shape, sampler.draws
    ((5,), 1)
    >>> sampler.log_probability(np.array([0, 2])).round(3)
    array([-0.223, -2.303])
    """

    def __init__(self, frequencies: object, *, seed: int | None = None) -> None:
        given = as_reals("frequencies", frequencies)
        if given.ndim != 1 or not given.size:
            raise ValueError(f"frequencies: expected shape (V,), got {given.shape}")
        if not (np.isfinite(given).all() and (given > 0).all()):
            raise ValueError("frequencies: expected finite numbers above 0")
        share = given / given.max()
        self._log = np.log(share) - math.log(math.fsum(share))
        self._below = np.cumsum(share)
        self._seed = as_seed(seed)
        self.draws = 0

    @property
    def num_classes(self) -> int:
        """V, how many classes there are."""
        return len(self._log)

    def draw(self, n: int) -> Array:
        """Return `n` classes, (N,) int64, each drawn by itself: a class may come twice."""
        count = as_positive("n", n)
        check_memory(count, n=count)
        rng = np.random.default_rng([self._seed, self.draws])
        places = rng.random(count) * self._below[-1]
        self.draws += 1
        found = np.searchsorted(self._below, places, side="right")
        return np.asarray(np.minimum(found, self.num_classes - 1), np.int64)

    def log_probability(self, classes: Array) -> Array:
        """Return the logarithm of the probability of each of `classes` in a draw, float64."""
        chosen = check_range("classes", integer_array("classes", classes), self.num_classes)
        return np.asarray(self._log[chosen])


def sampled_softmax(
    x: Array,
    head: Linear,
    targets: Array,
    sampler: ClassSampler,
    n: int,
    *,
    mask: Array | None = None,
    weights: Array | None = None,
) -> HeadLoss:
    """Mean cross entropy over many classes, of which but `n` and the targets are scored.

    Parameters
    ----------
    x : (..., H), the input of `head`, in its dtype.
    head : a `Linear` with V outputs, which is not run as a whole.
    targets : (...), integers in [0, V); not looked at where `mask` is False.
    sampler : draws classes; they are the same for all positions of the call.
    n : how many classes are drawn.
    mask : bool, the shape of `targets` or its leading dimensions; True where the position is real;
        None is all of them.
    weights : floats, 0 or more, shaped as `mask` may be: the mean is weighted by them.

    Returns
    -------
    A `HeadLoss`: its ``backward()`` are gradients of `x` and of the parameters of `head`, as of a
    recorded call of `head`.

    Raises
    ------
    TypeError, ValueError : an argument is of another type, shape or range.

    Notes
    -----
    The sum over all other classes in softmax is estimated from those drawn, each divided by n times
    its probability q (that is, ``log(n q)`` is taken off its score); one that is the target is left
    out. The estimate of the sum has no bias, its logarithm has one that n makes small: the more are
    drawn, the nearer it is to `cross_entropy`, which is what to evaluate with.

    References
    ----------
    Bengio and Senecal 2008, "Adaptive importance sampling to accelerate training of a neural
    probabilistic language model"; Jean, Cho, Memisevic and Bengio 2015, "On using very large target
    vocabulary for neural machine translation", arXiv:1412.2007.

    Examples
    --------
    >>> head, sampler = Linear(4, 1000, seed=0), ClassSampler(np.ones(1000), seed=0)
    >>> loss = sampled_softmax(np.ones((3, 4), "float32"), head, np.array([1, 2, 3]), sampler, 100)
    >>> grads = loss.backward()
    >>> grads.x.shape, grads.params["weight"].shape
    ((3, 4), (1000, 4))
    """
    rows, chosen, weighing = _checked(x, head, targets, sampler, mask, weights)
    drawn = sampler.draw(n)
    names = list(head.parameters())
    parts = {name: take_rows(_as_rows(array), drawn).reshape(len(drawn), *array.shape[1:])
             for name, array in head.parameters().items()}  # fmt: skip
    options = {"bias": "bias" in names, "dtype": head.dtype}
    part: Any = restored(
        Linear, {"in_features": head.in_features, "out_features": len(drawn), **options}, parts
    )
    tape = part.record(rows)
    own = {name: take_rows(_as_rows(array), chosen) for name, array in head.parameters().items()}
    with np.errstate(all="ignore"):
        target_scores = np.einsum("nh,nh->n", rows, own["weight"], dtype=np.float64)
        if "bias" in own:
            target_scores = target_scores + own["bias"][:, 0]
        scores = tape.output - (sampler.log_probability(drawn) + math.log(len(drawn)))
        scores[chosen[:, np.newaxis] == drawn] = -np.inf
        most = np.maximum(scores.max(axis=1), target_scores)
        others = np.exp(scores - most[:, np.newaxis])
        mine = np.exp(target_scores - most)
        total = mine + others.sum(axis=1)
        terms = most + np.log(total) - target_scores
        slopes = np.concatenate([others, (mine - total)[:, np.newaxis]], 1) / total[:, np.newaxis]

    def gradient(d_value: float) -> Gradients:
        d_scores = weighing.gradient(slopes, head.dtype, d_value)
        d_others, d_mine = np.ascontiguousarray(d_scores[:, :-1]), d_scores[:, -1:]
        found = tape.backward(d_others)
        d_own = {"weight": d_mine * rows, "bias": d_mine}
        params = {}
        for name, array in head.parameters().items():
            moved = np.concatenate([_as_rows(found.params[name]), d_own[name]])
            summed = add_rows(moved, np.concatenate([drawn, chosen]), _as_rows(array))
            params[name] = summed.reshape(array.shape)
        return Gradients((found.x + d_mine * own["weight"]).reshape(np.shape(x)), None, params)

    return HeadLoss(weighing.mean(terms), gradient)


def _checked(
    x: object, head: object, targets: object, sampler: object, mask: object, weights: object
) -> tuple[Array, Array, Weighing]:
    """Return rows (N, H) and targets (N,), with zeros where nothing counts, and their weights."""
    if not isinstance(head, Linear):
        raise TypeError(f"head: expected a Linear, got {type(head).__name__}")
    if not isinstance(sampler, ClassSampler):
        raise TypeError(f"sampler: expected a ClassSampler, got {type(sampler).__name__}")
    if sampler.num_classes != head.out_features:
        raise ValueError(
            f"sampler: expected one of {head.out_features} classes, got {sampler.num_classes}"
        )
    found = as_array("x", x, head.dtype)
    if found.ndim == 0 or found.shape[-1] != head.in_features:
        wanted = f"(..., H) = (..., {head.in_features})"
        raise ValueError(f"x: expected shape {wanted}, got {found.shape}")
    positions = found.shape[:-1]
    chosen = integer_array("targets", targets)
    if chosen.shape != positions:
        raise ValueError(f"targets: expected shape {positions}, got {chosen.shape}")
    weighing = Weighing.of(positions, mask, weights)
    counts = weighing.counts
    check_range("targets", chosen[counts], head.out_features)
    rows = np.where(counts[..., np.newaxis], found, 0).astype(head.dtype)
    flat = Weighing(weighing.weight.ravel(), weighing.real.ravel(), weighing.total)
    return (
        rows.reshape(math.prod(positions), head.in_features),
        as_indices(np.where(counts, chosen, 0)),
        flat,
    )


def _as_rows(array: Array) -> Array:
    """Return a weight (V, H) or a bias (V,) as rows."""
    return array if array.ndim == 2 else array[:, np.newaxis]
