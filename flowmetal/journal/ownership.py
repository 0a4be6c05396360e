"""Who is alive: each engine holds a lock file named after its random id.

The kernel drops the lock when the process ends, however it ends, so no clock and no heartbeat is involved.
flock belongs to an open file, not to a process: a probe opens the file anew and so neither takes nor drops the
engine's own lock, and a worker cannot inherit it (close-on-exec).  Probes take the lock *shared*, so that two
probes at the same time do not see each other as an engine.

A file that is not there is a dead engine, else runs of one that was removed after its end could never be taken up.
So an engine that lives looks for its own file (``Ownership.check``): inside of each of its write transactions, since
another adopts its runs in one of those, and at a short interval while it has nothing to write.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from flowmetal.errors import HomeError
from flowmetal.journal.home import is_same_file, moved_or_removed

ID_BYTES: Final = 16

_LOCK_NAME: Final = re.compile(r"[0-9a-f]{32}\.lock")
_OPEN: Final = os.O_RDWR | os.O_CLOEXEC
_TRIES: Final = 100
_MOST_DIGITS: Final = 20


class Ownership:
    """A living engine's identity; lives until ``release`` or the end of the process."""

    def __init__(self, engine_id: bytes, path: Path, descriptor: int) -> None:
        self.engine_id = engine_id
        self._path = path
        self._descriptor = descriptor

    def check(self) -> None:
        """Make sure that others see this engine.

        Raises:
            HomeError: the lock file was moved or removed, or another lies in its place; for others we are dead.
        """
        if not is_same_file(self._path, os.fstat(self._descriptor)):
            raise moved_or_removed(self._path)

    def release(self) -> None:
        """Be dead to others: remove the file, drop the lock.  Call it once, last."""
        with suppress(OSError):  # the home may be gone
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def acquire(home: Path) -> Ownership:
    """A new identity, its lock held before anyone can know the id.

    Raises:
        HomeError: the lock file cannot be made.
    """
    try:
        _directory(home).mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(_TRIES):
            ownership = _try_acquire(home)
            if ownership is not None:
                return ownership
    except OSError as error:
        raise _unusable(home, error) from None
    raise HomeError("no lock file could be held", place=str(_directory(home)))


def _try_acquire(home: Path) -> Ownership | None:
    engine_id = os.urandom(ID_BYTES)
    path = _lock_path(home, engine_id)
    descriptor = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
    # Between making and locking, a sweep may have taken the file for a dead engine's; then begin anew.
    if _lock(descriptor, fcntl.LOCK_EX) and os.fstat(descriptor).st_nlink == 1:
        with suppress(OSError):  # a full disk; it is only told to people
            os.write(descriptor, f"{os.getpid()}\n".encode())
        return Ownership(engine_id, path, descriptor)
    os.close(descriptor)
    return None


def is_alive(home: Path, engine_id: bytes) -> bool:
    """Whether the engine of that id lives, this process's own included.

    Raises:
        HomeError: its lock file cannot be opened.
    """
    try:
        descriptor = os.open(_lock_path(home, engine_id), _OPEN)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(home, error) from None
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def who_drives(home: Path, engine_id: bytes) -> str:
    """The engine of that id as a person is told of it; a home may be shared with systems that count their own way."""
    process = process_of(home, engine_id)
    return f"process {process}" if process is not None else "another process"


def process_of(home: Path, engine_id: bytes) -> int | None:
    """The number that the process of an engine has, or had, on its system; None where it is not known."""
    try:
        text = _lock_path(home, engine_id).read_bytes()[:_MOST_DIGITS].decode("ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdigit() else None


def sweep(home: Path) -> int:
    """Remove the lock files of dead engines; how many there were.

    Raises:
        HomeError: the directory cannot be read or written.
    """
    try:
        names = os.listdir(_directory(home))
        return sum(_sweep_one(_directory(home) / name) for name in names if _LOCK_NAME.fullmatch(name))
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _unusable(home, error) from None


def _sweep_one(path: Path) -> bool:
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        return False
    try:
        if not _lock(descriptor, fcntl.LOCK_EX):
            return False
        path.unlink(missing_ok=True)  # while holding the lock, see _try_acquire
        return True
    finally:
        os.close(descriptor)


def _lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _directory(home: Path) -> Path:
    return home / "engines"


def _lock_path(home: Path, engine_id: bytes) -> Path:
    return _directory(home) / f"{engine_id.hex()}.lock"


def _unusable(home: Path, error: OSError) -> HomeError:
    return HomeError(
        f"the home cannot be used: {error.strerror or error}",
        place=str(_directory(home)),
        remedy="choose a directory you may write to, with FLOWMETAL_HOME or --home",
    )
