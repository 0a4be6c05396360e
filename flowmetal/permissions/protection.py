"""What no grant opens, because behind it lies more authority than was granted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

from flowmetal.permissions.grants import GrantSet
from flowmetal.permissions.paths import parts
from flowmetal.permissions.vocabulary import ANY, divide_digest

ALWAYS_DENIED: Final = ("/proc", "/sys", "/dev")
"""Directories no grant opens."""

_PROJECT_FILES: Final = ("flowmetal.toml", "flowmetal.lock")


def protected_name(path: str) -> str:
    """Why a file of that path is never written, or "".

    To be asked of the path a flow names and of the path its links lead to.  Case is not looked at: it makes no
    difference on some file systems, and none of these names is one that a flow needs in other letters.
    """
    names = [unicodedata.normalize("NFC", name).casefold() for name in parts(path, fold=False)]
    if names and names[-1] in _PROJECT_FILES:
        return f"{names[-1]} says what flows may do"
    if ".git" in names:
        return "Git runs programs that .git names"
    return ""


def program_fences(sets: Iterable[GrantSet]) -> tuple[str, ...]:
    """Programs that may be run and therefore not be written; none when every program may be run."""
    found = [divide_digest(grant.resource)[0] for grants in sets for grant in grants.allow if grant.effect == "exec"]
    return () if ANY in found else tuple(dict.fromkeys(found))
