"""What the functions in C refuse, and the sentences; and how damaged files end."""

from __future__ import annotations

import copy
import ctypes
import json
import struct
import threading
import zlib
from contextlib import suppress

import numpy as np
import pytest

import simdrnn as sr
from helpers_c_api import ARGUMENT, BUSY, FORMAT, READ, CError, CModel, address, table
from helpers_loops import every


@pytest.fixture
def stream():
    return CModel(sr.GRU(3, 4, seed=0)).stream(2)


def refused(status, act, words):
    """Fail unless `act` raises with that status and a sentence that has the words."""
    with pytest.raises(CError) as caught:
        act()
    assert caught.value.status == status, str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_table_says_its_version_and_size():
    api = table()

    assert (api.version, api.size) == (1, ctypes.sizeof(type(api)))
    assert api.isa().decode() == sr.isa.active()


WRONG = {
    "x is NULL": (lambda s: s.call("step", None, 1), "x, y"),
    "stream is NULL": (lambda s: s.api.step_f32(None, 1, 1), "stream"),
    "other numbers": (lambda s: s.api.step_f64(s.pointer, 1, 1), "float64, got one of float32"),
    "steps": (lambda s: s.call("feed", -1, 1, 1), "steps: expected 0 or more, got -1"),
    "too many steps": (lambda s: s.call("feed", 2**62, 8, 1 << 60), "steps: expected fewer"),
    "a row that is not there": (lambda s: s.reset([2]), "rows: expected 0 to the batch size less"),
    "a row twice": (lambda s: s.reset([1, 1]), "rows: expected each row once, got 1"),
    "too many rows": (lambda s: s.reset([0, 1, 0]), "row_count: expected 0 to the batch size"),
    "a row of a state": (lambda s: s.call("state_get", 5, 8), "row: expected 0 to"),
    "attention": (
        lambda s: s.run(np.zeros((1, 2, 3), "float32"), attention=np.zeros((1, 2))), "attention",
    ),
}  # fmt: skip


@every("name", list(WRONG))
def test_wrong_arguments(name, stream):
    act, words = WRONG[name]

    def checked():
        status = act(stream)
        if status:
            raise CError(status)

    refused(ARGUMENT, checked, [words])


def test_arrays_that_overlap(stream):
    memory = np.zeros(20, "float32")

    refused(
        ARGUMENT, lambda: stream.call("step", address(memory), address(memory[5:])), ["overlap"]
    )
    stream.call("step", address(memory), address(memory[6:]))


@every("batch, threads, word", [(0, 1, "batch_size"), (1, 0, "threads"), (2**31, 1, "batch_size")])
def test_streams_of_no_size(batch, threads, word):
    refused(ARGUMENT, lambda: CModel(sr.GRU(3, 4)).stream(batch, threads), [word])


def test_a_refused_call_changes_nothing(stream):
    before = stream.state.copy()
    y = np.full((2, 4), 7, "float32")

    for rows in ([0, 0], [0, 9]):
        with pytest.raises(CError):
            stream.run(np.ones((1, 2, 3), "float32"), rows)

    assert (stream.state == before).all()
    assert (y == 7).all()


def test_two_threads_in_one_stream():
    stream = CModel(sr.LSTM(8, 128, num_layers=2, seed=0)).stream(16)
    x, busy = np.ones((400, 16, 8), "float32"), []
    thread = threading.Thread(target=lambda: stream.feed(x))
    thread.start()
    while thread.is_alive() and not busy:
        try:
            stream.reset([])
        except CError as error:
            busy.append(error.status)
    thread.join()

    assert busy == [BUSY]


def test_the_last_error_is_of_the_thread(stream):
    with pytest.raises(CError):
        stream.reset([1, 1])
    found = []
    thread = threading.Thread(target=lambda: found.append(stream.api.last_error()))
    thread.start()
    thread.join()

    assert found == [b""]
    assert b"each row once" in stream.api.last_error()


# Files


def header_of(path):
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    return json.loads(whole[8 : 8 + size]), whole[8 + size :]


def image(header, data, length=None):
    """Return a file of that header, with a checksum that fits unless there is none."""
    metadata = header.get("__metadata__", {})
    if "simdrnn.model.checksum" in metadata:
        check = zlib.crc32(metadata["simdrnn.model"].encode())
        for name in sorted(set(header) - {"__metadata__"}):
            entry = header[name]
            shape = "".join(f" {size}" for size in entry["shape"])
            line = f"\n{name} {entry['dtype']}{shape} at {entry['data_offsets'][0]}"
            check = zlib.crc32(line.encode(), check)
        metadata["simdrnn.model.checksum"] = str(zlib.crc32(data, check))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@pytest.fixture
def saved(tmp_path):
    """Return header, description and bytes of a good file."""
    sr.LSTM(3, 4, num_layers=2, seed=0).save(tmp_path / "good.simdrnn")
    header, data = header_of(tmp_path / "good.simdrnn")
    return header, json.loads(header["__metadata__"]["simdrnn.model"]), data


def described(header, description, data):
    header["__metadata__"]["simdrnn.model"] = json.dumps(description)
    return image(header, data)


def network(description):
    return description["stages"][0]["nodes"][0]["network"]


# What is done to a description, and what the sentence says.
MEANINGS = {
    "a later format": (lambda d: d.update(format=2), "format: expected at most 1, got 2"),
    "no dtype": (lambda d: d.pop("dtype"), "dtype: expected"),
    "half numbers": (lambda d: d.update(dtype="float16"), "dtype: expected float32 or float64"),
    "other numbers": (lambda d: d.update(dtype="float64"), "numbers of F64"),
    "another cell": (lambda d: network(d).update(cell="gru"), "numbers of F32"),
    "no such cell": (lambda d: network(d).update(cell="l\u0007m"), "cell: 'l"),
    "units": (lambda d: network(d).update(hidden_size=2**31), "weight_ih: expected"),
    "no units": (lambda d: network(d).update(hidden_size=0), "hidden_size: expected 1 at least"),
    "half a unit": (lambda d: network(d).update(hidden_size=4.5), "expected a whole number"),
    "layers": (lambda d: network(d).update(layers=3), "passes: expected one for each of 3"),
    "a projection": (lambda d: network(d).update(projected_size=2), "expected"),
    "an option": (lambda d: network(d)["options"].update(speed=1), "options: expected one of"),
    "a probability": (lambda d: network(d)["options"].update(zoneout=[2, 0]), "a probability"),
    "many zoneouts": (lambda d: network(d)["options"].update(zoneout=[0] * 9), "fewer values"),
    "heads": (lambda d: network(d)["options"].update(num_heads=2), "heads: expected"),
    "an activation": (
        lambda d: network(d)["options"].update(activations=[["sin", 0, 0]]), "got 'sin'",
    ),
    "an array": (lambda d: network(d)["passes"][0].update(weight_ih="x"), "an array named 'x'"),
    "no array": (lambda d: network(d)["passes"][1].update(weight_hh=None), "exactly where"),
    "a row": (
        lambda d: network(d)["passes"][0].update(bias_ih={"row": ["bias_ih_l0", 9, 1]}), "row:",
    ),
    "nested sums": (
        lambda d: network(d)["passes"][0].update(bias_ih={"sum": [{"sum": [None, None]}] * 2}),
        "sum:",
    ),
    "an input to come": (lambda d: d["stages"][0]["nodes"][0].update(inputs=[1]), "inputs"),
    "no stages": (lambda d: d.update(stages=[]), "stages: expected one at least"),
    "other inputs": (lambda d: d.update(input_size=4), "stage 0: expected one that takes 4"),
    "a bomb": (
        lambda d: d["stages"][0]["nodes"].extend(
            {"operation": "concat", "inputs": [i, i]} for i in range(1, 60)
        ),
        "sizes that go with those of its arrays",
    ),
}  # fmt: skip


@every("name", list(MEANINGS))
def test_descriptions_that_do_not_fit(name, saved):
    header, description, data = copy.deepcopy(saved)
    change, words = MEANINGS[name]
    change(description)

    refused(FORMAT, lambda: CModel(described(header, description, data)), [words])


def test_the_changed_file_is_good_where_nothing_was_changed(saved):
    assert CModel(described(*saved)).info.state_size == 16


def test_layer_norm_is_for_cells_that_take_it(tmp_path):
    sr.MGU(3, 4, seed=0).save(tmp_path / "a.simdrnn")
    header, data = header_of(tmp_path / "a.simdrnn")
    description = json.loads(header["__metadata__"]["simdrnn.model"])
    network(description)["options"].update(layer_norm=True, layer_norm_epsilon=1e-5)
    network(description)["cell"] = "gru_reset_before"

    refused(FORMAT, lambda: CModel(described(header, description, data)), ["layer_norm"])


def test_containers_that_do_not_fit(saved):
    header, _, data = saved
    whole = image(header, data)
    name = next(name for name in header if name != "__metadata__")

    def changed(**values):
        return image(header | {name: header[name] | values}, data)

    cases = {
        "it ends before its header": whole[:7],
        "it ends inside its header": whole[:500],
        "inside the file, which has": whole[:-4],
        "of arrays, got": whole + bytes(4),
        "expected as many bytes as its shape": changed(shape=[1]),
        "a shape that memory holds": changed(shape=[2**33, 2**33]),
        "expected dtype F32 or F64": changed(dtype="F16"),
        "bytes inside the file": changed(data_offsets=[0, 10**9]),
        "side by side": changed(data_offsets=[0, 0], shape=[0]),
        "header of at most": image(header, data + bytes(2**22), length=2**21),
        "does not begin as such files do": struct.pack("<Q", 2) + b"[]",
        "a name comes twice": struct.pack("<Q", 14) + b'{"a":1,"a": 1}',
        "no JSON": struct.pack("<Q", 7) + b'{"a":01',
        "less nesting": struct.pack("<Q", 10**5 + 5) + b'{"a":' + b"[" * 10**5,
    }
    for words, bytes_ in cases.items():
        refused(FORMAT, lambda given=bytes_: CModel(given), [words])


def test_every_byte_counts(saved):
    """A file is refused, or means the same, whichever byte is changed or where it ends."""
    whole = bytearray(image(saved[0], saved[2]))
    x = np.ones((3, 1, 3), "float32")
    expected = CModel(bytes(whole)).stream().feed(x)
    for at in range(0, len(whole), 7):
        whole[at] ^= 1
        with suppress(CError):
            assert CModel(bytes(whole)).stream().feed(x).tobytes() == expected.tobytes(), at
        whole[at] ^= 1
    for end in range(0, len(whole), 31):
        refused(FORMAT, lambda cut=end: CModel(bytes(whole[:cut])), [])


def test_files_for_python_alone_are_told_how_to_convert(tmp_path):
    sr.GRU(3, 4, seed=0).save(tmp_path / "a.npz")

    refused(FORMAT, lambda: CModel(tmp_path / "a.npz"), ["a.npz", "an archive", "simdrnn convert"])


def test_files_that_are_none(tmp_path):
    refused(READ, lambda: CModel(tmp_path / "nothing"), ["nothing", "no file that can be read"])
    refused(READ, lambda: CModel(tmp_path), ["no file that can be read"])
    (tmp_path / "empty").touch()
    refused(FORMAT, lambda: CModel(tmp_path / "empty"), ["empty", "it ends before its header"])


def test_a_file_of_an_earlier_version_says_what_to_do(saved):
    header, _, data = saved
    del header["__metadata__"]["simdrnn.model"], header["__metadata__"]["simdrnn.model.checksum"]

    refused(FORMAT, lambda: CModel(image(header, data)), ["save it again", "simdrnn convert"])


UNSTEPPED = {
    "bidirectional": lambda: sr.GRU(3, 4, bidirectional=True),
    "reverse": lambda: sr.GRU(3, 4, reverse=True),
    "Embedding": lambda: sr.Embedding(3, 4),
    "LSTMCell": lambda: sr.LSTMCell(3, 4),
    "simdrnn.reference": lambda: sr.reference.GRU(3, 4),
}


@every("word", list(UNSTEPPED))
def test_what_cannot_be_stepped_says_why(word, tmp_path):
    made = UNSTEPPED[word]()
    made.save(tmp_path / "a.simdrnn")

    refused(FORMAT, lambda: CModel(tmp_path / "a.simdrnn"), ["cannot be stepped", word])
    with pytest.raises(ValueError, match=f"^c_handle: expected a model that can be .*{word}"):
        made.c_handle()
