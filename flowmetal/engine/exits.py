"""How a worker's process ended, in words."""

from __future__ import annotations

import re
import signal
from typing import Final

from flowmetal.settings import MIB, Limits

_WANT_OF_MEMORY: Final = re.compile(r"memory|AlignedSize must not exceed", re.IGNORECASE)


def want_of_memory(reason: str, limits: Limits) -> str:
    """What to add to the reason of a worker's end: its limit, if it was for want of memory; else nothing."""
    if not _WANT_OF_MEMORY.search(reason):
        return ""
    mebibytes = limits.address_space_bytes // MIB
    return f"; a worker has {mebibytes} MiB: keep less at once, or split the work over several flows"


def too_much_cpu(limits: Limits) -> str:
    """That a worker computed for too long, whether the engine saw it or the kernel did."""
    return f"it used more than {limits.cpu_seconds:g} seconds of processor time without an action"


def describe_exit(code: int, limits: Limits) -> str:
    """What an exit code, or with a minus a signal, says of a worker with these limits."""
    if code == -signal.SIGXCPU:
        return too_much_cpu(limits)
    if code >= 0:
        return f"the worker ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (the interpreter gave up, often for want of memory)" if name == "SIGABRT" else ""
    return f"the worker was ended by {name}{hint}"
