"""``write(path, text)``: a file that holds the old text or the new, never a part."""

from __future__ import annotations

from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, Parameter, os_failure
from flowmetal.actions.replacing import replace, write_all
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("write", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    write_file(allowed[0], path, args["text"], context.idempotency_key)
    return None


def write_file(allowed: Allowed, path: str, text: str, idempotency_key: str) -> None:
    """Make or replace a file with text in UTF-8.

    Args:
        allowed: the decision.
        path: for errors: as the flow gave it.
        text: what the file is to hold.
        idempotency_key: of the action.

    Raises:
        EffectFailure: the file is as it was.
    """
    data = text.encode("utf-8")
    try:
        with reach(allowed, "write", path) as place:
            replace(place, idempotency_key, lambda fd: write_all(fd, data))
    except OSError as error:
        raise os_failure("write", path, error) from None


WRITE: Final = Effect(
    name="write",
    doc="Makes or replaces a file with text in UTF-8, at once and durably: whoever looks sees the old text or the new. "
    "Keeps the permission bits of a file that is there. Its directory must exist, see `make_dir`.",
    parameters=(
        Parameter("path", "str", "the file; relative to the run's starting directory"),
        Parameter("text", "str", "what the file is to hold"),
    ),
    mode="thread",
    want=_want,
    perform=_perform,
)
