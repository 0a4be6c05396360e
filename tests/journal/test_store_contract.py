"""What every store promises, see ``store.py``."""

from __future__ import annotations

import threading

import pytest

from flowmetal.errors import InternalError
from flowmetal.journal.store import TABLES, Store, pages

KEYS = [b"\0", b"a", b"a\0", b"a\0b", b"ab", b"b", b"\xff" * 511]


def fill(store: Store, table: str = "events") -> None:
    with store.update() as update:
        for key in reversed(KEYS):
            update.put(table, key, b"value of " + key)


def keys(store: Store, *bounds: bytes | None, reverse: bool = False) -> list[bytes]:
    with store.view() as view:
        return [key for key, _ in view.scan("events", *bounds, reverse=reverse)]


def test_what_was_put_is_there_in_byte_order(store: Store) -> None:
    fill(store)
    with store.view() as view:
        assert list(view.scan("events")) == [(key, b"value of " + key) for key in KEYS]
        assert [view.get("events", key) for key in KEYS] == [b"value of " + key for key in KEYS]
        assert view.get("events", b"nothing") is None


@pytest.mark.parametrize("start", [b"", b"\0", b"a", b"a\0a", b"c", b"\xff" * 511])
@pytest.mark.parametrize("stop", [None, b"", b"\0", b"a\0b", b"ac", b"\xff", b"\xff" * 512])
def test_a_scan_is_half_open_both_ways(store: Store, start: bytes, stop: bytes | None) -> None:
    fill(store)
    expected = [key for key in KEYS if key >= start and (stop is None or key < stop)]
    assert keys(store, start, stop) == expected
    assert keys(store, start, stop, reverse=True) == expected[::-1]


def test_an_empty_table_scans_as_nothing(store: Store) -> None:
    assert keys(store) == keys(store, b"a", b"b") == keys(store, reverse=True) == []


def test_tables_are_apart(store: Store) -> None:
    with store.update() as update:
        for table in TABLES:
            update.put(table, b"key", table.encode())
    with store.view() as view:
        assert [view.get(table, b"key") for table in TABLES] == [table.encode() for table in TABLES]


def test_an_update_reads_its_own_writes(store: Store) -> None:
    fill(store)
    with store.update() as update:
        update.put("events", b"new", b"1")
        update.put("events", b"a", b"")
        update.delete("events", b"b")
        update.delete("events", b"never there")
        assert update.get("events", b"new") == b"1"
        assert update.get("events", b"a") == b""
        assert b"b" not in [key for key, _ in update.scan("events")]


def test_an_exception_leaves_no_trace(store: Store) -> None:
    fill(store)
    before, number = keys(store), store.last_transaction()

    def change_and_fail() -> None:
        with store.update() as update:
            update.put("events", b"new", b"1")
            update.put_many("runs", [(b"x", b"y")])
            update.delete("events", b"a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert keys(store) == before
    with store.view() as view:
        assert view.get("runs", b"x") is None
    assert store.last_transaction() == number


def test_a_view_keeps_its_snapshot(store: Store) -> None:
    fill(store)
    with store.view() as view:
        # On a thread of its own, as another process would.
        writer = threading.Thread(target=rewrite, args=(store,))
        writer.start()
        writer.join()
        assert [key for key, _ in view.scan("events")] == KEYS
        assert view.get("events", b"a") == b"value of a"
    assert keys(store) == [b"z"]


def rewrite(store: Store) -> None:
    with store.update() as update:
        for key in KEYS:
            update.delete("events", key)
        update.put("events", b"z", b"1")


def test_updates_wait_for_each_other(store: Store) -> None:
    def add() -> None:
        for _ in range(20):
            with store.update() as update:
                number = int(update.get("meta", b"count") or b"0")
                update.put("meta", b"count", str(number + 1).encode())

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.view() as view:
        assert view.get("meta", b"count") == b"80"


def test_put_many_never_overwrites(store: Store) -> None:
    fill(store)
    with pytest.raises(InternalError), store.update() as update:
        update.put_many("events", [(b"new", b"1"), (b"a", b"2")])
    with store.view() as view:
        assert view.get("events", b"new") is None
        assert view.get("events", b"a") == b"value of a"
    with store.update() as update:
        update.put_many("events", [(b"y", b"2"), (b"x", b"1")])
        update.put_many("events", [])
    assert keys(store, b"x", b"z") == [b"x", b"y"]


@pytest.mark.parametrize("key", [b"", b"k" * 512])
def test_a_key_has_1_to_511_bytes(store: Store, key: bytes) -> None:
    with pytest.raises(InternalError), store.update() as update:
        update.put("events", key, b"")


def test_the_transaction_number_grows_with_changes_only(store: Store) -> None:
    numbers = [store.last_transaction()]
    for _ in range(3):
        with store.update() as update:
            update.put("meta", b"key", b"value")
        numbers.append(store.last_transaction())
    assert numbers == sorted(set(numbers))
    with store.view() as view:
        view.get("meta", b"key")
    with store.update():
        pass
    assert store.last_transaction() == numbers[-1]


def test_the_size_follows_what_is_kept(store: Store) -> None:
    empty = store.size_bytes()
    with store.update() as update:
        for number in range(100):
            update.put("blobs", b"%d" % number, bytes(10_000))
    assert 1_000_000 <= store.size_bytes() - empty < 3_000_000
    with store.update() as update:
        for number in range(100):
            update.delete("blobs", b"%d" % number)
    assert store.size_bytes() - empty < 50_000


def test_pages_hold_no_snapshot(store: Store) -> None:
    with store.update() as update:
        update.put_many("events", [(b"%03d" % number, b"x" * 10) for number in range(100)])
    seen = []
    for page in pages(store, "events", b"010", b"090", limit=7):
        with store.update() as update:  # a later slice sees what happened meanwhile
            update.delete("events", b"050")
        assert len(page) <= 7
        seen += [key for key, _ in page]
    assert seen == [b"%03d" % number for number in range(10, 90) if number != 50]
    assert [len(page) for page in pages(store, "events", b"000", b"005", max_bytes=20)] == [2, 2, 1]
