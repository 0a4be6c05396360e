"""Once only: of all that ask with one key in a home, one does it, and the others get its Result."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from flowmetal.actions.effect import EffectFailure
from flowmetal.journal import once
from flowmetal.testing.effects import scripted
from flowmetal.testing.harness import Lab, failure_of, in_loop, value_of
from flowmetal.values import pack
from tests.engine.test_policies import main_of


class Counting:
    """Counts its calls by path, and fails those of ``failing``."""

    def __init__(self, failing: str = "") -> None:
        self.calls: Counter[str] = Counter()
        self._failing = failing
        self._lock = threading.Lock()

    def __call__(self, args: Any) -> str:
        path = args["path"]
        with self._lock:
            self.calls[path] += 1
            count = self.calls[path]
        if path == self._failing:
            raise EffectFailure("broken", kind="effect")
        return f"{path} {count}"


PAY = """
def _pay(fctx, amount):
    fctx.actions.sleep("1ms")
    return unwrap(fctx.actions.read("paid %d" % amount))

pay = flow(_pay)
"""


@pytest.mark.parametrize(
    "call",
    [
        'options(pay, idempotency_key = "k")(3)',
        'a.wait(a.run(options(pay, idempotency_key = "k"), 3))',
        'a.read("paid 3", idempotency_key = "k")',
        'a.wait(a.run(options(effects.read, idempotency_key = "k"), "paid 3"))',
    ],
)
def test_a_second_start_with_the_same_key_gives_the_first_ones_result(lab: Lab, call: str) -> None:
    """Within a run, in another run of the home, and in a third after a garbage collection that left the first."""
    counting = Counting()
    lab.registry = scripted("thread", read=counting)
    text = PAY + main_of(f"return [unwrap({call}), unwrap({call})]")
    assert value_of(lab.run(text, "one")) == ["paid 3 1"] * 2
    assert value_of(lab.run(text, "two")) == ["paid 3 1"] * 2
    assert counting.calls == {"paid 3": 1}
    assert list(lab.journal.verify()) == []


def test_those_that_ask_meanwhile_wait_for_it(lab: Lab) -> None:
    counting = Counting()
    lab.registry = scripted("thread", read=counting)
    text = PAY + main_of(
        """
        tasks = [a.run(options(pay, idempotency_key = "k"), 1) for _ in range(20)]
        tasks += [a.run(options(pay, idempotency_key = "other"), 1) for _ in range(20)]
        return [unwrap(it) for it in a.wait(tasks)]
        """.replace("\n        ", "\n")
    )
    found = value_of(lab.run(text))
    assert sorted(found) == ["paid 1 1"] * 20 + ["paid 1 2"] * 20
    assert len(set(found[:20])) == 1
    assert counting.calls == {"paid 1": 2}


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ("options(pay, idempotency_key = 'k')(2)", "other arguments"),
        ("options(pay, idempotency_key = 'k')(True)", "other arguments"),
        ("options(twin, idempotency_key = 'k')(1)", "other callee"),
        ("a.read('paid 1', idempotency_key = 'k')", "other callee"),
    ],
)
def test_the_same_key_for_something_else_is_err_and_names_both(lab: Lab, second: str, says: str) -> None:
    counting = Counting()
    lab.registry = scripted("thread", read=counting)
    first = "unwrap(options(pay, idempotency_key = 'k')(1))"
    text = PAY + "twin = flow(lambda fctx, n: n)\n" + main_of(f"{first}\nreturn unwrap({second})")
    failure = failure_of(lab.run(text))
    assert failure.kind == "failed"
    assert says in failure.message
    assert "main.flow:pay (action 1 of r.1)" in failure.message
    assert "(action 2 of r.1)" in failure.message
    assert counting.calls == {"paid 1": 1}


def test_an_err_is_a_result_for_others_and_done_anew_by_a_new_attempt(lab: Lab) -> None:
    counting = Counting(failing="paid 7")
    lab.registry = scripted("thread", read=counting)
    again = PAY + (
        "def _outer(fctx):\n"
        "    results = [options(pay, idempotency_key = 'k')(7) for _ in range(2)]\n"
        "    return unwrap(results[1])\n"
        "outer = flow(_outer, retries = 2, retry_delay = 0)\n"
    )
    assert failure_of(lab.run(again + main_of("return unwrap(outer())"), "one")).message == "broken"
    assert counting.calls == {"paid 7": 3}, "once for each attempt"
    alone = PAY + main_of("return unwrap(options(pay, idempotency_key = 'k')(7))")
    assert failure_of(lab.run(alone, "two")).message == "broken"
    assert counting.calls == {"paid 7": 3}


def test_what_was_not_granted_holds_no_key(lab: Lab) -> None:
    text = main_of('return a.write("f", "x", idempotency_key = "k").ok')
    allow, lab.allow = lab.allow, ()
    assert value_of(lab.run(text, "one")) is False
    lab.allow = allow
    assert value_of(lab.run(text, "two")) is True


def test_what_waits_for_itself_is_err(lab: Lab) -> None:
    text = """
def _again(fctx, n):
    return unwrap(options(again, idempotency_key = "k")(n))

again = flow(_again)
""" + main_of('return unwrap(options(again, idempotency_key = "k")(1))')
    assert "which waits for this" in failure_of(lab.run(text)).message


def test_one_that_waits_can_be_cancelled_and_does_nothing_then(lab: Lab) -> None:
    lab.allow = ()
    text = """
nap = flow(lambda fctx: fctx.actions.sleep("1h"))
""" + main_of(
        """
tasks = [a.run(options(nap, idempotency_key = "k")) for _ in range(3)]
a.sleep("20ms")
a.cancel(tasks[1])
early = unwrap(a.wait_any([tasks[1]], timeout = "5s")[1].error.kind == "cancelled" and Ok("cancelled"))
a.cancel(tasks[0])
return [early] + [it.error.kind for it in a.wait(tasks)]
""".strip()
    )
    assert value_of(lab.run(text)) == ["cancelled"] * 4


def test_two_engines_on_one_key_do_it_once(lab: Lab) -> None:
    """The one that comes second waits, whether its run stays or goes cold, and whoever is faster."""
    counting = Counting()

    async def slow(args: Any) -> str:
        await asyncio.sleep(0.15)
        return counting(args)

    lab.registry = scripted("async", read=slow)
    text = PAY + main_of("return unwrap(options(pay, idempotency_key = 'k')(5))")

    async def life() -> list[Any]:
        with lab.engine() as first, lab.engine() as second:
            await asyncio.gather(lab.start(first, text, "one"), lab.start(second, text, "two"))
            outcomes = await asyncio.wait_for(asyncio.gather(first.outcome("one"), second.outcome("two")), 60)
            await first.stop()
            await second.stop()
            return [value_of(outcome) for outcome in outcomes]

    assert in_loop(life) == ["paid 5 1"] * 2
    assert counting.calls == {"paid 5": 1}


def test_two_engines_that_want_the_same_many_things_share_them(lab: Lab) -> None:
    """In opposite orders, so that each waits for the other while the other waits for it."""
    counting = Counting()

    async def quick(args: Any) -> str:
        await asyncio.sleep(0.001)
        return counting(args)

    lab.registry = scripted("async", read=quick)
    body = """
names = ["%d" % n for n in range(40)]
tasks = [a.run(options(effects.read, idempotency_key = name), name) for name in ({})]
return sorted([unwrap(it) for it in a.wait(tasks)])
"""

    async def life() -> list[Any]:
        with lab.engine() as first, lab.engine() as second:
            await lab.start(first, main_of(body.replace("{}", "names")), "one")
            await lab.start(second, main_of(body.replace("{}", "reversed(names)")), "two")
            outcomes = await asyncio.wait_for(asyncio.gather(first.outcome("one"), second.outcome("two")), 60)
            await first.stop()
            await second.stop()
            return [value_of(outcome) for outcome in outcomes]

    one, two = in_loop(life)
    assert one == two == sorted(f"{n} 1" for n in range(40))
    assert set(counting.calls.values()) == {1}
    with lab.store.view() as view:
        holders = Counter(claim.run_id for n in range(40) if (claim := once.read_claim(view, str(n))))
    assert sum(holders.values()) == 40


def test_what_its_dead_engine_left_is_waited_for_and_ended_by_a_resume(lab: Lab) -> None:
    counting = Counting()

    async def never(_args: Any) -> str:
        await asyncio.sleep(3600)
        return ""

    text = PAY + main_of("return unwrap(options(pay, idempotency_key = 'k')(5))")

    async def begin() -> None:
        lab.registry = scripted("async", read=never)
        with lab.engine() as engine:
            await lab.start(engine, text, "one")
            await lab.start(engine, text, "two")
            while not [event for event in lab.events("two.1") if event.kind == "action"]:
                await asyncio.sleep(0.01)
            await engine.stop()

    in_loop(begin)

    async def go_on() -> list[Any]:
        lab.registry = scripted("thread", read=counting)
        with lab.engine() as engine:
            for run_id in ("two", "one"):  # the one that waits is taken up first
                engine.adopt(run_id)
            outcomes = await asyncio.wait_for(asyncio.gather(engine.outcome("one"), engine.outcome("two")), 60)
            await engine.stop()
            return [value_of(outcome) for outcome in outcomes]

    assert in_loop(go_on) == ["paid 5 1"] * 2
    assert counting.calls == {"paid 5": 1}


def test_a_run_that_was_ended_gives_those_that_wait_an_err(lab: Lab) -> None:
    async def never(_args: Any) -> str:
        await asyncio.sleep(3600)
        return ""

    lab.registry = scripted("async", read=never)
    text = main_of("return unwrap(a.read('x', idempotency_key = 'k'))")

    async def life() -> str:
        with lab.engine() as engine:
            await lab.start(engine, text, "one")
            while not [event for event in lab.events("one.1") if event.kind == "action"]:
                await asyncio.sleep(0.01)
            await lab.start(engine, text, "two")
            engine.cancel("one", "enough")
            outcome = await asyncio.wait_for(engine.outcome("two"), 60)
            await engine.stop()
            return failure_of(outcome).message

    assert in_loop(life) == "the run one.1, which held the key 'k', was ended before there was a result"


def test_a_key_goes_with_its_run_and_travels_with_it(lab: Lab, tmp_path: Any) -> None:
    from flowmetal.testing.harness import make_lab

    text = main_of('return unwrap(a.write("f", "x" * 40000, idempotency_key = "k")) or a.now()')
    first = value_of(lab.run(text, "one"))
    other = make_lab(tmp_path / "other")
    other.journal.import_run(lab.journal.export_run("one"))
    assert list(other.journal.verify()) == []
    assert other.journal.import_run(lab.journal.export_run("one")).run_id == "one", "twice is once"
    with lab.store.view() as here, other.store.view() as there:
        assert once.read_claim(here, "k") == once.read_claim(there, "k") != None  # noqa: E711
    lab.journal.gc(older_than_ms=-1)
    assert list(lab.journal.verify()) == []
    with lab.store.view() as view:
        assert once.read_claim(view, "k") is None
        assert not [key for key, _ in view.scan("meta") if key.startswith((b"once", b"claims", b"held"))]
    assert value_of(lab.run(text, "one")) > first
    other.store.close()


def test_the_key_is_what_the_effect_gets(lab: Lab) -> None:
    from dataclasses import replace

    from flowmetal.actions.registry import STANDARD, Registry

    seen: list[str] = []
    shown = replace(STANDARD["read"], perform=lambda _allowed, _args, context: seen.append(context.idempotency_key))
    lab.registry = Registry([shown if each.name == "read" else each for each in STANDARD.values()])
    lab.run(main_of('a.read("f", idempotency_key = "order 17")'))
    assert seen == ["order 17"]


@pytest.mark.parametrize("key", ['""', '" x"', '"é"', '"a\\nb"', "3", '"x" * 201'])
def test_keys_that_are_none(lab: Lab, key: str) -> None:
    failure = failure_of(lab.run(main_of(f'a.read("f", idempotency_key = {key})')))
    assert "`idempotency_key` is a text of 1 to 200 printable ASCII characters" in failure.message


def test_a_large_result_is_given_too(lab: Lab) -> None:
    lab.registry = scripted("thread", read=lambda _args: "x" * 100_000)
    text = main_of('return len(unwrap(a.read("f", idempotency_key = "k")))')
    assert [value_of(lab.run(text, run_id)) for run_id in ("one", "two")] == [100_000] * 2
    assert lab.journal.require("two").result == pack({"result": [True, 100_000, None]})
    assert list(lab.journal.verify()) == []


def test_who_waits_for_a_key_is_looked_at_when_that_has_a_result(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not whenever any key has one: what many keys cost grows with their number, and not with its square."""
    looks = 0
    read_claim = once.read_claim

    def counted(view: Any, key: str) -> Any:
        nonlocal looks
        looks += 1
        return read_claim(view, key)

    monkeypatch.setattr(once, "read_claim", counted)
    text = """
def _slow(fctx, n):
    fctx.actions.sleep("1ms")
    return n

slow = flow(_slow)
""" + main_of(
        'return sum([unwrap(it) for it in a.wait([a.run(options(slow, idempotency_key = "k%d" % (n // 2)), n // 2)'
        " for n in range(400)])])"
    )
    assert value_of(lab.run(text)) == 2 * sum(range(200))
    assert looks < 10 * 400


NEVER_BEGAN = {
    "cancelled by its caller": "a.cancel(other)\nreturn unwrap(a.wait(other))",
    "the limited flow is ended": "a.wait(other)",
    "the limited flow fails": "fail('no')",
    "the limited flow is over before": "a.cancel(nap_)\na.cancel(other)\nfail('no')",
}


@pytest.mark.parametrize("how", NEVER_BEGAN)
@pytest.mark.parametrize("keyed", ["pay", "effects.read"])
def test_what_never_began_leaves_its_key_free(lab: Lab, how: str, keyed: str) -> None:
    """It held its key, and waited for a place or was to begin at once."""
    counting = Counting()
    lab.registry = scripted("inline", read=counting)
    text = (
        PAY
        + """
def _nap(fctx):
    fctx.actions.sleep("1h")

nap = flow(_nap)

def _limited(fctx):
    a = fctx.actions
    nap_ = a.run(nap)
    other = a.run(options(KEYED, idempotency_key = "k"), ARGUMENT)
    a.wait(other, timeout = "30ms") if WAITS else None
    HOW

limited = flow(_limited, max_parallel = 1)
""".replace("HOW", NEVER_BEGAN[how].replace("\n", "\n    "))
        .replace("KEYED", keyed)
        .replace("WAITS", str("over before" not in how))
        .replace("ARGUMENT", "3" if keyed == "pay" else '"paid 3"')
        + main_of(
            'options(limited, timeout = "500ms")()\n'
            f'return unwrap(options({keyed}, idempotency_key = "k")({3 if keyed == "pay" else repr("paid 3")}))'
        )
    )
    assert value_of(lab.run(text, seconds=20)) == "paid 3 1"
    assert list(lab.journal.verify()) == []
