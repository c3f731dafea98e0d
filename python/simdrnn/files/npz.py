"""NumPy's ``.npz``: a zip of ``.npy`` members. Needs nothing but NumPy.

Reading is stricter than ``numpy.load``, which takes the word of a member's header for how much
memory to ask for, and that of the archive for what compressed bytes grow to.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from simdrnn.validate import Array

__all__ = ["READER", "begins", "check_installed", "check_outline", "read", "write"]

READER = "numpy.load(path)"

_DOCUMENT = "simdrnn"  # the member with the description: UTF-8 bytes
_LONGEST_HEADER = 1000  # bytes; NumPy's own are of 118. It is evaluated as a Python literal
# A member takes 200 bytes and more: its header and NumPy's, and its place in the list.
_MOST_MEMBERS, _BYTES_OF_MEMBER = 2**10, 2**7
_STORED: set[np.dtype[Any]] = {np.dtype("float32"), np.dtype("float64")}


def check_installed() -> None:
    """Do nothing: NumPy is there."""


def begins(start: bytes) -> bool:
    """Tell whether a file that begins so is a zip archive."""
    return start[:4] == b"PK\x03\x04"


def check_outline(path: Path) -> None:
    """Do nothing: `read` looks at all of it."""


def write(
    path: Path, document: str, arrays: Mapping[str, Array], stepped: str | None = None
) -> None:
    """Write `arrays` and the description; `stepped` is for formats that programs in C read."""
    described = np.frombuffer(document.encode(), np.uint8)
    with path.open("wb") as stream:
        np.savez(stream, **{_DOCUMENT: described}, **arrays)  # type: ignore[arg-type]


def read(path: Path) -> tuple[str | None, dict[str, Array]]:
    """Return the description, None if there is none, and the arrays."""
    whole = path.read_bytes()
    # The archive's list of members is read at once, and takes more memory than its bytes.
    most, listed = _MOST_MEMBERS + len(whole) // _BYTES_OF_MEMBER, whole.count(b"PK\x01\x02")
    if listed > most:
        raise ValueError(f"expected at most {most} members in {len(whole)} bytes, got {listed}")
    with zipfile.ZipFile(BytesIO(whole)) as archive:
        members = archive.infolist()
        _check(members, len(whole))
        contents = {member.filename: archive.read(member) for member in members}
    described = contents.pop(f"{_DOCUMENT}.npy", None)
    document = None
    if described is not None:
        document = _array(_DOCUMENT, described, {np.dtype("uint8")}).tobytes().decode()
    names = {name: name.removesuffix(".npy") for name in contents}
    return document, {names[name]: _array(name, data, _STORED) for name, data in contents.items()}


def _check(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raise where reading the members could give more bytes than the file has, or twice a name."""
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"{member.filename!r}: expected a member that is not compressed")
        if not member.filename.endswith(".npy"):
            raise ValueError(f"expected members that are arrays, got {member.filename!r}")
    if len({member.filename for member in members}) != len(members):
        raise ValueError("a name comes twice")
    # Members may overlap: each then fits, but not all of them.
    if sum(member.file_size for member in members) > size:
        raise ValueError("its members claim more bytes than it has")


def _array(name: str, data: bytes, dtypes: set[np.dtype[Any]]) -> Array:
    """Return the array of one member, whose header must say what the member holds."""
    stream = BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{name}: expected an array of format 1.0, got {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(
        stream, max_header_size=_LONGEST_HEADER
    )
    if dtype not in dtypes:
        raise ValueError(f"{name}: expected dtype float32 or float64, got {dtype}")
    start = stream.tell()
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(data) - start:
        raise ValueError(f"{name}: expected {len(data) - start} bytes, got {shape} of {dtype}")
    flat = np.frombuffer(data, dtype, count, start)
    return flat.reshape(shape, order="F" if fortran else "C")
