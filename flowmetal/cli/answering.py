"""What ``flowmetal grant`` and ``flowmetal answer`` do: a letter to the run, and a look at whether it was read."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

from flowmetal.cli.driving import journal_drives
from flowmetal.cli.event_words import grants_text
from flowmetal.cli.questions import DECISIONS, GRANT, INTERRUPTED, Question, answers_in_mail, open_questions
from flowmetal.cli.reading import is_interrupted, open_existing, root_only
from flowmetal.cli.text import continued, printable, show_moment, with_home
from flowmetal.errors import EXIT_OK, UsageError, did_you_mean
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of
from flowmetal.permissions.grants import parse_grants
from flowmetal.sources import working_directory

_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.02


def grant(
    run_id: str, allow: tuple[str, ...], allow_for: tuple[tuple[str, str], ...], home: str | None, quiet: bool
) -> int:
    """Grants a root run more; the exit code.

    Raises:
        UsageError: a text that is no grant, a part of a run, or a run that has ended.
        UnknownRunError: no such run.
    """
    more = parse_grants(allow, (), working_directory(), allow_for=allow_for)
    journal = open_existing(home)
    header = journal.require(run_id)
    root_only(header, "grant")
    _not_ended(header)
    waiting = [question for question in open_questions(journal, header) if question.reason == GRANT]
    if not allow and not allow_for:
        _list(waiting, home, "grant", "")
        return EXIT_OK
    if not quiet:
        _say(f"{run_id} is granted {grants_text(more.to_data())}")
        for question in waiting:
            _say(f"waiting: {question.run_id} #{question.number} {continued(question.words)}")
    if not _post(journal, header, run_id, {"kind": "grant", "grants": more.to_data()}, home, quiet):
        return EXIT_OK
    if not quiet:
        still = [question for question in open_questions(journal, journal.require(run_id)) if question.reason == GRANT]
        for question in still:
            _say(f"still waiting: {question.run_id} #{question.number} {continued(question.words)}")
        if waiting and not still:
            _say("it goes on")
    return EXIT_OK


def list_questions(run_id: str, number: int | None, home: str | None) -> int:
    """Prints the open questions of a run; the exit code."""
    journal = open_existing(home)
    header = journal.require(run_id)
    found = [each for each in open_questions(journal, header) if number in (None, each.number)]
    _list(found, home, "answer", "" if found else _may_ask(journal, header, home))
    return EXIT_OK


def answer(run_id: str, text: str, number: int | None, home: str | None, quiet: bool) -> int:
    """Answers the one question that fits; the exit code.

    Raises:
        UsageError: there is none or more than one, it has an answer already, or takes another.
        UnknownRunError: no such run.
    """
    journal = open_existing(home)
    header = journal.require(run_id)
    _not_ended(header)
    asked = open_questions(journal, header)
    if not asked and (may_ask := _may_ask(journal, header, home)):
        raise UsageError(f"{run_id} asks nothing", remedy=may_ask)
    question = _only(asked, run_id, number, home)
    if question.reason == INTERRUPTED:
        text = text.strip().lower()
        if text not in DECISIONS:
            raise UsageError(
                f"`{text}` is no answer to this{did_you_mean(text, DECISIONS)}",
                remedy=f"it is {' or '.join(f'`{each}`' for each in DECISIONS)}: {printable(question.text)}",
            )
    if (question.run_id, question.number) in answers_in_mail(journal, root_of(run_id)):
        resume = with_home(f"flowmetal resume {root_of(run_id)}", home)
        raise UsageError("it has an answer already, which the run has not read yet", remedy=f"go on with {resume}")
    letter = {"kind": "answer", "number": question.number, "text": text}
    if _post(journal, journal.require(root_of(run_id)), question.run_id, letter, home, quiet) and not quiet:
        _say(f"{question.run_id} has its answer to #{question.number}")
    return EXIT_OK


def _only(found: Iterable[Question], run_id: str, number: int | None, home: str | None) -> Question:
    everything = list(found)
    fitting = [each for each in everything if each.reason != GRANT and number in (None, each.number)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(
            f"{run_id} asks {len(fitting)} questions",
            remedy="\n".join(
                ["answer one of them:", *(f"  {_line(each)}\n    {each.command(home)}" for each in fitting)]
            ),
        )
    what = f"{run_id} asks nothing" if number is None else f"action {number} of {run_id} asks nothing"
    others = [command for each in everything if (command := each.command(home))]
    remedy = "\n".join(["what it waits for:", *(f"  {command}" for command in others)]) if others else ""
    raise UsageError(what, remedy=remedy or f"`flowmetal show {run_id}` says where it stands")


def _not_ended(header: Header) -> None:
    if header.is_finished:
        raise UsageError(
            f"the run `{header.run_id}` has ended ({header.status})", remedy="nothing of it waits any more"
        )


def _post(journal: Journal, root: Header, run_id: str, message: dict[str, Any], home: str | None, quiet: bool) -> bool:
    """Leaves a message and waits until a live engine has taken it; False if there is none, or it takes its time."""
    key = journal.post(run_id, message)
    if not journal_drives(journal, root):
        resume = with_home(f"flowmetal resume {root.run_id}", home)
        if not quiet:
            _say(f"nobody drives {root.run_id} now; it is kept until: {resume}")
        return False
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        if not any(each == key for each, _, _ in journal.mail_for([root.run_id])):
            return True
        time.sleep(_POLL_SECONDS)
    if not quiet:
        _say("it is left for the run, which has not read it yet; whoever drives it will")
    return False


def _may_ask(journal: Journal, header: Header, home: str | None) -> str:
    """What to do with a run that nobody drives and that asks nothing yet; "" when it has ended or somebody does."""
    root = journal.require(root_of(header.run_id))
    if header.is_finished or not is_interrupted(journal, root):
        return ""
    return f"it may ask when it is resumed: {with_home(f'flowmetal resume {root.run_id}', home)}"


def _list(found: list[Question], home: str | None, command: str, otherwise: str) -> None:
    for question in found:
        print(_line(question))
        answers = question.command(home)
        if answers:
            print(f"  {answers}")
    if not found:
        what = "no grant" if command == "grant" else "no answer"
        _say(f"it waits for {what}{f'; {otherwise}' if otherwise else ''}")


def _line(question: Question) -> str:
    since = show_moment(question.at_ms)
    return f"{question.run_id} #{question.number}  since {since}  {continued(question.words)}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
