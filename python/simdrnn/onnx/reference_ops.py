"""onnx's evaluator for the nodes that are not ours, where ONNX Runtime is not installed.

Its implementations were held against ONNX Runtime's, operator by operator and set by set. Where
they differed ours stand in their place (`simdrnn.onnx.replaced_ops`) or the node is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import onnx
from onnx import FunctionProto, ModelProto, NodeProto
from onnx.reference import ReferenceEvaluator

from simdrnn.onnx.calls import node_label
from simdrnn.onnx.replaced_ops import replacements
from simdrnn.onnx.subgraphs import DEFAULT_DOMAINS, every_node, operator_set

__all__ = ["REFUSED", "Evaluator", "Refused", "check_refused"]


class Evaluator(ReferenceEvaluator):
    """onnx's evaluator with our operators, in a model's own functions and subgraphs, too.

    It makes evaluators of its own class for functions, but hands them no operators.
    """

    def __init__(
        self,
        proto: Any,
        opsets: dict[str, int] | None = None,
        *,
        new_ops: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(proto, (ModelProto, FunctionProto)):
            version = operator_set(proto)
        else:
            version = (opsets or {}).get("", onnx.defs.onnx_opset_version())
        ours = replacements(version)
        super().__init__(proto, opsets=opsets, new_ops=[*ours, *(new_ops or ())], **kwargs)


class Refused(NamedTuple):
    """What onnx's evaluator is known to get wrong, and nobody else here does.

    Parameters
    ----------
    name : of the operator.
    since, until : operator sets, the last one not in it.
    form : tells whether a node is of the form that is wrong.
    what : of the node is wrong, for the message.
    """

    name: str
    since: int
    until: int
    form: Callable[[NodeProto], bool]
    what: str


def _number(node: NodeProto, name: str, default: int) -> int:
    return next((int(one.i) for one in node.attribute if one.name == name), default)


def _has_more_outputs(node: NodeProto) -> bool:
    return sum(map(bool, node.output)) > 1


_NEVER = 10**6


def _spread(node: NodeProto) -> bool:
    """Tell whether a pool has gaps and padding by name, of which implementations differ."""
    listed = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    named = listed.get("auto_pad", b"") in (b"SAME_UPPER", b"SAME_LOWER")
    return named and max(listed.get("dilations", [1])) > 1


REFUSED: tuple[Refused, ...] = (
    Refused("Dropout", 1, 12, _has_more_outputs, "with its mask"),
    Refused("MaxPool", 1, _NEVER, _spread, "with dilations and auto_pad"),
    Refused("AveragePool", 1, _NEVER, _spread, "with dilations and auto_pad"),
    Refused("LpPool", 1, _NEVER, _spread, "with dilations and auto_pad"),
    Refused("BatchNormalization", 1, 7, lambda node: True, "in this set"),
    Refused("BatchNormalization", 7, 14, _has_more_outputs, "with the outputs of training"),
    Refused(
        "BatchNormalization", 7, 9, lambda node: not _number(node, "spatial", 1), "with spatial=0"
    ),
)
"""Nodes that are refused, each by a test."""


def check_refused(model: ModelProto) -> None:
    """Raise if onnx's evaluator is known to get a node wrong.

    Raises
    ------
    NotImplementedError : a node is one of `REFUSED`.
    """
    parts: list[tuple[int, Any]] = [(operator_set(model), model.graph.node)]
    parts += [(operator_set(function), function.node) for function in model.functions]
    for version, nodes in parts:
        for node in every_node(nodes):
            for one in REFUSED if node.domain in DEFAULT_DOMAINS else ():
                if one.name == node.op_type and one.since <= version < one.until and one.form(node):
                    raise NotImplementedError(
                        f"{node_label(node)}: expected ONNX Runtime for {node.op_type} of operator "
                        f"set {version} {one.what}, which onnx's own implementation gets wrong: "
                        "pip install onnxruntime"
                    )
