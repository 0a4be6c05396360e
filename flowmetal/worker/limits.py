"""What a worker gives up before it reads its first frame.

Memory, processor time, files, processes: limits of the operating system, which hold even when the interpreter does
not.  On Linux the worker also dies with its engine's thread (``PR_SET_PDEATHSIG``); everywhere the end of its socket
ends it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from typing import Final

from flowmetal.settings import Limits

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_OPEN_FILES: Final = 32


def apply_limits(limits: Limits) -> None:
    """Lowers the limits of the calling process, for good."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_AS, limits.address_space_bytes)
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


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
    with contextlib.suppress(ValueError):  # macOS knows limits that it does not let a process set
        resource.setrlimit(which, (new, new))
