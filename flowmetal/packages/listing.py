"""The identity of a package: the digest of its listing.

    flowmetal-tree 1
    <sha256 in hex> <size> <path>
    …

A line for each file, sorted by the bytes of its path; the digest is the SHA-256 of this text.  There are no modes,
times, owners, links or empty folders in it, and no archive: the same files are the same tree, whatever carried them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.package_ids import check_path
from flowmetal.packages.bounds import MAX_FILES, MAX_FLOW_BYTES, MAX_UNPACKED_BYTES

_FIRST_LINE: Final = "flowmetal-tree 1"
_LINE: Final = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]{0,9}) (.+)")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file: its path in the package, the SHA-256 of its bytes in hexadecimal digits, and their number."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a package, by the bytes of their paths.

    Raises:
        UsageError: more, larger or other files than a package may have, with the path.
    """

    files: tuple[ListedFile, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(sorted(self.files, key=lambda file: file.path)))
        check_paths(file.path for file in self.files)
        for file in self.files:
            check_size(file.path, file.size)
        if self.unpacked_bytes > MAX_UNPACKED_BYTES:
            raise UsageError(f"the package has {self.unpacked_bytes:,} bytes; the limit is {MAX_UNPACKED_BYTES:,}")

    @property
    def text(self) -> str:
        """The listing as it is digested."""
        lines = [f"{file.sha256} {file.size} {file.path}" for file in self.files]
        return "\n".join([_FIRST_LINE, *lines, ""])

    @property
    def digest(self) -> str:
        """``sha256:`` and 64 hexadecimal digits."""
        return f"sha256:{hashlib.sha256(self.text.encode('ascii')).hexdigest()}"

    @property
    def unpacked_bytes(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


def listing_of(files: Mapping[str, bytes]) -> Listing:
    """The listing of files by their paths.

    Raises:
        UsageError: as ``Listing``.
    """
    return Listing(tuple(ListedFile(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()))


def parse_listing(text: str) -> Listing:
    """The listing whose ``text`` this is.

    Raises:
        UsageError: it is not what ``Listing.text`` gives.
    """
    first, *lines = text.split("\n", MAX_FILES + 2)
    if first != _FIRST_LINE:
        raise UsageError(f"the text is no listing: it does not begin with `{_FIRST_LINE}`")
    files = []
    for number, line in enumerate(lines[:-1], 2):
        found = _LINE.fullmatch(line)
        if found is None:
            raise UsageError(f"line {number} of the listing is not a digest, a size and a path")
        files.append(ListedFile(found[3], found[1], int(found[2])))
    listing = Listing(tuple(files))
    if listing.text != text:
        raise UsageError("the listing is not in its canonical form: sorted, and ended by a newline")
    return listing


def check_paths(paths: Iterable[str]) -> None:
    """Raise unless files of these paths can lie beside each other on every file system.

    Raises:
        UsageError: too many; one that is no path, is there twice, is a folder too, or differs in case only.
    """
    spelled: dict[str, str] = {}
    files: set[str] = set()
    folders: set[str] = set()
    for count, path in enumerate(paths, 1):
        if count > MAX_FILES:
            raise UsageError(f"the package has more than {MAX_FILES:,} files")
        check_path(path)
        if path in files:
            raise UsageError(f"`{path}` is there twice")
        files.add(path)
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        folders.update(above)
        for name in (*above, path):
            other = spelled.setdefault(name.lower(), name)
            if other != name:
                raise UsageError(
                    f"`{name}` and `{other}` differ in case only",
                    remedy="some file systems cannot hold both: rename one",
                )
    for path in sorted(files & folders):
        raise UsageError(f"`{path}` is a file and a folder")


def check_size(path: str, size: int) -> None:
    """Raise unless a file may have ``size`` bytes.

    Raises:
        UsageError: it may not.
    """
    limit = MAX_FLOW_BYTES if path.endswith(".flow") else MAX_UNPACKED_BYTES
    if size > limit:
        raise UsageError(f"`{path}` has {size:,} bytes; the limit is {limit:,}")
