"""The live tree on a terminal: drawn by rich, and only once a run has taken long enough for a person to look."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flowmetal.cli.display import Display
from flowmetal.cli.progress import Progress, Row
from flowmetal.cli.reading import open_actions
from flowmetal.cli.text import cut, printable, show_seconds
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_FIRST_SECONDS = 0.2
_EVERY_SECONDS = 0.12
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_LEFT = "–"
_NAME_WIDTH = 60
_MOST_LOOKED_AT = 2_000


class LiveDisplay(Display):
    """A display with a tree; made within the running event loop."""

    def __init__(self, journal: Journal, home: str | None = None) -> None:
        super().__init__(journal, quiet=False, home=home)
        self._progress = Progress(self._lookup, time.monotonic)
        self._live: Live | None = None
        self._frame = 0
        self._is_over = False
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
        super().ended(run_id, number, is_ok)
        self._progress.ended(run_id, number, is_ok)

    def retrying(self, run_id: str, number: int, attempt: int, reason: str, delay_seconds: float) -> None:
        """Another attempt follows."""
        super().retrying(run_id, number, attempt, reason, delay_seconds)
        self._progress.retrying(run_id, number)

    def asked(self, run_id: str, number: int, reason: str, text: str) -> None:
        """An action waits for a person."""
        super().asked(run_id, number, reason, text)
        self._progress.asked(run_id, number)

    def adopted(self, root: Header) -> None:
        """A run that began earlier is driven here from now on: what is open in it is read from its journal."""
        super().adopted(root)
        if root.is_finished:
            return
        now, now_ms = time.monotonic(), int(time.time() * 1_000)

        def moment(at_ms: int) -> float:
            return now - max(0, now_ms - at_ms) / 1_000

        self._progress.started(root.run_id, root.name, "", 0, moment(root.created_ms))
        self._reopen(root, moment)
        over: list[Header] = []
        looked_at = 0
        for each in self._journal.descendants(root.run_id):
            if each.is_finished:
                over.append(each)
                continue
            number = int(each.run_id.rpartition(".")[2])
            self._progress.started(each.run_id, each.name, each.parent, number, moment(each.created_ms))
            looked_at += 1
            if looked_at <= _MOST_LOOKED_AT:
                self._reopen(each, moment)
        for each in over:
            until = moment(each.finished_ms or each.created_ms)
            self._progress.was(each.parent, each.name, moment(each.created_ms), until, each.status == "ok")

    def _reopen(self, header: Header, moment: Callable[[int], float]) -> None:
        for event in open_actions(self._journal, header.run_id):
            fields = event.fields
            name = fields.get("name") or str(fields["callee"]).partition(" ")[0]
            self._progress.acted(header.run_id, fields["number"], name, moment(event.at_ms))

    # -- the screen ------------------------------------------------------------------------------------

    def pause(self, *, keep: bool = True) -> None:
        """Takes the tree off the screen, or leaves its last state there, before something else is printed."""
        if self._live is not None:
            # A tree that goes on is drawn anew below what is printed: a frozen one would look alive.
            self._live.transient = not self._is_over and (not keep or self._is_alive())
            self._live.update(self._drawn(), refresh=True)
            self._live.stop()
            self._live = None

    def close(self) -> None:
        """Draws nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_over = True
        super().close()
        self.pause()

    def _is_alive(self) -> bool:
        return any(row.running for row in self._progress.forest.below.values())

    def _write(self, text: str) -> None:
        if self._live is None:
            super()._write(text)
        else:
            self._live.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_EVERY_SECONDS, self._tick)
        if not self._is_alive() or (self._prompts is not None and self._prompts.is_asking):
            return
        if self._live is None:
            self._live = _open_live()
        self._frame += 1
        self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Text:
        from rich.text import Text

        now = time.monotonic()
        most = max(3, self._live.console.size.height - 2) if self._live is not None else 20
        mark = _LEFT if self._is_over else _SPINNER[self._frame % len(_SPINNER)]
        lines = list(_lines(self._progress.forest, now, mark))
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


def _lines(row: Row, now: float, alive: str, indent: str = "") -> Iterator[list[tuple[str, Any]]]:
    rows = list(row.below.values())
    for at, each in enumerate(rows):
        is_last = at == len(rows) - 1
        branch = "" if row.depth == 0 else "└─ " if is_last else "├─ "
        yield [(indent + branch, "dim"), *_parts(each, now, alive)]
        yield from _lines(each, now, alive, indent + ("" if row.depth == 0 else "   " if is_last else "│  "))


def _parts(row: Row, now: float, alive: str) -> list[tuple[str, Any]]:
    if row.running:
        mark = (alive, "cyan")
    elif row.err:
        mark = ("✗", "red")
    elif row.ok or not row.dropped:
        mark = ("✓", "green")
    else:
        mark = (_LEFT, "dim")
    parts: list[tuple[str, Any]] = [mark, (f" {cut(printable(row.name), _NAME_WIDTH)}", "")]
    if row.running + row.ok + row.err + row.dropped > 1:
        counts = [
            (row.running, "left open" if alive == _LEFT else "running", "cyan"),
            (row.ok, "ok", "green"),
            (row.err, "err", "red"),
            (row.dropped, "ended with it", "dim"),
        ]
        for count, word, style in counts:
            if count:
                parts.append((f"  {count:,} {word}", style))
    if row.retried:
        parts.append((f"  {row.retried:,} tried again", "yellow"))
    if row.asking:
        parts.append(("  waits for a person" if row.asking == 1 else f"  {row.asking:,} wait for a person", "magenta"))
    parts.append((f"  {show_seconds(row.busy(now))}", "dim"))
    return parts
