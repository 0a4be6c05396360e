"""``flowmetal pause`` and resuming what is paused, over several processes and terminals."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cli.conftest import Cli, Here, until

SLOW = """
def _step_impl(fctx):
    unwrap(fctx.actions.exec(["sh", "-c", "echo begun >> begun; while [ ! -e go ]; do sleep 0.02; done"]))
    unwrap(fctx.actions.append("out.txt", "step\\n"))
    fctx.actions.sleep("10ms")

step = flow(_step_impl)

def _steps_impl(fctx):
    for n in range(3):
        step()
    return "done"

steps = flow(_steps_impl)
if __name__ == "__flow__":
    steps()
"""
SLEEPER = 'def _f_impl(fctx):\n    fctx.actions.sleep("1h")\n\nf = flow(_f_impl)\nif __name__ == "__flow__":\n    f()\n'
RUN = ("run", "slow.flow", "--id", "r1", "--allow", "write=.", "--allow", "exec=sh")


@pytest.fixture
def slow(cli: Cli) -> Cli:
    cli.file("slow.flow", SLOW)
    return cli


def test_a_run_in_another_terminal(slow: Cli, here: Here) -> None:
    process = slow.start(*RUN)
    until(lambda: slow.text("begun"))
    pausing = slow.start("pause", "r1", "--reason", "the disk is full")
    until(lambda: here("ps", "--json").lines[0]["status"] == "paused")
    slow.file("go", "")
    done = slow.end(pausing)
    assert (done.code, done.out) == (0, "")
    assert done.err == "r1 is paused; it goes on with: flowmetal resume r1\n"
    first = slow.end(process)
    assert (first.code, first.out) == (3, "")
    assert "error: the run `r1` is paused: the disk is full\n  help: `flowmetal resume r1` goes on with it" in first.err

    left = here("resume", "--all").err
    assert left.startswith("flowmetal: no interrupted runs"), "nobody takes it up"
    assert left.endswith("; 1 paused, which `flowmetal resume RUN` goes on with\n")
    again = here(*RUN)
    assert (again.code, "the run `r1` is paused" in again.err) == (3, True), again.err
    (row,) = here("ps", "--json").lines
    assert (row["status"], row["interrupted"], bool(row["paused"])) == ("paused", False, True)
    assert "  a resume (the disk is full), paused since " in here("ps").out
    assert "(the disk is full): it goes on with `flowmetal resume r1`" in here("show", "r1").out
    assert "(the disk is full); it goes on with: flowmetal resume r1" in here("log", "r1").out
    assert here("pause", "r1").err.startswith("r1 is paused"), "once more does nothing"

    assert here("resume", "r1").code == 0
    assert slow.text("begun").split() == ["begun"] * 3, "what was under way was not done again"
    assert slow.text("out.txt").split() == ["step"] * 3
    assert ": the disk is full" in next(line for line in here("log", "r1").out.splitlines() if "was paused for" in line)
    over = here("pause", "r1")
    assert (over.code, "there is nothing to pause" in over.err) == (2, True)


def test_killed_while_its_effects_are_waited_for(slow: Cli, here: Here) -> None:
    """It is paused from the first moment; nobody takes it up after the kill."""
    process = slow.start(*RUN)
    until(lambda: slow.text("begun"))
    pausing = slow.start("pause", "r1")
    until(lambda: here("ps", "--json").lines[0]["status"] == "paused")
    busy = here("resume", "r1")
    assert (busy.code, "waits for effects that are under way" in busy.err) == (3, True)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert slow.end(pausing).err == "r1 is paused; it goes on with: flowmetal resume r1\n"
    assert here("resume", "--all").err.startswith("flowmetal: no interrupted runs")
    slow.file("go", "")
    assert here("resume", "r1").code == 0
    assert slow.text("out.txt").split() == ["step"] * 3
    assert slow.text("begun").split() == ["begun"] * 4, "what was under way at the kill was done again"


def interrupted(cli: Cli, *ids: str, labels: tuple[str, ...] = ()) -> None:
    """Leaves runs that sleep and that nobody drives."""
    cli.file("sleeper.flow", SLEEPER)
    more = [part for label in labels for part in ("--label", label)]
    processes = [cli.start("run", "sleeper.flow", "--id", run_id, *more) for run_id in ids]
    for run_id, process in zip(ids, processes, strict=True):
        until(lambda run_id=run_id: run_id in cli("ps", "status=running,waiting").out)  # type: ignore[misc]
        process.send_signal(signal.SIGINT)
        cli.end(process)


def test_runs_that_nobody_drives_and_filters(cli: Cli, here: Here) -> None:
    interrupted(cli, "a", "b", labels=("team=web",))
    dry = here("pause", "--all-matching", "label.team=web", "--dry-run")
    assert dry.code == 0
    assert sorted(line.split()[0] for line in dry.out.splitlines()) == ["RUN", "a", "b"]
    assert dry.err == "2 runs would be paused; nothing was done\n"
    unasked = here("pause", "--all-matching", "label.team=web")
    assert (unasked.code, unasked.out) == (2, "")
    assert "2 runs would be paused, and nobody can be asked here" in unasked.err
    assert "--yes" in unasked.err
    assert here("pause", "a").err == "a is paused; it goes on with: flowmetal resume a\n"
    rest = here("pause", "--all-matching", "flow=sleeper.flow", "status=waiting,running", "--yes")
    assert rest.err == "b is paused; it goes on with: flowmetal resume b\n", "what is paused already is left alone"
    none = here("pause", "--all-matching", "flow=sleeper.flow", "--yes")
    assert (none.code, none.err) == (0, "no run that could be paused matches flow=sleeper.flow\n")
    left = here("resume", "--leave", "--all-matching", "status=paused", "--yes")
    assert left.err.count("is not paused any more") == 2
    assert [row["interrupted"] for row in here("ps", "--json").lines] == [True, True]
    assert here("resume", "--leave", "a").err == "a was not paused\n"
    part = here("pause", "a.1")
    assert (part.code, "name the whole run: flowmetal pause a" in part.err) == (2, True)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("ps", "flwo=x"), "there is no filter `flwo`, did you mean `flow`?"),
        (("ps", "status=pausd"), "there is no status `pausd`, did you mean `paused`?"),
        (("ps", "status=ok", "--status", "err"), "`status=err` is there a second time"),
        (("ps", "label=team"), "write label.NAME=team"),
        (("ps", "label=team=web"), "write label.team=web"),
        (("ps", "lable.team=web"), "did you mean `label`?"),
        (("ps", "running"), "`running` is not a term of a filter"),
        (("pause",), "`flowmetal pause RUN…`, or `flowmetal pause --all-matching flow=NAME`"),
        (("pause", "flow=etl"), "`flowmetal pause --all-matching flow=etl`"),
        (("cancel", "--all-matching"), "--all-matching needs at least one term"),
        (("resume", "--all", "--all-matching", "flow=x"), "--all does not go with --all-matching"),
    ],
)
def test_what_cannot_be_meant(cli: Cli, here: Here, args: tuple[str, ...], words: str) -> None:
    if args[0] != "ps":
        cli.file("short.flow", 'if __name__ == "__flow__":\n    print(1)\n')
        assert here("run", "short.flow").code == 0
    done = here(*args)
    assert (done.code, words in done.err) == (2, True), done.err
