"""Replacing a file: whoever looks sees the old one or the new one, never a part.

The new content goes into a temporary file in the same directory, that file is synced, takes the name of the old one,
and the directory is synced.  The temporary name comes from the idempotency key: an attempt that was killed leaves one
file whose name the next attempt knows and clears away.

An attempt that ran out of time cannot be stopped: its thread goes on while the next attempt begins, with the same key
and so the same temporary name.  So whoever fills a temporary file holds a lock on it (``flock``), which a kill
releases.  A file that is locked is left alone and the new attempt fails; a lock counts only while the name still leads
to the file that was locked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from typing import Final

from flowmetal.actions.effect import EffectFailure, plain
from flowmetal.actions.place import Place, sync_directory

NEW_FILE_MODE: Final = 0o644
"""Permission bits of a new file, before the umask."""

_TRIES: Final = 8
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FULL_SYNC: Final = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone stops at the drive's cache


def temporary_name(idempotency_key: str) -> str:
    """The name of the temporary file of the action with this key."""
    return f".flowmetal-{hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]}.tmp"


def replace(place: Place, idempotency_key: str, fill: Callable[[int], None], mode: int | None = None) -> None:
    """Make or replace the file at ``place``, at once and durably.

    Args:
        place: where; a regular file or nothing.
        idempotency_key: of the action.
        fill: writes the content to the descriptor it is given.
        mode: permission bits of the file; None keeps those of the file that is there, or follows the umask.

    Raises:
        EffectFailure: there is something else than a file, or an earlier attempt of this action is still at work.
        OSError: of the operating system; the old file is as it was.
    """
    existing = _mode_of_existing(place)
    kept = existing if mode is None else mode
    temporary = temporary_name(idempotency_key)
    fd = _create(place, temporary, NEW_FILE_MODE if kept is None else 0o600)
    try:
        try:
            fill(fd)
            if kept is not None:
                os.fchmod(fd, kept)
            _sync(fd)
            os.rename(temporary, place.name, src_dir_fd=place.fd, dst_dir_fd=place.fd)
        except BaseException:
            with contextlib.suppress(OSError):  # what went wrong first is what is told
                os.unlink(temporary, dir_fd=place.fd)
            raise
    finally:
        os.close(fd)  # not before the rename: it releases the lock
    sync_directory(place.fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, in as many calls as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _mode_of_existing(place: Place) -> int | None:
    """Permission bits of the file to be replaced, None when there is none.

    It is opened for writing, though never written: a file its owner made read-only is not to be replaced by the
    roundabout way of its directory.
    """
    try:
        fd, found = place.open_regular(os.O_WRONLY)
    except FileNotFoundError:
        return None
    os.close(fd)
    return stat.S_IMODE(found.st_mode) & 0o777


def _create(place: Place, temporary: str, mode: int) -> int:
    """A new and locked temporary file."""
    for _ in range(_TRIES):
        try:
            fd = os.open(temporary, _CREATE, mode, dir_fd=place.fd)
        except FileExistsError:
            _clear_away(place, temporary)
            continue
        if _locked(place, temporary, fd):
            return fd
        os.close(fd)
    raise _busy(place)


def _clear_away(place: Place, temporary: str) -> None:
    """Remove what an attempt that was killed has left, or a link that somebody put there."""
    try:
        found = os.stat(temporary, dir_fd=place.fd, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            os.unlink(temporary, dir_fd=place.fd)
            return
        fd = os.open(temporary, _LOOK, dir_fd=place.fd)
    except FileNotFoundError:
        return
    try:
        if not _locked(place, temporary, fd):
            raise _busy(place)
        os.unlink(temporary, dir_fd=place.fd)
    finally:
        os.close(fd)


def _locked(place: Place, temporary: str, fd: int) -> bool:
    """Take the lock on an open file; whether it is had, and the file still has the name ``temporary``."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF):
            raise  # else a file system without locks
    try:
        found = os.stat(temporary, dir_fd=place.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)


def _busy(place: Place) -> EffectFailure:
    return EffectFailure(
        f"cannot {place.verb} `{plain(place.shown)}`: an earlier attempt of this very action is still at work on it",
        details={"path": plain(place.shown), "may_have_run": True},
    )


def _sync(fd: int) -> None:
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(fd, _FULL_SYNC)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
    os.fsync(fd)
