"""A name in an open directory: what is left of a path once it has been walked."""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import Final

from flowmetal.actions.effect import EffectFailure, plain

_OPEN_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

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
    """

    __slots__ = ("_fences", "_shown", "_verb", "fd", "name", "path")

    def __init__(
        self, fd: int, name: str, path: str, fences: dict[tuple[int, int], str], verb: str, shown: str
    ) -> None:
        self.fd = fd
        self.name = name
        self.path = path
        self._fences = fences
        self._verb = verb
        self._shown = shown

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

    def _check_fence(self, found: os.stat_result) -> None:
        fence = self._fences.get((found.st_dev, found.st_ino))
        if fence is not None:
            raise fenced(self._verb, self._shown, fence)

    def _check_regular(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a file")
            if stat.S_ISLNK(found.st_mode):
                kind = "a symlink since a moment ago"
            raise EffectFailure(
                f"cannot {self._verb} `{plain(self._shown)}`: it is {kind}; only regular files are read and written",
                details={"path": plain(self._shown)},
            )


def fenced(verb: str, shown: str, fence: str) -> EffectFailure:
    """The failure of meeting a denied or protected directory on the way."""
    return EffectFailure(
        f"cannot {verb} `{plain(shown)}`: it lies in {plain(fence)}, which is denied",
        kind="denied",
        details={"path": plain(shown)},
    )
