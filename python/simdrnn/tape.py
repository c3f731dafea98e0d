"""A recorded run of a layer, from which gradients are propagated back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simdrnn.call import Layout
from simdrnn.gradients import Gradients
from simdrnn.run import Run, TapeArrays
from simdrnn.validate import Array, as_array, check_shape, readable

if TYPE_CHECKING:
    from simdrnn.layer import RecurrentLayer

__all__ = ["Tape"]


class Tape:
    """One recorded run of a layer; made by ``layer.record``.

    Attributes
    ----------
    output : (T, B, D*H) laid out like ``x``; read-only, because `backward` reads it.
    state : final state, in the form of the layer's state.
    checkpoint_every : steps between checkpoints; None where everything is kept.
    nbytes : bytes the tape keeps for `backward`: the output of every layer, the last of which is
        ``output``, and either what each step saves or checkpoints.
    peak_nbytes : `nbytes` and the most working memory that `backward` may take, with the threads
        that are allowed now. Arguments, parameters and the gradients are not counted.

    Examples
    --------
    >>> import numpy as np
    >>> from simdrnn import reference
    >>> gru = reference.GRU(3, 4, seed=0)
    >>> tape = gru.record(np.ones((5, 2, 3)))
    >>> grads = tape.backward(d_output=np.ones((5, 2, 4)))
    >>> grads.x.shape, grads.state.shape, grads.params["weight_hh_l0"].shape
    ((5, 2, 3), (1, 2, 4), (12, 4))
    """

    __slots__ = ("_arrays", "_layer", "_layout", "_run", "_version", "output", "state")

    def __init__(
        self,
        layer: RecurrentLayer,
        run: Run,
        layout: Layout,
        arrays: TapeArrays,
        output: Array,
        final: tuple[Array, ...],
    ) -> None:
        self._layer, self._run, self._layout, self._arrays = layer, run, layout, arrays
        self._version = layer._version
        output.flags.writeable = False
        self.output = layout.caller(output.view())  # a view's flag cannot be set again
        self.state = layout.caller_state(final)

    @property
    def checkpoint_every(self) -> int | None:
        """Steps between checkpoints."""
        return self._arrays.checkpoint_every or None

    @property
    def nbytes(self) -> int:
        """Bytes kept for `backward`."""
        return self._arrays.nbytes()

    @property
    def peak_nbytes(self) -> int:
        """Bytes kept and the most working memory of `backward`."""
        engine = self._layer._engine
        return self.nbytes + engine.backward_peak(self._run, self._arrays.checkpoint_every)

    def backward(self, d_output: object = None, d_state: object = None) -> Gradients:
        """Propagate gradients back through the recorded run. May be called again.

        Parameters
        ----------
        d_output : dL/d(output), of the shape of ``output``; None is zero.
        d_state : dL/d(state), in the form of ``state``; None is zero, also inside the tuple.

        Returns
        -------
        Gradients: with respect to ``x``, the initial state and every parameter.

        Raises
        ------
        ValueError : the layer's parameters changed after it was recorded.
        """
        return self._backward(d_output, d_state)

    def _backward(
        self, d_output: object, d_state: object, trace: Sequence[Array] | None = None
    ) -> Gradients:
        """Do what `backward` says; `trace` is for the engine."""
        layer, run = self._layer, self._run
        if layer._version != self._version:
            raise ValueError(
                "backward: expected the parameters that were recorded, "
                "got parameters changed since; record again"
            )
        d_sequence = self._d_output(d_output)
        d_final = self._d_final(d_state)
        d_x = np.empty(run.x.shape, layer.dtype)
        d_initial = tuple(np.empty(state.shape, layer.dtype) for state in run.states)
        params = layer._gradient_arrays()
        d_parameters = [layer._direction(params, index) for index in range(len(layer._groups))]
        layer._ready().backward(
            run, self._arrays, d_sequence, d_final, d_x, d_initial, d_parameters, trace=trace
        )
        return Gradients(
            self._layout.caller(d_x), self._layout.caller_state(d_initial), layer._shared(params)
        )

    def _d_output(self, value: object) -> Array:
        """Check `d_output` and view it as (T, B, D*H)."""
        layer, layout = self._layer, self._layout
        steps, batch = self._run.x.shape[:2]
        if value is None:  # a broadcast row of zeros: nothing to allocate
            zero = np.zeros(layer._width, layer.dtype)
            return np.broadcast_to(zero, (steps, batch, layer._width))
        array = as_array("d_output", value, layer.dtype)
        check_shape("d_output", array, layout.shape("T", "B", "D*H"), self.output.shape)
        return layout.time_first(readable(array))

    def _d_final(self, value: object) -> tuple[Array, ...]:
        """Check `d_state` and return S dense arrays (L*D, B, H)."""
        batch, spec = self._run.x.shape[1], self._layer._call
        if value is None:
            return spec.zeros(batch)
        return spec.states("d_state", value, batch, self._layout, optional=True)
