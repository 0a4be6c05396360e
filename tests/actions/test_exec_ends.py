"""Nothing of a program outlives its end, its time, its cancellation or its engine, whatever it does against that."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.actions.processes import Order, Process
from flowmetal.actions.services import Services
from flowmetal.permissions import parse_grants
from flowmetal.testing.harness import Lab, failure_of, make_lab, value_of
from tests.actions.bench import Bench, FixedSecrets, command_lines, long_sleep, wait_for

CHECKOUT = Path(__file__).parents[2]
LINUX = sys.platform == "linux"
TOKEN = "tok-0123456789-secret"

FORKS = """
import os, sys, time
depth = 6
while depth:  # sixty-four processes, each in a session of its own
    depth -= 1
    if os.fork() == 0 and {leaves}:
        os.setsid()
os.execvp("sleep", ["sleep", "{marker}"])
"""

CASES = {
    "waits": "sleep {marker}",
    "ignores SIGTERM": "trap '' TERM; sleep {marker} & wait; sleep {marker}",
    "has children in its group": "sleep {marker} & sleep {marker} & sleep {marker}; wait",
    "stops itself": "sleep {marker} & kill -STOP $$",
    "has stopped children": "sleep {marker} & kill -STOP $!; wait",
    "forks and forks": "exec {python} -c '" + FORKS.replace("{leaves}", "False") + "'",
    "stops its guard": "sleep {marker} & kill -STOP $PPID; wait",
}
ESCAPES = {
    "a session of its own": "setsid sleep {marker} & sleep {marker}",
    "a daemon": "(setsid sh -c 'trap \"\" TERM HUP; (sleep {marker}; sleep {marker}) & exit' &); sleep {marker}",
    "forks and leaves": "exec {python} -c '" + FORKS.replace("{leaves}", "True") + "'",
}
if LINUX:  # elsewhere it is the stated limit of a guard that what leaves the session gets away
    CASES |= ESCAPES


@pytest.fixture
def bench(base: Path) -> Bench:
    """A shell may be run."""
    return Bench(base, parse_grants(["exec=sh", "secret=TOKEN@exec:sh"], [], str(base)), {"TOKEN": TOKEN})


def command(case: str, marker: str, before: str = "") -> list[str]:
    text = CASES[case].replace("{marker}", marker).replace("{python}", os.path.realpath(sys.executable))
    return ["sh", "-c", before + text]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_after_a_cancellation(bench: Bench, case: str) -> None:
    marker = long_sleep()
    words, _ = bench.cut_off("exec", command(case, marker, "echo begun; echo x >begun; "))
    assert [each["stdout"] for each in words] == ["begun\n"]
    assert not [line for line in command_lines() if marker in line]


@pytest.mark.parametrize("ending", ["exit 0", "exit 3", "kill -9 $$"])
@pytest.mark.parametrize("left", ["sleep {marker} &", "trap '' TERM; sleep {marker} &", "setsid sleep {marker} &"])
def test_nothing_is_left_when_a_program_ends(bench: Bench, ending: str, left: str) -> None:
    if "setsid" in left and not LINUX:
        pytest.skip("what leaves the session of a program gets away where there is no subreaper")
    marker = long_sleep()
    begun = time.monotonic()
    argv = ["sh", "-c", f"{left.format(marker=marker)} {ending}"]
    if ending == "exit 0":
        bench("exec", argv)
    else:
        assert bench.failure("exec", argv).kind == "effect"
    assert not [line for line in command_lines() if marker in line]
    assert time.monotonic() - begun < 60, "nobody waits for the sleeper, who holds the pipe open"


def test_who_kills_the_guard_dies_with_it(bench: Bench) -> None:
    marker = long_sleep()
    failure = bench.failure("exec", ["sh", "-c", f"sleep {marker} & kill -9 $PPID; sleep {marker}"])
    assert failure.message == "`sh` was ended together with the process that watches over it"
    wait_for(marker, there=False)


def test_a_program_may_end_in_peace(bench: Bench, base: Path) -> None:
    """SIGTERM comes first, and what is done on it in the grace is done."""
    text = "trap 'sleep 0.1; echo cleared >cleared; exit' TERM; echo >begun; while :; do sleep 0.05; done"
    bench.cut_off("exec", ["sh", "-c", text])
    assert (base / "cleared").read_text() == "cleared\n"


def test_a_program_may_end_in_peace_before_it_is_known_to_have_begun(base: Path) -> None:
    begun, peace = base / "begun", base / "peace"
    text = f"trap 'sleep 0.1; echo > {peace}; exit' TERM; echo > {begun}; while :; do sleep 0.02; done"

    async def cut_off() -> None:
        here = os.open(base, os.O_RDONLY)
        null = os.open(os.devnull, os.O_RDWR)
        order = Order(os.path.realpath("/bin/sh"), ["sh", "-c", text], {}, here)
        starting = asyncio.ensure_future(Process.start(order, (null, null, null)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while not begun.exists():
            time.sleep(0.01)  # nothing that the guard says is heard meanwhile
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        os.close(here)
        os.close(null)

    asyncio.run(asyncio.wait_for(cut_off(), 30))
    assert peace.exists()


def test_the_next_attempt_begins_when_the_last_is_over(bench: Bench, base: Path) -> None:
    """An attempt that is cut off may take its grace; no other of the same action runs beside it."""
    text = (
        "[ -e busy ] && exit 9; echo >busy; trap 'sleep 0.3; rm busy; exit' TERM; echo >begun; sleep 20 & wait; rm busy"
    )

    async def life() -> object:
        context = bench.context("exec", Services())
        first = asyncio.ensure_future(bench.perform(context, (["sh", "-c", text],), {}))
        while not (base / "begun").exists():
            await asyncio.sleep(0.01)
        first.cancel()
        second = await bench.perform(context, (["sh", "-c", "[ -e busy ] && exit 9; exit 0"],), {})
        await asyncio.wait({first})
        await context.services.resources.close()
        return second

    assert asyncio.run(life()) == {"struct": ["code", 0, "stdout", "", "stderr", "", "truncated", False]}


def test_more_programs_than_may_run_at_once(bench: Bench) -> None:
    async def life() -> list[object]:
        services = Services()
        calls = [
            bench.perform(bench.context("exec", services, f"key {number}"), (["sh", "-c", f"echo {number}"],), {})
            for number in range(80)
        ]
        results = await asyncio.gather(*calls)
        await services.resources.close()
        return [result["struct"][3] for result in results]

    assert asyncio.run(life()) == [f"{number}\n" for number in range(80)]


def test_a_secret_is_in_no_command_line(bench: Bench, base: Path) -> None:
    marker = long_sleep()
    secret = {"secret": ["TOKEN", "00000000"]}

    async def life() -> None:
        services = Services(FixedSecrets(bench.secrets))
        args = (["sh", "-c", f"read line; echo $line $T >seen; exec sleep {marker}"],)
        more = {"stdin": [secret, "\n"], "env": {"dict": ["T", secret]}}
        task = asyncio.ensure_future(bench.perform(bench.context("exec", services), args, more))
        while marker not in "".join(command_lines()) or not (base / "seen").exists():
            await asyncio.sleep(0.02)
        while any("sh -c read" in line and marker in line for line in command_lines()):
            await asyncio.sleep(0.02)
        everything = subprocess.run(
            ["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True
        ).stdout
        assert TOKEN not in everything
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(life())
    assert (base / "seen").read_text() == f"{TOKEN} {TOKEN}\n"


# -- in an engine --------------------------------------------------------------------------------------

FLOW = """
def _main(fctx, text, **more):
    return unwrap(fctx.actions.exec(["sh", "-c", text], **more))

main = flow(_main)

if __name__ == "__flow__":
    main(TEXT, **MORE)
"""


def flow(text: str, **more: object) -> str:
    return FLOW.replace("TEXT", repr(text)).replace("MORE", repr(more))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A home to run flows in."""
    made = make_lab(tmp_path)
    made.allow = ("exec=sh", "read=.", "write=.", "secret=TOKEN@exec:sh")
    made.services = Services(FixedSecrets({"TOKEN": TOKEN}))
    yield made
    made.store.close()


def test_out_of_time(lab: Lab) -> None:
    marker = long_sleep()
    failure = failure_of(lab.run(flow(f"echo so far; sleep {marker}", timeout="500ms")))
    assert (failure.kind, failure.message) == ("timeout", "exec was not done after 500ms")
    assert failure.details == {"dict": ["may_have_run", True, "stdout", "so far\n", "stderr", ""]}
    assert not [line for line in command_lines() if marker in line]


def test_attempts_are_counted_until_one_is_in_time(lab: Lab) -> None:
    text = "echo x >>tries; [ $(wc -l <tries) -ge 3 ] || sleep 60"
    lab.services = Services()
    result = lab.run(flow(text, timeout="1s", retries=5, retry_delay="1ms"))
    assert value_of(result)["struct"][:2] == ["code", 0]
    assert (lab.base / "tries").read_text() == "x\n" * 3


def test_a_secret_that_is_printed_is_masked(lab: Lab) -> None:
    text = """
def _main(fctx):
    token = unwrap(fctx.actions.secret("TOKEN"))
    show = 'echo "is $T"; printf %s "$T" | base64; cat; echo "$T" >&2; exit $CODE'
    good = fctx.actions.exec(["sh", "-c", show], env = {"T": token, "CODE": "0"}, stdin = ["<", token, ">"])
    bad = fctx.actions.exec(["sh", "-c", show], env = {"T": token, "CODE": "5"})
    return [good.value.stdout, good.value.stderr, bad.error.details["stdout"], bad.error.message]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    stdout, stderr, tail, message = value_of(lab.run(text))
    assert stdout == "is [secret TOKEN]\n[secret TOKEN]==\n<[secret TOKEN]>" or "[secret TOKEN]" in stdout
    assert stderr == "[secret TOKEN]\n"
    assert message == "`sh` ended with code 5: [secret TOKEN]"
    assert TOKEN not in stdout + tail
    kept = b"".join(path.read_bytes() for path in lab.home.rglob("*") if path.is_file())
    assert b"is [secret TOKEN]" in kept
    assert TOKEN.encode() not in kept


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_when_the_engine_is_killed(tmp_path: Path, case: str) -> None:
    marker = long_sleep()
    text = command(case, marker, "echo x >begun; ")[2]
    (tmp_path / "main.flow").write_text(flow(text), encoding="utf-8")
    engine = subprocess.Popen(
        [sys.executable, "-m", "flowmetal", "run", "main.flow", "--allow", "exec=sh"],
        cwd=tmp_path,
        env={**os.environ, "FLOWMETAL_HOME": str(tmp_path / "home"), "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"sleep {marker}", there=True)
        guards = [line for line in command_lines() if "guard.py" in line]
        assert guards
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    if case == "stops its guard":
        # Nothing runs in a process that is stopped: what it held back goes on when somebody continues it.
        for line in subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines():
            pid, state, arguments = line.split(None, 2)
            if state.startswith("T") and "guard.py" in arguments:
                os.kill(int(pid), signal.SIGCONT)
    wait_for(marker, there=False)
