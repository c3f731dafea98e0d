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
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import Any, TypeVar

from simdrnn.layers.constructors import Binding
from simdrnn.layers.kinds import AnyCell, AnyLayer
from simdrnn.spec.cell import CellInfo, compiled_cells

__all__ = ["bound_to", "cell_class", "class_names", "list_cells"]

_Class = TypeVar("_Class", bound=type)


def bound_to(binding: Binding) -> Callable[[_Class], _Class]:
    """Decorate a class of one of the kinds: its layers run on that engine.

    The documentation of its kind comes before its own.
    """

    def decorate(cls: Any) -> Any:
        cls._binding, cls.__module__ = binding, binding.namespace
        if cls.__doc__:  # nothing of it under python -OO
            cls.__doc__ = "\n\n".join(map(inspect.cleandoc, (cls.__base__.__doc__, cls.__doc__)))
        if binding.dtype != "float32":
            cls.__init__ = _redeclared(cls.__init__, dtype=binding.dtype)
        return cls

    return decorate


def _redeclared(
    construct: Callable[..., None], without: Sequence[str] = (), **defaults: object
) -> Callable[..., None]:
    """Return a constructor with other defaults of its keywords, or without some of them."""
    declared = inspect.signature(construct)
    parameters = [
        one.replace(default=defaults.get(one.name, one.default))
        for one in declared.parameters.values()
        if one.name not in without
    ]

    @wraps(construct)
    def construct_so(self: Any, *args: Any, **given: Any) -> None:
        construct(self, *args, **(defaults | given))

    construct_so.__signature__ = declared.replace(parameters=parameters)  # type: ignore[attr-defined]
    return construct_so


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
    made: type[Any] = bound_to(binding)(type(name, (kind,), {"cell_name": info.name}))
    gated = info.keep >= 0
    if not gated:
        made.__init__ = _redeclared(made.__init__, without=("forget_bias",))  # type: ignore[misc]
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
