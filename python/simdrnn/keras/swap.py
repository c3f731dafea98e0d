"""Switch the recurrent layers of a finished model over to the engine, and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import keras

from simdrnn.keras import obstacles
from simdrnn.keras.activations import checked_activations, know
from simdrnn.keras.foreign import check_layer
from simdrnn.keras.layers import GRU, LSTM, OnEngine, SimpleRNN

__all__ = ["convert", "report", "revert"]

# Keras's class -> ours. Ours adds no state of its own, so that an object can change from one to the
# other with its weights, its name and its place in the model.
_OURS: dict[type[Any], type[Any]] = {
    keras.layers.LSTM: LSTM,
    keras.layers.GRU: GRU,
    keras.layers.SimpleRNN: SimpleRNN,
}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


def _layers(model: Any) -> Iterator[Any]:
    """Yield a model or layer and all layers in it."""
    check_layer("model", "a Keras model or layer", model)
    yield from model._flatten_layers(include_self=True, recursive=True)


def _swap(model: Any, classes: dict[type[Any], type[Any]]) -> Any:
    """Change the classes of layers, and have compiled functions of models made anew."""
    found = list(_layers(model))
    changed = [layer for layer in found if type(layer) in classes]
    for layer in changed:
        layer.__class__ = classes[type(layer)]
    if changed:
        for layer in found:
            if isinstance(layer, keras.Model):
                layer.train_function = layer.test_function = layer.predict_function = None
    return model


def convert(model: Any, *, activations: Any = None) -> Any:
    """Run Keras's LSTM, GRU and SimpleRNN layers in a model on the engine from now on.

    Weights, names, optimiser and everything else stay as they are. Layers of a subclass of these
    are left alone. Where nothing was changed, a ``UserWarning`` says what was found, unless all of
    it is ours already.

    Parameters
    ----------
    model : a Keras model or layer; changed in place.
    activations : dict from a function of yours to the activation that it is, such as
        ``{my_gate: ("hard_sigmoid", 0.2, 0.5)}`` for Keras 2's hard sigmoid. It is compared with
        what is said of it, and known for that as long as the program runs.

    Returns
    -------
    the model.

    Raises
    ------
    TypeError
        If `model` is neither, or `activations` no dict.
    ValueError
        If a function is not the activation that it is said to be.

    Notes
    -----
    A model that is saved afterwards says that its layers are ours: loading it needs
    ``import simdrnn.keras``. `revert` it first, and it is as if this had never been called.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([keras.Input((7, 3)), keras.layers.LSTM(4, name="lstm")])
    >>> type(convert(model).layers[0]).__module__
    'simdrnn.keras.layers'
    >>> type(revert(model).layers[0]) is keras.layers.LSTM
    True
    """
    know(checked_activations(activations))
    if not any(type(layer) in _OURS for layer in _layers(model)):
        said = report(model).splitlines()
        if not said or any(": Keras, because it is a " in line for line in said):
            warnings.warn(
                "simdrnn.keras.convert changed nothing: "
                + ("; ".join(said) or "no recurrent layers"),
                UserWarning,
                stacklevel=2,
            )
    return _swap(model, _OURS)


def revert(model: Any) -> Any:
    """Undo `convert`: make our layers in a model Keras's own.

    Parameters
    ----------
    model : a Keras model or layer; changed in place.

    Returns
    -------
    the model.

    Raises
    ------
    TypeError
        If `model` is neither.
    """
    return _swap(model, _THEIRS)


def report(model: Any) -> str:
    """Say for each recurrent layer of a model whether the engine runs it, and if not, why.

    Parameters
    ----------
    model : a Keras model or layer.

    Returns
    -------
    a line for each layer; empty if there is none.

    Raises
    ------
    TypeError
        If `model` is neither.

    Examples
    --------
    >>> import keras
    >>> print(report(keras.layers.GRU(4, name="gru")))
    gru: Keras, until converted
    >>> print(report(GRU(4, name="gru")))
    gru: engine
    >>> print(report(GRU(4, activation="gelu", name="gru")))
    gru: Keras, because activation gelu is not one that the engine has
    """
    found = (layer for layer in _layers(model) if isinstance(layer, keras.layers.RNN))
    return "\n".join(f"{layer.name}: {_verdict(layer)}" for layer in found)


def _verdict(layer: Any) -> str:
    """Say what runs a layer."""
    if type(layer) in _OURS:
        return "Keras, until converted"
    if not isinstance(layer, OnEngine):
        return f"Keras, because it is a {type(layer).__name__}"
    backend: Any = obstacles.BACKEND
    reason = obstacles.in_layer(layer)
    if reason is None:  # where it runs: weights that are there tell the device
        reason = backend.obstacle([variable.value for variable in layer.weights])
    if reason is not None:
        return f"Keras, because {reason}"
    reason = obstacles.in_training(layer)
    return "engine" if reason is None else f"engine; in training Keras, because {reason}"
