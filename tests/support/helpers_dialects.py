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
}
