"""Checks of a layer's gradients against finite differences of its forward pass."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.gradient_report import GradcheckReport, TensorCheck
from simdrnn.gradients import Gradients
from simdrnn.layer import RecurrentLayer
from simdrnn.tape import Tape
from simdrnn.validate import Array, as_bool, as_count, as_positive_number, as_seed

__all__ = ["gradcheck"]

_EPS = 1e-4
_LARGEST_EPS = 1e-2  # beyond it the series that the differences rest on means nothing

# Roundings of a step besides those of its sums: a handful of operations and activations.
_STEP_ROUNDINGS = 32

# Options whose result is not the derivative of the forward pass, and not meant to be.
_ALTERED = ("step_grad_clip", "step_grad_norm")


def gradcheck(
    layer: RecurrentLayer,
    T: int,
    B: int,
    *,
    seed: int | None = 0,
    eps: float = _EPS,
    entries: int = 24,
    directions: int = 3,
    lengths: npt.ArrayLike | str | None = None,
    mask: npt.ArrayLike | str | None = None,
    reset: npt.ArrayLike | str | None = None,
    masked_output: str = "zero",
    training: bool = True,
    raise_on_error: bool = True,
) -> GradcheckReport:
    """Check what ``layer.record`` and ``backward`` give against central differences.

    The loss is a sum of all outputs and final states with random weights; it is differentiated for
    x, the initial states and every parameter. A tensor of up to `entries` entries is checked entry
    by entry; of a larger one, that many random entries, and `directions` random directions through
    all of its entries at once, which see a wrong entry wherever it is.

    Parameters
    ----------
    layer : a float64 layer on either engine; it stays as it is.
    T, B : steps and rows of the random input. Keep them small: the layer runs four times for each
        entry and direction.
    seed : of the input, states, weights and choices.
    eps : step of the differences, at most 0.01.
    entries, directions : see above; in larger tensors.
    lengths, mask, reset : as for ``layer.record``, or ``"random"``.
    masked_output, training : as for ``layer.record``. Dropout is the same in all runs.
    raise_on_error : whether a gradient that is not confirmed raises; else the report tells.

    Returns
    -------
    `GradcheckReport` with the worst difference and its tolerance for every tensor, and ``ok``.

    Raises
    ------
    ArithmeticError : a gradient is wrong, or a tensor could not be checked; the message names the
        tensor and the entry or direction.
    TypeError, ValueError : an argument does not fit, or the layer clips gradients at every step,
        so that they are not derivatives and not meant to be.

    Notes
    -----
    With f at five points, differences of steps eps and 2 eps are combined into one whose error is
    of order eps**4 (Richardson). The tolerance is the sum of two terms. Rounding: the loss is off
    by at most d = 6 u (sqrt(n + 32) (T + 1) L |w| max(1, |y|) + sum |p g|), with n the longest sum
    of a step, w the random weights, y the outputs; the second term is the effect of relative
    changes u in all inputs and parameters p; so the difference is off by 1.5 d / eps. Truncation:
    eps times what the combination changed.

    Where a relu or a clip has a kink nearby, differences mean nothing. They betray themselves: the
    one-sided differences on its two sides disagree by more than rounding explains. Such entries
    are skipped and counted, unless they agree all the same.

    References
    ----------
    Higham and Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4,
    for the factor 6.

    Examples
    --------
    >>> import simdrnn as sr
    >>> report = sr.gradcheck(sr.GRU(2, 3, dtype="float64", seed=0), T=4, B=2, lengths="random")
    >>> report.ok, report.skipped
    (True, 0)
    >>> print(report.tensors["bias_hh_l0"])
    bias_hh_l0[...]: expected ... within ..., got ... (9 compared)
    """
    _check(layer)
    step = as_positive_number("eps", eps)
    if step > _LARGEST_EPS:
        raise ValueError(f"eps: expected at most {_LARGEST_EPS:g}, got {eps!r}")
    most, many = as_count("entries", entries), as_count("directions", directions)
    if most + many == 0:
        raise ValueError("entries: expected at least 1 where directions is 0, got 0")
    as_bool("raise_on_error", raise_on_error)
    rng = np.random.default_rng(as_seed(seed))
    steps, batch = as_count("T", T), as_count("B", B)
    given = {"lengths": lengths, "mask": mask, "reset": reset}
    call = _drawn(layer, steps, batch, given, rng)
    call |= {"masked_output": masked_output, "training": training}
    with np.errstate(all="ignore"):  # NaN and infinity are what is looked for
        probe = _Probe(layer, steps, batch, call, rng)
        checks = {name: probe.check(name, step, most, many, rng) for name in probe.values}
    report = GradcheckReport(checks, step)
    if raise_on_error and not report.ok:
        raise ArithmeticError("gradcheck: " + "; ".join(map(str, report.failures)))
    return report


def _check(layer: object) -> None:
    """Raise unless the gradients of `layer` can be checked."""
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"layer: expected a recurrent layer, got {type(layer).__name__}")
    if layer.dtype != np.float64:
        raise ValueError(
            f"layer: expected dtype float64, got {layer.dtype}, whose rounding hides what is wrong"
        )
    for name in _ALTERED:
        if getattr(layer.options, name) is not None:
            raise ValueError(
                f"layer: expected no {name}, which changes gradients on purpose, "
                f"got {getattr(layer.options, name)}"
            )


def _drawn(
    layer: RecurrentLayer, steps: int, batch: int, given: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Put arrays in the place of the word "random", laid out as the layer takes them."""
    layout = layer._call.layout
    draws = {
        "lengths": rng.integers(0, steps + 1, batch),
        "mask": layout.caller(rng.random((steps, batch)) < 0.7),
        "reset": layout.caller(rng.random((steps, batch)) < 0.3),
    }
    return {
        name: draws[name] if isinstance(value, str) and value == "random" else value
        for name, value in given.items()
    }


class _Probe:
    """A copy of a layer with random arguments, whose loss can be had anywhere around them."""

    def __init__(
        self,
        layer: RecurrentLayer,
        steps: int,
        batch: int,
        call: dict[str, Any],
        rng: np.random.Generator,
    ) -> None:
        self._layer = copy.deepcopy(layer)
        self._recorded = layer._recorded
        self._steps, self._call = steps, call
        layout, spec = layer._call.layout, layer._call
        shape = (spec.state_shape[0], batch, spec.state_shape[1])
        count = len(spec.state_names)
        self._x = layout.caller(rng.standard_normal((steps, batch, layer.input_size)))
        self._states = [rng.standard_normal(shape) for _ in range(count)]
        names = ["state"] if count == 1 else [f"state[{index}]" for index in range(count)]
        self._arguments = {"x": self._x, **dict(zip(names, self._states, strict=True))}
        self.values = {name: value.copy() for name, value in self._arguments.items()}
        self.values |= self._layer.state_dict()
        tape = self._record()
        self._d_output = rng.standard_normal(tape.output.shape)
        self._d_states = [rng.standard_normal(shape) for _ in range(count)]
        grads = tape.backward(self._d_output, self._state(self._d_states))
        self._gradients = dict(zip(self.values, self._flat(grads), strict=True))
        self._here = self._loss()
        self._rounding = self._loss_rounding(tape)

    @staticmethod
    def _state(members: list[Array]) -> Any:
        """Give states the form the layer takes them in."""
        return members[0] if len(members) == 1 else tuple(members)

    @staticmethod
    def _flat(grads: Gradients) -> Iterator[Any]:
        """Yield gradients in the order of `values`."""
        yield grads.x
        yield from grads.state if isinstance(grads.state, tuple) else (grads.state,)
        yield from grads.params.values()

    def _record(self) -> Tape:
        """Record the layer as it stands now, every time with the same dropout."""
        self._layer._recorded = self._recorded
        return self._layer.record(self._x, self._state(self._states), **self._call)

    def _loss(self) -> float:
        """Return the sum of outputs and final states with their weights."""
        tape = self._record()
        finals = tape.state if isinstance(tape.state, tuple) else (tape.state,)
        total = float(np.sum(tape.output * self._d_output))
        pairs = zip(finals, self._d_states, strict=True)
        return total + sum(float(np.sum(final * weight)) for final, weight in pairs)

    def _loss_rounding(self, tape: Tape) -> float:
        """Return how far the loss may be off; see `gradcheck`."""
        layer = self._layer
        finals = tape.state if isinstance(tape.state, tuple) else (tape.state,)
        largest = max(float(np.abs(a).max(initial=1.0)) for a in (tape.output, *finals))
        squares = [float(np.square(a).sum()) for a in (self._d_output, *self._d_states)]
        sums = max(layer.input_size, layer._width) + layer.hidden_size
        spread = math.sqrt(sums + _STEP_ROUNDINGS) * (self._steps + 1) * layer.num_layers
        direct = spread * math.sqrt(sum(squares)) * largest
        relative = 0.0
        for name, value in self.values.items():
            effect = np.abs(value * self._gradients[name])
            relative += float(effect[np.isfinite(effect)].sum())  # what is not is wrong anyway
        return 6 * float(np.finfo(np.float64).eps) / 2 * (direct + relative)

    def _loss_along(self, name: str, direction: Array, distance: float) -> float:
        """Return the loss with one tensor moved; the tensor is left moved."""
        self._place(name, self.values[name] + distance * direction)
        return self._loss()

    def _place(self, name: str, value: Array) -> None:
        """Set a tensor."""
        if name in self._arguments:
            self._arguments[name][...] = value
        else:
            self._layer.load_state_dict({name: value}, strict=False)

    def check(
        self, name: str, eps: float, entries: int, directions: int, rng: np.random.Generator
    ) -> TensorCheck:
        """Compare derivatives for one tensor."""
        compared = skipped = 0
        worst, worst_ratio = TensorCheck(name), -1.0
        for where, direction in self._directions(name, entries, directions, rng):
            got = float(np.sum(self._gradients[name] * direction))
            expected, tolerance, kink = self._difference(name, direction, eps)
            difference = abs(got - expected)
            if kink and not difference <= tolerance:
                skipped += 1
                continue
            compared += 1
            ratio = difference / max(tolerance, np.finfo(np.float64).tiny)  # 0 of no rows
            if not ratio <= worst_ratio:  # NaN is the worst
                worst = TensorCheck(name, 0, 0, where, expected, got, difference, tolerance)
                worst_ratio = ratio if ratio == ratio else math.inf
        self._place(name, self.values[name])
        empty = self.values[name].size == 0
        return TensorCheck(
            name, compared, skipped, worst.where, worst.expected, worst.got, worst.difference,
            worst.tolerance, empty,
        )  # fmt: skip

    def _directions(
        self, name: str, entries: int, directions: int, rng: np.random.Generator
    ) -> Iterator[tuple[str, Array]]:
        """Yield what to move a tensor along: entries, then if there are more, unit vectors."""
        shape, size = self.values[name].shape, self.values[name].size
        for flat in np.sort(rng.choice(size, min(size, entries), replace=False)) if size else ():
            index = tuple(int(i) for i in np.unravel_index(flat, shape))
            direction = np.zeros(shape)
            direction[index] = 1.0
            yield str(list(index)), direction
        for number in range(directions if size > entries else 0):
            direction = rng.standard_normal(shape)
            yield f"direction {number}", direction / np.linalg.norm(direction)

    def _difference(self, name: str, direction: Array, eps: float) -> tuple[float, float, bool]:
        """Return the derivative along a direction, its tolerance, and whether there is a kink."""
        far_left, left, right, far_right = (
            self._loss_along(name, direction, distance * eps) for distance in (-2, -1, 1, 2)
        )
        here, noise = self._here, self._rounding / eps
        near, wide = (right - left) / (2 * eps), (far_right - far_left) / (4 * eps)
        derivative = (4 * near - wide) / 3
        tolerance = 1.5 * noise + eps * abs(wide - near)
        ahead = (-3 * here + 4 * right - far_right) / (2 * eps)
        behind = (3 * here - 4 * left + far_left) / (2 * eps)
        # Roundings: 16 losses over 2 eps. Smooth functions: eps**3 f'''' / 2, allowed as eps times
        # the difference of simple one-sided differences, eps f''.
        bend = abs(right - 2 * here + left) / eps
        kink = abs(ahead - behind) > 8 * noise + eps * bend
        return derivative, tolerance, kink
