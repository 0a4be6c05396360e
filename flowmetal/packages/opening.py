"""From a main file and the places of this machine to what resolves its packages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.packages.bounds import MAX_MANIFEST_BYTES
from flowmetal.packages.cache import Cache
from flowmetal.packages.files import read_limited
from flowmetal.packages.first_use import FirstUse
from flowmetal.packages.late import Conduct, Places, make_fetch
from flowmetal.packages.loading import Loading
from flowmetal.packages.lock import LOCK_FILE
from flowmetal.packages.locking import Root, Terms
from flowmetal.packages.manifest import Manifest, Registry, read_manifest
from flowmetal.packages.meter import Meter
from flowmetal.packages.origins import LazyFetch, Origins
from flowmetal.packages.release import MANIFEST
from flowmetal.packages.releases import Releases

VENDOR: Final = "vendor"
"""The directory of a project that holds packages of its own."""


def open_loading(
    file: Path, root: Path, places: Places, conduct: Conduct, carried: Collection[str], meter: Meter | None
) -> Loading:
    """What resolves the packages of the program of a main file.

    Raises:
        UsageError: a manifest or the operator's file is none.
    """
    manifest = manifest_in(root)
    script = Root(root, None, file.with_name(f"{file.name}.lock"), carried)
    project = Root(root, manifest, root / LOCK_FILE, carried)
    chosen = project if manifest is not None and (is_project(manifest) or conduct.anew) else script
    releases = open_releases(root, manifest, places, conduct.offline, meter)
    terms = Terms(conduct.frozen, conduct.accept, conduct.anew)
    return Loading(chosen, releases, FirstUse(places.first_use), terms)


def open_releases(
    root: Path, manifest: Manifest | None, places: Places, offline: bool, meter: Meter | None = None
) -> Releases:
    """Where packages come from, for a project or the scripts of a folder.

    Raises:
        UsageError: the operator's file is none.
    """
    own = tuple(_against(each, root) for each in manifest.registries) if manifest is not None else ()
    operator = _read(places.operator)
    theirs = tuple(_against(each, places.operator.parent) for each in operator.registries) if operator else ()
    fetch = None if offline else LazyFetch(make_fetch)
    return Releases(Origins((*own, *theirs), root / VENDOR, fetch), Cache(places.cache), offline, meter)


def manifest_in(folder: Path) -> Manifest | None:
    """The manifest of a folder, None if there is none.

    Raises:
        UsageError: it is none, or cannot be read.
    """
    return _read(folder / MANIFEST)


def is_project(manifest: Manifest) -> bool:
    """Whether a manifest says which packages its programs need; one that only grants does not."""
    return manifest.package is not None or bool(manifest.requires) or bool(manifest.replace)


def _read(path: Path) -> Manifest | None:
    try:
        text = read_limited(path, MAX_MANIFEST_BYTES).decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise UsageError("it is not UTF-8", place=str(path)) from None
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", place=str(path)) from None
    return read_manifest(text, str(path))


def _against(registry: Registry, folder: Path) -> Registry:
    """The registry with a directory that does not depend on where the command runs."""
    where = registry.url.removeprefix("file:")
    if where == registry.url or where.startswith(("/", "~")):
        return registry
    return replace(registry, url=f"file:{folder / where}")
