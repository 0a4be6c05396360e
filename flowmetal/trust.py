"""Which project files may grant anything: those whose very content somebody has trusted.

A ``flowmetal.toml`` comes with the code it is about, so it may not decide what that code is allowed.  Its ``[grants]``
and ``[limits]`` are inert until a person says ``flowmetal trust``; that is remembered in the home, outside of every
project, by the file's path and the SHA-256 of its bytes.  A change of one byte loses it.  An untrusted file is not even
parsed.

A link is never trusted: a project could otherwise link to the trusted file of another and take its grants over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flowmetal.errors import HomeError, UsageError
from flowmetal.permissions.grants import GrantSet
from flowmetal.permissions.table import table_grants
from flowmetal.settings import Limits, limits_of
from flowmetal.sources import PROJECT_FILE

MAX_PROJECT_BYTES: Final = 1 << 20
TRUSTED_FILE: Final = "trusted.json"
_MAX_TRUSTED_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Project:
    """A project file as it was read once: ``path`` is absolute, its folder free of links."""

    path: str
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def may_count(self) -> bool:
        """Whether there can be a table in it that counts only when it is trusted."""
        return b"grants" in self.content or self.may_limit

    @property
    def may_limit(self) -> bool:
        """Whether there can be a table ``[limits]`` in it."""
        return b"limits" in self.content

    def grants(self) -> GrantSet:
        """What it grants; relative paths are against its folder.

        Raises:
            UsageError: it is not UTF-8, not TOML, or grants what there is not; names the file and the place in it.
        """
        return table_grants(self._tables().get("grants", {}), os.path.dirname(self.path), self.path)

    def limits(self) -> Limits:
        """The limits of its runs, those that it does not name being the usual.

        Raises:
            UsageError: as ``grants``.
        """
        table = self._tables().get("limits", {})
        try:
            if not isinstance(table, dict):
                raise UsageError("`limits` is not a table", remedy="write [limits] on a line of its own")
            return limits_of(table)
        except UsageError as error:
            raise UsageError(error.message, place=self.path, remedy=error.remedy) from None

    def _tables(self) -> dict[str, Any]:
        try:
            data: dict[str, Any] = tomllib.loads(self.content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UsageError(f"byte {error.start:,} is not UTF-8", place=self.path) from None
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"it is not TOML: {error}", place=self.path) from None
        except RecursionError:
            raise UsageError("it is nested too deeply", place=self.path) from None
        return data


class Trust:
    """The trusted files of a home."""

    def __init__(self, home: Path) -> None:
        self._path = home / TRUSTED_FILE

    def trusted(self) -> dict[str, str]:
        """Every trusted file with the digest it was trusted with.

        Raises:
            HomeError: the list is not what we wrote, or somebody else could have written it.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._wrong(f"it cannot be read: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise self._wrong("it is not a file that only you can write")
            content = file.read(_MAX_TRUSTED_BYTES + 1)
        try:
            data = json.loads(content) if len(content) <= _MAX_TRUSTED_BYTES else None
        except (ValueError, RecursionError):
            data = None
        files = data.get("trusted") if isinstance(data, dict) else None
        if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
            raise self._wrong("it is not a list of trusted files")
        return files

    def state_of(self, project: Project) -> str:
        """``trusted``, ``changed`` since it was trusted, or ``untrusted``."""
        digest = self.trusted().get(project.path)
        return "untrusted" if digest is None else "trusted" if digest == project.digest else "changed"

    def add(self, project: Project) -> None:
        """Trusts the content of a project file, durably.

        Raises:
            HomeError: it cannot be recorded.
        """
        with self._changed() as files:
            files[project.path] = project.digest

    def remove(self, path: str) -> bool:
        """Trusts a file no more; whether it was trusted.

        Raises:
            HomeError: it cannot be recorded.
        """
        with self._changed() as files:
            return files.pop(path, None) is not None

    @contextlib.contextmanager
    def _changed(self) -> Iterator[dict[str, str]]:
        """The list, to be changed and then written; two processes take turns."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._wrong(f"it cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            files = self.trusted()
            before = dict(files)
            yield files
            if files != before:
                self._write({"trusted": dict(sorted(files.items()))})
        except OSError as error:
            raise self._wrong(f"it cannot be written: {error.strerror}") from None
        finally:
            os.close(lock)

    def _write(self, data: dict[str, Any]) -> None:
        descriptor, temporary = tempfile.mkstemp(prefix=".trusted-", dir=self._path.parent)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                json.dump(data, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self._path)
        except BaseException:
            with contextlib.suppress(OSError):  # what went wrong first is what is told
                os.unlink(temporary)
            raise
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _wrong(self, what: str) -> HomeError:
        return HomeError(
            what, place=str(self._path), remedy="remove it, and trust again what you trust: flowmetal trust FILE"
        )


def find_project(folder: str) -> str | None:
    """The nearest project file, from ``folder`` upward."""
    here = Path(os.path.realpath(folder))
    return next((str(each / PROJECT_FILE) for each in (here, *here.parents) if (each / PROJECT_FILE).is_file()), None)


def project_path(file: str) -> str:
    """The path of a project file, as it is trusted: absolute, its folder free of links."""
    return os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(file))), os.path.basename(file))


def read_project(file: str) -> Project:
    """A project file, read once.

    Raises:
        UsageError: it is not there, a link, no regular file, or larger than ``MAX_PROJECT_BYTES``.
    """
    path = project_path(file)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError("it is a symlink, and a link is never trusted", place=path) from None
        raise UsageError(f"it cannot be read: {error.strerror}", place=path) from None
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError("it is not a regular file", place=path)
        content = opened.read(MAX_PROJECT_BYTES + 1)
    if len(content) > MAX_PROJECT_BYTES:
        raise UsageError(f"it has more than {MAX_PROJECT_BYTES:,} bytes", place=path)
    return Project(path, content)
