"""One call of a layer, in the form engines take it; and what an engine is.

See ``docs/engines.md`` for what each number means to an engine.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = [
    "CheckedCall",
    "GradientArrays",
    "Network",
    "PackedNetwork",
    "ParameterArrays",
    "State",
    "TapeArrays",
]

# What users pass and get: an array where the cell has one state, a tuple where it has more.
State: TypeAlias = "Array | tuple[Array, ...]"


class ParameterArrays(NamedTuple):
    """Parameters of one layer and direction, or gradients.

    `cell_parameters`, (H,) each, are what the cell has beside weights and biases, then those of
    layer normalisation: the weights for W x and for R h by gate, and weight and bias for the state
    that it normalises. `weight_hr`, (P, H), projects h. None is what the layer has not: biases, a
    projection, or what its cell has no gate for.
    """

    weight_ih: Array
    weight_hh: Array | None
    bias_ih: Array | None
    bias_hh: Array | None
    cell_parameters: tuple[Array | None, ...] = ()
    weight_hr: Array | None = None


class CheckedCall(NamedTuple):
    """A checked call: immutable, time first, ready for an engine.

    A NamedTuple because it is made at every call, several times faster than a frozen dataclass.

    Parameters
    ----------
    x : (T, B, I) view with unit inner stride; read only.
    states : S arrays (L*D, B, H), C-contiguous; read only. With a projection h is P wide, here and
        below.
    lengths : (B,) int64, or None where every row has T steps.
    mask, reset : (T, B) bool, C-contiguous, or None.
    hold : whether a step that is not real outputs the carried hidden state instead of 0.
    training : whether what is random (dropouts, zoneout) is drawn.
    key : 64 bits, of what is drawn.
    num_threads : 0 leaves the number to the engine.
    reset_states : what resets go to, in the form of `states`; None is `states` themselves.
    attention : (T, B) of the layer's dtype, C-contiguous: what a cell with `CellInfo.step_inputs`
        takes of every step and row beside x, in all layers and directions; None for other cells.
    """

    x: Array
    states: tuple[Array, ...]
    lengths: Array | None = None
    mask: Array | None = None
    reset: Array | None = None
    hold: bool = False
    training: bool = False
    key: int = 0
    num_threads: int = 0
    reset_states: tuple[Array, ...] | None = None
    attention: Array | None = None

    def drawing(self, key: int) -> CheckedCall:
        """Return the call with what is random drawn by a key; `_replace` takes twice as long."""
        return CheckedCall(
            self.x, self.states, self.lengths, self.mask, self.reset, self.hold, True, key,
            self.num_threads, self.reset_states, self.attention,
        )  # fmt: skip


@dataclass(slots=True)
class TapeArrays:
    """What forward keeps for backward.

    Parameters
    ----------
    saved : L*D arrays (T, B, saved*H): what a step keeps, with zoneout the carried states too;
        none with checkpoints.
    hidden : L arrays (T, B, D*H): every layer's output before dropout; the last is the output.
    checkpoints : L*D arrays (ceil(T / checkpoint_every) - 1, B, (S-1)*H): the states other than h
        before steps checkpoint_every, 2*checkpoint_every, ... in processing order.
    checkpoint_every : their spacing; 0 where everything is saved instead.
    outputs : what every layer but the last hands on, before dropout, where that is not `hidden`:
        in `simdrnn.engine.composed`.
    """

    saved: list[Array]
    hidden: list[Array]
    checkpoints: list[Array] = field(default_factory=list)
    checkpoint_every: int = 0
    outputs: list[Array] = field(default_factory=list)

    @property
    def output(self) -> Array:
        """The last layer's output before its directions are merged."""
        return self.hidden[-1]

    def nbytes(self) -> int:
        """Return the bytes of all arrays."""
        lists = (self.saved, self.hidden, self.checkpoints, self.outputs)
        return sum(array.nbytes for arrays in lists for array in arrays)


@dataclass(slots=True)
class GradientArrays:
    """Where backward writes all that it finds; what is here is overwritten.

    Parameters
    ----------
    x : (T, B, I) view, or None where that gradient is not wanted.
    states : S arrays (L*D, B, H), for the states that the call begins with.
    parameters : for each layer and direction.
    reset_states : S arrays (L*D, B, H) where the call has ``reset_states``, else None; `states`
        then has only what comes from the starts of rows.
    attention : (T, B), C-contiguous, where the call has ``attention``, else None: the sum over
        layers and directions, 0 at steps that are not real.
    trace : None, or L*D arrays (T, B, (S + 1) * H), C-contiguous, for what back-propagation
        carries; with a projection (T, B, P + (S - 1) * H + P). At every real step: the gradients
        for the S states after the step, dL/dh with dL/dy_t and after the clips of `step_grad_clip`
        and `step_grad_norm`; then dL/dh as it arrived from later steps, before both. Other steps
        are left as they are.
    add : True where gradients of parameters are added to what is there, so that their chains go on
        from call to call; else None.
    """

    x: Array | None
    states: Sequence[Array]
    parameters: Sequence[ParameterArrays]
    reset_states: Sequence[Array] | None = None
    attention: Array | None = None
    trace: Sequence[Array] | None = None
    add: Literal[True] | None = None


class PackedNetwork(Protocol):
    """A network with one version of its weights, run over whole sequences.

    It never changes, so any number of threads may run it, for as long as they have it.

    Attributes
    ----------
    version, made_for : the source's version, and the network's `token`; set by who packed it.
    beside : what else of the parameters belongs to this version.
    """

    version: int | None
    made_for: Hashable
    beside: Any

    def plain_layer(self, x: object, state: object, threads: int = 0) -> tuple[Array, State] | None:
        """Run a call without options at once; None if any argument needs a closer look.

        `x` is time first; the results are as the front end returns them; 0 threads leave the choice
        to the engine. An engine that has no such short way always returns None.
        """

    def plain_cell(self, x: object, state: object) -> State | None:
        """Run one step of a single cell at once; None as for `plain_layer`."""

    def forward(
        self,
        run: CheckedCall,
        output: Array,
        final_states: Sequence[Array],
        *,
        tape: TapeArrays | None,
    ) -> None:
        """Write `output` (T, B, D*H) and the final states, S arrays (L*D, B, H)."""

    def backward(
        self,
        run: CheckedCall,
        tape: TapeArrays,
        d_output: Array,
        d_final_states: Sequence[Array],
        gradients: GradientArrays,
    ) -> None:
        """Overwrite `gradients` from those for the output and the final states."""


class Network(Protocol):
    """An engine: a stack of layers of one cell, whatever its weights.

    Attributes
    ----------
    arithmetic : dtype that everything is computed in; results are rounded to the layer's.
    """

    arithmetic: np.dtype[Any]

    def __init__(
        self,
        cell: str,
        dtype: np.dtype[Any],
        input_size: int,
        hidden_size: int,
        num_layers: int,
        num_directions: int,
        options: Options,
        projected_size: int = 0,
    ) -> None: ...

    def token(self) -> Hashable:
        """Return what prepared parameters depend on besides their values, e.g. the active ISA."""

    def workspace_bytes(self, steps: int, batch: int, training: bool, checkpoint_every: int) -> int:
        """Return how much memory a call needs besides its arguments and results."""

    def backward_peak(self, run: CheckedCall, checkpoint_every: int) -> int:
        """Return the most working memory that `backward` of this very run may take."""

    def walked_steps(self, steps: int, batch: int) -> int:
        """Return how many steps `backward` takes at once: as many are made again, at least."""

    def pack(
        self, passes: Sequence[ParameterArrays], token: Hashable, recorded: bool = False
    ) -> PackedNetwork:
        """Return the network with these parameters, by ``layer * D + direction``.

        `token` is what `token` returned: all of them are packed for the same. `recorded`: whether
        backward will follow, so that what it needs may be packed at once. It may be called anyway.
        """
