"""Files of the safetensors package: https://github.com/huggingface/safetensors, version 0.3 on.

That package checks a file before it is used: the header's length, and that the tensors' bytes,
which are mapped, neither overlap nor leave gaps. Names that come twice it lets pass.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from simdrnn.files.paths import unique
from simdrnn.validate import Array

__all__ = ["READER", "begins", "check_installed", "read", "write"]

READER = "safetensors.numpy.load_file(path)"

_DOCUMENT = "simdrnn"  # the description's name in the file's metadata
_STORED = {"F32", "F64"}


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


def write(path: Path, document: str, arrays: Mapping[str, Array]) -> None:
    """Write `arrays` and the description."""
    from safetensors.numpy import save_file

    save_file(dict(arrays), path, {_DOCUMENT: document})


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


def _check_names(path: Path) -> None:
    """Raise where a name comes twice: other readers may take the other of the two."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        json.loads(stream.read(length), object_pairs_hook=unique)
