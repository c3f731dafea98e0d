"""What packages keep weights in, handed over as it is: objects, messages, parsed files."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import simdrnn as sr
from helpers_dialects import FORMULAS
from helpers_loops import every
from simdrnn.dialects import convert

I, H = 3, 4  # noqa: E741
LAYERS = {"lstm": sr.LSTM, "gru": sr.GRU, "rnn": sr.RNN}


def weights_of(cell, dialect, **options):
    values = LAYERS[cell](I, H, seed=0, **options).state_dict()
    for name in values:
        if name.startswith("bias_hh"):
            values[name][:] = 0
    form = options.get("reset_after", True if cell == "gru" else None)
    return convert(values, "simdrnn", dialect, cell=cell, reset_after=form)


def as_objects(weights, **more):
    """Return nested dicts as objects with attributes, as madmom's layers are."""
    made = {k: as_objects(v) if isinstance(v, dict) else v for k, v in weights.items()}
    return SimpleNamespace(**made, **more)


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@every("cell", LAYERS)
@every("both", [False, True])
def test_layers_of_madmom(cell, both):
    options = {"peephole": True} if cell == "lstm" else {}
    weights = weights_of(cell, "madmom", **options)
    layer = as_objects(weights)
    want = [weights, weights] if both else weights
    given = SimpleNamespace(fwd_layer=layer, bwd_layer=layer) if both else layer

    got = convert(given, "madmom", "simdrnn", cell=cell, bidirectional=both)

    assert equal(got, convert(want, "madmom", "simdrnn", cell=cell, bidirectional=both))


def test_a_bias_of_madmom_may_be_one_number():
    weights = weights_of("lstm", "madmom")
    weights["cell"]["bias"] = np.full(H, 0.5, "float32")
    layer = as_objects(weights)
    layer.cell.bias = 0.5

    got = convert(layer, "madmom", "simdrnn", cell="lstm")

    assert equal(got, convert(weights, "madmom", "simdrnn", cell="lstm"))


def test_what_madmoms_layers_have_beside_weights_is_refused():
    def relu(x):
        return x

    gru, lstm = weights_of("gru", "madmom"), weights_of("lstm", "madmom")
    gates = as_objects(lstm)
    gates.output_gate.activation_fn = relu
    for layer, cell, words in (
        (as_objects(gru, hid_init=np.ones(H)), "gru", "starts from zeros, got one with hid_init"),
        (as_objects(lstm, activation_fn=relu), "lstm", "expected tanh in the layer, got relu"),
        (gates, "lstm", "expected sigmoid or expit in output_gate, got relu"),
    ):
        with pytest.raises(ValueError, match=words):
            convert(layer, "madmom", "simdrnn", cell=cell)
    assert convert(as_objects(gru, hid_init=np.zeros(H)), "madmom", "simdrnn", cell="gru")


def message(weights, *, half=False):
    """Return weights as Core ML's messages have them: flat, an empty field for what is not."""
    made = {}
    for name, array in weights.items():
        flat = array.astype("float16").tobytes() if half else b""
        values = [] if half else array.reshape(-1).tolist()
        made[name] = SimpleNamespace(floatValue=values, float16Value=flat, rawValue=b"")
    empty = SimpleNamespace(floatValue=[], float16Value=b"", rawValue=b"")
    return SimpleNamespace(**{"inputGatePeepholeVector": empty} | made)


MESSAGES = [
    ("lstm", {}),
    ("lstm", {"peephole": True}),
    ("gru", {"reset_after": False}),
    ("rnn", {}),
]


@every("cell, options", MESSAGES)
def test_messages_of_core_ml(cell, options):
    weights = weights_of(cell, "coreml", **options)
    want = convert(weights, "coreml", "simdrnn", cell=cell)
    flat = {name: array.reshape(-1) for name, array in weights.items()}

    for given in (message(weights), flat):
        assert equal(convert(given, "coreml", "simdrnn", cell=cell), want)
    both = convert([message(weights)] * 2, "coreml", "simdrnn", cell=cell, bidirectional=True)
    assert len(both) == 2 * len(want)
    half = convert(message(weights, half=True), "coreml", "simdrnn", cell=cell)
    assert half["weight_hh_l0"].dtype == np.float16
    raw = message(weights)
    next(iter(vars(raw).values())).rawValue = b"q"
    first = next(iter(vars(raw)))
    getattr(raw, first).floatValue = []
    with pytest.raises(ValueError, match="got quantised values"):
        convert(raw, "coreml", "simdrnn", cell=cell)
    with pytest.raises(TypeError, match="pass its weightParams"):
        convert(SimpleNamespace(weightParams=raw), "coreml", "simdrnn", cell=cell)


def test_a_file_of_guitarml():
    weights = weights_of("lstm", "guitarml")
    want = convert(weights, "guitarml", "simdrnn", cell="lstm")
    file = {"model_data": {"unit_type": "LSTM", "skip": 1}, "state_dict": weights["state_dict"]}
    file["state_dict"] = file["state_dict"] | {"lin.weight": [[0.5] * H], "lin.bias": [0.25]}

    got = convert(file, "guitarml", "simdrnn", cell="lstm")

    assert got["weight_ih_l0"].dtype == np.float32
    assert equal(got, want)
    assert equal(convert(file["state_dict"], "guitarml", "simdrnn", cell="lstm"), want)


@pytest.mark.parametrize("added", [0.0, 1.0, 2.5])
def test_dynet_and_core_ml_let_users_choose_what_is_added(added, rng):
    layer = sr.LSTM(I, H, dtype="float64", seed=0)
    arguments = {"cell": "lstm", "forget_bias": added}
    x, h, c = rng.standard_normal((5, 2, I)), rng.random((2, H)), rng.random((2, H))
    want = layer(x, (h[None], c[None]))[0]

    Wx, Wh, b = convert(layer.state_dict(), "simdrnn", "dynet", **arguments)
    apple = convert(layer.state_dict(), "simdrnn", "coreml", **arguments)

    b[H : 2 * H] += added - 1  # the formula adds the 1
    apple["forgetGateBiasVector"] += added
    for name, weights in (("dynet", [Wx, Wh, b]), ("coreml", apple)):
        got = FORMULAS[name, "lstm"](weights, x, h, c)[0]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-14)


def test_dynets_parameters_may_be_listed_by_layer():
    layer = sr.LSTM(I, H, 2, seed=0)
    flat = convert(layer.state_dict(), "simdrnn", "dynet", cell="lstm")

    got = convert([flat[:3], flat[3:]], "dynet", "simdrnn", cell="lstm", bidirectional=False)

    assert equal(got, convert(flat, "dynet", "simdrnn", cell="lstm", bidirectional=False))
