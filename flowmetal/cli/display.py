"""What a person sees on stderr while runs go on: notices and log lines; ``live.py`` adds the tree."""

from __future__ import annotations

import sys
from collections.abc import Callable

from flowmetal.cli.prompting import Prompts
from flowmetal.cli.questions import GRANT, Question, answers_in_mail
from flowmetal.cli.reading import errs_of
from flowmetal.cli.text import continued, cut, printable, show_call
from flowmetal.identity import child_id
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of
from flowmetal.settings import format_duration
from flowmetal.values import unpack

_REMEMBERED = 1_000
_FIELDS_WIDTH = 200


class Display:
    """Shows what an engine tells, a line each; an ``Observer``.

    Args:
        journal: where names of runs are looked up.
        quiet: show nothing but what people are asked.
        home: the home that the command line names.
    """

    def __init__(self, journal: Journal, quiet: bool, home: str | None = None) -> None:
        self._journal = journal
        self._quiet = quiet
        self._home = home
        self._prompts: Prompts | None = None
        self._names: dict[str, str] = {}
        self._errs: dict[str, int] = {}
        self._answered: dict[tuple[str, int], str] = {}

    def notice(self, text: str) -> None:
        """Says something about what Flowmetal does."""
        if not self._quiet:
            self._write(f"flowmetal: {printable(text)}")

    def pause(self, *, keep: bool = True) -> None:
        """Leaves the screen to what is printed now."""

    def close(self) -> None:
        """Shows nothing any more."""
        if self._prompts is not None:
            self._prompts.close()

    def ask_here(self, answer: Callable[[str, int, str], bool]) -> None:
        """Asks on the terminal from now on what people are asked; ``answer`` takes the run, the action, the text."""
        self._prompts = Prompts(
            answer, self._prefix, lambda: self.pause(keep=False), lambda question: self._tell(question)
        )

    def adopted(self, root: Header) -> None:
        """A root run that began earlier is driven here from now on; what it has recorded is looked through."""
        if root.is_finished:
            return
        # Read before the engine does, which looks for mail in a later turn.
        self._answered |= answers_in_mail(self._journal, root.run_id)
        if not self._quiet:
            self._errs[root.run_id] = sum(1 for _ in errs_of(self._journal, root.run_id))

    def errs(self, root_id: str) -> int:
        """How many results below a root run were Err, other than by being cancelled; told once, at its end."""
        return self._errs.pop(root_id, 0)

    def started(self, run_id: str, name: str, parent: str, number: int) -> None:
        """A run began."""

    def acted(self, run_id: str, number: int, callee: str, name: str) -> None:
        """A run asked for something that takes time."""

    def ended(self, run_id: str, number: int, is_ok: bool) -> None:
        """What action ``number`` asked for has a result; number 0 is the run itself."""
        if number and not is_ok and not self._quiet:
            header = self._journal.header(child_id(run_id, number))
            if header is None or header.status != "cancelled":
                root_id = root_of(run_id)
                self._errs[root_id] = self._errs.get(root_id, 0) + 1
        if self._prompts is not None:
            self._prompts.over(run_id, number)

    def logged(self, run_id: str, text: str, level: str, fields: bytes | None) -> None:
        """A run wrote a log line; it is durable."""
        if self._quiet:
            return
        pairs = unpack(fields) if fields is not None else None
        more = f"  {show_call([], pairs['dict'], _FIELDS_WIDTH)}" if pairs and pairs["dict"] else ""
        self._write(printable(f"{self._prefix(run_id)}{text}", keep="\n\t") + more)

    def retrying(self, run_id: str, number: int, attempt: int, reason: str, delay_seconds: float) -> None:
        """Another attempt follows."""
        if not self._quiet:
            name = f"{self._name_of(run_id)}{f' #{number}' if number else ''}"
            delay = format_duration(round(delay_seconds, 3))
            self._write(printable(f"{name}: attempt {attempt} in {delay}: {reason}"))

    def asked(self, run_id: str, number: int, reason: str, text: str) -> None:
        """An action waits for a person; told even to who wants quiet, for nothing happens before an answer."""
        question = Question(run_id, number, reason, text, 0, 0)
        answer = self._answered.pop((run_id, number), None)
        if answer is not None and reason != GRANT:
            self.notice(f"{self._prefix(run_id)}{cut(question.words, _FIELDS_WIDTH)} is answered: {answer}")
            return
        if self._prompts is not None and reason != GRANT:
            self._prompts.ask(question)
        else:
            self._tell(question)

    def _tell(self, question: Question) -> None:
        """Shows a question that is answered elsewhere, with the command that does."""
        words = continued(f"{self._prefix(question.run_id)}{question.words}")
        command = question.command(self._home)
        self._write(f"? {words}" + (f"\n  {printable(command)}" if command else ""))

    def _prefix(self, run_id: str) -> str:
        return f"{self._name_of(run_id)}: " if "." in run_id else ""

    def _name_of(self, run_id: str) -> str:
        name = self._names.get(run_id)
        if name is None:
            header = self._journal.header(run_id)
            name = header.name if header is not None else run_id
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            self._names[run_id] = name
        return name

    def _write(self, text: str) -> None:
        if self._prompts is not None and self._prompts.is_asking:
            self._prompts.print_above(text)
            return
        print(text, file=sys.stderr, flush=True)
