from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flowmetal.errors import JournalError
from flowmetal.journal.blobs import externalize
from flowmetal.journal.framing import seal
from flowmetal.journal.headers import (
    STATUSES,
    Header,
    decode_header,
    encode_header,
    index_keys,
    index_prefix,
    program_digest,
    put_header,
    read_header,
    remove_header,
)
from flowmetal.journal.memory_store import MemoryStore
from tests.journal.journal_samples import counts, names, root_header, texts, times

run_ids = st.from_regex(r"[A-Za-z0-9_-]{1,100}(\.[1-9]{1,3}){0,3}", fullmatch=True)
results = st.none() | st.binary(max_size=20) | st.just(externalize(bytes(20_000), "r")[0])
headers = st.builds(
    Header,
    run_ids,
    texts,
    texts,
    run_ids,
    times,
    status=st.sampled_from(STATUSES),
    parent=st.just("") | run_ids,
    owner=st.just(b"") | st.binary(min_size=16, max_size=16),
    program=texts,
    main=texts,
    finished_ms=st.none() | times,
    wake_at_ms=st.none() | times,
    wake_action=st.none() | counts,
    deadline_ms=st.none() | times,
    deaths=counts,
    labels=names,
    attempt=counts,
    args_digest=texts,
    grants_digest=texts,
    result=results,
    moved_to=texts,
)


@given(headers)
def test_a_header_comes_back_as_it_was(header: Header) -> None:
    assert decode_header(encode_header(header), header.run_id.encode()) == header


@given(headers, st.data())
def test_a_flipped_bit_is_a_journal_error(header: Header, data: st.DataObject) -> None:
    record = bytearray(encode_header(header))
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(JournalError) as raised:
        decode_header(bytes(record), header.run_id.encode())
    assert raised.value.place == f"runs {header.run_id}"


@pytest.mark.parametrize(
    "plain",
    [
        [],
        {},
        {"i": "etl"},
        {"i": "other", "f": "f", "m": "m", "R": "etl", "c": 1},
        {"i": "etl", "f": "f", "m": "m", "R": "etl", "c": "1"},
        {"i": "etl", "f": "f", "m": "m", "R": "etl", "c": 1, "S": "lost"},
        {"i": "etl", "f": "f", "m": "m", "R": "etl", "c": 1, "O": b"short"},
        {"i": "etl", "f": "f", "m": "m", "R": "etl", "c": 1, "l": {"a": 1}},
        {"i": "etl", "f": "f", "m": "m", "R": "etl", "c": 1, "v": "text"},
        {"i": "etl", "f": "f", "m": "m", "R": "etl", "c": 1, "?": 1},
    ],
)
def test_wrong_shapes_are_journal_errors(plain: object) -> None:
    with pytest.raises(JournalError) as raised:
        decode_header(seal(b"\1", plain), b"etl")
    assert raised.value.place == "runs etl"


def test_a_newer_version_says_upgrade() -> None:
    with pytest.raises(JournalError) as raised:
        decode_header(seal(b"\2", {}), b"etl")
    assert raised.value.remedy == "upgrade flowmetal"


def test_a_waiting_run_is_small() -> None:
    assert len(encode_header(root_header("x" * 79, wake_at_ms=1, wake_action=2, owner=bytes(16)))) < 512


def test_program_digest_knows_no_order_but_labels() -> None:
    one, two = ("a", "1" * 64), ("b", "2" * 64)
    assert program_digest([one, two]) == program_digest([two, one])
    assert program_digest([("a", "2" * 64), ("b", "1" * 64)]) != program_digest([one, two])


def test_strange_ids_are_simply_unknown() -> None:
    with MemoryStore().view() as view:
        for run_id in ("", "x" * 600, "ü", "\0", "\udc80"):
            assert read_header(view, run_id) is None


@given(st.text(max_size=400), st.text(max_size=400))
def test_index_terms_are_apart_and_fit_a_key(one: str, two: str) -> None:
    first, second = index_prefix(one), index_prefix(two)
    assert (first == second) == (one == two)
    assert first.count(b"\0") == 1
    assert len(first) + 100 <= 511
    assert one == two or not first.startswith(second)


class IndexesAgree(RuleBasedStateMachine):
    """Whatever is written, the index tables are exactly what the headers say."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.known: dict[str, Header] = {}

    @rule(
        run_id=st.sampled_from(["a", "b", "a-1", "a.1"]),
        status=st.sampled_from(STATUSES),
        flow=st.sampled_from(["//f", "//f:a", "//" + "long" * 100]),
        labels=st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2", "\0"]), max_size=2),
    )
    def put(self, run_id: str, status: str, flow: str, labels: dict[str, str]) -> None:
        parent = run_id.rpartition(".")[0]
        header = root_header(run_id, status=status, flow=flow, labels=labels, parent=parent, root=parent or run_id)
        with self.store.update() as update:
            put_header(update, header, read_header(update, run_id))
        self.known[run_id] = header

    @rule(run_id=st.sampled_from(["a", "b", "a-1", "a.1"]))
    def remove(self, run_id: str) -> None:
        header = self.known.pop(run_id, None)
        if header is not None:
            with self.store.update() as update:
                remove_header(update, header)

    @invariant()
    def indexes_are_what_headers_say(self) -> None:
        expected = {pair for header in self.known.values() if header.is_root for pair in index_keys(header)}
        with self.store.view() as view:
            actual = {(table, key) for table in ("by_status", "by_flow", "by_label") for key, _ in view.scan(table)}
            assert {run_id: read_header(view, run_id) for run_id in self.known} == self.known
        assert actual == expected


TestIndexesAgree = IndexesAgree.TestCase
