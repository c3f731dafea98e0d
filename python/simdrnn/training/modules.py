"""The two modules a recurrent layer needs around it to be trained: `Linear` and `Embedding`.

Both are called and recorded as the layers are, and take any leading dimensions. Their products are
the engine's: the result of a row depends on no other row, and is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.engine.borrowed import Borrowed
from simdrnn.engine.dense import DenseNetwork, PackedDense, weight_gradient
from simdrnn.engine.embedding import add_rows, take_rows
from simdrnn.engine.kept_arrays import empty, empty_like
from simdrnn.engine.packing import Packing
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parameters import this_thread
from simdrnn.layers.parametrised import Parametrised, parameters_of
from simdrnn.layers.stepped import chained
from simdrnn.spec.parameters import ParameterSpec, check_memory
from simdrnn.validate import (
    Array,
    array_of,
    as_array,
    as_bool,
    as_dtype,
    as_positive,
    as_seed,
    as_threads,
    check_shape,
    dense,
    readable,
)

__all__ = ["Embedding", "Linear", "as_indices", "check_range", "integer_array"]


class Linear(Parametrised):
    """``y = x @ weight.T + bias``, PyTorch's `torch.nn.Linear`.

    Parameters
    ----------
    in_features, out_features : I and O.
    bias : whether there is one; without it the attribute is None.
    dtype : float32 or float64, of the parameters, the input and the output.
    seed : non-negative integer that fixes the initial values, or None for different ones.

    Attributes
    ----------
    weight : (O, I).
    bias : (O,). Both start uniform in ``±1 / sqrt(I)``, which is what PyTorch's initialisation
        (He et al. 2015, arXiv:1502.01852, with gain ``sqrt(1/3)``) comes to.

    Examples
    --------
    >>> layer = Linear(3, 5, seed=0)
    >>> tape = layer.record(np.ones((7, 2, 3), "float32"))
    >>> tape.output.shape
    (7, 2, 5)
    >>> grads = tape.backward(np.ones_like(tape.output))
    >>> grads.x.shape, grads.params["weight"].shape
    ((7, 2, 3), (5, 3))
    """

    __module__ = "simdrnn"

    in_features: int
    out_features: int
    weight: Array
    bias: Array | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        self.in_features = inputs = as_positive("in_features", in_features)
        self.out_features = outputs = as_positive("out_features", out_features)
        check_memory(inputs * outputs, in_features=inputs, out_features=outputs)
        self.dtype = as_dtype(dtype)
        specs = [ParameterSpec("weight", ("O", "I"), (outputs, inputs))]
        if as_bool("bias", bias):
            specs.append(ParameterSpec("bias", ("O",), (outputs,)))
        else:
            self.__dict__["bias"] = None
        rng = np.random.default_rng(as_seed(seed))
        bound = 1.0 / math.sqrt(inputs)
        self._own_parameters(
            specs, lambda: {spec.name: rng.uniform(-bound, bound, spec.shape) for spec in specs}
        )
        arrays = self._own.arrays
        packed = partial(_packed_arrays, arrays)
        self._packing = Packing(DenseNetwork(self.dtype), self._own, packed)

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the seed of the initial values."""
        sizes = {"in_features": self.in_features, "out_features": self.out_features}
        return sizes | {"bias": self.bias is not None, "dtype": self.dtype.name}

    def _stages(self, prefix: str = "") -> list[dict[str, Any]]:
        """Return what it is to those who step it, with names of parameters that begin so."""
        sizes = {"input_size": self.in_features, "output_size": self.out_features}
        bias = None if self.bias is None else f"{prefix}bias"
        return [{"kind": "linear", **sizes, "weight": f"{prefix}weight", "bias": bias}]

    def _stepped(self) -> dict[str, Any]:
        """Return what it is to those who step it."""
        return chained(self.dtype, self.in_features, self._stages())

    _made = frozenset({"bias", "_packing"})

    def __setattr__(self, name: str, value: object) -> None:
        """Check and copy what is assigned to a parameter."""
        if name == "bias" and "bias" not in self._own.specs:
            raise AttributeError("bias: expected a Linear with a bias, got one built without")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default, as the layers do."""
        bias = "" if self.bias is not None else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias}{_dtype_repr(self)})"

    def __call__(self, x: Array, *, num_threads: int | None = None) -> Array:
        """Return ``x @ weight.T + bias``: (..., I) -> (..., O).

        `num_threads` is as in calls of layers: None leaves the choice to the engine.
        """
        return self._output(_rows(self, x), np.shape(x), self._packed(), as_threads(num_threads))

    def _packed(self) -> PackedDense:
        """Return the present version of the parameters."""
        return self._packing.ready()

    def _output(
        self, rows: Array, shape: tuple[int, ...], packed: PackedDense, threads: int
    ) -> Array:
        """Return the output for rows of an input of that shape."""
        output = empty((len(rows), self.out_features), self.dtype)
        packed.forward(rows, output, threads)
        return output.reshape(*shape[:-1], self.out_features)

    def record(self, x: Array, *, num_threads: int | None = None) -> LinearTape:
        """Run forward; return a tape with ``output`` and ``backward``, which reads `x` itself.

        It notices if `x` was written to in between; `output` it does not read. `num_threads` is as
        when calling, and for ``backward``, too.
        """
        packed, rows, threads = self._packed(), _rows(self, x), as_threads(num_threads)
        output = self._output(rows, np.shape(x), packed, threads)
        borrowed = Borrowed({"x": rows}, threads)
        return LinearTape(output, self, x, borrowed, packed.version, threads, packed)


@dataclass(frozen=True, slots=True, eq=False)
class LinearTape:
    """A recorded call of a `Linear`; `output` is (..., O)."""

    output: Array
    _module: Linear
    _x: Array
    _borrowed: Borrowed
    _version: int | None
    _threads: int
    _packed: PackedDense | None = None  # not on a copy, until it is asked for
    _thread: object = field(default_factory=this_thread)

    def __reduce__(self) -> tuple[type[LinearTape], tuple[object, ...]]:
        """Copy and pickle all but what is packed; the copy is the thread's that has it."""
        arguments = (self.output, self._module, self._x, self._borrowed, self._version)
        return LinearTape, (*arguments, self._threads)

    def _network(self) -> PackedDense:
        """Return what the call ran on, unless its own thread has changed the parameters since."""
        parameters = parameters_of(self._module)
        packed = self._module._packed() if self._packed is None else self._packed
        since = self._version
        if packed.version != since or since is None or parameters.changed_by(self._thread, since):
            raise ValueError(
                "the parameters of this Linear changed after record; "
                "call backward before the optimiser's step, or record again"
            )
        return packed

    def backward(self, d_output: Array) -> Gradients:
        """Return the gradients for `d_output` (..., O); may be called more than once."""
        module, packed = self._module, self._network()
        self._borrowed.check()
        d_rows = readable(_as_rows(_check_d_output(d_output, self.output, "O")))
        rows = _rows(module, self._x)
        biased = module.bias is not None
        d_weight, d_bias = weight_gradient(d_rows, rows, bias=biased, threads=self._threads)
        params = {"weight": d_weight} if d_bias is None else {"weight": d_weight, "bias": d_bias}
        d_x = empty_like(rows)
        packed.backward(d_rows, d_x, self._threads)
        return Gradients(d_x.reshape(np.shape(self._x)), None, params)


class Embedding(Parametrised):
    """``y = weight[x]``: one learned vector per integer, PyTorch's `torch.nn.Embedding`.

    Parameters
    ----------
    num_embeddings, embedding_dim : N and E.
    dtype : float32 or float64, of the parameter and the output.
    seed : non-negative integer that fixes the initial values, or None for different ones.

    Attributes
    ----------
    weight : (N, E), at first normally distributed with mean 0 and variance 1.

    Examples
    --------
    >>> embedding = Embedding(10, 4, seed=0)
    >>> tape = embedding.record(np.array([[1, 3], [3, 9]]))
    >>> tape.output.shape
    (2, 2, 4)
    >>> grads = tape.backward(np.ones_like(tape.output))
    >>> grads.params["weight"][:, 0]
    array([0., 1., 0., 2., 0., 0., 0., 0., 0., 1.], dtype=float32)
    """

    __module__ = "simdrnn"

    embedding_dim: int
    num_embeddings: int
    weight: Array

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        self.num_embeddings = as_positive("num_embeddings", num_embeddings)
        self.embedding_dim = as_positive("embedding_dim", embedding_dim)
        check_memory(
            self.num_embeddings * self.embedding_dim,
            num_embeddings=self.num_embeddings,
            embedding_dim=self.embedding_dim,
        )
        self.dtype = as_dtype(dtype)
        spec = ParameterSpec("weight", ("N", "E"), (self.num_embeddings, self.embedding_dim))
        rng = np.random.default_rng(as_seed(seed))
        self._own_parameters([spec], lambda: {"weight": rng.standard_normal(spec.shape)})

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the seed of the initial values."""
        sizes = {"num_embeddings": self.num_embeddings, "embedding_dim": self.embedding_dim}
        return sizes | {"dtype": self.dtype.name}

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default, as the layers do."""
        return f"Embedding({self.num_embeddings}, {self.embedding_dim}{_dtype_repr(self)})"

    def __call__(self, x: Array) -> Array:
        """Return the vectors of the integers in `x`: (...) -> (..., E)."""
        integers = integer_array("x", x)
        return self._output(integers, as_indices(integers))

    def _output(self, integers: Array, indices: Array) -> Array:
        """Return the vectors; `indices` are the integers as the engine takes them."""
        try:
            taken = self._own.read(lambda arrays: take_rows(arrays["weight"], indices))
        except IndexError:
            check_range("x", integers, self.num_embeddings)
            raise
        return taken.reshape(*integers.shape, self.embedding_dim)

    def record(self, x: Array) -> EmbeddingTape:
        """Run forward; return a tape with ``output`` and ``backward``; it copies `x`."""
        integers = np.array(integer_array("x", x))
        indices = as_indices(integers)
        return EmbeddingTape(self._output(integers, indices), self, indices)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingTape:
    """A recorded call of an `Embedding`; `output` is (..., E)."""

    output: Array
    _module: Embedding
    _x: Array

    def backward(self, d_output: Array) -> Gradients:
        """Return the gradients for `d_output` (..., E): ``x`` is None, integers have none."""
        d_rows = readable(_as_rows(_check_d_output(d_output, self.output, "E")))
        d_weight = add_rows(d_rows, as_indices(self._x), self._module.weight)
        return Gradients(None, None, {"weight": d_weight})


def _rows(module: Linear, x: Array) -> Array:
    array = as_array("x", x, module.dtype)
    if array.ndim == 0 or array.shape[-1] != module.in_features:
        wanted = f"(..., I) = (..., {module.in_features})"
        raise ValueError(f"x: expected shape {wanted}, got {array.shape}")
    return readable(_as_rows(array))


def _packed_arrays(arrays: Mapping[str, Array]) -> list[tuple[Array, Array | None]]:
    """Return what a `DenseNetwork` packs."""
    return [(arrays["weight"], arrays.get("bias"))]


def integer_array(name: str, value: object) -> Array:
    """Return `value` as an array of integers of whatever type it has; bool is none of them."""
    array = array_of(name, value, "integers")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected an integer dtype, got {array.dtype}")
    return array


def as_indices(integers: Array) -> Array:
    """Return integers of any shape and type as the engine takes them: (N,), int64, dense.

    What int64 cannot hold becomes negative, and so is refused as what it is: no index.
    """
    return dense(integers.reshape(-1).astype(np.int64, copy=False))


def check_range(name: str, integers: Array, stop: int) -> Array:
    """Return `integers` as indices if all are in ``[0, stop)``; nothing wraps around."""
    if integers.size:
        low, high = integers.min(), integers.max()
        if low < 0 or high >= stop:
            worst = low if low < 0 else high
            raise ValueError(f"{name}: expected integers in [0, {stop}), got {worst}")
    return integers.astype(np.intp, copy=False)  # older NumPy does not index by uint64


def _dtype_repr(module: Parametrised) -> str:
    return "" if module.dtype == np.float32 else f", dtype={module.dtype}"


def _as_rows(array: Array) -> Array:
    # The leading size is spelt out: -1 is ambiguous where a dimension is 0.
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _check_d_output(d_output: Array, output: Array, letter: str) -> Array:
    array = as_array("d_output", d_output, output.dtype)
    check_shape("d_output", array, ("...", letter), output.shape)
    return array
