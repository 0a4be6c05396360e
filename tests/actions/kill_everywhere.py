"""Run by ``test_crashes.py`` in a process of its own: effects on files, killed at each of their system calls.

For every number N a forked child performs the effect and kills itself with SIGKILL just before (or just after) its N-th
system call, or in the middle of it if that moves data.  Prints, as JSON, what was found after each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmetal.actions import streaming
from flowmetal.permissions import parse_grants
from flowmetal.values import Wire
from tests.actions.desk import Desk

CALLS = (
    "open",
    "write",
    "read",
    "fchmod",
    "fsync",
    "rename",
    "unlink",
    "rmdir",
    "mkdir",
    "close",
    "stat",
    "fstat",
)
MOVING = ("write", "copy_file_range")
"""Calls that can be killed in the middle."""
OLD, NEW = "o" * 50_000, "n" * 70_000
ROWS: list[Wire] = [{"dict": ["a", NEW, "b", 1]}]


@dataclass(frozen=True)
class Case:
    """An effect: its call, what it makes of ``out`` before (None: an empty directory) and after."""

    call: tuple[Wire, ...]
    before: dict[str, str | None]
    after: dict[str, str | None]


AS_JSON = json.dumps([NEW], indent=2) + "\n"
AS_CSV = f"a,b\n{NEW},1\n"
CASES = {
    "write": Case(("write", "out/file", NEW), {"file": OLD}, {"file": NEW}),
    "write new": Case(("write", "out/file", NEW), {}, {"file": NEW}),
    "copy": Case(("copy", "in/source", "out/file"), {"file": OLD}, {"file": NEW}),
    "copy new": Case(("copy", "in/source", "out/file"), {}, {"file": NEW}),
    "copy in pieces": Case(("copy", "in/source", "out/file"), {"file": OLD}, {"file": NEW}),
    "write_json": Case(("write_json", "out/file", [NEW]), {"file": OLD}, {"file": AS_JSON}),
    "write_csv": Case(("write_csv", "out/file", ROWS), {"file": OLD}, {"file": AS_CSV}),
    "remove": Case(("remove", "out/file"), {"file": OLD, "other": NEW}, {"other": NEW}),
    "remove a directory": Case(("remove", "out/dir"), {"dir": None}, {}),
    "make_dir": Case(("make_dir", "out/a/b"), {}, {"a": None, "a/b": None}),
}


def arm(fatal: int, when: str) -> None:
    """Have this process killed at its ``fatal``-th system call."""
    count = 0

    def deadly(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if when == "amid" and name not in MOVING:
                return real(*args, **kwargs)
            count += 1
            if count == fatal and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if count == fatal and when == "amid" and name == "write":
                real(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            if count == fatal and when == "amid" and name == "copy_file_range":
                real(args[0], args[1], args[2] // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if count == fatal and when != "before":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name), name))
    if streaming._copy_range is not None:
        streaming._copy_range = deadly(streaming._copy_range, "copy_file_range")


def killed(desk: Desk, call: tuple[Wire, ...], fatal: int, when: str) -> bool:
    """Whether a child that performs the effect was killed before its end."""
    child = os.fork()
    if child == 0:
        arm(fatal, when)
        desk(*call)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def prepare(out: Path, files: dict[str, str | None]) -> None:
    """Make ``out`` hold these files and directories and nothing else."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    for name, text in files.items():
        if text is None:
            (out / name).mkdir()
        else:
            (out / name).write_text(text)


def look(out: Path) -> tuple[dict[str, str | None], int]:
    """What ``out`` holds, and how many temporary files beside that."""
    found = {
        path.relative_to(out).as_posix(): None if path.is_dir() else path.read_text() for path in sorted(out.rglob("*"))
    }
    kept = {name: text for name, text in found.items() if not name.startswith(".flowmetal-")}
    return kept, len(found) - len(kept)


def named(case: Case, state: dict[str, str | None]) -> str:
    """``before``, ``after``, ``amid`` of directories that are made one by one, or what is there instead."""
    if state in (case.before, case.after):
        return "before" if state == case.before else "after"
    if case.call[0] == "make_dir" and state.items() <= case.after.items():
        return "amid"
    return f"torn: { {name: len(text or '') for name, text in state.items()} }"


def main(base: Path) -> None:
    """Kill at every call, twice in a row, then let one attempt through."""
    out = base / "out"
    (base / "in").mkdir()
    (base / "in" / "source").write_text(NEW)
    out.mkdir()
    desk = Desk(base, parse_grants(["read=in", "write=out"], [], str(base)))
    real_range = streaming._copy_range
    found = []
    for name, case in CASES.items():
        streaming._copy_range = None if name == "copy in pieces" else real_range
        for when in ("before", "amid", "after"):
            fatal = 0
            while True:
                fatal += 1
                prepare(out, case.before)
                if not killed(desk, case.call, fatal, when):
                    break
                first, leftovers = look(out)
                killed(desk, case.call, fatal, when)
                second, more = look(out)
                desk(*case.call)
                end, left = look(out)
                found.append(
                    {
                        "name": name,
                        "when": when,
                        "fatal": fatal,
                        "states": [named(case, first), named(case, second)],
                        "leftovers": [leftovers, more],
                        "end": named(case, end),
                        "left": left,
                    }
                )
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
