"""Landlock: Linux takes the file system, TCP and more from the calling process, for good.

A ruleset *handles* rights, which are refused from then on unless a rule gives them back.  This one handles all that
the kernel knows and has no rule.  What was opened before stays usable, so the worker keeps its socket.

The kernel is called by hand: it is three calls and a table, and of the libraries ``landlockpy`` (typed, without
dependencies, the one to take if rules are ever needed) takes 11 ms to come in, a quarter of a worker's start.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

# The same numbers on every architecture.
_SYS_CREATE_RULESET: Final = 444
_SYS_RESTRICT_SELF: Final = 446
_CREATE_RULESET_VERSION: Final = 1

# Rights by the version of the interface that brought them; see linux/landlock.h.
_FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15, 9: 1 << 16}
_NETWORK_RIGHTS: Final = {4: 0b11, 10: 0b1100}
_SCOPES: Final = {6: 0b11}

_ABSENT: Final = {
    errno.ENOSYS: "this kernel has no Landlock (Linux 5.13 has)",
    errno.EOPNOTSUPP: "Landlock is switched off (the kernel's option lsm= names it not)",
    errno.EPERM: "what surrounds this process, such as a container's filter, forbids Landlock",
}


def landlock_abi() -> tuple[int, str]:
    """The version of Landlock that the kernel has; 0 and why, if there is none.

    Raises:
        OSError: the kernel answers with something else.
    """
    try:
        return _call("landlock_create_ruleset", _SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION), ""
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return 0, _ABSENT[error.errno]


def refuse_everything(abi: int) -> None:
    """Gives up every right that version ``abi`` knows; ``no_new_privs`` must be set.

    It holds for the calling thread and those it starts: call it before there are others.

    Raises:
        OSError: the kernel has Landlock and does not do it.
    """
    rights = [sum(mask for since, mask in table.items() if since <= abi) for table in rights_by_kind()]
    attributes = (ctypes.c_uint64 * len(rights))(*rights)
    size = ctypes.sizeof(attributes)
    ruleset = _call("landlock_create_ruleset", _SYS_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        _call("landlock_restrict_self", _SYS_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def rights_by_kind() -> tuple[dict[int, int], ...]:
    """The rights of files, network and scopes: bits by the version that brought them, as the kernel wants them."""
    return _FILE_RIGHTS, _NETWORK_RIGHTS, _SCOPES


def _call(name: str, number: int, *arguments: object) -> int:
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    result = int(syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
