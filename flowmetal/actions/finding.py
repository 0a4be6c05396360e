"""The file of a program: which one a decision means, and in words why it did not start."""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
from collections.abc import Iterable
from typing import Final

from flowmetal.actions.effect import EffectFailure, plain
from flowmetal.actions.processes import NotStarted
from flowmetal.permissions.decision import Allowed
from flowmetal.permissions.vocabulary import divide_secret

_WORDS: Final = {
    errno.ENOEXEC: "it is no program for this machine: neither for its processor nor a script that begins with #!",
    errno.EACCES: "it may not be executed",
    errno.E2BIG: "its arguments and variables are longer than the system takes",
    errno.ETXTBSY: "somebody is writing to it",
}


def checked_program(shown: str, allowed: Allowed, secrets: Iterable[Allowed]) -> str:
    """The path of the program to start, of which the flow speaks as ``shown``; each of ``secrets`` is for that one.

    Raises:
        EffectFailure: it is another than when it was granted, is denied, or is not there.
    """
    shown = plain(shown)
    program = allowed.program or _found(allowed)
    real = os.path.realpath(program)
    if real != program:
        raise EffectFailure(
            f"cannot run `{shown}`: {plain(program)} leads to {plain(real)} now, which it did not when it was granted",
            kind="denied",
            details={"program": plain(program)},
        )
    for fence in allowed.fences:
        if fence in (real, posixpath.basename(real)):
            raise EffectFailure(
                f"cannot run `{shown}`: {plain(real)} is denied", kind="denied", details={"program": plain(real)}
            )
    for secret in secrets:
        name, _, destination = divide_secret(secret.grant.resource)
        if destination != real:
            raise EffectFailure(
                f"cannot run `{shown}`: the secret {name} is for {plain(destination)}, and the program is "
                f"{plain(real)}; name the program by its path",
                kind="denied",
            )
    return real


def not_started(shown: str, program: str, error: NotStarted) -> EffectFailure:
    """Why a program did not start."""
    doing = f"cannot run `{plain(shown)}`"
    details = {"program": plain(program), "errno": errno.errorcode.get(error.code, "")}
    if error.where == "digest":
        return EffectFailure(
            f"{doing}: the SHA-256 of {plain(program)} is {error.text}, and another was granted",
            kind="denied",
            details={**details, "sha256": error.text},
        )
    if error.where == "cwd":
        return EffectFailure(f"{doing}: its directory cannot be entered: {os.strerror(error.code)}", details=details)
    if error.where == "start":
        return EffectFailure(f"{doing}: the process that watches over it came to an end", details=details)
    if error.where == "open":
        words = f"it cannot be read to compare its SHA-256: {os.strerror(error.code)}"
    elif error.code == errno.ENOENT and os.path.exists(program):
        words = "what it needs to start is not there: the interpreter of its #! line, or its loader"
    elif error.code == errno.ENOENT:
        words = f"{plain(program)} is not there any more"
    else:
        words = _WORDS.get(error.code, os.strerror(error.code))
    return EffectFailure(f"{doing}: {words}", details=details)


def _found(allowed: Allowed) -> str:
    """Any program is granted: where this one is."""
    named = allowed.want.resource
    found = shutil.which(named)
    if found is None:
        where = "there is no such file that can be executed" if "/" in named else "it is not on the search path"
        raise EffectFailure(f"cannot run `{plain(named)}`: {where}", details={"program": plain(named)})
    return os.path.realpath(found)
