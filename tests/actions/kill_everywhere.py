"""Run by ``test_crashes.py`` in a process of its own: ``write``, killed at each of its system calls.

For every number N a forked child performs the write and kills itself with SIGKILL just before (or just after) its N-th
system call, or in the middle of it if that is the writing of the data.  Prints, as JSON, what was found after each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowmetal.permissions import parse_grants
from tests.actions.desk import Desk

CALLS = ("open", "write", "fchmod", "fsync", "rename", "unlink", "close", "stat", "fstat")
OLD, NEW = "o" * 50_000, "n" * 70_000


def arm(fatal: int, when: str) -> None:
    """Have this process killed at its ``fatal``-th system call."""
    count = 0

    def deadly(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == fatal and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if count == fatal and when == "amid" and name == "write":
                real(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if count == fatal and when != "before":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name), name))


def killed(desk: Desk, fatal: int, when: str) -> bool:
    """Whether a child that performs the write was killed before its end."""
    child = os.fork()
    if child == 0:
        arm(fatal, when)
        desk("write", "out/file", NEW)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def main(base: Path) -> None:
    """Kill at every call, twice in a row, then let one attempt through."""
    out = base / "out"
    out.mkdir()
    file = out / "file"
    desk = Desk(base, parse_grants(["write=out"], [], str(base)))
    found = []
    for existing in (True, False):
        for when in ("before", "amid", "after"):
            fatal = 0
            while True:
                fatal += 1
                for name in os.listdir(out):
                    (out / name).unlink()
                if existing:
                    file.write_text(OLD)
                if not killed(desk, fatal, when):
                    break
                states = [file.read_text() if file.exists() else ""]
                killed(desk, fatal, when)
                states.append(file.read_text() if file.exists() else "")
                leftovers = [name for name in os.listdir(out) if name != "file"]
                desk("write", "out/file", NEW)
                whole = {OLD: "old", NEW: "new", "": "none"}
                found.append(
                    {
                        "existing": existing,
                        "when": when,
                        "fatal": fatal,
                        "states": [whole.get(state, f"torn: {len(state)}") for state in states],
                        "leftovers": len(leftovers),
                        "end": whole.get(file.read_text(), "torn"),
                        "names": os.listdir(out),
                    }
                )
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
