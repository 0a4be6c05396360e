"""What a server of a directory of packages has to offer: the files of the layout, and no others."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from flowmetal.net.serving import Found, LocalServer
from flowmetal.package_ids import is_package_id
from flowmetal.packages.bounds import MAX_ARCHIVE_BYTES

_ROUTE: Final = re.compile(
    r"/((?:[a-z0-9][a-z0-9._-]*/)*flowmetal/"
    r"(?:(?P<index>index\.json)|v/[0-9A-Za-z.-]+\.json|(?P<archive>a/[0-9a-f]{64}\.tar\.gz)))"
)


def make_server(folder: Path, log: Callable[[str, str, int], None]) -> LocalServer:
    """A server of the registry in a directory; ``log`` is told of each answer: method, path and status."""
    return LocalServer(PackageFiles(folder).find, log)


def hosts_in(folder: Path) -> list[str]:
    """The hosts whose packages are in a directory of many; none where it is the place of one package.

    Raises:
        OSError: it cannot be read.
    """
    found = []
    for entry in sorted(folder.iterdir()):
        host = entry.name.replace("_", ":")
        if entry.is_dir() and is_package_id(f"{host}/x"):
            found.append(host)
    return found


class PackageFiles:
    """The files of the registry in a directory, by the paths of a URL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, path: str) -> Found | None:
        """What is at the path of a URL, exactly as it was sent; None if it is none of the layout's files."""
        route = _ROUTE.fullmatch(path)
        if route is None or ".." in path:
            return None
        data = _read(self._folder, self._folder / route[1])
        if data is None:
            return None
        content_type = "application/gzip" if route["archive"] else "application/json"
        return Found(data, content_type, hashlib.sha256(data).hexdigest()[:32], route["index"] is None)


def _read(folder: Path, path: Path) -> bytes | None:
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = file.read(MAX_ARCHIVE_BYTES + 1)
    return data if len(data) <= MAX_ARCHIVE_BYTES else None
