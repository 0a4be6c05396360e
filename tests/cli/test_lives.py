"""A run over several processes: the same id again, Ctrl-C, kill -9, cancel, two at once, moving."""

from __future__ import annotations

import os
import signal

import pytest

from flowmetal.journal import events
from flowmetal.journal.keys import event_key
from flowmetal.places import open_journal
from flowmetal.values import pack
from tests.cli.conftest import Cli, until

STEPS = """
def _step_impl(fctx):
    fctx.actions.sleep("60ms")
    unwrap(fctx.actions.append("out.txt", fctx.args.text + "\\n"))

step = flow(_step_impl, args = {"text": args.string()})

def _steps_impl(fctx):
    for n in range(fctx.args.count):
        unwrap(step("step %d" % n))
    return {"steps": fctx.args.count}

steps = flow(_steps_impl, args = {"count": args.int(default = 8)})
if __name__ == "__flow__":
    steps()
"""
EIGHT = "".join(f"step {n}\n" for n in range(8))
RUN = ("run", "steps.flow", "--id", "r1", "--allow", "write=.")


@pytest.fixture
def steps(cli: Cli) -> Cli:
    cli.file("steps.flow", STEPS)
    return cli


def test_the_same_id_again_is_the_same_run(steps: Cli) -> None:
    first = steps(*RUN)
    assert (first.code, first.out) == (0, '{\n  "steps": 8\n}\n')
    again = steps(*RUN)
    assert (again.code, again.out) == (0, first.out)
    assert "r1 has run before" in again.err
    assert steps.text("out.txt") == EIGHT


def test_the_same_id_with_another_meaning(steps: Cli) -> None:
    assert steps(*RUN).code == 0
    steps.file("other.flow", STEPS)
    for args, difference in (
        (["run", "steps.flow:steps", "--id", "r1", "--allow", "write=."], "the flow"),
        (["run", "other.flow", "--id", "r1", "--allow", "write=."], "the flow"),
        (["run", "steps.flow", "--id", "r1"], "the grants"),
    ):
        done = steps(*args)
        assert (done.code, done.out) == (2, "")
        assert f"the run `r1` exists and differs in {difference}" in done.err
    steps("run", "steps.flow:steps", "--count", "1", "--id", "r2", "--allow", "write=.")
    other = steps("run", "steps.flow:steps", "--count", "2", "--id", "r2", "--allow", "write=.").err
    assert "the arguments (started with count = 1, asked for count = 2)" in other
    where = steps.folder
    other = steps("run", "steps.flow:steps", "--count", "1", "--id", "r2", "--allow", "write=./none").err
    assert f"the grants (started with write={where}, asked for write={where}/none)" in other
    assert f"flowmetal: --allow write={where}/none: there is no such file or directory yet" in other


def test_ctrl_c_then_resume(steps: Cli) -> None:
    process = steps.start(*RUN)
    until(lambda: steps.text("out.txt"))
    process.send_signal(signal.SIGINT)
    done = steps.end(process)
    assert (done.code, done.out) == (130, "")
    assert done.err == "interrupted; nothing is lost, go on with: flowmetal resume r1\n"
    listed = steps("ps").out
    assert "interrupted: flowmetal resume r1" in listed
    resumed = steps("resume", "r1")
    assert (resumed.code, resumed.out) == (0, '{\n  "steps": 8\n}\n')
    assert steps.text("out.txt") == EIGHT
    again = steps("resume", "r1", "--json")
    assert again.json["result"] == {"steps": 8}


def test_sigterm_names_the_home_that_was_given(steps: Cli) -> None:
    process = steps.start(*RUN, "--home", "elsewhere")
    until(lambda: steps.text("out.txt"))
    process.terminate()
    done = steps.end(process)
    assert done.code == 143
    assert "flowmetal resume r1 --home elsewhere" in done.err


def test_kill_9_then_run_again_with_a_changed_file(steps: Cli) -> None:
    process = steps.start(*RUN)
    until(lambda: steps.text("out.txt").count("\n") >= 2)
    process.kill()
    steps.end(process)
    row = steps("ps", "--json").lines[0]
    assert (row["status"], row["interrupted"]) == ("running", True)
    steps.file("steps.flow", STEPS.replace('"step %d"', '"changed %d"'))
    done = steps(*RUN)
    assert (done.code, done.out) == (0, '{\n  "steps": 8\n}\n')
    assert "resuming r1, which was interrupted; the file has changed since" in done.err
    lines = steps.text("out.txt").splitlines()
    assert list(dict.fromkeys(lines)) == EIGHT.splitlines()
    assert len(lines) <= 9  # the append that was under way may have run, and is not asked for twice without saying so


def test_two_processes_with_one_id(steps: Cli) -> None:
    steps.file("steps.flow", STEPS.replace("60ms", "2s"))  # two commands must start while it runs
    first = steps.start(*RUN)
    until(lambda: steps.text("out.txt"))
    busy = steps("resume", "r1")
    assert busy.code == 3
    assert "flowmetal log r1 --follow" in busy.err
    second = steps.start(*RUN, "--json")
    done, followed = steps.end(first), steps.end(second)
    assert done.code == followed.code == 0
    assert followed.json["result"] == {"steps": 8}
    assert "driven by another process" in followed.err
    assert steps.text("out.txt") == EIGHT


def test_who_follows_goes_on_when_the_first_dies(steps: Cli) -> None:
    steps.file("steps.flow", STEPS.replace("60ms", "900ms"))  # the second must start while the first runs
    first = steps.start(*RUN)
    until(lambda: steps.text("out.txt"))
    second = steps.start(*RUN)
    assert second.stderr is not None
    assert "driven by another process" in second.stderr.readline()
    first.kill()
    steps.end(first)
    followed = steps.end(second)
    assert (followed.code, followed.out) == (0, '{\n  "steps": 8\n}\n')
    assert "going on with it here" in followed.err


def interrupt(steps: Cli, run_id: str) -> None:
    """Leaves a run behind that nobody drives."""
    before = steps.text("out.txt")
    process = steps.start("run", "steps.flow", "--id", run_id, "--allow", "write=.")
    until(lambda: steps.text("out.txt") != before)
    process.kill()
    steps.end(process)


def test_resume_all(steps: Cli) -> None:
    interrupt(steps, "r1")
    interrupt(steps, "r2")
    done = steps("resume", "--all", "--json")
    assert done.code == 0
    assert {row["run"]: row["status"] for row in done.lines} == {"r1": "ok", "r2": "ok"}
    assert "no interrupted runs" in steps("resume", "--all").err


def test_resume_watches_until_ctrl_c(steps: Cli) -> None:
    interrupt(steps, "r1")
    watcher = steps.start("resume", "--all", "--watch", "--json")
    until(lambda: steps("ps", "--json", "--status", "ok").out)
    interrupt(steps, "r2")
    until(lambda: len(steps("ps", "--json", "--status", "ok").lines) == 2)
    watcher.send_signal(signal.SIGINT)
    done = steps.end(watcher)
    assert done.code == 0
    assert [row["run"] for row in done.lines] == ["r1", "r2"]


def test_a_part_of_a_run_is_not_resumed_alone(steps: Cli) -> None:
    interrupt(steps, "r1")
    done = steps("resume", "r1.1")
    assert done.code == 2
    assert "flowmetal resume r1\n" in done.err


def test_cancel_a_run_that_is_driven(steps: Cli) -> None:
    long = ("run", "steps.flow:steps", "--count", "500", "--id", "r1", "--allow", "write=.")
    process = steps.start(*long, "--json")
    until(lambda: steps.text("out.txt"))
    asked = steps("cancel", "r1", "--reason", "enough")
    assert (asked.code, asked.err) == (0, "r1 is cancelled\n")
    done = steps.end(process)
    assert done.code == 1
    assert done.json["status"] == "cancelled"
    assert "enough" in done.json["failure"]["message"]


def test_cancel_a_run_that_nobody_drives(steps: Cli) -> None:
    interrupt(steps, "r1")
    before = steps.text("out.txt")
    assert steps("cancel", "r1").err == "r1 is cancelled; nobody was driving it\n"
    assert steps.text("out.txt") == before
    assert steps("cancel", "r1").err == "r1 has ended already: cancelled\n"
    assert steps("resume", "r1").code == 1


def test_resume_with_more_grants(cli: Cli) -> None:
    cli.file("in/a.txt", "12345")
    cli.file(
        "a.flow",
        'def _f_impl(fctx):\n    fctx.actions.receive("go")\n    return fctx.actions.read("in/a.txt")\n'
        'f = flow(_f_impl)\nif __name__ == "__flow__":\n    f()\n',
    )
    process = cli.start("run", "a.flow", "--id", "r1")
    until(lambda: cli.home.exists() and "receive" in cli("log", "r1").out)
    process.kill()
    cli.end(process)
    assert cli("signal", "r1.1", "go").code == 0
    done = cli("resume", "r1", "--allow", "read=in")
    assert (done.code, done.out) == (0, "12345\n")
    assert cli("show", "r1", "--json").json["grants"]["allow"] == [f"read={cli.folder}/in"]


def test_a_reader_that_is_gone_makes_no_err_of_an_ok(steps: Cli) -> None:
    assert steps(*RUN).code == 0
    for arguments in (RUN, ("ps",), ("log", "r1")):
        process = steps.start(*arguments)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        with process.stderr as told:
            assert "Traceback" not in told.read()
        assert process.wait(60) == 141


def test_resume_of_a_run_that_has_failed_names_what_helps(cli: Cli) -> None:
    cli.file("b.flow", 'def _main(fctx):\n    unwrap(fctx.actions.write("a.txt", "x"))\n\nmain = flow(_main)\n')
    failed = cli("run", "b.flow:main", "--id", "r1")
    assert failed.code == 1
    assert "help: `flowmetal rerun r1`, with what it lacked allowed, does again what was not Ok" in failed.err
    late = cli("resume", "r1", "--allow", "write=.")
    assert late.code == 1
    assert "r1 has ended before, this is its result; what is granted now changes nothing" in late.err
    assert "flowmetal rerun r1" in late.err
    assert "granted now" not in cli("resume", "r1").err
    assert cli("rerun", "r1", "--allow", "write=.", "--id", "r2").code == 0
    assert cli.text("a.txt") == "x"
    done = cli("resume", "r2")
    assert (done.code, done.err) == (0, "flowmetal: r2 has ended before, this is its result\n")


def test_a_run_moves_to_another_home(steps: Cli) -> None:
    interrupt(steps, "r1")
    moved = steps("export", "r1", "--move", "-o", "r1.flowrun")
    assert moved.code == 0
    refused = steps("resume", "r1")
    assert refused.code == 2
    assert "moved to r1.flowrun" in refused.err
    taken = steps("import", "r1.flowrun", "--home", "other")
    assert (taken.code, taken.out) == (0, "r1\n")
    assert "flowmetal resume r1" in taken.err
    done = steps("resume", "r1", "--home", "other")
    assert (done.code, done.out) == (0, '{\n  "steps": 8\n}\n')
    assert set(steps.text("out.txt").splitlines()) == set(EIGHT.splitlines())


def test_an_export_that_cannot_be_written_moves_nothing(steps: Cli) -> None:
    interrupt(steps, "r1")
    done = steps("export", "r1", "--move", "-o", "no/such/folder/r1.flowrun")
    assert done.code == 3
    assert "cannot be written" in done.err
    assert steps("resume", "r1").code == 0


def test_a_replay_that_asks_for_something_else(steps: Cli) -> None:
    interrupt(steps, "r1")
    before = set(steps.text("out.txt").splitlines())  # one step, or more on a slow machine
    journal = open_journal(steps.home)
    sequence, event = next(item for item in journal.history("r1.1") if item[1].kind == "action")
    other = {**event.fields, "args": pack([["step 99"], []])}
    with journal.store.update() as update:
        update.put("events", event_key(b"r1.1", sequence), events.action(event.at_ms, **other))
    journal.store.close()
    for command in (["resume", "r1"], ["resume", "--all"], [*RUN]):
        done = steps(*command)
        assert (done.code, done.out) == (4, "")
        for part in ("replay of r1.1 differs", "step 99", "step 0", "steps.flow:10", "left as it was"):
            assert part in done.err
    # The append that was under way at the kill may be done again; what was not asked for then is not done now.
    assert set(steps.text("out.txt").splitlines()) <= before | {f"step {len(before)}"}
    assert "interrupted: flowmetal resume r1" in steps("ps").out


NAP = 'if __name__ == "__flow__":\n    print("up")\n    sleep("1h")\n'


@pytest.mark.parametrize("taken", ["", "engines", "journal/data.mdb"])
def test_a_home_that_is_taken_away_under_a_run(cli: Cli, taken: str) -> None:
    """The run ends by name, and goes on when the home is back; a follower of its log ends too."""
    run = cli.start("run", cli.file("nap.flow", NAP), "--id", "n1")
    until(lambda: "sleep" in cli("log", "n1").out)
    follower = cli.start("log", "n1", "--follow")
    assert follower.stdout is not None
    while "sleep" not in follower.stdout.readline():
        pass
    away = cli.folder / "away"
    (cli.home / taken).rename(away)
    done = cli.end(run)
    assert done.code == 3
    assert "error: the home was moved, removed or replaced while it was in use\n" in done.err
    assert "flowmetal resume" in done.err
    if taken != "engines":
        assert cli.end(follower).code == 3
    else:
        follower.kill()
        follower.communicate()
    away.rename(cli.home / taken)
    assert "interrupted: flowmetal resume n1" in cli("ps").out
    assert cli("cancel", "n1").code == 0
    assert cli("verify").code == 0


def test_a_disk_that_is_full_at_a_resume_is_all_that_is_told(steps: Cli) -> None:
    """No run is waited for that nobody drives any more."""
    process = steps.start(*RUN)
    until(lambda: steps.text("out.txt"))
    process.kill()
    steps.end(process)
    size = (steps.home / "journal" / "data.mdb").stat().st_size
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    steps.file("sitecustomize.py", limited)
    steps.environment["PYTHONPATH"] = f"{steps.folder}{os.pathsep}{steps.environment['PYTHONPATH']}"
    done = steps.anew("resume", "r1")
    assert done.code == 3
    assert "error: the disk refused" in done.err
    assert "waiting for" not in done.err
    (steps.folder / "sitecustomize.py").unlink()
    assert steps("resume", "r1").code == 0
    assert set(steps.text("out.txt").splitlines()) == set(EIGHT.splitlines())
