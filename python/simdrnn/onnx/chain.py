"""Recognising the recurrent nodes of a trace as layers, each on top of the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto, NodeProto

from simdrnn.onnx.matches import Handoff, final_forms, handoffs, last_forms, same
from simdrnn.onnx.operators import OPERATORS
from simdrnn.onnx.trace import Recurrent, Trace, node_label
from simdrnn.validate import Array

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
    given: Array
    Y: Array
    states: tuple[Array, ...]
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

    def form(self) -> tuple[object, ...]:
        """Return what two runs of one model must agree on."""
        links = [(link.nodes, link.directions, link.handoff) for link in self.links]
        return self.layout, links


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
        raise ValueError("model: expected a recurrent node (RNN, GRU or LSTM), got none")
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
                link = _link(index, node, given) if given.ndim == 3 else None
                if link is not None:
                    below.handoff = handoff
                    break
            if link is None and _join(below, _link(index, node, below.given), met):
                continue
        if link is None or chain is None:
            source = "the output of the layer before" if index else "an input of the model"
            what = f"{source}, (T, B, I), (B, T, I) or (T, I)" if not index else source
            raise _astray(graph, met, node.name, f"{node.attributes.label}: X", what)
        chain.links.append(link)
    if chain is not None:
        _check_outputs(graph, met, chain)
        return chain
    raise AssertionError  # not reached: there is a node


def _model_inputs(met: Trace) -> Iterator[tuple[str, Array]]:
    """Yield the inputs of a model as (T, B, I), with the layout that they then have."""
    for value in met.inputs.values():
        if value.dtype.kind == "f" and value.ndim == 3:
            yield "time first", value
            yield "batch first", value.swapaxes(0, 1)
        if value.dtype.kind == "f" and value.ndim == 2:
            yield "unbatched", value[:, None]


def _link(index: int, node: Recurrent, given: Array) -> Link | None:
    """Return the layer that a node is if it is given `given`, or that turned around in time."""
    direction, Y = node.attributes.direction, node.Y
    if not same(node.call.X, given):
        # Keras and its exporter turn the input around in place of the layer. Lengths would then
        # have to be minded, and are not.
        turned = direction == "forward" and node.call.sequence_lens is None
        if not (turned and same(node.call.X, given[::-1])):
            return None
        direction, Y = "reverse", Y[::-1]
    return Link((index,), (direction,), given, Y, node.states)


def _join(below: Link, other: Link | None, met: Trace) -> bool:
    """Make one layer of two directions of two nodes of the same kind; return whether it is one."""
    if other is None or {*below.directions, *other.directions} != {"forward", "reverse"}:
        return False
    if len(below.nodes) > 1 or below.Y.shape != other.Y.shape:
        return False
    if met.recurrent[below.nodes[0]].attributes.operator != (
        met.recurrent[other.nodes[0]].attributes.operator
    ):
        return False
    first, second = (below, other) if below.directions == ("forward",) else (other, below)
    below.nodes, below.directions = first.nodes + second.nodes, ("forward", "reverse")
    below.Y = np.concatenate([first.Y, second.Y], axis=1)
    below.states = tuple(
        np.concatenate(pair) for pair in zip(first.states, second.states, strict=True)
    )
    return True


def _check_outputs(graph: GraphProto, met: Trace, chain: Chain) -> None:
    """Find how the last layer's output is made; raise if the model puts out anything else."""
    values = {output.name: met.values[output.name] for output in graph.output}
    top = chain.links[-1]
    # What a node puts out as it is is no choice of a form, though it may look like one.
    plain = {node.made for node in met.recurrent}
    chosen = [value for name, value in values.items() if name not in plain]
    top.handoff = _handoff(chain, chosen)
    for name, value in values.items():
        if not any(_equal(value, form) for form in _forms(chain)):
            what = "the output of a layer, its first or last step, or final states"
            raise _astray(graph, met, name, f"output {name!r}", what)


def _handoff(chain: Chain, values: list[object]) -> Handoff:
    """Return how the last layer's output is made, if it is among `values`; else as by default."""
    top = chain.links[-1]
    for equal in (_same_array, _equal):  # without axes of length 1, forms may look alike
        for handoff, output in handoffs(top.Y, top.given):
            form = _laid_out(output, chain.layout)
            if any(equal(value, form) for value in values):
                return handoff
    return Handoff()


def _forms(chain: Chain) -> Iterator[Array]:
    """Yield all that a model of these layers may put out."""
    for link in chain.links:
        yield link.Y
        yield link.Y.transpose(2, 0, 1, 3)
        for handoff, output in handoffs(link.Y, link.given):
            if handoff == link.handoff:
                yield _laid_out(output, chain.layout)
                yield from last_forms(output)
    for place in range(2):
        yield from final_forms(
            [link.states[place] for link in chain.links if place < len(link.states)]
        )


def _laid_out(output: Array, layout: str) -> Array:
    return output.swapaxes(0, 1) if layout == "batch first" else output


def _same_array(value: object, form: Array) -> bool:
    return isinstance(value, np.ndarray) and same(value, form)


def _equal(value: object, form: Array) -> bool:
    """Compare up to axes of length 1."""
    return isinstance(value, np.ndarray) and same(value.squeeze(), form.squeeze())


def _astray(graph: GraphProto, met: Trace, name: str, where: str, what: str) -> ValueError:
    """Return the error for a value that is none of those expected, naming the node to blame."""
    blamed = _blamed(graph, met, name)
    by = "" if blamed is None else f", got what {node_label(blamed)} makes"
    return ValueError(f"{where}: expected {what}{by}; simdrnn.onnx.backend is for other models")


def _blamed(graph: GraphProto, met: Trace, name: str) -> NodeProto | None:
    """Return the node by which a value went astray, or None if the value is the model's input.

    That is the first on its way from recurrent nodes that makes numbers which no recurrent node and
    no input has; if they are only moved wrongly, the one that makes the value.
    """
    makers = {output: node for node in graph.node for output in node.output if output}
    numbers = [*met.inputs.values(), *(node.Y for node in met.recurrent)]
    numbers += [state for node in met.recurrent for state in node.states]
    known = np.concatenate([np.ravel(one).astype(np.float64) for one in numbers])
    blamed, todo, seen = makers.get(name), [name], {name}
    while todo:  # breadth first, so that what is met last is furthest away
        node = makers.get(todo.pop(0))
        if node is None or node.op_type in OPERATORS:
            continue
        made = [met.values[output] for output in node.output if output]
        if any(_has_others(value, known) for value in made):
            blamed = node
        fresh = [one for one in node.input if one not in seen]
        seen.update(fresh)
        todo += fresh
    return blamed


def _has_others(value: object, known: Array) -> bool:
    """Tell whether floats are among `known` and 0 only in part."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return False
    return not np.isin(value[value != 0], known).all()
