"""``read_csv(path)``: the rows of a CSV file."""

from __future__ import annotations

from typing import Final

from flowmetal.actions.beneath import want_path
from flowmetal.actions.csv_rows import CsvError, check_delimiter, read_rows, records
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, plain
from flowmetal.actions.read import read_text
from flowmetal.actions.read_json import check_size
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    try:
        check_delimiter(args["delimiter"])
    except CsvError as error:
        raise EffectFailure(f"read_csv: {plain(str(error))}", kind="error") from None
    return want_path("read", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    text = read_text(allowed[0], path)
    try:
        rows, first_line = read_rows(text, args["delimiter"])
        value: list[Wire] = records(rows, first_line) if args["header"] else rows
    except CsvError as error:
        raise EffectFailure(
            f"cannot read `{plain(path)}` as CSV: {plain(str(error))}", details={"path": plain(path)}
        ) from None
    check_size(value, path, "`csv.parse(text)` of what `read` gives", "CSV")
    return value


READ_CSV: Final = Effect(
    name="read_csv",
    doc="The rows of a CSV file of at most 1 MiB, by the rules of `csv.parse`: dicts of texts, or with "
    "`header = False` lists of texts. Nothing is converted.",
    parameters=(
        Parameter("path", "str", "the file; relative to the run's starting directory"),
        Parameter("header", "bool", "whether the first row names the columns", True),
        Parameter("delimiter", "str", "the character between fields", ","),
    ),
    mode="thread",
    want=_want,
    perform=_perform,
    sample=[],
)
