"""Recurrent nodes with every attribute become layers, and run on the backend, with the same bits.

What our layers and nodes of ONNX Runtime have in common is compared in test_peers_onnx.py; here the
way from the node to the layer is.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import simdrnn as sr
from helpers import INFOS, as_tuple, assert_close, make_layer, make_problem
from helpers_cover import cover
from helpers_loops import every
from helpers_onnx import DIRECTIONS, activation_attributes, onnx_parameters
from helpers_onnx_models import node_model, run_onnx
from helpers_peers import allowed, unsorted_lengths

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from simdrnn.onnx import backend, load  # noqa: E402

pytestmark = pytest.mark.peers

CELLS = {
    "rnn_tanh": ("RNN", {}),
    "rnn_relu": ("RNN", {"activations": ("Relu",)}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru_reset_before": ("GRU", {}),
    "lstm": ("LSTM", {}),
    "lstm_peephole": ("LSTM", {}),
    "lstm_coupled_input": ("LSTM", {"input_forget": 1}),
    "lstm_peephole_coupled_input": ("LSTM", {"input_forget": 1}),
}
SLOTS = {
    "RNN": ("activation",),
    "GRU": ("recurrent_activation", "activation"),
    "LSTM": ("recurrent_activation", "activation", "output_activation"),
}
# Ours, and as attributes. Numbers are such as float32 holds, which attributes are.
ACTIVATIONS = (
    None,
    (
        (("hard_sigmoid", 0.25, 0.5), ("HardSigmoid", 0.25, 0.5)),
        (("scaled_tanh", 1.25, 0.75), ("ScaledTanh", 1.25, 0.75)),
        ("softsign", ("Softsign",)),
    ),
    (
        ("sigmoid", ("Sigmoid",)),
        (("leaky_relu", 0.5), ("LeakyRelu", 0.5)),
        (("elu", 0.25), ("Elu", 0.25)),
    ),
    (
        ("softplus", ("Softplus",)),
        (("thresholded_relu", 0.25), ("ThresholdedRelu", 0.25)),
        (("affine", 0.5, 0.125), ("Affine", 0.5, 0.125)),
    ),
)
FACTORS = {
    "cell": tuple(CELLS),
    "direction": tuple(DIRECTIONS),
    "opset": (7, 14, 22),
    "dtype": ("float32", "float64"),
    "weights": ("initializers", "nodes"),
    "layout": (None, 0, 1),
    "bias": (True, False),
    "clip": (None, 0.5),
    "activations": ACTIVATIONS,
    "initial": ("none", "input", "constant", "zeros"),
    "lengths": (False, True),
}
T, B, I, H = 6, 3, 4, 5  # noqa: E741
PAIRS = cover(FACTORS, frozenset())


def node_attributes(cell, direction, layout, clip, activations):
    operator, special = CELLS[cell]
    directions = len(DIRECTIONS[direction][1])
    attributes = {"direction": direction} | special
    names = [(name,) for name in attributes.pop("activations", ())]
    if activations is not None:
        names = [name for _, name in activations[: len(SLOTS[operator])]]
    if names:
        attributes |= activation_attributes(names, directions)
    if layout is not None:
        attributes["layout"] = layout
    if clip is not None:
        attributes["clip"] = clip
    return operator, attributes


class Case:
    """One layer of ours, the node it comes from, and arguments to run both on."""

    def __init__(
        self, rng, *, cell, direction, opset, dtype, weights, layout, bias, clip, activations,
        initial, lengths,
    ):  # fmt: skip
        layout = None if opset < 14 else layout
        operator, attributes = node_attributes(cell, direction, layout, clip, activations)
        options = DIRECTIONS[direction][0] | ({} if clip is None else {"gate_clip": clip})
        if activations is not None:
            ours = [one for one, _ in activations]
            options |= dict(zip(SLOTS[operator], ours, strict=False))
        problem = make_problem(
            sr, cell, rng=rng, T=T, B=B, I=I, H=H, dtype=dtype, bias=bias, **options
        )
        self.layer = problem.layer
        self.x, self.batch_first = problem.x, layout == 1
        self.states = None if initial in ("none", "zeros") else as_tuple(problem.state)
        gates = "".join(INFOS[cell].gate_names)
        parameters = onnx_parameters(self.layer, operator, gates, direction)
        constants, self.fed = {}, {"X": self.x}
        names = ("initial_h", "initial_c")[: INFOS[cell].states]
        if initial == "constant":  # the same for all rows, as what a layer learned
            self.states = tuple(np.repeat(s[:, :1], B, axis=1) for s in self.states)
        if initial == "zeros":
            zeros = np.zeros((len(parameters["R"]), B, H), dtype)
            constants |= dict.fromkeys(names, zeros)
        if self.states is not None:
            values = dict(zip(names, self.states, strict=True))
            (constants if initial == "constant" else self.fed).update(values)
        self.lengths = unsorted_lengths(T, B, rng) if lengths else None
        if lengths:
            self.fed["sequence_lens"] = self.lengths.astype(np.int32)
        if self.batch_first:
            for named in (self.fed, constants):
                for name in named.keys() - {"sequence_lens"}:
                    named[name] = np.ascontiguousarray(named[name].swapaxes(0, 1))
        self.model = node_model(
            operator, parameters, attributes, self.fed, constants=constants, opset=opset,
            as_nodes=weights == "nodes",
        )  # fmt: skip
        self.learned = initial == "constant"
        # ONNX Runtime's CPU provider has neither layout=1 nor float64.
        self.runs = dtype == "float32" and not self.batch_first

    def want(self):
        states = self.states
        if states is not None and len(states) == 1:
            states = states[0]
        output, final = self.layer(self.x, states, lengths=self.lengths)
        return output, as_tuple(final)


@every("row", PAIRS, ids=lambda row: "-".join(map(str, row.values())))
def test_every_pair_of_attributes_is_loaded_and_run(row):
    rng = np.random.default_rng(zlib.crc32(str(row).encode()))
    case = Case(rng, **row)
    output, final = case.want()

    loaded = load(case.model)
    made = backend.run_model(case.model, case.fed)

    x = case.fed["X"]
    states = None if case.learned else case.states
    if states is not None and len(states) == 1:
        states = states[0]
    got, got_final = loaded(x, states, lengths=case.lengths)
    assert loaded.batch_first == case.batch_first
    assert loaded.structure.learn_initial_state == case.learned
    assert_same(got.swapaxes(0, 1) if case.batch_first else got, output)
    assert_same(as_tuple(got_final), final)
    Y, *finals = made
    if case.batch_first:
        Y, finals = Y.transpose(1, 2, 0, 3), [one.swapaxes(0, 1) for one in finals]
    assert_same(Y.swapaxes(1, 2).reshape(output.shape), output)
    assert_same(tuple(finals), final)
    if case.runs:
        assert_close(tuple(made), tuple(run_onnx(case.model, case.fed)), allowed(loaded, T, B))


def assert_same(got, want):
    if isinstance(want, tuple):
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            assert_same(one, other)
    else:
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["lstm_peephole", "gru_reset_before", "rnn_relu"])
def test_what_is_loaded_is_the_layer_that_a_user_would_make(name, rng):
    case = Case(
        rng, cell=name, direction="bidirectional", opset=14, dtype="float64", weights="nodes",
        layout=1, bias=True, clip=0.5, activations=None, initial="none", lengths=False,
    )  # fmt: skip

    loaded = load(case.model)

    want = make_layer(
        sr, name, I, H, bidirectional=True, batch_first=True, dtype="float64", gate_clip=0.5
    )
    assert repr(loaded) == repr(want)
    for key, value in case.layer.parameters().items():
        np.testing.assert_array_equal(loaded.parameters()[key], value)


def two_activations(rng):
    """Return a model whose directions have other activations, and its inputs."""
    case = Case(
        rng, cell="gru", direction="bidirectional", opset=14, dtype="float32", weights="nodes",
        layout=0, bias=True, clip=None, activations=None, initial="input", lengths=True,
    )  # fmt: skip
    parameters = onnx_parameters(case.layer, "GRU", "rzn", "bidirectional")
    attributes = {
        "direction": "bidirectional",
        "linear_before_reset": 1,
        "activations": ["Sigmoid", "Tanh", "HardSigmoid", "Elu"],
        "activation_alpha": [0.25, 0.5],
        "activation_beta": [0.5],
    }
    return node_model("GRU", parameters, attributes, case.fed), case


def test_directions_of_different_activations_run_on_the_backend(rng):
    model, case = two_activations(rng)

    got = backend.run_model(model, case.fed)

    assert_close(tuple(got), tuple(run_onnx(model, case.fed)), allowed(case.layer, T, B))


def test_directions_of_different_activations_are_no_one_layer(rng):
    model, _ = two_activations(rng)

    with pytest.raises(ValueError, match=r"^node 'the node' \(GRU\): activations: expected the s"):
        load(model)


def test_numbers_go_to_the_activations_that_take_them(rng):
    """Names without numbers are passed over, and what lacks is ONNX's default."""
    attributes = {
        "activations": ["LeakyRelu", "tanh", "HARDSIGMOID"],  # ONNX Runtime reads any case, too
        "activation_alpha": [0.5, 0.125],
    }
    parameters = onnx_parameters(make_layer(sr, "lstm", I, H), "LSTM", "ifgo", "forward")
    fed = {"X": np.zeros((T, B, I), "float32")}

    loaded = load(node_model("LSTM", parameters, attributes, fed))

    assert loaded.options.active() == {
        "recurrent_activation": ("leaky_relu", 0.5),
        "output_activation": ("hard_sigmoid", 0.125, 0.5),
    }


BAD = {
    "a name": ({"activations": ["Swish"]}, "activations: expected one of Sigmoid.*got 'Swish'"),
    "identity": ({"activations": ["identity"]}, "activations: expected one of .*got 'identity'"),
    "too many": (
        {"activations": ["Tanh"] * 3},
        "activations: expected 1 names, 1 for each direction, got 3",
    ),
    "alpha left over": (
        {"activations": ["Tanh"], "activation_alpha": [0.5]},
        "activation_alpha: expected one number for each .*got 1 more",
    ),
    "beta left over": (
        {"activations": ["Elu"], "activation_alpha": [0.5], "activation_beta": [0.5]},
        "activation_beta: expected one number",
    ),
    "no default": (
        {"activations": ["Affine"], "activation_alpha": [0.5]},
        "activations: expected activation_al",
    ),
    "negative alpha": (
        {"activations": ["Elu"], "activation_alpha": [-0.5]},
        "activations alpha: expected a number of at least 0",
    ),
    "clip": ({"clip": -1.0}, "clip: expected a positive finite number, got -1.0"),
    "nan": ({"clip": float("nan")}, "clip: expected a positive finite number, got nan"),
    "direction": ({"direction": "both"}, "direction: expected one of forward.*got 'both'"),
    "layout": ({"layout": 2}, "layout: expected 0 or 1, got 2"),
}


@every("name", BAD)
def test_attributes_out_of_the_specification_are_refused(name, rng):
    attributes, message = BAD[name]
    parameters = onnx_parameters(make_layer(sr, "rnn_tanh", I, H), "RNN", "h", "forward")
    fed = {"X": np.zeros((T, B, I), "float32")}
    model = node_model("RNN", parameters, attributes, fed)

    for use in (load, lambda model: backend.run_model(model, fed)):
        with pytest.raises(ValueError, match=rf"^node 'the node' \(RNN\): {message}"):
            use(model)


WRONG = {
    "W": ((1, 15, 4), r"W: expected shape \(D, 4\*H, I\) = \(1, 20, 4\), got \(1, 15, 4\)"),
    "R": ((1, 20, 4), r"(R|W|hidden_size): expected"),
    "B": ((1, 20), r"B: expected shape \(D, 8\*H\) = \(1, 40\), got \(1, 20\)"),
    "P": ((2, 15), r"P: expected shape \(D, 3\*H\) = \(1, 15\), got \(2, 15\)"),
}


@every("name", WRONG)
def test_weights_that_contradict_each_other_are_refused(name):
    layer = make_layer(sr, "lstm_peephole", I, H)
    parameters = onnx_parameters(layer, "LSTM", "ifgo", "forward")
    fed = {"X": np.zeros((T, B, I), "float32")}
    model = node_model("LSTM", parameters, {}, fed)
    shape, message = WRONG[name]
    wrong = np.zeros(shape, "float32")
    (place,) = [k for k, one in enumerate(model.graph.initializer) if one.name == name]

    model.graph.initializer[place].CopyFrom(onnx.numpy_helper.from_array(wrong, name))

    for use in (load, lambda model: backend.run_model(model, fed)):
        with pytest.raises(ValueError, match=rf"^node 'the node' \(LSTM\): {message}"):
            use(model)


def test_float16_is_refused():
    parameters = {
        "W": np.ones((1, 2, 1), "float16"),
        "R": np.ones((1, 2, 2), "float16"),
    }
    node = onnx.helper.make_node("RNN", ["X", "W", "R"], ["Y"], "the node", hidden_size=2)
    fed = {"X": np.ones((1, 1, 1), "float16"), **parameters}

    with pytest.raises(ValueError, match="R: expected float32 or float64, got float16"):
        backend.run_node(node, fed)
