"""The files of a package that is taken from a folder, instead of what is published."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from flowmetal.errors import PackageError, UsageError
from flowmetal.package_ids import check_path
from flowmetal.packages.bounds import MAX_FILES, MAX_FLOW_BYTES
from flowmetal.packages.files import read_limited

_MANIFEST: Final = "flowmetal.toml"


def read_folder(folder: Path) -> dict[str, bytes]:
    """The manifest and the flow files of a folder, by their paths; links are left out, as are hidden folders.

    Raises:
        PackageError: there is no package, or more than one may have.
    """
    files: dict[str, bytes] = {}
    try:
        for here, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(here, name)
                if not (name.endswith(".flow") or path == folder / _MANIFEST) or path.is_symlink():
                    continue
                inside = check_path(path.relative_to(folder).as_posix())
                files[inside] = read_limited(path, MAX_FLOW_BYTES)
                if len(files) > MAX_FILES or len(files[inside]) > MAX_FLOW_BYTES:
                    raise UsageError(f"{path} is too large, or one file too many")
    except UsageError as error:
        raise PackageError(error.message, place=str(folder), remedy=error.remedy) from None
    except OSError as error:
        place = error.filename or str(path)
        raise PackageError(f"it cannot be read: {error.strerror}", place=str(place)) from None
    if _MANIFEST not in files:
        what = f"there is no {_MANIFEST} in it" if folder.is_dir() else "there is no such folder"
        raise PackageError(what, place=str(folder), remedy="[replace] names a package's folder")
    return files
