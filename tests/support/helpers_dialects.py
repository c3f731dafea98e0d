"""Recurrent layers of other packages in NumPy, from the formulas in their sources.

Each function runs one direction of one layer in float64: it takes the weights as the package has
them, x (T, B, I) and initial states (B, H), and returns the outputs (T, B, H) and final states.
Written for clarity from the sources that `simdrnn.dialects.table` names, not from that table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def sigmoid(a: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-a))


def scan(step: Callable[..., Any], x: Any, *states: Any) -> tuple[Any, tuple[Any, ...]]:
    """Run a step over time; h comes first of its states."""
    outputs = []
    for x_t in x:
        states = step(x_t, *states)
        outputs.append(states[0])
    return np.stack(outputs), states


def lstm_states(i: Any, f: Any, g: Any, o: Any, c: Any) -> tuple[Any, Any]:
    """Return h and c from the arguments of the gates."""
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


# OpenVINO: W (D, G*H, I), R (D, G*H, H), B (D, G*H) or, for linear_before_reset, (D, 4*H).


def openvino_lstm(w: Mapping[str, Any], x: Any, h: Any, c: Any) -> Any:
    (W,), (R,), (B,) = w["W"], w["R"], w["B"]

    def step(x_t: Any, h: Any, c: Any) -> Any:
        f, i, g, o = np.split(x_t @ W.T + h @ R.T + B, 4, -1)
        return lstm_states(i, f, g, o, c)

    return scan(step, x, h, c)


def openvino_gru(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    (W,), (R,), (B,) = w["W"], w["R"], w["B"]
    Wz, Wr, Wh = np.split(W, 3)
    Rz, Rr, Rh = np.split(R, 3)
    after = B.size == 4 * h.shape[1]
    Bz, Br, Bh, *rest = np.split(B, 4 if after else 3)

    def step(x_t: Any, h: Any) -> Any:
        z, r = sigmoid(x_t @ Wz.T + h @ Rz.T + Bz), sigmoid(x_t @ Wr.T + h @ Rr.T + Br)
        recurrent = r * (h @ Rh.T + rest[0]) if after else (r * h) @ Rh.T
        return ((1 - z) * np.tanh(x_t @ Wh.T + recurrent + Bh) + z * h,)

    return scan(step, x, h)


def openvino_rnn(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    (W,), (R,), (B,) = w["W"], w["R"], w["B"]
    return scan(lambda x_t, h: (np.tanh(x_t @ W.T + h @ R.T + B),), x, h)


# TensorFlow 1: one kernel for [x, h]; forget_bias is added at run time.


def tf1_lstm(
    w: Mapping[str, Any], x: Any, m: Any, c: Any, forget_bias: float = 1.0
) -> tuple[Any, Any]:
    """``LSTMCell`` with use_peepholes and num_proj where there are such weights."""
    zero = np.zeros(())

    def step(x_t: Any, m: Any, c: Any) -> Any:
        i, j, f, o = np.split(np.concatenate([x_t, m], 1) @ w["kernel"] + w["bias"], 4, 1)
        opened = sigmoid(f + forget_bias + w.get("w_f_diag", zero) * c)
        c = opened * c + sigmoid(i + w.get("w_i_diag", zero) * c) * np.tanh(j)
        m = sigmoid(o + w.get("w_o_diag", zero) * c) * np.tanh(c)
        return (m @ w["projection/kernel"] if "projection/kernel" in w else m), c

    return scan(step, x, m, c)


def tf1_gru(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    def step(x_t: Any, h: Any) -> Any:
        gates = np.concatenate([x_t, h], 1) @ w["gates/kernel"] + w["gates/bias"]
        r, u = np.split(sigmoid(gates), 2, 1)
        joined = np.concatenate([x_t, r * h], 1)
        c = np.tanh(joined @ w["candidate/kernel"] + w["candidate/bias"])
        return (u * h + (1 - u) * c,)

    return scan(step, x, h)


def tf1_rnn(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    def step(x_t: Any, h: Any) -> Any:
        return (np.tanh(np.concatenate([x_t, h], 1) @ w["kernel"] + w["bias"]),)

    return scan(step, x, h)


# haste: kernels of Keras's kind, gates i, g, f, o and z, r, g.


def haste_lstm(w: Mapping[str, Any], x: Any, h: Any, c: Any) -> Any:
    def step(x_t: Any, h: Any, c: Any) -> Any:
        v = h @ w["recurrent_kernel"] + x_t @ w["kernel"] + w["bias"]
        i, g, f, o = np.split(v, 4, 1)
        return lstm_states(i, f, g, o, c)

    return scan(step, x, h, c)


def haste_gru(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    def step(x_t: Any, h: Any) -> Any:
        zx, rx, gx = np.split(x_t @ w["kernel"] + w["bias"], 3, 1)
        zh, rh, gh = np.split(h @ w["recurrent_kernel"] + w["recurrent_bias"], 3, 1)
        z = sigmoid(zx + zh)
        return (z * h + (1 - z) * np.tanh(gx + sigmoid(rx + rh) * gh),)

    return scan(step, x, h)


# RTNeural: a JSON file of what Keras's get_weights() returns.


def _rtneural(w: Any) -> list[Any]:
    layer = json.loads(json.dumps(w))  # what comes out of a file
    assert layer["shape"][:2] == [None, None]
    return [np.array(one) for one in layer["weights"]]


def rtneural_lstm(w: Any, x: Any, h: Any, c: Any) -> Any:
    kernel, recurrent, bias = _rtneural(w)

    def step(x_t: Any, h: Any, c: Any) -> Any:
        i, f, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4, 1)
        return lstm_states(i, f, g, o, c)

    return scan(step, x, h, c)


def rtneural_gru(w: Any, x: Any, h: Any) -> Any:
    kernel, recurrent, (bias, recurrent_bias) = _rtneural(w)

    def step(x_t: Any, h: Any) -> Any:
        zx, rx, cx = np.split(x_t @ kernel + bias, 3, 1)
        zh, rh, ch = np.split(h @ recurrent + recurrent_bias, 3, 1)
        z = sigmoid(zx + zh)
        return ((1 - z) * np.tanh(cx + sigmoid(rx + rh) * ch) + z * h,)

    return scan(step, x, h)


# Haiku: +1 on the forget gate at run time; z is the share of the candidate.


def haiku_lstm(w: Mapping[str, Any], x: Any, h: Any, c: Any) -> Any:
    linear = w["lstm/linear"]

    def step(x_t: Any, h: Any, c: Any) -> Any:
        gated = np.concatenate([x_t, h], -1) @ linear["w"] + linear["b"]
        i, g, f, o = np.split(gated, 4, -1)
        return lstm_states(i, f + 1, g, o, c)

    return scan(step, x, h, c)


def haiku_gru(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    w_i, w_h, b = (w["gru"][name] for name in ("w_i", "w_h", "b"))
    w_hz, w_hr, w_ha = np.split(w_h, 3, 1)

    def step(x_t: Any, h: Any) -> Any:
        z_x, r_x, a_x = np.split(x_t @ w_i + b, 3, -1)
        z, r = sigmoid(z_x + h @ w_hz), sigmoid(r_x + h @ w_hr)
        return ((1 - z) * h + z * np.tanh(a_x + (r * h) @ w_ha),)

    return scan(step, x, h)


# Flax: a dense layer for each gate, or for all.


def flax_lstm(w: Mapping[str, Any], x: Any, h: Any, c: Any) -> Any:
    def step(x_t: Any, h: Any, c: Any) -> Any:
        i, f, g, o = (
            x_t @ w[f"i{gate}"]["kernel"] + h @ w[f"h{gate}"]["kernel"] + w[f"h{gate}"]["bias"]
            for gate in "ifgo"
        )
        return lstm_states(i, f, g, o, c)

    return scan(step, x, h, c)


def flax_gru(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    def step(x_t: Any, h: Any) -> Any:
        ir, iz, n = (x_t @ w[f"i{g}"]["kernel"] + w[f"i{g}"]["bias"] for g in "rzn")
        r, z = sigmoid(ir + h @ w["hr"]["kernel"]), sigmoid(iz + h @ w["hz"]["kernel"])
        n = np.tanh(n + r * (h @ w["hn"]["kernel"] + w["hn"]["bias"]))
        return ((1 - z) * n + z * h,)

    return scan(step, x, h)


# Keras 2's CuDNN layers: the memory of each gate's part is the row-major matrix that cuDNN takes,
# W (H, I) and R (H, H); one flat bias has those of W x, then those of R h.


def _cudnn(w: Any, gates: int) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    kernel, recurrent, bias = w
    hidden = recurrent.shape[0]
    matrices = []
    for one in (kernel, recurrent):
        parts = [one[:, k * hidden : (k + 1) * hidden] for k in range(gates)]
        matrices.append([np.array(part.ravel().tolist()).reshape(hidden, -1) for part in parts])
    halves = np.split(bias, 2)
    return (*matrices, np.split(halves[0], gates), np.split(halves[1], gates))


def cudnn_lstm(w: Any, x: Any, h: Any, c: Any) -> Any:
    W, R, b, d = _cudnn(w, 4)

    def step(x_t: Any, h: Any, c: Any) -> Any:
        i, f, g, o = (x_t @ W[k].T + h @ R[k].T + b[k] + d[k] for k in range(4))
        return lstm_states(i, f, g, o, c)

    return scan(step, x, h, c)


def cudnn_gru(w: Any, x: Any, h: Any) -> Any:
    W, R, b, d = _cudnn(w, 3)

    def step(x_t: Any, h: Any) -> Any:
        z, r = (sigmoid(x_t @ W[k].T + b[k] + h @ R[k].T + d[k]) for k in range(2))
        n = np.tanh(x_t @ W[2].T + b[2] + r * (h @ R[2].T + d[2]))
        return ((1 - z) * n + z * h,)

    return scan(step, x, h)


# DyNet: gates i, f, o, g, and 1 more on the forget gate at run time.


def dynet_lstm(w: Any, x: Any, h: Any, c: Any) -> Any:
    Wx, Wh, b = w

    def step(x_t: Any, h: Any, c: Any) -> Any:
        i, f, o, g = np.split(x_t @ Wx.T + h @ Wh.T + b, 4, 1)
        return lstm_states(i, f + 1.0, g, o, c)

    return scan(step, x, h, c)


# Core ML: a matrix for each gate, row by row. The values here are far from its clip of 50.


def _coreml(w: Mapping[str, Any], gate: str, x: Any, h: Any) -> Any:
    W, R = w[f"{gate}WeightMatrix"], w[f"{gate}RecursionMatrix"]
    return x @ W.T + h @ R.T + w[f"{gate}BiasVector"]


def coreml_lstm(w: Mapping[str, Any], x: Any, y: Any, c: Any) -> Any:
    zero = np.zeros(())

    def step(x_t: Any, y: Any, c: Any) -> Any:
        i = sigmoid(_coreml(w, "inputGate", x_t, y) + w.get("inputGatePeepholeVector", zero) * c)
        f = sigmoid(_coreml(w, "forgetGate", x_t, y) + w.get("forgetGatePeepholeVector", zero) * c)
        c = c * f + i * np.tanh(_coreml(w, "blockInput", x_t, y))
        o = sigmoid(_coreml(w, "outputGate", x_t, y) + w.get("outputGatePeepholeVector", zero) * c)
        return np.tanh(c) * o, c

    return scan(step, x, y, c)


def coreml_gru(w: Mapping[str, Any], x: Any, y: Any) -> Any:
    def step(x_t: Any, y: Any) -> Any:
        z, r = (sigmoid(_coreml(w, f"{gate}Gate", x_t, y)) for gate in ("update", "reset"))
        o = np.tanh(_coreml(w, "outputGate", x_t, y * r))
        return ((1 - z) * o + z * y,)

    return scan(step, x, y)


def coreml_rnn(w: Mapping[str, Any], x: Any, y: Any) -> Any:
    def step(x_t: Any, y: Any) -> Any:
        W, R = w["weightMatrix"], w["recursionMatrix"]
        return (np.tanh(x_t @ W.T + y @ R.T + w["biasVector"]),)

    return scan(step, x, y)


# GuitarML: a JSON file with PyTorch's names and numbers.


def _guitarml(w: Any) -> Any:
    values = json.loads(json.dumps(w))["state_dict"]
    return [
        np.array(values[f"rec.{kind}_l0"])
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]


def guitarml_lstm(w: Any, x: Any, h: Any, c: Any) -> Any:
    W, R, b, d = _guitarml(w)

    def step(x_t: Any, h: Any, c: Any) -> Any:
        i, f, g, o = np.split(x_t @ W.T + b + h @ R.T + d, 4, 1)
        return lstm_states(i, f, g, o, c)

    return scan(step, x, h, c)


def guitarml_gru(w: Any, x: Any, h: Any) -> Any:
    W, R, b, d = _guitarml(w)

    def step(x_t: Any, h: Any) -> Any:
        (rx, zx, nx), (rh, zh, nh) = np.split(x_t @ W.T + b, 3, 1), np.split(h @ R.T + d, 3, 1)
        z = sigmoid(zx + zh)
        return ((1 - z) * np.tanh(nx + sigmoid(rx + rh) * nh) + z * h,)

    return scan(step, x, h)


# madmom: an object for each gate; one bias; the GRU's update gate is the share of the new.


def _madmom(gate: Mapping[str, Any], x: Any, h: Any, c: Any = None) -> Any:
    total = np.dot(x, gate["weights"]) + gate["bias"] + np.dot(h, gate["recurrent_weights"])
    return total if "peephole_weights" not in gate else total + c * gate["peephole_weights"]


def madmom_lstm(w: Mapping[str, Any], x: Any, h: Any, c: Any) -> Any:
    def step(x_t: Any, h: Any, c: Any) -> Any:
        i, f = (sigmoid(_madmom(w[gate], x_t, h, c)) for gate in ("input_gate", "forget_gate"))
        c = np.tanh(_madmom(w["cell"], x_t, h)) * i + c * f
        return np.tanh(c) * sigmoid(_madmom(w["output_gate"], x_t, h, c)), c

    return scan(step, x, h, c)


def madmom_gru(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    def step(x_t: Any, h: Any) -> Any:
        r, u = (sigmoid(_madmom(w[gate], x_t, h)) for gate in ("reset_gate", "update_gate"))
        cell = w["cell"]
        new = np.dot(x_t, cell["weights"]) + cell["bias"]
        new = np.tanh(new + r * np.dot(h, cell["recurrent_weights"]))
        return (u * new + (1 - u) * h,)

    return scan(step, x, h)


def madmom_rnn(w: Mapping[str, Any], x: Any, h: Any) -> Any:
    return scan(lambda x_t, h: (np.tanh(_madmom(w, x_t, h)),), x, h)


FORMULAS: dict[tuple[str, str], Callable[..., Any]] = {
    ("openvino", "lstm"): openvino_lstm,
    ("openvino", "gru"): openvino_gru,
    ("openvino", "rnn"): openvino_rnn,
    ("tf1", "lstm"): tf1_lstm,
    ("tf1", "gru"): tf1_gru,
    ("tf1", "rnn"): tf1_rnn,
    ("haste", "lstm"): haste_lstm,
    ("haste", "gru"): haste_gru,
    ("rtneural", "lstm"): rtneural_lstm,
    ("rtneural", "gru"): rtneural_gru,
    ("haiku", "lstm"): haiku_lstm,
    ("haiku", "gru"): haiku_gru,
    ("flax", "lstm"): flax_lstm,
    ("flax", "gru"): flax_gru,
    ("keras_cudnn", "lstm"): cudnn_lstm,
    ("keras_cudnn", "gru"): cudnn_gru,
    ("dynet", "lstm"): dynet_lstm,
    ("coreml", "lstm"): coreml_lstm,
    ("coreml", "gru"): coreml_gru,
    ("coreml", "rnn"): coreml_rnn,
    ("guitarml", "lstm"): guitarml_lstm,
    ("guitarml", "gru"): guitarml_gru,
    ("madmom", "lstm"): madmom_lstm,
    ("madmom", "gru"): madmom_gru,
    ("madmom", "rnn"): madmom_rnn,
}
