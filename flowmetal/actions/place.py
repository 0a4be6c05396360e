"""A name in an open directory: what is left of a path once it has been walked."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from types import TracebackType
from typing import Final

from flowmetal.actions.effect import EffectFailure, plain

_OPEN_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# O_PATH needs no right to list the directory, only to pass through it; macOS has no equal in Python.
OPEN_ON_THE_WAY: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
"""Flags of a directory that is only walked through."""

_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Place:
    """A name in an open directory, reached without leaving the grant.  A context manager that closes the directory.

    Attributes:
        fd: the directory; good for ``dir_fd=`` only.
        name: in that directory and no link when it was looked at; ``.`` for the directory itself.
        path: where that is, absolute.
        verb: for errors: what cannot be done.
        shown: for errors: the path as the flow gave it.
    """

    __slots__ = ("_fences", "fd", "name", "path", "shown", "verb")

    def __init__(
        self, fd: int, name: str, path: str, fences: dict[tuple[int, int], str], verb: str, shown: str
    ) -> None:
        self.fd = fd
        self.name = name
        self.path = path
        self._fences = fences
        self.verb = verb
        self.shown = shown

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)

    def look(self) -> os.stat_result | None:
        """What is there, a link itself and not its target; None when there is nothing.

        Raises:
            EffectFailure: it is behind a fence.
            OSError: of the operating system.
        """
        try:
            found = os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        self._check_fence(found)
        return found

    def open_regular(self, flags: int, mode: int = 0o644) -> tuple[int, os.stat_result]:
        """Open a regular file and nothing else, never waiting for the other end of a pipe.

        Raises:
            EffectFailure: it is a directory, pipe, socket or device, or behind a fence.
            OSError: of the operating system.
        """
        found = self.look()
        if found is not None:
            self._check_regular(found)  # before opening: to open some devices is to use them
        fd = os.open(self.name, flags | _OPEN_FILE, mode, dir_fd=self.fd)
        try:
            opened = os.fstat(fd)
            self._check_fence(opened)
            self._check_regular(opened)
        except BaseException:
            os.close(fd)
            raise
        return fd, opened

    def open_directory(self) -> int:
        """Open the directory of that name, to be listed or synced.

        Raises:
            EffectFailure: it is behind a fence.
            OSError: of the operating system, also when it is no directory.
        """
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.name, flags, dir_fd=self.fd)
        try:
            self._check_fence(os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def is_fenced(self, found: os.stat_result) -> bool:
        """Whether this is a denied or protected file or directory itself."""
        return (found.st_dev, found.st_ino) in self._fences

    def _check_fence(self, found: os.stat_result) -> None:
        fence = self._fences.get((found.st_dev, found.st_ino))
        if fence is not None:
            raise fenced(self.verb, self.shown, fence)

    def _check_regular(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a file")
            if stat.S_ISLNK(found.st_mode):
                kind = "a symlink since a moment ago"
            raise EffectFailure(
                f"cannot {self.verb} `{plain(self.shown)}`: it is {kind}; only regular files are read and written",
                details={"path": plain(self.shown)},
            )


def fenced(verb: str, shown: str, fence: str) -> EffectFailure:
    """The failure of meeting a denied or protected directory on the way."""
    return EffectFailure(
        f"cannot {verb} `{plain(shown)}`: it lies in {plain(fence)}, which is denied",
        kind="denied",
        details={"path": plain(shown)},
    )


def identities(fences: tuple[str, ...]) -> dict[tuple[int, int], str]:
    """Device and inode of each fence that exists."""
    identities = {}
    for fence in fences:
        try:
            found = os.stat(fence)
        except OSError:
            continue  # what is not there, or not ours to see, still counts by its path
        identities[found.st_dev, found.st_ino] = fence
    return identities


def make_directory(parent: int, name: str) -> int:
    """Make a directory durably, unless somebody else just did; open, good for ``dir_fd=`` only."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
    sync_directory(parent)
    return os.open(name, OPEN_ON_THE_WAY, dir_fd=parent)


def sync_directory(directory: int) -> None:
    """Make durable which names an open directory holds."""
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
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
