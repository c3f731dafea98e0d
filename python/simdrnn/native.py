"""The compiled engine behind the front end: `simdrnn.run.Network` on ``_core``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrnn import _core
from simdrnn.options import Options
from simdrnn.run import ParameterArrays, Run, TapeArrays
from simdrnn.validate import Array

__all__ = ["Network"]

_CLASSES = {"float32": _core.NetworkF32, "float64": _core.NetworkF64}


def _check_reset(run: Run) -> None:
    """Raise if resets go to another state than the initial one, which kernels cannot do yet."""
    if run.reset_states is not None:
        raise ValueError(
            "reset_state: expected None, the initial state (the compiled engine cannot reset to "
            "another one yet; the reference can), got another"
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
    ) -> None:
        self.arithmetic = dtype
        clips = (
            options.gate_clip,
            options.cell_clip,
            options.hidden_clip,
            options.step_grad_clip,
            options.step_grad_norm,
        )
        limits = [math.inf if clip is None else clip for clip in clips]
        self._core = _CLASSES[dtype.name](
            cell, input_size, hidden_size, num_layers, num_directions, limits
        )
        self.plain_layer = self._core.plain_layer
        self.plain_cell = self._core.plain_cell

    def workspace_bytes(self, steps: int, batch: int, training: bool) -> int:
        """Return the bytes of working memory of a call besides arguments, results and tape."""
        return self._core.workspace_bytes(steps, batch, training)

    def explain(
        self, steps: int, batch: int, forward: bool, threads: int, lengths: Array | None
    ) -> dict[str, Any]:
        """Return the fields of `simdrnn.explanation.PassPlan` for such a call."""
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
        weight_hh: Array,
        bias_ih: Array | None,
        bias_hh: Array | None,
    ) -> None:
        """Pack the parameters of direction ``index = layer * D + direction``."""
        self._core.set_parameters(index, weight_ih, weight_hh, bias_ih, bias_hh)

    def forward(
        self,
        run: Run,
        output: Array,
        final_states: Sequence[Array],
        *,
        tape: TapeArrays | None,
    ) -> None:
        """Write `output` (T, B, D*H) and the final states, S arrays (L*D, B, H)."""
        _check_reset(run)
        if tape is None:
            self._core.forward(run, output, tuple(final_states), None, None)
        else:
            self._core.forward(run, output, tuple(final_states), tape.saved, tape.hidden)

    def backward(
        self,
        run: Run,
        tape: TapeArrays,
        d_output: Array,
        d_final_states: Sequence[Array],
        d_x: Array,
        d_initial_states: Sequence[Array],
        d_parameters: Sequence[ParameterArrays],
        *,
        d_reset_states: Sequence[Array] | None = None,
    ) -> None:
        """Overwrite `d_x` and what follows it with gradients."""
        _check_reset(run)
        self._core.backward(
            run,
            tape.saved,
            tape.hidden,
            d_output,
            tuple(d_final_states),
            d_x,
            tuple(d_initial_states),
            list(d_parameters),
        )
