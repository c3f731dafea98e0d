"""The two modules a recurrent layer needs around it to be trained: `Linear` and `Embedding`.

Both are called and recorded as the layers are, and take any leading dimensions. The products are
NumPy's, so unlike the layers' their last bits may depend on the BLAS that NumPy was built with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parametrised import Parametrised, parameters_of
from simdrnn.spec.parameters import ParameterSpec, check_memory
from simdrnn.validate import (
    Array,
    as_array,
    as_bool,
    as_dtype,
    as_positive,
    as_seed,
    check_shape,
)

__all__ = ["Embedding", "Linear", "check_range", "integer_array"]


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

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the seed of the initial values."""
        sizes = {"in_features": self.in_features, "out_features": self.out_features}
        return sizes | {"bias": self.bias is not None, "dtype": self.dtype.name}

    _made = frozenset({"bias"})

    def __setattr__(self, name: str, value: object) -> None:
        """Check and copy what is assigned to a parameter."""
        if name == "bias" and "bias" not in self._own.specs:
            raise AttributeError("bias: expected a Linear with a bias, got one built without")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default, as the layers do."""
        bias = "" if self.bias is not None else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias}{_dtype_repr(self)})"

    def __call__(self, x: Array) -> Array:
        """Return ``x @ weight.T + bias``: (..., I) -> (..., O)."""
        rows = _rows(self, x)
        output = rows @ self.weight.T
        if self.bias is not None:
            output += self.bias
        return output.reshape(*np.shape(x)[:-1], self.out_features)

    def record(self, x: Array) -> LinearTape:
        """Run forward; return a tape with ``output`` and ``backward``, which reads `x` itself."""
        return LinearTape(self(x), self, x, self._own.version)


@dataclass(frozen=True, slots=True, eq=False)
class LinearTape:
    """A recorded call of a `Linear`; `output` is (..., O)."""

    output: Array
    _module: Linear
    _x: Array
    _version: int

    def backward(self, d_output: Array) -> Gradients:
        """Return the gradients for `d_output` (..., O); may be called more than once."""
        module = self._module
        _check_version("Linear", self._version, parameters_of(module).version)
        d_rows = _as_rows(_check_d_output(d_output, self.output, "O"))
        params = {"weight": d_rows.T @ _rows(module, self._x)}
        if module.bias is not None:
            # Summed in float64: along the first axis NumPy adds one by one, not pairwise.
            params["bias"] = d_rows.sum(axis=0, dtype=np.float64).astype(module.dtype)
        return Gradients((d_rows @ module.weight).reshape(np.shape(self._x)), None, params)


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
        rows = check_range("x", integer_array("x", x), self.num_embeddings)
        return np.take(self.weight, rows, axis=0)

    def record(self, x: Array) -> EmbeddingTape:
        """Run forward; return a tape with ``output`` and ``backward``; it copies `x`."""
        return EmbeddingTape(self(x), self, np.array(x))


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingTape:
    """A recorded call of an `Embedding`; `output` is (..., E)."""

    output: Array
    _module: Embedding
    _x: Array

    def backward(self, d_output: Array) -> Gradients:
        """Return the gradients for `d_output` (..., E): ``x`` is None, integers have none."""
        module = self._module
        d_rows = _as_rows(_check_d_output(d_output, self.output, "E"))
        d_weight = np.zeros_like(module.weight)
        indices = self._x.reshape(-1)
        if indices.size:
            # One stable sort brings the rows of equal integers together in their own order, so the
            # sums below are taken in the order of the positions, always.
            order = np.argsort(indices, kind="stable")
            ordered = indices[order]
            starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
            d_weight[ordered[starts]] = np.add.reduceat(
                d_rows[order], starts, axis=0, dtype=np.float64
            )
        return Gradients(None, None, {"weight": d_weight})


def _rows(module: Linear, x: Array) -> Array:
    array = as_array("x", x, module.dtype)
    if array.ndim == 0 or array.shape[-1] != module.in_features:
        wanted = f"(..., I) = (..., {module.in_features})"
        raise ValueError(f"x: expected shape {wanted}, got {array.shape}")
    return _as_rows(array)


def integer_array(name: str, value: object) -> Array:
    """Return `value` as an array of integers of whatever type it has; bool is none of them."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected a plain array, got a masked array; use mask= instead")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        found = type(value).__name__
        raise TypeError(f"{name}: expected integers, got {found}: {error}") from error
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected an integer dtype, got {array.dtype}")
    return array


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


def _check_version(name: str, recorded: int, current: int) -> None:
    if recorded != current:
        raise ValueError(
            f"the parameters of this {name} changed after record; "
            "call backward before the optimiser's step, or record again"
        )
