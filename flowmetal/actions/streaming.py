"""Files of any size, in pieces.

A file may be written to while it is read, and one that grows as fast as it is read has no end.  So what counts is as
many bytes as it had when it was opened: of a log that is appended to, that is a log as it once was.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

from flowmetal.actions.effect import EffectFailure, os_failure, plain

_CHUNK_BYTES: Final = 1024 * 1024
_RANGE_BYTES: Final = 64 * _CHUNK_BYTES
_NO_RANGES: Final = (
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EBADF,
    errno.ETXTBSY,
    errno.EOVERFLOW,
)
_copy_range = getattr(os, "copy_file_range", None)  # Linux: may share the blocks of the disk


def pieces(fd: int, size: int, verb: str, shown: str, go_on: Callable[[], None]) -> Iterator[bytes]:
    """The next ``size`` bytes of an open file.

    Args:
        fd: the file.
        size: how many bytes.
        verb: for errors: what cannot be done.
        shown: for errors: the path as the flow gave it.
        go_on: called before each piece; raises to end it.

    Raises:
        EffectFailure: the file ends before, or cannot be read.
    """
    left = size
    while left:
        go_on()
        try:
            piece = os.read(fd, min(_CHUNK_BYTES, left))
        except OSError as error:
            raise os_failure(verb, shown, error) from None
        if not piece:
            raise EffectFailure(
                f"cannot {verb} `{plain(shown)}`: it became shorter while it was read: "
                f"{size - left:,} of {size:,} bytes were there",
                details={"path": plain(shown)},
            )
        left -= len(piece)
        yield piece


def check_told_size(fd: int, size: int, verb: str, shown: str) -> None:
    """Raise if an open file says that it is empty and is not, as on file systems that make their files up.

    Raises:
        EffectFailure: it is so.
        OSError: of the operating system.
    """
    if size == 0 and os.pread(fd, 1, 0):
        raise EffectFailure(
            f"cannot {verb} `{plain(shown)}`: it says that it has 0 bytes and has more, so nobody knows how many",
            details={"path": plain(shown)},
        )


def copy_ranges(source: int, target: int, size: int, go_on: Callable[[], None]) -> int:
    """Copy up to ``size`` bytes inside the kernel, where it can; how many were.  ``go_on`` raises to end it.

    Raises:
        OSError: of the operating system, unless it only says that it cannot do that.
    """
    left = size
    while left and _copy_range is not None:
        go_on()
        try:
            copied = _copy_range(source, target, min(_RANGE_BYTES, left))
        except OSError as error:
            if error.errno in _NO_RANGES:
                break
            raise
        if not copied:
            break
        left -= copied
    return size - left
