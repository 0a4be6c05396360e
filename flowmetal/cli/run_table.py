"""Root runs as a table: id, status, flow, start, duration, what an unfinished one waits for, why one has failed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from flowmetal.cli.questions import GRANT, INPUT, answers_in_mail, latest_questions
from flowmetal.cli.reading import flow_of, is_interrupted, load, seconds_of, waits_for
from flowmetal.cli.table import print_table
from flowmetal.cli.text import cut, printable, show_moment, show_seconds, with_home
from flowmetal.errors import JournalError
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.values import Failure, failure_of

_REASON = 60
_FAILURE = 100
_FAILED = ("err", "cancelled")


def print_runs(
    journal: Journal,
    headers: Sequence[Header],
    now_ms: int,
    home: str | None,
    *,
    lineage: bool = False,
    none: str = "no runs",
) -> None:
    """Prints the table; says on stderr that there are ``none``.

    ``lineage``: a column says of which run each is a rerun, and a rerun stands below that if it is there.
    """
    rows = []
    for header in _by_lineage(headers) if lineage else headers:
        duration = show_seconds(seconds_of(header, now_ms))
        note = printable(_note(journal, header, now_ms, home))
        row = [header.run_id, header.status, printable(flow_of(header)), show_moment(header.created_ms), duration, note]
        if lineage:
            row.insert(2, header.rerun_of)
        rows.append(row)
    found = {row[1] in _FAILED for row in rows if row[-1]}
    last = "WAITING FOR / FAILURE" if len(found) == 2 else "FAILURE" if True in found else "WAITING FOR"
    titles = ["RUN", "STATUS", "FLOW", "STARTED", "DURATION", last]
    if lineage:
        titles.insert(2, "RERUN OF")
    if rows:
        print_table(titles, rows)
    else:
        print(none, file=sys.stderr)


def _by_lineage(headers: Sequence[Header]) -> list[Header]:
    """Each run followed by its reruns, oldest first, and those by theirs."""
    present = {header.run_id for header in headers}
    reruns: dict[str, list[Header]] = {}
    for header in headers:
        if header.rerun_of in present:
            reruns.setdefault(header.rerun_of, []).append(header)
    todo = [header for header in reversed(headers) if header.rerun_of not in present]
    ordered: list[Header] = []
    while todo:
        header = todo.pop()
        ordered.append(header)
        todo += sorted(reruns.get(header.run_id, ()), key=lambda each: each.created_ms, reverse=True)
    return ordered


def what_it_waits_for(journal: Journal, header: Header, now_ms: int) -> str:
    """What an unfinished run waits for: its own timer, or the deepest of what it started."""
    if header.is_finished or header.moved_to:
        return ""
    return held_by(header) if header.is_held else waits_for(journal, header, now_ms)


def held_by(header: Header) -> str:
    """That someone paused a run, and what they said."""
    since = show_moment(header.paused_ms or 0)
    why = f" ({cut(header.pause_reason, _REASON)})" if header.pause_reason else ""
    return f"a resume{why}, paused since {since}"


def _note(journal: Journal, header: Header, now_ms: int, home: str | None) -> str:
    if header.moved_to:
        return _moved(header)
    if header.is_held:
        return f"{held_by(header)}: {with_home(f'flowmetal resume {header.run_id}', home)}"
    if is_interrupted(journal, header):
        return _goes_on_with(journal, header, home)
    failure = failure_of_run(journal, header)
    if failure is not None:
        return cut(f"{failure.kind}: {failure.message}", _FAILURE)
    return what_it_waits_for(journal, header, now_ms)


def failure_of_run(journal: Journal, header: Header) -> Failure | None:
    """What a run has failed with; None of one that has not, or whose result is gone or damaged."""
    if header.result is None or header.status not in _FAILED:
        return None
    try:
        return failure_of(load(journal, header.run_id, header.result))
    except JournalError:
        return None


def _goes_on_with(journal: Journal, header: Header, home: str | None) -> str:
    """What an interrupted run waits for, if it is a person, and the command for it."""
    resume = with_home(f"flowmetal resume {header.run_id}", home)
    if header.status == "paused":
        return f"interrupted: {resume}"
    asked = latest_questions(journal, [header.run_id])
    answered = answers_in_mail(journal, header.run_id) if asked else {}
    for question in asked:
        if (question.run_id, question.number) not in answered and question.reason in (INPUT, GRANT):
            return f"interrupted, {question.summary}: {question.command(home) or resume}"
    return f"interrupted: {resume}"


def _moved(header: Header) -> str:
    """What became of a run that `flowmetal export --move` took out of this home."""
    more = "" if header.is_finished else "; it goes on where that is imported"
    return f"moved into {header.moved_to} by `export --move`{more}"
