"""What an initialiser is, and how it gets at the parameters of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np

from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.single_step import RecurrentCell
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array, as_seed, check_choice

__all__ = ["KINDS", "Block", "Initializer", "apply"]

_Layer = TypeVar("_Layer", RecurrentLayer, RecurrentCell)

KINDS = ("weight_ih", "weight_hh", "bias", "weight_hr")


class Block(NamedTuple):
    """The parameters of one kind in one layer and direction, in float64, to be written to.

    Parameters
    ----------
    kind : ``"weight_ih"``, ``"weight_hh"``, ``"bias"`` or ``"weight_hr"``.
    cell : what the gates belong to.
    arrays : (G, H, I) for ``weight_ih``; (G, H, H) for ``weight_hh``, with heads (G*heads, H/heads,
        H/heads): those of the first gate, then of the next; (1, P, H) for ``weight_hr`` (then
        ``weight_hh`` is (G, H, P)); for ``bias`` two of shape (G, H), ``bias_ih`` and ``bias_hh``,
        of which almost every gate only sees the sum, and what biases a cell has of its own (1, H).
        G are the gates that have such a parameter.
    heads : blocks that each gate's matrix is cut into.
    """

    kind: str
    cell: CellInfo
    arrays: tuple[Array, ...]
    heads: int = 1

    def set_bias(self, gate: int, value: Array | float) -> None:
        """Make `value` the sum of the biases of `gate`: all of it in the first."""
        places = self.cell.bias_slices(gate, 1)
        for array, name in zip(self.arrays, ("bias_ih", "bias_hh"), strict=False):
            if name in places:
                array[places[name].start] = value
                value = 0.0


@dataclass(frozen=True)
class Initializer:
    """Base of the initialisers: a value that says how parameters of some kinds begin.

    Subclasses are frozen dataclasses that define `fill`, and may narrow `kinds`.
    """

    kinds: ClassVar[tuple[str, ...]] = KINDS

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Write to the arrays of `block`, numbers drawn from `rng`; a part may stay as it is."""
        raise NotImplementedError

    def __call__(
        self,
        layer: RecurrentLayer | RecurrentCell,
        rng: np.random.Generator,
        kind: str | None = None,
    ) -> dict[str, Array]:
        """Return new values for the layer's parameters of one kind; the layer stays as it is.

        Parameters
        ----------
        layer : a recurrent layer or a single cell.
        rng : source of every number.
        kind : ``"weight_ih"``, ``"weight_hh"``, ``"bias"`` or ``"weight_hr"``; None where only one
            is possible.

        Returns
        -------
        dict name -> array of the layer's dtype, for ``layer.load_state_dict(..., strict=False)``.

        Raises
        ------
        TypeError, ValueError : an argument does not fit.

        Examples
        --------
        >>> import numpy as np, simdrnn as sr
        >>> new = sr.init.identity(0.5)(sr.RNN(3, 2), np.random.default_rng(0))
        >>> new["weight_hh_l0"].tolist()
        [[0.5, 0.0], [0.0, 0.5]]
        """
        _check_layer(layer)
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng: expected a numpy.random.Generator, got {rng!r}")
        if kind is None and len(self.kinds) == 1:
            kind = self.kinds[0]
        check_choice("kind", kind, self.kinds)
        values = _values(layer)
        for block in _blocks(str(kind), layer, values):
            self.fill(block, rng)
        return _rounded(layer, values, str(kind))


def apply(
    layer: _Layer,
    *,
    weight_ih: Initializer | Sequence[Initializer] | None = None,
    weight_hh: Initializer | Sequence[Initializer] | None = None,
    bias: Initializer | Sequence[Initializer] | None = None,
    weight_hr: Initializer | Sequence[Initializer] | None = None,
    seed: int | None = None,
) -> _Layer:
    """Give a layer new initial parameters, in place.

    Parameters
    ----------
    layer : a recurrent layer or a single cell, on either engine.
    weight_ih, weight_hh, bias : an initialiser, or several that act one after another, say
        ``bias=[zeros(), forget_bias(1.0)]``. None leaves parameters of that kind as they are.
    weight_hr : the same for the projections of an LSTM with ``proj_size``.
    seed : non-negative integer that fixes every number; None draws one. The kinds draw from
        streams of their own: another initialiser of one does not change what the others draw.

    Returns
    -------
    `layer` itself.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or the layer has not the gate that is asked
        for. Then nothing has been changed.

    Notes
    -----
    Numbers are drawn in float64 and rounded, so one seed gives the same values in both dtypes.

    Examples
    --------
    >>> import simdrnn as sr
    >>> layer = sr.init.apply(
    ...     sr.LSTM(3, 2),
    ...     weight_ih=sr.init.glorot_uniform(),
    ...     weight_hh=sr.init.orthogonal(),
    ...     bias=[sr.init.zeros(), sr.init.forget_bias(1.0)],
    ...     seed=0,
    ... )
    >>> layer.bias_ih_l0.tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    _check_layer(layer)
    chains = {
        kind: _chain(kind, value)
        for kind, value in zip(KINDS, (weight_ih, weight_hh, bias, weight_hr), strict=True)
    }
    streams = np.random.SeedSequence(as_seed(seed)).spawn(len(KINDS))
    values = _values(layer)
    changed: dict[str, Array] = {}
    for (kind, chain), stream in zip(chains.items(), streams, strict=True):
        rng = np.random.default_rng(stream)
        for initializer in chain:
            for block in _blocks(kind, layer, values):
                initializer.fill(block, rng)
        if chain:
            changed |= _rounded(layer, values, kind)
    layer.load_state_dict(changed, strict=False)
    return layer


def _check_layer(layer: object) -> None:
    """Raise unless `layer` is one whose parameters are blocks of gates."""
    if not isinstance(layer, (RecurrentLayer, RecurrentCell)):
        found = type(layer).__name__
        raise TypeError(f"layer: expected a recurrent layer or cell, got {found}")


def _chain(kind: str, value: object) -> list[Initializer]:
    """Return the initialisers of an argument, each checked to be one of that kind."""
    if value is None:
        return []
    chain = []
    for initializer in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(initializer, Initializer):
            made = " (call it)" if isinstance(initializer, type) else ""
            raise TypeError(
                f"{kind}: expected an initialiser such as simdrnn.init.uniform(), "
                f"got {initializer!r}{made}"
            )
        if kind not in initializer.kinds:
            usable = " or ".join(initializer.kinds)
            raise ValueError(
                f"{kind}: expected an initialiser of {kind}, got {initializer}, one of {usable}"
            )
        chain.append(initializer)
    return chain


def _values(layer: RecurrentLayer | RecurrentCell) -> dict[str, Array]:
    """Return float64 copies of the parameters."""
    return {name: array.astype(np.float64) for name, array in layer.parameters().items()}


def _of_kind(kind: str, name: str) -> bool:
    """Tell whether a parameter is of a kind: its name begins with it."""
    return name.startswith(kind)


def _blocks(
    kind: str, layer: RecurrentLayer | RecurrentCell, values: dict[str, Array]
) -> Iterator[Block]:
    """View the parameters of one kind gate by gate, layer by layer."""
    bound = bound_layer(layer)
    if kind == "bias" and not layer.bias:
        raise ValueError("bias: expected a layer with bias=True, got one without biases")
    if kind == "weight_hr" and not bound.sizes.projected_size:
        raise ValueError("weight_hr: expected a layer with proj_size, got one without projections")
    cell = bound.info
    for names in bound.passes.names:
        arrays = [values[name] for name in names if _of_kind(kind, name)]
        if not arrays:
            raise ValueError(f"{kind}: expected a cell with such a parameter, got {cell.name}")
        heads = bound.sizes.heads if kind == "weight_hh" else 1
        blocks = (1, -1) if kind == "weight_hr" else (-1, layer.hidden_size // heads)
        yield Block(kind, cell, tuple(a.reshape(*blocks, *a.shape[1:]) for a in arrays), heads)


def _rounded(
    layer: RecurrentLayer | RecurrentCell, values: dict[str, Array], kind: str
) -> dict[str, Array]:
    """Return what belongs to a kind, in the layer's dtype, which has to hold it."""
    rounded = {}
    for name, array in values.items():
        if not _of_kind(kind, name):
            continue
        with np.errstate(over="ignore"):
            rounded[name] = array.astype(layer.dtype)
        lost = np.isinf(rounded[name]) & np.isfinite(array)
        if lost.any():
            raise ValueError(
                f"{kind}: expected values that {layer.dtype} can hold, got {array[lost][0]:g}"
            )
    return rounded
