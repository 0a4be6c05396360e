"""What a person sees on stderr while runs go on: notices, log lines, and on a terminal the live tree."""

from __future__ import annotations

import sys

from flowmetal.cli.text import printable
from flowmetal.journal.journal import Journal

_REMEMBERED = 10_000


class Display:
    """Shows what an engine tells; an ``Observer``.

    Args:
        journal: where names of runs are looked up.
        quiet: show nothing.
    """

    def __init__(self, journal: Journal, quiet: bool) -> None:
        self._journal = journal
        self._quiet = quiet
        self._names: dict[str, str] = {}

    def notice(self, text: str) -> None:
        """Says something about what Flowmetal does."""
        if not self._quiet:
            self._write(f"flowmetal: {printable(text)}")

    def pause(self) -> None:
        """Leaves the screen to what is printed now."""

    def close(self) -> None:
        """Shows nothing any more."""

    def started(self, run_id: str, name: str, parent: str, number: int) -> None:
        """A run began."""
        if parent and len(self._names) < _REMEMBERED:
            self._names[run_id] = name

    def acted(self, run_id: str, number: int, callee: str, name: str) -> None:
        """A run asked for something that takes time."""

    def ended(self, run_id: str, number: int, is_ok: bool) -> None:
        """What action ``number`` asked for has a result; number 0 is the run itself."""
        if not number:
            self._names.pop(run_id, None)

    def logged(self, run_id: str, text: str, level: str) -> None:
        """A run wrote a log line."""
        if not self._quiet:
            prefix = f"{self._name_of(run_id)}: " if "." in run_id else ""
            self._write(printable(f"{prefix}{text}", keep="\n\t"))

    def _name_of(self, run_id: str) -> str:
        name = self._names.get(run_id)
        if name is None:
            header = self._journal.header(run_id)
            name = header.name if header is not None else run_id
        return name

    def _write(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
