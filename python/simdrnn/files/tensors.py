"""Files of the safetensors package: https://github.com/huggingface/safetensors, version 0.3 on.

That package checks a file before it is used: the header's length, and that the tensors' bytes,
which are mapped, neither overlap nor leave gaps. Names that come twice it lets pass.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from simdrnn.files.paths import unique
from simdrnn.validate import Array

__all__ = [
    "READER",
    "begins",
    "check_installed",
    "check_outline",
    "for_c_alone",
    "image",
    "read",
    "write",
]

READER = "safetensors.numpy.load_file(path)"

_DOCUMENT = "simdrnn"  # the description's name in the file's metadata
# And what C reads, with a checksum of its own.
_STEPPED, _CHECKSUM = "simdrnn.model", "simdrnn.model.checksum"
_STORED = {"F32", "F64"}
_LONGEST_HEADER, _SHARE_OF_HEADER = 2**20, 8  # bytes, and more of a larger file


def check_installed() -> None:
    """Raise unless the package is there."""
    if find_spec("safetensors") is None:
        raise ImportError(
            'a .safetensors file needs safetensors: pip install "simdrnn[safetensors]"; '
            "a .npz file needs nothing"
        )


def begins(start: bytes) -> bool:
    """Tell whether a file that begins so may be one: behind a length comes a JSON object."""
    return start[8:9] == b"{"


def check_outline(path: Path) -> None:
    """Raise where a file that begins so is none all the same; needs no package.

    A header that is much of the file is refused too: what it becomes is far larger.
    """
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        behind = os.fstat(stream.fileno()).st_size - 8
        most = _LONGEST_HEADER + behind // _SHARE_OF_HEADER
        if length > min(most, behind):
            raise ValueError(
                f"expected a header of at most {min(most, behind)} bytes, got {length}"
            )
        if not stream.read(length).rstrip(b" ").endswith(b"}"):
            raise ValueError("expected a header that is an object")


def write(
    path: Path, document: str | None, arrays: Mapping[str, Array], stepped: str | None = None
) -> None:
    """Write `arrays` and the descriptions: the bytes that the package would write.

    Its own function writes to a file of another name first, which stays where a process is killed,
    and a full disk is no OSError there.
    """
    with path.open("wb") as stream:
        for part in image(document, arrays, stepped):
            stream.write(part)


def image(
    document: str | None, arrays: Mapping[str, Array], stepped: str | None = None
) -> Iterator[bytes | memoryview]:
    """Yield a file, part by part.

    `document` is for `simdrnn.load`, `stepped` (`simdrnn.layers.stepped`) for programs in C.
    """
    # In the package's order: wider types first, so that all are aligned, then by name.
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    metadata = {} if document is None else {_DOCUMENT: document}
    if stepped is not None:
        metadata |= {_STEPPED: stepped, _CHECKSUM: str(_checksum(stepped, names, arrays))}
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in names:
        array = arrays[name]
        start, end = end, end + array.nbytes
        header[name] = {"dtype": _kind(array), "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in names:
        yield _bytes(arrays[name])


def _kind(array: Array) -> str:
    """Return the name of an array's dtype in a file."""
    return f"{array.dtype.kind.upper()}{8 * array.dtype.itemsize}"


def _bytes(array: Array) -> memoryview:
    """Return an array's bytes in a file."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data


def _checksum(stepped: str, names: list[str], arrays: Mapping[str, Array]) -> int:
    """Return what `csrc/files/tensors.cpp` finds: of all that a program in C goes by.

    `names` are in the order of their bytes in the file.
    """
    begins = dict(
        zip(names, accumulate((arrays[n].nbytes for n in names), initial=0), strict=False)
    )
    check = zlib.crc32(stepped.encode())
    for name in sorted(arrays):
        shape = "".join(f" {length}" for length in arrays[name].shape)
        line = f"\n{name} {_kind(arrays[name])}{shape} at {begins[name]}"
        check = zlib.crc32(line.encode(), check)
    for name in names:
        check = zlib.crc32(_bytes(arrays[name]), check)
    return check


def read(path: Path) -> tuple[str | None, dict[str, Array]]:
    """Return the description, None if there is none, and the arrays."""
    from safetensors import safe_open

    arrays: dict[str, Array] = {}
    with safe_open(path, framework="numpy") as tensors:
        _check_names(path)  # of a header whose length is by now known to be right
        for name in tensors.keys():  # noqa: SIM118  (it is no dict)
            dtype = tensors.get_slice(name).get_dtype()
            if dtype not in _STORED:
                raise ValueError(f"{name}: expected dtype float32 or float64, got {dtype}")
            arrays[name] = tensors.get_tensor(name)
        metadata = tensors.metadata() or {}
    return metadata.get(_DOCUMENT), arrays


def for_c_alone(path: Path) -> bool:
    """Tell whether a file that can be read has what C reads."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as tensors:
        return _STEPPED in (tensors.metadata() or {})


def _check_names(path: Path) -> None:
    """Raise where a name comes twice: other readers may take the other of the two."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        json.loads(stream.read(length), object_pairs_hook=unique)
