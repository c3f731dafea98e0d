"""A recorded run of a decoder with attention, from which gradients are propagated back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from simdrnn.attention.affine import applied_back, map_gradient
from simdrnn.attention.decoder_parts import Parts
from simdrnn.attention.decoder_run import Run, Versions
from simdrnn.attention.tape import AttentionGradients
from simdrnn.attention.version import Back
from simdrnn.engine.borrowed import Borrowed
from simdrnn.engine.protocol import State
from simdrnn.layers.arguments import Layout
from simdrnn.layers.parameters import this_thread
from simdrnn.layers.parametrised import parameters_of
from simdrnn.layers.recording import check_unchanged
from simdrnn.validate import Array, as_array, check_shape, readable

__all__ = ["DecoderTape"]


class DecoderTape:
    """One recorded run; made by ``decoder.record``.

    Attributes
    ----------
    output : (T, B, F), laid out like the tokens; without `combine` (T, B, M + H).
    weights : (T, B, S), of the positions of the memory at every step; read-only.
    state : of the layer after the last real step, in its form.
    """

    def __init__(
        self, parts: Parts, versions: Versions, run: Run, embedded: Any, *, learned: bool
    ) -> None:
        self._parts, self._versions, self._run = parts, versions, run
        self._embedded, self._learned, self._thread = embedded, learned, this_thread()
        self._borrowed = Borrowed({"memory": run.ready.memory.values}, run.threads)
        self._layout = Layout(run.given.batch_first)
        made = run.output(parts)
        for array in (made, run.attended.weights):
            array.flags.writeable = False
        self.output: Array = self._layout.caller(made.view())
        self.weights: Array = self._layout.caller(run.attended.weights.view())
        final = run.cell.states(len(run.fed))
        self.state: State = Layout().caller_state(tuple([one.copy() for one in final]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Raise: what a tape refers to is of this process."""
        raise TypeError("DecoderTape: cannot be copied or pickled; record again")

    def backward(
        self, d_output: object = None, d_weights: object = None, d_state: object = None
    ) -> AttentionGradients:
        """Propagate gradients back through all steps. May be called again.

        Parameters
        ----------
        d_output, d_weights, d_state : dL/d(output), dL/d(weights) and dL/d(state), in their form;
            None is zero.

        Returns
        -------
        Gradients with ``memory``, ``state``, ``params`` and, without an embedding, ``x``.

        Raises
        ------
        ValueError : the thread that recorded it has changed parameters since; or `memory` changed.
        """
        parts, run = self._parts, self._run
        members = parts.members()
        for name, number in self._versions.numbers().items():
            check_unchanged(parameters_of(members[name]), self._thread, number)
        self._borrowed.check()
        d_made = self._given("d_output", d_output, run.output(parts), "F")
        d_found = None
        if d_weights is not None:
            d_found = self._given("d_weights", d_weights, run.attended.weights, "S")
        batch, checks = run.fed.shape[1], parts.bound.checks
        d_final = checks.zeros(batch)
        if d_state is not None:
            d_final = checks.states("d_state", d_state, batch, Layout(), optional=True)
        way = _Way(parts, self._versions, run, d_made, d_found, d_final)
        for step in reversed(range(len(run.fed))):
            way.step(step)
        return self._gradients(way)

    def _given(self, name: str, value: object, like: Array, letter: str) -> Array:
        """Check a gradient and view it as (T, B, ...)."""
        if value is None:
            return np.zeros_like(like)
        array, layout = as_array(name, value, like.dtype), self._layout
        letters = layout.shape("T", "B", letter)
        check_shape(name, array, letters, layout.shape(*like.shape))
        return readable(layout.time_first(array))

    def _gradients(self, way: _Way) -> AttentionGradients:
        """Make what was carried back gradients of the parts."""
        run = self._run
        d_memory, of_attention = way.back.finish()
        found: dict[str, Mapping[str, Array | None]] = {
            "layer": way.cell.finish(self._learned), "attention": of_attention,
            "combine": way.combine(),
        }  # fmt: skip
        d_x = None
        if self._embedded is None:
            d_x = self._layout.caller(way.d_inputs)
        else:
            found["embedding"] = self._embedded.backward(way.d_inputs).params
        members = self._parts.members()
        params = {
            f"{name}.{own}": cast("Array", found[name][own])
            for name, member in members.items()
            for own in member.parameters()
        }
        state = Layout().caller_state(way.cell.d_states)
        return AttentionGradients(d_x, state, params, memory=run.given.caller(d_memory))


class _Way:
    """The way back, from the last step to the first.

    Attributes
    ----------
    cell, back : of the layer, and of the attention.
    d_inputs : (T, B, E), the gradient for what was embedded.
    """

    def __init__(
        self, parts: Parts, versions: Versions, run: Run, d_made: Array, d_found: Array | None,
        d_final: tuple[Array, ...],
    ) -> None:  # fmt: skip
        self._parts, self._versions, self._run = parts, versions, run
        self._d_made, self._d_found = d_made, d_found
        self.cell = run.cell.back(d_final)
        self.back = Back(run.attended, run.cell.output)
        self.d_inputs = np.zeros((*run.fed.shape[:2], parts.input_size), run.fed.dtype)
        self._d_fed = np.zeros(run.fed.shape[1:], run.fed.dtype)
        self._d_sums = np.empty_like(run.fed)  # of what `combine` made, before tanh

    def step(self, step: int) -> None:
        """Take a step back."""
        parts, run, at = self._parts, self._run, slice(step, step + 1)
        gone = None if run.real is None else ~run.real[step]
        d_joined = self._joined(step, gone)
        d_found = None if self._d_found is None else self._d_found[at]
        size = parts.memory_size
        d_query = self.back.step(at, d_joined[None, :, :size], d_found)
        d_hidden = d_joined[:, size:] + d_query[0]
        d_x = self.cell.step(step, d_hidden)
        self.d_inputs[step] = d_x[:, : parts.input_size]
        self._d_fed = d_x[:, parts.input_size :].copy()  # 0 of padding, behind which is no step

    def _joined(self, step: int, gone: Array | None) -> Array:
        """Return the gradient for the context and what the layer put out, (B, M + H)."""
        combine, run, size = self._versions.combine, self._run, self._parts.memory_size
        d_made = self._d_made[step]
        if combine is None:
            d_joined = d_made.copy()
            d_joined[:, :size] += self._d_fed
        else:
            made, d_joined = run.fed[step], self._d_sums[step]
            np.multiply(made, made, out=d_joined)
            np.subtract(made.dtype.type(1), d_joined, out=d_joined)
            d_joined *= d_made + self._d_fed
        if gone is not None:
            d_joined[gone] = 0
        if combine is None:
            return np.asarray(d_joined)
        width = run.joined.shape[2]
        return applied_back(combine.maps[0], d_joined, width, run.threads)

    def combine(self) -> dict[str, Array | None]:
        """Return the gradients for the parameters of `combine`."""
        part, run = self._parts.combine, self._run
        if part is None:
            return {}
        biased = part.bias is not None
        d_weight, d_bias = map_gradient(self._d_sums, run.joined, bias=biased, threads=run.threads)
        return {"weight": d_weight, "bias": d_bias}
