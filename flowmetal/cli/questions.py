"""What runs ask of people: the questions that are open, and the commands that answer them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from flowmetal.cli.text import cut, printable, with_home
from flowmetal.journal import event_reading
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import own_range, parse_event_key, place_of, root_of

INPUT: Final = "input"
GRANT: Final = "grant"
INTERRUPTED: Final = "interrupted"
_MOST_EVENTS: Final = 1_000
_SUMMARY: Final = 60
DECISIONS: Final = ("repeat", "fail")
"""What may be answered about an action that was interrupted."""


@dataclass(frozen=True, slots=True)
class Question:
    """An action that waits for a person; see the event ``asked``."""

    run_id: str
    number: int
    reason: str
    text: str
    at_ms: int
    sequence: int

    @property
    def words(self) -> str:
        """The question itself."""
        return self.text.partition("\n")[2] if self.reason == GRANT else self.text

    @property
    def summary(self) -> str:
        """Why it is asked and what, in one short line."""
        return f"{self.reason}: {cut(printable(self.words), _SUMMARY)}"

    def command(self, home: str | None) -> str:
        """The command line that answers it; "" if no grant can be named."""
        if self.reason == GRANT:
            return grant_command(self.run_id, self.text, home)
        answer = "repeat" if self.reason == INTERRUPTED else "ANSWER"
        return with_home(f"flowmetal answer {self.run_id} {answer} --action {self.number}", home)


def grant_command(run_id: str, text: str, home: str | None) -> str:
    """The command that grants what the first line of ``text`` says in options of ``flowmetal run``."""
    words = shlex.split(text.partition("\n")[0])
    parts = []
    while words:
        option = words.pop(0)
        if option == "--allow" and words:
            parts.append(shlex.quote(words.pop(0)))
        elif option == "--allow-for" and len(words) > 1:
            parts.append(f"--for {shlex.quote(words.pop(0))} {shlex.quote(words.pop(0))}")
    return with_home(f"flowmetal grant {root_of(run_id)} {' '.join(parts)}", home) if parts else ""


def open_questions(journal: Journal, header: Header) -> list[Question]:
    """What a run and those below it wait for, the oldest first."""
    granted_at = _last_grants(journal, root_of(header.run_id))
    found: list[Question] = []
    for each in chain([header], journal.descendants(header.run_id)):
        if not each.is_finished:
            # What was not enough was asked for again after the grants, so what was asked before them is over.
            found += [q for q in _asked(journal, each.run_id) if q.reason != GRANT or q.sequence > granted_at]
    return sorted(found, key=lambda question: question.sequence)


def latest_questions(journal: Journal, run_ids: Iterable[str]) -> list[Question]:
    """What runs of one root wait for, the oldest first, as far as the latest events of each tell."""
    found: list[Question] = []
    granted_at = -1
    for run_id in run_ids:
        if granted_at < 0:
            granted_at = max(
                (at for at, kind, _, _ in _latest(journal, root_of(run_id)) if kind == "grants"), default=0
            )
        over: set[int] = set()
        for at, kind, data, place in _latest(journal, run_id):
            if kind not in ("asked", "result", "attempt"):
                continue
            event = event_reading.decode(data, place)
            number = event.fields["number"]
            if kind == "attempt" and not number:
                break
            if kind == "asked" and number not in over:
                reason, text = event.fields["reason"], event.fields["text"]
                if reason != GRANT or at > granted_at:
                    found.append(Question(run_id, number, reason, text, event.at_ms, at))
            over.add(number)
    return sorted(found, key=lambda question: question.sequence)


def _latest(journal: Journal, run_id: str) -> list[tuple[int, str, bytes, str]]:
    """(sequence, kind, record, place) of the latest events of a run, the newest first."""
    with journal.store.view() as view:
        return [
            (parse_event_key(key)[1], event_reading.kind_of(data), data, place_of("events", key))
            for key, data in islice(view.scan("events", *own_range(run_id), reverse=True), _MOST_EVENTS)
        ]


def answers_in_mail(journal: Journal, root_id: str) -> dict[tuple[str, int], str]:
    """The answers that a root run and those below it have not read yet, by run and action."""
    return {
        (to, message["number"]): str(message.get("text", ""))
        for _, to, message in journal.mail_for([root_id])
        if message.get("kind") == "answer" and type(message.get("number")) is int
    }


def _asked(journal: Journal, run_id: str) -> Iterator[Question]:
    open_now: dict[int, Question] = {}
    for sequence, event in journal.history(run_id):
        fields = event.fields
        if event.kind == "asked":
            question = Question(run_id, fields["number"], fields["reason"], fields["text"], event.at_ms, sequence)
            open_now[question.number] = question
        elif event.kind in ("result", "attempt") and open_now:
            if event.kind == "attempt" and not fields["number"]:
                open_now.clear()
            open_now.pop(fields["number"], None)
    yield from open_now.values()


def _last_grants(journal: Journal, root_id: str) -> int:
    return max((sequence for sequence, event in journal.history(root_id) if event.kind == "grants"), default=0)
