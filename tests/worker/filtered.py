"""Becomes another program after a filter of system calls has been set: a kernel that lacks one, or refuses it.

``python filtered.py NUMBER ERRNO PROGRAM ARGUMENTS…`` — system call NUMBER fails with ERRNO from then on.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main() -> None:
    number, code = int(sys.argv[1]), int(sys.argv[2])
    instructions = [
        (LOAD_WORD, 0, 0, 0),  # the number of the call, first in what a filter is given
        (JUMP_IF_EQUAL, 0, 1, number),
        (RETURN, 0, 0, ERROR | code),
        (RETURN, 0, 0, ALLOW),
    ]
    text = b"".join(struct.pack("HBBI", *each) for each in instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(instructions), text)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0
    os.execv(sys.argv[3], sys.argv[3:])


if __name__ == "__main__":
    main()
