"""How far a worker has confined itself: what it says in its greeting, and what that means.

``L0``: a process of its own, with limits, an empty environment, and no way to get another descriptor.
``L1``: besides, Linux refuses it by ``no_new_privs`` and Landlock whatever it may become.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEVELS: Final = ("L0", "L1")
"""From the lowest to the highest."""

_LONGEST_REASON: Final = 200
_MOST_ABI: Final = 1_000

_L0: Final = "a process of its own, with limits and no environment, that can open no file and no socket"
_L1: Final = "besides, Linux refuses it for good to change or execute files, and to reach other processes"
_OPEN_AT_L0: Final = "making, removing and renaming files by name, running programs, signals to your processes"
_OPEN_AT_L1: Final = "asking about files and changing their modes by name, forking"
_SINCE_ABI: Final = {3: "truncating files", 6: "signals to your processes"}


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a worker says that it has given up: information, never a reason to trust it.

    Attributes:
        level: one of ``LEVELS``.
        landlock_abi: the version of Landlock that holds it, 0 for none.
        reason: why the level is not the highest; empty when it is.
    """

    level: str
    landlock_abi: int
    reason: str = ""

    @staticmethod
    def of_greeting(level: str, landlock_abi: int, reason: str) -> Confinement | None:
        """What a worker's greeting says; None if it says what no worker says."""
        if level not in LEVELS or landlock_abi > _MOST_ABI or (level == LEVELS[-1]) != (landlock_abi > 0):
            return None
        return Confinement(level, landlock_abi, reason[:_LONGEST_REASON])

    @property
    def meaning(self) -> str:
        """The level in plain words."""
        return _L0 if self.level == LEVELS[0] else f"{_L0}; {_L1}"

    @property
    def left_open(self) -> str:
        """What the system would let the worker do, should the interpreter have a fault."""
        if self.level == LEVELS[0]:
            return f"{_OPEN_AT_L1}, {_OPEN_AT_L0}"
        return _OPEN_AT_L1 + "".join(
            f", {what} (Landlock {abi})" for abi, what in _SINCE_ABI.items() if self.landlock_abi < abi
        )

    def is_below(self, level: str) -> bool:
        """Whether it is a lower level than ``level``."""
        return LEVELS.index(self.level) < LEVELS.index(level)
