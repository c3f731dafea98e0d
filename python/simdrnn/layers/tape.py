"""A recorded run of a layer, from which gradients are propagated back."""

from __future__ import annotations

from simdrnn.engine.protocol import State
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.recording import Recording
from simdrnn.validate import Array

__all__ = ["Tape", "recording_of"]


class Tape:
    """One recorded run of a layer; made by ``layer.record``.

    Attributes
    ----------
    output : (T, B, D*H) laid out like ``x``; read-only, because `backward` reads it. With `merge`
        other than ``"concat"``, (T, B, H) or (T, B, 2, H).
    state : final state, in the form of the layer's state; read-only, because `last_output` and
        `backward` read it. To change some rows of it, take a copy; to begin some of them anew,
        hand it to the next call with ``reset=``.
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

    __module__ = "simdrnn"

    __slots__ = ("_recording", "output", "state")

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.output = recording.layout.caller(recording.output.view())  # of a flag nobody can set
        self.state = recording.layout.caller_state(tuple([one.view() for one in recording.final]))

    @property
    def checkpoint_every(self) -> int | None:
        """Steps between checkpoints."""
        return self._recording.arrays.checkpoint_every or None

    @property
    def nbytes(self) -> int:
        """Bytes kept for `backward`."""
        return self._recording.arrays.nbytes()

    @property
    def peak_nbytes(self) -> int:
        """Bytes kept and the most working memory of `backward`."""
        kept = self._recording
        every = kept.arrays.checkpoint_every
        return self.nbytes + kept.bound.network.backward_peak(kept.run, every)

    @property
    def all_states(self) -> State:
        """Every state over time, (T, L*D, B, H), in the form of the layer's state; fresh arrays.

        Entry t is the state after step t: for each direction what it has made when it has taken
        the step, also where a masked or padded one only carries it over. ``batch_first`` does not
        apply, as for `state`. Gradients are those of `output` and `state` only.
        """
        return self._recording.states_over_time()

    @property
    def last_output(self) -> Array:
        """The output at each row's last real step of each direction: (B, D*H), as merged.

        That is the merged final h of the top layer; with ``residual=True`` its input is added.
        """
        return self._recording.last_output()

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
        ValueError : the thread that recorded it has changed the layer's parameters since; or an
            argument of the call changed, which the tape refers to: `x`, the states, `mask`, `reset`
            or `attention`.
        """
        return self._recording.backward(d_output, d_state, d_last_output)


def recording_of(tape: Tape) -> Recording:
    """Return what a tape is of."""
    return tape._recording
