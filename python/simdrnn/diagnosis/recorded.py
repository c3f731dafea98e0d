"""What a tape holds of one direction of one layer, as the measures look at it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from simdrnn.engine.composed import Composed
from simdrnn.engine.protocol import CheckedCall
from simdrnn.engine.steps import Steps
from simdrnn.layers.recording import Recording
from simdrnn.reference.autodiff import Tape
from simdrnn.reference.gates import H_ITSELF, Gate, gates_of
from simdrnn.reference.heads import whole
from simdrnn.reference.network import CELLS, Network
from simdrnn.reference.sequence import Pass
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.saved_layout import SavedLayout
from simdrnn.validate import Array

__all__ = ["Recorded", "Sample", "in_full", "stretches"]


def in_full(recording: Recording) -> Recording:
    """Return a recording with all that each step saves: one with checkpoints makes it again.

    The same run, with the same draws, on the same version of the parameters: the same bits.
    """
    if not recording.arrays.checkpoint_every:
        return recording
    bound, run, packed = recording.bound, recording.run, recording.network()
    output = np.empty_like(recording.output)
    arrays = bound.tapes.allocate(bound.dtype, output, 0)
    packed.forward(run, output, tuple([np.empty_like(own) for own in run.states]), tape=arrays)
    whole = copy(recording)
    whole.arrays = arrays
    return whole


@dataclass(frozen=True, eq=False)
class Recorded:
    """One direction of a recorded layer.

    Attributes
    ----------
    recording : of the layer.
    index : ``layer * D + direction``.
    info, gates : counts of the cell, and its gates by block of weights; empty if it names none.
    steps : which steps are real, in which order.
    output : (T, B, H), h after each step; P wide where it is projected.
    saved : (T, B, saved, H), what the cell kept of each step; undefined where it is not real.
    """

    recording: Recording
    index: int
    info: CellInfo
    gates: tuple[Gate, ...]
    steps: Steps
    output: Array
    saved: Array

    @classmethod
    def of(cls, recording: Recording, index: int) -> Recorded:
        """View direction `index` of what was recorded."""
        bound, run, arrays = recording.bound, recording.run, recording.arrays
        directions, h_size = bound.sizes.num_directions, bound.sizes.h_size
        number, direction = divmod(index, directions)
        steps, batch = run.x.shape[:2]
        return cls(
            recording,
            index,
            bound.info,
            gates_of(CELLS[bound.info.name], bound.options),
            Steps.of(run, reverse=direction == 1 or bound.structure.reverse),
            arrays.hidden[number][..., direction * h_size : (direction + 1) * h_size],
            arrays.saved[index].reshape(steps, batch, bound.tapes.saved, bound.sizes.hidden_size),
        )

    @property
    def layer(self) -> int:
        """Which layer of the stack."""
        return self.index // self.recording.bound.sizes.num_directions

    @property
    def reverse(self) -> bool:
        """Whether the direction runs backwards in time."""
        return self.index % self.recording.bound.sizes.num_directions == 1

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states, h first."""
        return tuple(state.name for state in self.info.carried)

    @property
    def layout(self) -> SavedLayout:
        """Where a step's values are among those saved."""
        return self.recording.bound.options.saved(self.info)

    def gate(self, gate: Gate) -> Array:
        """Return the values (T, B, H) of a gate."""
        if gate.place == H_ITSELF:
            return self.output
        return self.saved[:, :, self.layout.cell + gate.place]

    def states(self) -> dict[str, Array]:
        """Return the states (T, B, H) after each step by name."""
        others = [self.saved[:, :, place] for place in self.layout.other_states]
        return dict(zip(self.state_names, [self.output, *others], strict=True))

    def carried(self, trace: Array) -> list[Array]:
        """Cut a trace into its parts: of each state, h first, and what arrives at h."""
        sizes = self.recording.bound.sizes.state_sizes(self.info.states)
        return np.split(trace, np.cumsum(sizes), axis=-1)

    def recurrent(self) -> Array:
        """Return the recurrent matrices (blocks, H, H) in float64.

        Where h is projected they are followed by the projection, from h to h: (blocks, P, P).
        """
        bound = self.recording.used
        parameters = bound.passes.of_pass(bound.parameters.arrays, self.index)
        shape = (self.info.recurrent_blocks, bound.sizes.hidden_size, bound.sizes.seen_units)
        if parameters.weight_hh is None:
            return np.zeros(shape)
        matrices = parameters.weight_hh.astype(np.float64).reshape(shape)
        if parameters.weight_hr is None:
            return whole(matrices)
        with np.errstate(all="ignore"):  # not finite: so is what is measured
            return np.asarray(parameters.weight_hr.astype(np.float64) @ matrices)

    def sample(self, rows: Array) -> Sample:
        """Return the steps of some rows of the batch, on the NumPy twin."""
        bound, arrays = self.recording.used, self.recording.arrays
        run, sizes = self.recording.run, bound.sizes
        _, hidden, layers, directions = sizes[:4]
        number, index = self.layer, self.index
        if isinstance(bound.network, Composed):  # where every layer is a network of its own
            run = bound.network.run_of(run, arrays, number)
            layers, number, index = 1, 0, index % directions
        twin = Network(
            self.info.name, np.dtype(np.float64), run.x.shape[2], hidden, layers, directions,
            bound.options, sizes.projected_size,
        )  # fmt: skip
        parameters = bound.passes.of_pass(bound.passes.per_unit(), self.index)
        twin = twin.with_weights({index: parameters})
        x = twin.input_of(run, arrays.hidden, number)
        noise = twin.noise_of(run, index)
        if bound.structure.reverse:  # drawn in processing order
            noise = noise.of_times(slice(None, None, -1))
        real = self.steps.real[:, rows]
        saved = np.where(real[..., None, None], self.saved[:, rows], 0.0).astype(np.float64)
        return Sample(
            replace(
                twin.pass_of(_of_rows(run, rows), index, x[:, rows]),
                noise=noise.of_rows(rows),
                steps=Steps(real, self.steps.fresh[:, rows], self.steps.order),
            ),
            self.output[:, rows].astype(np.float64),
            saved.swapaxes(1, 2),
        )


def _of_rows(run: CheckedCall, rows: Array) -> CheckedCall:
    """Return what some rows of the batch are given besides x."""
    resets = run.reset_states
    return run._replace(
        states=tuple(state[:, rows] for state in run.states),
        reset_states=None if resets is None else tuple(state[:, rows] for state in resets),
        x=run.x[:, rows],
        lengths=None if run.lengths is None else run.lengths[rows],
        mask=None if run.mask is None else run.mask[:, rows],
        reset=None if run.reset is None else run.reset[:, rows],
        attention=None if run.attention is None else run.attention[:, rows],
    )


class Sample:
    """Steps of a few rows (n of them) on the NumPy twin, to take derivatives of.

    Parameters
    ----------
    walk : the pass over these rows.
    output, saved : (T, n, H) and (T, saved, n, H), float64.
    """

    def __init__(self, walk: Pass, output: Array, saved: Array) -> None:
        self.steps = walk.steps
        with np.errstate(all="ignore"):  # not finite: so is what is measured
            self._walk, self._products = walk, walk.products()
        self._before = walk.before(output, saved)

    @property
    def count(self) -> int:
        """How many rows."""
        return int(self._before[0].shape[1])

    @property
    def size(self) -> int:
        """Width of all states of a row together: S * H, or P + (S - 1) * H."""
        return sum(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        """Width of each state."""
        return [int(state.shape[-1]) for state in self._before]

    def way_back(self, t: Array | int, rows: Array | slice) -> Callable[[Array], Array]:
        """Return what takes gradients (n, S * H) for the states after steps to those before.

        That is a product with a Jacobian; the steps are run again, once.

        Parameters
        ----------
        t, rows : which steps: one time for all rows, or n times and n rows of the sample.
        """
        tape = Tape()
        before = [tape.variable(state[t, rows]) for state in self._before]
        of_x = self._products.swapaxes(1, 2)[t, rows].swapaxes(0, 1)
        with np.errstate(all="ignore"):
            after, _ = self._walk.take(of_x, tuple(before), *self._walk.at(t, rows))
        borders = np.cumsum(self._sizes)[:-1]

        def back(d_state: Array) -> Array:
            with np.errstate(all="ignore"):
                tape.back(zip(after, np.split(d_state, borders, axis=1), strict=True))
            return np.concatenate([tape.gradient(state) for state in before], axis=1)

        return back


def stretches(steps: Steps) -> tuple[Array, Array]:
    """Return numbers of the stretches between resets, and of the real steps in each.

    Returns
    -------
    number, age : (T, B) integers, counted from 0 in processing order; where a step is not real they
        mean nothing.

    Examples
    --------
    >>> reset = np.array([[0], [0], [1], [0]], bool)
    >>> number, age = stretches(Steps.plan(4, 1, None, None, reset, reverse=False))
    >>> number[:, 0].tolist(), age[:, 0].tolist()
    ([0, 0, 1, 1], [0, 1, 0, 1])
    """
    order = np.asarray(steps.order, np.intp)
    real, fresh = steps.real[order], steps.fresh[order]
    before = np.cumsum(real, axis=0) - real
    start = np.maximum.accumulate(np.where(fresh, before, 0), axis=0)
    number, age = np.empty(real.shape, np.intp), np.empty(real.shape, np.intp)
    number[order], age[order] = np.cumsum(fresh, axis=0), before - start
    return number, age
