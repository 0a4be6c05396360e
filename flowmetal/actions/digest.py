"""``digest(path)``: what a file of any size holds, in 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, Parameter, os_failure
from flowmetal.actions.streaming import check_told_size, pieces
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("read", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    digest = hashlib.sha256()
    try:
        with reach(allowed[0], "read", path) as place:
            fd, found = place.open_regular(os.O_RDONLY)
            try:
                check_told_size(fd, found.st_size, "read", path)
                for piece in pieces(fd, found.st_size, "read", path, context.go_on):
                    digest.update(piece)
            finally:
                os.close(fd)
    except OSError as error:
        raise os_failure("read", path, error) from None
    return {"struct": ["sha256", digest.hexdigest(), "bytes", found.st_size]}


DIGEST: Final = Effect(
    name="digest",
    doc="The SHA-256 of a regular file of any size and its number of bytes, `struct(sha256, bytes)`; of as many bytes "
    "as it had when it was opened.",
    parameters=(Parameter("path", "str", "the file; relative to the run's starting directory"),),
    mode="thread",
    want=_want,
    perform=_perform,
    sample={"struct": ["sha256", hashlib.sha256().hexdigest(), "bytes", 0]},
)
