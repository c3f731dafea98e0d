"""Keras's layers and ours side by side, on whatever backend Keras has in this process."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import simdrnn.keras as bridge
from helpers import INFOS, as_tuple
from helpers_keras import our_gradients
from helpers_peers import allowed
from simdrnn.layers.bound import bound_layer

BACKEND = keras.backend.backend()

# Names of cells -> Keras's layer, and its arguments.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "gru_reset_before": ("GRU", {"reset_after": False}),
    "rnn": ("SimpleRNN", {}),
    "rnn_relu": ("SimpleRNN", {"activation": "relu"}),
}


def numbers(values: Any) -> list[Any]:
    """Return tensors, one or several, as arrays."""
    values = values if isinstance(values, (list, tuple)) else [values]
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in values]


def tensor(value: Any) -> Any:
    """Return an array as a tensor; None stays None."""
    return None if value is None else keras.ops.convert_to_tensor(value)


def twins(kind: str, shape: tuple[int, ...], units: int, rng: Any, **arguments: Any) -> list[Any]:
    """Return Keras's layer and ours, with the same weights, biases among them not 0."""
    name, own = KINDS[kind]
    made = [getattr(place, name)(units, **own | arguments) for place in (keras.layers, bridge)]
    for layer in made:
        layer.build(shape)
    bound = 1 / np.sqrt(units)
    values = [rng.uniform(-bound, bound, v.shape) for v in made[0].get_weights()]
    for layer in made:
        layer.set_weights(values)
    return made


def states(kind: str, batch: int, units: int, rng: Any) -> list[Any]:
    """Draw an initial state."""
    count = 2 if kind == "lstm" else 1
    return [rng.standard_normal((batch, units)).astype("float32") for _ in range(count)]


def run_ours(
    layer: Any, x: Any, mask: Any, state: Any, weights_of_loss: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Do what `run` does with the layer of `simdrnn` that has the weights of Keras's.

    Gradients for weights are by our names; see `by_our_names`.
    """
    ours = bridge.from_keras(layer)
    given = None if state is None else [member[None] for member in state]
    given = given if given is None or len(given) > 1 else given[0]
    fill = "zero" if layer.zero_output_for_mask else "hold"
    tape = ours.record(x, given, mask=mask, masked_output=fill)
    d_output, *d_state = weights_of_loss
    output = tape.output
    if not layer.return_sequences:  # in the order of steps, the last one is what Keras returns
        last, d_output = d_output, np.zeros_like(output)
        output, d_output[:, -1] = output[:, -1], last
    d_state = [member[None] for member in d_state]
    grads = tape.backward(d_output, d_state if len(d_state) > 1 else d_state[0])
    gradients = {"x": grads.x} | grads.params
    if state is not None:
        gradients |= {"state": tuple(member[0] for member in as_tuple(grads.state))}
    return [output, *(member[0] for member in as_tuple(tape.state))], gradients


def by_our_names(layer: Any, gradients: list[Any], state: Any) -> dict[str, Any]:
    """Give gradients that `run` returned the form of those of `run_ours`."""
    ours = bridge.from_keras(layer)
    cell = bound_layer(ours).info.name
    count = len(layer.trainable_variables)
    kind = {"l": "LSTM", "g": "GRU", "r": "SimpleRNN"}[cell[0]]
    found = our_gradients(gradients[1 : 1 + count], ours, kind, "".join(INFOS[cell].gate_names))
    named = {"x": gradients[0]} | found
    return named if state is None else named | {"state": tuple(gradients[1 + count :])}


def bound(layer: Any, shape: tuple[int, ...], *, backward: bool = False) -> float:
    """Return how far results for inputs (B, T, I) may lie apart, relative to the largest."""
    ours = bridge.from_keras(layer)
    return allowed(ours, shape[1], shape[0], backward=backward)


def run(
    layer: Any, x: Any, mask: Any, state: Any, weights_of_loss: Any, *, training: bool = False
) -> tuple[list[Any], list[Any]]:
    """Return the outputs of a layer, and gradients for x, the weights and the state.

    The loss is the sum of the outputs times `weights_of_loss`. There are no gradients on NumPy.
    """
    if BACKEND == "torch":
        return _run_torch(layer, x, mask, state, weights_of_loss, training)
    if BACKEND == "jax":
        return _run_jax(layer, x, mask, state, weights_of_loss, training)
    state = None if state is None else [tensor(member) for member in state]
    made = layer(tensor(x), mask=tensor(mask), initial_state=state, training=training)
    return numbers(made), []


def _run_torch(
    layer: Any, x: Any, mask: Any, state: Any, weights_of_loss: Any, training: bool
) -> tuple[list[Any], list[Any]]:
    import torch

    x = torch.tensor(x, requires_grad=True)
    given = [torch.tensor(member, requires_grad=True) for member in state or []]
    made = layer(x, mask=tensor(mask), initial_state=given or None, training=training)
    made = list(made) if isinstance(made, (list, tuple)) else [made]
    layer.zero_grad()
    pairs = zip(made, weights_of_loss, strict=True)
    sum((one * tensor(weight)).sum() for one, weight in pairs).backward()
    found = [x, *(variable.value for variable in layer.trainable_variables), *given]
    return numbers([one.detach() for one in made]), [one.grad.numpy().copy() for one in found]


def _run_jax(
    layer: Any, x: Any, mask: Any, state: Any, weights_of_loss: Any, training: bool
) -> tuple[list[Any], list[Any]]:
    import jax

    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]

    def loss(x: Any, trainable: Any, state: Any) -> Any:
        made, _ = layer.stateless_call(
            trainable, others, x, mask=tensor(mask), initial_state=state, training=training
        )
        made = list(made) if isinstance(made, (list, tuple)) else [made]
        pairs = zip(made, weights_of_loss, strict=True)
        return sum((one * weight).sum() for one, weight in pairs), made

    given = None if state is None else [tensor(member) for member in state]
    compiled = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (_, made), gradients = compiled(tensor(x), trainable, given)
    return numbers(made), numbers(jax.tree.leaves(gradients))
