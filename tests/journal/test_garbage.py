from __future__ import annotations

from dataclasses import asdict, replace
from hashlib import sha256

import pytest

from flowmetal.errors import JournalError, UnknownRunError
from flowmetal.journal import events, garbage, meta
from flowmetal.journal.blobs import externalize
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.store import TABLES, Store
from flowmetal.journal.writer import Writer
from tests.journal.journal_samples import HeldClock, child_header, request

DAY_MS = 86_400_000


def contents(store: Store) -> dict[str, int]:
    with store.view() as view:
        return {table: sum(1 for _ in view.scan(table)) for table in TABLES if table != "meta"}


def finish(
    journal: Journal, run_id: str, ended_ms: int, status: str = "ok", text: str = "one", size: int = 5
) -> Header:
    """A finished run with a child, a payload, mail and ``size`` more events."""
    journal.begin(request(run_id, text=text), None)
    journal.post(run_id, {"kind": "cancel"})
    field, pairs = externalize(b"x" * 20_000, run_id)
    writer = Writer(journal.store)
    for number in range(size):
        writer.append(run_id.encode(), events.timer_fired(1, number))
    writer.append(run_id.encode(), events.result(1, 1, field))
    writer.append(f"{run_id}.1".encode(), events.finished(1, "ok", b"\xc0"))
    for pair in pairs:
        writer.put_blob(*pair)
    header = replace(journal.require(run_id), status=status, finished_ms=ended_ms)
    writer.put_header(header)
    writer.put_header(child_header(f"{run_id}.1", status="ok", finished_ms=ended_ms))
    writer.commit()
    return header


def test_nothing_of_an_old_run_stays(journal: Journal, clock: HeldClock) -> None:
    now_ms = int(clock.seconds * 1000)
    empty = contents(journal.store)
    finish(journal, "old", now_ms - 31 * DAY_MS)
    counts = journal.gc(30 * DAY_MS)
    assert asdict(counts) == {"roots": 1, "runs": 2, "events": 8, "blobs": 1, "mail": 1, "code": 1}
    assert contents(journal.store) == empty
    assert list(journal.verify()) == []


def test_only_what_is_over_and_old_goes(journal: Journal, clock: HeldClock) -> None:
    now_ms = int(clock.seconds * 1000)
    finish(journal, "old", now_ms - 31 * DAY_MS)
    finish(journal, "old-err", now_ms - 31 * DAY_MS, "err")
    finish(journal, "old-1", now_ms - 29 * DAY_MS, text="two")
    journal.begin(request("running", text="three"), None)
    assert journal.gc(30 * DAY_MS, "ok").roots == 1
    assert sorted(header.run_id for header in journal.roots()) == ["old-1", "old-err", "running"]
    assert journal.gc(30 * DAY_MS, "ok").roots == 0
    assert journal.gc(30 * DAY_MS).roots == 1
    assert list(journal.verify()) == []
    assert len(list(journal.history("old-1"))) == 7


def test_a_run_with_an_unfinished_descendant_stays(journal: Journal) -> None:
    finish(journal, "a", 0)
    writer = Writer(journal.store)
    writer.put_header(child_header("a.2"))
    writer.commit()
    assert journal.gc(0).roots == 0


def test_code_goes_with_its_last_user(journal: Journal, clock: HeldClock) -> None:
    one, two = (sha256(text.encode()).hexdigest() for text in ("one", "two"))
    finish(journal, "a", 0, text="one")
    finish(journal, "b", 0, text="two")
    journal.begin(request("c", text="one"), None)
    assert journal.gc(0).code == 1
    assert journal.code(one) == "one"
    with pytest.raises(JournalError):
        journal.code(two)


def test_code_named_by_a_change_stays(journal: Journal) -> None:
    journal.begin(request("a", text="one"), None)
    digest = sha256(b"new").hexdigest()
    writer = Writer(journal.store)
    writer.put_code(digest, "new")
    writer.append(b"a", events.code_changed(1, [("//f.flow", digest)]))
    writer.commit()
    assert journal.gc(0).code == 0
    assert journal.code(digest) == "new"


def test_code_of_a_run_that_begins_meanwhile_stays(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the mark and the sweep a run begins whose code was unused."""
    finish(journal, "a", 0, text="one")
    used_code = garbage._used_code
    names = iter(["b", "c", "d"])

    def begin_after_marking(store: Store) -> set[bytes]:
        used = used_code(store)
        journal.begin(request(next(names), text="one"), None)
        return used

    monkeypatch.setattr(garbage, "_used_code", begin_after_marking)
    assert journal.gc(0).code == 0
    assert list(journal.verify()) == []


def test_a_damaged_start_keeps_all_code(journal: Journal) -> None:
    finish(journal, "a", 0)
    journal.begin(request("b", text="two"), None)
    with journal.store.update() as update:
        key, value = next(update.scan("events", b"b"))
        update.put("events", key, value[:-1] + b"\xff")
    assert journal.gc(0).code == 0


def test_large_runs_go_in_slices(journal: Journal, clock: HeldClock) -> None:
    finish(journal, "a", 0, size=5_000)
    before = journal.store.last_transaction()
    assert journal.gc(0).events == 5_003
    assert journal.store.last_transaction() - before >= 6
    assert sum(contents(journal.store).values()) == 0


def interrupted(journal: Journal) -> None:
    """A gc that died after its first slice."""
    finish(journal, "a", 0, size=2_500)
    assert garbage._remove_root(journal.store, "a", 1, None)
    with journal.store.update() as update:
        assert not garbage._purge_slice(update, HeldClock(), "a", garbage.GcCounts())


def test_a_removal_that_was_killed_is_ended_by_the_next(journal: Journal) -> None:
    interrupted(journal)
    with pytest.raises(UnknownRunError):
        journal.require("a")
    assert list(journal.verify()) == [], "half removed is no damage"
    assert journal.gc(DAY_MS * 100_000).events > 1_000
    assert sum(contents(journal.store).values()) == 0
    with journal.store.view() as view:
        assert meta.removing(view) == []


def test_a_new_run_does_not_inherit_what_was_half_removed(journal: Journal) -> None:
    interrupted(journal)
    assert journal.begin(request("a"), None).outcome == "started"
    assert len(list(journal.history("a"))) == 1
    assert list(journal.descendants("a")) == []
    assert journal.mail_for(["a"]) == []
    assert list(journal.verify()) == []


def test_runs_that_were_moved_away_go_too(journal: Journal, clock: HeldClock) -> None:
    journal.begin(request("a"), None)
    journal.mark_moved("a", "/other")
    assert journal.gc(1000).roots == 0
    clock.seconds += 2
    assert journal.gc(1000).roots == 1
