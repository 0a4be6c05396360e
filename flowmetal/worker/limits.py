"""Limits of the operating system, which hold even when the interpreter does not."""

from __future__ import annotations

import os
import resource
import sys

from flowmetal.settings import Limits


def apply_limits(limits: Limits) -> None:
    """Lowers the limits of the calling process on memory and files, for good.

    Raises:
        OSError: the system does not do it.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    if sys.platform == "linux":
        # macOS takes the number and does not hold it; there the engine looks at the memory in use.
        _lower(resource.RLIMIT_AS, limits.address_space_bytes)


def refuse_descriptors() -> None:
    """Those that are open stay usable; there will be no other.

    Raises:
        OSError: the system does not do it.
    """
    _lower(resource.RLIMIT_NOFILE, 0)


def arm_cpu_limit(limits: Limits) -> None:
    """Allows ``cpu_seconds`` more of processor time; called at the beginning of each stretch of evaluation.

    The engine watches too; this one holds where the engine cannot look.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(usage.ru_utime + usage.ru_stime + limits.cpu_seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or allowed <= hard:
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, hard))


def close_inherited(keep: int) -> None:
    """Closes every descriptor but the standard ones and ``keep``."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 1_024)


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    new = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(which, (new, new))
    except ValueError as error:
        # macOS knows limits that it does not let a process set.
        if sys.platform != "darwin":
            raise OSError(f"setrlimit of {which} to {new}: {error}") from None
