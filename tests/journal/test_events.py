from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import JournalError
from flowmetal.journal import event_reading, events
from flowmetal.journal.blobs import INLINE_BYTES, externalize, is_reference, load, resolve_body
from flowmetal.journal.event_schema import KEYS, KINDS, SCHEMAS
from flowmetal.journal.framing import seal
from flowmetal.journal.memory_store import MemoryStore
from tests.journal.journal_samples import ARGUMENTS, built_events, root_facts

OPTIONAL = {
    "action": ["name", "modules"],
    "attempt": ["reason"],
    "child": ["name"],
    "result": ["late", "by", "taken_from", "read"],
    "signal": ["sender"],
    "started": ["modules", "on_deny", "file", "packages"],
}
"""Fields that are not written when they say nothing."""


def expected_fields(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a reader sees: absent is absent, tuples are lists."""
    fields = dict(arguments)
    if kind == "started":
        facts = fields.pop("root")
        if facts is not None:
            fields |= {name: getattr(facts, name) for name in facts.__slots__}
    if "program" in fields:
        fields["program"] = [list(pair) for pair in fields["program"]]
    for name in ("value", "due_ms", "deps", "deadline_ms", "policy"):
        if fields.get(name, 0) is None:
            del fields[name]
    for name in OPTIONAL.get(kind, ()):
        if not fields.get(name):
            fields.pop(name, None)
    return fields


@given(built_events())
def test_every_kind_comes_back_as_it_was(built: tuple[str, int, dict[str, Any], bytes]) -> None:
    kind, at_ms, arguments, data = built
    event = event_reading.decode(data)
    assert (event.kind, event.at_ms, event.fields) == (kind, at_ms, expected_fields(kind, arguments))
    assert event_reading.kind_of(data) == kind
    assert msgpack.unpackb(event_reading.body_of(data)) == event_reading.short_fields(event)
    assert event_reading.decode_body(event_reading.body_of(data)) == event


def test_the_tables_of_the_format_fit_each_other() -> None:
    assert set(ARGUMENTS) == set(KINDS) == set(SCHEMAS)
    assert len(set(KEYS.values())) == len(KEYS)
    assert sorted(KINDS.values()) == list(range(1, 16))
    assert {name for schema in SCHEMAS.values() for name in schema.types} | {"kind", "at_ms"} == set(KEYS)


@given(built_events(), st.data())
def test_a_flipped_bit_is_a_journal_error(built: tuple[str, int, dict[str, Any], bytes], data: st.DataObject) -> None:
    record = bytearray(built[3])
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(JournalError) as raised:
        event_reading.decode(bytes(record), "events etl #3")
    assert raised.value.place == "events etl #3"
    with pytest.raises(JournalError):
        event_reading.body_of(bytes(record))


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_every_flipped_bit_of_one_event_of_each_kind(kind: str) -> None:
    record = SAMPLES[kind]
    assert event_reading.decode(record).kind == kind
    for bit in range(len(record) * 8):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(JournalError):
            event_reading.decode(bytes(damaged))


SAMPLES = {
    "started": events.started(1, "//f.flow:main", "main", b"\x90", root=root_facts()),
    "action": events.action(1, 2, "http.get", b"\x90", "f.flow:3", b"\xc0", 4, [1], "n"),
    "child": events.child(1, 2, "//f.flow:child", b"\x90", "f.flow:3", b"\xc0"),
    "attempt": events.attempt(1, 2, 3, True),
    "result": events.result(1, 2, b"\xc0", late=True),
    "timer_fired": events.timer_fired(1, 2),
    "signal": events.signal(1, "go", b"\xc0"),
    "grants": events.grants(1, {"http": ["a"]}),
    "log": events.log(1, 2, 3, "text", b"\x80", "f.flow:3"),
    "asked": events.asked(1, 2, "input", "why?"),
    "paused": events.paused(2, 1, "why"),
    "continued": events.continued(1, 2, 3, b"\x90"),
    "cancel_requested": events.cancel_requested(1, "asked"),
    "code_changed": events.code_changed(1, [("l", "ab" * 32)]),
    "finished": events.finished(1, "ok", b"\xc0"),
}


@given(st.binary(max_size=60))
def test_hostile_bytes_are_journal_errors(data: bytes) -> None:
    with pytest.raises(JournalError):
        event_reading.decode(data)
    event_reading.kind_of(data)


@given(st.binary(max_size=60))
def test_hostile_bytes_with_a_right_checksum_raise_nothing_else(data: bytes) -> None:
    with contextlib.suppress(JournalError):
        event_reading.decode_body(data)


hostile = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 15) | st.text(max_size=3) | st.binary(max_size=3) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS.values()]), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from([*KEYS.values(), "?", ""]), hostile, max_size=12), st.integers(0, 14))
def test_wrong_shapes_are_journal_errors(fields: dict[str, Any], number: int) -> None:
    record = seal(b"\1", {"k": number, "t": 5} | fields)
    try:
        event = event_reading.decode(record, "here")
    except JournalError as error:
        assert error.place == "here"  # noqa: PT017 - some shapes are right
    else:
        assert event.kind in KINDS


@pytest.mark.parametrize(
    "fields",
    [
        {"k": 99, "t": 1},
        {"k": True, "t": 1},
        {"k": [], "t": 1},
        {"k": 6, "t": "1", "n": 1},
        {"k": 6, "t": 1},
        {"k": 6, "t": 1, "n": -1},
        {"k": 6, "t": 1, "n": 1, "v": b""},
        {"k": 12, "t": 1, "S": "running", "v": b""},
        {"k": 5, "t": 1, "n": 1, "v": msgpack.ExtType(2, bytes(32))},
        {"k": 11, "t": 1, "p": [["label", "not a digest"]]},
    ],
)
def test_fields_that_no_event_has(fields: dict[str, Any]) -> None:
    with pytest.raises(JournalError):
        event_reading.decode(seal(b"\1", fields))


def test_a_newer_version_says_upgrade() -> None:
    with pytest.raises(JournalError, match="version 2") as raised:
        event_reading.decode(seal(b"\2", {"k": 6, "t": 1, "n": 1}), "key")
    assert "upgrade" in raised.value.remedy
    assert raised.value.place == "key"


# -- payloads above 16 KiB -----------------------------------------------------------------------------


def test_small_payloads_stay_in_the_event() -> None:
    assert externalize(bytes(INLINE_BYTES), "etl") == (bytes(INLINE_BYTES), [])


def test_large_payloads_are_kept_once_and_found_again() -> None:
    value = bytes(INLINE_BYTES + 1)
    field, pairs = externalize(value, "etl")
    store = MemoryStore()
    with store.update() as update:
        for key, blob in pairs:
            update.put("blobs", key, blob)
    record = events.result(1, 2, field)
    assert len(record) < 80
    assert is_reference(event_reading.decode(record).fields["value"])
    with store.view() as view:
        assert load(view, "etl", field) == value
        assert load(view, "etl", b"inline") == b"inline"
        body = resolve_body(view, "etl", event_reading.body_of(record))
        assert event_reading.decode_body(body).fields["value"] == value
        with pytest.raises(JournalError, match="missing") as raised:
            load(view, "other", field)
        assert raised.value.place.startswith("blobs other ")


def test_payload_bytes_that_look_like_a_reference_stay_as_they_are() -> None:
    record = events.result(1, 2, b"\xc7\x20\x01" + bytes(32))
    body = event_reading.body_of(record)
    with MemoryStore().view() as view:
        assert resolve_body(view, "etl", body) == body


def test_a_damaged_payload_is_named() -> None:
    field, [(key, value)] = externalize(bytes(20_000), "etl")
    store = MemoryStore()
    with store.update() as update:
        update.put("blobs", key, value[:-1] + b"\1")
    with store.view() as view, pytest.raises(JournalError, match="digest"):
        load(view, "etl", field)
