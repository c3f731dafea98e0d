"""A recorded run of a stack, from which gradients are propagated back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from simdrnn.engine.protocol import PackedNetwork
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parameters import this_thread
from simdrnn.layers.parametrised import Parametrised, parameters_of
from simdrnn.layers.recording import check_unchanged
from simdrnn.layers.tape import Tape, recording_of
from simdrnn.stack.call import StackCall, each
from simdrnn.stack.container import named
from simdrnn.stack.highway import arrays_of
from simdrnn.stack.levels import Levels
from simdrnn.validate import Array, as_array, check_shape

__all__ = ["StackTape"]


class StackTape:
    """One recorded run of a stack; made by ``stack.record``.

    Attributes
    ----------
    output : (T, B, F) laid out like ``x``; read-only.
    state : final states, a tuple with that of each layer.
    tapes : of the layers.
    checkpoint_every : steps between checkpoints; None where everything is kept.
    nbytes : bytes kept for `backward`: what the layers' tapes keep, and what goes in between.
    all_states : for each layer the states over time.
    last_output : the output at each row's last real step.
    """

    __slots__ = (
        "_call", "_kept", "_levels", "_members", "_thread", "_versions", "output", "state", "tapes",
    )  # fmt: skip

    def __init__(
        self,
        levels: Levels,
        members: Mapping[str, Parametrised],
        versions: Mapping[str, PackedNetwork],
        call: StackCall,
        output: Array,
        tapes: Sequence[Tape],
        kept: Sequence[Any],
    ) -> None:
        self._levels, self._members, self._call, self._kept = levels, members, call, kept
        self._versions = {prefix: one.version for prefix, one in versions.items()}
        self._thread = this_thread()
        output.flags.writeable = False
        self.output = output.view()  # a view's flag cannot be set again
        self.tapes = tuple(tapes)
        self.state = tuple(tape.state for tape in tapes)

    @property
    def checkpoint_every(self) -> int | None:
        """Steps between checkpoints; a layer that has nothing to make again keeps everything."""
        spacings = [tape.checkpoint_every for tape in self.tapes if tape.checkpoint_every]
        return max(spacings, default=None)

    @property
    def nbytes(self) -> int:
        """Bytes kept for `backward`."""
        between = [recording_of(tape).run.x for tape in self.tapes[1:]]
        for kept in self._kept:
            between += [] if kept is None else arrays_of(kept)
        counted = [self._call.run.x]  # an argument
        for tape in self.tapes:
            counted += recording_of(tape).arrays.hidden
        known = {id(_memory(array)) for array in counted}
        more = {id(_memory(array)): array.nbytes for array in between}
        beside = sum(size for memory, size in more.items() if memory not in known)
        return beside + sum(tape.nbytes for tape in self.tapes)

    @property
    def all_states(self) -> tuple[Any, ...]:
        """Every state of every layer over time; see `simdrnn.Tape.all_states`."""
        return tuple(tape.all_states for tape in self.tapes)

    @property
    def last_output(self) -> Array:
        """The output at each row's last real step of each direction: (B, F)."""
        skip = self._levels.skip
        self._levels.check_last()
        return skip.output([self.tapes[index].last_output for index in skip.shown()])

    def backward(
        self, d_output: object = None, d_state: object = None, d_last_output: object = None
    ) -> Gradients:
        """Propagate gradients back through the recorded run. May be called again.

        Parameters
        ----------
        d_output : dL/d(output), of the shape of ``output``; None is zero.
        d_state : dL/d(state), a tuple with that of each layer; None is zero, also inside.
        d_last_output : dL/d(last_output), of its shape; None is zero.

        Returns
        -------
        Gradients: ``params`` by the stack's names, ``state`` and ``reset_state`` as tuples with
        those of each layer.

        Raises
        ------
        ValueError : the thread that recorded it has changed the stack's parameters since.
        """
        levels, call, skip = self._levels, self._call, self._levels.skip
        for prefix, member in self._members.items():
            check_unchanged(parameters_of(member), self._thread, self._versions[prefix])
        d_joined = skip.output_backward(self._d_output(d_output))
        d_states, d_lasts = self._d_states(d_state), self._d_lasts(d_last_output)
        d_x: Array | None = None
        grads: list[Gradients] = []
        params: dict[str, Array] = {}
        d_below: Array | None = None
        for index in reversed(range(len(self.tapes))):
            d_own = _sum(d_joined[index], d_below)
            if d_own is None:
                d_own = call.zeros(levels.bounds[index].width, levels.dtype)
            d_direct, d_made, of_gate = skip.join_backward(index, self._kept[index], d_own)
            d_layer = self._as_made(index, d_made)
            grads.insert(0, self.tapes[index].backward(d_layer, d_states[index], d_lasts[index]))
            params |= of_gate
            d_x_of_layer = cast("Array", grads[0].x)  # a layer's input is never integers
            d_given = cast("Array", _sum(call.layout.time_first(d_x_of_layer), d_direct))
            if index == 0:
                d_x = _sum(d_given, d_x)
            else:
                d_skipped, d_below = skip.give_backward(d_given)
                d_x = _sum(d_skipped, d_x)
                dropped = call.multipliers(index - 1, d_below)
                d_below = d_below if dropped is None else d_below * dropped
        for index, own in enumerate(grads):
            params |= {f"{index}.{name}": value for name, value in own.params.items()}
        resets = tuple(own.reset_state for own in grads)
        return Gradients(
            call.layout.caller(cast("Array", d_x)),
            tuple(own.state for own in grads),  # type: ignore[misc]
            {name: params[name] for name, *_ in named(self._members)},
            reset_state=None if all(own is None for own in resets) else resets,  # type: ignore[arg-type]
        )

    def _as_made(self, index: int, d_made: Array) -> Array:
        """Give a gradient (T, B, F) the form of the output of layer `index`."""
        shaped = d_made.reshape(*d_made.shape[:2], *self._levels.bounds[index].values.shape)
        return self._call.layout.caller(shaped)

    def _d_output(self, value: object) -> Array:
        """Check `d_output` and view it as (T, B, F)."""
        levels, layout = self._levels, self._call.layout
        steps, batch = self._call.run.x.shape[:2]
        width = levels.skip.output_size()
        if value is None:
            return self._call.zeros(width, levels.dtype)
        array = as_array("d_output", value, levels.dtype)
        letters = layout.shape("T", "B", *levels.letters)
        check_shape("d_output", array, letters, self.output.shape)
        return layout.time_first(array).reshape(steps, batch, width)

    def _d_states(self, value: object) -> Sequence[Any]:
        """Check `d_state` for every layer."""
        bounds, layout = self._levels.bounds, self._call.layout
        batch = self._call.run.x.shape[1]
        states = each("d_state", value, len(bounds))
        for index, (bound, own) in enumerate(zip(bounds, states, strict=True)):
            if own is not None:
                bound.checks.states(f"d_state[{index}]", own, batch, layout, optional=True)
        return states

    def _d_lasts(self, value: object) -> Sequence[Array | None]:
        """Check `d_last_output` and cut it into what is each layer's."""
        levels, layout = self._levels, self._call.layout
        if value is None:
            return [None] * len(levels)
        levels.check_last()
        array = as_array("d_last_output", value, levels.dtype)
        letters = ("B", *levels.letters) if layout.batched else levels.letters
        check_shape("d_last_output", array, letters, self.last_output.shape)
        return levels.skip.output_backward(array)


def _memory(array: Array) -> Array:
    """Return the array whose memory an array is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _sum(left: Array | None, right: Array | None) -> Array | None:
    """Add gradients, of which None is zero."""
    if left is None or right is None:
        return right if left is None else left
    return np.add(left, right)
