"""``append(path, text)``: text at the end of a file."""

from __future__ import annotations

import os
from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, os_failure, plain
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("write", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    data = args["text"].encode("utf-8")
    try:
        with reach(allowed[0], "append to", path) as place:
            fd, _ = place.open_regular(os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                # One call, so that lines of several writers do not mix; the kernel finds the end of the file.
                written = os.write(fd, data) if data else 0
            finally:
                os.close(fd)
    except OSError as error:
        raise os_failure("append to", path, error) from None
    if written < len(data):
        raise EffectFailure(
            f"cannot append to `{plain(path)}`: only {written:,} of {len(data):,} bytes were written; "
            "is the disk full?",
            details={"path": plain(path), "written_bytes": written},
        )
    return None


APPEND: Final = Effect(
    name="append",
    doc="Adds text, in UTF-8, at the end of a regular file that is made when there is none. Not synced to the disk; "
    "after a crash in the middle of it the text may be there twice.",
    parameters=(
        Parameter("path", "str", "the file; relative to the run's starting directory"),
        Parameter("text", "str", "what to add, with its line ends"),
    ),
    mode="inline",
    want=_want,
    perform=_perform,
)
