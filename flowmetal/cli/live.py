"""The live tree on a terminal: drawn by rich, and only once a run has taken long enough for a person to look."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowmetal.cli.display import Display
from flowmetal.cli.progress import Progress, Row
from flowmetal.cli.text import cut, printable, show_seconds
from flowmetal.journal.journal import Journal

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_FIRST_SECONDS = 0.2
_EVERY_SECONDS = 0.12
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_NAME_WIDTH = 60


class LiveDisplay(Display):
    """A display with a tree; made within the running event loop."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal, quiet=False)
        self._progress = Progress(self._lookup, time.monotonic)
        self._live: Live | None = None
        self._frame = 0
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(_FIRST_SECONDS, self._tick)

    def _lookup(self, run_id: str) -> tuple[str, str]:
        header = self._journal.header(run_id)
        return (header.parent, header.name) if header is not None else ("", run_id)

    # -- what the engine tells -------------------------------------------------------------------------

    def started(self, run_id: str, name: str, parent: str, number: int) -> None:
        """A run began."""
        self._progress.started(run_id, name, parent, number)

    def acted(self, run_id: str, number: int, callee: str, name: str) -> None:
        """A run asked for something that takes time."""
        self._progress.acted(run_id, number, name)

    def ended(self, run_id: str, number: int, is_ok: bool) -> None:
        """What action ``number`` asked for has a result; number 0 is the run itself."""
        self._progress.ended(run_id, number, is_ok)

    # -- the screen ------------------------------------------------------------------------------------

    def pause(self, *, keep: bool = True) -> None:
        """Takes the tree off the screen, or leaves its last state there, before something else is printed."""
        if self._live is not None:
            self._live.transient = not keep
            self._live.update(self._drawn(), refresh=True)
            self._live.stop()
            self._live = None

    def close(self) -> None:
        """Draws nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.pause()

    def _write(self, text: str) -> None:
        if self._live is None:
            super()._write(text)
        else:
            self._live.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_EVERY_SECONDS, self._tick)
        if not any(row.running for row in self._progress.forest.below.values()):
            return
        if self._live is None:
            self._live = _open_live()
        self._frame += 1
        self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Text:
        from rich.text import Text

        now = time.monotonic()
        most = max(3, self._live.console.size.height - 2) if self._live is not None else 20
        lines = list(_lines(self._progress.forest, now, self._frame))
        if len(lines) > most:
            lines = [*lines[: most - 1], [(f"… {len(lines) - most + 1} more", "dim")]]
        text = Text(no_wrap=True, overflow="ellipsis")
        for at, line in enumerate(lines):
            for part, style in line:
                text.append(part, style=style)
            if at < len(lines) - 1:
                text.append("\n")
        return text


def _open_live() -> Live:
    from rich.console import Console
    from rich.live import Live

    live = Live(console=Console(file=sys.stderr), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    live.start()
    return live


def _lines(row: Row, now: float, frame: int, indent: str = "") -> Iterator[list[tuple[str, Any]]]:
    rows = list(row.below.values())
    for at, each in enumerate(rows):
        is_last = at == len(rows) - 1
        branch = "" if row.depth == 0 else "└─ " if is_last else "├─ "
        yield [(indent + branch, "dim"), *_parts(each, now, frame)]
        yield from _lines(each, now, frame, indent + ("" if row.depth == 0 else "   " if is_last else "│  "))


def _parts(row: Row, now: float, frame: int) -> list[tuple[str, Any]]:
    if row.running:
        mark = (_SPINNER[frame % len(_SPINNER)], "cyan")
    elif row.err:
        mark = ("✗", "red")
    else:
        mark = ("✓", "green")
    parts: list[tuple[str, Any]] = [mark, (f" {cut(printable(row.name), _NAME_WIDTH)}", "")]
    if row.running + row.ok + row.err > 1:
        counts = [(row.running, "running", "cyan"), (row.ok, "ok", "green"), (row.err, "err", "red")]
        for count, word, style in counts:
            if count:
                parts.append((f"  {count:,} {word}", style))
    parts.append((f"  {show_seconds(row.busy(now))}", "dim"))
    return parts
