"""What a recorded call of a layer keeps, and the way back through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simdrnn.engine.kept_arrays import empty
from simdrnn.engine.protocol import (
    CheckedCall,
    GradientArrays,
    PackedNetwork,
    State,
    TapeArrays,
)
from simdrnn.layers.arguments import Layout
from simdrnn.layers.bound import BoundLayer
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parameters import Parameters, this_thread
from simdrnn.layers.states import all_states, last_output, last_output_backward
from simdrnn.validate import Array, as_array, check_shape, readable

if TYPE_CHECKING:
    from simdrnn.engine.borrowed import Borrowed
    from simdrnn.layers.weight_noise import ChangedWeights

__all__ = ["Recording", "Seen", "Uses", "check_same", "check_unchanged", "copied", "watched"]


_CHANGED = (
    "backward: expected the parameters that were recorded, "
    "got parameters changed since; record again"
)


def check_unchanged(parameters: Parameters, thread: object, since: int | None) -> None:
    """Raise if the thread of a tape has changed the parameters since the version that it is of.

    It is then out of order in its own loop. What other threads do is no affair of a tape, which
    goes back through the version that it has.
    """
    if parameters.version != since and parameters.changed_by(thread, since):
        raise ValueError(_CHANGED)


class Uses(NamedTuple):
    """Where the states that a call began with, and went back to, came from."""

    learned_initial: bool = False
    learned_reset: bool = False
    given_reset: bool = False

    @classmethod
    def of(cls, learned: bool, state: object, reset_state: object) -> Uses:
        """Tell from the arguments of a call, and whether the layer has learned states."""
        named = reset_state is None or isinstance(reset_state, str)
        to_learned = reset_state is None or (named and reset_state == "learned")
        return cls(learned and state is None, learned and to_learned, not named)


def copied(run: CheckedCall) -> CheckedCall:
    """Return the same call on copies of everything that may be the caller's."""

    def each(states: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple([state.copy() for state in states])

    def one(array: Array | None) -> Array | None:
        return None if array is None else array.copy(order="C")

    return run._replace(
        x=run.x.copy(order="C"),
        states=each(run.states),
        mask=one(run.mask),
        reset=one(run.reset),
        reset_states=None if run.reset_states is None else each(run.reset_states),
        attention=one(run.attention),
    )


def _borrowed(bound: BoundLayer, run: CheckedCall, uses: Uses) -> Borrowed:
    """Return which arrays of a call may be the caller's: lengths are copied, zeros are ours."""
    named = {"x": run.x}
    if run.mask is not None:
        named["mask"] = run.mask
    if run.reset is not None:
        named["reset"] = run.reset
    if run.attention is not None:
        named["attention"] = run.attention
    if not uses.learned_initial and run.states is not bound.checks.zeros(run.x.shape[1]):
        named |= _named("state", run.states)
    if uses.given_reset and run.reset_states is not None:
        named |= _named("reset_state", run.reset_states)
    return _borrowed_class()(named, run.num_threads)


@cache
def _borrowed_class() -> type[Borrowed]:
    """Import what only recorded calls need; once, as an import costs as much as a small call."""
    from simdrnn.engine.borrowed import Borrowed

    return Borrowed


def _named(argument: str, states: tuple[Array, ...]) -> dict[str, Array]:
    """Name states as messages do."""
    if len(states) == 1:
        return {argument: states[0]}
    return {f"{argument}[{index}]": state for index, state in enumerate(states)}


class Seen(NamedTuple):
    """What one way back through a recording was given, and what it found.

    Attributes
    ----------
    d_output, d_final : of the sequence that the layer puts out, and of its final states.
    traces : what back-propagation carried, by pass: (T, B, (S + 1) * H).
    grads : what came of it.
    """

    d_output: Array
    d_final: tuple[Array, ...]
    traces: list[Array]
    grads: Gradients


# By the id of a recording, for who looks on in this thread.
_SEEN: ContextVar[dict[int, Seen] | None] = ContextVar("_SEEN", default=None)


@contextmanager
def watched() -> Iterator[dict[int, Seen]]:
    """Look on while this thread goes back through tapes, be they in stacks, models or chunks.

    Yields
    ------
    id of each recording that was gone back through -> `Seen`, of the last time.
    """
    seen: dict[int, Seen] = {}
    token = _SEEN.set(seen)
    try:
        yield seen
    finally:
        _SEEN.reset(token)


def check_same(version: int | None, recorded: int | None) -> None:
    """Raise unless a copy of a tape meets the parameters that it was recorded with."""
    if version != recorded:
        raise ValueError(_CHANGED)


class Recording:
    """One recorded call of a layer, for what works with tapes; people see a `Tape` of it.

    Attributes
    ----------
    bound : the layer.
    run, layout : the call, in engine form, and how the caller's arrays are laid out.
    arrays : what the engine saved.
    output, final : what the call put out, (T, B, ...), and its final states, S arrays (L*D, B, H).
    uses : where initial states came from.
    version : of the parameters, that the call began with.
    packed : these, or what was made of them at random; None on a copy, until it is asked for.
    thread : which recorded it.
    changed : weights that the call changed at random; None where it changed none.
    borrowed : arrays that may be the caller's; None where the call is on copies.
    """

    __slots__ = (
        "arrays", "borrowed", "bound", "changed", "final", "layout", "output", "packed", "run",
        "thread", "uses", "version",
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
        packed: PackedNetwork,
        changed: ChangedWeights | None = None,
        *,
        copies: bool = False,
    ) -> None:
        self.bound, self.run, self.layout, self.arrays = bound, run, layout, arrays
        self.output, self.final, self.uses = output, final, uses
        self.packed: PackedNetwork | None = packed
        version = packed.version if changed is None else changed.version
        self.version, self.thread, self.changed = version, this_thread(), changed
        self.borrowed = None if copies else _borrowed(bound, run, uses)
        for array in (output, *final):  # they are read again
            array.setflags(write=False)

    @property
    def used(self) -> BoundLayer:
        """What holds the weights that were used: the layer, or a copy with changed ones.

        Not for going back: then others may have changed the layer's.
        """
        if self.changed is not None:
            return self.changed.bound
        check_same(self.bound.parameters.version, self.version)
        return self.bound

    def network(self) -> PackedNetwork:
        """Return what the call ran on, unless its own thread has changed the parameters since."""
        parameters = self.bound.parameters
        check_unchanged(parameters, self.thread, self.version)
        if self.packed is None:  # a copy of a tape, or one that was pickled
            with parameters.hold():
                self.packed = self.used.ready(True)
        return self.packed

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle all but what is packed; the copy is the thread's that has it."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "packed"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was copied or pickled."""
        for name, value in state.items():
            setattr(self, name, value)
        self.packed = None

    def check_arguments(self) -> None:
        """Raise if an argument of the call has changed since: it is read again."""
        if self.borrowed is not None:
            self.borrowed.check("record a copy, or with copy=True")

    def states_over_time(self) -> State:
        """Return every state over time, in the caller's form; fresh arrays."""
        self.check_arguments()
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
        packed = self.network()
        self.check_arguments()
        d_sequence = self.d_output(d_output)
        d_final = self.d_final(d_state)
        if d_last_output is not None:
            d_sequence, d_final = self._with_last(d_last_output, d_sequence, d_final)
        seen = _SEEN.get()
        if seen is not None and trace is None:
            trace = self._empty_traces()
        d_reset = None
        if run.reset_states is not None:
            d_reset = tuple(np.empty(state.shape, dtype) for state in run.reset_states)
        d_x = empty(run.x.shape, dtype)
        d_attention = None if run.attention is None else np.empty(run.attention.shape, dtype)
        d_initial = tuple(np.empty(state.shape, dtype) for state in run.states)
        params, d_parameters = bound.passes.gradient_arrays()
        packed.backward(
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
        grads = Gradients(
            self.layout.caller(d_x), form(d_initial), bound.passes.as_parameters(params),
            reset_state=given,
            attention=None if d_attention is None else self.layout.caller(d_attention),
        )  # fmt: skip
        if seen is not None and trace is not None:
            seen[id(self)] = Seen(d_sequence, d_final, list(trace), grads)
        return grads

    def _empty_traces(self) -> list[Array]:
        """Return zeros for what back-propagation carries: by pass, (T, B, (S + 1) * H).

        Where h is projected, (T, B, P + (S - 1) * H + P).
        """
        sizes = self.bound.checks.state_sizes
        shape = (*self.run.x.shape[:2], sum(sizes) + sizes[0])
        return [np.zeros(shape, self.bound.dtype) for _ in range(len(self.bound.passes))]

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
