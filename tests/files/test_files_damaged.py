"""A damaged, truncated or hostile file is a ValueError, and asks for little memory."""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import warnings
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers_files import (
    LITTLE,
    all_formats,
    contents,
    little_memory,
    npy,
    npy_header,
    overlapping,
    refused,
    same_parameters,
    skip_without_package,
    stack,
    tensors,
    written,
    zipped,
)
from helpers_loops import every
from simdrnn import reference

# Damage


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Layers, and what they look like in each format that is installed."""
    folder = tmp_path_factory.mktemp("originals")
    layers = [sr.LSTM(2, 3, zoneout=(0.1, 0.2), dropout=0.0, seed=1), stack(), sr.Linear(2, 3)]
    made = []
    for ending in (".npz", ".safetensors"):
        for layer in layers:
            path = folder / f"layer{ending}"
            try:
                layer.save(path)
            except ImportError:
                continue
            made.append((layer, ending, path.read_bytes()))
    return made


def equal_or_refused(layer, data, path):
    """Load bytes: either they are refused, or what comes back equals what was saved."""
    path.write_bytes(data)
    with warnings.catch_warnings(), little_memory(LITTLE):
        warnings.simplefilter("ignore")  # of a constructor, before the damage was noticed
        try:
            twin = sr.load(path)
        except ValueError as error:
            twin = error
    if isinstance(twin, ValueError):
        assert str(twin).startswith("path: expected ")
        return False
    same_parameters(twin, layer)
    assert twin._document() == layer._document()
    return True


@all_formats
def test_a_file_that_ends_too_early_is_refused_wherever_it_ends(ending, originals, tmp_path):
    skip_without_package(ending)
    layer, _, data = [entry for entry in originals if entry[1] == ending][-1]  # the smallest
    path = tmp_path / "short"

    # All is small here: the memory is watched by the other tests, which are slower for it.
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match="path: expected a file that save wrote"):
            sr.load(path)

    assert equal_or_refused(layer, data, path)


@all_formats
@given(drawn=st.data())
@settings(max_examples=300)
def test_flipped_bytes_are_noticed_or_mean_nothing(ending, originals, drawn, tmp_path_factory):
    skip_without_package(ending)
    files = [entry for entry in originals if entry[1] == ending]
    layer, _, data = drawn.draw(st.sampled_from(files))
    changed = bytearray(data)
    places = st.integers(0, len(data) - 1)
    for place in drawn.draw(st.lists(places, min_size=1, max_size=4)):
        changed[place] = drawn.draw(st.integers(0, 255))

    equal_or_refused(layer, bytes(changed), tmp_path_factory.getbasetemp() / "flipped")


@all_formats
@given(drawn=st.data())
def test_parts_moved_left_out_or_repeated_are_noticed(ending, originals, drawn, tmp_path_factory):
    skip_without_package(ending)
    files = [entry for entry in originals if entry[1] == ending]
    layer, _, data = drawn.draw(st.sampled_from(files))
    cuts = sorted(drawn.draw(st.lists(st.integers(0, len(data)), min_size=3, max_size=3)))
    a, b, c = data[: cuts[0]], data[cuts[0] : cuts[1]], data[cuts[1] :]
    changed = drawn.draw(st.sampled_from([a + c, a + b + b + c, b + a + c, a + c + b, data + b]))

    equal_or_refused(layer, changed, tmp_path_factory.getbasetemp() / "moved")


STARTS = {".npz": b"PK\3\4", ".safetensors": b"\x10\0\0\0\0\0\0\0{"}


@all_formats
@given(data=st.binary(max_size=400))
def test_any_bytes_are_refused(ending, data, tmp_path_factory):
    skip_without_package(ending)
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(STARTS[ending] + data)

    refused(path)


@given(data=st.binary(max_size=400).filter(lambda data: data[8:9] != b"{"))
def test_bytes_that_begin_as_no_format_are_refused(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)

    refused(path, match="neither a .safetensors nor a .npz|not a zip")


@all_formats
def test_a_changed_weight_is_noticed(ending, tmp_path):
    skip_without_package(ending)
    layer, path = sr.RNN(2, 3), tmp_path / f"rnn{ending}"
    layer.save(path)
    data = path.read_bytes()
    weight = layer.weight_hh_l0.tobytes()
    assert data.count(weight) == 1

    path.write_bytes(data.replace(weight, weight[:-1] + bytes([weight[-1] ^ 1])))

    refused(path, match="checksum differs|Bad CRC-32")


# Descriptions that nobody saved, with checksums that fit


def changed(path, layer, *, arrays=None, **document):
    """Write a file of `layer` with parts exchanged; None takes one away."""
    described, found = contents(layer)
    for name, value in document.items():
        if isinstance(value, dict):
            described[name] = {**described[name], **value}
        else:
            described[name] = value
    described = {k: v for k, v in described.items() if v is not None}
    if isinstance(described.get("configuration"), dict):
        kept = described["configuration"].items()
        described["configuration"] = {k: v for k, v in kept if v != "away"}
    for name, array in (arrays or {}).items():
        if array is None:
            del found[name]
        else:
            found[name] = array
    return written(path, described, found)


DESCRIPTIONS = {
    "no version": ({"format": None}, "format: expected a non-negative integer"),
    "newer": ({"format": 2, "version": "9.0"}, "format: expected at most 1, got 2, .* 9.0"),
    "text for version": ({"format": "1"}, "format: expected a non-negative integer"),
    "no class": ({"class": None}, "class: expected one of this library's, got None"),
    "module": ({"class": "os"}, "class: expected one of this library's, got 'os'"),
    "dotted": ({"class": "os.system"}, "class: expected one of this library's"),
    "attribute": ({"class": "__builtins__"}, "class: expected one of this library's"),
    "function": ({"class": "load"}, "class: expected one of this library's, got 'load'"),
    "other class": ({"class": "Tape"}, "class: expected one of this library's, got 'Tape'"),
    "list": ({"class": ["LSTM"]}, "class: expected one of this library's"),
    "engine": ({"engine": "os"}, "class: expected one of this library's, got 'LSTM' on 'os'"),
    "no configuration": ({"configuration": 3}, "configuration: expected an object, got 3"),
    "another's class": ({"class": "GRU"}, "proj_size|peephole"),
    "argument": ({"configuration": {"spam": 1}}, "spam: unknown option"),
    "self": ({"configuration": {"self": 1}}, "multiple values"),
    "drawn": ({"configuration": {"initializer": "glorot"}}, "initializer: expected an argument"),
    "no size": ({"configuration": {"input_size": "away"}}, "missing 1 required"),
    "wrong size": ({"configuration": {"hidden_size": 4}}, r"weight_ih_l0: expected shape"),
    "layers": ({"configuration": {"num_layers": 2}}, "parameters: expected the 8 names"),
    "no integer": ({"configuration": {"num_layers": 1.0}}, "num_layers: expected a positive"),
    "negative": ({"configuration": {"hidden_size": -3}}, "hidden_size: expected a positive"),
    "dtype": ({"configuration": {"dtype": "float64"}}, "weight_ih_l0: expected dtype float64"),
    "no dtype": ({"configuration": {"dtype": "O"}}, "dtype: expected float32 or float64"),
    "structured": ({"configuration": {"dtype": {"names": ["a"], "formats": ["O"]}}}, "dtype: exp"),
    "option": ({"configuration": {"zoneout": 1.5}}, r"zoneout: expected a number in \[0, 1\)"),
    "recorded": ({"recorded": -1}, "recorded: expected a non-negative integer"),
    "recorded list": ({"recorded": "3"}, "recorded: expected a non-negative integer"),
    "recorded as a stack": ({"recorded": [0]}, "recorded: expected a non-negative integer"),
    "not recorded": ({"recorded": None}, "expected a description with"),
    "more": ({"run": "os.system"}, "expected a description with .* got .*'run'"),
    "truth": ({"configuration": {"bias": 1}}, "bias: expected True or False, got 1"),
}  # fmt: skip


@every("document, match", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_descriptions_of_nothing_are_refused(document, match, tmp_path):
    path = changed(tmp_path / "lstm.npz", sr.LSTM(2, 3), **document)

    assert re.search(match, refused(path))


@all_formats
@every(
    "sizes",
    [
        {"hidden_size": 2**20},
        {"hidden_size": 10**9},
        {"input_size": 2**62},
        {"hidden_size": 10**400},
        {"num_layers": 60_000},
        {"num_layers": 2**62},
        {"num_layers": 60_000, "bidirectional": True},
        {"seed": 10**4000},
    ],
    ids=lambda sizes: f"{sizes}"[:50],
)
def test_absurd_sizes_ask_for_no_memory(sizes, ending, tmp_path):
    skip_without_package(ending)
    path = changed(tmp_path / f"gru{ending}", sr.GRU(2, 3), configuration=sizes)

    if "seed" in sizes:  # any is right, and none is used but modulo 2**64
        assert sr.load(path).seed == 10**4000
    else:
        refused(path)


@every(
    "make, sizes",
    [
        (lambda: sr.Linear(2, 3), {"in_features": 10**8, "out_features": 10**5}),
        (lambda: sr.Embedding(2, 3), {"num_embeddings": 10**12}),
        (lambda: sr.LSTMCell(2, 3), {"hidden_size": 10**5}),
        (lambda: reference.LSTM(2, 3), {"hidden_size": 10**5}),
    ],
)
def test_absurd_sizes_of_any_class_ask_for_no_memory(make, sizes, tmp_path):
    refused(changed(tmp_path / "layer.npz", make(), configuration=sizes))


ARRAYS = {
    "missing": ({"bias_hh_l0": None}, r"missing \['bias_hh_l0'\], unexpected \[\]"),
    "extra": ({"extra": np.zeros(3, "f4")}, r"missing \[\], unexpected \['extra'\]"),
    "path": ({"../../etc/passwd": np.zeros(3, "f4")}, r"unexpected \['\.\./\.\./etc/passwd'\]"),
    "root": ({"/etc/passwd": np.zeros(3, "f4")}, r"unexpected \['/etc/passwd'\]"),
    "another layer's": ({"weight_ih_l1": np.zeros(3, "f4")}, "unexpected"),
    "shape": ({"bias_hh_l0": np.zeros(3, "f4")}, r"bias_hh_l0: expected shape \(4\*H,\)"),
    "turned": ({"weight_ih_l0": np.zeros((2, 12), "f4")}, "weight_ih_l0: expected shape"),
    "empty": ({"bias_hh_l0": np.zeros(0, "f4")}, ""),
    "double": ({"bias_hh_l0": np.zeros(12)}, "bias_hh_l0: expected dtype float32"),
    "half": ({"bias_hh_l0": np.zeros(12, "f2")}, "dtype float32 or float64"),
    "integers": ({"bias_hh_l0": np.zeros(12, "i4")}, "dtype float32 or float64"),
}


@all_formats
@every("arrays, match", ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_are_not_the_layers_are_refused(arrays, match, ending, tmp_path):
    skip_without_package(ending)
    path = changed(tmp_path / f"lstm{ending}", sr.LSTM(2, 3), arrays=arrays)

    assert re.search(match, refused(path))


def test_stacks_check_every_part(tmp_path):
    layer, path = stack(), tmp_path / "stack.npz"
    members = layer._document()["members"]
    gate = np.zeros((4, 4), "f4")
    wrong = {
        "members: expected a list": {"members": None},
        "each with parameters": {"members": []},
        "parameter of one of 1 layers": {"members": members[:1]},
        "num_layers: expected at most 0": {"members": members + members[:1]},
        "class: expected one of": {"members": [members[0], {"class": "os"}]},
        "expected the description of a layer, got 3": {"members": [members[0], 3]},
        r"layers\[1\]: expected a recurrent layer": {
            "members": [members[0], sr.Linear(4, 4)._document()],
            "arrays": {name: None for name in layer.parameters() if name[:2] == "1."}
            | dict(zip(["1.weight", "1.bias"], sr.Linear(4, 4).state_dict().values(), strict=True)),
        },
        "skip: expected one of": {"configuration": {"skip": "os"}},
        "unexpected": {"configuration": {"skip": None}},
        r"missing \['1\.gate\.bias'\]": {"arrays": {"1.gate.bias": None}},
        r"unexpected \['2|one of 2 layers": {"arrays": {"2.gate.weight": gate}},
        r"0\.gate\.weight: expected shape": {"arrays": {"0.gate.weight": gate[:2]}},
        "recorded: expected 3 counts": {"recorded": [0]},
        r"recorded: expected a non-neg": {"recorded": [0, 0, -1]},
    }

    for match, parts in wrong.items():
        assert re.search(match, refused(changed(path, layer, **parts))), match


def test_a_stack_in_a_stack_in_a_stack_is_refused(tmp_path):
    document, arrays = contents(stack())
    for _ in range(150):
        document = {**document, "members": [document, document["members"][-1]]}
        arrays = {f"0.{name}": array for name, array in arrays.items()}

    refused(written(tmp_path / "deep.npz", document, arrays))


# Hostile archives


def described(layer):
    """Return the member of an archive that describes `layer`, with no checksum that fits."""
    text = json.dumps({"format": 1, **layer._document(), "checksum": 0})
    return "simdrnn.npy", npy(np.frombuffer(text.encode(), np.uint8))


class Attack:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


def test_objects_are_not_unpickled(tmp_path):
    proof, layer = tmp_path / "unpickled", sr.RNN(2, 3)
    objects = npy(np.array([Attack(proof)], dtype=object))

    refused(zipped(tmp_path / "a.npz", [described(layer), ("weight_ih_l0.npy", objects)]))
    refused(zipped(tmp_path / "b.npz", [("simdrnn.npy", objects)]))
    (tmp_path / "c.npz").write_bytes(pickle.dumps(Attack(proof)))
    refused(tmp_path / "c.npz", match="neither")

    assert not proof.exists()


@pytest.mark.parametrize("compression", [ZIP_DEFLATED, ZIP_LZMA])
def test_compressed_members_are_not_unpacked(compression, tmp_path):
    bomb = npy(np.zeros(10_000_000, "float32"))
    members = [described(sr.RNN(2, 3)), ("weight_ih_l0.npy", bomb)]
    path = zipped(tmp_path / "bomb.npz", members, compression)
    del bomb, members

    assert "expected a member that is not compressed" in refused(path)


def test_members_that_overlap_are_not_read(tmp_path):
    path = overlapping(tmp_path / "overlap.npz", 1000)

    assert "claim more bytes than it has" in refused(path)
    with ZipFile(path) as archive:  # it is no damaged one: each member could be read
        assert len(archive.read("00000.npy")) == archive.infolist()[-1].file_size > 100_000


HEADERS = {
    "huge": "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
    "product": "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
    "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -2)}",
    "large and none": "{'descr': '<f4', 'fortran_order': False, 'shape': (2**62, 0)}",
    "zero": "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4, 0)}",
    "object": "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "structured": "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}",
    "parts": "{'descr': [('a', '<f4', (1000000000,))], 'fortran_order': False, 'shape': (0,)}",
    "text": "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (0,)}",
    "swapped": "{'descr': '>f4', 'fortran_order': False, 'shape': (4,)}",
    "code": "__import__('os').mkdir('evaluated')",
    "brackets": "(" * 900,
    "minus": "-" * 900 + "1",
    "long": "{'descr': '<f4', 'fortran_order': False, 'shape': (4,)}" + " " * 20_000,
    "empty": "",
    "not a dict": "[1, 2]",
    "keys": "{'descr': '<f4', 'shape': (4,)}",
    "dimensions": "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 100 + "4)}",
}


@every("header", HEADERS.values(), ids=HEADERS)
def test_headers_of_arrays_are_not_believed(header, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    member = npy_header(header, b"\0" * 16)

    path = zipped(tmp_path / "a.npz", [described(sr.RNN(2, 3)), ("weight_ih_l0.npy", member)])

    refused(path)
    assert not (tmp_path / "evaluated").exists()


def test_archives_of_anything_else_are_refused(tmp_path):
    text, layer = npy(np.zeros(4, "f4")), sr.RNN(2, 3)
    wrong = {
        "members that are arrays": [described(layer), ("../../evil.sh", b"rm -rf")],
        "which layer they are of": [("weight_ih_l0.npy", text)],
        "checksum differs": [described(layer), ("../../weight_ih_l0.npy", text)],
        "neither": [],
        "magic|EOF": [described(layer), ("weight_ih_l0.npy", b"")],
        r"format 1\.0": [described(layer), ("a.npy", b"\x93NUMPY\x02\x00" + b"\0" * 30)],
        "simdrnn: expected": [("simdrnn.npy", text)],
        "an object": [("simdrnn.npy", npy(np.frombuffer(b"[]", np.uint8)))],
        "Expecting value": [("simdrnn.npy", npy(np.frombuffer(b"nonsense", np.uint8)))],
        "utf-8": [("simdrnn.npy", npy(np.frombuffer(b"\xff\xff", np.uint8)))],
        "got NaN": [("simdrnn.npy", npy(np.frombuffer(b'{"a": NaN}', np.uint8)))],
        "nested|recursion": [("simdrnn.npy", npy(np.frombuffer(b"[" * 100_000, np.uint8)))],
    }

    for match, members in wrong.items():
        assert re.search(match, refused(zipped(tmp_path / "a.npz", members))), match


def test_bytes_behind_an_array_are_refused(tmp_path):
    sr.RNN(2, 3).save(tmp_path / "a.npz")
    with ZipFile(tmp_path / "a.npz") as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    whole = zipped(tmp_path / "b.npz", members)
    assert sr.load(whole).hidden_size == 3

    for index, (name, data) in enumerate(members):
        longer = [*members[:index], (name, data + b"#!/bin/sh"), *members[index + 1 :]]
        assert "bytes, got" in refused(zipped(tmp_path / "b.npz", longer))


def test_names_that_come_twice_are_refused(tmp_path):
    layer = sr.RNN(2, 3)
    weight = npy(np.zeros((3, 2), "f4"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile says that the name comes twice
        path = zipped(tmp_path / "a.npz", [described(layer), *[("weight_ih_l0.npy", weight)] * 2])
    text = b'{"a": 1, "a": 2}'
    other = zipped(tmp_path / "b.npz", [("simdrnn.npy", npy(np.frombuffer(text, np.uint8)))])

    assert "a name comes twice" in refused(path)
    assert "a name comes twice" in refused(other)


@pytest.mark.peers
def test_hostile_safetensors_are_refused(tmp_path):
    skip_without_package(".safetensors")
    path = tmp_path / "a.safetensors"
    sr.RNN(2, 3).save(path)
    whole = path.read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    header, data = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    one = header["weight_ih_l0"]
    text = json.dumps(header).encode()
    again = b'{"weight_ih_l0":' + json.dumps(one).encode() + b"," + text[1:]
    told = text.replace(b'{"simdrnn":', b'{"simdrnn":"",  "simdrnn":')
    assert told != text
    cases = [
        (b"{}", b"", 2**63),
        (b"{}", b"", 2**32),
        (text, data, len(text) + 1),
        (text, data[:-1], None),
        (text, data + b"\0", None),
        (b'{"__metadata__":' + b"[" * 100_000, b"", None),
    ]
    for part in (
        {"shape": [2**40, 2**40]},
        {"shape": [-1]},
        {"dtype": "OBJECT"},
        {"dtype": "F16", "shape": [6, 2]},
        {"dtype": "BF16", "shape": [6, 2]},
        {"data_offsets": [0, 2**62]},
        {"data_offsets": [one["data_offsets"][1], one["data_offsets"][0]]},
        {"data_offsets": header["weight_hh_l0"]["data_offsets"]},
    ):
        cases.append((json.dumps({**header, "weight_ih_l0": one | part}).encode(), data, None))

    for case in cases:
        refused(tensors(path, *case))
    for double in (again, told):
        assert "a name comes twice" in refused(tensors(path, double, data))
    sr.load(tensors(path, text, data))
