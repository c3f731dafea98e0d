"""ONNX models for tests of the bridge: recurrent nodes, graphs as exporters write them, running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import as_tuple

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
helper = onnx.helper

# The file version that came with each operator set.
_IR_VERSIONS = {7: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 18: 8, 21: 10, 22: 10}
_TYPES = {"float32": 1, "float64": 11, "int32": 6, "int64": 7, "bool": 9}


def value_info(name: str, dtype: Any, shape: Sequence[Any]) -> Any:
    """Describe an input or output; letters are free sizes."""
    return helper.make_tensor_value_info(name, _TYPES[str(np.dtype(dtype))], list(shape))


def make_model(
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, Any, Sequence[Any]]],
    outputs: Sequence[tuple[str, Any, Sequence[Any]]],
    constants: Mapping[str, Any] | None = None,
    opset: int = 14,
    as_nodes: bool = False,
) -> Any:
    """Return a checked model.

    Parameters
    ----------
    inputs, outputs : name, dtype and shape of each.
    constants : arrays by name.
    as_nodes : whether constants are Constant nodes, not initializers.
    """
    tensors = [
        onnx.numpy_helper.from_array(np.asarray(array), name)
        for name, array in (constants or {}).items()
    ]
    before = [helper.make_node("Constant", [], [one.name], value=one) for one in tensors]
    infos = [value_info(*one) for one in inputs]
    if opset < 9 and not as_nodes:  # files of version 3 list initializers among the inputs
        infos += [value_info(one.name, array_dtype(one), one.dims) for one in tensors]
    graph = helper.make_graph(
        [*(before if as_nodes else ()), *nodes],
        "test",
        infos,
        [value_info(*one) for one in outputs],
        [] if as_nodes else tensors,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=_IR_VERSIONS[opset],
    )
    onnx.checker.check_model(model)
    return model


def external_model(folder: Path) -> tuple[Path, Path]:
    """Write an LSTM(4, 5, seed=0) whose tensors are in a file beside it; return both paths."""
    from simdrnn.onnx import save

    path = folder / "model.onnx"
    save(sr.LSTM(4, 5, seed=0), path)
    onnx.save_model(
        onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    return path, folder / "weights.bin"


def array_dtype(tensor: Any) -> Any:
    """Return the dtype of a tensor."""
    return helper.tensor_dtype_to_np_dtype(tensor.data_type)


def node_model(
    operator: str,
    parameters: Mapping[str, Any],
    attributes: Mapping[str, Any],
    fed: Mapping[str, Any],
    *,
    constants: Mapping[str, Any] | None = None,
    opset: int = 14,
    as_nodes: bool = False,
) -> Any:
    """Return a model of one recurrent node with Y and final states as its outputs.

    Parameters
    ----------
    parameters : W, R, and B and P where there are any.
    fed : X and what else is an input of the model, for dtypes and numbers of axes.
    constants : what else is a constant, by the operator's names.
    """
    places = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    constants = {**parameters, **(constants or {})}
    given = {*constants, *fed}
    names = [name if name in given else "" for name in places]
    while not names[-1]:
        names.pop()
    D, _, H = parameters["R"].shape
    finals = ["Y_h", "Y_c"] if operator == "LSTM" else ["Y_h"]
    batch_first = attributes.get("layout", 0)
    state = ["B", D, H] if batch_first else [D, "B", H]
    shapes = {
        "X": [*("BT" if batch_first else "TB"), parameters["W"].shape[2]],
        "sequence_lens": ["B"],
        "initial_h": state,
        "initial_c": state,
    }
    dtype = parameters["R"].dtype
    Y = ["B", "T", D, H] if batch_first else ["T", D, "B", H]
    node = helper.make_node(
        operator, names, ["Y", *finals], "the node", hidden_size=H, **attributes
    )
    return make_model(
        [node],
        [(name, array.dtype, shapes[name]) for name, array in fed.items()],
        [("Y", dtype, Y), *((name, dtype, state) for name in finals)],
        constants,
        opset,
        as_nodes,
    )


def run_onnx(model: Any, fed: Mapping[str, Any]) -> list[Any]:
    """Run a model, or a file, on ONNX Runtime."""
    runtime = pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    source = model.SerializeToString() if hasattr(model, "SerializeToString") else str(model)
    session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(fed)))


def run_chain(
    layers: Any, x: Any, states: Sequence[Any] | None = None, lengths: Any = None
) -> tuple[Any, list[tuple[Any, ...]]]:
    """Run a layer, or a list of which each takes the output of the one before.

    Parameters
    ----------
    states : of all layers, (L*D, B, H) each, or None.

    Returns
    -------
    output, and the final states of each layer.
    """
    finals, row = [], 0
    for layer in layers if isinstance(layers, list) else [layers]:
        own = None
        if states is not None:
            rows = layer.num_layers * (2 if layer.bidirectional else 1)
            own = tuple(state[row : row + rows] for state in states)
            own, row = own if len(own) > 1 else own[0], row + rows
        x, final = layer(x, own, lengths=lengths)
        finals.append(as_tuple(final))
    return x, finals


def joined(finals: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Join the final states of layers of one size: (L*D, B, H) each."""
    return tuple(np.concatenate(parts) for parts in zip(*finals, strict=True))
