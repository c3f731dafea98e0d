"""Layers of every class that is saved, the formats, and files put together by hand."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest

import simdrnn as sr
from simdrnn import files, reference

FORMATS = [".npz", pytest.param(".safetensors", marks=pytest.mark.peers)]
all_formats = pytest.mark.parametrize("ending", FORMATS)


def skip_without_package(ending: str) -> None:
    """Skip a test of safetensors files where that package is missing."""
    if ending == ".safetensors":
        pytest.importorskip("safetensors", reason="needs the [safetensors] extra")


# One of each class that the library has: layers, cells and modules, on both engines.
CLASSES: dict[str, Callable[[], Any]] = {
    "Linear": partial(sr.Linear, 3, 4, seed=0),
    "Linear-no-bias": partial(sr.Linear, 3, 4, bias=False, dtype="float64", seed=0),
    "Embedding": partial(sr.Embedding, 5, 4, dtype="float64", seed=0),
    "CRF": partial(sr.losses.CRF, 4, seed=0),
}
for _engine in (sr, reference):
    for _name in sr.list_cells():
        for _kind in (_name, f"{_name}Cell"):
            CLASSES[f"{_engine.__name__}.{_kind}"] = partial(
                getattr(_engine, _kind), 3, 4, dtype="float32", seed=7
            )


def stack(skip: str | None = "highway") -> Any:
    """Make a stack of two kinds of layers, the upper one of the twin's options."""
    layers = [
        sr.LSTM(4, 4, bidirectional=True, merge="sum", zoneout=(0.1, 0.2), seed=1),
        sr.GRU(8 if skip == "concat" else 4, 4, learn_initial_state=True, seed=2),
    ]
    return sr.Stack(layers, skip=skip, dropout=0.25, seed=3)


STACKS = {f"Stack-{skip}": partial(stack, skip) for skip in (None, "residual", "highway", "concat")}


def same_parameters(one: Any, other: Any) -> None:
    """Fail unless both have the same parameters, in the same order, bit for bit."""
    ours, theirs = one.parameters(), other.parameters()
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert array.tobytes() == theirs[name].tobytes(), name


@contextmanager
def little_memory(limit: int) -> Iterator[None]:
    """Fail if what runs inside ever holds more than `limit` bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] <= limit
    finally:
        tracemalloc.stop()


def contents(layer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a file of a layer says, to be changed and written again."""
    return {"format": 1, "version": "0", **layer._document()}, layer.state_dict()


def written(path: Path, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Path:
    """Write a file with a checksum that fits, whatever it says."""
    files.write(path, document, arrays)
    return path


def zipped(path: Path, members: list[tuple[str, bytes]], compression: int = ZIP_STORED) -> Path:
    """Write a zip archive; a name may come twice."""
    with ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def npy(array: Any) -> bytes:
    """Return the bytes of an .npy file; objects are pickled."""
    stream = BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npy_header(text: str, data: bytes = b"") -> bytes:
    """Return an .npy file with a header of its own."""
    line = text.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + data


def overlapping(path: Path, copies: int) -> Path:
    """Write a zip with members that are all the same 100 000 bytes, under names of their own."""
    data = npy(np.zeros(25_000, "float32"))
    crc, size = zlib.crc32(data), len(data)
    shared = struct.pack("<HHHHIIIHH", 0, 0, 0, 33, crc, size, size, 9, 0)
    body = b"PK\3\4" + struct.pack("<H", 20) + shared + b"00000.npy" + data
    index = b"".join(
        b"PK\1\2" + struct.pack("<HH", 20, 20) + shared + bytes(14) + b"%05d.npy" % copy
        for copy in range(copies)
    )
    end = struct.pack("<HHHHIIH", 0, 0, copies, copies, len(index), len(body), 0)
    path.write_bytes(body + index + b"PK\5\6" + end)
    return path


def tensors(path: Path, header: bytes, data: bytes = b"", length: int | None = None) -> Path:
    """Write a safetensors file with a header of its own."""
    size = len(header) if length is None else length
    path.write_bytes(struct.pack("<Q", size) + header + data)
    return path


# What a small file may cost: the interpreter's own objects, and modules loaded on the first call.
LITTLE = 4_000_000


def refused(path: Path, match: str = "path: expected a file that save wrote, got ") -> str:
    """Load, check that it is a ValueError and that it was cheap; return its message."""
    with little_memory(LITTLE), pytest.raises(ValueError, match=match) as caught:
        sr.load(path)
    return str(caught.value)
