"""``glob(pattern, path)``: the paths in a directory that are like a pattern.

The directories with which a pattern begins, ``data`` in ``data/*.csv``, belong to the path: they are walked as any path
is, and are all that needs to be granted.  From there the walk goes from one open directory into the next and through
no link, so that nothing that changes meanwhile leads it out of the grant; what is denied is passed over, with all that
is in it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, os_failure, plain
from flowmetal.actions.list_dir import MAX_NAMES, MAX_NAMES_BYTES
from flowmetal.actions.patterns import Pattern, parse_pattern
from flowmetal.actions.place import Place
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.permissions.paths import parts
from flowmetal.values import Wire

MAX_VISITED: Final = 1_000_000
"""Entries of directories that one search looks at."""

MAX_LEVELS: Final = 100
"""Directories inside one another; each that is open takes a descriptor."""

_BYTES_BESIDE_A_PATH: Final = 5
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What is said of a directory that was one when it was looked at: removed, or replaced by something else."""

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("read", {"path": _divided(args)[0]}, context, is_directory=True)


def _divided(args: Arguments) -> tuple[str, str, Pattern]:
    """The directory to search, its path in ``path``, and what to search it for."""
    path: str = args["path"]
    try:
        inner, pattern = parse_pattern(args["pattern"]).divided()
    except ValueError as error:
        raise EffectFailure(f"glob: {plain(str(error))}", kind="error") from None
    if path and inner:
        return (inner if path == "." else posixpath.join(path, inner)), inner, pattern
    return path, inner, pattern


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path, inner, pattern = _divided(args)
    try:
        with reach(allowed[0], "search", path) as place:
            search = _Search(pattern, place, allowed[0], inner)
            fd = place.open_directory()
            try:
                search.enter(fd, (), search.pattern.start)
            finally:
                os.close(fd)
    except OSError as error:
        raise os_failure("search", path, error) from None
    return sorted(search.found)


class _Search:
    """One search: what was found, and how much was looked at."""

    def __init__(self, pattern: Pattern, place: Place, allowed: Allowed, inner: str) -> None:
        self.pattern = pattern
        self.place = place
        self.fences = {parts(fence) for fence in allowed.fences}
        self.inner = inner
        self.root = place.path.rstrip("/")
        self.found: list[str] = []
        self.size = 0
        self.visited = 0

    def enter(self, fd: int, way: tuple[str, ...], positions: frozenset[int]) -> None:
        """Searches an open directory, ``way`` being the names that led there and ``positions`` what may follow."""
        deeper = []
        for name in self._names(fd, positions):
            self._count()
            after = self.pattern.after(positions, name)
            if not after or self._is_closed(fd, name, way):
                continue
            if self.pattern.is_match(after):
                self._keep(posixpath.join(self.inner, *way, name))
            if self.pattern.goes_on(after):
                deeper.append((name, after))
        for name, after in sorted(deeper, key=lambda each: each[0]):
            self._enter_below(fd, name, (*way, name), after)

    def _names(self, fd: int, positions: frozenset[int]) -> Iterator[str]:
        literals = self.pattern.literals(positions)
        if literals is not None:
            yield from literals
            return
        with os.scandir(fd) as entries:
            for entry in entries:
                yield entry.name

    def _is_closed(self, fd: int, name: str, way: tuple[str, ...]) -> bool:
        """Whether an entry is denied, or has gone."""
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in (*_GONE, errno.ENAMETOOLONG):
                return True
            raise self._failure(error, (*way, name)) from None
        return self.place.is_fenced(found) or parts("/".join((self.root, *way, name))) in self.fences

    def _enter_below(self, parent: int, name: str, way: tuple[str, ...], positions: frozenset[int]) -> None:
        try:
            # A look first: to open some devices is to use them.
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                return
            fd = os.open(name, _OPEN, dir_fd=parent)
        except OSError as error:
            if error.errno in _GONE:
                return
            raise self._failure(error, way) from None
        try:
            if self.place.is_fenced(os.fstat(fd)):
                return
            if len(way) > MAX_LEVELS:
                raise self._limit(f"has more than {MAX_LEVELS} directories inside one another")
            self.enter(fd, way, positions)
        finally:
            os.close(fd)

    def _count(self) -> None:
        self.visited += 1
        if self.visited > MAX_VISITED:
            raise self._limit(f"holds more than the {MAX_VISITED:,} entries that one search looks at")

    def _keep(self, path: str) -> None:
        try:
            self.size += len(path.encode("utf-8")) + _BYTES_BESIDE_A_PATH
        except UnicodeEncodeError:
            raise EffectFailure(
                f"cannot search `{plain(self.place.shown)}`: the name `{plain(path)}` in it is not UTF-8",
                details={"path": plain(self.place.shown)},
            ) from None
        self.found.append(path)
        if len(self.found) > MAX_NAMES or self.size > MAX_NAMES_BYTES:
            raise self._limit(
                f"holds more paths of this pattern than a value holds ({MAX_NAMES:,} paths, {MAX_NAMES_BYTES:,} bytes)"
            )

    def _limit(self, problem: str) -> EffectFailure:
        return EffectFailure(
            f"cannot search `{plain(self.place.shown)}`: it {problem}; search its directories one by one",
            kind="limit",
            details={"path": plain(self.place.shown)},
        )

    def _failure(self, error: OSError, way: tuple[str, ...]) -> EffectFailure:
        reason = f"{os.strerror(error.errno or 0).lower()}: {plain('/'.join(way))} in it"
        return os_failure("search", self.place.shown, error, reason)


GLOB: Final = Effect(
    name="glob",
    doc="The paths in a directory that are like a pattern, relative to it, sorted by code points. In a pattern `*` is "
    "any part of a name, `?` one character, `[a-z]` one of some and `[!a-z]` one of the others, and the part `**` any "
    "number of directories. A name that begins with a dot is meant only by a part that does. Links are given and "
    "not entered, unless the pattern begins with their names; what is denied is passed over.",
    parameters=(
        Parameter("pattern", "str", 'such as "*.csv" or "**/report-?.json"'),
        Parameter("path", "str", "the directory; relative to the run's starting directory", "."),
    ),
    mode="thread",
    want=_want,
    perform=_perform,
    sample=[],
)
