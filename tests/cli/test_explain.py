"""``flowmetal explain``: what a run waits for, told from its journal, whether its engine lives or not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from subprocess import Popen
from typing import Any

import pytest

from tests.cli.conftest import Cli, Here, until

WAITS = """
def _nap_impl(fctx):
    fctx.actions.sleep("1h")

nap = flow(_nap_impl)

def _ask_impl(fctx):
    return unwrap(fctx.actions.input("Deploy?"))

ask = flow(_ask_impl)

def _again_impl(fctx):
    return unwrap(options(fctx.actions.read, retries = 5, retry_delay = "1h")("missing.txt"))

again = flow(_again_impl)

def _once_more_impl(fctx):
    fail("the first time")

once_more = flow(_once_more_impl, retries = 3, retry_delay = "1h")

def _use_impl(fctx, a, b):
    return a

use = flow(_use_impl)

def _build_impl(fctx):
    unwrap(fctx.actions.exec(["sh", "-c", "echo begun > begun; sleep 600"]))

build = flow(_build_impl)

def _denied_impl(fctx):
    unwrap(fctx.actions.write("out.txt", "x"))

denied = flow(_denied_impl)

def _narrow_impl(fctx):
    return fctx.actions.wait([fctx.actions.run(nap), fctx.actions.run(nap)])

narrow = flow(_narrow_impl)

def _all_impl(fctx):
    a = fctx.actions.run(ask)
    n = fctx.actions.run(nap)
    more = [fctx.actions.run(f) for f in (again, once_more, denied, options(narrow, max_parallel = 1), build)]
    naps = [fctx.actions.run(nap) for _ in range(12)]
    return fctx.actions.wait([fctx.actions.run(use, a, n)] + more + naps, timeout = "2h")

all = flow(_all_impl)
if __name__ == "__flow__":
    all()
"""


@pytest.fixture
def waiting(cli: Cli, here: Here) -> Iterator[Popen[str]]:
    """A run that waits for one thing of each kind, and its process."""
    cli.file("waits.flow", WAITS)
    allow = ("--allow", "read=.", "--allow", "exec=sh", "--on-deny", "wait")
    process = cli.start("run", "waits.flow", "--id", "w", *allow)
    try:
        until(lambda: cli.text("begun"))
        until(lambda: settled(explained(here)["waits"]))
        yield process
    finally:
        process.kill()
        process.communicate()


def settled(waits: list[Any]) -> bool:
    """Whether each run has come to where it waits; an effect that is tried again was under way before."""
    kinds = [each["kind"] for each in waits]
    return len(kinds) == 22 and kinds.count("retry") == 2 and not {"code", "start"} & set(kinds)


def explained(here: Here, run_id: str = "w") -> Any:
    done = here("explain", run_id, "--json")
    assert done.code == 0, done.err
    return done.json


def test_everything_that_can_be_waited_for(waiting: Popen[str], cli: Cli, here: Here) -> None:
    found = explained(here)
    assert (found["engine"], found["command"], found["mail"]) == ("live", None, {})
    by_kind: dict[str, list[Any]] = {}
    for wait in found["waits"]:
        by_kind.setdefault(wait["kind"], []).append(wait)
    counts = {kind: len(waits) for kind, waits in by_kind.items()}
    assert counts == {"tasks": 2, "person": 1, "timer": 14, "retry": 2, "grant": 1, "room": 1, "effect": 1}

    needs, patience = by_kind["tasks"]
    assert (needs["what"], patience["due"] is not None) == ("use needs tasks #1, #2", True)
    (person,) = by_kind["person"]
    assert person["what"] == 'input: "Deploy?"'
    assert person["command"] == f"flowmetal answer {person['run']} ANSWER --action 1"
    effect_again, flow_again = by_kind["retry"]
    assert effect_again["what"].startswith("attempt 2 at read after effect: ")
    assert flow_again["what"] == "attempt 2 after failed: the first time  [waits.flow:18]"
    assert flow_again["number"] is None
    assert all(each["due"] > each["since"] for each in by_kind["retry"] + by_kind["timer"])
    (grant,) = by_kind["grant"]
    assert grant["command"] == f"flowmetal grant w write={cli.folder}"
    assert by_kind["room"][0]["what"] == "nap: at most 1 may be under way (max_parallel)"
    assert by_kind["effect"][0]["what"] == "exec, which is under way"
    assert by_kind["effect"][0]["line"] == "waits.flow:28"

    text = here("explain", "w").out
    head = text.partition("\n\n")[0].splitlines()
    assert head[0] == "w waits for 20 things:"
    assert f"    to answer: {person['command']}" in head
    assert f"    to allow it: {grant['command']}" in head
    assert any(line.startswith("  14 timers (the first due at ") for line in head)
    assert text.count("nap  [waits.flow:") < 8, "many alike are counted"
    assert "… and 10 more nap: 10 timers (the first due at " in text
    part = here("explain", person["run"]).out.splitlines()
    assert part[0].startswith(f'{person["run"]} waits for a person: input: "Deploy?", since ')
    assert part[1] == f"  to answer: {person['command']}"

    # Its engine dies: the lock says so at once, and what it waits for is the same.
    os.kill(waiting.pid, signal.SIGKILL)
    waiting.communicate()
    dead = explained(here)
    assert (dead["engine"], dead["command"]) == ("dead", "flowmetal resume w")
    assert dead["answer"][0].startswith("nobody drives w: the process that did has died; nothing has happened since ")
    assert dead["answer"][1] == "  to go on: flowmetal resume w"
    assert [each["kind"] for each in dead["waits"]] == [each["kind"] for each in found["waits"]]
    assert "exec, which was under way, and may have run" in here("explain", "w").out
    here("answer", person["run"], "yes", "--quiet")
    assert "  an answer waits to be read by whoever drives it" in explained(here)["answer"]
    here("pause", "w", "--reason", "the night")
    held = explained(here)
    assert (held["engine"], held["command"]) == ("paused", "flowmetal resume w")
    assert held["answer"][0].endswith(": the night")
    here("cancel", "w")
    over = explained(here)
    assert (over["engine"], over["waits"]) == ("ended", [])
    assert over["answer"][0].startswith("w has ended: cancelled, at ")


def test_a_run_that_waits_for_another(cli: Cli, here: Here) -> None:
    """A key that another run holds; that one is named."""
    cli.file(
        "key.flow",
        'def _nap_impl(fctx):\n    fctx.actions.sleep("1h")\n\nnap = flow(_nap_impl)\n'
        'if __name__ == "__flow__":\n    options(nap, idempotency_key = "k")()\n',
    )
    first = cli.start("run", "key.flow", "--id", "first")
    until(lambda: "timer" in str(here("explain", "first", "--json").out))
    second = cli.start("run", "key.flow", "--id", "second")
    until(lambda: "holds its key" in here("explain", "second").out)
    head = here("explain", "second").out.splitlines()
    assert head[0].startswith("second waits for another run: nap: first holds its key and has no result yet, since ")
    assert head[1] == "  why that is: flowmetal explain first"
    for process in (first, second):
        process.send_signal(signal.SIGINT)
        cli.end(process)
    stopped = explained(here, "first")
    assert (stopped["engine"], stopped["answer"][0].startswith("nobody drives first: it was interrupted")) == (
        "none",
        True,
    )


def test_a_run_that_cleans_up(cli: Cli, here: Here) -> None:
    """What it waited for before it was cancelled holds it up no more; nothing goes on by itself without an engine."""
    cli.file(
        "tidy.flow",
        'def _nap_impl(fctx):\n    fctx.actions.sleep("1h")\n\nnap = flow(_nap_impl)\n'
        "def _main_impl(fctx):\n    fctx.actions.defer(nap)\n    fctx.actions.input('?')\n\nmain = flow(_main_impl)\n",
    )
    process = cli.start("run", "tidy.flow:main", "--id", "t")
    until(lambda: '"person"' in here("explain", "t", "--json").out)
    cancel = cli.start("cancel", "t")
    until(lambda: '"timer"' in here("explain", "t", "--json").out)
    found = explained(here, "t")
    assert [each["kind"] for each in found["waits"]] == ["timer"]
    assert found["answer"][:2] == ["t is being ended and cleans up", "  to end it at once: flowmetal cancel t --now"]
    assert "nothing needs to be done" in here("explain", "t").out
    process.kill()
    process.communicate()
    assert "t is cleaning up, but nobody drives it now; that goes on with: flowmetal resume t" in cli.end(cancel).err
    assert "nothing needs to be done" not in here("explain", "t").out
    cut_off = "t is cancelled at once: it was cleaning up, and what was left of that is not done\n"
    assert here("cancel", "t").err == cut_off


def test_what_there_is_not(here: Here, cli: Cli) -> None:
    cli.file("short.flow", 'if __name__ == "__flow__":\n    print(1)\n')
    here("run", "short.flow", "--id", "short")
    assert (here("explain", "shot").code, "short" in here("explain", "shot").err) == (2, True)
    assert here("explain", "short").out.startswith("short has ended: ok, at ")
