"""``write_csv(path, rows)``: a file that holds rows as CSV."""

from __future__ import annotations

from typing import Final

from flowmetal.actions.beneath import want_path
from flowmetal.actions.csv_rows import CsvError, csv_text
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, plain
from flowmetal.actions.write import write_file
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("write", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    try:
        text = csv_text(args["rows"], args["columns"], args["delimiter"], crlf=args["crlf"])
    except CsvError as error:
        raise EffectFailure(
            f"cannot write `{plain(path)}` as CSV: {plain(str(error))}", kind="error", details={"path": plain(path)}
        ) from None
    write_file(allowed[0], path, text, context.idempotency_key)
    return None


WRITE_CSV: Final = Effect(
    name="write_csv",
    doc="Makes or replaces a file with rows as CSV, as `csv.format` writes them: dicts with the same keys, or lists or "
    "tuples of one length. It holds the old text or the new, as with `write`.",
    parameters=(
        Parameter("path", "str", "the file; relative to the run's starting directory"),
        Parameter("rows", "list", "dicts, or lists or tuples"),
        Parameter("columns", "list | None", "the names for the first line, and of dicts which keys to write", None),
        Parameter("crlf", "bool", "whether lines end in a carriage return and a line feed", False),
        Parameter("delimiter", "str", "the character between fields", ","),
    ),
    mode="thread",
    want=_want,
    perform=_perform,
)
