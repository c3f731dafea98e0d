"""What nodes read, with the graphs inside them: If, Loop and Scan take values from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import onnx
import onnx.inliner
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

from simdrnn.onnx.operators import OPERATORS

__all__ = [
    "DEFAULT_DOMAINS",
    "every_node",
    "holds_recurrent",
    "inline_recurrent",
    "is_recurrent",
    "names_read",
    "needed_nodes",
    "operator_set",
    "subgraphs",
]

DEFAULT_DOMAINS = ("", "ai.onnx")
"""Two names of one domain."""


def operator_set(model: ModelProto | FunctionProto) -> int:
    """Return the version of the default domain; 0 where nothing of it is imported."""
    versions = [one.version for one in model.opset_import if one.domain in DEFAULT_DOMAINS]
    return int(versions[0]) if versions else 0


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs that are attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def every_node(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from every_node(graph.node)


def names_read(node: NodeProto) -> set[str]:
    """Return the values that a node needs: its inputs, and what its subgraphs take from outside.

    Examples
    --------
    >>> from onnx import helper
    >>> add = helper.make_node("Add", ["x", "inside"], ["y"])
    >>> inner = helper.make_graph([helper.make_node("Neg", ["z"], ["inside"]), add], "g", [], [])
    >>> node = helper.make_node("If", ["cond"], ["y"], then_branch=inner, else_branch=inner)
    >>> sorted(names_read(node))
    ['cond', 'x', 'z']
    """
    found = {name for name in node.input if name}
    for graph in subgraphs(node):
        found |= _free_names(graph)
    return found


def _free_names(graph: GraphProto) -> set[str]:
    known = {one.name for one in graph.input} | {one.name for one in graph.initializer}
    known |= {one.values.name for one in graph.sparse_initializer}
    free: set[str] = set()
    for node in graph.node:
        free |= names_read(node) - known
        known |= set(node.output)
    return free | ({one.name for one in graph.output} - known)


def needed_nodes(
    nodes: Sequence[NodeProto],
    outputs: Iterable[str],
    reads: Callable[[NodeProto], Iterable[str]] = names_read,
) -> list[NodeProto]:
    """Return the nodes that outputs depend on, in order.

    Parameters
    ----------
    nodes : of a graph.
    outputs : names.
    reads : returns the values that a node must be given.
    """
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted.update(reads(node))
            found.append(node)
    return found[::-1]


def is_recurrent(node: NodeProto) -> bool:
    """Tell whether a node runs on our kernels."""
    return node.op_type in OPERATORS and node.domain in DEFAULT_DOMAINS


def holds_recurrent(node: NodeProto) -> bool:
    """Tell whether a node runs on our kernels, or one inside it does."""
    return any(map(is_recurrent, every_node([node])))


def inline_recurrent(model: ModelProto) -> ModelProto:
    """Return a model that has no recurrent nodes in functions of its own: these are written out.

    Raises
    ------
    ValueError : such a function has operators of another set than the model.
    """
    chosen: dict[tuple[str, str], FunctionProto] = {}
    while True:
        more = {
            (one.domain, one.name): one
            for one in model.functions
            if (one.domain, one.name) not in chosen
            and any(
                is_recurrent(node) or (node.domain, node.op_type) in chosen
                for node in every_node(one.node)
            )
        }
        if not more:
            break
        chosen |= more
    if not chosen:
        return model
    for (domain, name), function in chosen.items():
        if operator_set(function) != operator_set(model):
            raise ValueError(
                f"function {name!r} of {domain!r}: expected operator set {operator_set(model)}, as "
                f"the model's, got {operator_set(function)}"
            )
    return onnx.inliner.inline_selected_functions(model, list(chosen))
