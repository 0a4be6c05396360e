from __future__ import annotations

from pathlib import Path

import pytest

from flowmetal.errors import HomeError, JournalError
from flowmetal.journal import meta
from flowmetal.journal.framing import seal
from flowmetal.journal.journal import Journal
from flowmetal.journal.store import Store
from flowmetal.journal.writer import Writer
from tests.journal.journal_samples import HeldClock, root_header


def write_format(store: Store, record: bytes) -> None:
    with store.update() as update:
        update.put("meta", b"format", record)


def open_home(store: Store) -> Journal:
    return Journal(store, Path("/nowhere"), HeldClock())


def test_a_home_is_marked_once(store: Store) -> None:
    open_home(store)
    with store.view() as view:
        record = view.get("meta", b"format")
    assert record == meta.format_record(meta.FORMAT, 1_700_000_000_000)
    number = store.last_transaction()
    open_home(store)
    assert store.last_transaction() == number


def test_a_newer_home_names_both_formats_and_the_remedy(store: Store) -> None:
    write_format(store, meta.format_record(7, 0))
    with pytest.raises(HomeError, match=f"format 7; this Flowmetal knows up to {meta.FORMAT}") as raised:
        open_home(store)
    assert type(raised.value) is HomeError
    assert "upgrade flowmetal" in raised.value.remedy


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"garbage",
        meta.format_record(1, 0)[:-1],
        meta.format_record(0, 0),
        seal(b"\1", []),
        seal(b"\1", {"format": "1"}),
        seal(b"\1", {"format": True}),
    ],
)
def test_a_damaged_format_is_a_journal_error(store: Store, record: bytes) -> None:
    write_format(store, record)
    with pytest.raises(JournalError) as raised:
        open_home(store)
    assert raised.value.place == "meta format"


def test_runs_without_a_format_are_damage(store: Store) -> None:
    writer = Writer(store)
    writer.put_header(root_header())
    writer.commit()
    with pytest.raises(JournalError, match="no format"):
        open_home(store)


def test_counters_count_up(store: Store) -> None:
    with store.update() as update:
        assert [meta.next_number(update, "mail") for _ in range(3)] == [1, 2, 3]
    with store.update() as update:
        assert meta.next_number(update, "mail") == 4
        assert meta.read_number(update, "code") == 0
        update.put("meta", b"mail", b"bad")
        with pytest.raises(JournalError):
            meta.next_number(update, "mail")
