"""``flowmetal cancel --all-matching``: many runs, driven or not, shown and asked about first."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

from tests.cli.conftest import Cli, Here, until

SLEEPER = 'def _f_impl(fctx):\n    fctx.actions.sleep("1h")\n\nf = flow(_f_impl)\nif __name__ == "__flow__":\n    f()\n'


def statuses(here: Here) -> dict[str, str]:
    return {row["run"]: row["status"] for row in here("ps", "--json").lines}


def test_driven_and_free_runs(cli: Cli, here: Here) -> None:
    cli.file("sleeper.flow", SLEEPER)
    cli.file("other.flow", SLEEPER)
    free = [cli.start("run", "sleeper.flow", "--id", "a"), cli.start("run", "other.flow", "--id", "other")]
    until(lambda: len(here("ps", "--json").lines) == 2 and all(row["wakes"] for row in below(here)))
    for process in free:
        process.send_signal(signal.SIGINT)
        cli.end(process)
    driven = cli.start("run", "sleeper.flow", "--id", "b")
    until(lambda: "b" in statuses(here))

    dry = here("cancel", "--all-matching", "flow=sleeper.flow", "--dry-run")
    assert [line.split()[0] for line in dry.out.splitlines()] == ["RUN", "b", "a"]
    assert dry.err == "2 runs would be cancelled; nothing was done\n"
    assert set(statuses(here).values()) <= {"running", "waiting"}
    assert asked(cli, "n", "cancel", "--all-matching", "flow=sleeper.flow").count("these 2 runs?") == 1
    assert set(statuses(here).values()) <= {"running", "waiting"}, "the answer was no"

    done = here("cancel", "--all-matching", "flow=sleeper.flow", "--yes", "--reason", "tidying up")
    assert (done.code, done.err) == (0, "b is cancelled\na is cancelled; nobody was driving it\n")
    ended = cli.end(driven)
    assert (ended.code, "tidying up" in ended.err) == (1, True)
    assert statuses(here) == {"a": "cancelled", "b": "cancelled", "other": statuses(here)["other"]}
    assert statuses(here)["other"] in ("running", "waiting")
    assert here("cancel", "a", "other", "--quiet").code == 0
    assert statuses(here)["other"] == "cancelled"
    assert here("cancel", "a").err == "a has ended already: cancelled\n"


def below(here: Here) -> list[dict[str, bool]]:
    """Whether each run sleeps."""
    return [{"wakes": "sleeping" in row["waits_for"]} for row in here("ps", "--json").lines]


def asked(cli: Cli, answer: str, *args: str) -> str:
    """What a command prints on a terminal where ``answer`` is given."""
    controller, terminal = pty.openpty()
    os.write(controller, f"{answer}\n".encode())
    process = subprocess.Popen(
        [sys.executable, "-m", "flowmetal", *args],
        cwd=cli.folder,
        env=cli.environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    assert process.wait(timeout=30) == 0
    text = os.read(controller, 100_000).decode()
    os.close(controller)
    return text
