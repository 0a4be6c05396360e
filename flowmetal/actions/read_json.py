"""``read_json(path)``: the value of a JSON file."""

from __future__ import annotations

from typing import Final

from flowmetal.actions.beneath import want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, plain
from flowmetal.actions.read import read_text
from flowmetal.errors import ValueCodecError
from flowmetal.json_reading import read_json_text
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire, from_python, ok, pack


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("read", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    text = read_text(allowed[0], path).removeprefix("\ufeff")
    try:
        value = from_python(read_json_text(text))
    except ValueCodecError as error:
        raise EffectFailure(
            f"cannot read `{plain(path)}` as JSON: {plain(error.message)}", details={"path": plain(path)}
        ) from None
    check_size(value, path, "`json.decode(text)` of what `read` gives", "JSON")
    return value


def check_size(value: Wire, path: str, way_out: str, form: str) -> None:
    """Raise unless the value of a file may be a result.

    Args:
        value: what was read, wire data.
        path: for errors: as the flow gave it.
        way_out: what to do instead.
        form: what the file holds.

    Raises:
        EffectFailure: of kind ``limit``.
    """
    try:
        pack(ok(value))
    except ValueCodecError as error:
        raise EffectFailure(
            f"cannot read `{plain(path)}` as {form}: {plain(error.message)}; use {way_out}, which is not recorded, "
            "or split the file",
            kind="limit",
            details={"path": plain(path)},
        ) from None


READ_JSON: Final = Effect(
    name="read_json",
    doc="The value of a JSON file of at most 1 MiB, by the rules of `json.decode`: ints keep all digits, and of keys "
    "that occur twice in one object the last counts. A byte-order mark is passed over.",
    parameters=(Parameter("path", "str", "the file; relative to the run's starting directory"),),
    mode="thread",
    want=_want,
    perform=_perform,
)
