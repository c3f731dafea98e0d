"""Layers to and from ONNX, and a backend that runs whole ONNX models on ours.

`load` and `save` turn ONNX files into layers and back. `Session` runs whole models as ONNX
Runtime's does, and `backend` is what ``onnx.backend`` asks of one: recurrent nodes run on our
kernels, all others on ONNX Runtime where it is installed, and else on onnx's own implementations.

Examples
--------
>>> import numpy as np, simdrnn as sr, simdrnn.onnx
>>> import os, tempfile
>>> layer = sr.LSTM(3, 4, bidirectional=True, seed=0)
>>> x = np.ones((5, 2, 3), "float32")
>>> with tempfile.TemporaryDirectory() as folder:
...     path = os.path.join(folder, "model.onnx")
...     simdrnn.onnx.save(layer, path)
...     again = simdrnn.onnx.load(path)
>>> bool(np.array_equal(again(x)[0], layer(x)[0]))
True
"""

from __future__ import annotations

try:
    import onnx  # noqa: F401 (only whether it is there)
except ImportError as error:
    raise ImportError("simdrnn.onnx needs ONNX: pip install onnx") from error

from simdrnn.onnx import backend
from simdrnn.onnx.loading import load
from simdrnn.onnx.saving import save
from simdrnn.onnx.session import Session

__all__ = ["Session", "backend", "load", "save"]
