from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.identity import MAX_RUN_ID_BYTES, child_id
from flowmetal.journal import keys

user_ids = st.from_regex(r"[A-Za-z0-9_-]{1,100}", fullmatch=True)
steps = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 12)), max_size=4)


def path(root: str, below: list[tuple[int, int]]) -> str:
    for number, attempt in below:
        root = child_id(root, number) + (f"~{attempt}" if attempt > 1 else "")
    return root


@given(user_ids, steps)
def test_a_path_knows_its_root_and_parent(root: str, below: list[tuple[int, int]]) -> None:
    run_id = path(root, below)
    assert keys.is_run_id(run_id)
    assert keys.root_of(run_id) == root
    assert keys.parent_of(run_id) == (path(root, below[:-1]) if below else "")
    assert keys.sort_key(run_id) == (root, tuple(below))


@given(user_ids, steps, st.integers(0, 2**64 - 1))
def test_an_event_key_is_parsed_back(root: str, below: list[tuple[int, int]], sequence: int) -> None:
    run_id = path(root, below)
    key = keys.event_key(run_id.encode(), sequence)
    assert len(key) <= 511
    assert keys.parse_event_key(key) == (run_id, sequence)
    assert keys.sequence_of(key) == sequence
    assert keys.place_of("events", key) == f"events {run_id} #{sequence}"


@given(st.binary(max_size=30))
def test_any_bytes_are_a_key_or_a_value_error(key: bytes) -> None:
    try:
        run_id, _ = keys.parse_event_key(key)
    except ValueError:
        return
    assert keys.is_run_id(run_id)


@pytest.mark.parametrize("run_id", ["", "a b", "a.1", "ü", "x" * 101, "a\n", "../etc"])
def test_ids_that_nobody_may_give(run_id: str) -> None:
    with pytest.raises(UsageError):
        keys.check_user_id(run_id)


@pytest.mark.parametrize("run_id", ["a.0", "a.01", "a.", ".1", "a.1~1", "a.1~", "a~2", "a.1\n", "a." + "1" * 400])
def test_what_is_no_run_id(run_id: str) -> None:
    assert not keys.is_run_id(run_id)


def test_nesting_too_deep_says_so() -> None:
    run_id = "rr"
    while len(run_id) < MAX_RUN_ID_BYTES:
        run_id = child_id(run_id, 1)
        assert keys.is_run_id(run_id)
    with pytest.raises(UsageError, match="nested too deep"):
        child_id(run_id, 1)


def test_numbers_sort_as_numbers_and_parents_first() -> None:
    ordered = ["a", "a.1", "a.1.5", "a.1~2", "a.1~10", "a.2", "a.10", "b"]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=keys.sort_key) == ordered


def test_new_ids_sort_by_time_and_differ() -> None:
    ids = [keys.new_run_id("etl", now / 1000) for now in (0, 1, 1_700_000_000_000, 1_700_000_000_001, 2**50 - 1)]
    assert ids == sorted(ids)
    assert len({keys.new_run_id("etl", 5) for _ in range(1000)}) == 1000


@given(st.text(max_size=200))
def test_any_stem_makes_an_id_that_a_user_could_give(stem: str) -> None:
    run_id = keys.new_run_id(stem, 1_700_000_000.5)
    assert keys.check_user_id(run_id) == run_id
    assert not set("ilou") & set(run_id.rpartition("-")[2])


@given(user_ids, user_ids, steps)
def test_ranges_hold_a_tree_and_nothing_else(root: str, other: str, below: list[tuple[int, int]]) -> None:
    own_start, own_stop = keys.own_range(root)
    start, stop = keys.descendants_range(root)
    key = keys.event_key(path(root, below).encode(), 5)
    assert (own_start <= key < own_stop) == (not below)
    assert (start <= key < stop) == bool(below)
    if other != root:
        foreign = keys.event_key(path(other, below).encode(), 5)
        assert not own_start <= foreign < own_stop
        assert not start <= foreign < stop


def test_the_range_of_events_begins_after_a_sequence() -> None:
    start, stop = keys.events_range("a", 5)
    inside = [sequence for sequence in range(10) if start <= keys.event_key(b"a", sequence) < stop]
    assert inside == [6, 7, 8, 9]
    assert not start <= keys.event_key(b"a.1", 7) < stop


def test_places_can_be_read() -> None:
    assert keys.place_of("blobs", b"etl\0" + bytes(32)) == "blobs etl " + "00" * 32
    assert keys.place_of("runs", b"etl.1") == "runs etl.1"
    assert keys.place_of("code", b"\xff" * 32) == "code " + "ff" * 32
    assert keys.place_of("by_flow", b"//f\0etl") == "by_flow //f etl"
    assert keys.place_of("events", b"bad") == "events 626164"
