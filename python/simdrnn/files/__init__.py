"""Files of named arrays with a description: safetensors, and NumPy's ``.npz``.

What is described is not known here: `write` takes a document of plain JSON values, and `read` gives
it back. Nothing that is read is ever run, nor unpickled; what does not fit raises before memory is
asked for. `docs/files_and_scale.md` says what a file holds.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from simdrnn.files import npz, tensors
from simdrnn.files.paths import as_path, check_regular, refusing, replacing, unique
from simdrnn.validate import Array

__all__ = ["read", "write"]

_FORMATS: dict[str, ModuleType] = {".safetensors": tensors, ".npz": npz}


def write(path: object, document: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file whole, or leave what is there as it is.

    Parameters
    ----------
    path : str or path-like, which ends with ``.safetensors`` or ``.npz``.
    document : strings, numbers, True, False, None, and lists and dicts of these.
    arrays : float32 and float64 arrays by name.

    Raises
    ------
    TypeError, ValueError : `path` is no path, or has another ending.
    ImportError : the format's package is not installed.
    OSError : the file cannot be written.
    """
    target = as_path(path)
    form = _FORMATS.get(target.suffix)
    if form is None:
        wanted = " or ".join(_FORMATS)
        raise ValueError(f"path: expected a name that ends with {wanted}, got {str(target)!r}")
    form.check_installed()
    text = json.dumps({**document, "checksum": _checksum(document, arrays)}, allow_nan=False)
    with replacing(target) as temporary:
        form.write(temporary, text, arrays)


def read(path: object) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `write` wrote; its beginning tells the format, not its name.

    Returns
    -------
    document : as it was written.
    arrays : by name; nobody else holds them.

    Raises
    ------
    TypeError : `path` is no path.
    ValueError : the file is none that `write` wrote, or is damaged.
    ImportError : the format's package is not installed.
    OSError : the file cannot be read.
    """
    source = as_path(path)
    check_regular(source)
    with source.open("rb") as stream:
        start = stream.read(9)
    form = npz if npz.begins(start) else tensors
    with refusing(source):
        if not form.begins(start):
            raise ValueError("it begins as neither a .safetensors nor a .npz file does")
    form.check_installed()
    with refusing(source):
        text, arrays = form.read(source)
        if text is None:
            raise ValueError(
                "it holds arrays, but not which layer they are of; build that layer and call "
                f"layer.load_state_dict({form.READER})"
            )
        document = _parse(text)
        found = document.pop("checksum", None)
        if found != _checksum(document, arrays):
            raise ValueError("its checksum differs: it was damaged, or changed by another program")
    return document, arrays


def _parse(text: str) -> dict[str, Any]:
    """Return the JSON object that `text` is."""
    try:
        document = json.loads(text, parse_constant=_no_constant, object_pairs_hook=unique)
    except RecursionError as error:
        raise ValueError("its description is nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError(f"expected a description that is an object, got {text[:80]!r}")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"expected finite numbers in its description, got {name}")


def _checksum(document: Mapping[str, Any], arrays: Mapping[str, Array]) -> int:
    """Return a CRC-32 of all that a file says; safetensors files have none of their own."""
    check = zlib.crc32(json.dumps(document, sort_keys=True, allow_nan=False).encode())
    for name in sorted(arrays):
        array = arrays[name]
        check = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), check)
        check = zlib.crc32(array.reshape(-1).data.cast("B"), check)
    return check
