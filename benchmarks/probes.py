"""The limits of this machine, probed in the minute in which the cases run: a figure without its limit says little."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgpack

from flowmetal.journal.lmdb_store import LmdbStore

_PROBE_SECONDS = 0.5
_EVENTS = 20_000


def commits_per_second(place: Path) -> float:
    """Durable LMDB transactions of one put each."""
    return _rate(place / "probe-one", 1)


def batched_puts_per_second(place: Path) -> float:
    """Durable LMDB puts in transactions of a hundred."""
    return _rate(place / "probe-batch", 100)


def _rate(path: Path, batch: int) -> float:
    store = LmdbStore(path)
    value = b"x" * 100
    puts = 0
    begin = time.perf_counter()
    try:
        while (elapsed := time.perf_counter() - begin) < _PROBE_SECONDS:
            items: Iterable[tuple[bytes, bytes]] = [
                (b"probe\0" + number.to_bytes(8, "big"), value) for number in range(puts, puts + batch)
            ]
            with store.update() as update:
                update.put_many("events", list(items))
            puts += batch
        return puts / elapsed
    finally:
        store.close()


def event_microseconds() -> float:
    """Packing and reading a small event, the best of some: how fast this machine computes, to compare others with."""
    event = {"k": 2, "t": 1_790_000_000_000, "n": 7, "c": "do append", "a": b"x" * 20, "l": "etl.flow:12"}
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(_EVENTS):
            msgpack.unpackb(msgpack.packb(event))
        times.append((time.perf_counter() - begin) / _EVENTS)
    return min(times) * 1_000_000


def interpreter_start_seconds() -> float:
    """A Python process that does nothing: the floor of any command."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - begin
