"""RNN, GRU and LSTM for onnx's reference evaluator, on our kernels.

The layers of a node are made when it first runs and kept as long as its weights stay the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.onnx.attributes import NodeAttributes
from simdrnn.onnx.node import NodeCall, make_layers, run_layers
from simdrnn.onnx.operators import ARGUMENTS
from simdrnn.onnx.trace import node_label
from simdrnn.onnx.weights import NodeWeights
from simdrnn.validate import Array

__all__ = ["Evaluator"]


class _Recurrent(OpRun):
    """One recurrent node."""

    op_domain = ""

    def __init__(
        self, onnx_node: NodeProto, run_params: dict[str, Any], schema: Any = None
    ) -> None:
        super().__init__(onnx_node, run_params, schema)
        self._made: tuple[NodeAttributes, tuple[Array | None, ...], list[RecurrentLayer]] | None = (
            None
        )

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Array, ...]:
        """Run the node; attributes may come from the function that it is in."""
        given: dict[str, Any] = dict.fromkeys(ARGUMENTS)
        # An input without a name is none, whatever the evaluator has under no name.
        named = zip(ARGUMENTS, self.onnx_node.input, inputs, strict=False)
        given |= {place: array for place, name, array in named if name}
        node = NodeAttributes.parse(node_label(self.onnx_node), self.op_type, attributes)
        weights = NodeWeights(given["W"], given["R"], given["B"], given["P"])
        layers = self._layers(node, weights)
        call = NodeCall(*(given[name] for name in NodeCall._fields))
        return run_layers(layers, node, call)[: len(self.onnx_node.output)]

    def _layers(self, node: NodeAttributes, weights: NodeWeights) -> list[RecurrentLayer]:
        """Return the layers of the node, made anew if anything changed."""
        if self._made is not None:
            before, kept, layers = self._made
            if before == node and all(map(_unchanged, kept, weights)):
                return layers
        weights.check(node.label, node.operator, node.directions, node.hidden_size)
        layers = make_layers(node, weights)
        W, R, B, P = (one if one is None or _fixed(one) else one.copy() for one in weights)
        self._made = node, (W, R, B, P), layers
        return layers


def _fixed(array: Array) -> bool:
    """Tell whether nobody can change an array: it owns its memory and cannot be written to."""
    return array.base is None and not array.flags.writeable


def _unchanged(kept: Array | None, given: Array | None) -> bool:
    if kept is None or given is None:
        return kept is given
    if kept is given:
        return True
    return kept.dtype == given.dtype and np.array_equal(kept, given)


class RNN(_Recurrent):
    """An RNN node; the evaluator finds it by the name of the class."""


class GRU(_Recurrent):
    """A GRU node."""


class LSTM(_Recurrent):
    """An LSTM node."""


class Evaluator(ReferenceEvaluator):
    """onnx's evaluator with our recurrent nodes, in a model's own functions and subgraphs, too.

    It makes evaluators of its own class for functions, but hands them no operators.
    """

    def __init__(self, proto: Any, *, new_ops: list[Any] | None = None, **kwargs: Any) -> None:
        super().__init__(proto, new_ops=[RNN, GRU, LSTM, *(new_ops or ())], **kwargs)
