from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmetal.errors import ConflictError, JournalError, RunBusyError, UnknownRunError
from flowmetal.journal import events, transfer
from flowmetal.journal.blobs import externalize
from flowmetal.journal.headers import encode_header
from flowmetal.journal.journal import Journal
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.journal.writer import Writer
from tests.journal.journal_samples import HeldClock, child_header, request, root_header


def fill(journal: Journal, run_id: str = "etl") -> None:
    journal.begin(request(run_id, args=bytes(20_000)), None)
    field, pairs = externalize(b"x" * 20_000, run_id)
    writer = Writer(journal.store)
    writer.append(run_id.encode(), events.action(1, 1, "//f.flow:child", b"\x90", "f.flow:1"))
    writer.append(f"{run_id}.1".encode(), events.started(1, "//f.flow:child", "child", b"\x90"))
    writer.append(f"{run_id}.1".encode(), events.result(1, 1, field))
    writer.put_blob(*pairs[0])
    writer.put_header(child_header(f"{run_id}.1"))
    writer.commit()


def other_home(tmp_path: Path) -> Journal:
    return Journal(MemoryStore(), tmp_path / "other", HeldClock())


def rows(journal: Journal) -> list[list[tuple[bytes, bytes]]]:
    tables = ("runs", "events", "blobs", "code", "by_status", "by_flow", "by_label")
    with journal.store.view() as view:
        return [list(view.scan(table)) for table in tables]


def test_a_run_moves_with_all_it_needs(journal: Journal, engine: bytes, tmp_path: Path) -> None:
    fill(journal)
    before = rows(journal)
    journal.begin(request("etl-2", text="other"), None)
    data = journal.export_run("etl")
    other = other_home(tmp_path)
    assert other.import_run(data) == journal.require("etl")
    assert rows(other) == before
    assert list(other.verify()) == []
    assert other.export_run("etl") == data
    assert other.import_run(data) == other.require("etl"), "twice is once"
    assert other.adopt("etl", engine).owner == engine


def test_the_source_is_marked(journal: Journal, engine: bytes, tmp_path: Path) -> None:
    fill(journal)
    journal.mark_moved("etl", "/other/home")
    data = journal.export_run("etl")
    for refused in (lambda: journal.adopt("etl", engine), lambda: journal.begin(request(args=bytes(20_000)), engine)):
        with pytest.raises(ConflictError, match="moved to /other/home"):
            refused()
    header = other_home(tmp_path).import_run(data)
    assert (header.moved_to, header.finished_ms) == ("", None)


def test_a_run_comes_back_home(journal: Journal, tmp_path: Path) -> None:
    fill(journal)
    journal.mark_moved("etl", "/other")
    other = other_home(tmp_path)
    other.import_run(journal.export_run("etl"))
    writer = Writer(other.store, 100)
    writer.append(b"etl", events.timer_fired(1, 9))
    writer.commit()
    header = journal.import_run(other.export_run("etl"))
    assert header.moved_to == ""
    assert journal.last_sequence("etl") == 100
    assert list(journal.verify()) == []


def test_a_run_with_a_live_engine_is_not_moved(journal: Journal, engine: bytes) -> None:
    fill(journal)
    journal.adopt("etl", engine)
    with pytest.raises(RunBusyError):
        journal.export_run("etl")
    with pytest.raises(RunBusyError):
        journal.mark_moved("etl", "/other")
    journal.release("etl", engine)
    journal.export_run("etl")


def test_an_owner_does_not_travel(journal: Journal, tmp_path: Path) -> None:
    journal.begin(request(), bytes(range(16)))
    assert other_home(tmp_path).import_run(journal.export_run("etl")).owner == b""


def test_another_run_of_that_id_is_not_replaced(journal: Journal, tmp_path: Path) -> None:
    fill(journal)
    other = other_home(tmp_path)
    other.begin(request(args=b"\x91\xc0"), None)
    before = rows(other)
    with pytest.raises(ConflictError, match="other content"):
        other.import_run(journal.export_run("etl"))
    assert rows(other) == before


def test_what_cannot_be_exported(journal: Journal) -> None:
    fill(journal)
    with pytest.raises(UnknownRunError):
        journal.export_run("nothing")
    with pytest.raises(UnknownRunError) as raised:
        journal.export_run("etl.1")
    assert "etl" in raised.value.remedy


# -- hostile files -------------------------------------------------------------------------------------


def sealed(content: object) -> bytes:
    packed = msgpack.packb(content)
    return transfer.MAGIC + b"\1" + sha256(packed).digest() + packed


def content_of(data: bytes) -> dict[str, list[list[bytes]]]:
    content: dict[str, list[list[bytes]]] = msgpack.unpackb(data[len(transfer.MAGIC) + 33 :])
    return content


@pytest.fixture(scope="module")
def exported() -> bytes:
    journal = Journal(MemoryStore(), Path("/nowhere"), HeldClock())
    fill(journal)
    return journal.export_run("etl")


def refused(data: bytes) -> JournalError:
    journal = Journal(MemoryStore(), Path("/nowhere"), HeldClock())
    before = rows(journal)
    with pytest.raises(JournalError) as raised:
        journal.import_run(data)
    assert rows(journal) == before
    return raised.value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.data())
def test_a_flipped_bit_is_refused(exported: bytes, data: st.DataObject) -> None:
    record = bytearray(exported)
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    record[bit // 8] ^= 1 << bit % 8
    refused(bytes(record))


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(data: bytes) -> None:
    refused(data)
    refused(transfer.MAGIC + b"\1" + sha256(data).digest() + data)


def test_a_newer_file_says_upgrade(exported: bytes) -> None:
    head = len(transfer.MAGIC)
    assert refused(exported[:head] + b"\2" + exported[head + 1 :]).remedy == "upgrade flowmetal"


@pytest.mark.parametrize("content", [None, [], {}, {"root": "etl"}, "text", 5])
def test_content_of_another_shape_is_refused(content: object) -> None:
    refused(sealed(content))


FOREIGN = events.timer_fired(1, 2)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("events", [b"other\0" + bytes(7) + b"\1", FOREIGN]),
        ("events", [b"etl", FOREIGN]),
        ("events", [b"etl\0" + bytes(7) + b"\x09", b"damaged"]),
        ("events", [b"etl\0" + bytes(7) + b"\1", FOREIGN]),
        ("events", ["text", FOREIGN]),
        ("events", [b"one"]),
        ("headers", [b"other", encode_header(root_header("other"))]),
        ("headers", [b"etl.2", encode_header(child_header("etl.2", parent="etl.1"))]),
        ("headers", [b"etl.2", encode_header(child_header("etl.2", owner=bytes(16)))]),
        ("headers", [b"etl.2", encode_header(root_header("etl.2"))]),
        ("blobs", [b"etl\0" + bytes(32), b"not of that digest"]),
        ("blobs", [b"other\0" + sha256(b"x").digest(), b"x"]),
        ("code", [bytes(32), b"not of that digest"]),
    ],
)
def test_rows_that_do_not_belong_are_refused(exported: bytes, table: str, row: list[bytes]) -> None:
    content = content_of(exported)
    content[table].append(row)
    refused(sealed(content))


@pytest.mark.parametrize("table", ["headers", "code"])
def test_what_is_missing_is_refused(exported: bytes, table: str) -> None:
    refused(sealed(content_of(exported) | {table: []}))


@pytest.mark.parametrize("root", ["etl.1", "", "../x", "a\0b"])
def test_ids_that_no_root_has_are_refused(exported: bytes, root: str) -> None:
    refused(sealed(content_of(exported) | {"root": root}))
