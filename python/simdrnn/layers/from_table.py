"""Layer and single-cell classes for every cell of the table, made from its entry.

A cell needs no class written for it: its `CellInfo` names the layer, and the module docstring of
its NumPy twin is the layer's. RNN, LSTM and GRU, whose constructors follow PyTorch's, are written
out in `simdrnn.layers.constructors` and `simdrnn.layers.single_step`.

Examples
--------
>>> import numpy as np, simdrnn as sr
>>> layer = sr.MGU(3, 4, num_layers=2, forget_bias=1.0, seed=0)
>>> output, h = layer(np.zeros((5, 2, 3), "float32"))
>>> output.shape, h.shape
((5, 2, 4), (2, 2, 4))
>>> sr.MGUCell(3, 4, seed=0)(np.zeros((2, 3), "float32")).shape
(2, 4)
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import cache
from typing import ClassVar

import numpy.typing as npt

from simdrnn.layers.bound import EngineUser
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.single_step import RecurrentCell
from simdrnn.spec.cell import CellInfo, compiled_cells

__all__ = [
    "CellKind",
    "GatedCellKind",
    "GatedLayerKind",
    "LayerKind",
    "cell_class",
    "class_names",
    "list_cells",
]


class LayerKind(RecurrentLayer):
    """A layer of the cell that a subclass names.

    Parameters
    ----------
    input_size, hidden_size, num_layers : I, H, L.
    bias : whether there are biases.
    batch_first : whether sequences are (B, T, ...); states never are.
    dropout : probability, between layers, while recording for training.
    bidirectional : whether every layer also runs backwards in time; outputs are concatenated.
    dtype : ``"float32"`` or ``"float64"``.
    seed : of the initial parameters and of dropout; None draws one.
    initializer : ``"uniform"`` (PyTorch's), ``"glorot"`` or ``"orthogonal"``.
    options : see `simdrnn.spec.options.Options`.
    """

    cell_name: ClassVar[str]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        **options: float | None,
    ) -> None:
        self._setup_layer(
            self.cell_name, input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, dtype=dtype, seed=seed, initializer=initializer, options=options,
        )  # fmt: skip


class GatedLayerKind(RecurrentLayer):
    """A layer of the cell that a subclass names, which has a gate that keeps the state.

    Parameters
    ----------
    input_size, hidden_size, num_layers : I, H, L.
    bias : whether there are biases.
    batch_first : whether sequences are (B, T, ...); states never are.
    dropout : probability, between layers, while recording for training.
    bidirectional : whether every layer also runs backwards in time; outputs are concatenated.
    dtype : ``"float32"`` or ``"float64"``.
    seed : of the initial parameters and of dropout; None draws one.
    initializer : ``"uniform"`` (PyTorch's), ``"glorot"`` or ``"orthogonal"``.
    forget_bias : initial bias of the gate that keeps the state, over both biases.
    options : see `simdrnn.spec.options.Options`.
    """

    cell_name: ClassVar[str]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        forget_bias: float | None = None,
        **options: float | None,
    ) -> None:
        self._setup_layer(
            self.cell_name, input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, dtype=dtype, seed=seed, initializer=initializer,
            forget_bias=forget_bias, options=options,
        )  # fmt: skip


class CellKind(RecurrentCell):
    """One step of the layer, as PyTorch's cells: ``state = cell(x, state)``.

    Parameters
    ----------
    input_size, hidden_size : I, H.
    bias : whether there are biases.
    dtype, seed, initializer, options : as for the layer.
    """

    cell_name: ClassVar[str]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        **options: float | None,
    ) -> None:
        self._setup_cell(
            self.cell_name, input_size, hidden_size, bias,
            dtype=dtype, seed=seed, initializer=initializer, options=options,
        )  # fmt: skip


class GatedCellKind(RecurrentCell):
    """One step of the layer, as PyTorch's cells: ``state = cell(x, state)``.

    Parameters
    ----------
    input_size, hidden_size : I, H.
    bias : whether there are biases.
    dtype, seed, initializer, forget_bias, options : as for the layer.
    """

    cell_name: ClassVar[str]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        forget_bias: float | None = None,
        **options: float | None,
    ) -> None:
        self._setup_cell(
            self.cell_name, input_size, hidden_size, bias, dtype=dtype, seed=seed,
            initializer=initializer, forget_bias=forget_bias, options=options,
        )  # fmt: skip


def class_names(infos: Mapping[str, CellInfo]) -> list[str]:
    """Return the names of the layers and single cells that a table of cells makes available.

    Examples
    --------
    >>> class_names({"mgu": CellInfo("mgu", 2, 1, states=1, saved=3, layer="MGU")})
    ['MGU', 'MGUCell']
    """
    layers = [info.layer for info in infos.values() if info.layer is not None]
    return sorted([*layers, *(f"{layer}Cell" for layer in layers)])


@cache
def cell_class(name: str, base: type[EngineUser], namespace: str) -> type[EngineUser] | None:
    """Make the class that a namespace is asked for, or return None if no cell has that name.

    Parameters
    ----------
    name : ``"MGU"``, or ``"MGUCell"`` for the single cell.
    base : binds the engine, and documents it; its `cell_infos` is the table.
    namespace : the module that users find the class in, and pickle does.
    """
    infos = {info.layer: info for info in base.cell_infos().values() if info.layer is not None}
    single = name not in infos and name.endswith("Cell")
    info = infos.get(name.removesuffix("Cell") if single else name)
    if info is None:
        return None
    gated = info.keep >= 0
    if single:
        kind: type[EngineUser] = GatedCellKind if gated else CellKind
    else:
        kind = GatedLayerKind if gated else LayerKind
    doc = _documentation(info, kind, base)
    attributes = {"cell_name": info.name, "__module__": namespace, "__doc__": doc}
    return type(name, (base, kind), attributes)


def _documentation(info: CellInfo, kind: type, base: type) -> str | None:
    """Join the twin's equations and source, the constructor's parameters, and the engine."""
    from simdrnn.reference.network import CELLS  # it imports this module's users

    twin = sys.modules[type(CELLS[info.name]).__module__]
    texts = [inspect.cleandoc(part.__doc__) for part in (twin, kind, base) if part.__doc__]
    if len(texts) < 3:  # python -OO
        return None
    equations, parameters, engine = texts
    summary, _, rest = parameters.partition("\n\n")
    if issubclass(kind, RecurrentCell):
        equations = f"{equations}\n\n{summary}"
    return f"{equations}\n\n{rest}\n\n{engine}"


def list_cells() -> list[str]:
    """Return the names of the recurrent layers, one for each kind of cell.

    Every one has a single cell too, with ``Cell`` after its name.

    Returns
    -------
    list of str : names of classes of `simdrnn`, and of `simdrnn.reference`.

    Examples
    --------
    >>> import simdrnn as sr
    >>> {"GRU", "LSTM", "MGU"} <= {*list_cells()}
    True
    >>> getattr(sr, "MGU").__name__
    'MGU'
    """
    return sorted(info.layer for info in compiled_cells().values() if info.layer is not None)
