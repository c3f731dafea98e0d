"""Sizes that a Reshape leaves open, said where they can only be one.

Exporters join the directions of a layer by ``Reshape`` to ``[0, 0, -1]``. Without rows that is 0 of
anything, and runtimes refuse it, although the axes that are joined have sizes of their own.
"""

from __future__ import annotations

from collections.abc import Container

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from simdrnn.onnx.outputs import light_model
from simdrnn.onnx.subgraphs import DEFAULT_DOMAINS

__all__ = ["settle_reshapes"]


def settle_reshapes(model: ModelProto, declared: Container[str] = ()) -> None:
    """Write sizes in place of -1 into a model, where they follow from those of its inputs.

    Parameters
    ----------
    model : a piece, which is changed.
    declared : inputs whose sizes are what the file says of them, which need not be true.

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import helper
    >>> reshape = helper.make_node("Reshape", ["x", "shape"], ["y"])
    >>> x = helper.make_tensor_value_info("x", 1, ["T", "B", 2, 5])
    >>> shape = onnx.numpy_helper.from_array(np.array([0, 0, -1]), "shape")
    >>> y = helper.make_tensor_value_info("y", 1, None)
    >>> model = helper.make_model(helper.make_graph([reshape], "g", [x], [y], [shape]))
    >>> settle_reshapes(model)
    >>> onnx.numpy_helper.to_array(model.graph.initializer[-1]).tolist()
    [0, 0, 10]
    """
    shapes = {one.name: one for one in model.graph.initializer}
    chosen = [
        (node, onnx.numpy_helper.to_array(shapes[node.input[1]]))
        for node in model.graph.node
        if _copies(node) and node.input[1] in shapes
    ]
    chosen = [(node, wanted) for node, wanted in chosen if 0 in wanted and -1 in wanted]
    if not chosen:
        return
    light = light_model(model)
    light.graph.ClearField("value_info")
    for value in light.graph.input:
        if value.name in declared:
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()
    try:
        inferred = onnx.shape_inference.infer_shapes(light).graph
    except Exception:  # nodes may contradict each other
        return
    for count, (node, wanted) in enumerate(chosen):
        place = wanted.tolist().index(-1)
        size = _size(inferred, node.output[0], len(wanted), place)
        if size:
            settled = wanted.copy()
            settled[place] = size
            name = f"{node.input[1]} settled {count}"
            model.graph.initializer.append(onnx.numpy_helper.from_array(settled, name))
            node.input[1] = name


def _copies(node: NodeProto) -> bool:
    """Tell whether a node is a Reshape to which 0 means the size that is there."""
    return (
        node.op_type == "Reshape"
        and node.domain in DEFAULT_DOMAINS
        and len(node.input) == 2
        and not any(one.name == "allowzero" and one.i for one in node.attribute)
    )


def _size(graph: GraphProto, name: str, rank: int, axis: int) -> int:
    """Return a size of a value; 0 where it is not known."""
    for value in (*graph.value_info, *graph.output):
        if value.name == name and len(value.type.tensor_type.shape.dim) == rank:
            return max(int(value.type.tensor_type.shape.dim[axis].dim_value), 0)
    return 0
