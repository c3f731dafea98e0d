"""The compiled engine behind the front end: `simdrnn.engine.protocol.Network` on ``_core``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrnn import _core
from simdrnn.engine.protocol import CheckedCall, ParameterArrays, TapeArrays
from simdrnn.spec.cell import compiled_cells
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["Network", "option_numbers"]

_CLASSES = {"float32": _core.NetworkF32, "float64": _core.NetworkF64}


def option_numbers(cell: str, options: Options) -> _core.Options:
    """Turn a layer's options into the numbers that the engine takes."""
    info = compiled_cells()[cell]
    limits = [
        math.inf if clip is None else clip
        for clip in (
            options.gate_clip,
            options.cell_clip,
            options.hidden_clip,
            options.step_grad_clip,
            options.step_grad_norm,
            options.proj_clip,
        )
    ]
    chances = [
        options.dropout,
        options.input_dropout or 0.0,
        options.recurrent_dropout or 0.0,
        options.candidate_dropout or 0.0,
        *options.zoneouts(info.states),
    ]
    activations = [(a.kind, a.alpha, a.beta) for a in options.activations]
    chosen = options.activations != Options.parse(info, {}).activations
    norm = options.placement
    layer_norm = (False, False, 0.0) if norm is None else (True, norm.carried, norm.epsilon)
    return _core.Options(
        limits, activations, chosen, options.dropout_per_gate, chances, options.heads, layer_norm
    )


class Network:
    """A stack of layers of one cell on the compiled kernels."""

    __slots__ = ("_core", "arithmetic", "plain_cell", "plain_layer")

    # What prepared parameters depend on besides their values: packed weights are laid out for one
    # ISA. Asked at every call, so without a Python function in between.
    token = staticmethod(_core.active_isa)

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
    ) -> None:
        self._core = _CLASSES[dtype.name](
            cell, input_size, hidden_size, num_layers, num_directions,
            option_numbers(cell, options), projected_size,
        )  # fmt: skip
        self.arithmetic = dtype
        self.plain_layer = self._core.plain_layer
        self.plain_cell = self._core.plain_cell

    def workspace_bytes(self, steps: int, batch: int, training: bool, checkpoint_every: int) -> int:
        """Return the bytes of working memory of a call besides arguments, results and tape."""
        return self._core.workspace_bytes(steps, batch, training, checkpoint_every)

    def backward_peak(self, run: CheckedCall, checkpoint_every: int) -> int:
        """Return the most working memory that `backward` of this very run may take."""
        return self._core.backward_peak(run, checkpoint_every)

    def walked_steps(self, steps: int, batch: int) -> int:
        """Return how many steps `backward` takes at once."""
        return int(self._core.explain(steps, batch, False, 0, None)["chunk"])

    def explain(
        self, steps: int, batch: int, forward: bool, threads: int, lengths: Array | None
    ) -> dict[str, Any]:
        """Return the fields of `simdrnn.layers.explanation.PassPlan` for such a call."""
        return self._core.explain(steps, batch, forward, threads, lengths)

    def tile(self) -> tuple[int, int]:
        """Return rows and columns of the register tile."""
        return self._core.tile()

    def isa(self) -> str:
        """Return the instruction set that the weights are packed for."""
        return self._core.isa()

    def packed_bytes(self) -> int:
        """Return the bytes of the packed weights."""
        return self._core.packed_bytes()

    def set_parameters(
        self,
        index: int,
        weight_ih: Array,
        weight_hh: Array | None,
        bias_ih: Array | None,
        bias_hh: Array | None,
        cell_parameters: Sequence[Array | None] = (),
        weight_hr: Array | None = None,
    ) -> None:
        """Pack the parameters of direction ``index = layer * D + direction``."""
        self._core.set_parameters(
            index, weight_ih, weight_hh, bias_ih, bias_hh, tuple(cell_parameters), weight_hr
        )

    def forward(
        self,
        run: CheckedCall,
        output: Array,
        final_states: Sequence[Array],
        *,
        tape: TapeArrays | None,
    ) -> None:
        """Write `output` (T, B, D*H) and the final states, S arrays (L*D, B, H)."""
        kept = None if tape is None else _parts(tape)
        self._core.forward(run, output, tuple(final_states), kept)

    def backward(
        self,
        run: CheckedCall,
        tape: TapeArrays,
        d_output: Array,
        d_final_states: Sequence[Array],
        d_x: Array | None,
        d_initial_states: Sequence[Array],
        d_parameters: Sequence[ParameterArrays],
        *,
        d_reset_states: Sequence[Array] | None = None,
        trace: Sequence[Array] | None = None,
        d_attention: Array | None = None,
    ) -> None:
        """Overwrite the gradients, from `d_x` to `d_reset_states`: see the protocol."""
        self._core.backward(
            run,
            _parts(tape),
            d_output,
            tuple(d_final_states),
            d_x,
            tuple(d_initial_states),
            None if d_reset_states is None else tuple(d_reset_states),
            list(d_parameters),
            None if trace is None else list(trace),
            d_attention,
        )


def _parts(tape: TapeArrays) -> tuple[list[Array], list[Array], list[Array], int]:
    """Return a tape as the extension takes it."""
    return tape.saved, tape.hidden, tape.checkpoints, tape.checkpoint_every
