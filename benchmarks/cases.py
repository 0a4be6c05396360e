"""The cases: what people do with a workflow engine, reduced to what can be measured.

Each gives rows: figure, unit, what is to be reached, and the machine's own limit beside it where there is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.harness import FLOWS, kill_when, run_flow, temporary_place, timed_command
from benchmarks.probes import batched_puts_per_second, commits_per_second, interpreter_start_seconds
from flowmetal.places import open_journal
from flowmetal.settings import Limits

MIB: Final = 1024 * 1024
_REPEATS: Final = 3
_BEYOND_COMMIT_US: Final = 318
"""What 40 % of the 4,716 commits a second of the disk leave for an effect, for which that share was set."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; ``reach`` is an upper bound if ``at_most``, else a lower; ``limit`` is in the same unit, or None."""

    case: str
    what: str
    figure: float
    unit: str
    reach: float
    at_most: bool
    limit: float | None = None
    limit_is: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether the figure is on the right side of what is to be reached."""
        return self.figure <= self.reach if self.at_most else self.figure >= self.reach


def _best(name: str) -> float:
    return min(run_flow(name).seconds for _ in range(_REPEATS))


def seq() -> Iterator[Row]:
    """A: one run, 1,000 trivial children one after another."""
    yield Row("A seq", "child flows", 1_000 / _best("seq"), "/s", 40_000, False)


def effects() -> Iterator[Row]:
    """A2: one run, 1,000 real effects, each durable before the next starts."""
    with temporary_place() as place:
        limit = commits_per_second(place)
        rate = 1_000 / _best("effects")
        limit = (limit + commits_per_second(place / "work")) / 2
    yield Row("A2 effects", "durable effects", rate, "/s", 0.4 * limit, False, limit, "LMDB commits of one put")
    beyond_us = (1 / rate - 1 / limit) * 1_000_000
    yield Row("A2 effects", "an effect beyond its commit", beyond_us, "us", _BEYOND_COMMIT_US, True)


def record() -> Iterator[Row]:
    """A3: 100,000 actions that need no answer."""
    with temporary_place() as place:
        limit = batched_puts_per_second(place)
    yield Row(
        "A3 record",
        "record-only actions",
        100_000 / _best("record"),
        "/s",
        60_000,
        False,
        limit,
        "LMDB puts in batches of 100",
    )


def many() -> Iterator[Row]:
    """B: 200 runs of 10 trivial children each."""
    yield Row("B many", "child flows of 200 runs", 2_000 / _best("many"), "/s", 20_000, False)


def sleepers() -> Iterator[Row]:
    """C: 1,000 runs that sleep 2 s."""
    measured = run_flow("sleepers", {"count": 1_000, "seconds": 2.0}, flow="sleepers")
    yield Row("C sleepers", "1,000 sleeps of 2 s", measured.seconds, "s", 2.5, True, 2.0, "the sleep itself")
    yield Row(
        "C sleepers", "resident, all processes", (measured.engine_bytes + measured.worker_bytes) / MIB, "MiB", 100, True
    )


def sleepers_100k() -> Iterator[Row]:
    """C: 100,000 runs that sleep at once."""
    measured = run_flow("sleepers", {"parents": 20, "each": 5_000, "seconds": 30.0}, flow="dormitory")
    yield Row(
        "C sleepers",
        "100,000 at once, resident",
        (measured.engine_bytes + measured.worker_bytes) / MIB,
        "MiB",
        250,
        True,
    )
    yield Row("C sleepers", "of it without pages of files", measured.private_bytes / MIB, "MiB", 250, True)
    yield Row("memory", "journal of a waiting run", measured.journal_bytes / 100_000, "B", 2_048, True)


def fan_out() -> Iterator[Row]:
    """D: one run starts 200 children and waits for all."""
    yield Row("D fan-out", "200 children", _best("fan_out"), "s", 0.03, True)


def cold() -> Iterator[Row]:
    """E: one step, the whole process from nothing."""
    times = []
    for _ in range(5):
        with temporary_place() as place:
            times.append(timed_command(place, "run", str(FLOWS / "one.flow")))
    limit = min(interpreter_start_seconds() for _ in range(5))
    yield Row("E cold", "one-step run, whole process", min(times), "s", 0.2, True, limit, "a Python that does nothing")


def crash() -> Iterator[Row]:
    """F: kill -9 in a run of 200 effects, then resume to its end."""
    with temporary_place() as place:
        written = place / "work" / "crash.txt"
        arguments = ["run", str(FLOWS / "crash.flow"), "--id", "crash", "--allow", f"write={place / 'work'}", "--quiet"]
        kill_when(place, lambda: written.exists() and written.read_text().count("\n") >= 100, *arguments)
        seconds = timed_command(place, "resume", "crash")
        lines = written.read_text().split()
    if sorted(set(lines), key=int) != [str(number) for number in range(200)]:
        raise RuntimeError("effects are missing after the resume")
    yield Row("F crash", "effects repeated", len(lines) - 200, "", 1, True)
    yield Row("F crash", "restart to the end, whole process", seconds, "s", 0.3, True)


def replay() -> Iterator[Row]:
    """G: restart of a run with 1,000 recorded actions up to its next new one."""
    yield Row("G replay", "1,000 actions, whole process", _replay(1_000, 1.0), "s", 0.25, True)


def replay_1m() -> Iterator[Row]:
    """G: the same with a million recorded actions."""
    yield Row("G replay", "1,000,000 actions, whole process", _replay(1_000_000, 1.0), "s", 15, True)


def lives() -> Iterator[Row]:
    """H: a run of 20,000 actions that continues as new."""
    yield from _lives(20_000)


def lives_1m() -> Iterator[Row]:
    """H: the same with a million: memory, journal and restart are to be no larger."""
    yield from _lives(1_000_000)


def _lives(count: int) -> Iterator[Row]:
    case, what = "H lives", f"{count:,} actions in lives of 1,000"
    measured = run_flow("lives", {"count": count}, flow="lives")
    yield Row(case, what, count / measured.seconds, "/s", 20_000, False)
    memory = (measured.engine_bytes + measured.worker_bytes) / MIB
    yield Row(case, f"{count:,}: resident, all processes", memory, "MiB", 100, True)
    yield Row(case, f"{count:,}: journal", measured.journal_bytes / MIB, "MiB", 2, True)
    yield Row(case, f"{count:,}: restart, whole process", _replay(count, 1.0, "lives"), "s", 0.35, True)


def _replay(count: int, slept_seconds: float, name: str = "replay") -> float:
    with temporary_place() as place:
        flow = f"{FLOWS / f'{name}.flow'}:{name}"
        journal_path = place / "home" / "journal"
        (place / "home").mkdir()
        journal = open_journal(place / "home")
        try:

            def sleeps() -> bool:
                header = journal.header("replay")
                return header is not None and header.wake_at_ms is not None

            kill_when(
                place, sleeps, "run", flow, "--id", "replay", "--count", str(count), "--seconds", str(slept_seconds)
            )
        finally:
            journal.store.close()
        assert journal_path.is_dir()
        time.sleep(slept_seconds)
        return timed_command(place, "resume", "replay")


def hot_memory() -> Iterator[Row]:
    """Resident bytes of the worker for each hot run that waits."""
    few = run_flow("sleepers", {"count": 8, "seconds": 1.0}, flow="sleepers")
    hot = run_flow("sleepers", {"count": 108, "seconds": 1.0}, flow="sleepers", limits=Limits(hot_runs=128))
    yield Row("memory", "a waiting run, hot", (hot.worker_bytes - few.worker_bytes) / 100 / 1024, "KiB", 64, True)


CASES: Final[dict[str, Callable[[], Iterator[Row]]]] = {
    "seq": seq,
    "effects": effects,
    "record": record,
    "many": many,
    "sleepers": sleepers,
    "fan_out": fan_out,
    "cold": cold,
    "crash": crash,
    "replay": replay,
    "memory": hot_memory,
    "lives": lives,
    "replay_1m": replay_1m,
    "lives_1m": lives_1m,
    "sleepers_100k": sleepers_100k,
}
"""By name, the long ones last."""

LONG: Final = frozenset({"replay_1m", "lives_1m", "sleepers_100k"})
