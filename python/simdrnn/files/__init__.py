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

import numpy as np

from simdrnn.engine.c_model import model_of_bytes
from simdrnn.files import npz, tensors
from simdrnn.files.atomic import replacing
from simdrnn.files.paths import as_path, check_regular, refusing, unique
from simdrnn.validate import Array

__all__ = ["c_model", "read", "write"]

# Characters of a description: of any, and of each array more.
_LONGEST, _LONGEST_OF_ARRAY = 2**18, 2**11

_NUMBERS = "fiu"  # kinds of dtypes; `read` takes floats alone

_FORMATS: dict[str, ModuleType] = {".safetensors": tensors, ".npz": npz, ".simdrnn": tensors}
_FOR_C = ".simdrnn"  # written without the package that Python reads it with


def write(
    path: object,
    document: Mapping[str, Any] | None,
    arrays: Mapping[str, Array],
    stepped: Mapping[str, Any] | None = None,
) -> None:
    """Write a file whole, or leave what is there as it is.

    Parameters
    ----------
    path : str or path-like, which ends with ``.safetensors``, ``.npz`` or ``.simdrnn``.
    document : strings, numbers, True, False, None, and lists and dicts of these. None, where the
        file is ``.simdrnn``: `read` has nothing to build of it.
    arrays : float32 and float64 arrays by name.
    stepped : `simdrnn.layers.stepped`, for programs in C, which do not read ``.npz``.

    Raises
    ------
    TypeError, ValueError : `path` is no path, or has another ending; `document` or `arrays` are not
        what they are to be.
    ImportError : the format's package is not installed.
    OSError : the file cannot be written.
    """
    target = as_path(path)
    form = _FORMATS.get(target.suffix)
    if form is None:
        wanted = " or ".join(_FORMATS)
        raise ValueError(f"path: expected a name that ends with {wanted}, got {str(target)!r}")
    if target.suffix != _FOR_C:
        form.check_installed()
        if document is None:
            raise ValueError(
                f"path: expected a name that ends with {_FOR_C}, of what C alone reads, got "
                f"{str(target)!r}"
            )
    _check_writable(document, arrays)
    texts = (_text(document, arrays), None if stepped is None else _json(stepped))
    with replacing(target) as temporary:
        form.write(temporary, texts[0], arrays, texts[1])


def _check_writable(document: object, arrays: object) -> None:
    """Raise unless these are what a file can hold."""
    if document is not None and not isinstance(document, Mapping):
        raise TypeError(f"document: expected a dict or None, got {type(document).__name__}")
    if not isinstance(arrays, Mapping):
        raise TypeError(f"arrays: expected arrays by name, got {type(arrays).__name__}")
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise TypeError(f"arrays: expected names that are str, got {name!r}")
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            found = type(array).__name__
            raise TypeError(f"arrays[{name!r}]: expected a numpy.ndarray, got {found}")
        if array.dtype.kind not in _NUMBERS:  # NumPy would pickle objects
            raise TypeError(f"arrays[{name!r}]: expected numbers, got dtype {array.dtype}")


def c_model(
    document: Mapping[str, Any] | None, arrays: Mapping[str, Array], stepped: Mapping[str, Any]
) -> object:
    """Return the capsule of the model that C reads in the file that `write` would write."""
    parts = tensors.image(_text(document, arrays), arrays, _json(stepped))
    return model_of_bytes(b"".join(parts))


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, allow_nan=False)


def _text(document: Mapping[str, Any] | None, arrays: Mapping[str, Array]) -> str | None:
    """Return a description as it is written, with its checksum."""
    if document is None:
        return None
    return _json({**document, "checksum": _checksum(document, arrays)})


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
        form.check_outline(source)
    form.check_installed()  # for what may be one: nobody installs a package for a damaged file
    with refusing(source):
        text, arrays = form.read(source)
        if text is None and form is tensors and tensors.for_c_alone(source):
            raise ValueError("it holds a model that was converted for C, which is no layer")
        if text is None:
            raise ValueError(
                "it holds arrays, but not which layer they are of; build that layer and call "
                f"layer.load_state_dict({form.READER})"
            )
        _check_length(text, len(arrays))
        document = _parse(text)
        found = document.pop("checksum", None)
        if found != _checksum(document, arrays):
            raise ValueError("its checksum differs: it was damaged, or changed by another program")
    return document, arrays


def _check_length(text: str, arrays: int) -> None:
    """Raise where a description is longer than any: two bytes of JSON become an object of 64."""
    most = _LONGEST + _LONGEST_OF_ARRAY * arrays
    if len(text) > most:
        raise ValueError(
            f"expected a description of at most {most} characters beside {arrays} arrays, got "
            f"{len(text)}"
        )


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
