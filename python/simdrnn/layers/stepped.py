"""What a layer is to those who step it without Python, in plain JSON values.

It says what the engine is given, by the engine's own names: networks with their options, which of a
file's arrays their parameters are, and how networks are joined. `csrc/files/model_file.cpp` reads
it; `docs/c_api.md` shows one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from simdrnn.engine.compiled import Network, option_values
from simdrnn.engine.protocol import ParameterArrays
from simdrnn.engine.streaming import Nodes
from simdrnn.layers.bound import BoundLayer
from simdrnn.spec.options import Options

__all__ = [
    "add_layer",
    "chained",
    "gate_of",
    "graph_of",
    "named",
    "refused",
    "stage_of",
]

FORMAT = 1  # of the description; a reader refuses what is newer

# What acts in training alone.
_TRAINING = {
    "dropout", "input_dropout", "recurrent_dropout", "recurrent_dropout_per_gate",
    "candidate_dropout", "state_noise", "step_grad_clip", "step_grad_norm",
}  # fmt: skip


class _Named:
    """Stands in for an array of a file where what engines are given is put together.

    Parameters
    ----------
    source : what the description says of it.
    """

    def __init__(self, source: object) -> None:
        self.source = source

    def __add__(self, other: _Named) -> _Named:
        """Say that two are added."""
        return _Named({"sum": [self.source, other.source]})

    def reshape(self, rows: int, _: int) -> list[_Named]:
        """Say what its rows are."""
        return [_Named({"row": [self.source, row, rows]}) for row in range(rows)]


class _Network:
    """Stands in for a packed network among the nodes of a stream.

    Parameters
    ----------
    described : what `network_of` returned.
    """

    def __init__(self, described: dict[str, Any]) -> None:
        self.described = described


def gate_of(cell: str, options: Options, features: int, given: ParameterArrays) -> Any:
    """Return what stands in for the network of a gate, of `named` parameters."""
    own = [described_pass(given)]
    return _Network(network_of(cell, options, (features, features, 0), own))


def network_of(
    cell: str, options: Options, sizes: Sequence[int], passes: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return what a network is, of sizes (I, H, P or 0), with a pass for each layer."""
    values = {k: v for k, v in option_values(cell, options).items() if k not in _TRAINING}
    names = ("input_size", "hidden_size", "projected_size")
    found = {"cell": cell, **dict(zip(names, sizes, strict=True)), "layers": len(passes)}
    return found | {"options": values, "passes": list(passes)}


def add_layer(nodes: Nodes, bound: BoundLayer, given: int, prefix: str = "") -> int:
    """Add a layer, whose parameters have names that begin with `prefix`, on top of a value.

    Raises
    ------
    ValueError : it cannot be stepped.
    """
    _check_steps(bound)
    passes = [_pass(bound, index, prefix) for index in range(len(bound.passes))]
    initial = tuple([[prefix + one.name for one in state] for state in bound.learned_specs])
    sizes = bound.sizes
    hidden = (sizes.hidden_size, sizes.projected_size)

    def network(size: int, own: Sequence[dict[str, Any]]) -> _Network:
        return _Network(network_of(bound.info.name, bound.options, (size, *hidden), own))

    packed: Any = network(sizes.input_size, passes)
    if bound.structure.composed:  # of networks of one layer each
        packed = copy.copy(bound.network)
        inputs = [sizes.input_size] + [bound.width] * (sizes.num_layers - 1)
        packed.packed = [network(size, [one]) for size, one in zip(inputs, passes, strict=True)]
    state_sizes = tuple(bound.checks.state_sizes)
    return nodes.network(packed, given, sizes.num_layers, state_sizes, cast("Any", initial) or None)


def graph_of(bound: BoundLayer, prefix: str = "") -> dict[str, Any]:
    """Return the stage that a layer is, whose parameters have names that begin with `prefix`."""
    nodes = Nodes(bound.sizes.input_size)
    add_layer(nodes, bound, 0, prefix)
    return stage_of(nodes)


def stage_of(nodes: Nodes) -> dict[str, Any]:
    """Return the stage that the nodes are."""
    made = []
    for node in nodes.made:
        found: dict[str, Any] = {"operation": node.operation, "inputs": node.inputs}
        if node.packed is not None:
            network = cast("_Network", node.packed)
            found |= {"network": network.described, "initial": node.initial or []}
        made.append(found)
    return {"kind": "graph", "nodes": made}


def chained(
    dtype: np.dtype[Any], input_size: int, stages: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return what stages are, one after the other."""
    found = {"format": FORMAT, "dtype": dtype.name, "input_size": input_size}
    return found | {"stages": list(stages)}


def refused(why: object) -> dict[str, Any]:
    """Return what stands in a file in place of what cannot be stepped: why."""
    return {"format": FORMAT, "refused": str(why)}


def _check_steps(bound: BoundLayer) -> None:
    """Raise where a layer cannot be stepped."""
    if not issubclass(bound.engine, Network):
        raise ValueError("engine: expected a compiled layer, got one of simdrnn.reference")
    if bound.sizes.num_directions == 2:
        raise ValueError("bidirectional: expected False, got a layer that needs the steps to come")
    if bound.structure.reverse:
        raise ValueError("reverse: expected False, got a layer that begins with the last step")


def _pass(bound: BoundLayer, index: int, prefix: str) -> dict[str, Any]:
    """Return which arrays the engine is given for a layer."""
    names = bound.passes.names[index]
    arrays = {
        name: _Named({"repeat": prefix + name} if bound.passes.is_shared(name) else prefix + name)
        for name in names
    }
    given = bound.passes.of_pass(cast("Any", arrays), index)
    return described_pass(given)


def described_pass(given: ParameterArrays) -> dict[str, Any]:
    """Return the sources of what an engine is given, None where it has none."""

    def source(value: Any) -> Any:
        return None if value is None else value.source

    sources: dict[str, Any] = {
        name: source(one) for name, one in given._asdict().items() if name != "cell_parameters"
    }
    return sources | {"cell_parameters": [source(one) for one in given.cell_parameters]}


def named(name: str) -> Any:
    """Return what stands in for the array of that name."""
    return _Named(name)
