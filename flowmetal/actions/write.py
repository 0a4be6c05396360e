"""``write(path, text)``: a file that holds the old text or the new, never a part.

The text goes into a temporary file in the same directory, that file is synced, takes the name of the old one, and the
directory is synced.  The temporary name comes from the idempotency key: an attempt that was killed leaves one file
whose name the next attempt knows and clears away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, Parameter, os_failure
from flowmetal.actions.place import Place
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire

_NEW_FILE_MODE: Final = 0o644
_FULL_SYNC: Final = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone stops at the drive's cache


def temporary_name(idempotency_key: str) -> str:
    """The name of the temporary file of the action with this key."""
    return f".flowmetal-{hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]}.tmp"


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("write", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    try:
        with reach(allowed[0], "write", path) as place:
            _replace(place, args["text"].encode("utf-8"), temporary_name(context.idempotency_key))
    except OSError as error:
        raise os_failure("write", path, error) from None
    return None


def _replace(place: Place, data: bytes, temporary: str) -> None:
    mode = _mode_of_existing(place)
    fd = _create(place, temporary, _NEW_FILE_MODE if mode is None else 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if mode is not None:
                os.fchmod(fd, mode)
            _sync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, place.name, src_dir_fd=place.fd, dst_dir_fd=place.fd)
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong first is what is told
            os.unlink(temporary, dir_fd=place.fd)
        raise
    _sync_directory(place)


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
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(temporary, flags, mode, dir_fd=place.fd)
    except FileExistsError:
        os.unlink(temporary, dir_fd=place.fd)  # of an attempt of this very action that was killed
        return os.open(temporary, flags, mode, dir_fd=place.fd)


def _sync(fd: int) -> None:
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(fd, _FULL_SYNC)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
    os.fsync(fd)


def _sync_directory(place: Place) -> None:
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.fd)
    except PermissionError:
        os.sync()  # a directory that we may write to and not read
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems without a sync of directories
            raise
    finally:
        os.close(fd)


WRITE: Final = Effect(
    name="write",
    doc="Makes or replaces a file with text in UTF-8, at once and durably: whoever looks sees the old text or the new. "
    "Keeps the permission bits of a file that is there. Its directory must exist.",
    parameters=(
        Parameter("path", "str", "the file; relative to the run's starting directory"),
        Parameter("text", "str", "what the file is to hold"),
    ),
    mode="thread",
    want=_want,
    perform=_perform,
)
