"""Layer and single-step classes for every cell of the table, made from its entry.

A cell needs no class written for it: its `CellInfo` names the layer, and the module docstring of
its NumPy twin is the layer's. RNN, LSTM and GRU, whose constructors follow PyTorch's, are written
out in `simdrnn.layers.kinds`.

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
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from simdrnn.layers.constructors import Binding, bound_to, redeclared
from simdrnn.layers.kinds import AnyLayer
from simdrnn.layers.single_step import AnyCell
from simdrnn.spec.cell import CellInfo, compiled_cells

__all__ = ["cell_class", "class_names", "list_cells"]


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
def cell_class(
    name: str, binding: Binding, equations: Callable[[str], str | None]
) -> type[Any] | None:
    """Make the class that a namespace is asked for, or return None if no cell has that name.

    Parameters
    ----------
    name : ``"MGU"``, or ``"MGUCell"`` for the single cell.
    binding : the engine, whose table of cells is looked at.
    equations : returns the documentation of a cell's twin; None under python -OO.
    """
    infos = {info.layer: info for info in binding.cells().values() if info.layer is not None}
    single = name not in infos and name.endswith("Cell")
    info = infos.get(name.removesuffix("Cell") if single else name)
    if info is None:
        return None
    kind: type[Any] = AnyCell if single else AnyLayer
    made: type[Any] = bound_to(binding)(
        type(name, (kind,), {"_cell": staticmethod(lambda: info.name)})
    )
    gated = info.keep >= 0
    if not gated:
        made.__init__ = redeclared(made.__init__, without=("forget_bias",))
    text = equations(info.name)
    made.__doc__ = None
    if text and kind.__doc__:
        summary, _, rest = inspect.cleandoc(kind.__doc__).partition("\n\n")
        if not gated:
            rest = re.sub(r"\nforget_bias : .*|(?<=initializer, )forget_bias, ", "", rest)
        texts = [inspect.cleandoc(text), *[summary] * single, rest, binding.text]
        made.__doc__ = "\n\n".join(texts)
    return made


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
