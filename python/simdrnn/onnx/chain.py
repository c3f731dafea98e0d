"""Recognising the recurrent nodes of a trace as layers, each on top of the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from onnx import GraphProto

from simdrnn.onnx.calls import node_label
from simdrnn.onnx.matches import Handoff, final_forms, handoffs, joined, last_forms
from simdrnn.onnx.meeting import Recurrent
from simdrnn.onnx.trace import Trace
from simdrnn.onnx.values import (
    Tensor,
    Unknown,
    Value,
    same,
    same_up_to_ones,
    transpose,
    turn,
    unsqueeze,
)

__all__ = ["Chain", "Link", "recognise"]


@dataclass(eq=False)
class Link:
    """One layer: a recurrent node, or two that are its directions.

    Parameters
    ----------
    nodes : indices of the recurrent nodes, forward first.
    directions : of the nodes, as the layer runs.
    given : (T, B, I), what the layer is given.
    Y, states : (T, D, B, H) and (D, B, H) each, what it gives out, every step at its time.
    handoff : how its output is made of that.
    """

    nodes: tuple[int, ...]
    directions: tuple[str, ...]
    given: Tensor
    Y: Tensor
    states: tuple[Tensor, ...]
    handoff: Handoff = field(default_factory=Handoff)


@dataclass(eq=False)
class Chain:
    """The layers of a model.

    Parameters
    ----------
    links : the layers, the first one first.
    layout : ``"time first"``, ``"batch first"`` or ``"unbatched"``, of the model's input.
    """

    links: list[Link]
    layout: str


def recognise(graph: GraphProto, met: Trace) -> Chain:
    """Return the layers that the recurrent nodes of a graph are.

    Parameters
    ----------
    graph : of the model.
    met : a run of it.

    Raises
    ------
    ValueError : there is no recurrent node; one is not given what the layer before puts out, or the
        model puts out something else. The message names the node where it went astray.
    """
    if not met.recurrent:
        for name, value in met.values.items():
            if isinstance(value, Unknown) and value.label.startswith("node"):
                raise _astray(graph, value, name, "model", "recurrent nodes")
        raise ValueError("path_or_model: expected a recurrent node (RNN, GRU or LSTM), got none")
    chain: Chain | None = None
    for index, node in enumerate(met.recurrent):
        link = None
        if chain is None:
            for layout, given in _model_inputs(met):
                link = _link(index, node, given)
                if link is not None:
                    chain = Chain([], layout)
                    break
        else:
            below = chain.links[-1]
            for handoff, given in handoffs(below.Y, below.given):
                link = _link(index, node, given)
                if link is not None:
                    below.handoff = handoff
                    break
            if link is None and _join(below, _link(index, node, below.given), met):
                continue
        if link is None or chain is None:
            source = "the output of the layer before" if index else "an input of the model"
            what = f"{source}, (T, B, I), (B, T, I) or (T, I)" if not index else source
            maker = node.node.input[0]
            raise _astray(graph, node.X, maker, f"{node.attributes.label}: X", what)
        chain.links.append(link)
    if chain is not None:
        _check_outputs(graph, met, chain)
        return chain
    raise AssertionError  # not reached: there is a node


def _model_inputs(met: Trace) -> Iterator[tuple[str, Tensor]]:
    """Yield the inputs of a model as (T, B, I), with the layout that they then have."""
    for value in met.inputs.values():
        if not isinstance(value, Tensor) or value.dtype.kind != "f":
            continue
        if value.ndim == 3:
            yield "time first", value
            yield "batch first", transpose(value, (1, 0, 2))
        if value.ndim == 2:
            yield "unbatched", unsqueeze(value, 1)


def _link(index: int, node: Recurrent, given: Tensor) -> Link | None:
    """Return the layer that a node is if it is given `given`, or that turned around in time."""
    direction, Y = node.attributes.direction, node.Y
    if given.ndim != 3 or not isinstance(Y, Tensor):
        return None
    if not same(node.X, given):
        # Keras and its exporter turn the input around in place of the layer. Lengths would then
        # have to be minded, and are not.
        turned = direction == "forward" and node.sequence_lens is None
        if not (turned and same(node.X, turn(given, 0))):
            return None
        direction, Y = "reverse", turn(Y, 0)
    states = tuple(one for one in node.states if isinstance(one, Tensor))
    return Link((index,), (direction,), given, Y, states)


def _join(below: Link, other: Link | None, met: Trace) -> bool:
    """Make one layer of two directions of two nodes of the same kind; return whether it is one."""
    if other is None or {*below.directions, *other.directions} != {"forward", "reverse"}:
        return False
    if len(below.nodes) > 1 or below.Y.axes != other.Y.axes or below.Y.dtype != other.Y.dtype:
        return False
    if met.recurrent[below.nodes[0]].attributes.operator != (
        met.recurrent[other.nodes[0]].attributes.operator
    ):
        return False
    first, second = (below, other) if below.directions == ("forward",) else (other, below)
    below.nodes, below.directions = first.nodes + second.nodes, ("forward", "reverse")
    below.Y = joined([first.Y, second.Y], 1)
    below.states = tuple(
        joined([*pair], 0) for pair in zip(first.states, second.states, strict=True)
    )
    return True


def _check_outputs(graph: GraphProto, met: Trace, chain: Chain) -> None:
    """Find how the last layer's output is made; raise if the model puts out anything else."""
    values = {output.name: met.values.get(output.name) for output in graph.output}
    top = chain.links[-1]
    # What a node puts out as it is is no choice of a form, though it may look like one.
    plain = {node.node.output[0] for node in met.recurrent}
    chosen = [value for name, value in values.items() if name not in plain]
    top.handoff = _handoff(chain, chosen)
    for name, value in values.items():
        if not any(same_up_to_ones(value, form) for form in _forms(chain)):
            what = "the output of a layer, its first or last step, or final states"
            raise _astray(graph, value, name, f"output {name!r}", what)


def _handoff(chain: Chain, values: list[Value]) -> Handoff:
    """Return how the last layer's output is made, if it is among `values`; else as by default."""
    top = chain.links[-1]
    equals: tuple[Callable[[Value, Value], bool], ...] = (same, same_up_to_ones)
    for equal in equals:  # without axes of length 1, forms may look alike
        for handoff, output in handoffs(top.Y, top.given):
            form = _laid_out(output, chain.layout)
            if any(equal(value, form) for value in values):
                return handoff
    return Handoff()


def _forms(chain: Chain) -> Iterator[Tensor]:
    """Yield all that a model of these layers may put out."""
    for link in chain.links:
        yield link.Y
        yield transpose(link.Y, (2, 0, 1, 3))
        for handoff, output in handoffs(link.Y, link.given):
            if handoff == link.handoff:
                yield _laid_out(output, chain.layout)
                yield from last_forms(output)
    for place in range(2):
        yield from final_forms(
            [link.states[place] for link in chain.links if place < len(link.states)]
        )


def _laid_out(output: Tensor, layout: str) -> Tensor:
    if layout != "batch first":
        return output
    return transpose(output, (1, 0, *range(2, output.ndim)))


def _astray(graph: GraphProto, value: Value, name: str, where: str, what: str) -> ValueError:
    """Return the error for a value that is none of those expected, naming the node to blame.

    Parameters
    ----------
    value, name : of what was met, and in the graph.
    where, what : beginning of the message, and what was expected.
    """
    if isinstance(value, Unknown) and value.other:
        return ValueError(
            f"{value.label}: expected recurrent nodes and what moves or joins values around them"
            f"{f', got {value.why}' if value.why else ''}; simdrnn.onnx.backend is for other "
            "models, node= takes one layer out of them"
        )
    makers = {output: node for node in graph.node for output in node.output if output}
    by = ""
    if isinstance(value, Unknown):
        by = f", got {value}"
    elif name in makers:
        by = f", got what {node_label(makers[name])} makes"
    return ValueError(
        f"{where}: expected {what}{by}; simdrnn.onnx.backend is for other models, node= takes one "
        "layer out of them"
    )
