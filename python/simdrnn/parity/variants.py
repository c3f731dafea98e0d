"""What goes wrong most often between two packages, as changes of a layer of ours.

Each variant is one mistake: gates taken in another order, a bias left out, axes swapped. A layer
with the mistake that was made computes what the other side computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from simdrnn.dialects import DIALECTS, gate_order, permute_gates
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.cells import cell_of
from simdrnn.validate import Array

__all__ = ["Run", "Variant", "variants_of"]

Values = dict[str, Array]

# Runs a layer on x and initial states; the output has the axes of x.
Run = Callable[[RecurrentLayer, Array, Any], Array]

# Of more gates than this only the orders of known packages are tried: 4! = 24, 5! = 120.
_MOST_GATES = 4


class Variant(NamedTuple):
    """One mistake.

    Parameters
    ----------
    kind : of two mistakes of one kind only one is tried at once.
    text : completes "they agree if ...".
    change : makes other parameters of ours.
    arguments : of the constructor, that differ.
    run : replaces the usual run.
    """

    kind: str
    text: str
    change: Callable[[Values], Values] | None = None
    arguments: Mapping[str, Any] = {}
    run: Run | None = None


def _has_rows(name: str) -> bool:
    """Tell whether a parameter has a block of rows for each gate."""
    return name.startswith(("weight_ih", "weight_hh", "bias_"))


def _map(values: Values, change: Callable[[Array], Array], starts: tuple[str, ...]) -> Values:
    """Change the parameters whose names start so."""
    return {n: change(one) if n.startswith(starts) else one for n, one in values.items()}


def _reorder(values: Values, order: str, gates: str) -> Values:
    """Take the rows for gates in `order`."""
    return {
        name: permute_gates(one, order, gates) if _has_rows(name) else one
        for name, one in values.items()
    }


def _scale_gate(gates: str, gate: str, factor: float, shift: float) -> Callable[[Array], Array]:
    """Return what multiplies the rows of one gate, and adds to them."""

    def change(array: Array) -> Array:
        blocks = np.split(array.copy(), len(gates))
        block = blocks[gates.index(gate)]
        block[...] = factor * block + shift
        return np.concatenate(blocks)

    return change


def _transpose(gates: str, array: Array) -> Array:
    """Transpose the square block of each gate."""
    return np.concatenate([block.T for block in np.split(array, len(gates))])


def _join_candidate_biases(values: Values, gates: str) -> Values:
    """Add the recurrent bias of n to the other."""
    joined = dict(values)
    for name, bias in values.items():
        if name.startswith("bias_hh"):
            other = name.replace("bias_hh", "bias_ih")
            keep = np.repeat([gate != "n" for gate in gates], len(bias) // len(gates))
            joined[other] = values[other] + np.where(keep, 0, bias)
            joined[name] = np.where(keep, bias, 0)
    return joined


def _swap_directions(values: Values) -> Values:
    """Exchange the weights of both directions."""

    def other(name: str) -> str:
        return name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"

    return {name: values[other(name)] for name in values}


def _inverse(order: str, gates: str) -> str:
    """Return the order that takes the other side's rows back."""
    return "".join(gates[order.index(gate)] for gate in gates)


def _orders(layer: RecurrentLayer, gates: str) -> Iterator[Variant]:
    """Yield every other order of gates, known ones and what undoes them first."""
    cell = cell_of(layer)
    known: dict[str, list[str]] = {}
    for name, dialect in DIALECTS.items():
        if cell is not None and cell[0] in dialect.layouts:
            known.setdefault(gate_order(name, cell[0]), []).append(name)
    ours = [order for order in known if sorted(order) == sorted(gates)]
    orders = [*ours, *(_inverse(order, gates) for order in ours)]
    if len(gates) <= _MOST_GATES:
        orders += map("".join, permutations(gates))
    for order in dict.fromkeys(orders):
        if order == gates:
            continue
        text = f"the rows of ours are taken for gates {', '.join(order)} instead of "
        text += ", ".join(gates)
        back = _inverse(order, gates)
        if order in known:
            text += f", the order of {', '.join(known[order])}"
        elif back in known:
            text += (
                f", or those of theirs for gates {', '.join(back)}, the order of "
                f"{', '.join(known[back])}"
            )
        yield Variant("gates", text, partial(_reorder, order=order, gates=gates))


def _of_biases(layer: RecurrentLayer, gates: str) -> Iterator[Variant]:
    """Yield what can be wrong with biases."""
    if not layer.bias:
        return
    for starts, text in (
        (("bias_hh",), "recurrent biases (bias_hh) are left out"),
        (("bias_ih",), "input biases (bias_ih) are left out"),
        (("bias_",), "all biases are left out"),
    ):
        yield Variant("bias", text, partial(_map, change=np.zeros_like, starts=starts))
    if bound_layer(layer).info.name == "gru":
        yield Variant(
            "bias",
            "the recurrent bias of n is added to its input bias, where the reset gate does not "
            "act on it",
            partial(_join_candidate_biases, gates=gates),
        )
    if "f" in gates:
        for shift, text in ((1.0, "added to"), (-1.0, "taken from")):
            add = _scale_gate(gates, "f", 1.0, shift)
            yield Variant(
                "forget bias",
                f"1 is {text} the forget gate's bias; haiku and tf1 add it when they run",
                partial(_map, change=add, starts=("bias_ih",)),
            )


def _of_cells(layer: RecurrentLayer, gates: str) -> Iterator[Variant]:
    """Yield other equations."""
    info = bound_layer(layer).info
    name = info.name
    if name in ("gru", "gru_reset_before"):
        flip = _scale_gate(gates, "z", -1.0, 0.0)
        yield Variant(
            "z",
            "z weighs the candidate instead of the old state (all weights of z are negated), as "
            "in haiku",
            partial(_map, change=flip, starts=("weight_ih", "weight_hh", "bias_")),
        )
        form = name != "gru"
        yield Variant("reset", f"ours has reset_after={form}", arguments={"reset_after": form})
    if name.startswith("rnn_"):
        other = "tanh" if name == "rnn_relu" else "relu"
        yield Variant("activation", f"ours has {other}", arguments={"nonlinearity": other})
    sigmoids = "sigmoid" in info.default_activations[: info.gates]
    if sigmoids and layer.options.recurrent_activation is None:
        for chosen in ("hard_sigmoid", "keras_hard_sigmoid"):
            yield Variant(
                "activation",
                f"gates have {chosen}",
                arguments={"recurrent_activation": chosen},
            )


def _of_layout(layer: RecurrentLayer, gates: str) -> Iterator[Variant]:
    """Yield what can be wrong with the form of weights."""
    turn = partial(_transpose, gates)
    if layer.weight_hh_l0.shape[1] == layer.hidden_size > 1:
        yield Variant(
            "recurrent weights",
            "each gate's block of recurrent weights is transposed",
            partial(_map, change=turn, starts=("weight_hh",)),
        )
    if layer.input_size == layer.hidden_size > 1 and layer.num_layers == 1:
        yield Variant(
            "input weights",
            "each gate's block of input weights is transposed",
            partial(_map, change=turn, starts=("weight_ih",)),
        )
    if layer.bidirectional:
        yield Variant("directions", "both directions are exchanged", _swap_directions)


def _plain(layer: RecurrentLayer, x: Array, state: Any) -> Array:
    return layer(x, state)[0]


def _swapped(layer: RecurrentLayer, x: Array, state: Any) -> Array:
    """Run over what is the batch."""
    return layer(np.ascontiguousarray(x.swapaxes(0, 1)))[0].swapaxes(0, 1)


def _backwards(layer: RecurrentLayer, x: Array, state: Any, keep_order: bool) -> Array:
    """Run from the last step to the first."""
    axis = 1 if layer.batch_first else 0
    output = layer(np.ascontiguousarray(np.flip(x, axis)), state)[0]
    return np.flip(output, axis) if keep_order else output


def _of_runs(has_state: bool) -> Iterator[Variant]:
    """Yield other ways to run the layer."""
    if has_state:
        yield Variant(
            "run",
            "ours begins with states of zeros",
            run=lambda layer, x, state: _plain(layer, x, None),
        )
    yield Variant("run", "the axes of time and batch are swapped", run=_swapped)
    for keep, text in ((True, ""), (False, " and its outputs stay in that order")):
        yield Variant(
            "run",
            f"ours takes the steps from the last to the first{text}",
            run=partial(_backwards, keep_order=keep),
        )


def variants_of(layer: RecurrentLayer, has_state: bool) -> list[Variant]:
    """Return all mistakes that a layer allows.

    Parameters
    ----------
    layer : ours.
    has_state : whether it was given initial states.
    """
    info = bound_layer(layer).info
    gates = "".join(info.gate_names)
    found: list[Variant] = []
    if len(gates) == info.gates:  # one letter each
        found += _orders(layer, gates)
        found += _of_biases(layer, gates)
        found += _of_cells(layer, gates)
        found += _of_layout(layer, gates)
    return [*found, *_of_runs(has_state)]
