"""Pausing a run: who may take it up is decided here, in one write transaction, as who drives it is in ``starting.py``.

A run that nobody drives is paused by its header alone.  One that a live engine drives is paused by that engine, which
gets a message; the header then says so before the engine has let go, so that a kill in between leaves it paused.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flowmetal.errors import RunBusyError, RunPausedError, UnknownRunError, UsageError
from flowmetal.journal import mail, ownership
from flowmetal.journal.headers import Header, put_header, read_header
from flowmetal.journal.store import Store


def pause(store: Store, home: Path, root_id: str, reason: str, cut: bool, now_ms: int) -> Header:
    """Pause a root, or ask the engine that drives it to; see ``Journal.pause``."""
    with store.update() as update:
        header = read_header(update, root_id)
        if header is None:
            raise UnknownRunError(f"there is no run `{root_id}`")
        if not header.is_root:
            raise UsageError(
                f"`{root_id}` is part of a run", remedy=f"name the whole run: flowmetal pause {header.root}"
            )
        if header.owner and not header.is_finished and ownership.is_alive(home, header.owner):
            mail.put(update, root_id, {"kind": "pause", "reason": reason, "cut": cut})
            return header
        if header.is_held:
            return header
        if header.is_finished or header.moved_to:
            what = f"was moved to {header.moved_to}" if header.moved_to else f"has finished ({header.status})"
            raise UsageError(f"the run `{root_id}` {what}; there is nothing to pause")
        paused = replace(header, owner=b"", status="paused", paused_ms=now_ms, pause_reason=reason)
        put_header(update, paused, header)
        return paused


def lift(store: Store, root_id: str) -> Header:
    """Let a root be taken up again; see ``Journal.lift``."""
    with store.update() as update:
        header = read_header(update, root_id)
        if header is None:
            raise UnknownRunError(f"there is no run `{root_id}`")
        if not header.is_held:
            return header
        # Since when it was paused is kept: whoever takes it up writes that into its history.
        lifted = replace(header, status="running")
        put_header(update, lifted, header)
        return lifted


def held(header: Header) -> RunPausedError:
    """What is said to who would go on with a run that is paused."""
    why = f": {header.pause_reason}" if header.pause_reason else ""
    return RunPausedError(
        f"the run `{header.run_id}` is paused{why}",
        remedy=f"`flowmetal resume {header.run_id}` goes on with it; nothing is lost",
    )


def still_under_way(header: Header) -> RunBusyError:
    """What is said to who would resume a run whose engine still waits for its effects."""
    return RunBusyError(
        f"the run `{header.run_id}` is paused, and its engine waits for effects that are under way",
        remedy=f"resume it when they have ended, or cut them off: `flowmetal pause {header.run_id} --cut`",
    )
