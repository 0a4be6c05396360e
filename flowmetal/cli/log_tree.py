"""The tree of a run: every action on one line with what came of it, the flows it started below it.

A history is read once and front to back.  An action whose result has not been read yet waits in a queue together
with all that came after it, so what is kept is as large as what was open at once, never as large as the run.

Of a tree of what failed, a line is held back until something at or below it came to an Err; what is held back is as
long as the tree is deep.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from flowmetal.cli import event_words
from flowmetal.cli.questions import INTERRUPTED
from flowmetal.cli.reading import flow_of, is_interrupted, load
from flowmetal.cli.text import printable, show_call, show_moment, show_seconds, with_home
from flowmetal.errors import JournalError
from flowmetal.identity import child_id
from flowmetal.journal.events import Event
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of

_MOST_NESTED = 100
_BESIDE_GRANTS = 60


@dataclass(slots=True)
class _Row:
    """One line of the tree; ``number`` is that of an action which has no result yet, or has one."""

    event: Event
    number: int = 0
    done: bool = True
    result: Event | None = None
    notes: list[str] = field(default_factory=list)
    # Why a person was asked last; "" when what was asked is over.
    asked: str = ""


def print_tree(journal: Journal, header: Header, home: str | None, *, only_errs: bool = False) -> None:
    """Prints the tree of a run: drawn on a terminal, indented in a pipe; ``only_errs``: what came to an Err in it."""
    printer = _Tree(journal, header, sys.stdout.isatty(), home, only_errs=only_errs)
    printer.print_header(header)
    printer.print_run(header.run_id, "", 0)
    printer.print_end(header)


def print_plan(journal: Journal, header: Header, mark: Callable[[str, int], str]) -> None:
    """Prints the tree of a run that only pretended, without times; ``mark`` is put to what came of an action."""
    printer = _Tree(journal, header, sys.stdout.isatty(), None, mark)
    print(printable(flow_of(header)))
    printer.print_run(header.run_id, "  ", 0)


class _Tree:
    def __init__(
        self,
        journal: Journal,
        header: Header,
        drawn: bool,
        home: str | None,
        mark: Callable[[str, int], str] | None = None,
        only_errs: bool = False,
    ) -> None:
        self._only_errs = only_errs
        self._held: list[str] = []
        self._home = home
        self._mark = mark
        self._journal = journal
        root = journal.require(root_of(header.run_id))
        self._start_ms = root.created_ms
        self._drawn = drawn

    def print_header(self, header: Header) -> None:
        rerun = f"  (a rerun of {header.rerun_of})" if header.rerun_of else ""
        print(f"{header.run_id}  {printable(flow_of(header))}  {show_moment(header.created_ms)}{rerun}")

    def print_end(self, header: Header) -> None:
        if header.finished_ms is not None and header.is_finished:
            print(self._timed(header.finished_ms, "", self._status(header)))
        elif header.is_root and is_interrupted(self._journal, header):
            print(f"interrupted; it goes on with: {with_home(f'flowmetal resume {header.run_id}', self._home)}")
        elif header.is_held:
            why = f" ({printable(header.pause_reason)})" if header.pause_reason else ""
            resume = with_home(f"flowmetal resume {header.run_id}", self._home)
            print(f"paused since {show_moment(header.paused_ms or 0)}{why}; it goes on with: {resume}")
        else:
            print(f"still {header.status}")

    def _status(self, header: Header) -> str:
        took = show_seconds(((header.finished_ms or 0) - header.created_ms) / 1_000)
        words = event_words.came_of(self._journal, header.run_id, header.result) if header.result is not None else ""
        return f"{self._colour(header.status)} after {took}{f': {words}' if words not in ('', 'ok') else ''}"

    def _colour(self, status: str) -> str:
        code = {"ok": 32, "err": 31, "cancelled": 33}.get(status)
        return f"\x1b[{code}m{status}\x1b[0m" if self._drawn and code else status

    def print_run(self, run_id: str, indent: str, depth: int) -> None:
        """Prints the rows of one run, and below each the run that it started."""
        rows = _rows(self._journal, run_id)
        current = next(rows, None)
        while current is not None:
            following = next(rows, None)
            branch, below = self._branch(following is None and depth > 0)
            held = len(self._held)
            self._print_row(run_id, current, indent + branch)
            self._print_child(run_id, current, indent + below, depth)
            del self._held[held:]
            current = following

    def _branch(self, is_last: bool) -> tuple[str, str]:
        if not self._drawn or self._only_errs:
            return "", "  "
        return ("└─ ", "   ") if is_last else ("├─ ", "│  ")

    def _print_child(self, run_id: str, row: _Row, indent: str, depth: int) -> None:
        verb = str(row.event.fields.get("callee", "")).partition(" ")[0]
        if row.event.kind != "action" or verb not in ("call", "run", "clean", "on_failure"):
            return
        below = child_id(run_id, row.number)
        if self._journal.header(below) is not None:
            if depth >= _MOST_NESTED:
                more = "…" if self._mark else f"… {with_home(f'flowmetal log {below}', self._home)}"
                self._put(f"{'' if self._mark else ' ' * 10}{indent}{more}", True)
            else:
                self.print_run(below, indent, depth + 1)

    def _print_row(self, run_id: str, row: _Row, indent: str) -> None:
        event = row.event
        try:
            text = self._words(run_id, row)
        except JournalError as error:
            text = f"{event.kind}: {error.message} ({error.place})"
        self._put(self._timed(event.at_ms, indent, text), not self._only_errs or self._came_to_err(run_id, row))

    def _put(self, line: str, is_shown: bool) -> None:
        """Prints a line with those held back above it, or holds it back until one below it is shown."""
        self._held.append(line)
        if is_shown:
            print("\n".join(self._held))
            self._held.clear()

    def _came_to_err(self, run_id: str, row: _Row) -> bool:
        value = (row.event if row.result is None else row.result).fields.get("value")
        try:
            return value is not None and event_words.is_failure(self._journal, run_id, value)
        except JournalError:
            return True  # what is damaged is no less worth a look

    def _words(self, run_id: str, row: _Row) -> str:
        event = row.event
        if event.kind == "started":
            args = load(self._journal, run_id, event.fields["args"])
            return f"started {printable(event.fields['name'])}({show_call(args[0], args[1])})"
        if event.kind == "log":
            return event_words.log_line(self._journal, run_id, event)
        if event.kind == "continued":
            return f"── {event_words.next_life(self._journal, run_id, event)} ──"
        if event.kind == "signal":
            return event_words.message(self._journal, run_id, event)
        if event.kind == "attempt" and not event.fields["number"]:
            return f"── {event_words.other(event)} ──"
        if event.kind == "result":
            return f"#{row.number} → {event_words.late(self._journal, run_id, event)}"
        if event.kind not in ("action", "child"):
            return event_words.other(event)
        text = f"#{row.number} {event_words.asked_for(self._journal, run_id, event)}{self._outcome(run_id, row)}"
        text += "".join(f"  ({note})" for note in row.notes)
        if self._mark:
            text += self._mark(run_id, row.number)
        elif row.result is not None:
            text += event_words.why(self._journal, run_id, event, row.result, is_denied="Err(denied)" in text)
        return f"{text}{event_words.place(event)}"

    def _outcome(self, run_id: str, row: _Row) -> str:
        event = row.event
        if str(event.fields.get("callee")).partition(" ")[0] in ("defer", "release", "expose"):
            return ""
        value = event.fields.get("value") if row.result is None else row.result.fields.get("value")
        if value is not None:
            words = event_words.came_of_wait(self._journal, run_id, event, value)
            limit = _BESIDE_GRANTS if row.result is not None and row.result.fields.get("by") else 100
            words = words or event_words.came_of(self._journal, run_id, value, limit)
            if self._drawn and words.startswith("Err("):
                words = f"\x1b[31m{words}\x1b[0m"
            took = ""
            if row.result is not None and not self._mark:
                took = f"  {show_seconds((row.result.at_ms - row.event.at_ms) / 1_000)}"
            return f" → {words}{took}"
        if row.result is not None:
            return ""  # a timer says all by its own time
        return " …" if not row.done else ""

    def _timed(self, at_ms: int, indent: str, text: str) -> str:
        return f"{indent}{text}" if self._mark else f"{(at_ms - self._start_ms) / 1_000:+9.3f}s {indent}{text}"


def _is_interrupted(journal: Journal, run_id: str, result: Event) -> bool:
    return event_words.came_of(journal, run_id, result.fields["value"]).startswith("Err(interrupted)")


def _rows(journal: Journal, run_id: str) -> Iterator[_Row]:
    """The lines of one run in order, each with its result if there is one."""
    queue: deque[_Row] = deque()
    waiting: dict[int, _Row] = {}
    for _, event in journal.history(run_id):
        number = event.fields.get("number", 0)
        if event.kind in ("result", "timer_fired"):
            row = waiting.pop(number, None)
            if event.fields.get("late"):
                queue.append(_Row(event, number))
            elif row is not None:
                row.result, row.done = event, True
                if row.asked == INTERRUPTED and _is_interrupted(journal, run_id, event):
                    row.notes.append("answered: fail")
        elif event.kind in ("attempt", "asked") and number in waiting:
            note = event_words.other(event)
            if waiting[number].asked == INTERRUPTED and event.kind == "attempt" and event.fields["repeated"]:
                waiting[number].notes.append("answered: repeat")
            waiting[number].asked = event.fields["reason"] if event.kind == "asked" else ""
            # A question is asked anew after each grant and each resume.
            if note not in waiting[number].notes[-1:] and not event_words.is_beginning(event):
                waiting[number].notes.append(note)
        elif event.kind == "action" and "value" not in event.fields:
            verb = str(event.fields["callee"])
            row = _Row(event, number, done=verb == "cancel")
            queue.append(row)
            if verb != "cancel":
                waiting[number] = row
        elif event.kind == "started":
            if "." not in run_id and event.fields.get("flow"):
                queue.append(_Row(event))
        elif event.kind != "finished":
            queue.append(_Row(event, number))
        while queue and queue[0].done:
            yield queue.popleft()
    yield from queue
