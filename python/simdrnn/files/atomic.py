"""Files that are written whole or not at all, and leave nothing beside them.

What is written has no name until it is complete, where the system allows that; else a name of our
own, and a lock for as long as somebody writes. What has such a name and no lock is left over from a
process that was killed, and is removed when the next file is saved beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system where open files cannot be removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["replacing"]

_BEGINS, _ENDS = ".simdrnn-", ".tmp"
_ATTEMPTS = 100  # at a file that nobody else removes before it is locked


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend the name of a new file; on success it takes the place of `path`, at once.

    A reader, or a crash, finds the old file or the new one, never a part. A link is followed, and
    the permissions of a file that was there are kept. What is no regular file, such as a device, is
    written to.

    Raises
    ------
    OSError : the file cannot be written; the old one is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        old: os.stat_result | None = target.stat()
    except FileNotFoundError:
        old = None
    if old is not None and not stat.S_ISREG(old.st_mode):
        yield target
        return
    if not target.parent.is_dir():  # else the temporary name would be told, which nobody knows
        raise FileNotFoundError(errno.ENOENT, "path: expected a folder that is there", str(path))
    _remove_leftovers(target.parent)
    # Until it has its permissions, nobody else may read what takes the place of a file that others
    # could not.
    mode = None if old is None else stat.S_IMODE(old.st_mode)
    descriptor, name = _opened(target.parent, 0o666 if mode is None else 0o600)
    try:
        yield Path(f"/proc/self/fd/{descriptor}") if name is None else name
        os.fsync(descriptor)  # else a crash could leave the new name without its contents
        if name is None:
            name = _new_name(target.parent)
            _give_name(descriptor, name)
        if mode is not None:
            name.chmod(mode)
        if fcntl is None:  # a system where open files cannot be renamed
            os.close(descriptor)
            descriptor = -1
        name.replace(target)
        name = None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        if name is not None:
            name.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _give_name(descriptor: int, name: Path) -> None:
    """Give a name to an open file that has none."""
    folder = os.open(name.parent, os.O_RDONLY)
    try:
        # A folder for the old name, which is absolute, is what makes Python follow the link.
        os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _new_name(folder: Path) -> Path:
    return folder / f"{_BEGINS}{secrets.token_hex(8)}{_ENDS}"


def _opened(folder: Path, mode: int) -> tuple[int, Path | None]:
    """Return a new locked file, and its name, if it needs one."""
    nameless = getattr(os, "O_TMPFILE", 0)
    if nameless:
        with contextlib.suppress(OSError):  # not on every file system
            if _names_can_be_given(folder):
                descriptor = os.open(folder, nameless | os.O_RDWR, mode)
                _locked(descriptor)
                return descriptor, None
    for _ in range(_ATTEMPTS):
        name = _new_name(folder)
        # Exclusive: a file or a link that somebody put there is not written through.
        descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        # Whoever removes what is left over may have come before the lock.
        if _locked(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)
        name.unlink(missing_ok=True)
    raise OSError(f"{folder}: expected a folder that keeps a new file")


def _names_can_be_given(folder: Path) -> bool:
    """Try whether a file without a name can be given one: not everywhere, nor to one twice."""
    descriptor, name = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600), _new_name(folder)
    try:
        _give_name(descriptor, name)
    except OSError:
        return False
    finally:
        os.close(descriptor)
        name.unlink(missing_ok=True)
    return True


def _locked(descriptor: int) -> bool:
    """Lock an open file for as long as it is open; tell whether nobody else has."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: then nothing there counts as left over
        return True
    return True


def _remove_leftovers(folder: Path) -> None:
    """Remove files that nobody writes any more."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.name.startswith(_BEGINS) and entry.name.endswith(_ENDS)):
                continue
            with contextlib.suppress(OSError):
                _remove_unlocked(Path(entry.path))


def _remove_unlocked(path: Path) -> None:
    """Remove a regular file of ours whose lock can be had."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            path.unlink()
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Have the new name outlive a loss of power, where a folder can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
