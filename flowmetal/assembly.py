"""The one place that names concrete stores, sources and effects."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from flowmetal.actions.plugins import Plugins, discover
from flowmetal.actions.registry import STANDARD, Registry
from flowmetal.actions.secret_store import SecretStore
from flowmetal.actions.services import Services
from flowmetal.alarm_clock import SimulatedClock, SystemClock
from flowmetal.carried import prelude_directory
from flowmetal.engine.effects import Decide
from flowmetal.engine.engine import Engine
from flowmetal.engine.launching import Launched
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.programs import Spawn
from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.journal.store import Store
from flowmetal.language.labels import PACKAGES, PRELUDE, PRELUDE_MAIN, carried_file
from flowmetal.packages.late import Conduct, PackagesOnDemand, Places
from flowmetal.packages.meter import Meter
from flowmetal.places import cache_directory, home_path, registries_file, secrets_directory
from flowmetal.settings import Limits
from flowmetal.sources import FileSources, locate


def open_engine(journal: Journal, spare: Launched | None = None) -> Engine:
    """An engine on a journal; it must be made within a running event loop, and closed.

    ``spare`` is a worker that is coming up already: the first that is needed with its limits.
    """
    home = journal.home
    ownership.sweep(home)
    services = Services(SecretStore(secrets_directory(), os.environ))
    return Engine(
        journal, ownership.acquire(home), registry(), _protected(home), SystemClock(), _spawn(spare), services
    )


def open_pretence(scratch: Path, clock: SimulatedClock, store: Store | None = None) -> Journal:
    """A journal in memory, or on ``store``, for runs that only pretend; ``scratch`` is a directory of its own."""
    return Journal(store or MemoryStore(), scratch, clock)


def pretend(
    journal: Journal,
    home: Path,
    stubs: Registry,
    clock: SimulatedClock,
    decide: Decide,
    spare: Launched | None = None,
    spawn: Spawn | None = None,
) -> Engine:
    """An engine whose effects are ``stubs`` and whose time is simulated; use it as that of ``open_engine``.

    ``home`` is where it would be done in earnest; workers come from ``spawn`` if there is one.
    """
    (journal.home / "engines").mkdir(exist_ok=True)
    identity = ownership.acquire(journal.home)
    return Engine(journal, identity, stubs, _protected(home), clock, spawn or _spawn(spare), decide=decide)


def registry() -> Registry:
    """The effects there are, those of plug-ins included."""
    brought = plugins().effects
    return Registry([*STANDARD.values(), *brought]) if brought else STANDARD


@cache
def plugins() -> Plugins:
    """What packages that are installed bring; looked for once, at the first call."""
    return discover()


def _protected(home: Path) -> tuple[str, ...]:
    return (os.path.realpath(home), os.path.realpath(secrets_directory()))


def _spawn(spare: Launched | None) -> Spawn:
    spares = [spare] if spare is not None else []

    def spawn(
        limits: Limits,
        on_messages: Callable[[WorkerProcess, list[list[Any]]], None],
        on_end: Callable[[WorkerProcess, str], None],
    ) -> WorkerProcess:
        launched = spares.pop() if spares and spares[0].limits == limits else None
        return WorkerProcess(limits, on_messages, on_end, launched)

    return spawn


def carried_package(package: str) -> Path | None:
    """The folder of a package that is carried with Flowmetal; None for any other."""
    if package not in PACKAGES:
        return None
    return prelude_directory() if package == PRELUDE else prelude_directory() / package.rpartition("/")[2]


def locate_module(folder: Path, package: str, path: str, conduct: Conduct | None = None) -> tuple[str, FileSources]:
    """As ``locate_program``, for a module of the package that is in ``folder``.

    A package that is carried with Flowmetal is itself here, and not the one that is carried: it is found beside the
    prelude's text, and the prelude's own modules may ask the host.

    Raises:
        UsageError: no such file.
    """
    beside = folder if package == PRELUDE else folder.absolute().parent
    if package in PACKAGES and (beside / carried_file(PRELUDE_MAIN)).is_file():
        return f"{package}//{path}", FileSources(folder, beside)
    return locate_program(str(folder / path), conduct)


def locate_program(
    file: str, conduct: Conduct | None = None, home: str | None = None, meter: Meter | None = None
) -> tuple[str, FileSources]:
    """The label of a main file, and where its modules and packages come from.

    ``conduct`` says how packages may be had, ``home`` which home remembers what they were;
    ``meter`` is told how far fetching has come.

    Raises:
        UsageError: no such file.
    """
    label, sources = locate(file, prelude_directory(), tuple(effect.name for effect in plugins().effects))
    demand = PackagesOnDemand(
        Path(os.path.realpath(file)), sources.root, package_places(home), conduct or conduct_of(), PACKAGES, meter
    )
    return label, replace(sources, packages=demand)


def conduct_of(frozen: bool | None = None, offline: bool = False) -> Conduct:
    """How packages may be had; ``frozen`` is None for the default, which is whether ``CI`` is set."""
    is_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return Conduct(is_ci if frozen is None else frozen, offline)


def package_places(home: str | None = None) -> Places:
    """Where packages are kept on this machine, and where the operator names registries."""
    return Places(cache_directory(), home_path(home) / "first-use", registries_file())
