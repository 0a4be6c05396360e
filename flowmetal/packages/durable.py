"""Files that are there wholly or not at all, and stay there when the machine stops."""

from __future__ import annotations

import os
from pathlib import Path

from flowmetal.packages.files import TEMPORARY, write_whole


def put_file(path: Path, data: bytes) -> None:
    """Makes or replaces a file, and the folders above it, durably.

    Raises:
        OSError: of the operating system; what was there is as it was.
    """
    make_folder(path.parent)
    write_whole(path, data, 0o644)


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, durably.

    Raises:
        OSError: of the operating system.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync(path.parent)


def clear_leftovers(folder: Path) -> None:
    """Removes the temporary files of whoever was killed; nobody else may be writing there.

    Raises:
        OSError: of the operating system.
    """
    for path in folder.glob(f"{TEMPORARY}*") if folder.is_dir() else ():
        path.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
