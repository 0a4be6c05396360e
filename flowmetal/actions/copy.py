"""``copy(source, target)``: a file of any size, copied at once or not at all."""

from __future__ import annotations

import os
import stat
from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, Parameter, os_failure
from flowmetal.actions.replacing import replace, write_all
from flowmetal.actions.streaming import check_told_size, copy_ranges, pieces
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire

_VERB: Final = "copy"


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return [*want_path("read", args, context, name="source"), *want_path("write", args, context, name="target")]


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    source: str = args["source"]
    fd, found = _open(allowed[0], source)
    size = found.st_size

    def fill(target_fd: int) -> None:
        check_told_size(fd, size, _VERB, source)
        done = copy_ranges(fd, target_fd, size, context.go_on)
        for piece in pieces(fd, size - done, _VERB, source, context.go_on):
            write_all(target_fd, piece)

    try:
        # The bits of the source, not of a file that is there: what only its owner may read is not made public.
        mode = stat.S_IMODE(found.st_mode) & 0o777
        with reach(allowed[1], "copy to", args["target"]) as place:
            replace(place, context.idempotency_key, fill, mode)
    except OSError as error:
        raise os_failure("copy to", args["target"], error) from None
    finally:
        os.close(fd)
    return size


def _open(allowed: Allowed, source: str) -> tuple[int, os.stat_result]:
    try:
        with reach(allowed, _VERB, source) as place:
            return place.open_regular(os.O_RDONLY)
    except OSError as error:
        raise os_failure(_VERB, source, error) from None


COPY: Final = Effect(
    name="copy",
    doc="Copies a regular file of any size; whoever looks sees the old target or the new. Gives the number of bytes, "
    "as many as the source had when it was opened. Keeps the source's permission bits, without set-user-id and "
    "set-group-id. The directory of the target must exist, see `make_dir`.",
    parameters=(
        Parameter("source", "str", "the file to read; relative to the run's starting directory"),
        Parameter("target", "str", "the file to make or replace"),
    ),
    mode="thread",
    want=_want,
    perform=_perform,
    sample=0,
)
