"""A layer goes out as ONNX and comes back; a model with a dense head runs on our kernels.

Run it with ``python examples/onnx_models.py``; it needs ``pip install onnx``.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

import simdrnn as sr
import simdrnn.onnx

layer = sr.LSTM(8, 16, num_layers=2, bidirectional=True, seed=0)
x = np.random.default_rng(0).standard_normal((20, 4, 8)).astype("float32")
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.onnx"
    simdrnn.onnx.save(layer, path)  # ONNX Runtime and others run this file
    layers, model = simdrnn.onnx.load(path), onnx.load(path)

print("layers:", layers)
print("same bits:", np.array_equal(sr.Stack(layers)(x)[0], layer(x)[0]))

head = onnx.numpy_helper.from_array(np.ones((32, 3), "float32"), "head")
model.graph.initializer.append(head)
model.graph.node.append(helper.make_node("MatMul", ["output", "head"], ["scores"]))
model.graph.output.append(helper.make_tensor_value_info("scores", 1, ["T", "B", 3]))
session = simdrnn.onnx.Session(model)  # as onnxruntime.InferenceSession, LSTM nodes on ours
print("scores:", session.run(["scores"], {"x": x})[0].shape)
