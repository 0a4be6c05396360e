"""The files of a package, read from its folder.

Left out are names that begin with a dot, ``__pycache__``, the lock and the vendor directory, which are the project's
own, folders that are packages themselves, and what was published: a folder ``flowmetal`` with an index in it.  Whatever
else is there belongs to the package, or is an error.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.package_ids import check_path
from flowmetal.packages.bounds import MAX_FILES, MAX_UNPACKED_BYTES
from flowmetal.packages.listing import check_size
from flowmetal.packages.lock import LOCK_FILE

MANIFEST: Final = "flowmetal.toml"
VENDOR: Final = "vendor"


def gather_files(folder: Path, apart: Collection[Path] = ()) -> dict[str, bytes]:
    """The bytes of a package's files by their paths; ``apart`` are folders that are left out too.

    Raises:
        UsageError: a link, a device, a name that no package may have, more than a package may have; names the file.
    """
    files: dict[str, bytes] = {}
    left_out = {os.path.realpath(path) for path in apart}
    total = 0
    try:
        for path, entry in _entries(folder, "", left_out):
            if len(files) == MAX_FILES:
                raise UsageError(f"the package has more than {MAX_FILES:,} files", place=str(folder))
            files[path] = _read(path, entry)
            total += len(files[path])
            if total > MAX_UNPACKED_BYTES:
                raise UsageError(f"the package has more than {MAX_UNPACKED_BYTES:,} bytes", place=str(folder))
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be read: {error.strerror}") from None
    return files


def _entries(folder: Path, above: str, left_out: Collection[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{above}{entry.name}"
        if entry.name.startswith(".") or entry.name == "__pycache__" or path in (LOCK_FILE, VENDOR):
            continue
        if entry.is_symlink():
            raise UsageError("it is a link; a package has regular files only", place=entry.path)
        if not entry.is_dir():
            try:
                check_path(path)
            except UsageError as error:
                raise UsageError(error.message, place=entry.path, remedy=f"rename it; {error.remedy}") from None
            yield path, entry
        elif os.path.realpath(entry.path) not in left_out and not _is_of_its_own(entry):
            yield from _entries(Path(entry.path), f"{path}/", left_out)


def _is_of_its_own(entry: os.DirEntry[str]) -> bool:
    is_published = entry.name == "flowmetal" and os.path.lexists(os.path.join(entry.path, "index.json"))
    return is_published or os.path.lexists(os.path.join(entry.path, MANIFEST))


def _read(path: str, entry: os.DirEntry[str]) -> bytes:
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError("it is no regular file; a package has regular files only", place=entry.path)
        check_size(path, found.st_size)
        data = file.read(MAX_UNPACKED_BYTES + 1)
    check_size(path, len(data))
    return data
