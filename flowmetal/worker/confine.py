"""A worker locks itself in, when it has imported all that it will ever need.

The language has no way to files and network.  This is the second wall, for the day when the interpreter has a fault
and a flow runs machine code of its own in the worker:

1. *No new privileges*, no capabilities: nothing that it starts, and no right of a root user, gets it out.
2. *Not dumpable*: other processes of the same person cannot look into it, and no core file is left.
3. *The end of its engine is its own* (``PR_SET_PDEATHSIG``).
4. *Limits* on memory and written files.
5. *Landlock*: no path can be opened, made, removed, renamed or executed; no TCP; no signals to others.
6. *No further descriptor*: with a limit of zero open files those it has stay usable and none can be added, by
   ``open``, ``socket``, ``dup`` or over the socket.  It closes what Landlock leaves open, such as UDP and the sockets
   of daemons, and holds where there is no Landlock.

No limit on processes: Linux counts threads as such, and all of the person's, and the worker starts a thread when it
needs one.  So a forked process is possible; it is locked in as its parent is, and can execute nothing.

Whatever is imported late fails after this, in the worker only and maybe on a path that no test takes: what the worker
needs is imported at the head of its modules.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

from flowmetal.settings import Limits
from flowmetal.worker.landlock import landlock_abi, refuse_everything
from flowmetal.worker.level import Confinement
from flowmetal.worker.limits import apply_limits, refuse_descriptors

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION: Final = 0x20080522


def confine(limits: Limits) -> Confinement:
    """Takes from the calling process what a worker does not need, for good.

    It must be called before a second thread is started.

    Raises:
        OSError: the system has the means and refuses to use them.
    """
    if sys.platform != "linux":
        apply_limits(limits)
        refuse_descriptors()
        return Confinement("L0", 0, "only Linux has Landlock")
    libc = ctypes.CDLL(None, use_errno=True)
    _check("PR_SET_NO_NEW_PRIVS", libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities(libc)
    _check("PR_SET_DUMPABLE", libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    _check("PR_SET_PDEATHSIG", libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    apply_limits(limits)
    abi, reason = landlock_abi()
    if abi:
        refuse_everything(abi)
    refuse_descriptors()
    return Confinement("L1" if abi else "L0", abi, reason)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """A root user's worker is nobody special; for others there is nothing to drop."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    _check("capset", libc.capset(header, none))


def _check(name: str, result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
