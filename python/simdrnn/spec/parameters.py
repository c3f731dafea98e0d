"""Parameters of a layer: names, shapes, order and initial values.

Names, layouts and gate order are PyTorch's, so a state_dict moves between the two unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from simdrnn.spec.cell import CellInfo
from simdrnn.spec.layer_norm import Placement
from simdrnn.validate import Array, as_count, as_finite_number, as_positive, check_choice

__all__ = [
    "INITIALIZERS",
    "ParameterSpec",
    "Sizes",
    "check_memory",
    "initialise",
    "parameter_specs",
]

INITIALIZERS = ("uniform", "glorot", "orthogonal")

_MOST_LAYERS = 2**16  # the names alone of more would take minutes and gigabytes


# Bytes that one process can address on x86-64 and on 64-bit Arm.
_ADDRESS_SPACE = 2**47


def check_memory(count: int, **sizes: int) -> None:
    """Raise if so many numbers fit in no memory; `sizes` are the arguments that ask for them.

    Examples
    --------
    >>> check_memory(10**20, input_size=10**10, hidden_size=10**10)
    Traceback (most recent call last):
    MemoryError: input_size=10000000000, hidden_size=10000000000: too large for any memory
    """
    if count * 8 > _ADDRESS_SPACE:
        asked = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise MemoryError(f"{asked}: too large for any memory")


class Sizes(NamedTuple):
    """What fixes the shapes of a layer's parameters."""

    input_size: int
    hidden_size: int
    num_layers: int = 1
    num_directions: int = 1
    bias: bool = True
    merged: bool = False  # both directions become P numbers instead of 2*P
    projected_size: int = 0  # P, where h is projected

    @property
    def h_size(self) -> int:
        """How many numbers h has: P, which is H without projection."""
        return self.projected_size or self.hidden_size

    @property
    def h_letter(self) -> str:
        """How messages write `h_size`."""
        return "P" if self.projected_size else "H"

    heads: int = 1  # blocks of every gate's recurrent matrix

    @property
    def output_size(self) -> int:
        """How many numbers a layer hands to the one above, for each step and row."""
        return self.h_size if self.merged else self.num_directions * self.h_size

    def state_sizes(self, states: int) -> tuple[int, ...]:
        """Return how many numbers each of so many states has, h first."""
        return (self.h_size, *[self.hidden_size] * (states - 1))

    @property
    def seen_units(self) -> int:
        """How many h a unit sees: columns of ``weight_hh``."""
        return self.h_size // self.heads

    def with_heads(self, heads: int) -> Sizes:
        """Return the sizes of recurrent matrices in so many blocks."""
        if self.hidden_size % heads:
            raise ValueError(
                f"num_heads: expected a divisor of hidden_size={self.hidden_size}, got {heads}"
            )
        return self._replace(heads=heads)

    @classmethod
    def check(
        cls, input_size: object, hidden_size: object, num_layers: object, bidirectional: bool,
        bias: bool, proj_size: object = 0,
    ) -> Sizes:  # fmt: skip
        """Check a constructor's arguments and collect them."""
        inputs = as_positive("input_size", input_size)
        hidden = as_positive("hidden_size", hidden_size)
        layers = as_positive("num_layers", num_layers)
        if layers > _MOST_LAYERS:
            raise ValueError(f"num_layers: expected at most {_MOST_LAYERS}, got {layers}")
        # Every cell has at least one gate; that is enough to tell what is absurd.
        largest = hidden * (max(inputs, hidden) + hidden)
        check_memory(largest, input_size=inputs, hidden_size=hidden)
        projected = as_count("proj_size", proj_size)
        if projected >= hidden:
            raise ValueError(
                f"proj_size: expected less than hidden_size = {hidden}, or 0, got {projected}"
            )
        return cls(
            inputs, hidden, layers, 2 if bidirectional else 1, bias, projected_size=projected
        )


class ParameterSpec(NamedTuple):
    """Name of one parameter, its shape in letters and in numbers, and where it begins.

    `initial` is a range that the layer's initialiser does not decide on, or None.
    """

    name: str
    letters: tuple[str, ...]
    shape: tuple[int, ...]
    initial: tuple[float, float] | None = None


def _times(count: int, letter: str) -> str:
    """Write `count` times `letter` as it stands in messages: 4*H, but H for one."""
    return letter if count == 1 else f"{count}*{letter}"


def parameter_specs(
    cell: CellInfo, sizes: Sizes, *, suffixes: bool = True, norm: Placement | None = None
) -> list[tuple[ParameterSpec, ...]]:
    """Return the parameters of every layer and direction, in PyTorch's order.

    Parameters
    ----------
    cell : the cell of the layer.
    sizes : I, H, L, D and whether there are biases.
    suffixes : whether names carry ``_l{layer}`` and ``_reverse``; those of single cells do not.
    norm : layer normalisation, whose parameters come last.

    Returns
    -------
    list of L*D tuples: index ``layer * D + direction`` holds that direction's parameters.

    Examples
    --------
    >>> gru = CellInfo("gru", gates=3, separate=1, states=1, saved=4)
    >>> for spec in parameter_specs(gru, Sizes(input_size=5, hidden_size=8))[0]:
    ...     print(*spec[:3])
    weight_ih_l0 ('3*H', 'I') (24, 5)
    weight_hh_l0 ('3*H', 'H') (24, 8)
    bias_ih_l0 ('3*H',) (24,)
    bias_hh_l0 ('3*H',) (24,)
    """
    hidden, directions = sizes.hidden_size, sizes.num_directions
    above, h_size, h_text = sizes.output_size, sizes.h_size, sizes.h_letter
    seen_text = h_text if sizes.heads == 1 else f"H/{sizes.heads}"
    passes = []

    def block(name: str, blocks: int, *width: tuple[str, int]) -> list[ParameterSpec]:
        letters = (_times(blocks, "H"), *(text for text, _ in width))
        shape = (blocks * hidden, *(columns for _, columns in width))
        return [ParameterSpec(name, letters, shape)] if blocks else []

    for layer in range(sizes.num_layers):
        width = above if layer else sizes.input_size
        width_text = _times(above // h_size, h_text) if layer else "I"
        for direction in range(directions):
            end = f"_l{layer}" + ("_reverse" if direction else "") if suffixes else ""
            group = [
                *block(f"weight_ih{end}", cell.input_blocks, (width_text, width)),
                *block(f"weight_hh{end}", cell.recurrent_blocks, (seen_text, sizes.seen_units)),
            ]
            if sizes.bias and cell.biases:
                group += block(f"bias_ih{end}", cell.input_blocks)
                group += block(f"bias_hh{end}", cell.recurrent_gates)
            if sizes.projected_size:
                group.append(ParameterSpec(f"weight_hr{end}", ("P", "H"), (h_size, hidden)))
            for own in cell.own:
                if own.is_bias and not sizes.bias:
                    continue
                letters, shape = (("1",), (1,)) if own.shared else (("H",), (hidden,))
                group.append(ParameterSpec(f"{own.name}{end}", letters, shape, own.initial))
            for name, blocks, value in [] if norm is None else norm.parameters(cell):
                letters, shape = (_times(blocks, "H"),), (blocks * hidden,)
                group.append(ParameterSpec(f"{name}{end}", letters, shape, (value, value)))
            passes.append(tuple(group))
    return passes


def _orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Draw (H, P) orthonormal columns uniformly (Mezzadri 2007, arXiv:math-ph/0609050)."""
    factor, triangle = np.linalg.qr(rng.standard_normal(shape))
    # QR alone is not unique; the signs make it so, and the distribution uniform.
    return factor * np.where(np.diag(triangle) < 0, -1.0, 1.0)


def _draw(
    spec: ParameterSpec, hidden: int, heads: int, initializer: str, rng: np.random.Generator
) -> Array:
    """Draw one parameter in float64."""
    if spec.initial is not None:
        return rng.uniform(*spec.initial, spec.shape)
    if initializer == "uniform":
        bound = 1.0 / math.sqrt(hidden)
        return rng.uniform(-bound, bound, spec.shape)
    if len(spec.shape) == 1:
        return np.zeros(spec.shape)
    rows, width = spec.shape
    size = hidden // heads if spec.name.startswith("weight_hh") else hidden
    if initializer == "orthogonal" and spec.name.startswith("weight_hh"):
        return np.concatenate([_orthogonal((size, width), rng) for _ in range(rows // size)])
    # Each gate, or head of a gate, is a matrix of its own, (H, width): fan-out is H and not
    # gates*H; weight_hr's is P.
    bound = math.sqrt(6.0 / (width + min(rows, size)))
    return rng.uniform(-bound, bound, spec.shape)


def _gate_slices(
    passes: list[tuple[ParameterSpec, ...]], slices: Mapping[str, slice]
) -> Iterator[tuple[str, slice, bool]]:
    """Name every bias, the slice of it that belongs to a gate, and whether it is the first.

    Where layer normalisation has the only biases, those of its norms.
    """
    for group in passes:
        first = True
        kinds = list(slices)
        if not any(spec.name.startswith(tuple(kinds)) for spec in group):
            kinds = [kind.replace("bias_", "bias_ln_") for kind in kinds]
        for kind, where in zip(kinds, slices.values(), strict=True):
            for spec in group:
                if spec.name.startswith(kind):
                    yield spec.name, where, first
                    first = False


def initialise(
    passes: list[tuple[ParameterSpec, ...]],
    hidden_size: int,
    rng: np.random.Generator,
    *,
    heads: int = 1,
    initializer: str = "uniform",
    forget_bias: float | None = None,
    cell: CellInfo | None = None,
) -> dict[str, Array]:
    """Draw a layer's parameters in float64, in the order of `passes`.

    Drawing in float64 whatever the layer's dtype gives one seed the same weights in both dtypes,
    up to rounding.

    Parameters
    ----------
    passes : what `parameter_specs` returned.
    hidden_size : H.
    rng : source of every number.
    heads : blocks of every gate's recurrent matrix.
    initializer : ``"uniform"``, PyTorch's U(-1/sqrt(H), 1/sqrt(H)) for everything;
        ``"glorot"``, Glorot uniform weights gate by gate, biases 0;
        ``"orthogonal"``, as glorot with ``weight_hh`` orthogonal gate by gate.
    forget_bias : total bias of the gate that keeps the state: that slice of ``bias_ih``, with the
        one of ``bias_hh`` set to 0.
    cell : whose gate that is.

    Returns
    -------
    dict name -> array.
    """
    check_choice("initializer", initializer, INITIALIZERS)
    if forget_bias is not None:
        forget_bias = as_finite_number("forget_bias", forget_bias)
    values = {
        spec.name: _draw(spec, hidden_size, heads, initializer, rng)
        for group in passes
        for spec in group
    }
    if forget_bias is not None and cell is not None:
        slices = list(_gate_slices(passes, cell.bias_slices(cell.keep, hidden_size)))
        if not slices:
            raise ValueError(f"forget_bias: expected bias=True with it, got {forget_bias!r}")
        for name, forget, first in slices:
            values[name][forget] = forget_bias if first else 0.0
    return values
