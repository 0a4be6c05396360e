"""Every kind of damage is found, named by its key, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flowmetal.journal import events, keys
from flowmetal.journal.blobs import blob_key, externalize
from flowmetal.journal.headers import encode_header, put_header
from flowmetal.journal.journal import Journal
from flowmetal.journal.store import Update
from tests.journal.journal_samples import DIGEST, child_header, request, root_header

FIELD, PAIRS = externalize(bytes(20_000), "etl")
BLOB_KEY = PAIRS[0][0]


def fill(journal: Journal) -> None:
    journal.begin(request(args=bytes(20_000), labels={"a": "b"}), None)
    journal.begin(request("other"), None)
    journal.post("etl", {"kind": "cancel"})
    with journal.store.update() as update:
        put_header(update, child_header("etl.1", result=FIELD), None)
        update.put("events", keys.event_key(b"etl.1", 5), events.finished(1, "ok", FIELD))


def flip(table: str, key: bytes) -> Callable[[Update], None]:
    def change(update: Update) -> None:
        value = update.get(table, key)
        assert value
        update.put(table, key, value[:-1] + bytes([value[-1] ^ 1]))

    return change


def put(table: str, key: bytes, value: bytes) -> Callable[[Update], None]:
    return lambda update: update.put(table, key, value)


def delete(table: str, key: bytes) -> Callable[[Update], None]:
    return lambda update: update.delete(table, key)


STARTED = keys.event_key(b"etl", 1)
ELSEWHERE = keys.event_key(b"gone", 1)


@pytest.mark.parametrize(
    ("change", "places"),
    [
        (flip("events", STARTED), {"events etl #1"}),
        (put("events", b"bad", b"x"), {"events 626164"}),
        (put("events", ELSEWHERE, events.timer_fired(1, 1)), {"events gone #1"}),
        (delete("events", STARTED), {"runs etl"}),
        (flip("runs", b"etl.1"), {"runs etl.1"}),
        (put("runs", b"gone.1", encode_header(child_header("gone.1"))), {"runs gone.1"}),
        (put("runs", b"etl.1", encode_header(child_header("etl.1", root="other"))), {"runs etl.1"}),
        (flip("code", bytes.fromhex(DIGEST)), {f"code {DIGEST}"}),
        (delete("code", bytes.fromhex(DIGEST)), {"events etl #1", "events other #1"}),
        (flip("blobs", BLOB_KEY), {keys.place_of("blobs", BLOB_KEY)}),
        (delete("blobs", BLOB_KEY), {keys.place_of("blobs", BLOB_KEY)}),
        (put("blobs", blob_key("gone", bytes(32)), b"x"), {"blobs gone " + "00" * 32}),
        (delete("by_status", b"running\0etl"), {"runs etl"}),
        (delete("by_label", b"a=b\0etl"), {"runs etl"}),
        (put("by_flow", b"//f\0etl", b""), {"by_flow //f etl"}),
        (put("by_status", b"ok\0gone", b""), {"by_status ok gone"}),
        (flip("mail", keys.event_key(b"etl", 1)), {"mail etl #1"}),
        (delete("runs", b"etl.1"), {"events etl.1 #5"}),
    ],
)
def test_damage_is_named(journal: Journal, change: Callable[[Update], None], places: set[str]) -> None:
    fill(journal)
    assert list(journal.verify()) == []
    with journal.store.update() as update:
        change(update)
    problems = list(journal.verify())
    assert {problem.place for problem in problems} == places
    assert all(problem.message and problem.remedy for problem in problems)


def test_mail_for_nobody_is_named(journal: Journal) -> None:
    journal.begin(request(), None)
    journal.post("etl", {"kind": "cancel"})
    with journal.store.update() as update:
        update.put("runs", b"etl2", encode_header(root_header("etl2")))
        for pair in list(update.scan("mail")):
            update.put("mail", keys.event_key(b"gone", 9), pair[1])
    assert "mail gone #9" in {problem.place for problem in journal.verify()}


def test_many_slices(journal: Journal) -> None:
    journal.begin(request(), None)
    with journal.store.update() as update:
        for number in range(2, 2000):
            update.put("events", keys.event_key(b"etl", number), events.timer_fired(1, number))
    assert list(journal.verify()) == []
    with journal.store.update() as update:
        for number in (2, 512, 513, 1999):
            flip("events", keys.event_key(b"etl", number))(update)
    assert [problem.place for problem in journal.verify()] == [f"events etl #{n}" for n in (2, 512, 513, 1999)]
