"""A long call, checked as a whole, and the arguments of its chunks.

Each part of a network that has a state contributes the state that the sequence begins with and
what its resets go to; what happens when is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.engine.protocol import CheckedCall
from simdrnn.layers.arguments import Layout
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.stack.call import StackCall
from simdrnn.training.recurrent_parts import RecurrentPart
from simdrnn.validate import Array, as_array

__all__ = ["LongCall", "PartCall", "each_state"]


@dataclass(frozen=True, slots=True, eq=False)
class PartCall:
    """What a part of a network is given for a whole sequence.

    Attributes
    ----------
    run, layout : when things happen, and how the caller lays out time and batch.
    begin : the state that the sequence begins with, in the part's form.
    goal : what resets go to, as `record` takes it.
    learned : for each layer, whether it begins with what it has learned.
    goes_back : whether resets go back to `begin`; of a stack, a tuple with one for each layer.
    """

    run: CheckedCall
    layout: Layout
    begin: Any
    goal: Any
    learned: tuple[bool, ...]
    goes_back: Any

    @classmethod
    def check(
        cls, part: RecurrentPart, x: object, state: object, reset_state: object, call: Any
    ) -> PartCall:
        """Check the arguments of a call of a part; `call` are those that all parts share."""
        if isinstance(part, RecurrentLayer):
            return cls._of_layer(part, x, state, reset_state, call)
        return cls._of_stack(part, x, state, reset_state, call)

    @classmethod
    def _of_layer(
        cls, layer: RecurrentLayer, x: object, state: object, reset_state: object, call: Any
    ) -> PartCall:
        """Check the arguments of a layer."""
        run, layout = bound_layer(layer).checks.check(x, state, reset_state=reset_state, **call)
        begin, goal = layout.caller_state(run.states), reset_state
        goes_back = _is_given(goal)
        if goes_back:
            goal = begin
        elif run.reset_states is not None and not (goal is None or isinstance(goal, str)):
            goal = layout.caller_state(run.reset_states)
        learned = layer.structure.learn_initial_state and state is None
        return cls(run, layout, begin, goal, (learned,), goes_back)

    @classmethod
    def _of_stack(
        cls, stack: Any, x: object, state: object, reset_state: object, call: Any
    ) -> PartCall:
        """Check the arguments of a stack."""
        if call["attention"] is not None:
            found = type(call["attention"]).__name__
            raise ValueError(
                f"attention: expected None, as a stack takes no attention, got {found}"
            )
        bounds = [bound_layer(layer) for layer in stack.layers]
        shared = {name: value for name, value in call.items() if name != "attention"}
        whole = StackCall.check(bounds, x, state, reset_state, **shared)
        batch, begin, learned = whole.run.x.shape[1], [], []
        for bound, own in zip(bounds, whole.states, strict=True):
            learned.append(bound.learned is not None and own is None)
            if own is None:  # the states that a reset goes to by itself
                states = bound.checks.reset_states("state", None, batch, whole.layout)
                own = None if states is None else whole.layout.caller_state(states)
            begin.append(own)
        goes_back = tuple(map(_is_given, whole.reset_states))
        goals = [
            own if back else goal
            for own, goal, back in zip(begin, whole.reset_states, goes_back, strict=True)
        ]
        goal = None if whole.run.reset is None else tuple(goals)
        return cls(whole.run, whole.layout, tuple(begin), goal, tuple(learned), goes_back)


def _is_given(goal: object) -> bool:
    """Tell whether resets go to the state of the call."""
    return isinstance(goal, str) and goal == "given"


@dataclass(frozen=True, slots=True, eq=False)
class LongCall:
    """A call of a network on a whole sequence.

    Attributes
    ----------
    x : as the caller lays it out.
    run, layout, begin, goal, learned, goes_back : as of `PartCall`; for all parts together.
    kept : what else ``record`` is given: ``training``, ``checkpoint_every``.
    """

    x: Array
    run: CheckedCall
    layout: Layout
    begin: Any
    goal: Any
    learned: tuple[bool, ...]
    goes_back: Any
    kept: dict[str, Any]

    @classmethod
    def of_part(
        cls,
        part: RecurrentPart,
        x: object,
        state: object,
        reset_state: object,
        call: Any,
        kept: Any,
    ) -> LongCall:
        """Check a call of a layer or stack."""
        own = PartCall.check(part, x, state, reset_state, call)
        sequence = own.layout.caller(own.run.x)
        return cls(
            sequence, own.run, own.layout, own.begin, own.goal, own.learned, own.goes_back, kept
        )

    @classmethod
    def of_parts(
        cls,
        parts: Mapping[str, RecurrentPart],
        x: object,
        state: object,
        reset_state: object,
        call: Any,
        kept: Any,
    ) -> LongCall:
        """Check a call of a network of parts; what each is given has the times and rows of `x`."""
        sequence, around = _sequence(x)
        states, goals = _by_part("state", state, parts), _by_part("reset_state", reset_state, parts)
        checked = []
        for name, part in parts.items():
            size, dtype = part.input_size, part.dtype
            stand_in = np.broadcast_to(np.zeros(size, dtype), (*around, size))
            own = call if _takes_attention(part) else call | {"attention": None}
            checked.append(PartCall.check(part, stand_in, states[name], goals[name], own))
        # Attention is cut with the rest, by who takes it.
        first = next((own for own in checked if own.run.attention is not None), checked[0])
        return cls(
            sequence, first.run, first.layout,
            _together([own.begin for own in checked]),
            None if first.run.reset is None else _together([own.goal for own in checked]),
            tuple(flag for own in checked for flag in own.learned),
            _together([own.goes_back for own in checked]), kept,
        )  # fmt: skip

    @property
    def uses(self) -> list[tuple[bool, bool]]:
        """Tell of each layer whether it begins with what it learned, and goes back to that."""
        return list(zip(self.learned, _flat(self.goes_back), strict=True))

    def chunk(self, start: int, stop: int) -> tuple[Array, dict[str, Any]]:
        """Return x of steps `start` to `stop`, and the arguments of ``record`` beside it."""
        form, layout = self.layout.caller, self.layout
        run = _cut(self.run, start, stop)
        times = slice(start, stop)
        behind = layout.batched and layout.batch_first
        x = self.x[:, times] if behind else self.x[times]
        call: dict[str, Any] = dict(self.kept)
        if run.lengths is not None:
            call["lengths"] = run.lengths if layout.batched else run.lengths[0]
        if run.mask is not None:
            call["mask"] = form(run.mask)
        if run.reset is not None:
            call["reset"], call["reset_state"] = form(run.reset), self.goal
        if run.attention is not None:
            call["attention"] = form(run.attention)
        if run.hold:
            call["masked_output"] = "hold"
        if run.num_threads:
            call["num_threads"] = run.num_threads
        return x, call


def _cut(run: CheckedCall, start: int, stop: int) -> CheckedCall:
    """Return steps `start` to `stop` of a run."""
    lengths = None if run.lengths is None else np.clip(run.lengths - start, 0, stop - start)
    mask = None if run.mask is None else run.mask[start:stop]
    reset = None if run.reset is None else run.reset[start:stop]
    attention = None if run.attention is None else run.attention[start:stop]
    return run._replace(
        x=run.x[start:stop], lengths=lengths, mask=mask, reset=reset, attention=attention
    )


def _takes_attention(part: RecurrentPart) -> bool:
    """Tell whether a part is a layer that is given numbers beside x."""
    return isinstance(part, RecurrentLayer) and bound_layer(part).info.step_inputs > 0


def _sequence(x: object) -> tuple[Array, tuple[int, ...]]:
    """Return `x` as an array, and the sizes of its axes of time and batch."""
    array = np.asanyarray(x)  # "any" keeps a masked array masked, for as_array to refuse
    array = as_array("x", array, array.dtype)
    integers = array.dtype.kind in "iu"
    around = array.shape if integers else array.shape[:-1]
    if len(around) not in (1, 2):
        wanted = "integers (T, B) or (T,)" if integers else "shape (T, B, I) or unbatched (T, I)"
        raise ValueError(f"x: expected {wanted}, got {array.shape}")
    return array, around


def _by_part(argument: str, value: Any, parts: Mapping[str, object]) -> dict[str, Any]:
    """Return what each part is given of a network's state."""
    if value is None or isinstance(value, str) or len(parts) == 1:
        return dict.fromkeys(parts, value)
    if not isinstance(value, (tuple, list)) or len(value) != len(parts):
        found = type(value).__name__
        found += f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
        wanted = f"a tuple of {len(parts)}, one for each of {', '.join(parts)}"
        raise TypeError(f"{argument}: expected {wanted}, got {found}")
    return dict(zip(parts, value, strict=True))


def _together(values: Sequence[Any]) -> Any:
    """Give states of all parts the network's form."""
    return values[0] if len(values) == 1 else tuple(values)


def _flat(flags: Any) -> Iterator[bool]:
    """Yield the flags of all layers."""
    if isinstance(flags, bool):
        yield flags
    else:
        for own in flags:
            yield from _flat(own)


def each_state(function: Callable[..., Any], *states: Any) -> Any:
    """Apply a function to every array of states of one form; None stays None."""
    first = states[0]
    if first is None:
        return None
    if isinstance(first, tuple):
        return tuple(each_state(function, *members) for members in zip(*states, strict=True))
    return function(*states)
