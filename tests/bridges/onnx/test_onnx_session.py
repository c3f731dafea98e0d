"""`Session` takes the place of ONNX Runtime's: names, shapes, types, values, errors, threads."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close, make_layer
from helpers_loops import every
from helpers_onnx import onnx_parameters, peers
from helpers_onnx_models import make_model, run_onnx
from helpers_peers import allowed

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")

from simdrnn.onnx import Session, backend  # noqa: E402
from simdrnn.onnx import pieces as pieces_module  # noqa: E402
from simdrnn.onnx import program as program_module  # noqa: E402
from simdrnn.onnx import recurrence as recurrence_module  # noqa: E402

pytestmark = pytest.mark.peers

helper = onnx.helper
node = helper.make_node
T, B, I, H = 6, 3, 4, 5  # noqa: E741


@pytest.fixture(autouse=True)
def _peers():
    peers()


def tagger(rng, *, opset=14, features=I, outputs=None):
    """Return convolution, two LSTM nodes with a dense layer between, and log-probabilities."""
    first = make_layer(sr, "lstm", I, H, bidirectional=True, seed=0)
    second = make_layer(sr, "lstm", H, H, seed=1)
    one = onnx_parameters(first, "LSTM", "ifgo", "bidirectional")
    two = onnx_parameters(second, "LSTM", "ifgo", "forward")
    constants = {f"{name}1": array for name, array in one.items()}
    constants |= {f"{name}2": array for name, array in two.items()}
    constants |= {
        "kernel": rng.standard_normal((I, I, 3)).astype("float32") / 4,
        "V": rng.standard_normal((2 * H, H)).astype("float32") / 4,
        "merge": np.array([0, 0, 2 * H]),
    }
    nodes = [
        node("Transpose", ["x"], ["channels"], perm=[1, 2, 0]),
        node("Conv", ["channels", "kernel"], ["near"], pads=[1, 1]),
        node("Transpose", ["near"], ["steps"], perm=[2, 0, 1]),
        node("LSTM", ["steps", "W1", "R1", "B1", "lengths"], ["Y1", "", "c"],
             direction="bidirectional", hidden_size=H),
        node("Transpose", ["Y1"], ["y"], perm=[0, 2, 1, 3]),
        node("Reshape", ["y", "merge"], ["u"]),
        node("MatMul", ["u", "V"], ["v"]),
        node("LSTM", ["v", "W2", "R2", "B2", "lengths"], ["Y2", "h"], hidden_size=H),
        node("LogSoftmax", ["Y2"], ["scores"], axis=-1),
    ]  # fmt: skip
    inputs = [("x", "float32", ["T", "B", features]), ("lengths", "int32", ["B"])]
    if outputs is None:
        outputs = [("scores", "float32", ["T", 1, "B", H]), ("h", "float32", [1, "B", H]),
                   ("c", "float32", [2, "B", H])]  # fmt: skip
    return make_model(nodes, inputs, outputs, constants, opset)


def feed(rng, steps=T, batch=B):
    x = rng.standard_normal((steps, batch, I)).astype("float32")
    return {"x": x, "lengths": rng.integers(1, steps + 1, batch).astype("int32")}


CLOSE = 8 * allowed(make_layer(sr, "lstm", 2 * H, H, bidirectional=True), T, B)


def runtime_session(model):
    _, runtime = peers()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def shown(session):
    every_one = [*session.get_inputs(), *session.get_outputs()]
    return [(one.name, one.shape, one.type) for one in every_one]


def test_a_whole_model_gives_runtime_numbers(rng):
    model, fed = tagger(rng), feed(rng)

    session = Session(model)

    assert session.other_nodes == "onnxruntime"
    assert_close(tuple(session.run(None, fed)), tuple(run_onnx(model, fed)), CLOSE)


def test_outputs_come_as_they_are_asked_for(rng):
    session, fed = Session(tagger(rng)), feed(rng)
    scores, h, c = session.run(None, fed)

    chosen = session.run(["c", "scores", "c"], fed)

    for one, other in zip(chosen, (c, scores, c), strict=True):
        np.testing.assert_array_equal(one, other)
    assert session.run([], fed) == []
    assert h.shape == (1, B, H)


def untyped(model, *, shapes_alone=False):
    """Take types, or shapes, from a model's outputs."""
    for value in model.graph.output:
        if shapes_alone:
            value.type.tensor_type.ClearField("shape")
        else:
            value.ClearField("type")
    return model


def old_sizes(model):
    """Write free sizes as old exporters do."""
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = -1
    return model


FORMS = {
    "as exported": lambda model: model,
    "no types": untyped,
    "no shapes": lambda model: untyped(model, shapes_alone=True),
    "sizes of -1": old_sizes,
}


@every("form", FORMS)
def test_inputs_and_outputs_are_shown_as_runtime_shows_them(form, rng):
    model, fed = FORMS[form](tagger(rng)), feed(rng)

    session = Session(model.SerializeToString())

    assert shown(session) == shown(runtime_session(model))
    want = tuple(run_onnx(model, fed))
    assert_close(tuple(session.run(None, fed)), want, CLOSE)
    assert_close(tuple(backend.run_model(model, fed)), want, CLOSE)


@every("form", FORMS)
def test_without_runtime_outputs_are_shown_with_types_and_shapes(form, rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    session = Session(FORMS[form](tagger(rng)))

    assert session.other_nodes == "onnx"
    found = {one.name: one for one in session.get_outputs()}
    assert found["h"].type == "tensor(float)"
    assert found["h"].shape[0] == 1
    assert found["h"].shape[2] == H


X = np.zeros((T, B, I), "float32")
LENGTHS = np.ones(B, "int32")
FED = {"x": X, "lengths": LENGTHS}
BAD = {
    "lacks": ({"x": X}, "input_feed: expected x, lengths, got x$"),
    "unknown": ({"x": X, "lengths": LENGTHS, "y": X}, "input_feed: expected x, lengths, got .* y$"),
    "dtype": ({"x": X.astype("d"), "lengths": LENGTHS}, "'x': expected float32, got float64"),
    "whole": ({"x": X, "lengths": [1.5, 1, 1]}, "'lengths': expected int32, got float64"),
    "axes": ({"x": X[0], "lengths": LENGTHS}, r"'x': expected shape \(T, B, 4\), got \(3, 4\)"),
    "size": ({"x": X[..., :3], "lengths": LENGTHS}, r"expected shape \(T, B, 4\), got \(6, 3, 3\)"),
    "values": ({"x": X, "lengths": LENGTHS + T}, r"^node 'Y1' \(LSTM\): lengths: expected"),
    "rows": ({"x": X, "lengths": LENGTHS[:2]}, r"^node 'Y1' \(LSTM\): lengths: expected"),
}


@every("name", BAD)
def test_what_does_not_fit_is_named(name, rng):
    fed, message = BAD[name]

    with pytest.raises(ValueError, match=message):
        Session(tagger(rng)).run(None, fed)


def test_what_is_no_mapping_or_no_output_is_said(rng):
    session = Session(tagger(rng))

    with pytest.raises(TypeError, match="input_feed: expected arrays by name, got ndarray"):
        session.run(None, X)
    with pytest.raises(ValueError, match="output_names: expected some of scores, h, c, got 'd'"):
        session.run(["d"], {"x": X, "lengths": LENGTHS})


@every("call, message", [
    (lambda s: s.run(3, FED), "output_names: expected names of outputs, or None, got 3"),
    (lambda s: s.run("h", FED), "output_names: expected names of outputs, .* got the name 'h'"),
    (lambda s: s.run(None, None), "input_feed: expected arrays by name, got NoneType"),
    (lambda s: s.run(None, FED | {"x": None}), "input 'x': expected an array of float32, got None"),
    (lambda s: s.run(None, FED | {"x": [[1.0], [1.0, 2.0]]}), "input 'x': .* members differ in"),
    (lambda s: s.run(None, FED | {"x": np.ma.array(X)}), "input 'x': .* got a masked array"),
    (lambda s: Session(3), "model: expected a path, bytes or an onnx.ModelProto, got int"),
    (lambda s: Session(b"", 3), "sess_options: expected onnxruntime.SessionOptions .* got int"),
    (lambda s: Session(b"", providers=3), "providers: expected names in a list, or None, got 3"),
    (lambda s: Session(b"", providers="CPU"), "providers: expected names in a list, got 'CPU'"),
    (lambda s: Session(b"", trust_directory=1), "trust_directory: expected True or False, got 1"),
])  # fmt: skip
def test_what_is_of_no_such_type_is_named(call, message, rng):
    session = Session(tagger(rng))

    with pytest.raises(TypeError, match=message):
        call(session)


def test_what_another_node_does_not_take_is_said():
    model = make_model(
        [node("Add", ["a", "b"], ["y"])],
        [("a", "float32", ["N"]), ("b", "float32", ["M"])],
        [("y", "float32", ["K"])],
    )

    with pytest.raises(ValueError, match="Add"):
        Session(model).run(None, {"a": np.zeros(2, "f"), "b": np.zeros(3, "f")})


def test_numbers_lists_and_arrays_of_any_strides_are_taken(rng):
    session, fed = Session(tagger(rng)), feed(rng)
    want = session.run(None, fed)
    strided = np.repeat(fed["x"], 2, axis=1)[:, ::2]
    foreign = fed["x"].astype(">f4")

    for x in (fed["x"].tolist(), strided, np.asfortranarray(fed["x"]), foreign):
        got = session.run(None, {"x": x, "lengths": fed["lengths"].tolist()})

        for one, other in zip(got, want, strict=True):
            np.testing.assert_array_equal(one, other)


@every("shape", [(0, B), (T, 0), (0, 0)], ids=str)
@every("runtime", [True, False], ids=["with onnxruntime", "without"])
def test_no_steps_and_no_rows(shape, runtime, rng, monkeypatch):
    cells = {"LSTM": ("lstm", "ifgo", 2), "GRU": ("gru", "rzn", 1), "RNN": ("rnn_tanh", "h", 1)}
    if not runtime:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    steps, batch = shape
    for name, (cell, gates, states) in cells.items():
        layer = make_layer(sr, cell, I, H, bidirectional=True, seed=0)
        inputs = ["X", "W", "R", "B", "", "initial_h", "initial_c"][: 5 + states]
        how = {"linear_before_reset": 1} if name == "GRU" else {}
        nodes = [
            node(name, inputs, ["Y", "h"], direction="bidirectional", hidden_size=H, **how),
            node("Relu", ["Y"], ["y"]),
        ]
        given = [("X", "float32", ["T", "B", I])]
        given += [(one, "float32", [2, "B", H]) for one in inputs[5:]]
        outputs = [("y", "float32", ["T", 2, "B", H]), ("h", "float32", [2, "B", H])]
        constants = onnx_parameters(layer, name, gates, "bidirectional")
        model = make_model(nodes, given, outputs, constants)
        x = np.zeros((steps, batch, I), "float32")
        state = rng.standard_normal((2, batch, H)).astype("float32")
        fed = {"X": x} | dict.fromkeys(inputs[5:], state)

        for got in (Session(model).run(None, fed), backend.run_model(model, fed)):
            assert got[0].shape == (steps, 2, batch, H)
            np.testing.assert_array_equal(got[1], layer(x, (state,) * 2 if states > 1 else state)[1]
                                          [0] if states > 1 else layer(x, state)[1])  # fmt: skip


def test_a_model_with_other_nodes_takes_no_rows(rng):
    session, fed = Session(tagger(rng)), feed(rng, T, 0)

    scores, h, c = session.run(None, fed)

    assert (scores.shape, h.shape, c.shape) == ((T, 1, 0, H), (1, 0, H), (2, 0, H))


def test_a_free_feature_axis(rng):
    layer = make_layer(sr, "gru", I, H, seed=0)
    constants = onnx_parameters(layer, "GRU", "rzn", "forward")
    gru = node("GRU", ["X", "W", "R", "B"], ["Y"], hidden_size=H, linear_before_reset=1)
    shape = ["T", "B", "F"]
    model = make_model([gru], [("X", "float32", shape)], [("Y", "float32", [*"TDBH"])], constants)
    x = rng.standard_normal((T, B, I)).astype("float32")

    session = Session(model)

    np.testing.assert_array_equal(session.run(None, {"X": x})[0][:, 0], layer(x)[0])
    assert session.get_inputs()[0].shape == shape
    for wrong in (x[..., :3], np.concatenate([x, x], axis=2)):
        with pytest.raises(ValueError, match=r"^node 'Y' \(GRU\): x: expected"):
            session.run(None, {"X": wrong})
        with pytest.raises(ValueError, match=r"^node 'Y' \(GRU\): x: expected"):
            backend.run_model(model, [wrong])


def test_external_data_is_read_from_base_dir(rng, tmp_path):
    model, fed = tagger(rng), feed(rng)
    want = Session(model).run(None, fed)
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    data = (tmp_path / "m.onnx").read_bytes()

    for got in (
        Session(data, base_dir=tmp_path).run(None, fed),
        Session(tmp_path / "m.onnx").run(None, fed),
        backend.prepare(data, base_dir=tmp_path).run(fed),
        backend.prepare(onnx.load_model_from_string(data), base_dir=str(tmp_path)).run(fed),
    ):
        for one, other in zip(got, want, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="expected base_dir="):
        backend.prepare(data)
    with pytest.raises(TypeError, match="basedir: expected one of the arguments base_dir, num_thr"):
        backend.prepare(data, basedir=tmp_path)
    with pytest.raises(OSError, match=r"none\.onnx"):
        backend.prepare(tmp_path / "none.onnx")


def cut(monkeypatch):
    """Let models be cut around recurrent nodes, as where ONNX Runtime does not know ours."""
    monkeypatch.setattr(program_module, "whole_graph", lambda *model: None)


@every("whole", [True, False])
def test_pieces_are_made_once_and_weights_packed_once(whole, rng, monkeypatch):
    ready, packed = [], []
    if not whole:
        cut(monkeypatch)
    make_ready, make_layers = pieces_module.RuntimePieces.ready, recurrence_module.make_layers
    monkeypatch.setattr(
        pieces_module.RuntimePieces, "ready",
        lambda self, model: ready.append(model) or make_ready(self, model),
    )  # fmt: skip
    monkeypatch.setattr(
        recurrence_module, "make_layers", lambda *args: packed.append(args) or make_layers(*args)
    )
    session = Session(tagger(rng))
    for _ in range(3):
        session.run(None, feed(rng))

    # Before the first LSTM, between the two, and behind the second: no piece has their weights.
    assert [len(model.graph.node) for model in ready] == ([9] if whole else [3, 3, 1])
    names = [{one.name for one in model.graph.initializer} for model in ready]
    assert names == ([{"kernel", "V", "merge"}] if whole else [{"kernel"}, {"V", "merge"}, set()])
    assert len(packed) == 2


def test_options_may_be_those_of_several_sessions(rng):
    _, runtime = peers()
    model, fed, options = tagger(rng), feed(rng), runtime.SessionOptions()
    sessions = [Session(model, options) for _ in range(2)]

    first, second = (one.run(None, fed) for one in sessions)

    assert_close(tuple(first), tuple(run_onnx(model, fed)), CLOSE)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_kept_of_a_session_that_is_gone(rng):
    gc.collect()
    before = len(sr._core.runtime_steps)
    session = Session(tagger(rng))
    there = len(sr._core.runtime_steps)
    del session
    gc.collect()

    assert (there, len(sr._core.runtime_steps)) == (before + 2, before)


class Stopped(BaseException):
    """As Ctrl-C, which no handler of errors may keep."""


@every("whole", [True, False])
def test_what_stops_a_node_comes_out_of_the_session(whole, rng, monkeypatch):
    if not whole:
        cut(monkeypatch)
    session, fed = Session(tagger(rng)), feed(rng)
    want = session.run(None, fed)

    def stop(*arguments):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(recurrence_module, "run_layers", stop)
        with pytest.raises(Stopped):
            session.run(None, fed)

    for one, other in zip(session.run(None, fed), want, strict=True):
        np.testing.assert_array_equal(one, other)


def test_any_number_of_threads_run_one_session(rng):
    session = Session(tagger(rng), num_threads=2)
    feeds = [feed(rng, 1 + k % 9, 1 + k % 4) for k in range(24)]
    want = [session.run(None, fed) for fed in feeds]

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda fed: session.run(None, fed), feeds * 4))

    for k, outputs in enumerate(got):
        for one, other in zip(outputs, want[k % len(want)], strict=True):
            np.testing.assert_array_equal(one, other)


def test_threads_and_providers_are_said_as_for_runtime(rng):
    _, runtime = peers()
    model, fed = tagger(rng), feed(rng)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    want = Session(model).run(None, fed)

    for session in (
        Session(model, options, ["CPUExecutionProvider"]),
        Session(model, providers=["CUDAExecutionProvider", "CPUExecutionProvider"]),
        Session(model, num_threads=1),
    ):
        for one, other in zip(session.run(None, fed), want, strict=True):
            np.testing.assert_array_equal(one, other)
        assert session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(ValueError, match="providers: expected 'CPUExecutionProvider' among them"):
        Session(model, providers=["CUDAExecutionProvider"])
    with pytest.raises(ValueError, match="num_threads: expected None beside sess_options"):
        Session(model, options, num_threads=1)
    with pytest.raises(ValueError, match="num_threads: expected"):
        Session(model, num_threads=0)


@every("whole", [True, False])
def test_runtime_threads_do_not_spin_and_small_pieces_have_none(whole, rng, monkeypatch):
    _, runtime = peers()
    if not whole:
        cut(monkeypatch)
    made, make = [], runtime.InferenceSession
    monkeypatch.setattr(
        runtime,
        "InferenceSession",
        lambda model, *args, **how: made.append(make(model, *args, **how)) or made[-1],
    )

    Session(tagger(rng), num_threads=2)

    options = [session.get_session_options() for session in made]
    # The last piece is a LogSoftmax.
    assert [one.intra_op_num_threads for one in options] == ([2] if whole else [2, 2, 1])
    for one in options:
        assert one.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_values_of_their_own_may_be_replaced(rng):
    scale = np.array(2, "float32")
    layer = make_layer(sr, "gru", I, H, seed=0)
    constants = onnx_parameters(layer, "GRU", "rzn", "forward") | {"scale": scale}
    nodes = [
        node("Mul", ["X", "scale"], ["x"]),
        node("GRU", ["x", "W", "R", "B"], ["Y"], hidden_size=H, linear_before_reset=1),
    ]
    inputs = [("X", "float32", ["T", "B", I]), ("scale", "float32", [])]
    model = make_model(nodes, inputs, [("Y", "float32", ["T", 1, "B", H])], constants)
    x = rng.standard_normal((T, B, I)).astype("float32")
    session, want = Session(model), runtime_session(model)

    assert [one.name for one in session.get_inputs()] == ["X"]
    assert [one.name for one in session.get_overridable_initializers()] == ["scale"]
    for fed in ({"X": x}, {"X": x, "scale": np.array(0.5, "float32")}, {"X": x}):
        assert_close(session.run(None, fed)[0], want.run(None, fed)[0], allowed(layer, T, B))


def test_outputs_are_the_callers_own(rng):
    constants = {"k": np.ones(3, "float32")}
    nodes = [node("Identity", ["x"], ["y"])]
    outputs = [("y", "float32", [3]), ("x", "float32", [3]), ("k", "float32", [3])]
    model = make_model(nodes, [("x", "float32", [3])], outputs, constants)
    session, x = Session(model), np.float32([1, 2, 3])

    for one in session.run(None, {"x": x}):
        one *= 2

    assert x.tolist() == [1, 2, 3]
    assert session.run(["k"], {"x": x})[0].tolist() == [1, 1, 1]
