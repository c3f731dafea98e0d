"""Files that nobody vouches for: what is wrong is said, and nothing large is allocated."""

from __future__ import annotations

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers_loops import every
from helpers_onnx_models import external_model, make_model

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from simdrnn.onnx import backend, load, save  # noqa: E402

pytestmark = [
    pytest.mark.peers,
    pytest.mark.thread_unsafe(reason="little_memory traces what the whole process allocates"),
]

I, H = 4, 5  # noqa: E741
node = onnx.helper.make_node


@contextlib.contextmanager
def little_memory(most=2**25):
    """Fail if Python and NumPy allocate more than `most` bytes; NumPy reports to tracemalloc."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.onnx"
    save(sr.LSTM(I, H, num_layers=2, bidirectional=True, seed=0), path)
    return path


@pytest.fixture
def external(tmp_path):
    return external_model(tmp_path)


def initializer(model, start):
    (found,) = [one for one in model.graph.initializer if one.name.startswith(start)]
    return found


# Damage


def test_every_truncation_is_a_value_error(saved):
    data = saved.read_bytes()

    for size in [*range(64), *range(64, len(data), 97)]:
        with little_memory(), pytest.raises(ValueError, match=r"^path_or_model: expected a"):
            load(data[:size])


@settings(max_examples=150)
@given(
    places=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_damaged_files_are_read_or_refused(places):
    data = bytearray(damaged_source())
    for place, value in places:
        data[place % len(data)] = value

    with little_memory(), contextlib.suppress(ValueError):
        load(bytes(data))


def damaged_source(made=[]):  # noqa: B006 (made once)
    if not made:
        layer = sr.GRU(2, 3, seed=0)
        gates = {
            "W": layer.weight_ih_l0[None],
            "R": layer.weight_hh_l0[None],
        }
        gru = node("GRU", ["x", "W", "R"], ["Y"], "one", hidden_size=3, clip=1.0)
        free = [("x", "float32", ["T", "B", 2])]
        model = make_model([gru], free, [("Y", "float32", ["T", 1, "B", 3])], gates)
        made.append(model.SerializeToString())
    return made[0]


@every("data", [b"", b"\0" * 100, b"not a model", b"\x08\x07"])
def test_other_files_are_value_errors(data, tmp_path):
    (tmp_path / "model.onnx").write_bytes(data)

    with pytest.raises(ValueError, match=r"model\.onnx: expected a"):
        load(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=r"model\.onnx: expected a"):
        backend.prepare(tmp_path / "model.onnx")


def test_files_that_cannot_be_read_are_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.onnx")
    with pytest.raises(OSError, match="directory"):
        load(tmp_path)


@pytest.mark.parametrize("value", [None, 3, ["model.onnx"]])
def test_other_sources_are_type_errors(value):
    with pytest.raises(
        TypeError, match=r"path_or_model: expected a path, bytes or an onnx.ModelProto, got"
    ):
        load(value)


def test_files_larger_than_any_model_are_not_read(tmp_path):
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate(2**31)  # takes no space on the disk

    with little_memory(), pytest.raises(ValueError, match="expected at most 2147483647 bytes"):
        load(tmp_path / "model.onnx")


# Tensors that claim more than they bring


CLAIMS = {
    "more": ([1, 20, 40], "expected 3200 bytes for shape [1, 20, 40], got 320"),
    "absurd": ([2**40, 2**40], f"expected {2**82} bytes"),
    "negative": ([-1, 20, 4], "expected sizes of at least 0, got [-1, 20, 4]"),
    "twice negative": ([-1, -20, 4], "expected sizes of at least 0"),
    "empty": ([0, 20, 4], "expected 0 bytes for shape [0, 20, 4], got 320"),
}


@every("name", CLAIMS)
@every("use", [load, backend.prepare], ids=["load", "backend"])
def test_tensors_have_the_bytes_that_their_shapes_ask_for(name, use, tmp_path):
    shape, message = CLAIMS[name]
    save(sr.LSTM(I, H, seed=0), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    initializer(model, "W").dims[:] = shape

    with little_memory(), pytest.raises(ValueError) as caught:  # noqa: PT011
        use(model)

    assert str(caught.value).startswith("tensor 'W_0_0': ")
    assert message in str(caught.value)


def test_values_in_other_fields_are_counted_too(tmp_path):
    save(sr.LSTM(I, H, seed=0), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    tensor = initializer(model, "W")
    values = onnx.numpy_helper.to_array(tensor).ravel().tolist()
    tensor.ClearField("raw_data")
    tensor.float_data[:] = values
    assert repr(load(model)) == "LSTM(4, 5)"
    tensor.float_data.pop()

    with pytest.raises(ValueError, match=r"expected 80 values for shape \[1, 20, 4\], got 79"):
        load(model)


def test_tensors_in_attributes_and_subgraphs_are_counted():
    tensor = onnx.numpy_helper.from_array(np.ones(3, "float32"), "inner")
    tensor.dims[:] = [2**50]
    inner = onnx.helper.make_graph([node("Constant", [], ["c"], value=tensor)], "g", [], [])
    outer = node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    graph = onnx.helper.make_graph([outer], "outer", [], [])

    with pytest.raises(ValueError, match=r"tensor 'inner': expected \d+ bytes for shape"):
        backend.prepare(onnx.helper.make_model(graph))


def test_other_types_are_refused(tmp_path):
    save(sr.LSTM(I, H, seed=0), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    initializer(model, "W").data_type = onnx.TensorProto.COMPLEX64

    with pytest.raises(ValueError, match=r"tensor 'W_0_0': expected floats.*got COMPLEX64"):
        load(model)


def test_sparse_tensors_are_refused():
    model = make_model([node("Identity", ["x"], ["y"])], [("x", "float32", [1])], [])
    values = onnx.helper.make_tensor("s", 1, [1], [1.0])
    indices = onnx.helper.make_tensor("i", 7, [1], [2**40])
    sparse = onnx.helper.make_sparse_tensor(values, indices, [2**50])
    model.graph.sparse_initializer.append(sparse)

    for use in (load, backend.prepare):
        with pytest.raises(ValueError, match="tensor 's': expected a dense tensor"):
            use(model)


# Models that ask for more than they bring when they are run


def growing(name):
    """Return a model whose other nodes make far more numbers than they are given."""
    big = {"big": np.array([2**40], np.int64), "many": np.full(40, 2**20, np.int64)}
    big |= {"one": np.ones((1, 2**14), "float32"), "other": np.ones((2**14, 1), "float32")}
    big |= {"places": np.zeros(2**15, np.int64)}
    nodes = {
        "ConstantOfShape": [node("ConstantOfShape", ["big"], ["y"], "grows")],
        "ConstantOfShape of many": [node("ConstantOfShape", ["many"], ["y"], "grows")],
        "Expand": [node("Expand", ["x", "big"], ["y"], "grows")],
        "Tile": [node("Tile", ["one", "pair"], ["y"], "grows")],
        "Add": [node("Add", ["one", "other"], ["y"], "grows")],
        "Gather": [node("Gather", ["one", "places"], ["y"], "grows", axis=0)],
        "Concat": [
            node("Concat", [f"y{k}" if k else "one"] * 2, [f"y{k + 1}"], "grows", axis=0)
            for k in range(40)
        ],
    }[name]
    big["pair"] = np.array([2**20, 2**20], np.int64)
    output = nodes[-1].output[0]
    used = {one for each in nodes for one in each.input}
    constants = {key: array for key, array in big.items() if key in used}
    return make_model(nodes, [("x", "float32", [1])], [(output, "float32", ["N"])], constants)


@every(
    "name",
    ["ConstantOfShape", "ConstantOfShape of many", "Expand", "Tile", "Add", "Gather", "Concat"],
)
def test_nodes_that_grow_are_stopped(name):
    # Until it stops, a doubling may reach half of what all nodes may make, in float32.
    with (
        little_memory(2**28),
        pytest.raises(ValueError, match=r"^node 'grows' \(\w+\): expected a"),
    ):
        load(growing(name))


def test_inputs_of_absurd_sizes_are_not_made():
    model = make_model(
        [node("Identity", ["x"], ["y"])],
        [("x", "float32", [2**40, 2**40, 4])],
        [("y", "float32", ["T", "B", 4])],
    )

    with (
        little_memory(),
        pytest.raises(ValueError, match=r"^input 'x': expected a model that makes"),
    ):
        load(model)


def test_text_is_not_made():
    """It would take far more memory than the numbers that are counted."""
    model = make_model(
        [node("Cast", ["x"], ["y"], "text", to=onnx.TensorProto.STRING)],
        [("x", "float32", [1])],
        [],
    )

    with pytest.raises(
        ValueError, match=r"expected recurrent nodes, got what node 'text' \(Cast\)"
    ):
        load(model)


def test_a_shape_that_is_none_is_named():
    model = make_model(
        [node("Expand", ["x", "shape"], ["y"], "wrong")],
        [("x", "float32", [1])],
        [("y", "float32", ["N"])],
        {"shape": np.array([-4], np.int64)},
    )

    with pytest.raises(
        ValueError, match=r"got what node 'wrong' \(Expand\) makes: an axis of length -4"
    ):
        load(model)


def test_loops_are_not_run():
    """Not by `load`, which runs nothing that could go on for ever."""
    body = onnx.helper.make_graph(
        [node("Identity", ["go"], ["again"]), node("Identity", ["s"], ["t"])],
        "body",
        [
            onnx.helper.make_tensor_value_info("i", 7, []),
            onnx.helper.make_tensor_value_info("go", 9, []),
            onnx.helper.make_tensor_value_info("s", 1, []),
        ],
        [
            onnx.helper.make_tensor_value_info("again", 9, []),
            onnx.helper.make_tensor_value_info("t", 1, []),
        ],
    )
    loop = node("Loop", ["", "go", "x"], ["y"], "forever", body=body)
    model = make_model([loop], [("go", "bool", []), ("x", "float32", [])], [("y", "float32", [])])

    with pytest.raises(ValueError, match=r"^node 'forever' \(Loop\): expected recurrent nodes"):
        load(model)


# Tensors in other files


def test_tensors_beside_the_model_are_read(external, tmp_path):
    path, file = external
    want = sr.LSTM(I, H, seed=0)

    for layer in (load(path), load(path.read_bytes(), base_dir=tmp_path)):
        assert file.exists()
        for name, value in want.parameters().items():
            np.testing.assert_array_equal(layer.parameters()[name], value)
    x = np.ones((3, 2, I), "float32")
    np.testing.assert_array_equal(backend.run_model(path, x).output, want(x)[0])


def test_a_model_that_is_passed_is_left_as_it_is(external, tmp_path):
    model = onnx.load(external[0], load_external_data=False)
    before = model.SerializeToString(deterministic=True)

    load(model, base_dir=tmp_path)

    assert model.SerializeToString(deterministic=True) == before


def test_without_a_path_the_folder_has_to_be_given(external):
    data = external[0].read_bytes()

    with pytest.raises(ValueError, match=r"in another file, 'weights\.bin': expected base_dir="):
        load(data)


LOCATIONS = {
    "above": "../weights.bin",
    "absolute": "{folder}/weights.bin",
    "around": "inner/../../weights.bin",
    "nothing": "",
    "not there": "none.bin",
    "folder": ".",
    "device": "/dev/zero",
    "nul": "wei\0ghts.bin",
    "too long": "w" * 5000,
}


@every("name", LOCATIONS)
def test_other_places_are_refused(name, external, tmp_path):
    path, _ = external
    inner = tmp_path / "inner"
    inner.mkdir()
    model = onnx.load(path, load_external_data=False)
    location = LOCATIONS[name].format(folder=tmp_path)
    for entry in initializer(model, "W").external_data:
        if entry.key == "location":
            entry.value = location
    (inner / "model.onnx").write_bytes(model.SerializeToString())

    with little_memory(), pytest.raises(ValueError, match="expected its values in a file in"):
        load(inner / "model.onnx")


def test_links_are_not_followed(external, tmp_path):
    path, file = external
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "model.onnx").write_bytes(path.read_bytes())
    (inner / "weights.bin").symlink_to(file)

    with pytest.raises(ValueError, match=r"not behind a link, got 'weights.bin'"):
        load(inner / "model.onnx")


@every(
    "key, value, message",
    [
        (
            "length",
            "1000000000000",
            r"expected 320 bytes for shape \[1, 20, 4\], got 1000000000000",
        ),
        ("length", "-1", "expected 320 bytes"),
        ("offset", "1000000", "expected 320 bytes"),
        ("offset", "-4", "expected 320 bytes"),
        ("offset", "four", "invalid literal"),
    ],
)
def test_the_part_of_the_file_has_to_fit(key, value, message, external):
    path, _ = external
    model = onnx.load(path, load_external_data=False)
    for entry in initializer(model, "W").external_data:
        if entry.key == key:
            entry.value = value
    path.write_bytes(model.SerializeToString())

    with little_memory(), pytest.raises(ValueError, match=f"^tensor 'W_0_0': .*{message}"):
        load(path)


def test_a_file_that_was_cut_is_refused(external):
    path, file = external
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(ValueError, match=r"^tensor '.*: expected"):
        load(path)


def test_absurd_shapes_of_external_tensors_are_refused(external):
    path, _ = external
    model = onnx.load(path, load_external_data=False)
    initializer(model, "W").dims[:] = [2**40, 2**40]
    path.write_bytes(model.SerializeToString())

    with (
        little_memory(),
        pytest.raises(ValueError, match=f"^tensor 'W_0_0': expected {2**82} bytes"),
    ):
        load(path)
