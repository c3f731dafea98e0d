"""Each cell against its equations written out once more, with every forward clip."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import ATTENTIVE, CELLS, INFOS, as_tuple, assert_close, make_problem, tolerance

ALLOWED = tolerance("float64", 1, 3 + 2)
LIMIT = 0.3


def limited(value, on):
    return np.minimum(np.maximum(value, -LIMIT), LIMIT) if on else value


def sigmoid(value):
    return 0.5 * (1 + np.tanh(0.5 * value))


def sums(layer, x, h):
    """Return input parts and recurrent parts by gate."""
    input_part = x @ layer.weight_ih_l0.T + layer.bias_ih_l0
    recurrent_part = h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    gates = input_part.shape[-1] // h.shape[-1]
    return np.split(input_part, gates, axis=-1), np.split(recurrent_part, gates, axis=-1)


def rnn(layer, x, state, clip, activation):
    (a,), (b,) = sums(layer, x, state)
    return limited(activation(limited(a + b, clip == "gate_clip")), clip == "hidden_clip")


def lstm(layer, x, state, clip):
    h, c = state
    gate = [limited(a + b, clip == "gate_clip") for a, b in zip(*sums(layer, x, h), strict=True)]
    i, f, o = sigmoid(gate[0]), sigmoid(gate[1]), sigmoid(gate[3])
    c = limited(f * c + i * np.tanh(gate[2]), clip == "cell_clip")
    return limited(o * np.tanh(c), clip == "hidden_clip"), c


def gru(layer, x, h, clip):
    (r_x, z_x, n_x), (r_h, z_h, n_h) = sums(layer, x, h)
    r = sigmoid(limited(r_x + r_h, clip == "gate_clip"))
    z = sigmoid(limited(z_x + z_h, clip == "gate_clip"))
    n = np.tanh(limited(n_x + r * n_h, clip == "gate_clip"))
    return limited((1 - z) * n + z * h, clip == "hidden_clip")


def gru_reset_before(layer, x, h, clip):
    (r_x, z_x, n_x), (r_h, z_h, _) = sums(layer, x, h)
    r = sigmoid(limited(r_x + r_h, clip == "gate_clip"))
    z = sigmoid(limited(z_x + z_h, clip == "gate_clip"))
    n_h = sums(layer, x, r * h)[1][2]
    n = np.tanh(limited(n_x + n_h, clip == "gate_clip"))
    return limited((1 - z) * n + z * h, clip == "hidden_clip")


def joint(layer, x, h, clip):
    """Return the arguments of the gates of a cell that needs only their sums."""
    pairs = zip(*sums(layer, x, h), strict=True)
    return [limited(a + b, clip == "gate_clip") for a, b in pairs]


def mgu(layer, x, h, clip):
    (f_x, n_x), (f_h, n_h) = sums(layer, x, h)
    f = sigmoid(limited(f_x + f_h, clip == "gate_clip"))
    n = np.tanh(limited(n_x + f * n_h, clip == "gate_clip"))
    return limited((1 - f) * n + f * h, clip == "hidden_clip")


# Collins et al. 2017: c = s(...), g = sigmoid(...), h = g * h + (1 - g) * c.
def ugrnn(layer, x, h, clip):
    g, c = joint(layer, x, h, clip)
    g = sigmoid(g)
    return limited(g * h + (1 - g) * np.tanh(c), clip == "hidden_clip")


# Ravanelli et al. 2018: h = z * h + (1 - z) * ReLU(...).
def li_gru(layer, x, h, clip):
    z, candidate = joint(layer, x, h, clip)
    z = sigmoid(z)
    return limited(z * h + (1 - z) * np.maximum(candidate, 0), clip == "hidden_clip")


# van der Westhuizen and Lasenby 2018: c = sigmoid(s) * c + (1 - sigmoid(s - beta)) * tanh(...).
def janet(layer, x, h, clip):
    (s_x, _), (s_h, _) = sums(layer, x, h)
    keep, forget = (limited(s_x + s_h - shift, clip == "gate_clip") for shift in (0, 1))
    candidate = np.tanh(joint(layer, x, h, clip)[1])
    return limited(sigmoid(keep) * h + (1 - sigmoid(forget)) * candidate, clip == "hidden_clip")


# Gers and Schmidhuber 2000 (peepholes: o sees the new c); ONNX `input_forget`: f = 1 - i;
# TensorFlow Lite's CIFG: i = 1 - f. Gates are i, f, g, o without the one that is not there.
def lstm_variant(layer, x, state, clip, updates):
    h, c = state
    names = [*updates, "g", "o"]
    pre = dict(zip(names, (a + b for a, b in zip(*sums(layer, x, h), strict=True)), strict=True))

    def gate(name, c):
        own = layer.parameters().get(f"weight_c{name}_l0")
        argument = pre[name] if own is None else pre[name] + own * c
        return sigmoid(limited(argument, clip == "gate_clip"))

    i = gate("i", c) if "i" in updates else 1 - gate("f", c)
    f = gate("f", c) if "f" in updates else 1 - i
    c = limited(f * c + i * np.tanh(limited(pre["g"], clip == "gate_clip")), clip == "cell_clip")
    return limited(gate("o", c) * np.tanh(c), clip == "hidden_clip"), c


def of_input(layer, x):
    """Return W x + b_ih by gate, for cells whose gates are not all in both weights."""
    pre = x @ layer.weight_ih_l0.T + layer.bias_ih_l0
    return np.split(pre, pre.shape[-1] // layer.hidden_size, axis=-1)


# Li et al. 2018: h = relu(W x + u * h + b).
def ind_rnn(layer, x, h, clip):
    (pre,) = of_input(layer, x)
    activated = np.maximum(limited(pre + layer.weight_u_l0 * h, clip == "gate_clip"), 0)
    return limited(activated, clip == "hidden_clip")


# Kusupati et al. 2018, equations 1: h~ = tanh(W x + U h + b), h = alpha h~ + beta h.
def fast_rnn(layer, x, h, clip):
    alpha, beta = sigmoid(layer.alpha_l0), sigmoid(layer.beta_l0)
    new = np.tanh(joint(layer, x, h, clip)[0])
    return limited(alpha * new + beta * h, clip == "hidden_clip")


# The same, equations 3: z = sigma(W x + U h + b_z), h~ = tanh(W x + U h + b_h),
# h = (zeta (1 - z) + nu) h~ + z h.
def fast_grnn(layer, x, h, clip):
    shared = x @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T
    zeta, nu = sigmoid(layer.zeta_l0), sigmoid(layer.nu_l0)
    z = sigmoid(limited(shared + layer.bias_z_l0, clip == "gate_clip"))
    new = np.tanh(limited(shared + layer.bias_h_l0, clip == "gate_clip"))
    return limited((zeta * (1 - z) + nu) * new + z * h, clip == "hidden_clip")


# Lee et al. 2017, equations 1 to 5: the content is W x + b, h = tanh(c).
def ran(layer, x, state, clip):
    h, c = state
    i_x, f_x, content = of_input(layer, x)
    i_h, f_h = np.split(h @ layer.weight_hh_l0.T + layer.bias_hh_l0, 2, axis=-1)
    i, f = (sigmoid(limited(a + b, clip == "gate_clip")) for a, b in ((i_x, i_h), (f_x, f_h)))
    content = limited(content, clip == "gate_clip")
    c = limited(i * content + f * c, clip == "cell_clip")
    return limited(np.tanh(c), clip == "hidden_clip"), c


# Chen 2017: z = tanh(W x + b_z), u = sigma(U h + V z + b_u), h = u * h + (1 - u) * z.
def minimal_rnn(layer, x, h, clip):
    (pre,) = of_input(layer, x)
    z = np.tanh(limited(pre, clip == "gate_clip"))
    from_h, from_z = np.split(layer.weight_hh_l0, 2)
    u = h @ from_h.T + z @ from_z.T + layer.bias_hh_l0
    u = sigmoid(limited(u, clip == "gate_clip"))
    return limited(u * h + (1 - u) * z, clip == "hidden_clip")


# oneDNN, "RNN", AUGRU: u = (1 - a) * u, h = u * h + (1 - u) * o, with linear-before-reset.
def augru(layer, x, h, clip, attention):
    (r_x, u_x, o_x), (r_h, u_h, o_h) = sums(layer, x, h)
    r = sigmoid(limited(r_x + r_h, clip == "gate_clip"))
    u = (1 - attention[..., None]) * sigmoid(limited(u_x + u_h, clip == "gate_clip"))
    o = np.tanh(limited(o_x + r * o_h, clip == "gate_clip"))
    return limited(u * h + (1 - u) * o, clip == "hidden_clip")


# Beck et al. 2024, equations 8 to 17, without the stabiliser: exp(i) and sigmoid(f) as they are,
# and c and n with the scale that m stands for.
def slstm(layer, x, state, clip):
    h, c, n, m = state
    i, f, z, o = joint(layer, x, h, clip)
    c_whole = sigmoid(f) * c * np.exp(m) + np.exp(i) * np.tanh(z)
    n_whole = sigmoid(f) * n * np.exp(m) + np.exp(i)
    m = np.maximum(np.log(sigmoid(f)) + m, i)
    c, n = limited(c_whole * np.exp(-m), clip == "cell_clip"), n_whole * np.exp(-m)
    return limited(sigmoid(o) * c / n, clip == "hidden_clip"), c, n, m


# Song et al. 2016, equations 7 and 8, without noise: x = (1 - a) x + a (W_rec r + W_in u + b),
# r = f(x).
def ctrnn(layer, x, state, clip):
    h, v = state
    (d_x,), (d_h,) = sums(layer, x, h)
    v = limited((1 - layer.leak_l0) * v + layer.leak_l0 * (d_x + d_h), clip == "cell_clip")
    return limited(np.tanh(limited(v, clip == "gate_clip")), clip == "hidden_clip"), v


EQUATIONS = {
    "lstm_peephole": lambda *args: lstm_variant(*args, "if"),
    "lstm_coupled_input": lambda *args: lstm_variant(*args, "i"),
    "lstm_coupled_forget": lambda *args: lstm_variant(*args, "f"),
    "lstm_peephole_coupled_input": lambda *args: lstm_variant(*args, "i"),
    "lstm_peephole_coupled_forget": lambda *args: lstm_variant(*args, "f"),
    "rnn_tanh": lambda *args: rnn(*args, np.tanh),
    "rnn_relu": lambda *args: rnn(*args, lambda a: np.maximum(a, 0)),
    "lstm": lstm,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "mgu": mgu,
    "ugrnn": ugrnn,
    "li_gru": li_gru,
    "janet": janet,
    "ind_rnn": ind_rnn,
    "fast_rnn": fast_rnn,
    "fast_grnn": fast_grnn,
    "ran": ran,
    "minimal_rnn": minimal_rnn,
    "augru": augru,
    "slstm": slstm,
    "ctrnn": ctrnn,
}
CLIPS = ("none", "gate_clip", "hidden_clip", "cell_clip")


def test_every_cell_has_its_equations_here():
    assert {*EQUATIONS} == {*CELLS, *ATTENTIVE}


@pytest.mark.parametrize("cell", EQUATIONS)
def test_one_step_follows_the_equations(engine, cell, rng):
    for clip in CLIPS[: 4 if INFOS[cell].states > 1 else 3]:
        options = {} if clip == "none" else {clip: LIMIT}
        problem = make_problem(engine, cell, rng=rng, T=1, **options)

        output, state = problem.layer(problem.x, problem.state, **problem.call)

        beside = [value[0] for value in problem.call.values()]
        want = EQUATIONS[cell](problem.layer, problem.x[0], problem.state, clip, *beside)
        flat = tuple(s.reshape(4, 3) for s in as_tuple(want))
        got = as_tuple(state)
        assert_close(tuple(s[0] for s in got), flat, ALLOWED, clip)
        np.testing.assert_array_equal(output[0], got[0][0])
