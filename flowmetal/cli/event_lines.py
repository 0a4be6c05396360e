"""Events of a whole tree in the order they happened: for ``log --follow`` and ``log --json``."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator

from flowmetal.cli import event_words
from flowmetal.cli.reading import flow_of, is_interrupted, load
from flowmetal.cli.text import printable, show_call, show_moment, show_seconds
from flowmetal.journal.events import Event
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of

_POLL_SECONDS = 0.1

Show = Callable[[Journal, str, int, Event], None]


def in_order(journal: Journal, header: Header) -> Iterator[tuple[str, int, Event]]:
    """(run id, sequence, event) of a run and all runs below it; sequences are given in one order for all."""
    ids = [header.run_id, *(below.run_id for below in journal.descendants(header.run_id))]
    return heapq.merge(*(_of_run(journal, run_id) for run_id in ids), key=lambda item: item[1])


def _of_run(journal: Journal, run_id: str, after: int = 0) -> Iterator[tuple[str, int, Event]]:
    for sequence, event in journal.history(run_id, after):
        yield run_id, sequence, event


def follow(journal: Journal, header: Header, show: Show) -> None:
    """Shows all events, then new ones as they are written, until the run has ended."""
    seen: dict[str, int] = {}
    over: set[str] = set()
    transaction = -1
    while True:
        now = journal.store.last_transaction()
        if now != transaction:
            transaction = now
            ended = _show_new(journal, header, show, seen, over)
            if ended:
                return
        time.sleep(_POLL_SECONDS)


def _show_new(journal: Journal, header: Header, show: Show, seen: dict[str, int], over: set[str]) -> bool:
    """Shows what is new; whether the run has ended.  Headers are read first: an ended run has no later events."""
    headers = [journal.require(header.run_id), *journal.descendants(header.run_id)]
    fresh: list[tuple[str, int, Event]] = []
    for each in headers:
        if each.run_id in over:
            continue
        fresh.extend(_of_run(journal, each.run_id, seen.get(each.run_id, 0)))
        if each.is_finished:
            over.add(each.run_id)
    for run_id, sequence, event in sorted(fresh, key=lambda item: item[1]):
        seen[run_id] = sequence
        show(journal, run_id, sequence, event)
    return headers[0].is_finished or bool(headers[0].moved_to)


class Printer:
    """Prints events as lines, each with its time and indented by its depth."""

    def __init__(self, journal: Journal, header: Header) -> None:
        root = journal.require(root_of(header.run_id))
        self._start_ms = root.created_ms
        self._depth = header.run_id.count(".")
        self._open: dict[tuple[str, int], tuple[str, Event]] = {}
        note = "  (interrupted: nobody drives it now)" if is_interrupted(journal, root) else ""
        print(f"{header.run_id}  {printable(flow_of(header))}  {show_moment(header.created_ms)}{note}", flush=True)

    def __call__(self, journal: Journal, run_id: str, sequence: int, event: Event) -> None:
        """Prints one event."""
        text = self._words(journal, run_id, event)
        if text:
            indent = "  " * (run_id.count(".") - self._depth)
            print(f"{(event.at_ms - self._start_ms) / 1_000:+9.3f}s {indent}{text}", flush=True)

    def _words(self, journal: Journal, run_id: str, event: Event) -> str:
        fields = event.fields
        number = fields.get("number", 0)
        if event.kind == "started":
            args = load(journal, run_id, fields["args"])
            return f"{printable(fields['name'])}({show_call(args[0], args[1])}) started"
        if event.kind == "continued":
            return event_words.next_life(journal, run_id, event)
        if event.kind == "log":
            return event_words.log_line(journal, run_id, event)
        if event.kind == "signal":
            return event_words.message(journal, run_id, event)
        if event.kind in ("action", "child"):
            asked = f"#{number} {event_words.asked_for(journal, run_id, event)}"
            if fields.get("callee") == "expose":
                return f"{asked}{event_words.place(event)}"
            if "value" in fields:
                return f"{asked} → {event_words.came_of(journal, run_id, fields['value'])}{event_words.place(event)}"
            name = f"#{number} {printable(fields.get('name') or fields['callee'])}"
            self._open[(run_id, number)] = (name, event)
            return f"{asked}{event_words.place(event)}"
        if event.kind == "result":
            if fields.get("late"):
                return f"#{number} → {event_words.late(journal, run_id, event)}"
            name, action = self._open.pop((run_id, number), (f"#{number}", event))
            came = event_words.came_of(journal, run_id, fields["value"])
            why = event_words.why(journal, run_id, action, event, is_denied=came.startswith("Err(denied)"))
            return f"{name} → {came}{why}"
        if event.kind == "timer_fired":
            return f"{self._open.pop((run_id, number), (f'#{number}', event))[0]} is over"
        if event.kind == "finished":
            header = journal.header(run_id)
            took = show_seconds((event.at_ms - header.created_ms) / 1_000) if header is not None else "?"
            came = event_words.came_of(journal, run_id, fields["value"])
            return f"{fields['status']} after {took}{'' if came == 'ok' else f': {came}'}"
        if number and event.kind in ("attempt", "asked"):
            name, _ = self._open.get((run_id, number), (f"#{number}", event))
            return f"{name}: {event_words.other(event)}"
        return event_words.other(event)
