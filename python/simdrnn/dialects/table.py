"""The table: how each package arranges the weights of its LSTM, GRU and plain recurrent layer.

Gates go by one set of letters here: the LSTM's input i, forget f, candidate g and output o, the
GRU's reset r, update z and candidate n, and h for the one block of a plain recurrent layer. Each
`Slot` is one array of a package; everything else about the package is read off its slots.
"""

from __future__ import annotations

from simdrnn.dialects.entries import (
    Dialect,
    apple,
    dense,
    folded,
    gate,
    inputs,
    joint,
    kernels,
    onnx_inputs,
    optional,
    peepholes,
    two_biases,
)
from simdrnn.dialects.objects import of_coreml, of_guitarml, of_madmom
from simdrnn.dialects.slots import Container, Layout, Slot, bias, kernel

__all__ = ["CELLS", "DIALECTS"]

CELLS = ("lstm", "gru", "rnn")

_PROJECTION = optional(Slot("weight_hr", (("projection", ""),)))

_KERAS_LSTM = kernels("ifgo")
_KERAS_GRU = kernels(
    "zrn", Slot("bias", (("input_bias", "zrn"), ("recurrent_bias", "zrn")), stacked=True)
)
_ONNX_GRU = onnx_inputs("zrn")
_OPENVINO_GRU = Slot("B", (("bias", "zr"), ("input_bias", "n"), ("recurrent_bias", "n")))

_COREML_LSTM = apple(
    {"i": "inputGate", "f": "forgetGate", "g": "blockInput", "o": "outputGate"},
    *(
        optional(Slot(f"{name}GatePeepholeVector", (("peephole", name[0]),)))
        for name in ("input", "forget", "output")
    ),
)
_COREML_RNN = Layout(
    (
        Slot("weightMatrix", (("input", "h"),)),
        Slot("recursionMatrix", (("recurrent", "h"),)),
        bias("biasVector", "h"),
    )
)


def _with_peepholes(name: str, letter: str) -> tuple[Slot, ...]:
    """Return one of madmom's gates that may see the cell's state."""
    peephole = Slot(f"{name}/peephole_weights", (("peephole", letter),))
    return gate(name, letter, optional(peephole))


_MADMOM_LSTM = Layout(
    (
        *_with_peepholes("input_gate", "i"),
        *_with_peepholes("forget_gate", "f"),
        *gate("cell", "g"),
        *_with_peepholes("output_gate", "o"),
    )
)
_MADMOM_GRU = Layout(
    (*gate("reset_gate", "r"), *gate("update_gate", "z"), *gate("cell", "n")),
    z_flipped=True,
    apart="n",
)
_MADMOM_RNN = Layout(
    (
        kernel("weights", "input", "h"),
        bias("bias", "h"),
        kernel("recurrent_weights", "recurrent", "h"),
    )
)
_DYNET_LSTM = Layout(
    (
        Slot("Wx", (("input", "ifog"),)),
        Slot("Wh", (("recurrent", "ifog"),)),
        bias("b", "ifog"),
    ),
    forget_bias=1.0,
)

DIALECTS: dict[str, Dialect] = {
    "simdrnn": Dialect(
        "simdrnn",
        Container.SUFFIXED,
        {
            "lstm": {None: two_biases("ifgo", _PROJECTION, *peepholes("weight_c{}"))},
            "gru": dict.fromkeys((True, False), two_biases("rzn")),
            "rnn": {None: two_biases("h")},
        },
        {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"},
        source="`state_dict()` of a layer",
    ),
    "torch": Dialect(
        "PyTorch",
        Container.SUFFIXED,
        {
            "lstm": {None: two_biases("ifgo", _PROJECTION)},
            "gru": {True: two_biases("rzn")},
            "rnn": {None: two_biases("h")},
        },
        {"lstm": "nn.LSTM", "gru": "nn.GRU", "rnn": "nn.RNN"},
        source="torch 2.13, `torch.nn.modules.rnn`; compared with its layers",
    ),
    "keras": Dialect(
        "Keras",
        Container.SEQUENCE,
        {
            "lstm": {None: _KERAS_LSTM},
            "gru": {True: _KERAS_GRU, False: kernels("zrn")},
            "rnn": {None: kernels("h")},
        },
        {"lstm": "LSTM", "gru": "GRU", "rnn": "SimpleRNN"},
        symbols={"g": "c", "n": "h"},
        source="Keras 3.15, `keras.src.layers.rnn`; compared with its layers",
    ),
    "onnx": Dialect(
        "ONNX",
        Container.DIRECTIONS,
        {
            "lstm": {None: onnx_inputs("iofg", optional(Slot("P", (("peephole", "iof"),))))},
            "gru": {True: _ONNX_GRU, False: _ONNX_GRU},
            "rnn": {None: onnx_inputs("h")},
        },
        {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"},
        symbols={"g": "c", "n": "h"},
        source="onnx 1.23, operators of version 22; compared with ONNX Runtime",
    ),
    "openvino": Dialect(
        "OpenVINO",
        Container.DIRECTIONS,
        {
            "lstm": {None: inputs("figo", bias("B", "figo"))},
            "gru": {
                True: inputs("zrn", _OPENVINO_GRU),
                False: inputs("zrn", bias("B", "zrn")),
            },
            "rnn": {None: inputs("h", bias("B", "h"))},
        },
        {"lstm": "LSTMSequence", "gru": "GRUSequence", "rnn": "RNNSequence"},
        symbols={"g": "c", "n": "h"},
        needs_bias=True,
        source="operators LSTMSequence-5, GRUSequence-5 and RNNSequence-5; Keras 3.15, "
        "`keras.src.backend.openvino.rnn`; compared with OpenVINO 2026.4",
    ),
    "flax": Dialect(
        "Flax",
        Container.NESTED,
        {
            "lstm": {
                None: Layout(
                    (
                        *(slot for g in "ifgo" for slot in dense(f"i{g}", "input", g)),
                        *(slot for g in "ifgo" for slot in dense(f"h{g}", "recurrent", g, "bias")),
                    )
                )
            },
            "gru": {
                True: Layout(
                    (
                        *(slot for g in "rz" for slot in dense(f"i{g}", "input", g, "bias")),
                        *dense("in", "input", "n", "input_bias"),
                        *(slot for g in "rz" for slot in dense(f"h{g}", "recurrent", g)),
                        *dense("hn", "recurrent", "n", "recurrent_bias"),
                    )
                )
            },
            "rnn": {
                None: Layout((*dense("i", "input", "h", "bias"), *dense("h", "recurrent", "h")))
            },
        },
        {"lstm": "linen.LSTMCell", "gru": "linen.GRUCell", "rnn": "linen.SimpleCell"},
        needs_bias=True,
        source="flax 0.12, `flax.linen.recurrent`; compared with its cells",
    ),
    "flax_nnx": Dialect(
        "Flax NNX",
        Container.NESTED,
        {
            "lstm": {
                None: Layout(
                    (
                        *dense("dense_i", "input", "ifgo"),
                        *dense("dense_h", "recurrent", "ifgo", "bias"),
                    )
                )
            },
            "gru": {
                True: Layout(
                    (
                        *dense("dense_i", "input", "rzn", "bias"),
                        *dense("dense_h", "recurrent", "rzn"),
                    ),
                    apart="n",
                )
            },
            "rnn": {
                None: Layout(
                    (
                        *dense("dense_i", "input", "h", "bias"),
                        *dense("dense_h", "recurrent", "h"),
                    )
                )
            },
        },
        {"lstm": "nnx.OptimizedLSTMCell", "gru": "nnx.GRUCell", "rnn": "nnx.SimpleCell"},
        needs_bias=True,
        source="flax 0.12, `flax.nnx.nn.recurrent`; compared with its cells",
    ),
    "haiku": Dialect(
        "Haiku",
        Container.NESTED,
        {
            "lstm": {None: Layout(joint("linear/", "igfo", "w", "b"), forget_bias=1.0)},
            "gru": {
                False: Layout(
                    (
                        kernel("w_i", "input", "zrn"),
                        kernel("w_h", "recurrent", "zrn"),
                        bias("b", "zrn"),
                    ),
                    z_flipped=True,
                )
            },
            "rnn": {
                None: Layout(
                    (
                        kernel("linear/w", "input", "h"),
                        Slot("linear/b", (("input_bias", "h"),)),
                        kernel("linear_1/w", "recurrent", "h"),
                        optional(Slot("linear_1/b", (("recurrent_bias", "h"),))),
                    )
                )
            },
        },
        {"lstm": "LSTM", "gru": "GRU", "rnn": "VanillaRNN"},
        symbols={"n": "a"},
        needs_bias=True,
        modules={"lstm": "lstm", "gru": "gru", "rnn": "vanilla_rnn"},
        source="dm-haiku 0.0.17, `haiku._src.recurrent`; compared with its cells",
    ),
    "tf1": Dialect(
        "TensorFlow 1",
        Container.FLAT,
        {
            "lstm": {
                None: Layout(
                    (
                        *joint("", "igfo"),
                        *peepholes("w_{}_diag"),
                        optional(kernel("projection/kernel", "projection", "")),
                    ),
                    forget_bias=1.0,
                )
            },
            "gru": {False: Layout((*joint("gates/", "rz"), *joint("candidate/", "n")))},
            "rnn": {None: Layout(joint("", "h"))},
        },
        {
            "lstm": "LSTMCell, BasicLSTMCell, LSTMBlockCell",
            "gru": "GRUCell",
            "rnn": "BasicRNNCell",
        },
        symbols={"g": "j", "z": "u", "n": "c"},
        needs_bias=True,
        forget_bias_chosen=True,
        source="tf-keras at 6add81a, tf_keras/layers/rnn/legacy_cells.py; compared with its "
        "formulas",
    ),
    "haste": Dialect(
        "haste",
        Container.FLAT,
        {
            "lstm": {None: kernels("igfo")},
            "gru": {
                True: kernels(
                    "zrn",
                    Slot("bias", (("input_bias", "zrn"),)),
                    Slot("recurrent_bias", (("recurrent_bias", "zrn"),)),
                )
            },
        },
        {"lstm": "LSTM", "gru": "GRU"},
        symbols={"n": "g"},
        needs_bias=True,
        source="haste at ed8cdec, frameworks/pytorch/lstm.py and gru.py; compared with its "
        "formulas",
    ),
    "rtneural": Dialect(
        "RTNeural",
        Container.JSON,
        {"lstm": {None: _KERAS_LSTM}, "gru": {True: _KERAS_GRU}},
        {"lstm": "lstm", "gru": "gru"},
        symbols={"g": "c", "n": "h"},
        needs_bias=True,
        source="RTNeural at 1315002, python/model_utils.py, which writes what Keras's "
        "`get_weights()` returns, and at 0154d25 RTNeural/model_loader.h, which reads it; "
        "compared with Keras's formulas",
    ),
    "keras_cudnn": Dialect(
        "Keras's CuDNN layers",
        Container.SEQUENCE,
        {"lstm": {None: folded("ifgo")}, "gru": {True: folded("zrn")}},
        {"lstm": "CuDNNLSTM", "gru": "CuDNNGRU"},
        symbols={"g": "c", "n": "h"},
        needs_bias=True,
        source="Keras 2.2, keras/layers/cudnn_recurrent.py and `_convert_rnn_weights` of "
        "keras/engine/saving.py; compared with cuDNN's formulas and with what tf-keras 2.15 "
        "turns such weights into",
    ),
    "dynet": Dialect(
        "DyNet",
        Container.SEQUENCE,
        {"lstm": {None: _DYNET_LSTM}},
        {"lstm": "VanillaLSTMBuilder, CompactVanillaLSTMBuilder"},
        needs_bias=True,
        forget_bias_chosen=True,
        source="DyNet at 038faaf, dynet/nodes-lstm.cc; compared with its formulas",
    ),
    "coreml": Dialect(
        "Core ML",
        Container.FLAT,
        {
            "lstm": {None: _COREML_LSTM},
            "gru": {False: apple({"z": "updateGate", "r": "resetGate", "n": "outputGate"})},
            "rnn": {None: _COREML_RNN},
        },
        {
            "lstm": "UniDirectionalLSTM, BiDirectionalLSTM",
            "gru": "GRU",
            "rnn": "SimpleRecurrent",
        },
        symbols={"g": "z", "n": "o"},
        forget_bias_chosen=True,
        unpacked=of_coreml,
        source="Core ML's specification, NeuralNetwork.proto; compared with its formulas, and "
        "read out of what coremltools 9.0 builds",
    ),
    "guitarml": Dialect(
        "GuitarML",
        Container.MODEL,
        {
            "lstm": {None: two_biases("ifgo")},
            "gru": {True: two_biases("rzn")},
            "rnn": {None: two_biases("h")},
        },
        {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"},
        modules={"lstm": "rec", "gru": "rec", "rnn": "rec"},
        unpacked=of_guitarml,
        source="the files that Automated-GuitarAmpModelling writes, which are PyTorch's names and "
        "numbers; compared with PyTorch's formulas",
    ),
    "madmom": Dialect(
        "madmom",
        Container.NESTED,
        {"lstm": {None: _MADMOM_LSTM}, "gru": {True: _MADMOM_GRU}, "rnn": {None: _MADMOM_RNN}},
        {"lstm": "LSTMLayer", "gru": "GRULayer", "rnn": "RecurrentLayer"},
        symbols={"g": "cell", "n": "cell"},
        needs_bias=True,
        unpacked=of_madmom,
        source="madmom at 005ff87, madmom/ml/nn/layers.py; compared with its formulas",
    ),
}
