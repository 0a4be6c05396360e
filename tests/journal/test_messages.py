"""Mail in slices, the count of what is unread, and what the history alone tells of it."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import QuotaError, UnknownRunError, UsageError
from flowmetal.journal import events, messages
from flowmetal.journal.headers import Header, put_header
from flowmetal.journal.lmdb_store import LmdbStore
from flowmetal.journal.mail import mail_for, mail_slice
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.journal.messages import Unread, Waiting
from flowmetal.journal.shared_state import all_shared, read_shared
from flowmetal.journal.writer import Writer
from flowmetal.settings import Limits
from flowmetal.values import pack

RUNS = ("a", "a-b", "a.1", "a.1.2", "b")


def store_of(*run_ids: str, limits: Limits | None = None) -> MemoryStore:
    """A store with these runs, each root with a first event."""
    store = MemoryStore()
    for run_id in run_ids:
        root = run_id.partition(".")[0]
        facts = events.RootFacts([], "//a.flow", (limits or Limits()).to_data(), {}, "/", bytes(16), {}, {})
        with store.update() as update:
            put_header(update, Header(run_id, "f", "f", root, 1, parent=run_id.rpartition(".")[0]), None)
            if run_id == root:
                key = messages.event_key(root.encode(), 1)
                update.put_many("events", [(key, events.started(1, "f", "f", b"\x90", root=facts))])
    return store


def send(store: MemoryStore, run_id: str, number: int) -> None:
    messages.send_signal(store, run_id, "n", pack(number))


@given(st.lists(st.sampled_from(RUNS), max_size=30), st.sets(st.sampled_from(["a", "a-b", "b"])), st.integers(1, 8))
def test_slices_of_mail_are_the_mail(sent: list[str], owned: set[str], most: int) -> None:
    """In the order of posting over all runs; what is for others is left out, whatever their keys lie between."""
    store = store_of(*RUNS)
    for number, run_id in enumerate(sent):
        send(store, run_id, number)
    wanted = [(run_id, pack(n)) for n, run_id in enumerate(sent) if run_id.partition(".")[0] in owned]
    assert [(run_id, message["value"]) for _, run_id, message in mail_for(store, owned)] == wanted
    found: list[tuple[str, bytes]] = []
    is_all = False
    writer = Writer(store)
    while not is_all:
        taken, is_all = mail_slice(store, owned, most, 1 << 20)
        assert len(taken) <= most
        for key, run_id, message in taken:
            found.append((run_id, message["value"]))
            writer.delete_mail(key)
        writer.commit()
    assert found == wanted


def test_a_slice_ends_with_its_bytes() -> None:
    store = store_of("a")
    for _ in range(10):
        messages.send_signal(store, "a", "n", pack("x" * 1_000))
    taken, is_all = mail_slice(store, ["a"], 100, 2_500)
    assert (len(taken), is_all) == (3, False)


def test_the_count_follows_what_is_sent_and_read() -> None:
    store = store_of("a", limits=Limits(unread_messages=3))
    for number in range(3):
        send(store, "a", number)
    with pytest.raises(QuotaError, match="its limit `unread_messages`"):
        send(store, "a", 3)
    writer = Writer(store)
    for (key, _, message), at in zip(mail_for(store, ["a"]), range(3), strict=True):
        sequence = writer.append(b"a", events.signal(1, message["name"], message["value"]))
        writer.delete_mail(key)
        if at < 2:
            writer.append(b"a", events.result(1, at + 1, pack(at), read=sequence))
            writer.count_messages("a", -1, -len(message["value"]))
    assert writer.counted("a") == (-2, -2)
    writer.commit()
    with store.view() as view:
        assert messages.waiting(view, "a") == Waiting(1, 1)
        assert not messages.has_mail(view, "a")
    assert messages.unread(store, "a") == [Unread(6, "n")]
    with store.update() as update:
        messages.count(update, "a", -5, -5)  # what was counted wrongly never goes below nothing
        assert messages.waiting(update, "a") == Waiting()


def test_who_takes_no_messages() -> None:
    store = store_of("a", "a.1", "b")
    with store.update() as update:
        put_header(update, Header("a.1", "f", "f", "a", 1, parent="a", status="ok"), None)
        put_header(update, Header("b", "f", "f", "b", 1, moved_to="/elsewhere"), None)
    with pytest.raises(UnknownRunError, match="there is no run `c`"):
        send(store, "c", 1)
    with pytest.raises(UsageError, match="has finished"):
        send(store, "a.1", 1)
    with pytest.raises(UsageError, match="was moved to /elsewhere"):
        send(store, "b", 1)


def test_a_home_of_before_has_nothing_shared(tmp_path: Path) -> None:
    """One that has no table for it yet."""
    LmdbStore(tmp_path).close()
    with lmdb.open(str(tmp_path), max_dbs=20) as environment:
        table = environment.open_db(b"state")
        with environment.begin(write=True) as transaction:
            transaction.drop(table)
    store = LmdbStore(tmp_path)
    assert list(all_shared(store)) == []
    with store.view() as view:
        assert read_shared(view, "x") is None
    store.close()
