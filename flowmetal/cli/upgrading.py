"""What ``flowmetal upgrade`` does: each run by itself, then a table or the words for it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

from flowmetal.assembly import locate_program
from flowmetal.cli.reading import flow_of, open_existing, root_only
from flowmetal.cli.table import print_table
from flowmetal.cli.text import drawn, json_text, printable, with_home
from flowmetal.engine.differences import Difference, Side
from flowmetal.engine.upgrading import Upgrader, Verdict
from flowmetal.errors import EXIT_HOME, EXIT_MISMATCH, EXIT_OK, ConflictError, JournalError
from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal

_COMMAND: Final = re.compile(r"(?<=`)flowmetal [^`]*(?=`)")
_UNFINISHED: Final = ("running", "waiting", "paused")
_CODES: Final = {"differs": EXIT_MISMATCH, "busy": EXIT_HOME}
_WORDS: Final = {
    "moved": "goes on with the new code",
    "fits": "would go on with the new code",
    "same": "has this code already",
    "differs": "stays as it was",
    "busy": "a live engine drives it",
    "ended": "has ended",
}


def upgrade(run_ids: list[str], file: str, *, dry_run: bool, home: str | None, quiet: bool, as_json: bool) -> int:
    """Moves the named runs, or with none all of the file, to its code; the worst exit code.

    Raises:
        FlowmetalError: a run that is named does not exist or has ended, or the file cannot be loaded.
    """
    journal = open_existing(home)
    main, sources = locate_program(file)
    path = os.path.realpath(file)
    sources.text_of(main)  # what cannot be read is said before any run is looked at
    for run_id in run_ids:
        header = journal.require(run_id)
        root_only(header, "upgrade")
        if header.moved_to:
            raise ConflictError(f"the run `{run_id}` was moved to {header.moved_to}", remedy="upgrade it there")
        if header.is_finished:
            raise ConflictError(
                f"the run `{run_id}` has ended", remedy=f"with today's code again: `flowmetal rerun {run_id}`"
            )
    chosen = run_ids or _all_of(journal, main, path, quiet)

    async def work() -> tuple[list[Verdict], int]:
        identity = None if dry_run else ownership.acquire(journal.home)
        upgrader = Upgrader(journal, identity, main, sources, path)
        try:
            await upgrader.load(chosen)
            return await _judge_all(upgrader, chosen)
        finally:
            upgrader.close()
            if identity is not None:
                identity.release()

    if not chosen:
        _say(quiet or as_json, f"no unfinished runs of {file} in {journal.home}")
        return EXIT_OK
    verdicts, worst = asyncio.run(work())
    if as_json:
        for verdict in verdicts:
            print(json_text(_data(verdict)))
    else:
        _show(verdicts, home, quiet, as_table=not run_ids or len(run_ids) > 1)
    return max([worst, *(_CODES.get(verdict.status, EXIT_OK) for verdict in verdicts)])


async def _judge_all(upgrader: Upgrader, run_ids: list[str]) -> tuple[list[Verdict], int]:
    """The verdicts, and the exit code of the runs that there is none for: their records are damaged."""
    verdicts, worst = [], EXIT_OK
    for run_id in run_ids:
        try:
            verdicts.append(await upgrader.upgrade(run_id))
        except JournalError as error:
            print(printable(error.show(), keep="\n\t"), file=sys.stderr)
            worst = error.exit_code
    return verdicts, worst


def _all_of(journal: Journal, main: str, path: str, quiet: bool) -> list[str]:
    """The unfinished runs of a file: those that say its path, and those of its name that say none."""
    chosen, others = [], 0
    for status in _UNFINISHED:
        for header in list(journal.roots(status=status)):
            if header.main != main or header.moved_to:
                continue
            if journal.facts(header.run_id).get("file", "") in ("", path):
                chosen.append(header)
            else:
                others += 1
    if others:
        _say(quiet, f"{others} unfinished of other files of this name: name them to move them")
    return [each.run_id for each in sorted(chosen, key=lambda each: (each.created_ms, each.run_id))]


# -- showing -------------------------------------------------------------------------------------------


def _show(verdicts: list[Verdict], home: str | None, quiet: bool, *, as_table: bool) -> None:
    if as_table:
        rows = [
            [verdict.header.run_id, verdict.status, printable(flow_of(verdict.header)), _note(verdict)]
            for verdict in verdicts
        ]
        print_table(["RUN", "RESULT", "FLOW", "NOTE"], rows)
    else:
        for verdict in verdicts:
            print(f"{verdict.header.run_id} {_WORDS[verdict.status]}")
    alike: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.status == "differs":
            first = verdict.differences[0]
            alike.setdefault((first.name, first.message, first.number, first.old, first.new), []).append(verdict)
    for group in alike.values():
        print()
        print("\n".join(_explained(group, home)))
    if any(verdict.status == "busy" for verdict in verdicts):
        _say(False, "  help: end the process that drives it (Ctrl-C loses nothing), upgrade, then resume it")
    moved = [verdict.header.run_id for verdict in verdicts if verdict.status == "moved"]
    if moved:
        names = " ".join(moved) if len(moved) <= 3 else "--all"
        _say(quiet, f"go on with: {with_home(f'flowmetal resume {names}', home)}")


def _note(verdict: Verdict) -> str:
    if verdict.status in ("moved", "fits"):
        return f"{verdict.compared:,} flows replayed" if verdict.compared > 1 else ""
    if verdict.status == "differs":
        first = verdict.differences[0]
        where = "" if first.run_id == verdict.header.run_id else f"{first.run_id}: "
        return printable(f"{where}{first.message}")
    return "" if verdict.status == "same" else _WORDS[verdict.status]


def _explained(alike: list[Verdict], home: str | None) -> Iterator[str]:
    """The first difference of a run, and of others that differ in the same."""
    verdict = alike[0]
    first = verdict.differences[0]
    part = "" if first.run_id == verdict.header.run_id else f" ({first.run_id})"
    others = "" if len(alike) == 1 else f" and {len(alike) - 1:,} more"
    yield f"{verdict.header.run_id}{others}: {printable(first.name)}{part}: {printable(first.message)}"
    yield from _side("it had asked for", first.old)
    yield from _side("the new code asks for", first.new)
    if len(verdict.differences) > 1:
        yield "  and more of its flows differ"
    yield f"  help: {_COMMAND.sub(lambda command: with_home(command[0], home), first.remedy)}"


def _side(words: str, side: Side) -> Iterator[str]:
    if side.asks:
        yield f"  {words}: {printable(side.asks)}"
    if side.place:
        yield f"  --> {printable(side.place)}"
    if side.excerpt:
        yield drawn(side.excerpt)


def _data(verdict: Verdict) -> dict[str, Any]:
    return {
        "run": verdict.header.run_id,
        "flow": flow_of(verdict.header),
        "result": verdict.status,
        "replayed": verdict.compared,
        "program": verdict.digest or None,
        "differences": [_difference_data(each) for each in verdict.differences],
    }


def _difference_data(each: Difference) -> dict[str, Any]:
    return {
        "run": each.run_id,
        "name": each.name,
        "number": each.number or None,
        "message": each.message,
        "old": {"asks": each.old.asks, "line": each.old.place, "excerpt": each.old.excerpt},
        "new": {"asks": each.new.asks, "line": each.new.place, "excerpt": each.new.excerpt},
        "help": each.remedy,
    }


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr)
