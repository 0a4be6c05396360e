"""What every version was when it was first seen here, as SSH remembers hosts.

One file for each version of a package, made by linking it into its place: of two processes that see a version for the
first time, one is first, and the other compares.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

from flowmetal.errors import DigestError, HomeError, UsageError
from flowmetal.packages.checks import check_tree
from flowmetal.packages.files import read_limited
from flowmetal.packages.versions import Version

_MAX_BYTES = 4_096


class FirstUse:
    """The table in a directory, which is made when something is remembered.

    Raises:
        HomeError: of every method: the directory cannot be used, or somebody wrote something else into it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def tree_of(self, package: str, version: Version) -> str | None:
        """The digest of a version's tree, None if it was never seen."""
        path = self._path(package, version)
        try:
            data = json.loads(read_limited(path, _MAX_BYTES))
            if (data["id"], data["version"]) != (package, str(version)):
                raise ValueError
            return check_tree(data["tree"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, UsageError, RecursionError):
            raise HomeError(
                "it does not say what a package was when it was first used",
                place=str(path),
                remedy="remove it, if you know why it is damaged",
            ) from None
        except OSError as error:
            raise HomeError(f"it cannot be read: {error.strerror}", place=str(path)) from None

    def remember(self, package: str, version: Version, tree: str) -> bool:
        """Remembers what a version is; whether this is its first use.

        Raises:
            DigestError: it was something else before.
        """
        known = before = self.tree_of(package, version)
        if known is None:
            self._link(self._path(package, version), package, version, tree)
            before = self.tree_of(package, version)
        if before is not None and before != tree:
            raise changed(package, version, before, tree, f"it was {before} when it was first used here")
        return known is None

    def _path(self, package: str, version: Version) -> Path:
        return self.directory / hashlib.sha256(f"{package}@{version}".encode()).hexdigest()

    def _link(self, path: Path, package: str, version: Version, tree: str) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=self.directory)
            try:
                with open(descriptor, "w", encoding="ascii") as file:
                    json.dump({"id": package, "version": str(version), "tree": tree}, file)
                    file.flush()
                    os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):  # somebody was first: compare
                    os.link(temporary, path)
            finally:
                os.unlink(temporary)
        except OSError as error:
            raise HomeError(f"it cannot be written: {error.strerror}", place=str(path)) from None


def changed(package: str, version: Version, before: str, now: str, why: str) -> DigestError:
    """The error of a version that is something else than it was."""
    return DigestError(
        f"{package} {version} has changed: {why}, and is {now} now",
        remedy="a version never changes: somebody published other files under its name. Ask its author, "
        "and use another version",
    )
