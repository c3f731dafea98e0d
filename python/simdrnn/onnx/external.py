"""Values of tensors that are in other files: where those may be, and how much they may bring."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import TensorProto

from simdrnn.onnx.budget import Budget
from simdrnn.onnx.element_types import known_type, raw_bytes

__all__ = ["ExternalFiles", "is_external", "numbers_of"]

# Tensors may share bytes of a file, but not so many that the file is a small part of them.
_TIMES, _AT_LEAST = 2, 2**24


def is_external(tensor: TensorProto) -> bool:
    """Tell whether a tensor's values are in another file."""
    return bool(tensor.data_location == TensorProto.EXTERNAL or tensor.external_data)


@dataclass(frozen=True)
class _Part:
    """A part of a file with the values of a tensor."""

    tensor: TensorProto
    path: Path
    offset: int
    length: int


class ExternalFiles:
    """The files beside a model.

    Parameters
    ----------
    base_dir : folder that they are in, or None.
    trusted : whether links are followed.
    budget : of what may be read.
    """

    def __init__(
        self, base_dir: str | os.PathLike[str] | None, trusted: bool, budget: Budget
    ) -> None:
        self._folder = None if base_dir is None else Path(os.path.realpath(base_dir))
        self._trusted, self._budget = trusted, budget

    def read(self, tensors: Sequence[TensorProto]) -> None:
        """Give tensors the values that they say are in other files, having counted them all.

        Raises
        ------
        ValueError : one is elsewhere, behind a link, or has not the bytes that its shape asks for;
            or they are too many.
        OSError : a file cannot be read.
        """
        parts = [self._part(tensor) for tensor in tensors]
        sizes: dict[Path, int] = {}
        asked: dict[Path, int] = {}
        for part in parts:
            if part.path not in sizes:
                sizes[part.path] = part.path.stat().st_size
                self._budget.brought(sizes[part.path])
            asked[part.path] = asked.get(part.path, 0) + part.length
        for path, wanted in asked.items():
            most = max(_TIMES * sizes[path], _AT_LEAST)
            if wanted > most and not self._budget.given:
                raise ValueError(
                    f"{path}: expected tensors of at most {most} bytes in a file of "
                    f"{sizes[path]}, got {wanted}; memory_limit= allows another number"
                )
            self._budget.take(str(path), wanted)
        for part in parts:
            part.tensor.raw_data = self._bytes(part)
            part.tensor.data_location = TensorProto.DEFAULT
            del part.tensor.external_data[:]

    def _part(self, tensor: TensorProto) -> _Part:
        """Check where a tensor's values are, and how many."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = str(entries.get("location", ""))
        path = self._path(tensor, location)
        size = path.stat().st_size
        try:
            offset = int(entries.get("offset", 0))
            length = int(entries.get("length", size - offset))
        except ValueError as error:
            raise ValueError(f"tensor {tensor.name!r}: {error}") from error
        known_type(tensor)
        wanted = raw_bytes(tensor, numbers_of(tensor))
        if offset < 0 or length != wanted or offset + length > size:
            raise ValueError(
                f"tensor {tensor.name!r}: expected {wanted} bytes for shape {list(tensor.dims)}, "
                f"got {length} from {offset} in {location!r} of {size} bytes"
            )
        return _Part(tensor, path, offset, length)

    def _path(self, tensor: TensorProto, location: str) -> Path:
        """Return the path of a file, if it may be read."""
        if self._folder is None:
            raise ValueError(
                f"tensor {tensor.name!r}: its values are in another file, {location!r}: expected "
                "base_dir=, the folder with that file"
            )
        path = self._folder / location
        if ".." not in path.parts and self._folder in path.parents:
            linked, readable = _kind(path)
            if readable and (self._trusted or not linked):
                return path
            if readable:
                raise ValueError(
                    f"tensor {tensor.name!r}: expected its values in a file in "
                    f"{str(self._folder)!r}, not behind a link, got {location!r}; "
                    "trust_directory=True follows links in a folder that you trust"
                )
        raise ValueError(
            f"tensor {tensor.name!r}: expected its values in a file in {str(self._folder)!r}, "
            f"got {location!r}"
        )

    def _bytes(self, part: _Part) -> bytes:
        """Read a part, of what is still no link."""
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
        if not self._trusted:
            flags |= getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(part.path, flags), "rb") as stream:
            stream.seek(part.offset)
            found = stream.read(part.length)
        if len(found) != part.length:
            raise ValueError(
                f"tensor {part.tensor.name!r}: expected {part.length} bytes, got {len(found)}"
            )
        return found


def numbers_of(tensor: TensorProto) -> int:
    """Return how many values the shape of a tensor asks for."""
    numbers = 1
    for size in tensor.dims:
        if size < 0:
            raise ValueError(
                f"tensor {tensor.name!r}: expected sizes of at least 0, got {list(tensor.dims)}"
            )
        numbers *= size
    return numbers


def _kind(path: Path) -> tuple[bool, bool]:
    """Tell whether a file is behind a link or has several names, and whether it is regular."""
    try:
        status: Any = path.stat()
        linked = Path(os.path.realpath(path)) != path or status.st_nlink > 1
        return linked, stat.S_ISREG(status.st_mode)
    except (OSError, ValueError):  # no name that a file could have
        return False, False
