"""What a model's files may make us read and ask for: links, bytes that are shared, small parts."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers_files import little_memory
from helpers_loops import every
from helpers_onnx_models import external_model, make_model

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from simdrnn.onnx import backend, load  # noqa: E402

pytestmark = pytest.mark.peers

I, H = 4, 5  # noqa: E741
LITTLE = 2**25
node = onnx.helper.make_node


@pytest.fixture
def external(tmp_path):
    return external_model(tmp_path)


# Links


@pytest.fixture
def linked(external, tmp_path):
    """A model as the cache of a hub has it: names are links to files called by their contents."""
    path, file = external
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for source in (path, file):
        source.rename(blobs / f"{source.name[0]}0123")
        (snapshot / source.name).symlink_to(f"../../blobs/{source.name[0]}0123")
    return snapshot / path.name


def test_links_in_a_trusted_folder_are_followed(linked):
    with pytest.raises(ValueError, match=r"not behind a link.*trust_directory=True follows links"):
        load(linked)

    layer = load(linked, trust_directory=True)

    np.testing.assert_array_equal(layer.weight_hh_l0, sr.LSTM(I, H, seed=0).weight_hh_l0)


def test_files_with_several_names_are_links(external, tmp_path):
    path, file = external
    (tmp_path / "other name").hardlink_to(file)

    with pytest.raises(ValueError, match=r"not behind a link.*trust_directory=True"):
        load(path)

    layer = load(path, trust_directory=True)
    np.testing.assert_array_equal(layer.weight_hh_l0, sr.LSTM(I, H, seed=0).weight_hh_l0)


def test_trust_ends_at_the_folder(external, tmp_path):
    path, _ = external
    inner = tmp_path / "inner"
    inner.mkdir()
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../weights.bin"
    (inner / "model.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(ValueError, match=r"expected its values in a file in '[^']*inner', got"):
        load(inner / "model.onnx", trust_directory=True)


# Sizes that are promised


def test_tensors_that_are_the_same_bytes_are_counted(tmp_path):
    size, count = 2**22, 30
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(size)
    model = make_model([node("Identity", ["x"], ["y"])], [("x", "float32", [1])], [])
    for k in range(count):
        tensor = model.graph.initializer.add(name=f"t{k}", data_type=1, dims=[size // 4])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())

    for use in (load, backend.prepare):
        with (
            little_memory(LITTLE),
            pytest.raises(ValueError, match=r"weights\.bin: expected tensors of"),
        ):
            use(tmp_path / "model.onnx")
    with (
        little_memory(LITTLE),
        pytest.raises(ValueError, match=r"expected a model that makes at most 100000000"),
    ):
        load(tmp_path / "model.onnx", memory_limit=10**8)


def many_of_the_same(count=400, size=150):
    """Return a chain of LSTMs that share their weights."""
    nodes = []
    for k in range(count):
        given = f"u{k}" if k else "x"
        nodes.append(node("LSTM", [given, "W", "R"], [f"Y{k}"], f"n{k}", hidden_size=size))
        nodes.append(node("Squeeze", [f"Y{k}", "one"], [f"u{k + 1}"]))
    arrays = {name: np.ones((1, 4 * size, size), "float32") for name in "WR"}
    shape = ["T", "B", size]
    return make_model(
        nodes,
        [("x", "float32", shape)],
        [(f"u{count}", "float32", shape)],
        arrays | {"one": np.array([1])},
    )


@every("node", [None, "*"])
def test_layers_that_share_weights_are_counted(node):
    model = many_of_the_same()

    with (
        little_memory(LITTLE),
        pytest.raises(ValueError, match=r"^node 'n\d+' \(LSTM\): expected a model that makes at"),
    ):
        load(model, node=node)
    assert len(load(many_of_the_same(3))) == 3


HOLLOW = {
    "messages": b"\x0a\x00" * 4_000_000,
    "nodes": b"\x0a\x04\x22\x02Id" * 1_500_000,
}


@every("name", HOLLOW)
def test_files_of_nothing_but_small_parts_are_counted(name):
    size = len(HOLLOW[name])
    length = bytes((size >> shift & 127) | (128 if shift < 21 else 0) for shift in (0, 7, 14, 21))

    with pytest.raises(
        ValueError, match=r"^path_or_model: expected a model that makes"
    ):  # not parsed
        load(b"\x3a" + length + HOLLOW[name])


PROMISES = {
    "Split": (node("Split", ["a"], ["y"], "n", num_outputs=2_000_000), {}),
    "Range": (node("Range", ["zero", "far", "one"], ["y"], "n"), {}),
    "Pad": (node("Pad", ["a", "pads"], ["y"], "n"), {"pads": np.array([0, 2**33])}),
    "OneHot": (node("OneHot", ["places", "far", "pair"], ["y"], "n"), {}),
    "Resize": (node("Resize", ["image", "", "scales"], ["y"], "n"), {}),
    "Einsum": (node("Einsum", ["a", "a", "a"], ["y"], "n", equation="i,j,k->ijk"), {}),
    "MatMul": (node("MatMul", ["column", "row"], ["y"], "n"), {}),
    "Gemm": (node("Gemm", ["column", "row"], ["y"], "n"), {}),
}
GIVEN = {
    "a": np.ones(3000, "float32"), "zero": np.int64(0), "one": np.int64(1), "far": np.int64(2**40),
    "places": np.zeros(9, np.int64), "pair": np.float32([0, 1]),
    "image": np.ones((1, 1, 3, 3), "float32"), "scales": np.float32([1, 1, 1e6, 1e6]),
    "row": np.ones((1, 50_000), "float32"), "column": np.ones((50_000, 1), "float32"),
}  # fmt: skip


@every("name", PROMISES)
def test_constants_that_grow_are_not_made(name):
    made, own = PROMISES[name]
    constants = {key: array for key, array in (GIVEN | own).items() if key in made.input}
    model = make_model([made], [("x", "float32", [1])], [], constants, 18)

    with little_memory(LITTLE), pytest.raises(ValueError, match=r"node 'n'|no recurrent|got none"):
        load(model)
