"""Whole files of RTNeural as layers of ours."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.dialects.arrays import from_numbers
from simdrnn.dialects.chain import ACTIVATIONS, Chain
from simdrnn.dialects.conversion import convert
from simdrnn.layers.compiled import GRU, LSTM
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.training.modules import Linear
from simdrnn.validate import as_dtype, check_shape

__all__ = ["load_rtneural", "parsed"]


_RECURRENT: dict[str, type[LSTM] | type[GRU]] = {"lstm": LSTM, "gru": GRU}
_DENSE = ("dense", "time-distributed-dense")
_TYPES = (*_DENSE, *_RECURRENT, "activation")


def load_rtneural(
    source: str | os.PathLike[str] | Mapping[str, Any], dtype: npt.DTypeLike = "float32"
) -> Chain:
    """Read a whole model out of RTNeural's JSON.

    Parameters
    ----------
    source : path of the file, or what was parsed of it.
    dtype : of the layers; each number is rounded to it once.

    Returns
    -------
    the model: call it with x (T, B, I), or train its `Chain.layers`.

    Raises
    ------
    TypeError, ValueError
        If the file is no such model, or has a layer that is neither dense, LSTM, GRU nor an
        activation (convolutions, batch normalisation, PReLU).
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> file = {
    ...     "in_shape": [None, None, 1],
    ...     "layers": [
    ...         {"type": "dense", "activation": "tanh", "shape": [None, None, 2],
    ...          "weights": [[[0.5, -0.5]], [0.0, 1.0]]},
    ...     ],
    ... }
    >>> load_rtneural(file).layers
    [Linear(1, 2), 'tanh']
    """
    kind = as_dtype(dtype)
    model = source if isinstance(source, Mapping) else parsed(Path(source))
    layers = model.get("layers")
    if not isinstance(layers, list) or not layers:
        raise ValueError("layers: expected a list of layers in a file of RTNeural, got none")
    width, made = _last(model, "in_shape", "in_shape"), []
    for index, layer in enumerate(layers):
        name = f"layers[{index}]"
        if not isinstance(layer, Mapping):
            raise ValueError(f"{name}: expected a dict, got {type(layer).__name__}")
        found = _read(name, layer, width, kind)
        made += found
        width = _last(layer, "shape", f"{name}['shape']")
    return Chain(made)


def parsed(path: Path) -> Mapping[str, Any]:
    """Return the dict that a JSON file holds, or raise a ValueError that names the file."""
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON: {error}") from error
    if not isinstance(model, Mapping):
        raise ValueError(f"{path}: expected a dict in JSON, got {type(model).__name__}")
    return model


def _last(layer: Mapping[str, Any], key: str, name: str) -> int:
    """Return the last number of a shape: how many values a step has."""
    shape = layer.get(key)
    if not (isinstance(shape, (list, tuple)) and shape and type(shape[-1]) is int):
        raise ValueError(f"{name}: expected a shape that ends in a number, got {shape!r:.80}")
    return int(shape[-1])


def _read(
    name: str, layer: Mapping[str, Any], width: int, dtype: np.dtype[Any]
) -> list[RecurrentLayer | Linear | str]:
    """Return a layer and, behind it, its activation."""
    kind, activation = layer.get("type"), layer.get("activation") or ""
    if kind not in _TYPES:
        raise ValueError(f"{name}['type']: expected {', '.join(_TYPES)}, got {kind!r}")
    size = _last(layer, "shape", f"{name}['shape']")
    if kind in _RECURRENT:
        if activation not in ("", "tanh"):
            raise ValueError(
                f"{name}['activation']: expected tanh, which RTNeural's {kind} has, got "
                f"{activation!r}"
            )
        return [_recurrent(name, layer, kind, width, size, dtype)]
    if activation and activation not in ACTIVATIONS:
        raise ValueError(
            f"{name}['activation']: expected {', '.join(ACTIVATIONS)}, got {activation!r}"
        )
    named: list[RecurrentLayer | Linear | str] = [activation] if activation else []
    return [_dense(name, layer, width, size, dtype), *named] if kind in _DENSE else named


def _recurrent(
    name: str, layer: Mapping[str, Any], kind: str, width: int, size: int, dtype: np.dtype[Any]
) -> RecurrentLayer:
    """Make an LSTM or a GRU."""
    weights = convert(dict(layer) | {"activation": ""}, "rtneural", "simdrnn", cell=kind)
    gates = {"lstm": 4, "gru": 3}[kind]
    label, first = f"{name}['weights'][0]", weights["weight_ih_l0"]
    check_shape(label, first.T, ("I", f"{gates}*H"), (width, gates * size))
    made = _RECURRENT[kind](width, size, dtype=dtype)
    made.load_state_dict({key: value.astype(dtype) for key, value in weights.items()})
    return made


def _dense(
    name: str, layer: Mapping[str, Any], width: int, size: int, dtype: np.dtype[Any]
) -> Linear:
    """Make a dense layer: a kernel (I, O) and, if there is one, a bias (O,)."""
    weights = layer.get("weights")
    if not isinstance(weights, (list, tuple)) or len(weights) not in (1, 2):
        raise ValueError(f"{name}['weights']: expected a list of kernel and bias")
    arrays = [from_numbers(f"{name}['weights'][{k}]", one) for k, one in enumerate(weights)]
    check_shape(f"{name}['weights'][0]", arrays[0], ("I", "O"), (width, size))
    values = {"weight": arrays[0].T.astype(dtype)}
    if len(arrays) > 1:
        check_shape(f"{name}['weights'][1]", arrays[1], ("O",), (size,))
        values["bias"] = arrays[1].astype(dtype)
    made = Linear(width, size, bias=len(arrays) > 1, dtype=dtype)
    made.load_state_dict(values)
    return made
