"""Where a package is fetched from: its base, below which everything lies as ``layout`` says.

The order is fixed, and no place is asked after another failed: whose name a package has decides where it comes from, so
nobody can put one in its way.  A git host is a registry where the published directory is committed: its raw files are
read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from flowmetal.errors import NotCachedError, PackageError, UnreachableError
from flowmetal.packages.files import read_limited
from flowmetal.packages.layout import INDEX, base_path
from flowmetal.packages.manifest import Registry

RAW_FILES: Final = {
    "github.com": "https://raw.githubusercontent.com/{owner}/{repository}/HEAD/",
    "gitlab.com": "https://gitlab.com/{owner}/{repository}/-/raw/HEAD/",
    "codeberg.org": "https://codeberg.org/{owner}/{repository}/raw/branch/HEAD/",
}
"""Where the files of a repository are, by its host."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: ``data`` is None if it is still what ``etag`` named."""

    data: bytes | None
    etag: str = ""


class Fetch(Protocol):
    """Fetches one file by HTTP."""

    async def __call__(self, url: str, limit_bytes: int, *, is_trusted: bool, etag: str = "") -> Fetched | None:
        """What is at a URL; None if the server says that there is nothing.

        Args:
            url: of https, or of http on this machine.
            limit_bytes: more is an error, and not read.
            is_trusted: whether the operator has named the place, so that it may be in a private network.
            etag: what was got before; it need not be sent again.

        Raises:
            UnreachableError: no answer, or none that may be used.
        """
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...


class LazyFetch:
    """Makes what fetches by HTTP when it is first needed."""

    def __init__(self, make: Callable[[], Fetch]) -> None:
        self._make = make
        self._made: Fetch | None = None

    async def __call__(self, url: str, limit_bytes: int, *, is_trusted: bool, etag: str = "") -> Fetched | None:
        """See ``Fetch``."""
        if self._made is None:
            self._made = self._make()
        return await self._made(url, limit_bytes, is_trusted=is_trusted, etag=etag)

    async def close(self) -> None:
        """Closes every connection."""
        made, self._made = self._made, None
        if made is not None:
            await made.close()


@dataclass(frozen=True, slots=True)
class Base:
    """Where one package is: a URL that ends in a slash, or a directory."""

    url: str = ""
    directory: Path | None = None
    is_trusted: bool = False

    def __str__(self) -> str:
        return self.url or str(self.directory)


class Origins:
    """Knows the base of each package, and fetches from it.

    Args:
        registries: those of the root project, then those of the operator, who wins where prefixes are equal.
        vendor: a directory with packages of the project's own, or None.
        fetch: fetches by HTTP; None if no socket may be opened.
    """

    def __init__(self, registries: Sequence[Registry], vendor: Path | None, fetch: Fetch | None) -> None:
        self._registries = sorted(registries, key=lambda each: len(each.prefix))
        self._vendor = vendor
        self._fetch = fetch

    def base_of(self, package: str) -> Base:
        """Where a package comes from."""
        registry = next((each for each in reversed(self._registries) if each.holds(package)), None)
        if registry is not None:
            return _base_in(registry, package)
        vendored = self.vendored(package)
        if vendored is not None:
            return vendored
        host, _, rest = package.partition("/")
        raw = RAW_FILES.get(host)
        segments = rest.split("/")
        if raw is not None and len(segments) >= 2:
            below = "/".join([*segments[2:], ""])
            return Base(raw.format(owner=segments[0], repository=segments[1]) + below)
        scheme = "http" if host.partition(":")[0] == "localhost" else "https"
        return Base(f"{scheme}://{package}/")

    def vendored(self, package: str) -> Base | None:
        """Where a package is in the vendor directory, if it is there."""
        if self._vendor is None or not (self._vendor / base_path(package) / INDEX).is_file():
            return None
        return Base(directory=self._vendor / base_path(package))

    async def get(self, base: Base, path: str, limit_bytes: int, etag: str = "") -> Fetched | None:
        """A file below a base; None if there is none.

        Raises:
            UnreachableError: it cannot be read.
            NotCachedError: it is elsewhere, and no socket may be opened.
        """
        if base.directory is not None:
            data = await asyncio.to_thread(_read, base.directory / path, limit_bytes)
            return None if data is None else Fetched(data)
        if self._fetch is None:
            raise NotCachedError(f"{base.url}{path} is not on this machine, and --offline opens no socket")
        return await self._fetch(base.url + path, limit_bytes, is_trusted=base.is_trusted, etag=etag)

    async def close(self) -> None:
        """Closes every connection."""
        if self._fetch is not None:
            await self._fetch.close()


def _base_in(registry: Registry, package: str) -> Base:
    if registry.url.startswith("file:"):
        folder = registry.url.removeprefix("file:")
        folder = "/" + folder.lstrip("/") if folder.startswith("//") else folder
        return Base(directory=Path(os.path.expanduser(folder)) / base_path(package), is_trusted=True)
    return Base(f"{registry.url.rstrip('/')}/{base_path(package)}/", is_trusted=True)


def _read(path: Path, limit_bytes: int) -> bytes | None:
    """The bytes of a regular file; a pipe or a device is never waited for."""
    try:
        data = read_limited(path, limit_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnreachableError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > limit_bytes:
        raise PackageError(f"{path} has more than {limit_bytes:,} bytes, the limit")
    return data
