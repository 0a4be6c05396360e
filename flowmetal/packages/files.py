"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flowmetal.errors import HomeError, UsageError
from flowmetal.packages.bounds import MAX_LOCK_BYTES
from flowmetal.packages.lock import Lock, lock_text, read_lock

TEMPORARY: Final = ".new-"
"""How the name of a file begins that is not whole yet."""


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Writes a file beside its place, syncs it, and renames it.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong first is what is told
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def turn_in(folder: Path) -> Iterator[None]:
    """Who reads a folder's files to change them takes turns with others; a kill gives the turn up."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_limited(path: Path, limit_bytes: int, *, follow: bool = True) -> bytes:
    """The bytes of a regular file, one more than the limit at most: a pipe or a device is never waited for.

    Raises:
        OSError: it cannot be read, is no regular file, or a link that is not to be followed.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return file.read(limit_bytes + 1)


def replace_file(path: Path, text: str) -> None:
    """Writes a file of a project; its mode stays.

    Raises:
        HomeError: it cannot be written.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        write_whole(path, text.encode("utf-8"), mode)
    except OSError as error:
        raise HomeError(f"it cannot be written: {error.strerror}", place=str(path)) from None


def read_lock_file(path: Path) -> Lock:
    """The lock in a file, the empty one where there is none.

    Raises:
        UsageError: it is none, or cannot be read.
    """
    try:
        text = read_limited(path, MAX_LOCK_BYTES).decode("utf-8")
    except FileNotFoundError:
        return Lock()
    except UnicodeDecodeError:
        raise UsageError("it is not UTF-8", place=str(path)) from None
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", place=str(path)) from None
    return read_lock(text, str(path))


def write_lock(path: Path, lock: Lock) -> None:
    """Writes a lock.

    Raises:
        HomeError: it cannot be written.
    """
    replace_file(path, lock_text(lock))
