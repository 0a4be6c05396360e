from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flowmetal.errors import HomeError, InternalError, StorageError
from flowmetal.journal import events, keys
from flowmetal.journal.headers import read_header
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.journal.store import Store, Update
from flowmetal.journal.writer import Writer
from tests.journal.journal_samples import DIGEST, TEXT, child_header, root_header

EVENT = events.timer_fired(1, 2)


def test_one_order_over_all_runs(store: Store) -> None:
    writer = Writer(store, 10)
    assert [writer.append(run, EVENT) for run in (b"b", b"a", b"b.1", b"b")] == [10, 11, 12, 13]
    assert (writer.pending, writer.durable_sequence, writer.next_sequence) == (4, 9, 14)
    assert writer.commit() == writer.durable_sequence == 13
    assert writer.pending == 0
    with store.view() as view:
        found = [keys.parse_event_key(key) for key, _ in view.scan("events")]
    assert found == [("a", 11), ("b", 10), ("b", 13), ("b.1", 12)]


def test_nothing_is_written_before_a_commit_and_all_at_once(store: Store) -> None:
    writer = Writer(store)
    before = store.last_transaction()
    writer.append(b"a", EVENT)
    writer.put_header(root_header("a"))
    writer.put_blob(b"a\0" + bytes(32), b"payload")
    writer.put_code(DIGEST, TEXT)
    assert writer.pending == 4
    assert store.last_transaction() == before
    writer.commit()
    assert store.last_transaction() == before + 1
    with store.view() as view:
        assert view.get("events", keys.event_key(b"a", 2)) == EVENT
        assert read_header(view, "a") == root_header("a")
        assert view.get("blobs", b"a\0" + bytes(32)) == b"payload"
        assert view.get("code", bytes.fromhex(DIGEST)) == TEXT.encode()


def test_an_empty_commit_writes_nothing(store: Store) -> None:
    writer = Writer(store)
    before = store.last_transaction()
    assert writer.commit() == 1
    assert store.last_transaction() == before


def test_the_last_header_of_a_batch_counts_and_indexes_follow(store: Store) -> None:
    writer = Writer(store)
    writer.put_header(root_header("a"))
    writer.commit()
    for status in ("waiting", "paused", "ok"):
        writer.put_header(root_header("a", status=status))
    assert writer.pending == 1
    writer.put_header(child_header("a.1"))
    writer.commit()
    with store.view() as view:
        assert [key for key, _ in view.scan("by_status")] == [b"ok\0a"]


def test_sequences_only_rise(store: Store) -> None:
    writer = Writer(store)
    writer.raise_sequence(100)
    writer.raise_sequence(50)
    assert writer.append(b"a", EVENT) == 101


def test_the_first_sequence_is_after_a_start(store: Store) -> None:
    with pytest.raises(InternalError):
        Writer(store, 1)


def test_history_is_never_overwritten(store: Store) -> None:
    Writer(store).append(b"a", EVENT)
    for outcome in (None, InternalError):
        writer = Writer(store)
        writer.append(b"a", EVENT)
        if outcome is None:
            writer.commit()
        else:
            with pytest.raises(outcome):
                writer.commit()


class RefusingStore(MemoryStore):
    """Fails while committing, as a full disk does."""

    refuses = True

    @contextmanager
    def update(self) -> Iterator[Update]:  # type: ignore[override]  # the same contract
        with super().update() as update:
            yield update
            if self.refuses:
                raise StorageError("the disk refused")


def test_what_the_disk_refused_is_kept() -> None:
    store = RefusingStore()
    writer = Writer(store)
    writer.append(b"a", EVENT)
    writer.put_header(root_header("a"))
    for _ in range(2):
        with pytest.raises(StorageError):
            writer.commit()
        assert (writer.pending, writer.durable_sequence) == (2, 1)
    store.refuses = False
    assert writer.commit() == 2
    with store.view() as view:
        assert view.get("events", keys.event_key(b"a", 2)) == EVENT


def test_who_may_write_no_more_writes_nothing(store: Store) -> None:
    """The fence is asked inside of the transaction, where no other engine can come between it and the commit."""
    lost: list[str] = []

    def fence() -> None:
        if lost:
            raise HomeError(lost[0])

    writer = Writer(store, fence=fence)
    writer.append(b"a", EVENT)
    assert writer.commit() == 2
    lost.append("another engine is in charge")
    writer.append(b"a", EVENT)
    with pytest.raises(HomeError, match="in charge"):
        writer.commit()
    assert (writer.pending, writer.durable_sequence) == (1, 2)
    with store.view() as view:
        assert len(list(view.scan("events"))) == 1
