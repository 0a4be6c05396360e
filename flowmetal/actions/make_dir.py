"""``make_dir(path)``: a directory, with those above it that are missing."""

from __future__ import annotations

import os
import stat
from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, os_failure, plain
from flowmetal.actions.place import make_directory
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("write", args, context, is_directory=True)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    try:
        with reach(allowed[0], "make", path, makes=True) as place:
            found = place.look()
            if found is None:
                os.close(make_directory(place.fd, place.name))
                return True
    except OSError as error:
        raise os_failure("make", path, error) from None
    if stat.S_ISDIR(found.st_mode):
        return False
    raise EffectFailure(
        f"cannot make `{plain(path)}`: something else than a directory has that name", details={"path": plain(path)}
    )


MAKE_DIR: Final = Effect(
    name="make_dir",
    doc="Makes a directory, and those above it that are missing, as far as they are granted. Gives True, or False when "
    "it was there, also when an earlier try of this very call, cut off by a kill, has made it.",
    parameters=(Parameter("path", "str", "the directory; relative to the run's starting directory"),),
    mode="thread",
    want=_want,
    perform=_perform,
    sample=True,
)
