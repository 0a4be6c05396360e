"""Trying again: effects and flows, pauses and times, what a new attempt takes over, what a kill in between does."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from flowmetal.actions.effect import EffectFailure
from flowmetal.actions.registry import STANDARD, Registry
from flowmetal.actions.services import Services
from flowmetal.alarm_clock import SystemClock
from flowmetal.testing.effects import scripted
from flowmetal.testing.harness import Lab, failure_of, in_loop, value_of


def main_of(body: str) -> str:
    """A file whose flow ``main`` has this body, in which ``a`` are the actions."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    head = "def _main(fctx):\n    a = fctx.actions"
    tail = 'main = flow(_main)\n\nif __name__ == "__flow__":\n    main()'
    return f"{head}\n{lines}\n\n{tail}\n"


class Flaky:
    """Fails its first times; counts its calls by argument."""

    def __init__(self, failures: int, kind: str = "effect", **details: object) -> None:
        self.calls: Counter[str] = Counter()
        self._failures, self._kind, self._details = failures, kind, details

    def __call__(self, args: Any) -> str:
        path = args["path"]
        self.calls[path] += 1
        if self.calls[path] <= self._failures:
            raise EffectFailure(f"time {self.calls[path]}", kind=self._kind, details=self._details)
        return f"{path} at {self.calls[path]}"


def attempts(lab: Lab, run_id: str = "r.1") -> list[dict[str, Any]]:
    """What was planned or begun again; that a planned one began is left out."""
    found = [dict(event.fields) for event in lab.events(run_id) if event.kind == "attempt"]
    return [each for each in found if "reason" in each or each["repeated"]]


@pytest.mark.parametrize(
    ("settings", "failures", "kind", "calls", "ends"),
    [
        ("", 1, "effect", 1, "effect"),
        ("retries = 2", 2, "effect", 3, "ok"),
        ("retries = 1", 2, "effect", 2, "effect"),
        ("retries = 0", 1, "effect", 1, "effect"),
        ('retries = 5, give_up_on = ["effect"]', 1, "effect", 1, "effect"),
        ('retries = 5, retry_on = ["timeout"]', 1, "effect", 1, "effect"),
        ('retries = 5, retry_on = ["limit"]', 3, "limit", 4, "ok"),
        ("retries = 5", 1, "limit", 1, "limit"),
        ("retries = 5", 1, "error", 1, "error"),
        ('retries = 5, retry_on = ["error"]', 1, "error", 2, "ok"),
    ],
)
@pytest.mark.parametrize("mode", ["inline", "thread", "async"])
def test_effects_are_tried_again_by_their_policy(
    lab: Lab, mode: Any, settings: str, failures: int, kind: str, calls: int, ends: str
) -> None:
    flaky = Flaky(failures, kind)

    async def later(args: Any) -> str:
        await asyncio.sleep(0)
        return flaky(args)

    lab.registry = scripted(mode, read=later if mode == "async" else flaky)
    call = f'a.read("f", retry_delay = "1ms", {settings})'
    assert value_of(lab.run(main_of(f'r = {call}\nreturn "ok" if r.ok else r.error.kind'))) == ends
    assert flaky.calls["f"] == calls
    assert [each["attempt"] for each in attempts(lab)] == list(range(2, calls + 1))
    assert all(each["reason"].startswith(f"{kind}: time ") for each in attempts(lab))
    assert list(lab.journal.verify()) == []


def test_pauses_grow_and_are_recorded(lab: Lab) -> None:
    lab.registry = scripted("inline", read=Flaky(4))
    text = 'return unwrap(a.read("f", retries = 4, retry_delay = "10ms", max_retry_delay = "30ms"))'
    assert value_of(lab.run(main_of(text))) == "f at 5"
    events = [event for event in lab.events("r.1") if event.kind == "attempt" and "due_ms" in event.fields]
    assert [event.fields["due_ms"] - event.at_ms for event in events] == [10, 20, 30, 30]


def test_who_asks_to_be_left_alone_is(lab: Lab) -> None:
    lab.registry = scripted("inline", read=Flaky(1, retry_after_seconds=0.15))
    assert value_of(lab.run(main_of('return unwrap(a.read("f", retries = 1, retry_delay = 0))'))) == "f at 2"
    (event,) = [event for event in lab.events("r.1") if event.kind == "attempt" and "due_ms" in event.fields]
    assert event.fields["due_ms"] - event.at_ms == 150


@pytest.mark.parametrize("mode", ["thread", "async"])
def test_an_attempt_has_its_time(lab: Lab, mode: Any) -> None:
    """One that is too slow is cut off and may be tried again; what it would have given does not count."""
    begun: list[str] = []
    gate = threading.Event()

    def slow(args: Any) -> str:
        begun.append("t")
        if len(begun) == 1:
            gate.wait(10)
        return f"try {len(begun)}"

    async def slow_async(args: Any) -> str:
        begun.append("t")
        if len(begun) == 1:
            await asyncio.sleep(60)
        return f"try {len(begun)}"

    lab.registry = scripted(mode, read=slow_async if mode == "async" else slow)
    text = main_of('return unwrap(a.read("f", timeout = "100ms", retries = 1, retry_delay = 0))')
    timer = threading.Timer(2.0, gate.set)
    timer.start()
    assert value_of(lab.run(text)) == "try 2"
    timer.join()
    assert attempts(lab)[0]["reason"].startswith("timeout: read was not done after 100ms")


def test_all_attempts_have_their_time(lab: Lab) -> None:
    lab.registry = scripted("inline", read=Flaky(10**6))
    text = (
        'return a.read("f", retries = 1000000, retry_delay = "30ms", backoff = "constant", schedule_timeout = "200ms")'
    )
    failure = failure_of(lab.run(main_of(text)))
    assert (failure.kind, failure.chain()[-1].kind) == ("timeout", "effect")
    assert 2 <= len(attempts(lab)) <= 7


def test_a_kill_between_attempts_goes_on_counting(lab: Lab) -> None:
    flaky = Flaky(2)
    lab.registry = scripted("inline", read=flaky)
    text = main_of('return unwrap(a.read("f", retries = 2, retry_delay = "300ms", backoff = "constant"))')

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while flaky.calls["f"] < 1:
                await asyncio.sleep(0.005)

    in_loop(life)
    assert value_of(lab.resume()) == "f at 3"
    # It was not under way when the engine ended, so nothing may have run that the journal does not know.
    assert [(each["attempt"], each["repeated"]) for each in attempts(lab)] == [(2, False), (3, False)]


@pytest.mark.parametrize(("setting", "kind", "calls"), [("", None, 2), ('interrupted = "never"', "interrupted", 1)])
def test_what_was_under_way_at_a_kill_is_repeated_or_not(lab: Lab, setting: str, kind: str | None, calls: int) -> None:
    begun: list[str] = []

    async def stuck(args: Any) -> str:
        begun.append("t")
        if len(begun) == 1:
            await asyncio.sleep(60)
        return "done"

    lab.registry = scripted("async", read=stuck)
    text = main_of(f'return a.read("f", {setting})')

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while not begun:
                await asyncio.sleep(0.005)
            await engine.stop()

    in_loop(life)
    outcome = lab.resume()
    assert (value_of(outcome) if kind is None else failure_of(outcome).kind) == (kind or "done")
    assert len(begun) == calls


# -- people --------------------------------------------------------------------------------------------


def answered(lab: Lab, text: str, number: int, answers: list[str]) -> Any:
    """The value of a run whose question is answered from outside, by mail, in an engine after the one that asked."""

    async def ask() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while not any(event.kind == "asked" for event in lab.events("r.1")):
                await asyncio.sleep(0.005)
            await engine.stop()

    in_loop(ask)
    for answer in answers:
        lab.journal.post("r.1", {"kind": "answer", "number": number, "text": answer})
    return lab.resume()


def test_a_question_waits_for_its_answer_over_a_kill(lab: Lab) -> None:
    assert value_of(answered(lab, main_of('return unwrap(a.input("why? "))'), 1, ["because", "late"])) == "because"
    assert [event.kind for event in lab.events("r.1")].count("asked") == 1


def test_a_person_decides_about_what_was_interrupted(lab: Lab) -> None:
    begun: list[str] = []

    async def stuck(args: Any) -> str:
        begun.append("t")
        if len(begun) == 1:
            await asyncio.sleep(60)
        return "done"

    lab.registry = scripted("async", read=stuck)
    text = main_of('return a.read("f", interrupted = "ask")')

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while not begun:
                await asyncio.sleep(0.005)
            await engine.stop()

    in_loop(life)

    async def asked() -> None:
        with lab.engine() as engine:
            engine.adopt("r")
            while not any(event.kind == "asked" for event in lab.events("r.1")):
                await asyncio.sleep(0.005)
            assert len(begun) == 1

    in_loop(asked)
    lab.journal.post("r.1", {"kind": "answer", "number": 1, "text": "repeat"})
    assert value_of(lab.resume()) == "done"
    assert len(begun) == 2


def test_a_denied_effect_can_wait_for_its_grant(lab: Lab) -> None:
    lab.allow = ()
    (lab.base / "f").write_text("text")

    async def life() -> Any:
        with lab.engine() as engine:
            await lab.start(engine, main_of('return unwrap(a.read("f"))'), on_deny="wait")
            while not any(event.kind == "asked" for event in lab.events("r.1")):
                await asyncio.sleep(0.005)
            (asked,) = [event.fields for event in lab.events("r.1") if event.kind == "asked"]
            assert asked["reason"] == "grant"
            assert "--allow read=" in asked["text"]
            lab.allow = ("read=.",)
            lab.journal.post("r", {"kind": "grant", "grants": lab.grants().to_data()})
            outcome = await asyncio.wait_for(engine.outcome("r"), 30)
            await engine.stop()
            return outcome

    assert value_of(in_loop(life)) == "text"
    (result,) = [event.fields for event in lab.events("r.1") if event.kind == "result"]
    assert result["by"] == [f"read={lab.base}"]


# -- flows ---------------------------------------------------------------------------------------------

RETRIED = """
def _step(fctx, name):
    return unwrap(fctx.actions.read(name))

step = flow(_step)
pure = flow(lambda fctx, x: x + 1)

def _work(fctx):
    a = fctx.actions
    seen = [a.random(), fctx.attempt]
    first = unwrap(a.read("once"))
    again = [unwrap(a.read("twice")), unwrap(a.read("twice"))]
    task = a.run(step, "child")
    both = unwrap(a.wait(a.run(effects.append, "joined", task)))
    n = unwrap(pure(1))
    unwrap(step("fails"))
    return [fctx.attempt, first, again, n]

work = flow(_work, retries = 3, retry_delay = "1ms")

def _main(fctx):
    return unwrap(work())

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


def test_a_new_attempt_of_a_flow_takes_over_what_was_ok(lab: Lab) -> None:
    reads, appends = Flaky(0), Flaky(0)
    fails = Flaky(2)
    lab.registry = scripted(
        "inline", read=lambda args: fails(args) if args["path"] == "fails" else reads(args), append=appends
    )
    value = value_of(lab.run(RETRIED))
    assert value == [3, "once at 1", ["twice at 1", "twice at 2"], 2]
    assert reads.calls == {"once": 1, "twice": 2, "child": 1}
    assert appends.calls == {"joined": 1}
    assert fails.calls == {"fails": 3}
    work = lab.events("r.1.1")
    assert [event.fields["attempt"] for event in work if event.kind == "attempt"] == [2, 3]
    randoms = [event.fields["value"] for event in work if event.kind == "action" and event.fields["callee"] == "random"]
    assert len(set(randoms)) == 3, "random numbers are made anew"
    numbers = [event.fields["number"] for event in work if event.kind in ("action", "child")]
    assert numbers == sorted(set(numbers)), "actions go on counting"
    taken = [event.fields["taken_from"] for event in work if event.kind == "result" and "taken_from" in event.fields]
    assert len(taken) == 2 * 6
    assert list(lab.journal.verify()) == []


def test_a_killed_attempt_is_replayed_and_takes_over_the_same(lab: Lab) -> None:
    """An engine ends in the midst of the second attempt; the third engine sees one history."""
    reads = Flaky(0)
    fails = Flaky(1)
    hold = [True]

    async def read(args: Any) -> str:
        if args["path"] != "fails":
            return reads(args)
        if fails.calls["fails"] == 1 and hold[0]:
            hold[0] = False
            await asyncio.sleep(60)
        return fails(args)

    lab.registry = scripted("async", read=read, append=read)

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, RETRIED)
            while hold[0]:
                await asyncio.sleep(0.005)
            await engine.stop()

    in_loop(life)
    assert value_of(lab.resume()) == [2, "once at 1", ["twice at 1", "twice at 2"], 2]
    assert reads.calls == {"once": 1, "twice": 2, "child": 1, "joined": 1}
    assert list(lab.journal.verify()) == []


def test_a_flow_has_its_time_and_is_tried_again(lab: Lab) -> None:
    text = """
def _slow(fctx):
    if fctx.attempt == 1:
        fctx.actions.sleep("1h")
    return fctx.attempt

slow = flow(_slow, timeout = "100ms")

def _main(fctx):
    return [slow().error.kind, unwrap(options(slow, retries = 1, retry_delay = 0)())]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    assert value_of(lab.run(text)) == ["timeout", 2]


def test_a_flow_that_is_run_by_name_is_tried_again(lab: Lab) -> None:
    lab.registry = scripted("inline", read=Flaky(2))
    text = 'again = flow(lambda fctx: fctx.actions.read("f"), name = "again", retries = 2, retry_delay = "1ms")\n'
    assert value_of(lab.run(text, name="again")) == "f at 3"
    header = lab.journal.header("r")
    assert header is not None
    assert header.attempt == 3


def test_a_cancelled_flow_is_not_tried_again(lab: Lab) -> None:
    text = """
waits = flow(lambda fctx: fctx.actions.sleep("1h"), retries = 5)
fails = flow(lambda fctx: fail("no"), retries = 5, retry_delay = "1h")

def _main(fctx):
    a = fctx.actions
    tasks = [a.run(waits), a.run(fails)]
    a.sleep("100ms")
    for task in tasks:
        a.cancel(task)
    return [a.wait(task).error.kind for task in tasks]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    assert value_of(lab.run(text)) == ["cancelled", "cancelled"]


def test_a_question_is_told_again_to_who_resumes_and_its_run_waits(lab: Lab) -> None:
    """Nothing else happens in that engine: the question alone must be reason enough to tell it."""

    class Person:
        def __init__(self) -> None:
            self.told: list[tuple[str, str]] = []

        def asked(self, run_id: str, number: int, reason: str, text: str) -> None:
            self.told.append((reason, text))

        def __getattr__(self, name: str) -> Any:
            return lambda *args: None

    async def life(is_first: bool) -> None:
        person = Person()
        with lab.engine() as engine:
            engine.observe(person)
            if is_first:
                await lab.start(engine, main_of('return unwrap(a.input("why? "))'))
            else:
                engine.adopt("r")
            for _ in range(2_000):
                if person.told:
                    break
                await asyncio.sleep(0.005)
            assert person.told == [("input", "why? ")]
            header = lab.journal.header("r.1")
            assert header is not None
            assert header.status == "waiting"
            await engine.stop()

    in_loop(lambda: life(is_first=True))
    in_loop(lambda: life(is_first=False))
    lab.journal.post("r.1", {"kind": "answer", "number": 1, "text": "so"})
    assert value_of(lab.resume()) == "so"
    header = lab.journal.header("r.1")
    assert header is not None
    assert header.status == "ok"


class SetBack(SystemClock):
    """A clock that somebody sets back by an hour."""

    def __init__(self) -> None:
        self.by_seconds = 0.0

    def now(self) -> float:
        return super().now() - self.by_seconds


@pytest.mark.parametrize("is_set_back", [False, True])
def test_a_second_attempt_that_a_kill_cut_off_is_known_as_such(lab: Lab, is_set_back: bool) -> None:
    """Whatever the clock says by then: that it began is written down."""
    begun: list[str] = []

    async def stuck(args: Any) -> str:
        begun.append("t")
        if len(begun) == 2:
            await asyncio.sleep(60)
        raise EffectFailure("no")

    clock = SetBack()
    lab.registry, lab.clock = scripted("async", read=stuck), clock

    async def life() -> None:
        with lab.engine() as engine:
            text = 'return a.read("f", retries = 1, retry_delay = "50ms", interrupted = "never")'
            await lab.start(engine, main_of(text))
            while len(begun) < 2:
                await asyncio.sleep(0.005)
            await engine.stop()

    in_loop(life)
    clock.by_seconds = 3_600 if is_set_back else 0
    assert failure_of(lab.resume(seconds=10)).kind == "interrupted"
    assert len(begun) == 2


def test_a_pause_does_not_grow_when_the_clock_is_set_back(lab: Lab) -> None:
    flaky = Flaky(1)
    clock = SetBack()
    lab.registry, lab.clock = scripted("inline", read=flaky), clock
    text = main_of('return unwrap(a.read("f", retries = 1, retry_delay = "300ms", interrupted = "never"))')

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while flaky.calls["f"] < 1:
                await asyncio.sleep(0.005)

    in_loop(life)
    clock.by_seconds = 3_600
    assert value_of(lab.resume(seconds=10)) == "f at 2"


def test_what_was_granted_and_begun_is_known_as_such(lab: Lab) -> None:
    """It waited for a grant, got it, and was under way when the engine ended."""
    begun: list[str] = []

    async def stuck(args: Any) -> str:
        begun.append("t")
        await asyncio.sleep(60)
        return "never"

    lab.registry, lab.allow = scripted("async", read=stuck), ()

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, main_of('return a.read("f", interrupted = "never")'), on_deny="wait")
            while not any(event.kind == "asked" for event in lab.events("r.1")):
                await asyncio.sleep(0.005)
            lab.allow = ("read=.",)
            engine.grant("r", lab.grants())
            while not begun:
                await asyncio.sleep(0.005)
            await engine.stop()

    in_loop(life)
    assert failure_of(lab.resume(seconds=10)).kind == "interrupted"
    assert len(begun) == 1


def test_a_wish_to_be_left_alone_for_ever_is_cut(lab: Lab) -> None:
    lab.registry = scripted("inline", read=Flaky(1, retry_after_seconds=1e300))

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, main_of('return a.read("f", retries = 1)'))
            while not attempts(lab):
                await asyncio.sleep(0.005)
            await engine.stop()

    in_loop(life)
    (event,) = [event for event in lab.events("r.1") if event.kind == "attempt"]
    assert event.fields["due_ms"] - event.at_ms == 86_400_000


def test_the_last_words_of_all_attempts_hold_no_secret(lab: Lab) -> None:
    """What is added to a failure when the time of all attempts is up is masked as everything is."""

    class Held:
        def text(self, name: str) -> str | None:
            return "s3cr3t-token-of-this-run"

    lab.services = Services(Held())
    lab.allow = ("read=.", "secret=TOKEN@example.org")
    read = STANDARD["read"]

    def perform(_allowed: Any, args: Any, context: Any) -> str:
        context.final_words.append(lambda: {"stdout": "token s3cr3t-token-of-this-run"})
        raise EffectFailure("no")

    effects = {**STANDARD, "read": replace(read, mode="inline", perform=perform)}
    lab.registry = Registry(effects.values())
    text = 'return a.read("f", retries = 3, retry_delay = "50ms", schedule_timeout = "20ms")'
    assert failure_of(lab.run(main_of(text))).kind == "timeout"
    assert "s3cr3t" not in str(lab.tree())


def test_a_run_of_its_own_is_started_once_by_all_attempts(lab: Lab) -> None:
    text = """
aside = flow(lambda fctx, n: n)

def _work(fctx):
    a = fctx.actions
    ids = [unwrap(a.start(aside, n)) for n in (1, 1, 2)]
    plain = unwrap(aside(1))
    if fctx.attempt < 3:
        fail("again")
    return [ids, plain]

work = flow(_work, retries = 2, retry_delay = "1ms")

if __name__ == "__flow__":
    work()
"""
    ids, plain = value_of(lab.run(text))
    assert plain == 1
    roots = sorted(header.run_id for header in lab.journal.roots())
    assert roots == sorted(["r", *ids])
    assert len(set(ids)) == 3
