"""How packages, and files in them, are named in a ``load``: pure text, with one spelling for one thing.

    host[:port]/segment…[@version|@sha256:HEX][//folder/file.flow]

Everything before ``//`` is the package's id: nothing is probed to find where a package ends.  There is lower case only,
so that no file system and no host can take two names for one.  A first segment ``vN`` names the line of the API, which
is the major version of all that is published there; an id without one is of the lines 0 and 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from flowmetal.errors import UsageError

MAX_ID: Final = 200
MAX_SEGMENT: Final = 64
MAX_PATH_BYTES: Final = 200
MAX_PATH_DEPTH: Final = 12
MAX_VERSION: Final = 64

SEMVER: Final = re.compile(
    r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
    r"(?:-((?:0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
)
"""A version, by SemVer 2.0, without build metadata: two texts are never one version."""
TREE_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")

_HOST_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_SEGMENT: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://")
_LINE: Final = re.compile(r"v(0|[1-9][0-9]{0,8})")
_PATH_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_USTAR_NAME: Final = 100
_USTAR_PREFIX: Final = 155
_FORM: Final = "a package is HOST/PATH in lower case, such as pkg.example.org/v1/deploy"


@dataclass(frozen=True, slots=True)
class PackageLabel:
    """A load of another package: ``version``, ``digest`` (``sha256:HEX``) and ``file`` are "" where not written."""

    package: str
    version: str = ""
    digest: str = ""
    file: str = ""

    def __str__(self) -> str:
        at = self.version or self.digest
        return self.package + (f"@{at}" if at else "") + (f"//{self.file}" if self.file else "")


def parse_label(text: str, hosts: Collection[str] = ()) -> PackageLabel:
    """The label that ``text`` is; ``hosts`` are names without a dot that somebody has given a registry.

    Raises:
        UsageError: it is none; says why.
    """
    if found := _SCHEME.match(text):
        raise UsageError(
            f"`{_shown(text)}` is a URL; a package is named without a scheme",
            remedy=f"did you mean `{_shown(text[found.end() :])}`?",
        )
    whole, slashes, file = text.partition("//")
    package, at, pinned = whole.partition("@")
    check_package_id(package, hosts)
    if slashes:
        check_path(file)
    if not at:
        return PackageLabel(package, file=file)
    if pinned.startswith("sha256:"):
        if not TREE_DIGEST.fullmatch(pinned):
            raise UsageError("a digest has 64 hexadecimal digits in lower case after @sha256:")
        return PackageLabel(package, digest=pinned, file=file)
    if not is_version(pinned):
        likely = guess_version(pinned) or "1.4.2"
        raise UsageError(
            f"`{_shown(pinned)}` is no version",
            remedy=f"a version has three numbers, such as @{likely}; or @sha256:…",
        )
    return PackageLabel(package, version=pinned, file=file)


def check_package_id(text: str, hosts: Collection[str] = ()) -> str:
    """``text``, which is the id of a package; ``hosts`` as for ``parse_label``.

    Raises:
        UsageError: it is none; says why.
    """
    if len(text) > MAX_ID:
        raise UsageError(f"the id of a package has {MAX_ID} characters at most: {_shown(text[:60])}…")
    host, *segments = text.split("/")
    if text != text.lower() and is_package_id(text.lower()):
        raise UsageError(f"`{_shown(text)}`: names of packages are in lower case", remedy=_FORM)
    _check_host(text, host, hosts)
    if not segments:
        raise UsageError(f"`{_shown(text)}` is a host without a path", remedy=_FORM)
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or ".." in segment or segment.endswith("."):
            raise UsageError(f"`{_shown(text)}` has a part that is not allowed: {segment[:80]!r}", remedy=_FORM)
        if len(segment) > MAX_SEGMENT:
            raise UsageError(f"`{_shown(text)}` has a part of more than {MAX_SEGMENT} characters")
    return text


def is_package_id(text: str) -> bool:
    """Whether ``text`` is the id of a package."""
    try:
        check_package_id(text)
    except UsageError:
        return False
    return True


def line_of(package: str) -> int | None:
    """The major version that everything of a package has; None where the id names none."""
    for segment in package.split("/")[1:]:
        if found := _LINE.fullmatch(segment):
            return int(found[1])
    return None


def is_version(text: str) -> bool:
    """Whether ``text`` is a version as packages have it."""
    return len(text) <= MAX_VERSION and SEMVER.fullmatch(text) is not None


def guess_version(text: str) -> str:
    """The version that ``text``, which is none, was most likely meant to be, or ""."""
    bare = text.lstrip("v=^~> ").partition("+")[0]
    return next((each for each in (bare, f"{bare}.0", f"{bare}.0.0") if is_version(each)), "")


def check_path(path: str) -> str:
    """``path``, which is that of a file in a package: relative, normal, and the same on every file system.

    Raises:
        UsageError: it is none; says why.
    """
    segments = path.split("/")
    for segment in segments:
        if not _PATH_SEGMENT.fullmatch(segment) or segment.endswith("."):
            raise UsageError(
                f"`{_shown(path)}` is no path in a package: {segment[:80]!r} is not allowed in it",
                remedy="a part has letters of ASCII, digits and _ . + -, and begins with a letter, a digit or _",
            )
    if len(path) > MAX_PATH_BYTES or divide_path(path) is None:
        raise UsageError(
            f"`{_shown(path)}` is too long a path",
            remedy=f"{MAX_PATH_BYTES} bytes at most, of which the last {_USTAR_NAME} begin with a whole part",
        )
    if len(segments) > MAX_PATH_DEPTH:
        raise UsageError(f"`{_shown(path)}` is more than {MAX_PATH_DEPTH} folders deep")
    return path


def divide_path(path: str) -> tuple[str, str] | None:
    """``path`` in the two parts that an archive's header has for it, None when it does not fit."""
    if len(path) <= _USTAR_NAME:
        return "", path
    slash = path.find("/", len(path) - _USTAR_NAME - 1)
    return (path[:slash], path[slash + 1 :]) if 0 < slash <= _USTAR_PREFIX else None


def _check_host(text: str, whole: str, hosts: Collection[str]) -> None:
    host, colon, port = whole.partition(":")
    labels = host.split(".")
    if not all(_HOST_LABEL.fullmatch(label) for label in labels):
        foreign = "; write each foreign label as xn--…" if not host.isascii() else ""
        raise UsageError(f"`{_shown(text)}` begins with no host", remedy=_FORM + foreign)
    if colon and not (_PORT.fullmatch(port) and int(port) < 1 << 16):
        raise UsageError(f"`{_shown(text)}` has no port from 1 to 65535 after the host")
    if labels[-1].isdigit():
        raise UsageError(f"`{_shown(text)}`: a package has a name for its host, not an address")
    if len(labels) == 1 and host != "localhost" and host not in hosts:
        raise UsageError(f"`{_shown(text)}` begins with no host: `{host}` has no dot", remedy=_FORM)


def _shown(text: str) -> str:
    cut = text if len(text) <= 300 else f"{text[:300]}…"
    return cut if cut.isprintable() else ascii(cut)[1:-1]
