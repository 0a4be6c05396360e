"""Lives: a run that continues as new keeps its id and what it owes to others, and nothing else of what was before."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowmetal.actions.registry import STANDARD, Registry
from flowmetal.engine.ledger import COMMIT_DELAY_SECONDS
from flowmetal.journal import events, lives
from flowmetal.journal.writer import Writer
from flowmetal.testing.harness import Lab, failure_of, in_loop, make_lab, value_of
from flowmetal.values import pack, unpack
from tests.engine.test_policies import main_of


def loop_of(body: str, settings: str = "") -> str:
    """A flow ``loop(n)`` whose lives go on from 0, called by ``main``; ``a`` are the actions."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    text = f"def _loop(fctx):\n    a, n = fctx.actions, fctx.args.n\n{lines}\n\n"
    text += f'loop = flow(_loop, args = {{"n": args.int(default = 0)}}{settings})\n\nstep = flow(lambda fctx, x: x)\n\n'
    return text + main_of("return unwrap(loop())")


def sizes(lab: Lab) -> tuple[int, int, int]:
    """Runs, events and payloads of a home."""
    with lab.store.view() as view:
        counts = [sum(1 for _ in view.scan(table)) for table in ("runs", "events", "blobs")]
    return counts[0], counts[1], counts[2]


COUNTED = """
unwrap(step("x"))
a.run(step, "y")
unwrap(a.write("f", "x" * 20000))
if n == {}:
    return n
a.continue_as_new(n = n + 1)
"""


def test_what_is_kept_does_not_grow_with_the_lives(lab: Lab) -> None:
    """Neither runs nor events nor payloads; and whatever is left is sound."""
    assert value_of(lab.run(loop_of(COUNTED.format(1)), "one")) == 1
    first = sizes(lab)
    assert value_of(lab.run(loop_of(COUNTED.format(30)), "many")) == 30
    both = sizes(lab)
    assert [total - each for total, each in zip(both, first, strict=True)] == list(first)
    header = lab.journal.require("many.1.1")
    assert (header.life, header.attempt) == (31, 1)
    assert [event.kind for event in lab.events("many.1.1")][:2] == ["started", "continued"]
    assert list(lab.journal.verify()) == []
    other = make_lab(lab.home.parent / "other")
    assert other.journal.import_run(lab.journal.export_run("many")).is_finished
    assert list(other.journal.verify()) == []
    other.store.close()


def test_many_lives_stay_below_the_limit_of_a_journal(lab: Lab) -> None:
    lab.limits = replace(lab.limits, journal_bytes_per_run=200_000)
    assert value_of(lab.run(loop_of(COUNTED.format(30)))) == 30


def test_no_key_ever_comes_twice(lab: Lab) -> None:
    """Of effects of the run, of its children in each life, and of the run itself."""
    seen: list[str] = []

    def note(_allowed: Any, _args: Any, context: Any) -> None:
        seen.append(context.idempotency_key)

    effect = replace(STANDARD["read"], mode="inline", perform=note)
    lab.registry = Registry([effect if each.name == "read" else each for each in STANDARD.values()])
    text = loop_of("""
a.read("own")
child()
a.wait(a.run(child))
a.read(fctx.idempotency_key, idempotency_key = fctx.idempotency_key)
if n < 4:
    a.continue_as_new(n = n + 1)
""").replace("step = flow", "child = flow(lambda fctx: fctx.actions.read('child'))\nstep = flow")
    value_of(lab.run(text))
    assert len(seen) == 20
    assert len(set(seen)) == 20


def test_a_new_attempt_within_a_life_counts_on_too(lab: Lab) -> None:
    """Also one that ended before its first action; and each life has its own tries."""
    text = loop_of(
        """
print("life", n, "attempt", fctx.attempt)
if fctx.attempt == 1:
    fail("before the first action")
a.now()
if fctx.attempt == 2:
    fail("after it")
if n < 2:
    a.continue_as_new(n = n + 1)
return [n, fctx.attempt]
""",
        ', retries = 2, retry_delay = "1ms"',
    )
    assert value_of(lab.run(text)) == [2, 3]
    numbers = [event.fields["number"] for event in lab.events("r.1.1") if event.kind == "action"]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 2 * 3


@pytest.mark.parametrize("hot_runs", [1, 128])
def test_callers_wait_through_all_lives_hot_or_cold(lab: Lab, hot_runs: int) -> None:
    """A blocking call that began on its caller's thread, and tasks beside it."""
    lab.limits = replace(lab.limits, hot_runs=hot_runs)
    body = 'a.sleep("1ms")\nif n < 3:\n    a.continue_as_new(n = n + 1)\nreturn n'
    text = loop_of(body).replace(
        "return unwrap(loop())",
        "tasks = [a.run(loop, n) for n in range(4)]\n    return [unwrap(loop(2)), [it.value for it in a.wait(tasks)]]",
    )
    assert value_of(lab.run(text)) == [3, [3, 3, 3, 3]]


def test_what_is_open_is_waited_for(lab: Lab) -> None:
    body = """
task = a.run(effects.append, "log.txt", "%d\\n" % n)
a.run(effects.read, "there-is-none")
if n < 3:
    a.continue_as_new(n = n + 1)
"""
    value_of(lab.run(loop_of(body)))
    assert (lab.base / "log.txt").read_text() == "0\n1\n2\n3\n"


def test_a_safe_point_counts_the_actions_of_a_life(lab: Lab) -> None:
    body = """
for n in range(n, 50):
    a.safe_point(n = n)
    if a.random() < 0:
        return None
return fctx.run_id
"""
    assert value_of(lab.run(loop_of(body, ", continue_every = 7"))) == "r.1.1"
    assert lab.journal.require("r.1.1").life == 50 // 7 + (50 % 7 > 0)
    assert value_of(lab.run(loop_of(body), "never")) == "never.1.1"
    assert lab.journal.require("never.1.1").life == 1
    other = loop_of(body).replace("unwrap(loop())", "unwrap(options(loop, continue_every = 5)())")
    value_of(lab.run(other, "by_options"))
    assert lab.journal.require("by_options.1.1").life == 10


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("a.continue_as_new(m = 1)", "`continue_as_new`: loop has no argument `m` (it takes: n)"),
        ("a.continue_as_new(n = 'x')", "`continue_as_new`: "),
        ("a.safe_point(n = 'x')", "`safe_point`: "),
        ("a.continue_as_new(n = a.run(step, 1))", "takes values, not Tasks"),
        ("a.continue_as_new(n = print)", "cannot cross a boundary"),
    ],
)
def test_what_no_life_can_begin_with_is_err_in_this_one(lab: Lab, body: str, says: str) -> None:
    failure = failure_of(lab.run(loop_of(body)))
    assert failure.kind == "error"
    assert says in failure.message


def test_the_body_of_a_file_has_no_lives(lab: Lab) -> None:
    failure = failure_of(lab.run('if __name__ == "__flow__":\n    continue_as_new()\n'))
    assert "the body of a file has no arguments" in failure.message


def test_a_time_limit_is_for_all_lives(lab: Lab) -> None:
    body = 'a.sleep("30ms")\na.continue_as_new(n = n + 1)'
    started = time.monotonic()
    failure = failure_of(lab.run(loop_of(body, ', timeout = "400ms"')))
    assert failure.kind == "timeout"
    assert time.monotonic() - started > 0.4
    assert lab.journal.require("r.1.1").life > 2


def test_killed_and_resumed_it_goes_on_in_its_life(lab: Lab) -> None:
    body = """
a.append("log.txt", "%d\\n" % n)
if n < 3:
    a.continue_as_new(n = n + 1)
a.sleep("200ms")
return [n, a.now() > fctx.started_at]
"""

    async def begin() -> None:
        with lab.engine() as engine:
            await lab.start(engine, loop_of(body))
            while (header := lab.journal.header("r.1.1")) is None or header.life < 4:
                await asyncio.sleep(COMMIT_DELAY_SECONDS)

    in_loop(begin)
    assert value_of(lab.resume()) == [3, True]
    assert sorted((lab.base / "log.txt").read_text().split()) == ["0", "1", "2", "3"]


def test_a_rerun_takes_nothing_over_from_a_later_life(lab: Lab) -> None:
    """What is left of the other run is of its last life, whose calls may look alike."""
    body = """
found = unwrap(a.read("f"))
if n < 2:
    a.continue_as_new(n = n + 1)
return found
"""
    (lab.base / "f").write_text("old")
    text = loop_of(body)
    name = "loop"
    assert value_of(lab.run(text, "one", name=name)) == "old"
    (lab.base / "f").write_text("new")
    assert value_of(lab.run(text, "two", name=name, rerun_of="one")) == "new"
    assert lab.journal.require("two").life == 3


def test_messages_that_nobody_read_and_what_is_exposed_stay(lab: Lab) -> None:
    """On the journal alone: what is cut, and what is not."""
    value_of(lab.run(main_of("return a.now()")))
    writer = Writer(lab.store)
    writer.raise_sequence(lab.journal.tree_last_sequence("r"))
    key = b"r.1"
    kept = [writer.append(key, events.signal(1, "wait", pack([1])))]
    writer.append(key, events.action(1, 50, "expose", pack(["state", 1]), "", value=pack(None)))
    kept.append(writer.append(key, events.action(1, 51, "expose", pack(["other", 1]), "", value=pack(None))))
    kept.append(writer.append(key, events.action(1, 52, "expose", pack(["state", 2]), "", value=pack(None))))
    writer.append(key, events.action(1, 53, "sleep", pack([1]), ""))
    kept.append(writer.append(key, events.grants(1, {})))
    last = writer.append(key, events.continued(1, 53, 2, pack([[], []])))
    removed: list[int] = []
    writer.decide(lambda update: removed.append(lives.cut(update, "r.1", last)))
    writer.commit()
    found = [(sequence, event.kind) for sequence, event in lab.journal.history("r.1")]
    assert found[0][1] == "started"
    assert [sequence for sequence, _ in found[1:]] == [*kept, last]
    assert removed[0] > 0


def test_messages_are_read_once_in_order_over_all_lives(lab: Lab) -> None:
    """One a life, all of them sent at first; what is shown is shown by every life until it is replaced."""
    body = """
seen = fctx.args.seen + [unwrap(a.receive("word"))]
if n == 0:
    a.expose("first", seen[0])
    a.expose("long", "x" * 20000)
a.expose("latest", n)
if n < 4:
    a.continue_as_new(n = n + 1, seen = seen)
return seen
"""
    text = loop_of(body).replace("args.int(default = 0)}", 'args.int(default = 0), "seen": args.list(default = [])}')
    sending = """task = a.run(loop)
    for n in range(5):
        unwrap(a.signal("r.1.1", "word", n))
    return unwrap(a.wait(task))"""
    text = text.replace("return unwrap(loop())", sending)
    assert value_of(lab.run(text)) == [0, 1, 2, 3, 4]
    shown = [event.fields["args"] for event in lab.events("r.1.1") if event.fields.get("callee") == "expose"]
    names = [unpack(lab.journal.payload("r.1.1", args))[0] for args in shown]
    assert names == ["first", "long", "latest", "latest"], "of each the last before this life, and its own"
    assert lab.journal.require("r.1.1").life == 5
    assert list(lab.journal.verify()) == []


def test_cleanups_are_run_at_the_end_of_their_life(lab: Lab) -> None:
    """As at the end of the flow; one that fails spoils it, and there is no next life."""
    body = """
a.defer(tidy, [n])
unwrap(a.append("log.txt", "life %d\\n" % n))
if n < 2:
    a.continue_as_new(n = n + 1)
"""
    tidy = (
        'def _tidy(fctx, n):\n    unwrap(fctx.actions.append("log.txt", "tidy %d\\n" % n))\n    {}\n\n'
        "tidy = flow(_tidy)\n\n"
    )
    value_of(lab.run(tidy.format("return n") + loop_of(body), "well"))
    assert (lab.base / "log.txt").read_text() == "".join(f"life {n}\ntidy {n}\n" for n in range(3))
    failure = failure_of(lab.run(tidy.format("fail('no')") + loop_of(body), "badly"))
    assert failure.message == "a cleanup failed"
    assert lab.journal.require("badly.1.1").life == 1


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_two_hundred_thousand_actions_take_the_memory_of_twenty_thousand(lab: Lab) -> None:
    """Of the engine, of its worker, and in the journal; what is measured at the end of a life is the worst of it."""
    body = """
for n in range(n, {count}, 10):
    a.safe_point(n = n)
    for _ in range(8):
        a.random()
    unwrap(child(n))
a.sleep("50ms")
return n
"""
    child = "def _child(fctx, n):\n    fctx.actions.uuid()\n    return n\n\nchild = flow(_child)\n\n"

    def measured(count: int) -> tuple[int, int, tuple[int, int, int]]:
        text = child + loop_of(body.replace("{count}", str(count)), ", continue_every = 1000")
        run_id = f"r{count}"
        before = sizes(lab)

        async def life() -> tuple[int, int]:
            with lab.engine() as engine:
                await lab.start(engine, text, run_id)
                while (header := lab.journal.header(f"{run_id}.1.1")) is None or header.wake_at_ms is None:
                    await asyncio.sleep(0.01)
                (pid,) = engine.worker_pids()
                resident = private_bytes(pid), private_bytes(os.getpid())
                value_of(await asyncio.wait_for(engine.outcome(run_id), 60))
                await engine.stop()
                return resident

        after_life = in_loop(life)
        rows = sizes(lab)
        return *after_life, (rows[0] - before[0], rows[1] - before[1], rows[2] - before[2])

    measured(2_000)
    worker, engine, rows = measured(20_000)
    more_worker, more_engine, more_rows = measured(200_000)
    assert more_rows[1] < rows[1] + 2_000
    assert more_worker < worker + 8 * 2**20
    assert more_engine < engine + 8 * 2**20


def private_bytes(pid: int) -> int:
    """Resident memory of a process without pages of files."""
    resident, of_files = (int(word) for word in Path(f"/proc/{pid}/statm").read_text().split()[1:3])
    return (resident - of_files) * os.sysconf("SC_PAGE_SIZE")
