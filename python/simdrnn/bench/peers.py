"""The implementations that are compared, each behind the same three calls.

Peers are imported only where they are used, and through `import_module`: type checking then does
not depend on which of them happens to be installed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from simdrnn.bench.jax_network import from_kernels, jax_network, to_kernels
from simdrnn.bench.onnx_model import onnx_model
from simdrnn.bench.problem import Answers, Problem, make_layer

__all__ = ["BASELINE", "IMPLEMENTATIONS", "OURS", "PEERS", "Implementation", "unavailable"]

OURS = "ours"

# The NumPy twin: a check and a baseline, not a competitor.
BASELINE = "reference"


class Implementation(Protocol):
    """A problem made ready to run; results stay in the system's own form while timed."""

    version: str

    def forward(self) -> Any:
        """Run the sequence, for inference."""

    def train(self) -> Any:
        """Run the sequence forward and backward, every gradient included."""

    def answers(self) -> Answers:
        """Run both and convert to NumPy; not timed."""


class _Layer:
    """What ours and the reference share: they have the same interface."""

    def __init__(self, problem: Problem, module: str, dtype: str, **options: Any) -> None:
        self.version = str(import_module("simdrnn._version").__version__)
        self._layer = make_layer(import_module(module), problem.case, dtype)
        self._layer.load_state_dict(
            {name: np.asarray(value, dtype) for name, value in problem.weights.items()}
        )
        self._x = np.asarray(problem.x, dtype)
        self._d_output = np.asarray(problem.d_output, dtype)
        self._options = options

    def forward(self) -> Any:
        return self._layer(self._x, **self._options)

    def train(self) -> Any:
        tape = self._layer.record(self._x, **self._options)
        return tape.output, tape.backward(self._d_output)

    def answers(self) -> Answers:
        inferred, _ = self.forward()
        output, gradients = self.train()
        _require_equal(inferred, output)
        return Answers(output, {"x": gradients.x, **gradients.params})


class Ours(_Layer):
    """The layers of this library, on the ISA it chose."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, "simdrnn", problem.case.dtype, num_threads=problem.threads)
        self.version += f" ({import_module('simdrnn.isa').active()})"


class Reference(_Layer):
    """The NumPy twin, always in float64."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, "simdrnn.reference", "float64")


class PyTorch:
    """``torch.nn``: inference mode forward, autograd for training."""

    def __init__(self, problem: Problem) -> None:
        torch: Any = import_module("torch")
        torch.set_num_threads(problem.threads)
        case = problem.case
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[case.cell](
            case.I,
            case.H,
            num_layers=case.layers,
            bidirectional=case.bidirectional,
            dtype=getattr(torch, case.dtype),
        )
        weights = {name: torch.from_numpy(value) for name, value in problem.weights.items()}
        layer.load_state_dict(weights)
        self.version = str(torch.__version__)
        self._torch = torch
        self._layer = layer
        self._x = torch.from_numpy(problem.x)
        self._x_grad = self._x.clone().requires_grad_()
        self._d_output = torch.from_numpy(problem.d_output)

    def forward(self) -> Any:
        # With autograd on, even a model in eval mode takes the slower training path.
        with self._torch.inference_mode():
            return self._layer(self._x)

    def train(self) -> Any:
        output, _ = self._layer(self._x_grad)
        # `grad` returns fresh gradients as ours does: no accumulation, nothing to set to zero.
        inputs = [self._x_grad, *self._layer.parameters()]
        return output, self._torch.autograd.grad(output, inputs, self._d_output)

    def answers(self) -> Answers:
        output, _ = self.forward()
        _, gradients = self.train()
        names = ["x", *(name for name, _ in self._layer.named_parameters())]
        arrays = (gradient.numpy() for gradient in gradients)
        return Answers(output.numpy(), dict(zip(names, arrays, strict=True)))


class OnnxRuntime:
    """ONNX Runtime's CPU provider: forward only, one node per layer.

    Its own thread pool, spinning as it does by default, with the same number of threads.
    """

    def __init__(self, problem: Problem) -> None:
        if problem.case.dtype != "float32":
            raise NotImplementedError(f"no {problem.case.dtype} recurrent kernels")
        runtime: Any = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = problem.threads
        options.inter_op_num_threads = 1
        model = onnx_model(problem.case, problem.weights)
        providers = ["CPUExecutionProvider"]
        self.version = str(runtime.__version__)
        self._session = runtime.InferenceSession(model, options, providers=providers)
        self._case = problem.case
        self._feed = {"x": problem.x}

    def forward(self) -> Any:
        # (T, D, B, H): joining the directions is left out of the time, in the peer's favour.
        return self._session.run(["y"], self._feed)[0]

    def train(self) -> Any:
        raise NotImplementedError("forward only")

    def answers(self) -> Answers:
        case = self._case
        joined = self.forward().transpose(0, 2, 1, 3)
        return Answers(joined.reshape(case.T, case.B, case.directions * case.H))


class Jax:
    """JAX on the CPU: one compiled function for forward, one with its derivatives.

    Parameters are arguments, not constants, so nothing is folded at compile time; compiling is
    left out of the time, as answers are asked for first. The number of threads is that of the
    process (`simdrnn.bench.worker.thread_environment`).
    """

    def __init__(self, problem: Problem) -> None:
        jax: Any = import_module("jax")
        jax.config.update("jax_enable_x64", problem.case.dtype == "float64")
        network = jax_network(problem.case)

        def train(kernels: Any, x: Any, d_output: Any) -> Any:
            output, pull_back = jax.vjp(network, kernels, x)
            return output, pull_back(d_output)

        self.version = str(jax.__version__)
        self._wait = jax.block_until_ready
        self._network, self._train = jax.jit(network), jax.jit(train)
        data = (to_kernels(problem.weights), problem.x, problem.d_output)
        self._kernels, self._x, self._d_output = jax.device_put(data)

    def forward(self) -> Any:
        return self._wait(self._network(self._kernels, self._x))

    def train(self) -> Any:
        return self._wait(self._train(self._kernels, self._x, self._d_output))

    def answers(self) -> Answers:
        _, (d_kernels, d_x) = self.train()
        gradients = {"x": np.asarray(d_x), **from_kernels(d_kernels)}
        return Answers(np.asarray(self.forward()), gradients)


def _require_equal(inferred: Any, recorded: Any) -> None:
    """Inference and training share every bit in our library; timing relies on one check of both."""
    if not np.array_equal(inferred, recorded):
        raise ArithmeticError("calling the layer and recording it gave different outputs")


IMPLEMENTATIONS: dict[str, Callable[[Problem], Implementation]] = {
    OURS: Ours,
    BASELINE: Reference,
    "pytorch": PyTorch,
    "onnxruntime": OnnxRuntime,
    "jax": Jax,
}

# What a peer needs: modules to find, and the names they are installed by (the same ones).
_REQUIRES = {"pytorch": ("torch",), "onnxruntime": ("onnxruntime", "onnx"), "jax": ("jax",)}

# Names a user may ask for.
PEERS = tuple(name for name in IMPLEMENTATIONS if name != OURS)


def unavailable(name: str) -> str | None:
    """Say in one line what is missing for a peer, without importing it; None if nothing is."""
    missing = [module for module in _REQUIRES.get(name, ()) if find_spec(module) is None]
    if not missing:
        return None
    return f"{name} is left out: not installed (pip install {' '.join(missing)})"
