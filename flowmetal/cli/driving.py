"""An engine for the length of one command: opened, watched for signals, closed so that nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from flowmetal.assembly import open_engine
from flowmetal.cli.display import Display
from flowmetal.cli.text import with_home
from flowmetal.engine.engine import Engine, Outcome
from flowmetal.engine.launching import Launched
from flowmetal.errors import EXIT_INTERRUPTED, FlowmetalError
from flowmetal.journal import pausing
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.places import home_path, open_journal

_FOLLOW_SECONDS = 0.05
_MOST_NAMED = 3


class Interrupted(FlowmetalError):
    """Ctrl-C, or another polite request to end; what was driven can be resumed."""

    exit_code = EXIT_INTERRUPTED

    def __init__(self, signal_number: int, run_ids: list[str], home: str | None) -> None:
        super().__init__("interrupted")
        self.exit_code = 128 + signal_number
        self.run_ids = run_ids
        self._home = home

    def show(self) -> str:
        """What was interrupted and how to go on."""
        if not self.run_ids:
            return "interrupted"
        many = len(self.run_ids) > _MOST_NAMED
        names = "--all" if many else " ".join(self.run_ids)
        runs = f" {len(self.run_ids)} runs" if many else ""
        return f"interrupted{runs}; nothing is lost, go on with: {with_home(f'flowmetal resume {names}', self._home)}"


def drive(
    home: str | None,
    quiet: bool,
    work: Callable[[Engine, Journal, Display], Awaitable[int]],
    journal: Journal | None = None,
    spare: Launched | None = None,
    open_with: Callable[[Journal, Launched | None], Engine] = open_engine,
) -> int:
    """Gives ``work`` an engine and its journal, the home's unless one is open already; the exit code that it returns.

    ``spare`` is a worker that is coming up already; ``open_with`` makes the engine.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the engine is closed and its runs are free.
    """
    if journal is None:
        journal = open_journal(home_path(home))
    at_first = signal.getsignal(signal.SIGINT)
    try:
        return asyncio.run(_drive(journal, home, quiet, work, lambda: open_with(journal, spare)))
    finally:
        # The loop leaves Python's own way behind, a traceback.
        signal.signal(signal.SIGINT, at_first)


async def _drive(
    journal: Journal,
    home: str | None,
    quiet: bool,
    work: Callable[[Engine, Journal, Display], Awaitable[int]],
    open_with: Callable[[], Engine],
) -> int:
    caught: list[int] = []
    engine = open_with()
    display = _display(journal, quiet, home)
    engine.observe(display, only_questions=quiet)
    if not quiet and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        display.ask_here(engine.answer)
    task = asyncio.ensure_future(work(engine, journal, display))

    def stop(number: int) -> None:
        caught.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    owned: list[str] = []
    try:
        return await task
    except asyncio.CancelledError:
        if not caught:
            raise
        owned = engine.owned
    finally:
        await engine.stop()
        engine.close()
        display.close()
    raise Interrupted(caught[0], owned, home)


def _display(journal: Journal, quiet: bool, home: str | None) -> Display:
    """A live tree when a person looks at stderr, else lines only."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return Display(journal, quiet, home)
    from flowmetal.cli.live import LiveDisplay

    return LiveDisplay(journal, home)


async def wait_for_end(engine: Engine, journal: Journal, display: Display, header: Header, *, ours: bool) -> Outcome:
    """The end of a root run: one that this engine drives, or one that another drives as long as that one lives."""
    run_id = header.run_id
    while not ours:
        seen = journal.require(run_id)
        if seen.is_finished:
            return Outcome(seen, journal.payload(run_id, seen.result) if seen.result is not None else None)
        if seen.is_held:
            return Outcome(seen, None, pausing.held(seen))
        if not journal_drives(journal, seen):
            display.adopted(engine.adopt(run_id, even_held=False))
            display.notice(f"the process that drove {run_id} has ended; going on with it here")
            break
        await asyncio.sleep(_FOLLOW_SECONDS)
    return await engine.outcome(run_id)


def journal_drives(journal: Journal, header: Header) -> bool:
    """Whether a live engine drives a root run."""
    from flowmetal.journal.starting import is_driven

    return is_driven(journal.home, header)


async def wait_for_detached(engine: Engine, display: Display) -> None:
    """Waits for the runs of their own that were started and are still driven here."""
    owned = engine.owned
    if owned:
        names = ", ".join(owned[:_MOST_NAMED]) + (" …" if len(owned) > _MOST_NAMED else "")
        noun = "a run of its own" if len(owned) == 1 else f"{len(owned)} runs of their own"
        sys.stdout.flush()
        display.notice(f"waiting for {noun}: {names} (Ctrl-C leaves them to `flowmetal resume`)")
        await engine.idle()
