"""What the outputs of a model are, as far as it follows from its nodes: types, sizes, their names.

ONNX Runtime is asked where it is there, so that it is as that shows it, and else onnx. Weights are
not needed for it: of those that no shape can depend on the types are enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto

from simdrnn.onnx.pieces import runtime_installed, runtime_outputs
from simdrnn.onnx.types import Argument, argument

__all__ = ["light_model", "shown_outputs"]

_LARGE = 1024  # bytes of a tensor


def light_model(model: ModelProto) -> ModelProto:
    """Return a model without its large initializers: they are inputs."""
    light = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = "types"
    for field in ("input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(model.graph, field))
    large = {one.name: one for one in model.graph.initializer if _is_large(one)}
    light.graph.initializer.extend(one for one in model.graph.initializer if not _is_large(one))
    for node in model.graph.node:
        tensor = node.attribute[0].t if node.op_type == "Constant" and node.attribute else None
        if tensor is not None and _is_large(tensor):
            large[node.output[0]] = tensor
        else:
            light.graph.node.append(node)
    listed = {one.name for one in model.graph.input}
    for name, tensor in large.items():
        if name not in listed:
            kind = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            light.graph.input.append(ValueInfoProto(name=name, type=kind))
    return light


def _is_large(tensor: TensorProto) -> bool:
    return len(tensor.dims) > 1 or tensor.ByteSize() > _LARGE


def shown_outputs(light: ModelProto, names: Sequence[str]) -> list[Argument]:
    """Return the outputs of a light model.

    Parameters
    ----------
    light : made by `light_model`.
    names : of its outputs.
    """
    if runtime_installed():
        shown = runtime_outputs(light)
        if shown is not None:
            return [Argument(one.name, list(one.shape), one.type) for one in shown]
    try:
        found = onnx.shape_inference.infer_shapes(light, data_prop=True).graph.output
    except Exception:  # what a model says of its values may contradict itself
        found = light.graph.output
    inferred = {one.name: one for one in found}
    return [argument(inferred[name]) for name in names]
