"""What a tape holds of one direction of one layer, as the measures look at it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simdrnn.engine.protocol import Run
from simdrnn.engine.steps import Steps
from simdrnn.layers.tape import Tape
from simdrnn.reference.gates import H_ITSELF, Gate, gates_of
from simdrnn.reference.heads import whole
from simdrnn.reference.network import CELLS, Network
from simdrnn.reference.sequence import Pass
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["Recorded", "Sample", "stretches"]


@dataclass(frozen=True, eq=False)
class Recorded:
    """One direction of a recorded layer.

    Attributes
    ----------
    index : ``layer * D + direction``.
    info, gates : counts of the cell, and its gates by block of weights; empty if it names none.
    steps : which steps are real, in which order.
    output : (T, B, H), h after each step; P wide where it is projected.
    saved : (T, B, saved, H), what the cell kept of each step; undefined where it is not real.
    """

    tape: Tape
    index: int
    info: CellInfo
    gates: tuple[Gate, ...]
    steps: Steps
    output: Array
    saved: Array

    @classmethod
    def of(cls, tape: Tape, index: int) -> Recorded:
        """View direction `index` of what `tape` holds."""
        layer, run, arrays = tape._layer, tape._run, tape._arrays
        directions, h_size = layer._sizes.num_directions, layer._sizes.h_size
        number, direction = divmod(index, directions)
        steps, batch = run.x.shape[:2]
        return cls(
            tape,
            index,
            layer._info,
            gates_of(CELLS[layer._info.name], layer.options),
            Steps.plan(steps, batch, run.lengths, run.mask, run.reset, reverse=direction == 1),
            arrays.hidden[number][..., direction * h_size : (direction + 1) * h_size],
            arrays.saved[index].reshape(steps, batch, layer._saved_width, layer.hidden_size),
        )

    @property
    def layer(self) -> int:
        """Which layer of the stack."""
        return self.index // self.tape._layer._sizes.num_directions

    @property
    def reverse(self) -> bool:
        """Whether the direction runs backwards in time."""
        return self.index % self.tape._layer._sizes.num_directions == 1

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states, h first."""
        return tuple(state.name for state in self.info.carried)

    def gate(self, gate: Gate) -> Array:
        """Return the values (T, B, H) of a gate."""
        first = self.tape._layer.options.saved_sums(self.info)
        return self.output if gate.place == H_ITSELF else self.saved[:, :, first + gate.place]

    def states(self) -> dict[str, Array]:
        """Return the states (T, B, H) after each step by name: those but h end what is saved."""
        width = self.saved.shape[2]
        others = [self.saved[:, :, place] for place in range(width - self.info.states + 1, width)]
        return dict(zip(self.state_names, [self.output, *others], strict=True))

    def carried(self, trace: Array) -> list[Array]:
        """Cut a trace into its parts: of each state, h first, and what arrives at h."""
        sizes = self.tape._layer._sizes.state_sizes(self.info.states)
        return np.split(trace, np.cumsum(sizes), axis=-1)

    def recurrent(self) -> Array:
        """Return the recurrent matrices (blocks, H, H) in float64.

        Where h is projected they are followed by the projection, from h to h: (blocks, P, P).
        """
        layer = self.tape._used
        parameters = layer._direction(layer._parameters, self.index)
        shape = (self.info.recurrent_blocks, layer.hidden_size, layer._sizes.seen_units)
        if parameters.weight_hh is None:
            return np.zeros(shape)
        matrices = parameters.weight_hh.astype(np.float64).reshape(shape)
        if parameters.weight_hr is None:
            return whole(matrices)
        with np.errstate(all="ignore"):  # not finite: so is what is measured
            return np.asarray(parameters.weight_hr.astype(np.float64) @ matrices)

    def sample(self, rows: Array) -> Sample:
        """Return the steps of some rows of the batch, on the NumPy twin."""
        layer, run = self.tape._used, self.tape._run
        inputs, hidden, layers, directions = layer._sizes[:4]
        twin = Network(
            self.info.name, np.dtype(np.float64), inputs, hidden, layers, directions, layer.options,
            layer._sizes.projected_size,
        )  # fmt: skip
        parameters = layer._direction(layer._per_unit(layer._parameters), self.index)
        twin.set_parameters(self.index, *parameters)
        part = Run(
            run.x[:, rows],
            tuple(state[:, rows] for state in run.states),
            None if run.lengths is None else run.lengths[rows],
            None if run.mask is None else run.mask[:, rows],
            None if run.reset is None else run.reset[:, rows],
            run.hold,
            attention=None if run.attention is None else run.attention[:, rows],
        )
        real = self.steps.real[:, rows, None, None]
        saved = np.where(real, self.saved[:, rows], 0.0).astype(np.float64)
        noise = twin._noise(run, self.index).of_rows(rows)
        return Sample(
            replace(twin._pass(part, self.index, part.x), noise=noise),
            self.output[:, rows].astype(np.float64),
            saved.swapaxes(1, 2),
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
        self._walk, self._saved = walk, tuple(saved.swapaxes(0, 1))
        self._after, self._before = walk.states(output, saved)

    @property
    def count(self) -> int:
        """How many rows."""
        return int(self._after[0].shape[1])

    @property
    def size(self) -> int:
        """Width of all states of a row together: S * H, or P + (S - 1) * H."""
        return sum(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        """Width of each state."""
        return [int(state.shape[-1]) for state in self._before]

    def back(self, t: Array | int, rows: Array | slice, d_state: Array) -> Array:
        """Take gradients (n, S * H) for the states after steps to those before: times a Jacobian.

        Parameters
        ----------
        t, rows : which steps: one time for all rows, or n times and n rows of the sample.
        """
        _, d_before, _ = self._walk._step_backward(
            self._walk._at(t, rows),
            self._walk._beside(t, rows),
            tuple(saved[t, rows] for saved in self._saved[: self._walk._kept]),
            tuple(state[t, rows] for state in self._before),
            tuple(state[t, rows] for state in self._after),
            tuple(np.split(d_state, np.cumsum(self._sizes)[:-1], axis=1)),
        )
        return np.concatenate(d_before, axis=1)


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
