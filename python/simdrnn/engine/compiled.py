"""The compiled engine behind the front end: `simdrnn.engine.protocol.Network` on ``_core``."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from simdrnn import _core
from simdrnn.engine.protocol import CheckedCall, GradientArrays, ParameterArrays, TapeArrays
from simdrnn.spec.cell import compiled_cells
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["Network", "Packed", "option_values", "thread_runtime"]

_CLASSES = {"float32": _core.NetworkF32, "float64": _core.NetworkF64}


def option_values(cell: str, options: Options) -> dict[str, Any]:
    """Return what the engine takes of a layer's options, by name; what is off is left out."""
    info, norm = compiled_cells()[cell], options.placement
    derived = {
        "activations": options.activations,
        "own_activations": options.activations != Options.parse(info, {}).activations,
        "recurrent_dropout_per_gate": options.dropout_per_gate,
        "zoneout": options.zoneouts(info.states),
        "layer_norm": norm is not None,
        "layer_norm_carried": None if norm is None else norm.carried,
        "layer_norm_epsilon": None if norm is None else norm.epsilon,
    }
    values = {
        name: derived[name] if name in derived else getattr(options, name)
        for name in _core.option_names()
    }
    return {name: value for name, value in values.items() if value is not None}


def thread_runtime() -> str:
    """Return whose threads would run the parts of a call now."""
    return _core.thread_runtime()


class Packed:
    """One version of a network's weights on the compiled kernels: `PackedNetwork`."""

    __slots__ = ("_core", "beside", "made_for", "plain_cell", "plain_layer", "version")

    def __init__(self, core: _core.PackedF32 | _core.PackedF64) -> None:
        self._core = core
        self.version: int | None = None
        self.made_for: Hashable = None
        self.beside: Any = None
        # The engine's own, without a Python function in between.
        self.plain_layer, self.plain_cell = core.plain_layer, core.plain_cell

    @property
    def core(self) -> _core.PackedF32 | _core.PackedF64:
        """What streams of the compiled engine are made of."""
        return self._core

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
        """Return the bytes of the weights that are packed by now."""
        return self._core.packed_bytes()

    def forward(
        self,
        run: CheckedCall,
        output: Array,
        final_states: Sequence[Array],
        *,
        tape: TapeArrays | None,
    ) -> None:
        """Write `output` (T, B, D*H) and the final states, S arrays (L*D, B, H)."""
        self._core.forward(run, output, final_states, tape)

    def backward(
        self,
        run: CheckedCall,
        tape: TapeArrays,
        d_output: Array,
        d_final_states: Sequence[Array],
        gradients: GradientArrays,
    ) -> None:
        """Overwrite `gradients` from those for the output and the final states."""
        self._core.backward(run, tape, d_output, d_final_states, gradients)


class Network:
    """A stack of layers of one cell on the compiled kernels."""

    __slots__ = ("_core", "arithmetic")

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
            option_values(cell, options), projected_size,
        )  # fmt: skip
        self.arithmetic = dtype

    def workspace_bytes(self, steps: int, batch: int, training: bool, checkpoint_every: int) -> int:
        """Return the bytes of working memory of a call besides arguments, results and tape."""
        return self._core.workspace_bytes(steps, batch, training, checkpoint_every)

    def backward_peak(self, run: CheckedCall, checkpoint_every: int) -> int:
        """Return the most working memory that `backward` of this very run may take."""
        return self._core.backward_peak(run, checkpoint_every)

    def walked_steps(self, steps: int, batch: int) -> int:
        """Return how many steps `backward` takes at once."""
        return int(self._core.explain(steps, batch, False, 0, None)["chunk"])

    def pack(
        self, passes: Sequence[ParameterArrays], token: Hashable, recorded: bool = False
    ) -> Packed:
        """Return the network with these parameters, by ``layer * D + direction``.

        With `recorded` at once for backward too; else the first backward does that.
        """
        return Packed(self._core.pack(passes, token, recorded))
