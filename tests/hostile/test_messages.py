"""Messages: 70 of the list.  A flood of them, huge ones, ones to runs that are over or none of the sender's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowmetal.errors import QuotaError
from flowmetal.journal import messages
from flowmetal.journal.framing import seal
from flowmetal.journal.keys import event_key
from flowmetal.permissions import parse_grants
from flowmetal.settings import Limits
from flowmetal.testing.harness import Lab, TextSources, in_loop, make_lab, value_of
from flowmetal.values import pack
from tests.hostile.conftest import Within
from tests.hostile.yard import Told, Yard

FLOOD = """
def _main(fctx):
    sent = 0
    for number in range(30000):
        it = fctx.actions.signal(fctx.run_id, "n%d" % (number % 7), "x" * 100)
        if not it.ok:
            return [sent, it.error.kind, "unread_messages" in it.error.message]
        sent += 1

main = flow(_main)
"""

HUGE = """
def _main(fctx):
    a = fctx.actions
    large = a.signal(fctx.run_id, "x", "y" * 300000)
    deep = []
    for _ in range(50):
        deep = [deep]
    unwrap(a.signal(fctx.run_id, "deep", deep))
    sent = 0
    for _ in range(400):
        if not a.signal(fctx.run_id, "x", "y" * 250000).ok:
            break
        sent += 1
    return [large.error.kind, type(unwrap(a.receive("deep"))), sent]

main = flow(_main)
"""

ELSEWHERE = """
def _main(fctx):
    a = fctx.actions
    told = [a.signal(to, "word", 1).error.kind for to in TO]
    told.append(a.state.set("shared", 1).error.kind)
    told.append(a.state.get("shared").error.kind)
    return told

main = flow(_main)
"""


def run(within: Within, text: str, directory: Path, limits: Limits) -> Told:
    async def life(yard: Yard) -> Any:
        async def hostile() -> Told:
            loaded = await yard.engine.load("//main.flow", TextSources({"//main.flow": text}), limits)
            grants = parse_grants([], [], str(directory))
            return await yard.run(loaded, f"case{yard.count}", directory, grants, name="main")

        return await yard.beside(hostile(), directory)

    told = within(life)
    assert isinstance(told, Told)
    return told


@pytest.mark.parametrize("at_most", [700, pytest.param(20_000, marks=[pytest.mark.torture, pytest.mark.timeout(300)])])
def test_a_flood_meets_the_receivers_limit(within: Within, tmp_path: Path, at_most: int) -> None:
    told = run(within, FLOOD, tmp_path, replace(Limits(), unread_messages=at_most))
    assert told.value == [at_most, "limit", True], told


def test_huge_and_deep_messages(within: Within, tmp_path: Path) -> None:
    told = run(within, HUGE, tmp_path, replace(Limits(), unread_bytes=5_000_000))
    kind, deep, sent = told.value
    assert (kind, deep) == ("limit", "list")
    assert sent == 5_000_000 // 250_005


def test_to_runs_that_are_none_of_its_own(within: Within, tmp_path: Path) -> None:
    """Driven by the same engine, over, or not there at all: without a grant nobody learns which."""
    others = ["beside1", "case1", "nobody", "beside1.1"]
    told = run(within, f"TO = {others!r}\n".replace("'", '"') + ELSEWHERE, tmp_path, Limits())
    assert told.value == 6 * ["denied"], told


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Lab]:
    """A run that nobody drives and that waits for two messages."""
    lab = make_lab(tmp_path)
    text = """
def _main(fctx):
    return [unwrap(fctx.actions.receive("x")) for _ in range(2)]
main = flow(_main)
"""

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text, name="main")
            while len(lab.events()) < 2:
                await asyncio.sleep(0.005)

    in_loop(life)
    yield lab
    lab.store.close()


MAIL = [
    {"kind": "signal"},
    {"kind": "signal", "name": 7, "value": pack(1)},
    {"kind": "signal", "name": "x", "value": "text"},
    {"kind": "signal", "name": "x", "value": b"\xc1"},
    {"kind": "signal", "name": "x", "value": pack(1), "sender": 7},
    {"kind": "signal", "name": "x", "value": pack([{"float": "nan"}]), "sender": "r"},
    {"kind": "unread", "messages": -5, "bytes": 7},
    {"kind": "what"},
]


def test_mail_that_no_flowmetal_writes(waiting: Lab) -> None:
    """What cannot be a message is removed; what can be is received."""
    lab = waiting
    for number, message in enumerate(MAIL, 1_000):
        with lab.store.update() as update:
            update.put("mail", event_key(b"r", number), seal(b"\1", message))
    messages.send_signal(lab.store, "r", "x", pack("good"))
    assert value_of(lab.resume()) == ["good", [{"float": "nan"}]]
    assert not lab.journal.mail_for(["r"])
    assert list(lab.journal.verify()) == []


def test_a_count_that_was_changed_on_disk(waiting: Lab) -> None:
    lab = waiting
    with lab.store.update() as update:
        update.put("mail", event_key(b"r", 0), seal(b"\1", {"kind": "unread", "messages": 20_000, "bytes": 1}))
    with pytest.raises(QuotaError, match="its limit `unread_messages`"):
        messages.send_signal(lab.store, "r", "x", pack(1))
    with lab.store.update() as update:
        update.put("mail", event_key(b"r", 0), b"damaged")
    (problem,) = lab.journal.verify()
    assert problem.place == "mail r #0"
