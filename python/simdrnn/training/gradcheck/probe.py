"""A layer with random arguments, whose loss can be had anywhere around them; for `gradcheck`."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.savable import go_on, recorded_calls
from simdrnn.layers.tape import Tape
from simdrnn.stack.stack import Stack
from simdrnn.stack.tape import StackTape
from simdrnn.training.gradcheck.report import TensorCheck
from simdrnn.validate import Array

__all__ = ["Probe", "layers_of"]

# Roundings of a step besides those of its sums: a handful of operations and activations.
_STEP_ROUNDINGS = 32


def layers_of(layer: RecurrentLayer | Stack) -> tuple[RecurrentLayer, ...]:
    """Return the layers of a stack, or the one layer."""
    return layer.layers if isinstance(layer, Stack) else (layer,)


def _leaves(name: str, state: Any) -> dict[str, Array]:
    """Return the arrays of a state, which may be a tuple of tuples, by name; None has none."""
    if state is None:
        return {}
    if not isinstance(state, tuple):
        return {name: state}
    found: dict[str, Array] = {}
    for index, member in enumerate(state):
        found |= _leaves(f"{name}[{index}]", member)
    return found


def _random_like(state: Any, rng: np.random.Generator) -> Any:
    """Draw a state of the same form."""
    if isinstance(state, tuple):
        return tuple(_random_like(member, rng) for member in state)
    return rng.standard_normal(state.shape)


def _positive(values: Array) -> Array:
    """Turn normal numbers into positive ones, away from 0: a cell may divide by them."""
    return 0.5 + np.abs(values)


def _random_state(layer: RecurrentLayer | Stack, form: Any, rng: np.random.Generator) -> Any:
    """Draw a state to begin with, of the given form: positive where it has to be."""
    if isinstance(layer, Stack):
        pairs = zip(layer.layers, form, strict=True)
        return tuple(_random_state(one, own, rng) for one, own in pairs)
    drawn = _random_like(form, rng)
    if not isinstance(drawn, tuple):
        return drawn
    pairs_of_one = zip(bound_layer(layer).info.carried, drawn, strict=True)
    return tuple(_positive(value) if state.positive else value for state, value in pairs_of_one)


def _move_learned(layer: RecurrentLayer, rng: np.random.Generator) -> None:
    """Let learned states that must be positive begin above 0: at 0 they have no derivative."""
    bound = bound_layer(layer)
    for specs, state in zip(bound.learned_specs, bound.info.carried, strict=False):
        if state.positive:
            layer.load_state_dict(
                {spec.name: _positive(rng.standard_normal(spec.shape)) for spec in specs},
                strict=False,
            )


class Probe:
    """A copy of a layer with random arguments, whose loss can be had anywhere around them."""

    def __init__(
        self,
        layer: RecurrentLayer | Stack,
        steps: int,
        batch: int,
        call: dict[str, Any],
        rng: np.random.Generator,
        *,
        with_state: bool,
    ) -> None:
        self._layer = copy.deepcopy(layer)
        for one in layers_of(self._layer):
            _move_learned(one, rng)
        self._recorded = recorded_calls(layer)
        self._steps = steps
        layout = bound_layer(layers_of(layer)[0]).checks.layout
        self._x = layout.caller(rng.standard_normal((steps, batch, layer.input_size)))
        beside: dict[str, Any] = {}
        if any(bound_layer(one).info.step_inputs for one in layers_of(layer)):
            beside = {"attention": layout.caller(rng.random((steps, batch)))}
        self._call = call | beside
        form = layer(self._x, **beside)[1]
        self._state = _random_state(layer, form, rng) if with_state else None
        self._arguments = {"x": self._x} | beside | _leaves("state", self._state)
        if call["reset_state"] == "random":
            self._call |= {"reset_state": _random_state(layer, form, rng)}
            self._arguments |= _leaves("reset_state", self._call["reset_state"])
        self.values = {name: value.copy() for name, value in self._arguments.items()}
        self.values |= self._layer.state_dict()
        tape = self._record()
        self._d_output = rng.standard_normal(tape.output.shape)
        self._d_state = _random_like(form, rng)
        grads = tape.backward(self._d_output, self._d_state)
        found = {"x": grads.x} | _leaves("state", grads.state)
        found |= _leaves("reset_state", grads.reset_state) | grads.params
        found |= _leaves("attention", grads.attention)
        self._gradients = {name: found[name] for name in self.values}
        self._here = self._loss()
        self._rounding = self._loss_rounding(tape)

    def _record(self) -> Tape | StackTape:
        """Record the layer as it stands now, every time with the same dropout."""
        go_on(self._layer, self._recorded)
        return self._layer.record(self._x, self._state, **self._call)

    def _loss(self) -> float:
        """Return the sum of outputs and final states with their weights."""
        tape = self._record()
        finals, weights = _leaves("state", tape.state), _leaves("state", self._d_state)
        total = float(np.sum(tape.output * self._d_output))
        return total + sum(float(np.sum(finals[name] * weights[name])) for name in finals)

    def _loss_rounding(self, tape: Tape | StackTape) -> float:
        """Return how far the loss may be off; see `gradcheck`."""
        layers = layers_of(self._layer)
        finals, weights = _leaves("state", tape.state), _leaves("state", self._d_state)
        largest = max(float(np.abs(a).max(initial=1.0)) for a in (tape.output, *finals.values()))
        squares = [float(np.square(a).sum()) for a in (self._d_output, *weights.values())]
        sums = max(max(one.input_size, bound_layer(one).width) + one.hidden_size for one in layers)
        depth = sum(one.num_layers for one in layers)
        if isinstance(self._layer, Stack):  # gates are layers of one product more
            depth = 2 * depth
        spread = math.sqrt(sums + _STEP_ROUNDINGS) * (self._steps + 1) * depth
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
