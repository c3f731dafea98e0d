"""Where files are: checked paths, and sentences about bad files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["as_path", "check_regular", "refusing", "unique"]


def as_path(path: object) -> Path:
    """Return a path; an integer is none, though ``open`` takes it for an open file."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a str or a path, got {type(path).__name__}")
    text = os.fspath(path)
    if not isinstance(text, str) or "\0" in text:
        raise ValueError(f"path: expected a name without null bytes, as str, got {text!r}")
    return Path(text)


def check_regular(path: Path) -> None:
    """Raise unless `path` is a file: a pipe or a device would block, or never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"path: expected a regular file, got {str(path)!r}")


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn whatever reading a bad file raises into a ValueError that names it.

    The parsers of other packages raise more than they document where bytes are damaged, so all is
    caught but what is not the file's fault: memory, the disk, a package that does not load.
    """
    try:
        yield
    except (MemoryError, OSError, ImportError):
        raise
    except Exception as error:
        raise ValueError(f"path: expected a file that save wrote, got {path}: {error}") from error


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the dict of a JSON object's pairs, if no name comes twice: readers differ on those."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found
