"""The laws of replay, held against generated programs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from flowmetal.engine.engine import Outcome
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.journal.wrapped_store import WrappedStore
from flowmetal.settings import Limits
from flowmetal.testing.harness import Lab, in_loop, make_lab
from flowmetal.testing.replaying import replay_all, replayable
from flowmetal.testing.workers import Evictor, FrameKiller
from flowmetal.values import unpack
from tests.replay.programs import Source, programs

FEW = settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize="FLOWMETAL_SEED" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
MANY = settings(FEW, max_examples=200, derandomize=False)


@contextmanager
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp())
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def effects(lab: Lab) -> Counter[str]:
    log = lab.base / "log.txt"
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()


def result_of(outcome: Outcome) -> Any:
    """What a flow would see of an outcome; traces and sources of failures included."""
    assert outcome.error is None, outcome.error.show()
    assert outcome.value is not None
    return unpack(outcome.value)


def run(source: Source, directory: Path, **changes: Any) -> tuple[Lab, Any, Counter[str]]:
    lab = make_lab(directory, MemoryStore(), **changes)
    outcome = lab.run(source.text, seconds=30)
    result = result_of(outcome)
    assert list(lab.journal.verify()) == []
    return lab, result, effects(lab)


def replay_is_silent(source: Source) -> None:
    with place() as directory:
        lab, _, _ = run(source, directory)
        for events_at_once in (1, 1_000):
            headers = replayable(lab.journal, "r")
            replayed = in_loop(lambda: replay_all(lab.journal, headers, events_at_once))  # noqa: B023
            for header in headers:
                again = replayed[header.run_id]
                assert again.asked == [], header.run_id
                assert again.open == [], header.run_id
                assert again.value == lab.journal.payload(header.run_id, header.result), header.run_id


def eviction_changes_nothing(source: Source) -> None:
    with place() as directory:
        _, result, done = run(source, directory / "calm")
        _, evicted, done_evicted = run(source, directory / "evicted", spawn=Evictor())
        assert evicted == result
        assert done_evicted == done
        _, crowded, done_crowded = run(source, directory / "crowded", limits=Limits(hot_runs=1))
        assert crowded == result
        assert done_crowded == done


def inlining_changes_nothing(source: Source) -> None:
    with place() as directory:
        _, result, done = run(source, directory / "inline")
        _, plain, done_plain = run(source, directory / "plain", limits=Limits(inline_depth=1))
        assert plain == result
        assert done_plain == done


def a_worker_may_die_anywhere(source: Source, at: int) -> None:
    with place() as directory:
        _, result, done = run(source, directory / "calm")
        _, survived, done_survived = run(source, directory / "killed", spawn=FrameKiller({at, at + 11}))
        assert survived == result
        assert done_survived == done


def every_commit_is_a_place_to_go_on_from(source: Source, each: int) -> None:
    """The state after a commit is what a killed engine leaves; a new one carries it to the same end."""
    with place() as directory:
        memory = MemoryStore()
        kept: list[tuple[int, MemoryStore, Counter[str]]] = []
        lab = make_lab(directory / "first", memory)

        def keep(moment: str, number: int) -> None:
            if moment == "after" and number % each == 0:
                kept.append((number, memory.copy(), effects(lab)))

        lab.store = WrappedStore(memory, keep)
        result = result_of(lab.run(source.text, seconds=30))
        done = effects(lab)
        log = lab.base / "log.txt"
        for number, store, before in kept:
            again = Lab(lab.home, lab.base, store)
            if again.journal.header("r") is None:
                continue
            note(f"from commit {number}")
            log.write_text("".join(f"{line}\n" for line in before.elements()))
            assert result_of(again.resume(seconds=30)) == result
            after = effects(again)
            assert after.keys() == done.keys()
            assert all(count <= 2 for count in after.values())


@given(programs())
@FEW
def test_a_replay_is_silent_and_gives_the_same_bytes(source: Source) -> None:
    replay_is_silent(source)


@given(programs())
@FEW
def test_eviction_changes_nothing(source: Source) -> None:
    eviction_changes_nothing(source)


@given(programs())
@FEW
def test_inlining_changes_nothing(source: Source) -> None:
    inlining_changes_nothing(source)


@given(programs(), st.integers(1, 60))
@FEW
def test_a_worker_may_die_anywhere(source: Source, at: int) -> None:
    a_worker_may_die_anywhere(source, at)


@given(programs(), st.integers(3, 9))
@settings(FEW, max_examples=10)
def test_every_commit_is_a_place_to_go_on_from(source: Source, each: int) -> None:
    every_commit_is_a_place_to_go_on_from(source, each)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@given(source=programs(), at=st.integers(1, 200), each=st.integers(1, 3))
@MANY
def test_all_laws_at_length(source: Source, at: int, each: int) -> None:
    replay_is_silent(source)
    eviction_changes_nothing(source)
    inlining_changes_nothing(source)
    a_worker_may_die_anywhere(source, at)
    every_commit_is_a_place_to_go_on_from(source, each)
