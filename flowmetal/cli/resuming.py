"""What ``flowmetal resume`` does: adopt, drive, show; once, or for as long as it is left running."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from flowmetal.cli import outcomes
from flowmetal.cli.display import Display
from flowmetal.cli.driving import Interrupted, drive, wait_for_detached
from flowmetal.cli.many import Asking, chosen
from flowmetal.cli.reading import is_interrupted, open_existing, root_only
from flowmetal.cli.running import tell_missing
from flowmetal.cli.text import printable, show_seconds, with_home
from flowmetal.engine.engine import Engine, Outcome
from flowmetal.engine.launching import Launched
from flowmetal.errors import EXIT_OK, FlowmetalError, RunBusyError, RunPausedError
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.permissions.grants import GrantSet
from flowmetal.values import is_ok_packed

_WATCH_SECONDS = 0.25
_UNFINISHED = ("running", "waiting", "paused")


@dataclass(frozen=True, slots=True)
class More:
    """What runs are given beyond what they were started with: grants, and bytes of journal (None: as before)."""

    grants: GrantSet
    journal_bytes: int | None = None


def resume_some(
    names: Sequence[str],
    asking: Asking,
    *,
    more: More,
    leave: bool,
    home: str | None,
    quiet: bool,
    as_json: bool,
    spare: Launched | None = None,
) -> int:
    """Goes on with the named runs, to which ``more`` is granted, or lets others do so (``leave``); the worst exit code.

    ``spare`` is a worker that is coming up already.

    Raises:
        FlowmetalError: one of them does not exist or is no root run; nothing has been done then.
    """
    existing = open_existing(home)
    run_ids = chosen(existing, names, asking, lambda header: header.is_held or is_interrupted(existing, header), home)
    for run_id in run_ids:
        root_only(existing.require(run_id), "resume")
    if leave:
        return _leave(existing, run_ids, quiet)
    if not run_ids:
        return EXIT_OK

    async def work(engine: Engine, journal: Journal, display: Display) -> int:
        tell_missing(more.grants, display)
        worst = EXIT_OK
        taken: list[Header] = []
        for run_id in run_ids:
            try:
                taken.append(engine.adopt(run_id, more.grants, journal_bytes_per_run=more.journal_bytes))
            except FlowmetalError as error:
                worst = max(worst, _report(error))
                continue
            display.adopted(taken[-1])
        for header in taken:
            if header.is_finished:
                display.notice(_too_late(header, more, home))
            outcome = _outcome_of(journal, header) if header.is_finished else await engine.outcome(header.run_id)
            display.pause()
            worst = max(worst, _show(journal, display, outcome, as_json, home, len(run_ids) > 1))
        await wait_for_detached(engine, display)
        return worst

    return drive(home, quiet, work, existing, spare)


def _too_late(header: Header, more: More, home: str | None) -> str:
    """What is said of a run that had ended before it was to go on."""
    granted = "; what is granted now changes nothing" if more.grants != GrantSet() else ""
    rerun = with_home(f"flowmetal rerun {header.run_id}", home)
    again = "" if header.status == "ok" else f"; to do again what was not Ok, perhaps with --allow: {rerun}"
    return f"{header.run_id} has ended before, this is its result{granted}{again}"


def _leave(journal: Journal, run_ids: Sequence[str], quiet: bool) -> int:
    for run_id in run_ids:
        was_held = journal.require(run_id).is_held
        journal.lift(run_id)
        if not quiet:
            state = "is not paused any more; whoever takes up runs of this home goes on with it"
            print(f"{run_id} {state if was_held else 'was not paused'}", file=sys.stderr)
    return EXIT_OK


def resume_all(
    *, more: More, watch: bool, home: str | None, quiet: bool, as_json: bool, spare: Launched | None = None
) -> int:
    """Goes on with every free unfinished run; the worst exit code.  ``spare`` as for ``resume_some``."""
    existing = None if watch else open_existing(home)
    worst = [EXIT_OK]

    async def work(engine: Engine, journal: Journal, display: Display) -> int:
        watcher = _Watcher(engine, journal, display, more, as_json, home, worst)
        tell_missing(more.grants, display)
        watcher.take_up()
        if not watch and not watcher.seen:
            paused = sum(1 for header in journal.roots(status="paused") if header.is_held)
            others = f"; {paused:,} paused, which `flowmetal resume RUN` goes on with" if paused else ""
            display.notice(f"no interrupted runs in {journal.home}{others}")
        if watch:
            display.notice(f"taking up interrupted runs of {journal.home} until Ctrl-C")
        while watch or watcher.waiting:
            await watcher.step()
        await wait_for_detached(engine, display)
        return worst[0]

    try:
        return drive(home, quiet, work, existing, spare)
    except Interrupted as interrupted:
        if not watch:
            raise
        if interrupted.run_ids and not quiet:
            print(interrupted.show(), file=sys.stderr)
        return worst[0]


class _Watcher:
    """Takes free runs up and shows how they end."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        display: Display,
        more: More,
        as_json: bool,
        home: str | None,
        worst: list[int],
    ) -> None:
        self.seen: set[str] = set()
        self.waiting: dict[asyncio.Task[Outcome], Header] = {}
        self._engine = engine
        self._journal = journal
        self._display = display
        self._more = more
        self._as_json = as_json
        self._home = home
        self._worst = worst
        self._transaction = -1

    def take_up(self) -> None:
        """Adopts every unfinished run that is free and has not failed here already."""
        transaction = self._journal.store.last_transaction()
        owned = set(self._engine.owned)
        for status in _UNFINISHED:
            for header in list(self._journal.roots(status=status)):
                if (
                    header.run_id not in owned
                    and header.run_id not in self.seen
                    and is_interrupted(self._journal, header)
                ):
                    self._adopt(header.run_id)
        self._transaction = transaction

    def _adopt(self, run_id: str) -> None:
        try:
            header = self._engine.adopt(
                run_id, self._more.grants, journal_bytes_per_run=self._more.journal_bytes, even_held=False
            )
        except (RunBusyError, RunPausedError):
            return  # another process was faster, which is as good
        except FlowmetalError as error:
            self.seen.add(run_id)
            self._worst[0] = max(self._worst[0], _report(error))
            return
        self.seen.add(run_id)
        if not header.is_finished:
            self._display.notice(f"resuming {run_id}")
            self._display.adopted(header)
            self.waiting[asyncio.ensure_future(self._engine.outcome(run_id))] = header

    async def step(self) -> None:
        """Waits a moment, shows what has ended, looks for what has become free."""
        if self.waiting:
            done, _ = await asyncio.wait(self.waiting, timeout=_WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                header = self.waiting.pop(task)
                outcome = task.result()
                if outcome.error is None or isinstance(outcome.error, RunPausedError):
                    self.seen.discard(header.run_id)
                self._display.pause(keep=False)
                code = _show(self._journal, self._display, outcome, self._as_json, self._home, True)
                self._worst[0] = max(self._worst[0], code)
        else:
            await asyncio.sleep(_WATCH_SECONDS)
        self.take_up()


def _outcome_of(journal: Journal, header: Header) -> Outcome:
    return Outcome(header, journal.payload(header.run_id, header.result) if header.result is not None else None)


def _show(
    journal: Journal, display: Display, outcome: Outcome, as_json: bool, home: str | None, one_of_many: bool
) -> int:
    header = outcome.header
    if one_of_many and outcome.error is None:
        took = ((header.finished_ms or header.created_ms) - header.created_ms) / 1_000
        display.notice(
            f"{header.run_id}: {'ok' if is_ok_packed(outcome.value) else header.status} after {show_seconds(took)}"
        )
    try:
        return outcomes.finish(journal, outcome, as_json=as_json, home=home, errs=display.errs(header.run_id))
    except FlowmetalError as error:
        return _report(error)


def _report(error: FlowmetalError) -> int:
    print(printable(error.show(), keep="\n\t"), file=sys.stderr)
    return error.exit_code
