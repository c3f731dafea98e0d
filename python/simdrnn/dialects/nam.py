"""Files of NAM, the Neural Amp Modeler, as layers of ours: its LSTMs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.dialects.arrays import from_numbers
from simdrnn.dialects.chain import Chain
from simdrnn.dialects.rtneural import parsed
from simdrnn.layers.compiled import LSTM
from simdrnn.training.modules import Linear
from simdrnn.validate import Array, as_dtype, as_positive

__all__ = ["load_nam"]

_CONFIG = {"input_size", "hidden_size", "num_layers"}


def load_nam(
    source: str | os.PathLike[str] | Mapping[str, Any], dtype: npt.DTypeLike = "float32"
) -> Chain:
    """Read a whole model out of NAM's JSON, a file that ends with ``.nam``.

    Parameters
    ----------
    source : path of the file, or what was parsed of it.
    dtype : of the layers; each number is rounded to it once.

    Returns
    -------
    an LSTM, which begins with the states in the file, and a Linear behind it: call it with
    x (T, B, 1).

    Raises
    ------
    TypeError, ValueError
        If the file is no such model, or of another architecture (WaveNet, ConvNet, Linear).
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> weights = np.linspace(-1, 1, 4 * 2 * 3 + 4 * 2 + 2 + 2 + 2 + 1).tolist()
    >>> config = {"input_size": 1, "hidden_size": 2, "num_layers": 1}
    >>> load_nam({"architecture": "LSTM", "config": config, "weights": weights}).layers
    [LSTM(1, 2, learn_initial_state=True), Linear(2, 1)]
    """
    kind = as_dtype(dtype)
    model = source if isinstance(source, Mapping) else parsed(Path(source))
    architecture = model.get("architecture")
    if architecture != "LSTM":
        raise ValueError(
            f"architecture: expected LSTM, the recurrent one of NAM, got {architecture!r:.80}"
        )
    config = model.get("config")
    if not isinstance(config, Mapping) or set(config) != _CONFIG:
        raise ValueError(f"config: expected {', '.join(sorted(_CONFIG))}, got {config!r:.80}")
    inputs, hidden, layers = (
        as_positive(f"config[{name!r}]", config[name])
        for name in ("input_size", "hidden_size", "num_layers")
    )
    weights = from_numbers("weights", model.get("weights"))
    sizes = [inputs] + [hidden] * (layers - 1) if layers <= weights.size else []
    wanted = sum(4 * hidden * (size + hidden + 1) + 2 * hidden for size in sizes) + hidden + 1
    if weights.shape != (wanted,):
        raise ValueError(
            f"weights: expected {wanted} numbers for {dict(config)}, got shape {weights.shape}"
        )
    return _chain(weights.astype(kind), sizes, hidden)


def _chain(weights: Array, sizes: list[int], hidden: int) -> Chain:
    """Cut the weights into layers: W and R side by side, bias, h_0, c_0 of each; then the head."""
    at = 0

    def take(*shape: int) -> Array:
        nonlocal at
        begin, at = at, at + int(np.prod(shape))
        return weights[begin:at].reshape(shape)

    values: dict[str, Array] = {}
    for layer, size in enumerate(sizes):
        both = take(4 * hidden, size + hidden)
        values[f"weight_ih_l{layer}"], values[f"weight_hh_l{layer}"] = (
            both[:, :size],
            both[:, size:],
        )
        values[f"bias_ih_l{layer}"] = take(4 * hidden)
        values[f"bias_hh_l{layer}"] = np.zeros(4 * hidden, weights.dtype)
        values[f"h_0_l{layer}"], values[f"c_0_l{layer}"] = take(hidden), take(hidden)
    head = {"weight": take(1, hidden), "bias": take(1)}
    lstm = LSTM(
        sizes[0], hidden, num_layers=len(sizes), learn_initial_state=True, dtype=weights.dtype
    )
    lstm.load_state_dict(values)
    linear = Linear(hidden, 1, dtype=weights.dtype)
    linear.load_state_dict(head)
    return Chain([lstm, linear])
