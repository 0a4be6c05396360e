"""Replaying finished runs: a worker is given a whole history, and must say nothing but how the run ended.

No engine is involved, so nothing can be performed or written; what the worker asks for is returned.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.supply import pinned_rules
from flowmetal.journal.event_schema import FINAL_STATUSES
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.settings import Limits

_SILENT: Final = frozenset({"more", "live", "done"})


@dataclass
class Replayed:
    """What a replay gave: ``value`` the Result's bytes, ``asked`` every message that a replay must not send."""

    value: bytes = b""
    asked: list[list[Any]] = field(default_factory=list)
    open: list[int] = field(default_factory=list)


def bodies(journal: Journal, run_id: str) -> list[bytes]:
    """The events of a run as a worker gets them, without the last: ``finished``."""
    slices = journal.raw_history(run_id, 0, 1 << 60)
    return [body for _, body in slices if body[1:4] != b"\xa1k\x0c"]


async def replay(journal: Journal, header: Header, slice_events: int = 50) -> Replayed:
    """Replays one run on a worker of its own, its history given in slices of ``slice_events``."""
    return (await replay_all(journal, [header], slice_events))[header.run_id]


async def replay_all(journal: Journal, headers: list[Header], slice_events: int = 50) -> dict[str, Replayed]:
    """Replays runs of one root on one worker, all at once."""
    assert all(header.status in FINAL_STATUSES for header in headers)
    root = journal.facts(headers[0].root)
    limits = Limits.from_data(root["limits"])
    found = {header.run_id: Replayed() for header in headers}
    histories = {header.run_id: bodies(journal, header.run_id) for header in headers}
    missing = set(found)
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def start(worker: WorkerProcess, header: Header) -> None:
        own = next(event for _, event in journal.history(header.run_id))
        about = {
            "flow": header.flow,
            "name": header.name,
            "args": journal.payload(header.run_id, own.fields["args"]),
            "nonce": root["nonce"],
            "attempt": header.attempt,
            "started_ms": own.at_ms,
            "inlining": True,
            "base": 0,
            "life": header.life,
            "continue_every": 0,
            "line": own.fields.get("line", ""),
            "replay": True,
        }
        worker.send(["start", header.run_id, 1, about])
        more(worker, header.run_id)

    def more(worker: WorkerProcess, run_id: str) -> None:
        part, histories[run_id] = histories[run_id][:slice_events], histories[run_id][slice_events:]
        worker.send(["history", run_id, 1, part, not histories[run_id]])

    def handle(worker: WorkerProcess, messages: list[list[Any]]) -> None:
        for message in messages:
            if message[0] == "loaded":
                for header in headers:
                    start(worker, header)
            elif message[0] == "more":
                more(worker, message[1])
            elif message[0] in ("invalid", "fault"):
                ended.set_result(f"{message}")
            elif message[0] != "hello":
                take(message)
        worker.flush()

    def take(message: list[Any]) -> None:
        run = found[message[1]]
        if message[0] == "done":
            run.value = message[3]
        elif message[0] == "live":
            run.open = message[3]
        if message[0] not in _SILENT:
            run.asked.append(message)
        if message[0] not in ("more", "live"):
            missing.discard(message[1])
            if not missing and not ended.done():
                ended.set_result("")

    worker = WorkerProcess(limits, handle, lambda _, reason: None if ended.done() else ended.set_result(reason))
    try:
        code = {label: journal.code(digest) for label, digest in root["program"]}
        worker.send(["program", root["main"], code, pinned_rules(root.get("packages", []))])
        worker.flush()
        problem = await asyncio.wait_for(ended, 60)
    finally:
        worker.stop()
    assert not problem, problem
    return found


def replayable(journal: Journal, root_id: str) -> list[Header]:
    """The finished runs of a tree whose end the flow itself came to, not the engine."""
    headers = [journal.require(root_id), *journal.descendants(root_id)]
    return [header for header in headers if header.is_finished and not _ended_by_the_engine(journal, header)]


def _ended_by_the_engine(journal: Journal, header: Header) -> bool:
    return any(event.kind == "cancel_requested" for _, event in journal.history(header.run_id))
