"""Tables in plain text: columns wide enough, no lines; a terminal gets coloured statuses."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from flowmetal.cli.text import cut

_COLOURS = {"ok": "32", "err": "31", "cancelled": "33", "running": "36", "waiting": "34", "paused": "34"}


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows below their titles; the last column is as long as it is."""
    columns = list(zip(titles, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_terminal = sys.stdout.isatty()
    if not any(row[-1] for row in rows):
        widths, titles = widths[:-1], titles[:-1]
    if is_terminal:
        widths = _fitting(widths, titles, shutil.get_terminal_size().columns)
    print(_line(titles, widths))
    for row in rows:
        cells = [cut(cell, width) for cell, width in zip(row, widths, strict=False)]
        line = _line(cells, widths)
        if is_terminal and widths[1] >= len(row[1]):
            line = _coloured(line, row, widths)
        print(line)


def _fitting(widths: list[int], titles: Sequence[str], columns: int) -> list[int]:
    """Widths that fit a terminal: the widest column gives way first, no column below its title."""
    widths = list(widths)
    while (over := sum(widths) + 2 * (len(widths) - 1) - columns) > 0:
        # An id that is cut off cannot be used.
        loose = [at for at in range(1, len(widths)) if widths[at] > len(titles[at])]
        if not loose:
            break
        widest = max(loose, key=lambda at: widths[at])
        widths[widest] -= min(over, max(1, (widths[widest] - len(titles[widest])) // 4))
    return widths


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _coloured(line: str, row: Sequence[str], widths: Sequence[int]) -> str:
    colour = _COLOURS.get(row[1])
    at = widths[0] + 2
    if colour is None:
        return line
    return f"{line[:at]}\x1b[{colour}m{row[1]}\x1b[0m{line[at + len(row[1]) :]}"
