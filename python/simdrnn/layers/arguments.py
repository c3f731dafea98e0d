"""From the arguments of a call, in the caller's layout, to a checked call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.engine.protocol import CheckedCall, State
from simdrnn.layers.passes import LearnedStates
from simdrnn.spec.layer import LayerSpec, Values
from simdrnn.validate import (
    MOST_THREADS,
    Array,
    as_array,
    as_flags,
    as_lengths,
    as_positive,
    check_choice,
    check_out,
    check_shape,
    dense,
    readable,
)

__all__ = ["ArgumentChecks", "Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a caller's arrays are laid out. Every conversion is a view."""

    batch_first: bool = False
    batched: bool = True

    def shape(self, steps: Any, batch: Any, *rest: Any) -> tuple[Any, ...]:
        """Order the sizes, or the letters, of a sequence as the caller does."""
        if not self.batched:
            return (steps, *rest)
        return (batch, steps, *rest) if self.batch_first else (steps, batch, *rest)

    def time_first(self, sequence: Array) -> Array:
        """View a caller's sequence as (T, B, ...)."""
        if not self.batched:
            return sequence[:, None]
        return sequence.swapaxes(0, 1) if self.batch_first else sequence

    def caller(self, sequence: Array) -> Array:
        """View a (T, B, ...) sequence as the caller lays it out."""
        if not self.batched:
            return sequence[:, 0]
        return sequence.swapaxes(0, 1) if self.batch_first else sequence

    def state_shape(self, rows: Any, batch: Any, hidden: Any) -> tuple[Any, ...]:
        """Give the sizes, or the letters, of a caller's state."""
        return (rows, batch, hidden) if self.batched else (rows, hidden)

    def layered(self, state: Array) -> Array:
        """View a caller's state as (L*D, B, H)."""
        return state if self.batched else state[:, None]

    def caller_state(self, states: tuple[Array, ...]) -> State:
        """Give states (L*D, B, H) the caller's form."""
        if not self.batched:
            states = tuple([state[:, 0] for state in states])
        return states if len(states) > 1 else states[0]

    def caller_states(self, states: tuple[Array, ...]) -> State:
        """Give states over time (T, L*D, B, H) the caller's form."""
        if not self.batched:
            states = tuple([state[:, :, 0] for state in states])
        return states if len(states) > 1 else states[0]


_TIME_FIRST, _BATCH_FIRST = Layout(), Layout(batch_first=True)
_UNBATCHED = Layout(batched=False)


class ArgumentChecks:
    """Checks the arguments of a layer's calls.

    Parameters
    ----------
    layer : what the layer is.
    learned : initial states that are parameters; None where there are none.

    Attributes
    ----------
    dtype : of every floating-point array.
    passes : L*D.
    state_sizes : how many numbers each state has, h first.
    state_names : of the cell's states.
    layout : of batched sequences.
    """

    def __init__(self, layer: LayerSpec, learned: LearnedStates | None = None) -> None:
        info, sizes = layer.info, layer.sizes
        self._cell, self._takes_attention = info.name, info.step_inputs > 0
        self.dtype, self._input_size = layer.dtype, sizes.input_size
        self._learned = learned
        self.passes = sizes.num_layers * sizes.num_directions
        self.state_names, self.state_sizes = layer.state_names, sizes.state_sizes(info.states)
        self._letters = (sizes.h_letter, *"H" * (info.states - 1))
        self.layout = _BATCH_FIRST if layer.batch_first else _TIME_FIRST
        self._zeros: tuple[int, tuple[Array, ...]] = (-1, ())

    def check(
        self,
        x: object,
        state: object,
        lengths: object,
        mask: object,
        reset: object,
        masked_output: str,
        num_threads: int | None,
        reset_state: object = None,
        attention: object = None,
    ) -> tuple[CheckedCall, Layout]:
        """Check the arguments of a call and bring them into engine form."""
        sequence, layout = self._sequence(x)
        steps, batch = sequence.shape[:2]
        letters, shape = layout.shape("T", "B"), layout.shape(steps, batch)
        numbers = self.attention(attention, letters, shape)
        if numbers is not None:
            numbers = dense(layout.time_first(numbers))
        if state is not None:
            states = self.states("state", state, batch, layout)
        else:
            states = self.zeros(batch) if self._learned is None else self._learned.states(batch)
        reset_states = None
        if reset is not None:
            reset_states = self.reset_states("reset_state", reset_state, batch, layout)
        elif reset_state is not None:
            raise ValueError("reset_state: expected reset= with it, got None")
        if not isinstance(masked_output, str) or masked_output not in ("zero", "hold"):
            check_choice("masked_output", masked_output, ("zero", "hold"))
        threads = 0
        if num_threads is not None:
            threads = min(as_positive("num_threads", num_threads), MOST_THREADS)
        if lengths is None and mask is None and reset is None:
            return CheckedCall(sequence, states, num_threads=threads, attention=numbers), layout
        rows = batch if layout.batched else None
        run = CheckedCall(
            sequence,
            states,
            None if lengths is None else as_lengths(lengths, steps, rows),
            self._flags("mask", mask, steps, batch, layout),
            self._flags("reset", reset, steps, batch, layout),
            masked_output == "hold",
            num_threads=threads,
            reset_states=reset_states,
            attention=numbers,
        )
        return run, layout

    def attention(
        self, value: object, letters: tuple[str, ...], shape: tuple[int, ...]
    ) -> Array | None:
        """Return the attention as the caller lays them out; None if the cell has none."""
        if not self._takes_attention:
            if value is not None:
                raise ValueError(
                    f"attention: expected None, as {self._cell} takes no attention, "
                    f"got {type(value).__name__}"
                )
            return None
        if value is None:
            text = f"({', '.join(letters)}{',' if len(letters) == 1 else ''}) = {shape}"
            raise ValueError(
                f"attention: expected shape {text}, a number for every step and row of x, got None"
            )
        array = as_array("attention", value, self.dtype)
        check_shape("attention", array, letters, shape)
        return array

    def reset_states(
        self, argument: str, value: object, batch: int, layout: Layout
    ) -> tuple[Array, ...] | None:
        """Return what resets go to; None where that is the state of the call.

        By default it is what a call without state begins with: a state that is handed in belongs
        to the episode that ends.
        """
        if value is None:
            return self.zeros(batch) if self._learned is None else self._learned.states(batch)
        if not isinstance(value, str):
            return self.states(argument, value, batch, layout)
        check_choice(argument, value, ("zero", "learned", "given"))
        if value == "zero":
            return self.zeros(batch)
        if value == "given":
            return None
        if self._learned is None:
            raise ValueError(
                f"{argument}: expected a layer with learn_initial_state=True for 'learned', "
                "got one without"
            )
        return self._learned.states(batch)

    def _sequence(self, x: object) -> tuple[Array, Layout]:
        """Check `x` and view it as (T, B, I)."""
        array = as_array("x", x, self.dtype)
        layout = self.layout if array.ndim != 2 else _UNBATCHED
        if array.ndim not in (2, 3) or array.shape[-1] != self._input_size:
            letters = ", ".join(self.layout.shape("T", "B", str(self._input_size)))
            raise ValueError(
                f"x: expected shape ({letters}) or unbatched (T, {self._input_size}), "
                f"got {array.shape}"
            )
        return layout.time_first(readable(array)), layout

    def zeros(self, batch: int) -> tuple[Array, ...]:
        """Return zero states (L*D, B, H): read-only, and kept for the next call of this size."""
        known, states = self._zeros
        if known != batch:
            zeros = {
                n: np.zeros((self.passes, batch, n), self.dtype) for n in set(self.state_sizes)
            }
            for zero in zeros.values():
                zero.flags.writeable = False
            states = tuple([zeros[size] for size in self.state_sizes])
            self._zeros = (batch, states)
        return states

    def states(
        self, argument: str, value: object, batch: int, layout: Layout, *, optional: bool = False
    ) -> tuple[Array, ...]:
        """Check states in the caller's form and return S dense arrays (L*D, B, H).

        With `optional`, members of a tuple may be None, which stands for zeros.
        """
        names = self.state_names
        if len(names) == 1:
            if isinstance(value, tuple):
                raise TypeError(
                    f"{argument}: expected one array {names[0]}, got a tuple of {len(value)}"
                )
            return (self._state(argument, 0, value, batch, layout),)
        if not isinstance(value, (tuple, list)) or len(value) != len(names):
            found = type(value).__name__
            found += f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
            raise TypeError(f"{argument}: expected a tuple ({', '.join(names)}), got {found}")
        return tuple(
            self.zeros(batch)[index]
            if optional and member is None
            else self._state(f"{argument}[{index}]", index, member, batch, layout)
            for index, member in enumerate(value)
        )

    def any_states(self, argument: str, value: object) -> tuple[tuple[Array, ...], Layout]:
        """Check states of any batch size; return S dense arrays (L*D, B, H) and their layout."""
        first = value[0] if isinstance(value, (tuple, list)) and value else value
        shape = np.shape(as_array(argument, first, self.dtype))
        layout = _UNBATCHED if len(shape) == 2 else self.layout
        return self.states(argument, value, shape[1] if len(shape) == 3 else 1, layout), layout

    def _state(self, name: str, index: int, value: object, batch: int, layout: Layout) -> Array:
        """Check the state of an index and return it as a dense (L*D, B, H)."""
        array = as_array(name, value, self.dtype)
        letters = layout.state_shape("L*D", "B", self._letters[index])
        shape = layout.state_shape(self.passes, batch, self.state_sizes[index])
        check_shape(name, array, letters, shape)
        return dense(layout.layered(array))

    @staticmethod
    def _flags(name: str, value: object, steps: int, batch: int, layout: Layout) -> Array | None:
        """Check `mask` or `reset` and return it as a dense (T, B)."""
        if value is None:
            return None
        array = as_flags(name, value, layout.shape("T", "B"), layout.shape(steps, batch))
        return dense(layout.time_first(array))

    def out(self, out: object, run: CheckedCall, layout: Layout, values: Values) -> Array:
        """Check the caller's `out`, (T, B, ...) in the caller's layout."""
        steps, batch = run.x.shape[:2]
        inputs = [("x", run.x), *(("state", state) for state in run.states)]
        inputs += [("reset_state", state) for state in run.reset_states or ()]
        inputs += [] if run.attention is None else [("attention", run.attention)]
        letters = layout.shape("T", "B", *values.letters)
        shape = layout.shape(steps, batch, *values.shape)
        return check_out(out, self.dtype, letters, shape, inputs)
