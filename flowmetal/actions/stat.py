"""``stat(path)``: what is at a path, without opening it."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from typing import Final

from flowmetal.actions.beneath import find, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, Parameter, os_failure
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    path: str = args["path"]
    return want_path("read", args, context, is_directory=path.endswith("/"))


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    place = find(allowed[0], "look at", path)
    if place is None:
        return None
    try:
        with place:
            found = place.look()
    except OSError as error:
        raise os_failure("look at", path, error) from None
    return None if found is None else describe(found)


def describe(found: os.stat_result) -> Wire:
    """``struct(kind, bytes, modified, executable)`` of what was found."""
    is_file = stat.S_ISREG(found.st_mode)
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
    return {
        "struct": [
            "kind",
            kinds.get(stat.S_IFMT(found.st_mode), "other"),
            "bytes",
            found.st_size if is_file else 0,
            "modified",
            _timestamp(found.st_mtime_ns),
            "executable",
            is_file and bool(found.st_mode & 0o111),
        ]
    }


def _timestamp(nanoseconds: int) -> str | None:
    try:
        moment = _EPOCH + timedelta(microseconds=nanoseconds // 1_000)
    except OverflowError:
        return None  # anybody can set a file's time to the year 30,000
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S.%f}Z"


STAT: Final = Effect(
    name="stat",
    doc="What is at a path: `struct(kind, bytes, modified, executable)`, or None when there is nothing. `kind` is "
    '"file", "directory", "link" (the link itself, not what it leads to) or "other"; `bytes` is the size of a file and '
    "else 0; `modified` a timestamp in UTC, None when it lies outside of the years 1 to 9999; `executable` whether "
    "anybody may run the file.",
    parameters=(Parameter("path", "str", "what to look at; relative to the run's starting directory"),),
    mode="thread",
    want=_want,
    perform=_perform,
    sample={"struct": ["kind", "file", "bytes", 0, "modified", "1970-01-01T00:00:00.000000Z", "executable", False]},
)
