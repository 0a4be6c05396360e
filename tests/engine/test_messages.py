"""Messages between runs and from outside, what runs expose, and the state that a home's runs share."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowmetal.actions.services import Services
from flowmetal.alarm_clock import SimulatedClock
from flowmetal.engine.engine import Engine
from flowmetal.errors import QuotaError
from flowmetal.journal import messages
from flowmetal.journal.journal import Journal
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.settings import Limits
from flowmetal.testing.harness import Lab, failure_of, in_loop, make_lab, value_of
from flowmetal.testing.workers import Evictor
from flowmetal.values import Wire, ok, pack, unpack

GUARD = """
if __name__ == "__flow__":
    main()
"""

COUNTING = """
def _main(fctx, count = 10000):
    seen = [unwrap(fctx.actions.receive("n")) for _ in range(count)]
    fctx.actions.expose("seen", len(seen))
    return seen == list(range(count)), len(seen)

main = flow(_main)
"""


def main_of(body: str) -> str:
    """A file whose body runs the flow ``main``, of these lines; ``a`` are the actions."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return f"def _main(fctx):\n    a = fctx.actions\n{lines}\nmain = flow(_main)\n{GUARD}"


def send(lab: Lab, run_id: str, name: str, value: Wire = None) -> None:
    messages.send_signal(lab.store, run_id, name, pack(value))


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def end_of(engine: Engine, run_id: str = "r") -> Wire:
    return value_of(await asyncio.wait_for(engine.outcome(run_id), 30))


# -- receiving -----------------------------------------------------------------------------------------


def test_a_run_that_waits_is_told_of_a_message(lab: Lab) -> None:
    text = main_of('return [unwrap(a.receive("go")), unwrap(a.receive("go"))]')

    async def life() -> Wire:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await until(lambda: lab.journal.require("r").status == "running" and lab.journal.header("r.1") is not None)
            await until(lambda: lab.journal.require("r.1").status == "waiting")
            send(lab, "r.1", "other")
            send(lab, "r.1", "go", {"dict": ["k", [1, 2.5, None]]})
            await until(lambda: sum(event.kind == "result" for event in lab.events("r.1")))
            send(lab, "r.1", "go", "again")
            return await end_of(engine)

    assert in_loop(life) == [{"dict": ["k", [1, 2.5, None]]}, "again"]
    assert [each.name for each in messages.unread(lab.store, "r.1")] == ["other"]
    assert not lab.journal.mail_for(["r"])
    assert list(lab.journal.verify()) == []


def test_a_run_that_nobody_drives_keeps_its_mail(lab: Lab) -> None:
    text = main_of('return [unwrap(a.receive("x")) for _ in range(3)]')

    async def begun() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await until(lambda: lab.journal.header("r.1") is not None)

    in_loop(begun)
    for number in range(3):
        send(lab, "r.1", "x", number)
    assert len(lab.journal.mail_for(["r"])) == 3
    assert value_of(lab.resume()) == [0, 1, 2]
    assert not lab.journal.mail_for(["r"])


def test_names_have_queues_of_their_own_and_who_waits_longest_is_first(lab: Lab) -> None:
    text = main_of(
        """
me = fctx.run_id
for word in ["b1", "a1", "b2", "a2"]:
    unwrap(a.signal(me, word[0], word))
first = [unwrap(a.receive("a")), unwrap(a.receive("b")), unwrap(a.receive("a")), unwrap(a.receive("b"))]
tasks = [a.run(a.receive, "c") for _ in range(4)]
a.cancel(tasks[1])
for number in range(3):
    unwrap(a.signal(me, "c", number))
return first, [it.value if it.ok else it.error.kind for it in a.wait(tasks)]
"""
    )
    assert value_of(lab.run(text)) == {"tuple": [["a1", "b1", "a2", "b2"], [0, "cancelled", 1, 2]]}


def test_a_message_beside_other_tasks(lab: Lab) -> None:
    text = """
def _slow(fctx):
    fctx.actions.sleep("1h")
slow = flow(_slow)

def _main(fctx):
    a = fctx.actions
    tasks = [a.run(slow), a.run(a.receive, "stop")]
    unwrap(a.signal(fctx.run_id, "stop", "now"))
    index, result = a.wait_any(tasks)
    a.cancel(tasks[0])
    return index, unwrap(result)
main = flow(_main)
"""
    assert value_of(lab.run(text + GUARD)) == {"tuple": [1, "now"]}


def test_a_timeout_counts_from_the_first_life(tmp_path: Path) -> None:
    """In simulated time: three hours of patience, of which two go by before the engine ends."""
    lab = make_lab(tmp_path, MemoryStore(), clock=SimulatedClock())
    text = main_of(
        """
late = a.receive("never", timeout = "3h")
return late.error.kind, late.error.message, late.error.details["message"], fctx.started_at, a.now()
"""
    )
    kind, message, name, started, now = value_of(lab.run(text))["tuple"]
    assert (kind, name) == ("timeout", "never")
    assert message == "receive: no message `never` came within 3h"
    assert (int(started[11:13]) + 3) % 24 == int(now[11:13])

    waiting = main_of('return a.receive("never", timeout = "400ms").error.kind, a.now()')
    other = make_lab(tmp_path / "other")

    async def life() -> None:
        with other.engine() as engine:
            await other.start(engine, waiting)
            await until(lambda: other.journal.header("r.1") is not None and len(other.events("r.1")) > 1)

    in_loop(life)
    asked_ms = other.events("r.1")[1].at_ms
    other.clock = SimulatedClock(other.clock.now() + 3_600)
    assert value_of(other.resume())["tuple"][0] == "timeout"
    assert other.events("r.1")[-1].at_ms - asked_ms >= 3_600_000
    other.store.close()


def test_a_run_whose_patience_ended_waits_no_more(lab: Lab) -> None:
    text = "nap = flow(lambda fctx: fctx.actions.sleep('1h'))\n" + main_of('a.receive("x", timeout = "30ms")\nnap()')

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await until(lambda: lab.journal.header("r.1") is not None)
            await until(lambda: lab.journal.require("r.1").status == "waiting")
            await until(lambda: lab.journal.header("r.1.2") is not None)
            assert lab.journal.require("r.1").status == "running"

    in_loop(life)


def test_what_a_timeout_left_unread_comes_next(lab: Lab) -> None:
    text = main_of(
        """
late = a.receive("x", timeout = "1ms")
unwrap(a.signal(fctx.run_id, "x", 1))
return late.error.kind, unwrap(a.receive("x", timeout = "1h"))
"""
    )
    assert value_of(lab.run(text)) == {"tuple": ["timeout", 1]}


def test_a_secret_in_a_message_is_masked_before_the_journal_has_it(lab: Lab) -> None:
    class Held:
        def text(self, name: str) -> str | None:
            return "hunter2-hunter2"

    lab.services, lab.allow = Services(Held()), ("secret=TOKEN@api.example.org",)
    text = main_of('return unwrap(a.receive("x"))')

    async def life() -> Wire:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await until(lambda: lab.journal.header("r.1") is not None)
            send(lab, "r.1", "x", ["it is hunter2-hunter2", 1])
            return await end_of(engine)

    assert in_loop(life) == ["it is [secret TOKEN]", 1]
    assert b"hunter2" not in b"".join(data for _, data in lab.journal.raw_history("r.1", 0, 1 << 20))


# -- order, once, bounds -------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [500, pytest.param(10_000, marks=[pytest.mark.torture, pytest.mark.timeout(300)])])
def test_many_messages_in_order_over_many_engines(lab: Lab, total: int) -> None:
    """Sent in slices while nobody drives the run; each engine ends when its slice is not yet received whole."""
    slices = 5
    per_slice = total // slices

    async def begin() -> None:
        with lab.engine() as engine:
            await lab.start(engine, COUNTING.replace("10000", str(total)), name="main")

    in_loop(begin)
    for index in range(slices):
        with lab.store.update() as update:
            for number in range(index * per_slice, (index + 1) * per_slice):
                messages.post_signal(update, "r", "n", pack(number))
        if index == slices - 1:
            break

        async def some(least: int = index * per_slice + per_slice // 3) -> None:
            with lab.engine() as engine:
                engine.adopt("r")
                await until(lambda: lab.journal.last_number("r") >= least)

        in_loop(some)
    assert value_of(lab.resume()) == {"tuple": [True, total]}
    told = Counter(event.kind for event in lab.events())
    assert (told["signal"], told["result"]) == (total, total)
    read = [event.fields["read"] for event in lab.events() if event.kind == "result"]
    assert read == sorted(set(read))
    with lab.store.view() as view:
        assert messages.waiting(view, "r") == messages.Waiting()


ECHO = """
def _echo(fctx, to):
    fctx.actions.sleep("30ms")
    unwrap(fctx.actions.signal(to, "echo", "back"))
echo = flow(_echo)

"""


def test_an_evicted_run_is_woken_by_its_message(lab: Lab) -> None:
    evictor = Evictor()
    lab.spawn = evictor
    text = ECHO + main_of(
        """
seen = []
for n in range(5):
    unwrap(a.signal(fctx.run_id, "later", n))
    seen.append(unwrap(a.receive("later")))
task = a.run(echo, fctx.run_id)
seen.append(unwrap(a.receive("echo")))
return seen
"""
    )
    assert value_of(lab.run(text)) == [0, 1, 2, 3, 4, "back"]
    assert evictor.evictions > 1


def test_a_sender_learns_that_there_is_no_room(lab: Lab) -> None:
    lab.limits = replace(lab.limits, unread_messages=3, unread_bytes=2_000, message_bytes=1_500)
    text = main_of(
        """
me = fctx.run_id
def sends(value):
    sent = a.signal(me, "x", value)
    return sent.ok or [sent.error.kind, sent.error.message]
told = [sends(n) for n in range(4)]
unwrap(a.receive("x"))
told += [sends("room again"), sends("no more")]
for _ in range(3):
    unwrap(a.receive("x"))
return told, sends("y" * 1500), sends("y" * 1490), sends("y" * 1490)
"""
    )
    told, large, fits, much = value_of(lab.run(text))["tuple"]
    full = ["limit", "signal: the run `r.1` has 3 messages that it has not read, its limit `unread_messages`"]
    assert told == [True, True, True, full, True, full]
    assert large[0] == "limit"
    assert "`message_bytes` is 1500B" in large[1]
    assert fits is True
    assert much[0] == "limit"
    assert "its limit `unread_bytes` is reached" in much[1]


def test_the_limit_holds_from_outside_too(lab: Lab) -> None:
    at_most = 3
    lab.limits = replace(Limits(), unread_messages=at_most)

    async def begin() -> None:
        with lab.engine() as engine:
            await lab.start(engine, COUNTING, name="main")

    in_loop(begin)
    for number in range(at_most):
        send(lab, "r", "n", number)
    with pytest.raises(QuotaError, match=f"has {at_most} messages that it has not read, its limit `unread_messages`"):
        send(lab, "r", "n", at_most)
    assert len(lab.journal.mail_for(["r"])) == at_most


# -- between runs --------------------------------------------------------------------------------------

OTHER = main_of('return unwrap(a.receive("word"))')


def test_to_another_run_it_takes_a_grant(lab: Lab) -> None:
    text = main_of(
        """
refused = a.signal("other.1", "word", 1)
return refused.error.kind, refused.error.message, refused.error.details["option"]
"""
    )

    async def life(allow: tuple[str, ...]) -> Wire:
        lab.allow = allow
        with lab.engine() as engine:
            if lab.journal.header("other") is None:
                await lab.start(engine, OTHER, "other")
                await until(lambda: lab.journal.header("other.1") is not None)
            await lab.start(engine, text, "r" + str(len(allow)))
            return await end_of(engine, "r" + str(len(allow)))

    kind, message, option = in_loop(lambda: life(()))["tuple"]
    assert (kind, option) == ("denied", "--allow signal=other.1")
    assert message == "signal: a message to other.1 is not granted: add --allow signal=other.1"
    assert not lab.journal.mail_for(["other"])


def test_a_message_to_a_run_that_another_engine_drives(lab: Lab) -> None:
    lab.allow = ("signal=oth*",)
    text = main_of('return a.signal("other.1", "word", "hello")')

    async def begin() -> None:
        with lab.engine() as engine:
            await lab.start(engine, OTHER, "other")
            await until(lambda: lab.journal.header("other.1") is not None)

    in_loop(begin)
    assert value_of(lab.run(text)) is None
    assert value_of(lab.resume("other")) == "hello"
    (signal,) = [event for event in lab.events("other.1") if event.kind == "signal"]
    assert (signal.fields["sender"], signal.fields["name"]) == ("r.1", "word")
    failure = failure_of(lab.run(text, "again"))
    assert failure.kind == "effect"
    assert failure.message == "signal: the run `other.1` has finished (ok); it takes no messages"


def test_what_a_run_started_is_its_own_and_a_denial_wins(lab: Lab) -> None:
    text = """
def _far(fctx):
    return unwrap(fctx.actions.receive("word"))
far = flow(_far)

def _main(fctx):
    a = fctx.actions
    there = unwrap(a.start(options(far, id = "far")))
    return a.signal(there, "word", "from home")
main = flow(_main)
"""
    assert value_of(lab.run(text + GUARD)) is None
    assert lab.journal.require("far").started_by == "r.1"

    async def others() -> None:
        with lab.engine() as engine:
            engine.adopt("far")
            assert await end_of(engine, "far") == "from home"

    if not lab.journal.require("far").is_finished:
        in_loop(others)
    assert unpack(lab.journal.payload("far", lab.journal.require("far").result or b"")) == ok("from home")


def test_a_package_needs_a_grant_even_for_its_own_tree(lab: Lab) -> None:
    label = "//lib/spy.flow"  # named in a grant, it is judged as a package is
    lab.allow_for = ((label, "env=HOME"),)
    program = {
        "//main.flow": f"""
load("{label}", "tell")

def _main(fctx):
    sent = tell(fctx, fctx.run_id)
    return sent if not sent.ok else unwrap(fctx.actions.receive("word"))
main = flow(_main)
"""
        + GUARD,
        label: """
def tell(fctx, to):
    return fctx.actions.signal(to, "word", "approved")
""",
    }
    failure = failure_of(lab.run(program))
    assert failure.kind == "denied"
    assert f"--allow-for {label} signal=r.1" in failure.message
    lab.allow, lab.allow_for = ("signal=s",), ((label, "signal=s"),)
    assert value_of(lab.run(program, "s")) == "approved"


WRONG = [
    ('a.signal("nobody", "x")', "effect", "there is no run `nobody`"),
    ('a.signal("no body", "x")', "error", '"no body" is no run id'),
    ('a.signal("nobody", "")', "error", "a message cannot be called"),
    ('a.receive("*")', "error", "a message cannot be called"),
    ('a.receive("x" * 201)', "error", "a message cannot be called"),
    ('a.signal(fctx.run_id, "x", main)', "error", "holds a flow"),
    ('a.signal(fctx.run_id, "x", [{"k": effects.read}])', "error", "holds a effect"),
    ('a.state.get("other")', "denied", "add --allow state=other"),
    ('a.state.set("mine/x", effects.read)', "error", "holds a effect"),
    ('a.state.set("mine/x", 1, expected_version = -1)', "error", "a version is a whole number"),
    ('a.state.set("mine/x", "x" * 300000)', "limit", "the limit `message_bytes` is 256KiB"),
    ('a.state.set("mine/*", 1)', "error", "shared state cannot be called"),
]


def test_what_is_wrong_is_said(lab: Lab) -> None:
    lab.allow = ("signal=nobody", "state=mine/*")
    calls = ", ".join(call for call, _, _ in WRONG)
    told = value_of(lab.run(main_of(f"return [[it.error.kind, it.error.message] for it in [{calls}]]")))
    for (call, kind, message), (its_kind, its_message) in zip(WRONG, told, strict=True):
        assert its_kind == kind, call
        assert message in its_message, call


# -- exposing ------------------------------------------------------------------------------------------


def test_what_is_exposed_is_recorded_once(lab: Lab) -> None:
    text = main_of(
        """
for n in range(3):
    a.expose("n", n)
a.sleep("1ms")
a.expose("done", {"large": "x" * 20000})
"""
    )
    lab.run(text)
    shown = [
        unpack(lab.journal.payload("r.1", event.fields["args"]))
        for event in lab.events("r.1")
        if event.fields.get("callee") == "expose"
    ]
    assert shown[:3] == [["n", 0], ["n", 1], ["n", 2]]
    assert len(shown) == 4
    assert shown[3][0] == "done"
    assert failure_of(lab.run(main_of('a.expose("a b", 1)'), "bad")).kind == "error"


# -- shared state --------------------------------------------------------------------------------------


def test_two_engines_lose_no_update(lab: Lab) -> None:
    """Each reads, computes and sets, and begins again at a conflict."""
    lab.allow = ("state=sum",)
    text = main_of(
        """
for n in range(20):
    for _ in range(1000):
        seen = unwrap(a.state.get("sum"))
        if a.state.set("sum", (seen.value or 0) + 1, expected_version = seen.version).ok:
            break
return "done"
"""
    )

    async def life() -> None:
        with lab.engine() as first, lab.engine() as second:
            for number, engine in enumerate([first, second, first, second]):
                await lab.start(engine, text, f"r{number}")
            for number, engine in enumerate([first, second, first, second]):
                assert await end_of(engine, f"r{number}") == "done"

    in_loop(life)
    seen = value_of(lab.run(main_of('return unwrap(a.state.get("sum"))'), "last"))
    assert seen == {"struct": ["value", 80, "version", 80]}
    assert list(lab.journal.verify()) == []


def test_state_stays_when_its_run_goes(lab: Lab) -> None:
    lab.allow = ("state=*",)
    assert value_of(lab.run(main_of('return unwrap(a.state.set("x/y", [1]))'))) == 1
    data = lab.journal.export_run("r")
    assert lab.journal.gc(0).roots == 1
    assert value_of(lab.run(main_of('return unwrap(a.state.get("x/y")).value'), "s")) == [1]
    lab.journal.import_run(data)
    assert list(lab.journal.verify()) == []


def test_a_run_takes_its_unread_messages_to_another_home(lab: Lab, tmp_path: Path) -> None:
    async def begin() -> None:
        with lab.engine() as engine:
            await lab.start(engine, main_of('a.receive("a")\nreturn unwrap(a.receive("b"))'))
            await until(lambda: lab.journal.header("r.1") is not None)
            send(lab, "r.1", "b", "x" * 30_000)
            await until(lambda: any(event.kind == "signal" for event in lab.events("r.1")))

    in_loop(begin)
    data = lab.journal.export_run("r")
    other = make_lab(tmp_path / "other")
    journal: Journal = other.journal
    journal.import_run(data)
    with other.store.view() as view:
        assert messages.waiting(view, "r.1") == messages.Waiting(1, len(pack("x" * 30_000)))
    send(other, "r.1", "a")
    assert value_of(other.resume()) == "x" * 30_000
    assert list(journal.verify()) == []
    other.store.close()


def test_what_an_engine_knew_of_a_run_that_it_let_go_is_not_believed_later(lab: Lab) -> None:
    """Between a worker's death and the next worker nobody evaluates the run; another engine then reads a message."""
    text = main_of(
        """
first = unwrap(a.receive("n"))
total = 0
for n in range(600000):
    total += n
second = unwrap(a.receive("n"))
unwrap(a.receive("go"))
return [first, second, unwrap(a.receive("n"))]
"""
    )

    async def life() -> Wire:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await until(lambda: lab.journal.header("r.1") is not None)
            for number in range(3):
                send(lab, "r.1", "n", number)
            await until(lambda: sum(event.kind == "result" for event in lab.events("r.1")) == 1)
            (pid,) = engine.worker_pids()
            os.kill(pid, signal.SIGKILL)
            while engine.worker_pids() == [pid]:
                await asyncio.sleep(0)
            engine.pause("r", "to see who remembers what")
            assert (await engine.outcome("r")).error is not None
            with lab.engine() as other:
                other.adopt("r")
                await until(lambda: sum(event.kind == "result" for event in lab.events("r.1")) == 2)
            engine.adopt("r")
            send(lab, "r.1", "go")
            return await end_of(engine)

    assert in_loop(life) == [0, 1, 2]


def test_a_cancelled_receive_is_in_no_doubt_and_takes_no_message(lab: Lab) -> None:
    text = main_of(
        """
task = a.run(a.receive, "n")
a.sleep("1ms")
a.cancel(task)
unwrap(a.signal(fctx.run_id, "n", 1))
return [a.wait(task).error.details, unwrap(a.receive("n"))]
"""
    )
    assert value_of(lab.run(text)) == [{"dict": []}, 1]
