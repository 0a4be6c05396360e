"""What a worker is told when a run is given to it: how it began, then its history in slices."""

from __future__ import annotations

from typing import Any, Final

from flowmetal.engine.attempts import continue_every, has_earlier
from flowmetal.engine.recorded import note_recorded
from flowmetal.engine.table import HotRun
from flowmetal.journal.framing import unpack_plain
from flowmetal.journal.journal import Journal

_HISTORY_SLICE_BYTES: Final = 128 * 1024


def start_message(
    run: HotRun,
    flow: str,
    name: str,
    args: bytes,
    started_ms: int,
    line: str,
    *,
    replay: bool,
    may_inline: bool = True,
) -> list[Any]:
    """The message with which a run begins in its worker; with ``replay`` its history follows."""
    about = {
        "flow": flow,
        "name": name,
        "args": args,
        "nonce": run.root.nonce,
        "attempt": run.header.attempt,
        "life": run.header.life,
        "continue_every": continue_every(run.header),
        "started_ms": started_ms,
        # Only what comes by the engine can be taken over, or wait for a place.
        "inlining": may_inline and not run.alone and not has_earlier(run.header),
        "base": run.header.attempt_base,
        "line": line,
        "replay": replay,
    }
    return ["start", run.run_id, run.incarnation, about]


def replay_message(journal: Journal, run: HotRun, *, may_inline: bool = True) -> list[Any]:
    """The message with which a run that has begun before is replayed; ``next_slice`` must follow.

    Raises:
        JournalError: its first event is damaged.
    """
    run.is_streaming, run.is_live = True, False
    ((run.streamed, body),) = journal.raw_history(run.run_id, 0, 1)
    run.streamed = max(run.streamed, run.header.attempt_seq)
    run.last_action = run.header.attempt_base
    fields = unpack_plain(body)
    run.modules = tuple(fields.get("P", ()))
    line, begun = fields.get("l", ""), fields
    if run.header.life > 1:
        ((_, body),) = journal.raw_history(run.run_id, run.header.life_seq - 1, 1)
        begun = unpack_plain(body)
    return start_message(
        run, fields["f"], fields["m"], begun["a"], begun["t"], line, replay=True, may_inline=may_inline
    )


def next_slice(journal: Journal, run: HotRun) -> list[Any]:
    """The message with the next slice of a run's history; what the engine must know of it is noted.

    Raises:
        JournalError: an event of it is damaged.
    """
    events = journal.raw_history(run.run_id, run.streamed, _HISTORY_SLICE_BYTES)
    for sequence, body in events:
        run.streamed = sequence
        note_recorded(run, unpack_plain(body))
    run.is_streaming = sum(len(body) for _, body in events) >= _HISTORY_SLICE_BYTES
    return ["history", run.run_id, run.incarnation, [body for _, body in events], not run.is_streaming]
