"""``remove(path)``: a file, a link or an empty directory less."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Final

from flowmetal.actions.beneath import find, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, os_failure, plain
from flowmetal.actions.place import Place, sync_directory
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    path: str = args["path"]
    return want_path("write", args, context, is_directory=path.endswith("/"))


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    place = find(allowed[0], "remove", path)
    if place is None:
        return False
    try:
        with place:
            found = place.look()
            if found is None:
                return False
            if stat.S_ISDIR(found.st_mode):
                _remove_directory(allowed[0], place)
            else:
                _remove_file(place, found)
            with contextlib.suppress(FileNotFoundError):  # the directory has gone too
                sync_directory(place.fd)
    except FileNotFoundError:
        return False  # somebody else was faster
    except OSError as error:
        raise os_failure("remove", path, error) from None
    return True


def _remove_directory(allowed: Allowed, place: Place) -> None:
    if place.path == allowed.grant.resource:
        raise EffectFailure(
            f"cannot remove `{plain(place.shown)}`: it is the directory that {plain(str(allowed.grant))} grants",
            kind="denied",
            details={"path": plain(place.shown)},
        )
    try:
        os.rmdir(place.name, dir_fd=place.fd)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        reason = "the directory is not empty; remove what is in it first"
        raise os_failure("remove", place.shown, error, reason) from None


def _remove_file(place: Place, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        # A file its owner made read-only is not to go by the roundabout way of its directory, here as in `write`.
        os.close(place.open_regular(os.O_WRONLY)[0])
    os.unlink(place.name, dir_fd=place.fd)


REMOVE: Final = Effect(
    name="remove",
    doc="Removes a file, a link (not what it leads to) or an empty directory, durably. Gives True, or False when "
    "nothing was there, also when an earlier try of this very call, cut off by a kill, has removed it.",
    parameters=(Parameter("path", "str", "what to remove; relative to the run's starting directory"),),
    mode="thread",
    want=_want,
    perform=_perform,
    sample=True,
)
