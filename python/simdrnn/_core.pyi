"""The compiled engine."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.engine.protocol import (
    CheckedCall,
    GradientArrays,
    ParameterArrays,
    State,
    TapeArrays,
)

compiler: str
has_openmp: bool
flags: str
threading_names: tuple[str, ...]
runtime_domain: str
runtime_steps: dict[int, Callable[..., object]]

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
def threading() -> str: ...
def set_threading(threading: str) -> None: ...
def thread_runtime() -> str: ...
def adopt_openmp(library: str) -> bool: ...
def keep_company(library: str, instead: bool) -> bool: ...
def release_memory() -> int: ...
def set_flush_denormals(on: bool) -> None: ...
def same_bytes(kept: Sequence[npt.NDArray[Any]], given: Sequence[npt.NDArray[Any]]) -> bool: ...

LEAST_KEPT: int

def kept_array(shape: Sequence[int], dtype: np.dtype[Any]) -> npt.NDArray[Any]: ...
def release_kept_arrays() -> int: ...
def fingerprints(arrays: Sequence[npt.NDArray[Any]], num_threads: int = 0) -> list[int]: ...
def sample(
    logits: npt.NDArray[Any],
    temperature: float,
    top_k: int,
    uniform: npt.NDArray[Any],
    out: npt.NDArray[Any],
) -> int: ...

class StreamCore:
    @property
    def nbytes(self) -> int: ...
    def __init__(
        self,
        stages: Sequence[tuple[str, Any]],
        input_size: int,
        batch: int,
        threads: int,
        dtype: str,
    ) -> None: ...
    def step(
        self,
        x: npt.ArrayLike,
        out: npt.NDArray[Any] | None = None,
        *,
        rows: npt.ArrayLike | None = None,
        attention: npt.ArrayLike | None = None,
    ) -> npt.NDArray[Any]: ...
    def _feed(
        self,
        x: npt.NDArray[Any],
        out: npt.NDArray[Any],
        rows: npt.NDArray[Any] | None,
        attention: npt.NDArray[Any] | None,
    ) -> None: ...
    def _reset(self, rows: npt.NDArray[Any] | None) -> None: ...
    def _move_states(self, networks: Sequence[Sequence[npt.NDArray[Any]]], read: bool) -> None: ...

class _Testing:
    """The submodule ``testing``."""

    def math(self, name: str, x: npt.NDArray[Any]) -> npt.NDArray[Any]: ...
    def activation(
        self, name: str, alpha: float, beta: float, x: npt.NDArray[Any], slope: bool
    ) -> npt.NDArray[Any]: ...
    def options_bytes(self, options: dict[str, Any], dtype: str) -> bytes: ...
    def fma_peak(self, dtype: str, seconds: float, threads: int) -> float: ...
    def fingerprints_by_products(
        self, arrays: Sequence[npt.NDArray[Any]], num_threads: int = 0
    ) -> list[int]: ...
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

_C_API: Any

def c_model(image: bytes) -> object: ...
def activate_f32(
    name: str, alpha: float, beta: float, x: npt.NDArray[Any], y: npt.NDArray[Any]
) -> None: ...
def activate_f64(
    name: str, alpha: float, beta: float, x: npt.NDArray[Any], y: npt.NDArray[Any]
) -> None: ...

class ParameterLock:
    ELSEWHERE: int
    HERE: int
    def writer(self) -> int: ...

class Holding:
    def __init__(
        self,
        lock: ParameterLock,
        owner: object = None,
        arrays: Iterable[npt.NDArray[Any]] = (),
        lent: object = None,
    ) -> None: ...
    @staticmethod
    def together(all: Sequence[Holding], lent: object = None) -> Holding: ...
    @property
    def lent(self) -> Any: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *error: object) -> None: ...

class Counter:
    def __init__(self, value: int = 0) -> None: ...
    def take(self) -> int: ...
    @property
    def value(self) -> int: ...

def before_fork() -> None: ...
def after_fork() -> None: ...

class _Packed:
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
    def plain_layer(
        self, x: object, state: object, threads: int = 0
    ) -> tuple[npt.NDArray[Any], State] | None: ...
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

class PackedF32(_Packed): ...
class PackedF64(_Packed): ...

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
    def pack(
        self, parameters: Sequence[ParameterArrays], isa: object, recorded: bool = False
    ) -> PackedF32 | PackedF64: ...
    def explain(
        self,
        steps: int,
        batch: int,
        forward: bool,
        threads: int,
        lengths: npt.NDArray[Any] | None,
    ) -> dict[str, Any]: ...
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

class DenseF32:
    def forward(self, x: npt.NDArray[Any], y: npt.NDArray[Any], threads: int) -> None: ...
    def backward(self, d_y: npt.NDArray[Any], d_x: npt.NDArray[Any], threads: int) -> None: ...
    def packed_bytes(self) -> int: ...

class DenseF64(DenseF32): ...

class DenseVersionsF32:
    def pack(
        self, weight: npt.NDArray[Any], bias: npt.NDArray[Any] | None, isa: str
    ) -> DenseF32: ...

class DenseVersionsF64:
    def pack(
        self, weight: npt.NDArray[Any], bias: npt.NDArray[Any] | None, isa: str
    ) -> DenseF64: ...

def dense_weight_gradient_f32(
    d_y: npt.NDArray[Any],
    x: npt.NDArray[Any],
    d_weight: npt.NDArray[Any],
    d_bias: npt.NDArray[Any] | None,
    threads: int,
) -> None: ...
def dense_weight_gradient_f64(
    d_y: npt.NDArray[Any],
    x: npt.NDArray[Any],
    d_weight: npt.NDArray[Any],
    d_bias: npt.NDArray[Any] | None,
    threads: int,
) -> None: ...

class DenseBatchF32:
    def __init__(self, matrices: npt.NDArray[Any]) -> None: ...
    def forward(self, x: npt.NDArray[Any], y: npt.NDArray[Any], threads: int) -> None: ...
    def backward(self, y: npt.NDArray[Any], x: npt.NDArray[Any], threads: int) -> None: ...

class DenseBatchF64(DenseBatchF32): ...

def dense_batch_gradient_f32(
    y: npt.NDArray[Any],
    x: npt.NDArray[Any],
    d_matrices: npt.NDArray[Any],
    add: bool,
    threads: int,
) -> None: ...
def dense_batch_gradient_f64(
    y: npt.NDArray[Any],
    x: npt.NDArray[Any],
    d_matrices: npt.NDArray[Any],
    add: bool,
    threads: int,
) -> None: ...

class CrossEntropyF32:
    def __init__(
        self,
        logits: npt.NDArray[Any],
        targets: npt.NDArray[Any],
        real: npt.NDArray[Any] | None,
        threads: int,
    ) -> None: ...
    @property
    def value(self) -> float: ...
    def backward(self, scale: float, d_logits: npt.NDArray[Any], threads: int) -> None: ...

class CrossEntropyF64(CrossEntropyF32): ...

def gather_f32(
    table: npt.NDArray[Any], indices: npt.NDArray[Any], out: npt.NDArray[Any], threads: int
) -> None: ...
def gather_f64(
    table: npt.NDArray[Any], indices: npt.NDArray[Any], out: npt.NDArray[Any], threads: int
) -> None: ...
def scatter_add_f32(
    d_out: npt.NDArray[Any], indices: npt.NDArray[Any], d_table: npt.NDArray[Any], threads: int
) -> None: ...
def scatter_add_f64(
    d_out: npt.NDArray[Any], indices: npt.NDArray[Any], d_table: npt.NDArray[Any], threads: int
) -> None: ...
def sgd(
    parameters: Sequence[npt.NDArray[Any]],
    gradients: Sequence[npt.NDArray[Any]],
    kept: Sequence[Sequence[npt.NDArray[Any]]],
    scale: float,
    decay: float,
    rate: float,
    momentum: float,
    taken: float,
    first: bool,
    nesterov: bool,
) -> None: ...
def adam(
    parameters: Sequence[npt.NDArray[Any]],
    gradients: Sequence[npt.NDArray[Any]],
    kept: Sequence[Sequence[npt.NDArray[Any]]],
    scale: float,
    decay: float,
    shrink: float,
    mean_taken: float,
    square_kept: float,
    square_taken: float,
    root: float,
    eps: float,
    rate: float,
) -> None: ...
def rmsprop(
    parameters: Sequence[npt.NDArray[Any]],
    gradients: Sequence[npt.NDArray[Any]],
    kept: Sequence[Sequence[npt.NDArray[Any]]],
    scale: float,
    decay: float,
    square_kept: float,
    taken: float,
    eps: float,
    rate: float,
    momentum: float,
    buffered: bool,
    centered: bool,
) -> None: ...
def sum_of_squares(arrays: Sequence[npt.NDArray[Any]]) -> float: ...
def scale(arrays: Sequence[npt.NDArray[Any]], factor: float) -> None: ...
