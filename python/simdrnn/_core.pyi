"""The compiled engine."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from simdrnn.engine.protocol import (
    CheckedCall,
    GradientArrays,
    ParameterArrays,
    State,
    TapeArrays,
)

compiler: str
flags: str
thread_runtime: str

def cells() -> list[dict[str, Any]]: ...
def activations() -> list[str]: ...
def saved_layout(
    cell: str, norm: bool, norm_carried: bool, keeps_carried: bool
) -> dict[str, int]: ...
def compiled_isas() -> list[str]: ...
def available_isas() -> list[str]: ...
def active_isa() -> str: ...
def use_isa(name: str) -> None: ...
def thread_limit() -> int: ...
def set_thread_limit(threads: int) -> None: ...
def release_memory() -> int: ...
def set_flush_denormals(on: bool) -> None: ...

class _Testing:
    """The submodule ``testing``."""

    def math(self, name: str, x: npt.NDArray[Any]) -> npt.NDArray[Any]: ...
    def activation(
        self, name: str, alpha: float, beta: float, x: npt.NDArray[Any], slope: bool
    ) -> npt.NDArray[Any]: ...
    def fma_peak(self, dtype: str, seconds: float, threads: int) -> float: ...
    def miscounted_parts(self, sizes: Sequence[int], rounds: int) -> int: ...
    def plan(
        self,
        steps: int,
        batch: int,
        input_size: int,
        hidden_size: int,
        gates: int,
        threads: int,
        real_steps: Sequence[int] | None = None,
        layers: int = 1,
        directions: int = 1,
        forward: bool = True,
        projected_size: int = 0,
        recurrent_gates: int = -1,
    ) -> dict[str, Any]: ...

testing: _Testing

def option_names() -> list[str]: ...

class _Network:
    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        layers: int,
        directions: int,
        options: dict[str, Any],
        projected_size: int,
    ) -> None: ...
    def set_parameters(self, index: int, parameters: ParameterArrays) -> None: ...
    def forward(
        self,
        run: CheckedCall,
        output: npt.NDArray[Any],
        final_states: Sequence[npt.NDArray[Any]],
        tape: TapeArrays | None,
    ) -> None: ...
    def backward(
        self,
        run: CheckedCall,
        tape: TapeArrays,
        d_output: npt.NDArray[Any],
        d_final_states: Sequence[npt.NDArray[Any]],
        gradients: GradientArrays,
    ) -> None: ...
    def plain_layer(self, x: object, state: object) -> tuple[npt.NDArray[Any], State] | None: ...
    def plain_cell(self, x: object, state: object) -> State | None: ...
    def explain(
        self,
        steps: int,
        batch: int,
        forward: bool,
        threads: int,
        lengths: npt.NDArray[Any] | None,
    ) -> dict[str, Any]: ...
    def tile(self) -> tuple[int, int]: ...
    def isa(self) -> str: ...
    def packed_bytes(self) -> int: ...
    def workspace_bytes(
        self, steps: int, batch: int, training: bool, checkpoint_every: int
    ) -> int: ...
    def backward_peak(self, run: CheckedCall, checkpoint_every: int) -> int: ...

class NetworkF32(_Network): ...
class NetworkF64(_Network): ...

# See csrc/python/buffer_call.hpp.
def share_network_f32(
    number: int,
    cell: str,
    input_size: int,
    hidden_size: int,
    layers: int,
    directions: int,
    projected_size: int,
    bias: bool,
    options: dict[str, Any],
) -> None: ...
def share_network_f64(
    number: int,
    cell: str,
    input_size: int,
    hidden_size: int,
    layers: int,
    directions: int,
    projected_size: int,
    bias: bool,
    options: dict[str, Any],
) -> None: ...
def run_arrays(
    fields: Sequence[int],
    arguments: Sequence[npt.NDArray[Any]],
    results: Sequence[npt.NDArray[Any]],
) -> None: ...
def release_shared_networks() -> int: ...

run_buffers: object
