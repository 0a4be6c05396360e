"""The home directory itself: made private, refused where LMDB cannot be safe."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from flowmetal.errors import HomeError, JournalError

# Locks and memory maps of these are not shared between machines; two engines would destroy the journal.
_NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "fuse.sshfs"}
)


def prepare_directory(path: Path) -> None:
    """Make ``path`` with mode 0700 (parents too); an existing directory keeps its mode.

    Raises:
        HomeError: it cannot be made or written, or lies on a network file system.
    """
    try:
        _make_private(path)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", str(path))
    except OSError as error:
        raise HomeError(
            f"the home cannot be used: {error.strerror or error}",
            place=str(path),
            remedy="choose a directory you may write to, with FLOWMETAL_HOME or --home",
        ) from None
    refuse_network_file_system(path, _mounts())


def refuse_network_file_system(path: Path, mounts: str) -> None:
    """Raise when ``path`` lies on a network file system.

    Args:
        path: an existing directory.
        mounts: text in the form of ``/proc/mounts``; "" where there is none.

    Raises:
        HomeError: names the file system.
    """
    kind = file_system_of(path.resolve(), mounts)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise HomeError(
            f"the home lies on a network file system ({kind}), where its locks cannot be trusted",
            place=str(path),
            remedy="choose a directory on a local disk, with FLOWMETAL_HOME or --home",
        )


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds the absolute ``path``, or "" when ``mounts`` does not say."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        point = Path(_unescape(parts[1]))
        # On equal length the later line wins: it was mounted over the earlier.
        if len(point.parts) >= best and path.is_relative_to(point):
            best, kind = len(point.parts), parts[2]
    return kind


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut, where we may read it."""
    with suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_same_file(path: Path | str, known: os.stat_result) -> bool:
    """Whether ``path`` leads to the file that was looked at before; False when it leads nowhere."""
    try:
        now = os.stat(path)
    except OSError:
        return False
    return (now.st_ino, now.st_dev) == (known.st_ino, known.st_dev)


class Watched:
    """The files ``names`` of a directory as they are now, those that are there."""

    def __init__(self, directory: Path, *names: str) -> None:
        paths = [directory / name for name in names]
        self._files = [(str(path), path.stat()) for path in paths if path.exists()]

    def check(self) -> None:
        """Make sure that their paths still lead to them.

        Raises:
            HomeError: one was moved, removed or replaced: who has it open works on, seen by nobody.
        """
        for path, known in self._files:
            if not is_same_file(path, known):
                raise moved_or_removed(path)


def moved_or_removed(path: Path | str) -> HomeError:
    """The error of a process that uses a home which somebody takes away."""
    return HomeError(
        "the home was moved, removed or replaced while it was in use",
        place=f"{path} is not the file that was opened",
        remedy="put it back, then go on with `flowmetal resume`; leave the files of a home alone while runs go on",
    )


def refuse_emptied(home: Path, data: Path) -> None:
    """Raise when the file of a journal is empty in a home that has been used: LMDB would make a new journal of it.

    An engine makes ``engines/`` when its journal is there.  Without it the home is one that is being made.

    Raises:
        JournalError: the file holds nothing.
    """
    was_used = (home / "engines").is_dir()  # looked at first: a home that is new by now has a whole journal then
    if was_used and data.is_file() and data.stat().st_size == 0:
        raise JournalError(
            "the journal's file is empty",
            place=str(data),
            remedy="restore the home from a copy, or move it away to start anew",
        )


def _make_private(path: Path) -> None:
    missing = [part for part in (path, *path.parents) if not part.exists()]
    for part in reversed(missing):
        # Another process may make it in the same moment, which is as good.
        part.mkdir(mode=0o700, exist_ok=True)
        sync_directory(part.parent)
    if not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))


def _mounts() -> str:
    try:
        return Path("/proc/mounts").read_text(errors="surrogateescape")
    except OSError:
        return ""


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
