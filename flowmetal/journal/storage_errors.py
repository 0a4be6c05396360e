"""What an error of LMDB or of the operating system means to a person.

LMDB's exceptions are known by name, so that only ``lmdb_store.py`` imports the library.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from flowmetal.errors import FlowmetalError, HomeError, InternalError, JournalError, StorageError

_DISK_ERRNOS: Final = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_MEMORY_ERRNOS: Final = frozenset({errno.ENOMEM})

_LITTLE_BYTES: Final = 256 * 1024

_DISK: Final = (StorageError, "the disk refused", "make room or check the disk, then start again")
_NO_ROOM: Final = (
    StorageError,
    "the journal's map of 1 TiB (sparse, no memory) does not fit into the address space",
    "raise the limit with `ulimit -v unlimited`",
)
_DAMAGED: Final = (
    JournalError,
    "the journal's file is damaged",
    "restore the home from a copy, or move it away to start anew",
)
_FOREIGN: Final = (JournalError, "not a journal of Flowmetal", "choose another home, or move this one away")
_MISUSED: Final = (InternalError, "the journal was used wrongly", "")
_UNUSABLE: Final = (
    HomeError,
    "the home cannot be used",
    "choose a directory you may write to, with FLOWMETAL_HOME or --home",
)

_MEANINGS: Final = {
    "DiskError": _DISK,
    "MapFullError": _DISK,
    "MemoryError": _NO_ROOM,
    "CorruptedError": _DAMAGED,
    "PageNotFoundError": _DAMAGED,
    "PanicError": _DAMAGED,
    "InvalidError": _DAMAGED,
    "VersionMismatchError": _FOREIGN,
    "NotFoundError": _FOREIGN,
    "BadValsizeError": _MISUSED,
    # A transaction that met a damaged page refuses everything after it.
    "BadTxnError": _DAMAGED,
    "ReadersFullError": (HomeError, "too many processes read the journal", "end some of them"),
}


def translate(error: Exception, path: Path) -> FlowmetalError:
    """The error of our family for one of LMDB's, of the operating system's, or of our family already."""
    if isinstance(error, FlowmetalError):
        return error
    meaning = _MEANINGS.get(type(error).__name__, _UNUSABLE)
    if _is_of(error, _DISK_ERRNOS):
        meaning = _DISK
    elif _is_of(error, _MEMORY_ERRNOS):
        meaning = _NO_ROOM
    family, message, remedy = meaning
    full = ", which is full" if meaning is _DISK and _is_full(path) else ""
    return family(f"{message}{full}: {error}", place=str(path), remedy=remedy)


def _is_full(path: Path) -> bool:
    """Whether the disk has no room: LMDB says "Input/output error" when it could write only a part."""
    try:
        status = os.statvfs(path)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _LITTLE_BYTES


def _is_of(error: Exception, numbers: frozenset[int]) -> bool:
    code = error.errno if isinstance(error, OSError) else getattr(error, "code", 0)
    # Older bindings of LMDB say the error's number in words only.
    return code in numbers or str(error).endswith(tuple(os.strerror(number) for number in numbers))
