"""CSV text (RFC 4180), by the rules of the prelude's ``csv``, which work on text that a flow has; these on files.

``tests/actions/test_csv_rows.py`` holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NoReturn

from flowmetal.actions.effect import type_name
from flowmetal.json_reading import show
from flowmetal.values import Wire

_BYTE_ORDER_MARK: Final = "\ufeff"
_QUOTED: Final = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
_NEEDS_QUOTES: Final = re.compile('["\n\r\ufeff]')


class CsvError(Exception):
    """Not CSV, or rows that are no table; the text is the end of a sentence and names the line or the row."""


def check_delimiter(delimiter: str) -> None:
    """Raise unless it can stand between fields.

    Raises:
        CsvError: it cannot.
    """
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise CsvError(f"delimiter is one character, no double quote and no line break, not {show(delimiter)}")


# -- reading -------------------------------------------------------------------------------------------


def read_rows(text: str, delimiter: str) -> tuple[list[list[str]], int]:
    """The rows of a text, all of one length, and the line of the first; byte-order mark and empty lines are left out.

    Raises:
        CsvError: names the line.
    """
    rows, lines = _Reader(text.removeprefix(_BYTE_ORDER_MARK), delimiter).read()
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            one = 1 in (len(row), len(rows[0]))
            raise CsvError(
                f"line {line} has {_fields(len(row))}, but line {lines[0]} has {len(rows[0])}"
                + ("; is the delimiter right?" if one else "")
            )
    return rows, lines[0] if lines else 1


def records(rows: list[list[str]], first_line: int) -> list[Wire]:
    """Rows as dicts, the first of them naming the columns.

    Raises:
        CsvError: two columns of one name; ``first_line`` says where.
    """
    if not rows:
        return []
    names = rows[0]
    for first, second in pairwise(sorted(names)):
        if first == second:
            raise CsvError(f"line {first_line} names two columns {show(first)}; use header = False")
    made: list[Wire] = []
    for row in rows[1:]:
        pairs: list[Wire] = []
        for name, cell in zip(names, row, strict=True):
            pairs += (name, cell)
        made.append({"dict": pairs})
    return made


class _Reader:
    """A text on the way to rows: ``at`` is where the reading is, ``line`` the number of the line there."""

    def __init__(self, text: str, delimiter: str) -> None:
        self.text = text
        self.delimiter = delimiter
        self.plain = re.compile(f'[^"\\r\\n{re.escape(delimiter)}]*')
        self.at = 0
        self.line = 1
        self.rows: list[list[str]] = []
        self.lines: list[int] = []

    def read(self) -> tuple[list[list[str]], list[int]]:
        """The rows, and the number of the line at which each begins."""
        while self.at < len(self.text):
            if self._line_break():
                continue
            start = self.line
            row = [self._field()]
            while self.text.startswith(self.delimiter, self.at):
                self.at += 1
                row.append(self._field())
            self.rows.append(row)
            self.lines.append(start)
            if self.at < len(self.text) and not self._line_break():
                self._misplaced()
        return self.rows, self.lines

    def _line_break(self) -> bool:
        if self.text.startswith("\r\n", self.at):
            self.at += 2
        elif self.text.startswith("\n", self.at):
            self.at += 1
        else:
            return False
        self.line += 1
        return True

    def _field(self) -> str:
        if not self.text.startswith('"', self.at):
            found = self.plain.match(self.text, self.at)
            cell = found[0] if found else ""
            self.at += len(cell)
            return cell
        quoted = _QUOTED.match(self.text, self.at)
        if quoted is None:
            raise CsvError(f"line {self.line}: a quoted field begins here and does not end")
        self.at = quoted.end()
        self.line += quoted[1].count("\n")
        following = self.plain.match(self.text, self.at)
        if following and following[0]:
            raise CsvError(
                f"line {self.line}: {show(following[0][:20])} follows a closing quote; "
                "inside of quotes a quote is written twice"
            )
        return quoted[1].replace('""', '"')

    def _misplaced(self) -> NoReturn:
        if self.text[self.at] == '"':
            raise CsvError(
                f"line {self.line}: a quote inside an unquoted field; quote the field, write the quote twice"
            )
        raise CsvError(f"line {self.line} holds a carriage return by itself; lines end in \\n or \\r\\n")


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


# -- writing -------------------------------------------------------------------------------------------


def csv_text(rows: list[Wire], columns: list[Wire] | None, delimiter: str, *, crlf: bool) -> str:
    """CSV text of rows, all dicts with the same keys, or all lists or tuples of one length.

    Raises:
        CsvError: names the row.
    """
    check_delimiter(delimiter)
    if columns is not None and not all(isinstance(name, str) for name in columns):
        raise CsvError("columns is a list of texts")
    as_dicts = bool(rows) and type_name(rows[0]) == "dict"
    names = columns
    if names is None and as_dicts:
        names = rows[0]["dict"][::2]
    table = [] if names is None else [names]
    width = None if names is None else len(names)
    for number, row in enumerate(rows, 1):
        kind = type_name(row)
        if (kind == "dict") != as_dicts or kind not in ("dict", "list", "tuple"):
            raise CsvError(f"row {number} is a {kind}; rows are all dicts, or all lists or tuples")
        cells = _ordered(row["dict"], names or [], number, columns is None) if as_dicts else _items(row)
        width = len(cells) if width is None else width
        if len(cells) != width:
            raise CsvError(f"row {number} has {_fields(len(cells))}, not {width}")
        table.append(cells)
    if width == 0:
        raise CsvError("rows without fields cannot be written")
    ending = "\r\n" if crlf else "\n"
    lines = [_line(row, delimiter, index + (names is None)) for index, row in enumerate(table)]
    return "".join(line + ending for line in lines)


def _items(row: Wire) -> list[Wire]:
    return row if isinstance(row, list) else list(row["tuple"])


def _ordered(pairs: list[Wire], names: list[Wire], number: int, is_complete: bool) -> list[Wire]:
    """The values of a dict in the order of ``names``; with ``is_complete`` it has no other keys."""
    values = {_key(name): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
    wanted = [_key(name) for name in names]
    if is_complete and len(values) != len(wanted):
        for key in values:
            if key not in wanted:
                raise CsvError(
                    f"row {number} has the key {_shown(key)}, which the first row has not; "
                    "name the columns = [...] to write"
                )
    for key in wanted:
        if key not in values:
            raise CsvError(f"row {number} has no key {_shown(key)}; its keys are {', '.join(map(_shown, values))}")
    return [values[key] for key in wanted]


def _key(name: Wire) -> tuple[str, str]:
    """A key of the language as one of Python, whose 1 and True are not different."""
    return type_name(name), name if isinstance(name, str) else repr(name)


def _shown(key: tuple[str, str]) -> str:
    return show(key[1]) if key[0] == "str" else key[1]


def _line(row: Iterable[Wire], delimiter: str, number: int) -> str:
    cells = [_cell(cell, number) for cell in row]
    if cells == [""]:
        return '""'
    return delimiter.join(
        f'"{cell.replace(chr(34), chr(34) * 2)}"' if delimiter in cell or _NEEDS_QUOTES.search(cell) else cell
        for cell in cells
    )


def _cell(value: Wire, number: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    kind = type_name(value)
    if kind in ("int", "float"):
        return str(value[kind]) if isinstance(value, dict) else repr(value)
    raise CsvError(f"row {number} holds a {kind}; fields are strings, numbers, bools and None")
