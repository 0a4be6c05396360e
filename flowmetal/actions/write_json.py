"""``write_json(path, value)``: a file that holds a value as JSON."""

from __future__ import annotations

from typing import Final

from flowmetal.actions.beneath import want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, plain
from flowmetal.actions.write import write_file
from flowmetal.errors import ValueCodecError
from flowmetal.json_writing import json_text
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import MAX_BYTES, Wire

MAX_TEXT_BYTES: Final = 16 * MAX_BYTES
"""The largest text: the value was small enough to get here, and indents make it larger."""


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("write", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    indent = args["indent"]
    try:
        # A number beyond 64 bits is a tag, and as wrong as any beyond 8.
        text = json_text(
            args["value"],
            indent if indent is None or isinstance(indent, int) else -1,
            args["sort_keys"],
            MAX_TEXT_BYTES,
        )
    except ValueCodecError as error:
        raise EffectFailure(
            f"cannot write `{plain(path)}` as JSON: {plain(error.message)}", kind="error", details={"path": plain(path)}
        ) from None
    write_file(allowed[0], path, f"{text}\n", context.idempotency_key)
    return None


WRITE_JSON: Final = Effect(
    name="write_json",
    doc="Makes or replaces a file with a value as JSON, as `json.encode` writes it, and a line break at its end. It "
    "holds the old text or the new, as with `write`.",
    parameters=(
        Parameter("path", "str", "the file; relative to the run's starting directory"),
        Parameter("value", "any", "what the file is to hold"),
        Parameter("indent", "int | None", "spaces for each level, 0 to 8; None writes one line", 2),
        Parameter("sort_keys", "bool", "whether to sort the keys of objects", False),
    ),
    mode="thread",
    want=_want,
    perform=_perform,
)
