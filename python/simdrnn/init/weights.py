"""Initialisers of weights: how big the numbers are, and how the rows lie to one another.

Their names are written like functions because that is how they are used: ``orthogonal(gain=2.0)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simdrnn.init.base import Block, Initializer
from simdrnn.validate import Array, as_bool, as_finite_number, as_positive_number

__all__ = [
    "glorot_normal",
    "glorot_uniform",
    "identity",
    "orthogonal",
    "spectral_radius",
    "uniform",
    "zeros",
]


@dataclass(frozen=True)
class zeros(Initializer):
    """Every number is 0.

    Examples
    --------
    >>> import simdrnn as sr
    >>> bool(sr.init.apply(sr.GRU(3, 2), bias=zeros()).bias_hh_l0.any())
    False
    """

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Write zeros to `block`; `rng` is not asked."""
        for array in block.arrays:
            array[...] = 0.0


@dataclass(frozen=True)
class uniform(Initializer):
    """Uniform in [-bound, bound), PyTorch's default for every parameter of a recurrent layer.

    Parameters
    ----------
    bound : None is 1 / sqrt(H).

    Examples
    --------
    >>> import simdrnn as sr
    >>> layer = sr.init.apply(sr.GRU(3, 4), weight_hh=uniform(), bias=uniform(0.1), seed=0)
    >>> bool(abs(layer.weight_hh_l0).max() <= 0.5), bool(abs(layer.bias_ih_l0).max() <= 0.1)
    (True, True)
    """

    bound: float | None = None

    def __post_init__(self) -> None:
        """Check the bound."""
        if self.bound is not None:
            as_positive_number("bound", self.bound)

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Draw every number of `block` from `rng`."""
        for array in block.arrays:
            hidden = array.shape[2] if block.kind == "weight_hr" else array.shape[1] * block.heads
            bound = 1.0 / math.sqrt(hidden) if self.bound is None else float(self.bound)
            array[...] = rng.uniform(-bound, bound, array.shape)


@dataclass(frozen=True)
class _Matrices(Initializer):
    """What is drawn matrix by matrix: one per gate, or one of all gates.

    Parameters
    ----------
    gain : factor of every number.
    fused : whether the gates' matrices are one (G*H, I) matrix, as Keras has it, instead of G
        matrices (H, I).
    """

    kinds: ClassVar[tuple[str, ...]] = ("weight_ih", "weight_hh", "weight_hr")

    gain: float = 1.0
    fused: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        as_finite_number("gain", self.gain)
        as_bool("fused", self.fused)

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Draw one matrix of `block` after another from `rng`."""
        (weights,) = block.arrays
        for matrix in [weights.reshape(-1, weights.shape[-1])] if self.fused else weights:
            matrix[...] = self.gain * self._draw(matrix.shape, rng)

    def _draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw a matrix of gain 1."""
        raise NotImplementedError


class glorot_uniform(_Matrices):
    """Uniform with variance 2 / (fan_in + fan_out): as large forward as backward.

    Parameters
    ----------
    gain : factor of every number.
    fused : whether fan_out is G*H, as in Keras, instead of H.

    References
    ----------
    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks".

    Examples
    --------
    >>> import simdrnn as sr
    >>> layer = sr.init.apply(sr.GRU(2, 4), weight_ih=glorot_uniform(), seed=0)
    >>> bool(abs(layer.weight_ih_l0).max() <= 1.0)  # sqrt(6 / (2 + 4))
    True
    """

    def _draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        bound = math.sqrt(6.0 / sum(shape))
        return rng.uniform(-bound, bound, shape)


class glorot_normal(_Matrices):
    """Normal with variance 2 / (fan_in + fan_out).

    Parameters
    ----------
    gain : factor of every number.
    fused : whether fan_out is G*H, as in Keras, instead of H.

    References
    ----------
    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks".

    Examples
    --------
    >>> import simdrnn as sr
    >>> sr.init.apply(sr.GRU(2, 4), weight_ih=glorot_normal(), seed=0).weight_ih_l0.shape
    (12, 2)
    """

    def _draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(0.0, math.sqrt(2.0 / sum(shape)), shape)


class orthogonal(_Matrices):
    """Orthonormal columns, or rows where there are fewer of them, uniformly distributed.

    Parameters
    ----------
    gain : length of every column.
    fused : whether the (G*H, I) matrix of all gates has orthonormal columns, as in Keras, instead
        of each gate's matrix (H, I). Then no gate's own matrix is orthogonal.

    References
    ----------
    Saxe, McClelland and Ganguli 2014, arXiv:1312.6120; drawn as in Mezzadri 2007,
    arXiv:math-ph/0609050.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.init.apply(sr.GRU(2, 4, dtype="float64"), weight_hh=orthogonal(), seed=0)
    >>> reset = layer.weight_hh_l0[:4]
    >>> np.allclose(reset @ reset.T, np.eye(4))
    True
    """

    def _draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        rows, columns = shape
        tall = rng.standard_normal((max(shape), min(shape)))
        factor, triangle = np.linalg.qr(tall)
        # QR alone is not unique; the signs make it so, and the distribution uniform.
        factor = factor * np.where(np.diag(triangle) < 0, -1.0, 1.0)
        return factor if rows >= columns else factor.T


@dataclass(frozen=True)
class identity(Initializer):
    """A multiple of the identity for every gate: an IRNN, where the cell is a ReLU RNN.

    Parameters
    ----------
    scale : value on the diagonal.

    References
    ----------
    Le, Jaitly and Hinton 2015, arXiv:1504.00941.

    Examples
    --------
    >>> import simdrnn as sr
    >>> irnn = sr.RNN(3, 2, nonlinearity="relu")
    >>> sr.init.apply(irnn, weight_hh=identity(), bias=zeros()).weight_hh_l0.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    kinds: ClassVar[tuple[str, ...]] = ("weight_hh",)

    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check the scale."""
        as_finite_number("scale", self.scale)

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Write the diagonals of `block`; `rng` is not asked."""
        (weights,) = block.arrays
        weights[...] = self.scale * np.eye(*weights.shape[1:])


@dataclass(frozen=True)
class spectral_radius(Initializer):
    """Scale every gate's recurrent matrix to a spectral radius: echo state networks' recipe.

    The spectral radius is the largest magnitude of an eigenvalue.

    Parameters
    ----------
    value : spectral radius wanted.
    base : initialiser of the matrices before they are scaled; None scales what there is.

    References
    ----------
    Jaeger 2001, "The echo state approach to analysing and training recurrent neural networks".

    Raises
    ------
    ValueError : a matrix to be scaled has spectral radius 0, which no factor changes, is not
        finite, or not square: the layer has projections.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.RNN(2, 8, dtype="float64")
    >>> _ = sr.init.apply(layer, weight_hh=spectral_radius(0.9, base=glorot_normal()), seed=0)
    >>> float(abs(np.linalg.eigvals(layer.weight_hh_l0)).max().round(12))
    0.9
    """

    kinds: ClassVar[tuple[str, ...]] = ("weight_hh",)

    value: float
    base: Initializer | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        as_positive_number("value", self.value)
        if self.base is not None and not isinstance(self.base, Initializer):
            raise TypeError(f"base: expected an initialiser or None, got {self.base!r}")
        if self.base is not None and "weight_hh" not in self.base.kinds:
            raise ValueError(f"base: expected an initialiser of weight_hh, got {self.base}")

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Let `base` fill `block` from `rng`, then scale matrix by matrix."""
        if self.base is not None:
            self.base.fill(block, rng)
        (weights,) = block.arrays
        if weights.shape[1] != weights.shape[2]:
            raise ValueError(
                f"weight_hh: expected square matrices, got {weights.shape[1:]} of a projected layer"
            )
        for gate, matrix in enumerate(weights):
            finite = bool(np.isfinite(matrix).all())
            radius = float(np.abs(np.linalg.eigvals(matrix)).max()) if finite else math.nan
            if not radius > 0.0:
                raise ValueError(
                    f"weight_hh: expected matrices of positive spectral radius to scale, "
                    f"got {radius:g} in gate {gate}"
                )
            matrix *= self.value / radius
