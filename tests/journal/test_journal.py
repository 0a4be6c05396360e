"""Reading a home, starting runs, messages."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from flowmetal.errors import ConflictError, InternalError, JournalError, RunBusyError, UnknownRunError, UsageError
from flowmetal.journal import event_reading, events, keys, ownership
from flowmetal.journal.blobs import externalize
from flowmetal.journal.journal import Journal
from flowmetal.journal.store import Store
from flowmetal.journal.writer import Writer
from tests.journal.journal_samples import DIGEST, TEXT, HeldClock, child_header, request, root_header


def write(store: Store, run_id: str, *records: bytes) -> None:
    writer = Writer(store, 1000)
    for record in records:
        writer.append(run_id.encode(), record)
    writer.commit()


def damage(store: Store, table: str, key: bytes) -> None:
    with store.update() as update:
        value = update.get(table, key)
        assert value
        update.put(table, key, value[:-1] + bytes([value[-1] ^ 1]))


# -- begin ---------------------------------------------------------------------------------------------


def test_begin_starts_a_new_run(journal: Journal, engine: bytes) -> None:
    asked = request(labels={"team": "a"})
    begun = journal.begin(asked, engine)
    assert begun.outcome == "started"
    assert begun.header == journal.header("etl") == root_header(labels={"team": "a"}, owner=engine)
    assert [(sequence, event.kind) for sequence, event in journal.history("etl")] == [(1, "started")]
    assert journal.code(DIGEST) == TEXT
    assert list(journal.verify()) == []


def test_begin_follows_a_run_of_a_live_engine(journal: Journal, engine: bytes, home: Path) -> None:
    journal.begin(request(), engine)
    other = ownership.acquire(home)
    assert journal.begin(request(), other.engine_id).outcome == "followed"
    assert journal.begin(request(), engine).outcome == "followed"
    assert journal.require("etl").owner == engine
    other.release()


def test_begin_adopts_a_free_run(journal: Journal, engine: bytes) -> None:
    assert journal.begin(request(), None).outcome == "started"
    assert journal.begin(request(), None).outcome == "followed"
    begun = journal.begin(request(), engine)
    assert begun.outcome == "adopted"
    assert begun.header == journal.require("etl")
    assert begun.header.owner == engine


def test_begin_adopts_a_run_of_a_dead_engine(journal: Journal, engine: bytes, home: Path) -> None:
    dead = ownership.acquire(home)
    journal.begin(request(), dead.engine_id)
    dead.release()
    assert journal.begin(request(), engine).outcome == "adopted"


def test_begin_gives_a_finished_run_as_it_is(journal: Journal, store: Store, engine: bytes) -> None:
    journal.begin(request(), engine)
    finished = root_header(status="ok", result=b"\xc0", finished_ms=9)
    writer = Writer(store)
    writer.put_header(finished)
    writer.commit()
    begun = journal.begin(request(), engine)
    assert (begun.outcome, begun.header) == ("finished", finished)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (request(flow="//f.flow:other"), "the flow (//f.flow:main, not //f.flow:other)"),
        (request(args=b"\x91\xc0"), "the arguments (started with [], asked for [null])"),
        (request(grants_digest="other"), "the grants"),
        (request(args=b"\x91\xc0", grants_digest="other"), "asked for [null]) and the grants ("),
    ],
)
def test_begin_names_what_differs(journal: Journal, engine: bytes, asked: object, what: str) -> None:
    journal.begin(request(), engine)
    before = journal.require("etl")
    with pytest.raises(ConflictError) as raised:
        journal.begin(asked, engine)  # type: ignore[arg-type]  # a StartRequest from the list above
    assert what in raised.value.message
    assert raised.value.remedy
    assert journal.require("etl") == before


def test_changed_code_is_no_conflict(journal: Journal, engine: bytes) -> None:
    journal.begin(request(), None)
    begun = journal.begin(request(text="other"), engine)
    assert begun.outcome == "adopted"
    assert begun.header.program == request().header.program, "the run keeps its pinned code"


def test_only_roots_are_begun_and_adopted(journal: Journal, store: Store, engine: bytes) -> None:
    asked = request("a.1", parent="a", root="a")
    with pytest.raises(InternalError):
        journal.begin(asked, engine)
    writer = Writer(store)
    writer.put_header(child_header("a.1"))
    writer.commit()
    with pytest.raises(InternalError):
        journal.adopt("a.1", engine)


# -- adopt, release ------------------------------------------------------------------------------------


def test_adopt_and_release(journal: Journal, engine: bytes, home: Path) -> None:
    journal.begin(request(), engine)
    other = ownership.acquire(home)
    with pytest.raises(RunBusyError, match="etl"):
        journal.adopt("etl", other.engine_id)
    assert journal.adopt("etl", engine).owner == engine, "one's own run again"
    journal.release("etl", other.engine_id)
    assert journal.require("etl").owner == engine, "only the owner releases"
    journal.release("etl", engine)
    assert journal.adopt("etl", other.engine_id) == journal.require("etl")
    other.release()
    assert journal.adopt("etl", engine).owner == engine
    with pytest.raises(UnknownRunError):
        journal.adopt("nothing", engine)


# -- reading -------------------------------------------------------------------------------------------


def test_history_is_read_from_a_sequence_on(journal: Journal, store: Store) -> None:
    journal.begin(request(), None)
    write(store, "etl", *(events.timer_fired(1, number) for number in range(700)))
    write(store, "etl.1", events.timer_fired(1, 5))
    write(store, "etl-2", events.timer_fired(1, 5))
    assert [sequence for sequence, _ in journal.history("etl")] == [1, *range(1000, 1700)]
    assert [event.fields["number"] for _, event in journal.history("etl", 1697)] == [698, 699]
    assert journal.last_sequence("etl") == 1699
    assert journal.last_sequence("nothing") == 0
    assert list(journal.history("nothing")) == []


def test_raw_history_comes_in_slices_with_payloads_put_in(journal: Journal, store: Store) -> None:
    journal.begin(request(args=bytes(20_000)), None)
    write(store, "etl", *(events.timer_fired(1, number) for number in range(100)))
    seen, slices = [], 0
    while found := journal.raw_history("etl", seen[-1][0] if seen else 0, 200):
        seen += found
        slices += 1
    assert slices > 3
    assert [sequence for sequence, _ in seen] == [1, *range(1000, 1100)]
    assert event_reading.decode_body(seen[0][1]).fields["args"] == bytes(20_000)
    assert seen[5][1] == event_reading.body_of(events.timer_fired(1, 4))


def test_a_damaged_event_stops_its_own_run_only(journal: Journal, store: Store) -> None:
    journal.begin(request(), None)
    journal.begin(request("other"), None)
    write(store, "etl", *(events.timer_fired(1, number) for number in range(3)))
    damage(store, "events", keys.event_key(b"etl", 1001))
    history = journal.history("etl")
    assert [next(history)[0], next(history)[0]] == [1, 1000]
    with pytest.raises(JournalError) as raised:
        next(history)
    assert raised.value.place == "events etl #1001"
    with pytest.raises(JournalError) as raised:
        journal.raw_history("etl", 0, 10_000)
    assert raised.value.place == "events etl #1001"
    assert len(list(journal.history("other"))) == 1


def test_payloads_are_found_by_any_run_of_the_tree(journal: Journal, store: Store) -> None:
    field, pairs = externalize(bytes(30_000), "etl")
    writer = Writer(store)
    for pair in pairs:
        writer.put_blob(*pair)
    writer.commit()
    assert journal.payload("etl.3.4", field) == bytes(30_000)
    assert journal.payload("etl", b"small") == b"small"
    with pytest.raises(JournalError, match="missing"):
        journal.payload("other", field)


def test_roots_are_listed_through_the_indexes(journal: Journal, store: Store) -> None:
    writer = Writer(store)
    writer.put_header(root_header("a", labels={"team": "x"}))
    writer.put_header(root_header("b", status="ok", labels={"team": "x", "day": "1"}))
    writer.put_header(root_header("c", flow="//g", labels={"team": "xy"}))
    writer.put_header(child_header("a.1"))
    writer.commit()

    def ids(**which: object) -> list[str]:
        return sorted(header.run_id for header in journal.roots(**which))  # type: ignore[arg-type]  # for brevity

    assert ids() == ["a", "b", "c"]
    assert ids(status="running") == ["a", "c"]
    assert ids(status="paused") == []
    assert ids(flow="//f.flow:main") == ["a", "b"]
    assert ids(flow="//f.flow") == []
    assert ids(label=("team", "x")) == ["a", "b"]
    assert ids(label=("team", "x"), status="ok", flow="//f.flow:main") == ["b"]
    assert ids(flow="//g", status="ok") == []


def test_many_roots_and_descendants_come_in_slices(journal: Journal, store: Store) -> None:
    writer = Writer(store)
    for number in range(1, 1201):
        writer.put_header(root_header(f"run{number}"))
        writer.put_header(child_header(f"run1.{number}"))
    writer.commit()
    assert len({header.run_id for header in journal.roots()}) == 1200
    below = sorted((header.run_id for header in journal.descendants("run1")), key=keys.sort_key)
    assert below == [f"run1.{number}" for number in range(1, 1201)]


def test_the_last_sequence_of_a_tree(journal: Journal, store: Store) -> None:
    journal.begin(request(), None)
    assert journal.tree_last_sequence("etl") == 1
    writer = Writer(store, 50)
    writer.append(b"etl.1.1", events.timer_fired(1, 1))
    writer.put_header(child_header("etl.1.1"))
    writer.put_header(child_header("etl.1"))
    writer.commit()
    assert journal.tree_last_sequence("etl") == 50


def test_an_unknown_run_names_the_likely_one(journal: Journal, store: Store) -> None:
    journal.begin(request("nightly"), None)
    writer = Writer(store)
    writer.put_header(child_header("nightly.12"))
    writer.commit()
    for asked, meant in (("nigthly", "nightly"), ("nightly.13", "nightly.12")):
        with pytest.raises(UnknownRunError, match=f"did you mean `{meant}`"):
            journal.require(asked)
    with pytest.raises(UnknownRunError) as raised:
        journal.require("ü")
    assert "did you mean" not in raised.value.message


def test_code_is_checked(journal: Journal, store: Store) -> None:
    journal.begin(request(), None)
    damage(store, "code", bytes.fromhex(DIGEST))
    with pytest.raises(JournalError, match="digest"):
        journal.code(DIGEST)
    with pytest.raises(JournalError, match="missing"):
        journal.code(sha256(b"nothing").hexdigest())


# -- mail ----------------------------------------------------------------------------------------------


def test_mail_waits_until_its_event_is_committed(journal: Journal, store: Store) -> None:
    journal.begin(request("a"), None)
    journal.begin(request("b"), None)
    before = store.last_transaction()
    first = journal.post("b", {"kind": "cancel"})
    second = journal.post("a", {"kind": "signal", "name": "go", "value": b"\xc0"})
    assert store.last_transaction() > before
    assert [(key, run_id) for key, run_id, _ in journal.mail_for(["a", "b"])] == [(first, "b"), (second, "a")]
    assert journal.mail_for(["a"]) == [(second, "a", {"kind": "signal", "name": "go", "value": b"\xc0"})]
    assert journal.mail_for([]) == []
    writer = Writer(store)
    writer.append(b"a", events.signal(1, "go", b"\xc0"))
    writer.delete_mail(second)
    assert len(journal.mail_for(["a"])) == 1
    writer.commit()
    assert journal.mail_for(["a"]) == []
    third = journal.post("a", {"kind": "cancel"})
    assert third not in (first, second), "a key is never used again"


def test_mail_reaches_children(journal: Journal, store: Store) -> None:
    journal.begin(request("a"), None)
    writer = Writer(store)
    writer.put_header(child_header("a.1"))
    writer.commit()
    key = journal.post("a.1", {"kind": "cancel"})
    assert journal.mail_for(["a"]) == [(key, "a.1", {"kind": "cancel"})]


def test_mail_for_a_run_that_cannot_take_it(journal: Journal, store: Store) -> None:
    writer = Writer(store)
    writer.put_header(root_header("done", status="err"))
    writer.put_header(root_header("gone", moved_to="/other"))
    writer.put_header(child_header("gone.1"))
    writer.commit()
    with pytest.raises(UnknownRunError):
        journal.post("nothing", {})
    with pytest.raises(UsageError, match=r"finished \(err\)"):
        journal.post("done", {})
    for run_id in ("gone", "gone.1"):
        with pytest.raises(UsageError, match="moved to /other"):
            journal.post(run_id, {})


def test_damaged_mail_stops_nobody(journal: Journal, store: Store) -> None:
    journal.begin(request("a"), None)
    bad = journal.post("a", {"kind": "cancel"})
    good = journal.post("a", {"kind": "cancel"})
    damage(store, "mail", bad)
    assert [key for key, _, _ in journal.mail_for(["a"])] == [good]
    assert [problem.place for problem in journal.verify()] == [keys.place_of("mail", bad)]


def test_time_comes_from_the_clock(journal: Journal, clock: HeldClock) -> None:
    journal.begin(request(), None)
    clock.seconds += 5
    assert journal.mark_moved("etl", "/x").finished_ms == int(clock.seconds * 1000)
