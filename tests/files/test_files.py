"""What is saved and loaded is equal: class, options, parameters, and what it computes."""

from __future__ import annotations

import builtins
import copy
import inspect
import json
import os
import pickle
import stat

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits, printed
from helpers_files import (
    CLASSES,
    STACKS,
    all_formats,
    little_memory,
    same_parameters,
    skip_without_package,
    stack,
)
from helpers_loops import every
from problems import Setting, build
from rows import small_rows
from simdrnn import files, reference
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.parametrised import Parametrised
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.single_step import RecurrentCell

OBJECTS = CLASSES | STACKS
all_objects = every("make", OBJECTS.values(), ids=OBJECTS)


def inputs_of(layer, rng):
    if isinstance(layer, sr.Embedding):
        return rng.integers(0, layer.num_embeddings, (5, 2))
    sizes = {sr.Linear: "in_features", sr.losses.CRF: "num_tags"}
    size = getattr(layer, sizes.get(type(layer), "input_size"))
    steps = (2,) if "Cell" in type(layer).__name__ else (5, 2)
    return rng.standard_normal((*steps, size)).astype(layer.dtype)


def beside_of(layer, x):
    """Return what a layer or cell takes beside x, as arguments of a call."""
    takes = (
        isinstance(layer, (RecurrentLayer, RecurrentCell)) and bound_layer(layer).info.step_inputs
    )
    return {"attention": np.full(x.shape[:-1], 0.25, layer.dtype)} if takes else {}


def saved(layer, path):
    layer.save(path)
    return sr.load(path)


@all_formats
@all_objects
def test_every_class_comes_back_equal(make, ending, tmp_path, rng):
    skip_without_package(ending)
    layer = make()
    x = inputs_of(layer, rng)

    twin = saved(layer, tmp_path / f"layer{ending}")

    assert type(twin) is type(layer)
    assert repr(twin) == repr(layer)
    same_parameters(twin, layer)
    assert_same_bits(twin(x, **beside_of(layer, x)), layer(x, **beside_of(layer, x)))


@pytest.mark.parametrize("engine_name", ["compiled", "reference"])
def test_every_pair_of_options_comes_back_and_draws_the_same(engine_name, tmp_path, rng):
    module = sr if engine_name == "compiled" else reference

    for row in small_rows()[::3]:
        first = row["axes"] == "batch"
        layer = build(module, Setting(row), seed=2**63 + 11, batch_first=first)
        x = inputs_of(layer, rng)
        more = beside_of(layer, x)
        layer.record(x, **more)

        twin = saved(layer, tmp_path / "layer.npz")

        assert (twin.options, twin.structure) == (layer.options, layer.structure), row
        tape, other = (one.record(x, **more) for one in (layer, twin))
        assert_same_bits(other.output, tape.output)
        if engine_name == "compiled":
            d = np.ones_like(tape.output)
            assert_same_bits(other.backward(d).params, tape.backward(d).params)


@pytest.mark.parametrize("activation", ["keras_hard_sigmoid", ("elu", 0.3), "Affine"])
def test_activations_keep_their_parameters(activation, tmp_path):
    activation = ("affine", 0.1, 1 / 3) if activation == "Affine" else activation
    gates = [activation, "sigmoid", ("hard_sigmoid", 0.1, 0.5)]
    layer = sr.LSTM(3, 4, activation=activation, recurrent_activation=gates)

    twin = saved(layer, tmp_path / "layer.npz")

    assert twin.options == layer.options


@every("kind", ["RNN", "LSTM", "GRU", "MGU", "LSTMCell", "RNNCell", "MGUCell"])
def test_every_argument_of_the_constructor_is_in_the_file(kind):
    layer = getattr(sr, kind)(3, 4)

    arguments = set(inspect.signature(type(layer)).parameters)

    # How the parameters were drawn is not kept: they are.
    drawing = {"initializer", "forget_bias"}
    assert arguments - {"options"} == set(layer._configuration()) | (drawing & arguments)


def test_a_loaded_stack_draws_and_trains_as_the_other(tmp_path, rng):
    layer = stack()
    x = inputs_of(layer, rng)
    layer.record(x)

    twin = saved(layer, tmp_path / "stack.npz")

    for one in (layer, twin):
        optimizer = sr.optim.SGD(one, lr=0.1)
        for _ in range(3):
            tape = one.record(x)
            optimizer.step(tape.backward(np.ones_like(tape.output)))
    same_parameters(twin, layer)


@all_formats
def test_values_that_are_not_finite_are_kept(ending, tmp_path):
    skip_without_package(ending)
    layer = sr.RNN(2, 3)
    values = np.array([np.nan, -np.inf, -0.0], "float32")
    values.view("uint32")[0] ^= 0x55  # a payload, which is bits too
    layer.bias_ih_l0 = values

    same_parameters(saved(layer, tmp_path / f"rnn{ending}"), layer)


@all_formats
def test_parameters_are_as_protected_as_drawn_ones(ending, tmp_path):
    skip_without_package(ending)
    twin = saved(sr.GRU(3, 4), tmp_path / f"gru{ending}")

    with pytest.raises(ValueError, match="read-only"):
        twin.weight_ih_l0[0, 0] = 1.0
    sr.optim.SGD(twin).step({name: np.ones_like(a) for name, a in twin.parameters().items()})
    assert twin.num_parameters == 3 * 4 * (3 + 4 + 2)


@all_formats
def test_nothing_is_drawn_while_loading(ending, tmp_path, monkeypatch):
    skip_without_package(ending)
    layer = sr.LSTM(3, 4)
    layer.save(tmp_path / f"lstm{ending}")

    def drawn(*args, **kwargs):
        raise AssertionError("parameters were drawn")

    monkeypatch.setattr("simdrnn.layers.constructors.initialise", drawn)

    same_parameters(sr.load(tmp_path / f"lstm{ending}"), layer)
    with pytest.raises(AssertionError, match="drawn"):
        sr.LSTM(3, 4)


@all_formats
def test_loading_takes_three_times_the_file(ending, tmp_path):
    skip_without_package(ending)
    layer, path = sr.GRU(256, 256), tmp_path / f"gru{ending}"
    layer.save(path)
    sr.load(path)

    # The file, its members, and the parameters; with safetensors the file is mapped instead.
    with little_memory(3 * path.stat().st_size + 200_000):
        sr.load(path)
    with little_memory(path.stat().st_size):
        layer.save(path)


def test_one_layer_makes_one_file(tmp_path):
    layer = sr.GRU(3, 4, seed=0)

    layer.save(tmp_path / "one.npz")
    layer.save(str(tmp_path / "two.npz"))

    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@all_formats
def test_a_file_tells_its_format_under_any_name(ending, tmp_path):
    skip_without_package(ending)
    layer = sr.GRU(3, 4, seed=0)
    layer.save(tmp_path / f"gru{ending}")
    (tmp_path / f"gru{ending}").rename(tmp_path / "weights")

    same_parameters(sr.load(tmp_path / "weights"), layer)


@pytest.mark.peers
def test_other_programs_read_the_arrays(tmp_path, rng):
    load_file = pytest.importorskip("safetensors.numpy").load_file
    layer = sr.LSTM(3, 4, num_layers=2)
    layer.save(tmp_path / "lstm.safetensors")
    layer.save(tmp_path / "lstm.npz")

    tensors = load_file(tmp_path / "lstm.safetensors")
    members = np.load(tmp_path / "lstm.npz", allow_pickle=False)

    assert set(tensors) == set(layer.parameters())
    for name, array in layer.parameters().items():
        np.testing.assert_array_equal(tensors[name], array)
        np.testing.assert_array_equal(members[name], array)


@pytest.mark.peers
def test_a_state_dict_of_pytorch_goes_through_load_state_dict(tmp_path, torch):
    library = pytest.importorskip("safetensors")
    from safetensors.numpy import load_file
    from safetensors.torch import save_file

    theirs = torch.nn.LSTM(3, 4, bidirectional=True)
    path = tmp_path / "theirs.safetensors"
    save_file(theirs.state_dict(), path)
    layer = sr.LSTM(3, 4, bidirectional=True)

    with pytest.raises(ValueError, match=r"which layer .*load_state_dict\(safetensors\.numpy"):
        sr.load(path)
    layer.load_state_dict(load_file(path))

    assert library
    for name, tensor in theirs.state_dict().items():
        np.testing.assert_array_equal(getattr(layer, name), tensor.numpy())


# What is refused


@every("name", ["lstm", "lstm.pt", "lstm.NPZ", "lstm.npz.gz"])
def test_other_endings_are_refused_before_anything_is_written(name, tmp_path):
    with pytest.raises(ValueError, match=r"path: expected a name that ends with \.safetensors or"):
        sr.GRU(3, 4).save(tmp_path / name)

    assert list(tmp_path.iterdir()) == []


@every("path", [3, None, b"a.npz", True, ["a.npz"]])
def test_no_path_is_a_type_error(path):
    for act in (sr.GRU(3, 4).save, sr.load):
        with pytest.raises(TypeError, match="path: expected a str or a path, got "):
            act(path)


@every("document, arrays, message", [
    (3, {}, "document: expected a dict or None, got int"),
    ({}, [1.0], "arrays: expected arrays by name, got list"),
    ({}, {3: np.ones(2)}, "arrays: expected names that are str, got 3"),
    ({}, {"w": 1.0}, r"arrays\['w'\]: expected a numpy.ndarray, got float"),
    ({}, {"w": np.ma.ones(2)}, r"arrays\['w'\]: expected a numpy.ndarray, got MaskedArray"),
    ({}, {"w": np.array([None])}, r"arrays\['w'\]: expected numbers, got dtype object"),
])  # fmt: skip
def test_what_no_file_holds_is_a_type_error(document, arrays, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        files.write(tmp_path / "file.npz", document, arrays)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("act", ["save", "load"])
def test_a_path_that_no_system_takes_is_a_value_error(act):
    function = sr.load if act == "load" else sr.GRU(3, 4).save

    with pytest.raises(ValueError, match="path: expected a name without null bytes"):
        function("a\0.npz")


def test_what_is_not_there_is_a_file_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sr.load(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError):
        sr.GRU(3, 4).save(tmp_path / "none" / "gru.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs os.mkfifo")
def test_pipes_and_folders_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")

    for path in (tmp_path / "pipe.npz", tmp_path):
        with pytest.raises(ValueError, match="path: expected a regular file"):
            sr.load(path)


class Mine(sr.LSTM):
    """A user's own class."""


def test_a_subclass_of_a_users_is_not_saved_as_its_base(tmp_path):
    with pytest.raises(TypeError, match=r"save: expected a class of simdrnn, got .*Mine"):
        Mine(3, 4).save(tmp_path / "mine.npz")
    with pytest.raises(TypeError, match="save: expected a layer, a module or a stack"):
        stack()._members["1.gate"].save(tmp_path / "gate.npz")

    assert list(tmp_path.iterdir()) == []


def test_without_its_package_a_safetensors_file_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("simdrnn.files.tensors.find_spec", lambda name: None)
    (tmp_path / "gru.safetensors").write_bytes(b"\2" + b"\0" * 7 + b"{}")

    with pytest.raises(ImportError, match=r'pip install "simdrnn\[safetensors\]"'):
        sr.load(tmp_path / "gru.safetensors")
    with pytest.raises(ImportError, match=r'pip install "simdrnn\[safetensors\]"'):
        sr.GRU(3, 4).save(tmp_path / "other.safetensors")


NEVER_SAFETENSORS = [
    b"\xff" * 8 + b"{" * 400,  # the length of more than there is
    b"\4" + b"\0" * 7 + b"{{{{",  # no object
    b"\0" * 8 + b"{}",  # a header of no bytes
]


@pytest.mark.parametrize("data", NEVER_SAFETENSORS, ids=range(3))
def test_a_damaged_file_is_refused_and_asks_for_no_package(data, tmp_path, monkeypatch):
    monkeypatch.setattr("simdrnn.files.tensors.find_spec", lambda name: None)
    (tmp_path / "damaged").write_bytes(data)

    with pytest.raises(ValueError, match=r"path: expected a file that save wrote.*a header"):
        sr.load(tmp_path / "damaged")


def test_importing_and_npz_do_without_the_package(tmp_path):
    path = str(tmp_path / "gru.npz")
    program = f"""
    import sys, simdrnn as sr
    sr.GRU(3, 4).save({path!r})
    sr.load({path!r})
    print("safetensors" in sys.modules)
    """

    assert printed(program) == "False"


# Writing is all or nothing


@all_formats
def test_a_failed_write_leaves_what_was_there(ending, tmp_path, monkeypatch):
    skip_without_package(ending)
    layer, path = sr.GRU(3, 4), tmp_path / f"gru{ending}"
    layer.save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        sr.GRU(3, 4).save(path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_safetensors_are_the_bytes_that_the_package_writes(tmp_path):
    save = pytest.importorskip("safetensors.numpy", reason="needs safetensors").save
    arrays = {"b": np.ones((2, 3), "float32"), "a\té": np.zeros(3, "float32"), "c": np.ones(2)}
    document = {"text": 'quoted " \\ \n é'}

    files.write(tmp_path / "a.safetensors", document, arrays)

    found, _ = files.read(tmp_path / "a.safetensors")
    assert found == document
    whole = (tmp_path / "a.safetensors").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    text = json.loads(whole[8 : 8 + size])["__metadata__"]["simdrnn"]
    assert whole == save(arrays, {"simdrnn": text})


@all_formats
def test_permissions_and_links_are_kept(ending, tmp_path):
    skip_without_package(ending)
    real, link = tmp_path / "real", tmp_path / f"link{ending}"
    sr.GRU(3, 4).save(tmp_path / f"real{ending}")
    (tmp_path / f"real{ending}").rename(real)
    real.chmod(0o640)
    link.symlink_to(real)
    layer = sr.GRU(3, 4)

    layer.save(link)

    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    same_parameters(sr.load(real), layer)


# Pickles and copies hold what files do


def protocol_5(layer):
    """Pickle with the arrays beside the stream, as Dask and joblib do."""
    buffers = []
    stream = pickle.dumps(layer, protocol=5, buffer_callback=buffers.append)
    assert len(stream) < 20_000
    return pickle.loads(stream, buffers=[bytearray(buffer.raw()) for buffer in buffers])


COPIES = {
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "buffers": protocol_5,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@every("copied", COPIES.values(), ids=COPIES)
@all_objects
def test_every_class_pickles_and_copies(make, copied, rng):
    layer = make()
    x = inputs_of(layer, rng)

    twin = copied(layer)

    assert type(twin) is type(layer)
    assert twin._document() == layer._document()
    same_parameters(twin, layer)
    assert_same_bits(twin(x, **beside_of(layer, x)), layer(x, **beside_of(layer, x)))
    if isinstance(layer, Parametrised):
        with pytest.raises(ValueError, match="read-only"):
            next(iter(twin.parameters().values()))[...] = 0.0


def test_a_layer_and_its_optimiser_pickle_together(rng):
    layer = sr.GRU(3, 4, dropout=0.0, seed=0)
    optimizer = sr.optim.Adam(layer)
    x = inputs_of(layer, rng)

    def step(layer, optimizer):
        tape = layer.record(x)
        optimizer.step(tape.backward(np.ones_like(tape.output)))

    step(layer, optimizer)
    twin, other = pickle.loads(pickle.dumps((layer, optimizer)))
    step(layer, optimizer)
    step(twin, other)

    same_parameters(twin, layer)


def test_loading_runs_no_pickle(tmp_path, monkeypatch):
    sr.GRU(3, 4).save(tmp_path / "gru.npz")
    sr.load(tmp_path / "gru.npz")  # imports what it needs, which evaluates

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled, or evaluated")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    for name in ("eval", "exec"):
        monkeypatch.setattr(builtins, name, refuse)

    assert isinstance(sr.load(tmp_path / "gru.npz"), sr.GRU)
