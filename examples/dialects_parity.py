"""Bring a PyTorch LSTM's weights over, prove it, and see what a wrong order of gates looks like."""

import torch

import simdrnn as sr

theirs = torch.nn.LSTM(16, 32, num_layers=2)
layer = sr.LSTM(16, 32, num_layers=2)
layer.load_state_dict(sr.dialects.convert(theirs.state_dict(), "torch", "simdrnn", cell="lstm"))
print(sr.parity_report(layer, theirs, show=False).verdict)

kernels = sr.dialects.convert(layer.state_dict(), "simdrnn", "keras", cell="lstm")
print([array.shape for array in kernels])  # as keras.Model.set_weights takes them

for name, array in layer.state_dict().items():  # as if taken from an ONNX node
    setattr(layer, name, sr.dialects.permute_gates(array, "ifgo", "iofg"))
print(sr.parity_report(layer, theirs, show=False).hints)
