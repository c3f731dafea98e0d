"""One recurrent network on the compiled engine that takes its weights as Keras keeps them.

Nothing here knows of Keras or its backends: arrays come in and go out as NumPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simdrnn.engine.compiled import Network
from simdrnn.engine.kept_arrays import empty
from simdrnn.engine.packing import ComparedArrays
from simdrnn.engine.protocol import CheckedCall, GradientArrays, PackedNetwork, TapeArrays
from simdrnn.keras.weights import KerasLayout
from simdrnn.spec.cell import compiled_cells
from simdrnn.spec.options import Options
from simdrnn.validate import Array, dense, readable

__all__ = ["Call", "Kernel", "Settings"]


class Settings(NamedTuple):
    """What a network is made for.

    Parameters
    ----------
    cell : the engine's name for it.
    dtype : ``"float32"`` or ``"float64"``.
    input_size, units : I, H.
    bias : whether there are biases.
    activations : options of the cell and their values, in pairs.
    """

    cell: str
    dtype: str
    input_size: int
    units: int
    bias: bool
    activations: tuple[tuple[str, Any], ...] = ()


class Call(NamedTuple):
    """How a call goes, apart from its arrays; hashable, as compilers want it.

    Parameters
    ----------
    kernel : the network.
    reverse : whether steps are taken from the last to the first, and outputs come in that order.
    hold : whether a masked step puts out the state that it carries instead of 0.
    sequences : whether the output of every step is asked for.
    num_threads : at most so many; 0 leaves the number to the engine.
    """

    kernel: Kernel
    reverse: bool
    hold: bool
    sequences: bool
    num_threads: int = 0


class Kernel:
    """A network of one layer and direction, ready for any weights of its shapes.

    Weights are handed to the engine when they differ from those that it has. Sequences are
    (B, T, ...) and states (B, H), as Keras has them, except for what is kept for `backward`.

    Parameters
    ----------
    settings : what the network is made for.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._info = compiled_cells()[settings.cell]
        self._dtype = np.dtype(settings.dtype)
        self._layout = KerasLayout.of(settings.cell, settings.bias)
        options = Options.parse(self._info, dict(settings.activations))
        self._network = Network(
            settings.cell, self._dtype, settings.input_size, settings.units, 1, 1, options
        )
        # The weights of the last call, and the network with them: replaced together.
        self._held: tuple[ComparedArrays, PackedNetwork] | None = None

    def __reduce__(self) -> tuple[type[Kernel], tuple[Settings]]:
        """Copy and pickle what it is made for; weights come with the next call."""
        return Kernel, (self.settings,)

    @property
    def saved_size(self) -> int:
        """Values that a step of one row keeps for `backward` beside its output."""
        return self._info.saved * self.settings.units

    def forward(
        self, call: Call, x: Array, mask: Array | None, weights: Sequence[Array],
        states: Sequence[Array],
    ) -> tuple[Array, tuple[Array, ...]]:  # fmt: skip
        """Run the network.

        Parameters
        ----------
        call : how.
        x : (B, T, I).
        mask : (B, T) bool, True where a step is real, or None.
        weights : kernel (I, G*H), recurrent kernel (H, G*H), and the bias if there is one.
        states : arrays (B, H).

        Returns
        -------
        output : (T, B, H), in the order in which steps are taken.
        states : arrays (B, H) after the last step.
        """
        return self._forward(call, x, mask, weights, states, None)

    def record(
        self, call: Call, x: Array, mask: Array | None, weights: Sequence[Array],
        states: Sequence[Array],
    ) -> tuple[Array, tuple[Array, ...], Array]:  # fmt: skip
        """Do as `forward` does and return a third: (T, B, `saved_size`), for `backward`."""
        saved = empty((x.shape[1], x.shape[0], self.saved_size), self._dtype)
        return *self._forward(call, x, mask, weights, states, saved), saved

    def _forward(
        self, call: Call, x: Array, mask: Array | None, weights: Sequence[Array],
        states: Sequence[Array], saved: Array | None,
    ) -> tuple[Array, tuple[Array, ...]]:  # fmt: skip
        """Run the network, and fill `saved` if it is there."""
        run = _run(call, x, mask, states)
        output = empty((*run.x.shape[:2], self.settings.units), self._dtype)
        final = tuple([np.empty_like(state) for state in run.states])
        tape = None if saved is None else TapeArrays([saved], [output])
        self._holding(weights, recorded=tape is not None).forward(run, output, final, tape=tape)
        return output, tuple([state[0] for state in final])

    def backward(
        self, call: Call, x: Array, mask: Array | None, weights: Sequence[Array],
        states: Sequence[Array], output: Array, saved: Array, d_output: Array | None,
        d_states: Sequence[Array | None],
    ) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:  # fmt: skip
        """Propagate gradients back through a recorded call.

        Parameters
        ----------
        call, x, mask, weights, states : of the call.
        output, saved : what `record` returned; not changed.
        d_output : (B, T, H), or None for zeros.
        d_states : (B, H) for each state after the last step, or None for zeros.

        Returns
        -------
        Gradients for `x`, the weights and the states, of their shapes.
        """
        run = _run(call, x, mask, states)
        steps, batch = run.x.shape[:2]
        units = self.settings.units
        if d_output is None:  # a broadcast row of zeros: nothing to allocate
            d_sequence = np.broadcast_to(np.zeros(units, self._dtype), (steps, batch, units))
        else:
            d_sequence = readable(d_output).swapaxes(0, 1)
        d_final = [
            np.zeros((1, batch, units), self._dtype) if d is None else dense(d[None])
            for d in d_states
        ]
        d_x = empty((batch, steps, self.settings.input_size), self._dtype)
        d_initial = tuple([np.empty_like(state) for state in run.states])
        d_rows = self._layout.rows_like(self.settings.input_size, units, self._dtype)
        self._holding(weights, recorded=True).backward(
            run, TapeArrays([saved], [output]), d_sequence, d_final,
            GradientArrays(_time_first(call, d_x), d_initial, [d_rows]),
        )  # fmt: skip
        return d_x, self._layout.gradients(d_rows), tuple([d[0] for d in d_initial])

    def _holding(self, weights: Sequence[Array], *, recorded: bool) -> PackedNetwork:
        """Return the network with these weights; `recorded`: whether backward will follow."""
        held, isa = self._held, self._network.token()
        if held is not None and held[1].made_for == isa and held[0].same(weights):
            return held[1]
        del held
        self._held = None  # its memory is free if no call has it
        values = ComparedArrays(weights)
        packed = self._network.pack([self._layout.rows(values.copies)], isa, recorded)
        packed.made_for = isa
        self._held = values, packed
        return packed


def _time_first(call: Call, sequence: Array) -> Array:
    """View a (B, T, ...) sequence as the engine takes it."""
    view = sequence.swapaxes(0, 1)
    return view[::-1] if call.reverse else view


def _run(call: Call, x: Array, mask: Array | None, states: Sequence[Array]) -> CheckedCall:
    """Bring the arrays of a call into engine form."""
    real = None
    if mask is not None and not mask.all():
        real = np.ascontiguousarray(_time_first(call, mask))
    return CheckedCall(
        _time_first(call, readable(x)),
        tuple([dense(state[None]) for state in states]),
        mask=real,
        hold=call.hold,
        num_threads=call.num_threads,
    )
