"""What a recorded call of a layer keeps, and the way back through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simdrnn.engine.protocol import CheckedCall, GradientArrays, State, TapeArrays
from simdrnn.layers.arguments import Layout
from simdrnn.layers.bound import BoundLayer
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.states import all_states, last_output, last_output_backward
from simdrnn.validate import Array, as_array, check_shape, readable

if TYPE_CHECKING:
    from simdrnn.layers.weight_noise import ChangedWeights

__all__ = ["Recording", "Uses"]


class Uses(NamedTuple):
    """Where the states that a call began with, and went back to, came from."""

    learned_initial: bool = False
    learned_reset: bool = False
    given_reset: bool = False

    @classmethod
    def of(cls, learned: bool, state: object, reset_state: object) -> Uses:
        """Tell from the arguments of a call, and whether the layer has learned states."""
        by_name = isinstance(reset_state, str)
        return cls(
            learned and state is None,
            reset_state == "learned" if by_name else False,
            reset_state is not None and not by_name,
        )


class Recording:
    """One recorded call of a layer, for what works with tapes; people see a `Tape` of it.

    Attributes
    ----------
    bound : the layer.
    run, layout : the call, in engine form, and how the caller's arrays are laid out.
    arrays : what the engine saved.
    output, final : what the call put out, (T, B, ...), and its final states, S arrays (L*D, B, H).
    uses : where initial states came from.
    version : of the parameters, before the call.
    changed : weights that the call changed at random; None where it changed none.
    """

    __slots__ = (
        "arrays", "bound", "changed", "final", "layout", "output", "run", "uses", "version",
    )  # fmt: skip

    def __init__(
        self,
        bound: BoundLayer,
        run: CheckedCall,
        layout: Layout,
        arrays: TapeArrays,
        output: Array,
        final: tuple[Array, ...],
        uses: Uses,
        version: int,
        changed: ChangedWeights | None = None,
    ) -> None:
        self.bound, self.run, self.layout, self.arrays = bound, run, layout, arrays
        self.output, self.final, self.uses = output, final, uses
        self.version, self.changed = version, changed
        output.flags.writeable = False  # `backward` reads it

    @property
    def used(self) -> BoundLayer:
        """What holds the weights that were used: the layer, or a copy with changed ones."""
        return self.bound if self.changed is None else self.changed.bound

    def states_over_time(self) -> State:
        """Return every state over time, in the caller's form; fresh arrays."""
        every = self.arrays.checkpoint_every
        if every and self.bound.info.states > 1:
            raise ValueError(
                "all_states: expected a tape without checkpoints, which do not keep every state; "
                f"got one with checkpoint_every={every}"
            )
        return self.layout.caller_states(all_states(self.run, self.arrays, self.bound.spec))

    def last_output(self) -> Array:
        """Return the output at each row's last real step, in the caller's form."""
        last = last_output(self.bound.spec, self.run, self.final[0], self.output)
        return last if self.layout.batched else last[0]

    def backward(
        self,
        d_output: object,
        d_state: object,
        d_last_output: object = None,
        trace: Sequence[Array] | None = None,
    ) -> Gradients:
        """Do what `Tape.backward` says; `trace` is for the engine."""
        bound, run, dtype = self.bound, self.run, self.bound.dtype
        if bound.parameters.version != self.version:
            raise ValueError(
                "backward: expected the parameters that were recorded, "
                "got parameters changed since; record again"
            )
        d_sequence = self.d_output(d_output)
        d_final = self.d_final(d_state)
        if d_last_output is not None:
            d_sequence, d_final = self._with_last(d_last_output, d_sequence, d_final)
        d_reset = None
        if run.reset_states is not None:
            d_reset = tuple(np.empty(state.shape, dtype) for state in run.reset_states)
        d_x = np.empty(run.x.shape, dtype)
        d_attention = None if run.attention is None else np.empty(run.attention.shape, dtype)
        d_initial = tuple(np.empty(state.shape, dtype) for state in run.states)
        params, d_parameters = bound.passes.gradient_arrays()
        self.used.ready().backward(
            run, self.arrays, d_sequence, d_final,
            GradientArrays(d_x, d_initial, d_parameters, d_reset, d_attention, trace),
        )  # fmt: skip
        if self.changed is not None:
            self.changed.backward(params)
        form = self.layout.caller_state
        if bound.learned is not None:
            used = [d_initial] if self.uses.learned_initial else []
            used += [d_reset] if self.uses.learned_reset and d_reset is not None else []
            bound.learned.backward(used, params)
        given = form(d_reset) if self.uses.given_reset and d_reset is not None else None
        return Gradients(
            self.layout.caller(d_x), form(d_initial), bound.passes.as_parameters(params),
            reset_state=given,
            attention=None if d_attention is None else self.layout.caller(d_attention),
        )  # fmt: skip

    def _with_last(
        self, value: object, d_output: Array, d_final: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Check `d_last_output` and add it to the gradients of what it was made from."""
        values, run = self.bound.values, self.run
        array = as_array("d_last_output", value, self.bound.dtype)
        letters, shape = ("B", *values.letters), (run.x.shape[1], *values.shape)
        if self.layout.batched:
            check_shape("d_last_output", array, letters, shape)
        else:
            check_shape("d_last_output", array, letters[1:], shape[1:])
            array = array[None]
        d_output, d_hidden = last_output_backward(
            self.bound.spec, run, self.final[0], array, d_output, d_final[0]
        )
        return d_output, (d_hidden, *d_final[1:])

    def d_output(self, value: object) -> Array:
        """Check `d_output` and view it as (T, B, D*H), or as the output is."""
        values, shape = self.bound.values, self.output.shape
        if value is None:  # a broadcast row of zeros: nothing to allocate
            return np.broadcast_to(np.zeros(values.shape, self.bound.dtype), shape)
        array = as_array("d_output", value, self.bound.dtype)
        letters = self.layout.shape("T", "B", *values.letters)
        wanted = self.layout.shape(*shape[:2], *values.shape)
        check_shape("d_output", array, letters, wanted)
        return self.layout.time_first(readable(array))

    def d_final(self, value: object) -> tuple[Array, ...]:
        """Check `d_state` and return S dense arrays (L*D, B, H)."""
        batch, checks = self.run.x.shape[1], self.bound.checks
        if value is None:
            return checks.zeros(batch)
        return checks.states("d_state", value, batch, self.layout, optional=True)
