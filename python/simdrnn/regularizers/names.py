"""Which parameters a regulariser acts on, and how its gradients join those of the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from simdrnn.layers.bound import bound_layer
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.single_step import RecurrentCell
from simdrnn.layers.snapshots import is_snapshot
from simdrnn.stack.stack import Stack
from simdrnn.training.trainable import Trainable, frozen_names, kept_still
from simdrnn.validate import Array, as_array, check_distinct_elements, check_shape

__all__ = ["Names", "Penalty", "add_", "chosen", "gates_of", "matrices_of", "penalise"]

Names: TypeAlias = "str | Sequence[str]"


class Penalty(NamedTuple):
    """A penalty on parameters: what is added to the loss, and to its gradients.

    Parameters
    ----------
    value : a Python float, accumulated in float64.
    params : gradients of `value`, name -> array of the parameter's dtype, of those it acts on.
    """

    value: float
    params: dict[str, Array]


def chosen(layer: Trainable, names: Names) -> dict[str, Array]:
    """Return the parameters whose names match, in the layer's order; none that are frozen.

    Parameters
    ----------
    layer : a recurrent layer, a cell, a module such as `Linear`, or a model.
    names : a pattern, or several, each of which must match a name: ``*`` is any text, as in a
        shell.

    Examples
    --------
    >>> import simdrnn as sr
    >>> list(chosen(sr.GRU(2, 3, num_layers=2), ["weight_hh*", "bias_*_l1"]))
    ['weight_hh_l0', 'weight_hh_l1', 'bias_ih_l1', 'bias_hh_l1']
    """
    if not isinstance(layer, Trainable):
        raise TypeError(f"layer: expected a layer or module, got {type(layer).__name__}")
    patterns = [names] if isinstance(names, str) else names
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(p, str) for p in patterns):
        raise TypeError(f"names: expected a pattern or a list of patterns, got {names!r}")
    parameters = layer.parameters()
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in parameters):
            known = ", ".join(parameters)
            raise ValueError(f"names: expected patterns of some of {known}, got {pattern!r}")
    frozen = frozen_names(layer)
    return {
        name: array
        for name, array in parameters.items()
        if name not in frozen and any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def _member(owner: Any, name: str) -> tuple[Any, str]:
    """Return the layer or module within a stack or model that has a parameter, and its name there.

    Examples
    --------
    >>> import simdrnn as sr
    >>> model = sr.Model(rnn=sr.Stack([sr.GRU(2, 3), sr.LSTM(3, 3)]))
    >>> _member(model, "rnn.1.weight_hh_l0")
    (LSTM(3, 3), 'weight_hh_l0')
    """
    prefix, _, inner = name.partition(".")
    if isinstance(owner, Stack):
        layer = {str(index): layer for index, layer in enumerate(owner.layers)}.get(prefix)
        gate = inner.startswith("gate.")
        return (owner, name) if layer is None or gate else (layer, inner)
    parts = getattr(owner, "parts", None)
    if isinstance(parts, Mapping) and prefix in parts:
        return _member(parts[prefix], inner)
    return owner, name


def gates_of(layer: Trainable, name: str, parameter: Array) -> int:
    """Return how many matrices lie on top of one another in a weight of `layer`.

    A gate has H rows, but in what all units share: that is one number.
    """
    layer, name = _member(layer, name)
    if not isinstance(layer, (RecurrentLayer, RecurrentCell)) or name.startswith("weight_hr"):
        return 1
    return max(1, len(parameter) // layer.hidden_size)


def matrices_of(layer: Trainable, name: str, parameter: Array) -> int:
    """Return how many matrices do: of a recurrent weight, each head has its own."""
    layer, name = _member(layer, name)
    if isinstance(layer, (RecurrentLayer, RecurrentCell)) and name.startswith("weight_hh"):
        return gates_of(layer, name, parameter) * bound_layer(layer).sizes.heads
    return gates_of(layer, name, parameter)


def penalise(
    layer: Trainable, names: Names, penalty: Callable[[str, Array], tuple[float, Array]]
) -> Penalty:
    """Add up a penalty of single parameters, given as float64 with their names."""
    value, params = 0.0, {}
    with kept_still(layer):  # value and gradients of one version
        for name, array in chosen(layer, names).items():
            term, gradient = penalty(name, array.astype(np.float64))
            value += term
            params[name] = gradient.astype(array.dtype)
    return Penalty(value, params)


def add_(grads: Gradients | Mapping[str, Array], *penalties: Penalty | Mapping[str, Array]) -> None:
    """Add gradients of penalties to gradients of a loss, in place.

    Parameters
    ----------
    grads : what ``backward`` returned, or its ``params``; their arrays are changed.
    penalties : what the regularisers returned, or dicts name -> array.

    Raises
    ------
    TypeError, ValueError : an argument does not fit; then nothing has been changed.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.RNN(2, 3, seed=0)
    >>> grads = layer.record(np.zeros((4, 1, 2), "float32")).backward()
    >>> add_(grads, sr.regularizers.l2(layer, 0.5))
    >>> bool((grads.params["weight_hh_l0"] == layer.weight_hh_l0).all())
    True
    """
    params = grads.params if isinstance(grads, Gradients) else grads
    if not isinstance(params, Mapping):
        raise TypeError(f"grads: expected Gradients or a dict, got {type(grads).__name__}")
    pairs = []
    for index, penalty in enumerate(penalties):
        label = f"penalties[{index}]"
        found = penalty.params if isinstance(penalty, Penalty) else penalty
        if not isinstance(found, Mapping):
            raise TypeError(f"{label}: expected a Penalty or a dict, got {type(found).__name__}")
        for name, value in found.items():
            if name not in params:
                known = ", ".join(params)
                raise ValueError(f"{label}: expected names among {known}, got {name!r}")
            target = params[name]
            if not isinstance(target, np.ndarray) or not target.flags.writeable:
                raise ValueError(f"grads[{name!r}]: expected a writable array")
            if is_snapshot(target):
                raise TypeError(f"grads[{name!r}]: expected a gradient, got a copy of a parameter")
            check_distinct_elements(f"grads[{name!r}]", target)
            array = as_array(f"{label}[{name!r}]", value, target.dtype)
            check_shape(f"{label}[{name!r}]", array, ("...",), target.shape)
            pairs.append((target, array))
    for target, array in pairs:
        target += array
