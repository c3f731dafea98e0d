"""Graphs that compute what a layer does on some inputs only are refused, by the node's name."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close
from helpers_loops import every
from helpers_onnx import onnx_parameters
from helpers_onnx_models import make_model, run_chain, run_onnx

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from simdrnn.onnx import load  # noqa: E402

pytestmark = pytest.mark.peers

I, H = 4, 4  # noqa: E741
node = onnx.helper.make_node

CONSTANTS = {
    "zero": np.float32(0), "one": np.float32(1), "half": np.float32(0.5), "high": np.float32(5),
    "low": np.float32(-5), "odd": np.float32(-99), "far": np.float32(1e30),
    "row": np.array([0, 0, 0, 1], "float32"), "i0": np.array([0], np.int64),
    "i1": np.array([1], np.int64), "i2": np.array([2], np.int64), "i64": np.array([64], np.int64),
    "i_1": np.array([-1], np.int64), "end": np.array([2**63 - 1], np.int64),
    "back": np.array([-(2**63)], np.int64), "s0": np.int64(0), "s1": np.int64(1),
    "pads": np.array([1, 0, 0, 0, 0, 0], np.int64), "no pads": np.zeros(6, np.int64),
    "places": np.array([3, 2, 1, 0], np.int64), "same": np.arange(4),
    "shape": np.array([0, -1, 4], np.int64), "twice": np.array([2, 1, 1], np.int64),
    "swap": np.array([-1, 2, 4], np.int64), "ratio": np.float32(0.5), "on": np.array(True),
    "off": np.array(False), "flat": np.array([-1, 4], np.int64),
}  # fmt: skip


def chain(nodes, where):
    """Return two GRUs with nodes that make "b" of "a" in front, between or behind them.

    Parameters
    ----------
    where : "in front", "between" or "behind".
    """
    places = ["in front", "between", "behind"]
    names = {"in front": ("x", "v0"), "between": ("y0", "v1"), "behind": ("y1", "output")}
    constants = dict(CONSTANTS)
    built, value = [], "x"
    for k, place in enumerate(places):
        own = nodes if place == where else [node("Identity", ["a"], ["b"])]
        for one in own:
            copy = onnx.NodeProto()
            copy.CopyFrom(one)
            swap = dict(zip("ab", names[place], strict=True))
            copy.input[:] = [swap.get(name, name) for name in copy.input]
            copy.output[:] = [swap.get(name, name) for name in copy.output]
            built.append(copy)
        value = names[place][1]
        if place != "behind":
            found = onnx_parameters(sr.GRU(I, H, seed=k), "GRU", "rzn", "forward")
            constants |= {f"{k}{name}": array for name, array in found.items()}
            gru = [value, f"{k}W", f"{k}R", f"{k}B"]
            built += [
                node("GRU", gru, [f"Y{k}"], f"gru {k}", hidden_size=H, linear_before_reset=1),
                node("Squeeze", [f"Y{k}", "i1"], [f"y{k}"]),
            ]
    used = {name for one in built for name in one.input}
    kept = {name: array for name, array in constants.items() if name in used}
    model = make_model(
        built, [("x", "float32", ["T", "B", I])], [("output", "float32", [])], kept, 18
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def hard_inputs(rng):
    """Yield x of several lengths, with numbers that any of the nodes may mind."""
    for T, B in ((1, 1), (3, 2), (2, 3), (70, 2), (4, 4)):
        x = rng.standard_normal((T, B, I)).astype("float32")
        yield x
        yield x * 100
        x = rng.choice(np.float32([-99, -5, 0, 0.5, 1, 5, 64, 2e30]), x.shape)
        yield x


def turned_back(*inner):
    return [node("Transpose", ["a"], ["t"], perm=[1, 0, 2]), *inner]


# What makes "b" of "a". Of the lookalikes, each does nothing on some inputs.
LOOKALIKES = {
    "clip by min and max": [
        node("Min", ["a", "high"], ["m"], "cut"), node("Max", ["m", "low"], ["b"])
    ],
    "clip": [node("Clip", ["a", "low", "high"], ["b"], "cut")],
    "where equal": [
        node("Equal", ["a", "odd"], ["is"], "cut"), node("Where", ["is", "zero", "a"], ["b"], "w")
    ],
    "where less": [
        node("Less", ["a", "high"], ["is"], "cut"), node("Where", ["is", "a", "high"], ["b"])
    ],
    "where nan": [node("IsNaN", ["a"], ["is"], "cut"), node("Where", ["is", "zero", "a"], ["b"])],
    "first 64 steps": [node("Slice", ["a", "i0", "i64", "i0"], ["b"], "cut")],
    "all but the last": [node("Slice", ["a", "i0", "i_1", "i0"], ["b"], "cut")],
    "every second": [node("Slice", ["a", "i0", "end", "i0", "i2"], ["b"], "cut")],
    "padded": [node("Pad", ["a", "pads"], ["b"], "cut")],
    "relu": [node("Relu", ["a"], ["b"], "cut")],
    "leaky": [node("LeakyRelu", ["a"], ["b"], "cut", alpha=0.5)],
    "abs": [node("Abs", ["a"], ["b"], "cut")],
    "round": [node("Round", ["a"], ["b"], "cut")],
    "sum with a part": [node("Add", ["a", "row"], ["b"], "cut")],
    "scaled there and back": [
        node("Mul", ["a", "far"], ["m"], "cut"), node("Div", ["m", "far"], ["b"], "last")
    ],
    "added there and back": [
        node("Add", ["a", "far"], ["m"], "cut"), node("Sub", ["m", "far"], ["b"], "last")
    ],
    "float16 there and back": [
        node("Cast", ["a"], ["m"], "cut", to=10), node("Cast", ["m"], ["b"], to=1)
    ],
    "whole numbers there and back": [
        node("Cast", ["a"], ["m"], "cut", to=7), node("Cast", ["m"], ["b"], to=1)
    ],
    "dropout in training": [node("Dropout", ["a", "ratio", "on"], ["b"], "cut", seed=1)],
    "power": [node("Pow", ["a", "half"], ["m"], "cut"), node("Mul", ["m", "m"], ["b"])],
    "root": [node("Mul", ["a", "a"], ["m"]), node("Sqrt", ["m"], ["b"], "cut")],
    "sign times size": [
        node("Sign", ["a"], ["s"], "cut"), node("Abs", ["a"], ["m"]), node("Mul", ["s", "m"], ["b"])
    ],
    "largest of two": [node("Neg", ["a"], ["n"], "cut"), node("Max", ["a", "n"], ["b"])],
    "features turned around": [node("Gather", ["a", "places"], ["b"], "cut", axis=2)],
    "axes confused": [node("Reshape", ["a", "swap"], ["b"], "cut")],
    "whole batch as features": [
        *turned_back(node("Shape", ["a"], ["n"]), node("Reshape", ["t", "n"], ["b"], "cut"))
    ],
    "softmax of one": [
        node("Unsqueeze", ["a", "i_1"], ["u"]), node("Softmax", ["u"], ["s"], "cut", axis=-1),
        node("Mul", ["u", "s"], ["m"]), node("Squeeze", ["m", "i_1"], ["b"]),
    ],
    "sum over steps": [node("CumSum", ["a", "s0"], ["b"], "cut")],
    "sorted": [
        node("Shape", ["a"], ["n"], start=2, end=3),
        node("TopK", ["a", "n"], ["b", "order"], "cut", axis=2),
    ],
    "mask by the first": [
        node("Gather", ["a", "s0"], ["f"], axis=0), node("Equal", ["f", "zero"], ["is"], "cut"),
        node("Where", ["is", "zero", "a"], ["b"]),
    ],
    "subtracted mean": [
        node("ReduceMean", ["a"], ["m"], "cut", keepdims=1), node("Sub", ["a", "m"], ["b"])
    ],
    "length by half": [
        node("Shape", ["a"], ["n"], start=0, end=1), node("Div", ["n", "i2"], ["h"], "cut"),
        node("Mul", ["h", "i2"], ["e"]), node("Slice", ["a", "i0", "e", "i0"], ["b"], "s"),
    ],
    "length by the smaller": [
        node("Shape", ["a"], ["n"], start=0, end=1), node("Min", ["n", "i64"], ["e"], "cut"),
        node("Slice", ["a", "i0", "e", "i0"], ["b"], "s"),
    ],
    "chosen by the length": [
        node("Shape", ["a"], ["n"], start=0, end=1), node("Greater", ["n", "i64"], ["is"], "cut"),
        node("Where", ["is", "zero", "a"], ["b"], "w"),
    ],
}  # fmt: skip

ALIKE = {
    "slice of all": [node("Slice", ["a", "i0", "end", "i0"], ["b"])],
    "slice by the shape": [
        node("Shape", ["a"], ["n"], start=0, end=1), node("Slice", ["a", "i0", "n", "i0"], ["b"])
    ],
    "no pads": [node("Pad", ["a", "no pads"], ["b"])],
    "dropout": [node("Dropout", ["a", "ratio", "off"], ["b"])],
    "dropout by default": [node("Dropout", ["a"], ["b"])],
    "times one": [node("Mul", ["one", "a"], ["m"]), node("Div", ["m", "one"], ["b"])],
    "plus nothing": [node("Add", ["a", "zero"], ["m"]), node("Sub", ["m", "zero"], ["b"])],
    "cast to the same": [node("Cast", ["a"], ["b"], to=1)],
    "gather in order": [node("Gather", ["a", "same"], ["b"], axis=2)],
    "features turned twice": [
        node("Gather", ["a", "places"], ["m"], axis=2),
        node("Gather", ["m", "places"], ["b"], axis=2),
    ],
    "steps turned twice": [
        node("Slice", ["a", "i_1", "back", "i0", "i_1"], ["m"]),
        node("Slice", ["m", "i_1", "back", "i0", "i_1"], ["b"]),
    ],
    "flattened there and back": [
        node("Reshape", ["a", "flat"], ["m"]), node("Shape", ["a"], ["n"]),
        node("Reshape", ["m", "n"], ["b"]),
    ],
    "parts joined": [
        node("Split", ["a"], ["p", "q"], axis=2, num_outputs=2),
        node("Concat", ["p", "q"], ["b"], axis=2),
    ],
    "smallest of one": [node("Min", ["a"], ["m"]), node("Sum", ["m"], ["b"])],
    "copied": [node("Reshape", ["a", "shape"], ["b"])],
    "transposed there and back": turned_back(node("Transpose", ["t"], ["b"], perm=[1, 0, 2])),
}  # fmt: skip


@every("name", LOOKALIKES)
@every("where", ["in front", "between", "behind"])
def test_what_acts_on_some_inputs_only_is_refused(name, where):
    model = chain(LOOKALIKES[name], where)

    with pytest.raises(ValueError, match=r"'(cut|s|w|last)'"):
        load(model)


@every("name", ALIKE)
@every("where", ["in front", "between", "behind"])
def test_what_never_acts_passes(name, where, rng):
    model = chain(ALIKE[name], where)

    layers = load(model)

    for x in hard_inputs(rng):
        (want,) = run_onnx(model, {"x": x})
        assert_close(run_chain(layers, x)[0], want, 1e-4)


def one_lstm(nodes, inputs=(), lengths="", states=()):
    """Return a model of one LSTM between nodes."""
    layer = sr.LSTM(I, H, seed=0)
    constants = CONSTANTS | onnx_parameters(layer, "LSTM", "ifgo", "forward")
    constants["five"] = np.array([5], np.int32)
    given = ["x", "W", "R", "B", lengths, *states]
    while not given[-1]:
        given.pop()
    built = [*nodes, node("LSTM", given, ["Y"], "rec", hidden_size=H)]
    used = {name for one in built for name in one.input}
    kept = {name: array for name, array in constants.items() if name in used}
    shape = ["T", 1, "B", H]
    inputs = [("x", "float32", ["T", "B", I]), *inputs]
    return make_model(built, inputs, [("Y", "float32", shape)], kept, 18)


LENGTHS = ("l", "int64", ["B"])
STATES = [(name, "float32", [1, "B", H]) for name in ("h", "c")]
BESIDE = {
    "lengths at most five": (
        [node("Cast", ["l"], ["m"], to=6), node("Min", ["m", "five"], ["n"], "cut")],
        [LENGTHS], "n", (),
    ),
    "lengths of less bits": (
        [node("Cast", ["l"], ["m"], "cut", to=3), node("Cast", ["m"], ["n"], to=6)],
        [LENGTHS], "n", (),
    ),
    "lengths of a mask": (
        [node("ReduceSum", ["mask", "i0"], ["n"], "cut", keepdims=0)],
        [("mask", "int32", ["T", "B"])], "n", (),
    ),
    "one less than all steps": (
        [node("Shape", ["x"], ["t"], start=0, end=1), node("Shape", ["x"], ["b"], start=1, end=2),
         node("Sub", ["t", "i1"], ["m"]), node("Expand", ["m", "b"], ["e"]),
         node("Cast", ["e"], ["n"], "cut", to=6)],
        [], "n", (),
    ),
    "half a state": ([node("Mul", ["h", "half"], ["s"], "cut")], STATES, "", ("s", "c")),
    "state cut at one": (
        [node("Clip", ["h", "low", "high"], ["s"], "cut")], STATES, "", ("s", "c"),
    ),
    "state where wanted": (
        [node("Where", ["k", "h", "zero"], ["s"], "cut")],
        [*STATES, ("k", "bool", [1, "B", 1])], "", ("s", "c"),
    ),
    "state of the input": (
        [node("Slice", ["x", "i0", "i1", "i0"], ["s"], "cut")], [], "", ("s", "s"),
    ),
}  # fmt: skip


@every("name", BESIDE)
def test_lengths_and_states_that_nodes_change_are_refused(name):
    nodes, inputs, lengths, states = BESIDE[name]

    with pytest.raises(ValueError, match=r"^node 'rec' \(LSTM\): .*got what node 'cut'"):
        load(one_lstm(nodes, inputs, lengths, states))


def test_directions_joined_in_other_ways_are_refused():
    layer = sr.LSTM(I, H, bidirectional=True, seed=0)
    constants = onnx_parameters(layer, "LSTM", "ifgo", "bidirectional") | {"i1": CONSTANTS["i1"]}
    constants["naive"] = np.array([0, 0, 2 * H])
    parts = [
        node("LSTM", ["x", "W", "R", "B"], ["Y"], hidden_size=H, direction="bidirectional"),
        node("Split", ["Y"], ["a3", "b3"], axis=1, num_outputs=2),
        node("Squeeze", ["a3", "i1"], ["a"]),
        node("Squeeze", ["b3", "i1"], ["b"]),
    ]
    others = [
        node("Max", ["a", "b"], ["y"], "cut"),
        node("Sub", ["a", "b"], ["y"], "cut"),
        node("Add", ["a", "a"], ["y"], "cut"),
        node("Concat", ["b", "a"], ["y"], "cut", axis=2),
        node("Identity", ["a"], ["y"], "cut"),
        node("Reshape", ["Y", "naive"], ["y"], "cut"),
        node("ReduceMax", ["Y", "i1"], ["y"], "cut", keepdims=0),
    ]
    for other in others:
        used = {name for one in (*parts, other) for name in one.input}
        model = make_model(
            [*parts, other],
            [("x", "float32", ["T", "B", I])],
            [("y", "float32", ["T", "B", "F"])],
            {name: array for name, array in constants.items() if name in used},
            18,
        )

        with pytest.raises(ValueError, match="'cut'"):
            load(model)
