"""A recorded run of a layer, from which gradients are propagated back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simdrnn.engine.protocol import Run, State, TapeArrays
from simdrnn.layers.arguments import Layout
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.last_output import last_output, last_output_backward
from simdrnn.layers.states_over_time import all_states
from simdrnn.layers.weight_noise import ChangedWeights
from simdrnn.validate import Array, as_array, check_shape, readable

if TYPE_CHECKING:
    from simdrnn.layers.recurrent import RecurrentLayer

__all__ = ["Tape", "Uses"]


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


class Tape:
    """One recorded run of a layer; made by ``layer.record``.

    Attributes
    ----------
    output : (T, B, D*H) laid out like ``x``; read-only, because `backward` reads it. With `merge`
        other than ``"concat"``, (T, B, H) or (T, B, 2, H).
    state : final state, in the form of the layer's state.
    checkpoint_every : steps between checkpoints; None where everything is kept.
    nbytes : bytes the tape keeps for `backward`: the output of every layer, the last of which is
        ``output``, and either what each step saves or checkpoints.
    peak_nbytes : `nbytes` and the most working memory that `backward` may take, with the threads
        that are allowed now. Arguments, parameters (also those changed by `weight_dropout` or
        `weight_noise`) and the gradients are not counted.
    all_states : the states over time.
    last_output : the output at each row's last real step.

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

    __slots__ = (
        "_arrays", "_changed", "_final", "_layer", "_layout", "_output", "_run", "_uses",
        "_version", "output", "state",
    )  # fmt: skip

    def __init__(
        self,
        layer: RecurrentLayer,
        run: Run,
        layout: Layout,
        arrays: TapeArrays,
        output: Array,
        final: tuple[Array, ...],
        uses: Uses,
        changed: ChangedWeights | None = None,
    ) -> None:
        self._uses, self._output, self._final, self._changed = uses, output, final, changed
        self._layer, self._run, self._layout, self._arrays = layer, run, layout, arrays
        self._version = layer._version
        output.flags.writeable = False
        self.output = layout.caller(output.view())  # a view's flag cannot be set again
        self.state = layout.caller_state(final)

    @property
    def _used(self) -> RecurrentLayer:
        """What holds the weights that were used: the layer, or a copy with changed ones."""
        return self._layer if self._changed is None else self._changed.layer

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

    @property
    def all_states(self) -> State:
        """Every state over time, (T, L*D, B, H), in the form of the layer's state; fresh arrays.

        Entry t is the state after step t: for each direction what it has made when it has taken
        the step, also where a masked or padded one only carries it over. ``batch_first`` does not
        apply, as for `state`. Gradients are those of `output` and `state` only.
        """
        layer = self._layer
        if self.checkpoint_every and layer._info.states > 1:
            raise ValueError(
                "all_states: expected a tape without checkpoints, which do not keep every state; "
                f"got one with checkpoint_every={self.checkpoint_every}"
            )
        states = all_states(self._run, self._arrays, layer._info, layer.structure, layer.dtype)
        return self._layout.caller_states(states)

    @property
    def last_output(self) -> Array:
        """The output at each row's last real step of each direction: (B, D*H), as merged.

        That is the merged final h of the top layer; with ``residual=True`` its input is added.
        """
        layer = self._layer
        directions = layer._sizes.num_directions
        last = last_output(layer.structure, self._run, directions, self._final[0], self._output)
        return last if self._layout.batched else last[0]

    def backward(
        self, d_output: object = None, d_state: object = None, d_last_output: object = None
    ) -> Gradients:
        """Propagate gradients back through the recorded run. May be called again.

        Parameters
        ----------
        d_output : dL/d(output), of the shape of ``output``; None is zero.
        d_state : dL/d(state), in the form of ``state``; None is zero, also inside the tuple.
        d_last_output : dL/d(last_output), of its shape; None is zero. Added to the gradient of the
            final h of the top layer, or with ``residual=True`` to that of the output.

        Returns
        -------
        Gradients: with respect to ``x``, the initial state, every parameter, and the state given
        as ``reset_state``. The initial state's is there also where the state was not given; one
        that was learned then has the sum over the rows in ``params`` as well.

        Raises
        ------
        ValueError : the layer's parameters changed after it was recorded.
        """
        return self._backward(d_output, d_state, d_last_output)

    def _backward(
        self,
        d_output: object,
        d_state: object,
        d_last_output: object = None,
        trace: Sequence[Array] | None = None,
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
        if d_last_output is not None:
            d_sequence, d_final = self._with_last(d_last_output, d_sequence, d_final)
        d_reset = None
        if run.reset_states is not None:
            d_reset = tuple(np.empty(state.shape, layer.dtype) for state in run.reset_states)
        d_x = np.empty(run.x.shape, layer.dtype)
        d_attention = None if run.attention is None else np.empty(run.attention.shape, layer.dtype)
        d_initial = tuple(np.empty(state.shape, layer.dtype) for state in run.states)
        params = layer._gradient_arrays()
        d_parameters = [
            layer._direction(params, index, gradients=True) for index in range(len(layer._groups))
        ]
        self._used._ready().backward(
            run, self._arrays, d_sequence, d_final, d_x, d_initial, d_parameters,
            d_reset_states=d_reset, trace=trace, d_attention=d_attention,
        )  # fmt: skip
        if self._changed is not None:
            self._changed.backward(params)
        form = self._layout.caller_state
        if layer._call.learned is not None:
            used = [d_initial] if self._uses.learned_initial else []
            used += [d_reset] if self._uses.learned_reset and d_reset is not None else []
            layer._call.learned.backward(used, params)
        given = form(d_reset) if self._uses.given_reset and d_reset is not None else None
        return Gradients(
            self._layout.caller(d_x), form(d_initial), layer._shared(params), reset_state=given,
            attention=None if d_attention is None else self._layout.caller(d_attention),
        )  # fmt: skip

    def _with_last(
        self, value: object, d_output: Array, d_final: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Check `d_last_output` and add it to the gradients of what it was made from."""
        layer, run = self._layer, self._run
        shape = (run.x.shape[1], *layer._values.shape)
        array = as_array("d_last_output", value, layer.dtype)
        letters = ("B", *layer._values.letters)
        if self._layout.batched:
            check_shape("d_last_output", array, letters, shape)
        else:
            check_shape("d_last_output", array, letters[1:], shape[1:])
            array = array[None]
        d_output, d_hidden = last_output_backward(
            layer.structure, run, layer._sizes.num_directions, self._final[0], array, d_output,
            d_final[0],
        )  # fmt: skip
        return d_output, (d_hidden, *d_final[1:])

    def _d_output(self, value: object) -> Array:
        """Check `d_output` and view it as (T, B, D*H), or as the output is."""
        layer, layout = self._layer, self._layout
        steps, batch = self._run.x.shape[:2]
        if value is None:  # a broadcast row of zeros: nothing to allocate
            zero = np.zeros(layer._values.shape, layer.dtype)
            return np.broadcast_to(zero, (steps, batch, *layer._values.shape))
        array = as_array("d_output", value, layer.dtype)
        letters = layout.shape("T", "B", *layer._values.letters)
        check_shape("d_output", array, letters, self.output.shape)
        return layout.time_first(readable(array))

    def _d_final(self, value: object) -> tuple[Array, ...]:
        """Check `d_state` and return S dense arrays (L*D, B, H)."""
        batch, spec = self._run.x.shape[1], self._layer._call
        if value is None:
            return spec.zeros(batch)
        return spec.states("d_state", value, batch, self._layout, optional=True)
