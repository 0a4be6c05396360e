"""What ``flowmetal doctor`` looks at."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import flowmetal
from flowmetal.assembly import plugins
from flowmetal.carried import prelude_directory
from flowmetal.cli.text import show_bytes
from flowmetal.engine.launching import minimum_level
from flowmetal.engine.memory import LOOK_SECONDS, MEMORY_OF
from flowmetal.engine.programs import Programs
from flowmetal.engine.table import ProgramState
from flowmetal.errors import FlowmetalError
from flowmetal.journal import meta, ownership
from flowmetal.journal.home import file_system_of
from flowmetal.journal.journal import Journal
from flowmetal.journal.starting import is_driven
from flowmetal.places import JOURNAL_DIRECTORY, QUOTA_BYTES, durability, home_path, open_journal, secrets_directory
from flowmetal.settings import Limits
from flowmetal.sources import FileSources
from flowmetal.worker.level import Confinement

_LIBRARIES = ("starlark-pyo3", "lmdb", "msgpack", "click", "rich", "platformdirs") + (
    ("psutil",) if sys.platform == "darwin" else ()
)
_LITTLE_BYTES = 1024 * 1024 * 1024
_LABEL = "//doctor.flow"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``value`` for JSON, ``shown`` for people."""

    name: str
    value: Any
    shown: str
    is_problem: bool = False


def diagnose(home: str | None) -> list[Finding]:
    """Everything worth knowing about a home and this installation."""
    path = home_path(home)
    return [*_versions(), *_home(path), _secrets(), *_worker()]


def _versions() -> Iterator[Finding]:
    versions = {"flowmetal": flowmetal.__version__}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    yield Finding(
        "versions",
        versions,
        ", ".join(f"{name} {value}" for name, value in versions.items()),
        "missing" in versions.values(),
    )
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding("python", python, python, sys.version_info < (3, 11))
    brought = plugins()
    if brought.effects or brought.problems:
        names = [*(effect.name for effect in brought.effects), *brought.problems]
        yield Finding("plug-ins", names, ", ".join(names), bool(brought.problems))
    system = f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} processors"
    yield Finding("system", system, system, sys.platform not in ("linux", "darwin"))


def _home(path: Path) -> Iterator[Finding]:
    yield Finding("home", str(path), str(path))
    existing = next(each for each in [path, *path.parents] if each.exists())
    try:
        mounts = Path("/proc/mounts").read_text(errors="surrogateescape")
    except OSError:
        mounts = ""
    kind = file_system_of(existing.resolve(), mounts) or "unknown"
    yield Finding("file system", kind, kind)
    free = shutil.disk_usage(existing).free
    little = free < _LITTLE_BYTES
    yield Finding("free disk", free, f"{show_bytes(free)}{', which is little' if little else ''}", little)
    try:
        level = durability()
        words = {"full": "every commit reaches the disk", "os": "a commit survives the process, not a power cut"}[level]
        yield Finding("durability", level, f"{level}: {words}")
        if not (path / JOURNAL_DIRECTORY).is_dir():
            yield Finding("journal", None, "none yet; `flowmetal run` makes it")
            return
        yield from _journal(path, open_journal(path, must_exist=True))
    except FlowmetalError as error:
        yield Finding("journal", error.message, f"{error.message}. {error.remedy}".rstrip(". "), True)


def _secrets() -> Finding:
    """Where secrets may be files."""
    path = secrets_directory()
    try:
        about = path.stat()
    except OSError:
        return Finding("secrets", str(path), f"{path}, which is not there; a secret may be a file in it, or a variable")
    if not stat.S_ISDIR(about.st_mode):
        return Finding("secrets", str(path), f"{path}, which is no folder", True)
    return Finding("secrets", str(path), str(path))


def _journal(path: Path, journal: Journal) -> Iterator[Finding]:
    yield Finding("format", meta.FORMAT, f"{meta.FORMAT}, the newest that this Flowmetal knows")
    used, quota = journal.store.size_bytes(), QUOTA_BYTES
    on_disk = sum(each.stat().st_blocks * 512 for each in (path / JOURNAL_DIRECTORY).iterdir() if each.is_file())
    shown = f"{show_bytes(used)} of {show_bytes(quota)} used, {show_bytes(on_disk)} on disk"
    yield Finding("size", {"used": used, "quota": quota, "on_disk": on_disk}, shown, used > 0.9 * quota)
    alive = _engines(path)
    yield Finding(
        "engines alive", alive, str(alive) if alive else "none; runs go on while `flowmetal run` or `resume` lives"
    )
    counts = dict.fromkeys(("running", "waiting", "paused", "ok", "err", "cancelled"), 0)
    interrupted = 0
    for header in journal.roots():
        counts[header.status] += 1
        interrupted += not header.is_finished and not header.moved_to and not is_driven(journal.home, header)
    yield Finding(
        "runs", counts, ", ".join(f"{count:,} {status}" for status, count in counts.items() if count) or "none"
    )
    go_on = f"{interrupted}; they go on with `flowmetal resume --all`" if interrupted else "none"
    yield Finding("interrupted", interrupted, go_on)


def _engines(path: Path) -> int:
    try:
        names = [each.stem for each in (path / "engines").iterdir() if each.suffix == ".lock"]
        return sum(ownership.is_alive(path, bytes.fromhex(name)) for name in names)
    except (OSError, ValueError):
        return 0


def _worker() -> Iterator[Finding]:
    began = time.monotonic()
    try:
        limits, confinement = asyncio.run(_start_worker())
    except FlowmetalError as error:
        yield Finding("worker", error.message, f"does not start: {error.message}. {error.remedy}".rstrip(". "), True)
        return
    took = time.monotonic() - began
    yield Finding("worker", round(took, 3), f"starts and loads a program in {took:.3f}s")
    yield from _sandbox(confinement)
    if limits is None:
        shown = "cannot be looked at on this system"
        if MEMORY_OF is not None:
            shown += f"; it holds none on memory, so that the engine looks each {LOOK_SECONDS:g}s and ends the worker"
        yield Finding("worker limits", None, shown)
        return
    lacking = [name for name, good in limits.items() if not good]
    shown = f"not given up: {', '.join(lacking)}" if lacking else f"held by the system: {', '.join(limits)}"
    yield Finding("worker limits", limits, shown, bool(lacking))


def _sandbox(confinement: Confinement | None) -> Iterator[Finding]:
    """How far the worker says that it has locked itself in."""
    if confinement is None:
        yield Finding("sandbox", None, "the worker did not say how far it is locked in", True)
        return
    value = {
        "level": confinement.level,
        "minimum": minimum_level(),
        "landlock": confinement.landlock_abi,
        "reason": confinement.reason,
        "meaning": confinement.meaning,
    }
    by = f" (Landlock {confinement.landlock_abi})" if confinement.landlock_abi else ""
    why = f"; not L1: {confinement.reason}" if confinement.reason else ""
    yield Finding("sandbox", value, f"{confinement.level}{by}: {confinement.meaning}{why}")
    shown = f"to a worker whose interpreter had a fault: {confinement.left_open}"
    yield Finding("left open", confinement.left_open, shown)


async def _start_worker() -> tuple[dict[str, bool] | None, Confinement | None]:
    programs = Programs(lambda *_: None, lambda *_: None, lambda: None)
    try:
        state = await programs.load(_LABEL, _Sources(), Limits())
        return _limits_of(state), state.worker.confinement if state.worker is not None else None
    finally:
        programs.close()


class _Sources:
    packages = None

    def text_of(self, label: str) -> str:
        return "" if label == _LABEL else FileSources(Path(), prelude_directory()).text_of(label)


def _limits_of(program: ProgramState) -> dict[str, bool] | None:
    """Which limits of the operating system a live worker has, read from outside."""
    if program.worker is None or sys.platform != "linux":
        return None
    process = Path(f"/proc/{program.worker.pid}")
    try:
        text = (process / "limits").read_text()
        status = (process / "status").read_text()
    except OSError:
        return None
    soft = {line[:26].strip(): line[26:].split()[0] for line in text.splitlines()[1:]}
    return {
        "address space": soft.get("Max address space") == str(program.limits.address_space_bytes),
        "file size": soft.get("Max file size") == "0",
        "open files": soft.get("Max open files") == "0",
        "core files": soft.get("Max core file size") == "0",
        "processor time": soft.get("Max cpu time", "unlimited") != "unlimited",
        "no new privileges": "NoNewPrivs:\t1" in status,
    }
