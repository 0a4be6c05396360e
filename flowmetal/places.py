"""Where things are on this machine, by the environment and the custom of the platform: the home with its journal.

Commands that only look at a journal need this and no engine, which takes as long to import as all that they do.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

import platformdirs

from flowmetal.clock import WallClock
from flowmetal.errors import HomeError
from flowmetal.journal.journal import Journal
from flowmetal.journal.lmdb_store import DEFAULT_QUOTA_BYTES, LmdbStore
from flowmetal.sources import require_utf8, working_directory

JOURNAL_DIRECTORY: Final = "journal"
QUOTA_BYTES: Final = DEFAULT_QUOTA_BYTES
DURABILITY_VARIABLE: Final = "FLOWMETAL_DURABILITY"


def home_path(option: str | None = None) -> Path:
    """The home directory: the option, else ``$FLOWMETAL_HOME``, else the platform's user state directory.

    Raises:
        UsageError: it is not UTF-8, or relative to a working directory that is no more.
    """
    chosen = option or os.environ.get("FLOWMETAL_HOME")
    if not chosen:
        return Path(platformdirs.user_state_dir("flowmetal"))
    path = Path(os.path.expanduser(require_utf8(chosen, "the home")))
    return path if path.is_absolute() else Path(working_directory()) / path


def durability() -> Literal["full", "os"]:
    """``full`` (every commit reaches the disk) or ``os`` (every commit survives the process)."""
    chosen = os.environ.get(DURABILITY_VARIABLE, "full")
    if chosen == "full":
        return "full"
    if chosen == "os":
        return "os"
    raise HomeError(f"{DURABILITY_VARIABLE} is {chosen!r}", remedy="it is `full` (the default) or `os`")


def open_journal(home: Path, *, must_exist: bool = False) -> Journal:
    """The journal of a home, made if it is not there.

    Raises:
        HomeError: it cannot be used; with ``must_exist`` also when there is none.
    """
    path = home / JOURNAL_DIRECTORY
    if must_exist and not path.is_dir():
        raise HomeError(
            f"there is no journal in {home}",
            remedy="name the home with --home or FLOWMETAL_HOME; `flowmetal run` makes one",
        )
    return Journal(LmdbStore(path, durability=durability(), quota_bytes=QUOTA_BYTES), home, WallClock())


def secrets_directory() -> Path:
    """Where secrets are files: ``$FLOWMETAL_SECRETS``, else in the platform's directory of user configuration."""
    chosen = os.environ.get("FLOWMETAL_SECRETS")
    return (
        Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_config_dir("flowmetal"), "secrets")
    )


def cache_directory() -> Path:
    """Where packages that were fetched are kept: ``$FLOWMETAL_CACHE``, else in the platform's directory for caches."""
    chosen = os.environ.get("FLOWMETAL_CACHE")
    return (
        Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("flowmetal"), "packages")
    )


def registries_file() -> Path:
    """The operator's registries: ``$FLOWMETAL_REGISTRIES``, else in the platform's directory of user configuration."""
    chosen = os.environ.get("FLOWMETAL_REGISTRIES")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_config_dir("flowmetal"), "registries.toml")
