"""Tables in plain text: columns wide enough, no lines; a terminal gets coloured statuses."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_COLOURS = {"ok": "32", "err": "31", "cancelled": "33", "running": "36", "waiting": "34", "paused": "34"}


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows below their titles; the last column is as long as it is."""
    columns = list(zip(titles, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_terminal = sys.stdout.isatty()
    if not any(row[-1] for row in rows):
        widths, titles = widths[:-1], titles[:-1]
    print(_line(titles, widths))
    for row in rows:
        line = _line(row[: len(widths)], widths)
        if is_terminal:
            line = _coloured(line, row, widths)
        print(line)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _coloured(line: str, row: Sequence[str], widths: Sequence[int]) -> str:
    colour = _COLOURS.get(row[1])
    at = widths[0] + 2
    if colour is None:
        return line
    return f"{line[:at]}\x1b[{colour}m{row[1]}\x1b[0m{line[at + len(row[1]) :]}"
