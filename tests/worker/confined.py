"""Run by ``test_confinement.py``: locks itself in, tries what a worker with a broken interpreter would, prints JSON.

``python -m tests.worker.confined HOW TARGETS`` — HOW says by which means, TARGETS is a JSON object of ``Targets``.
``python -m tests.worker.confined look PID`` — another process of the same person, which tries to look into that one.
Each attempt gives ``done`` or the name of the error.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass

from flowmetal.settings import Limits
from flowmetal.worker.confine import confine
from flowmetal.worker.landlock import landlock_abi, refuse_everything
from flowmetal.worker.limits import refuse_descriptors

PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 2, 3, 4, 38, 39
NOBODY = 65_534


@dataclass(frozen=True)
class Targets:
    """What there is to get at: a directory with ``file``, ``other`` and ``empty/``, sockets that listen, a process."""

    directory: str
    tcp_port: int
    udp_port: int
    unix_path: str
    abstract: str
    pid: int


def connect(family: int, kind: int, address: object) -> None:
    with socket.socket(family, kind) as end:
        end.connect(address)  # type: ignore[arg-type]


def bind(kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as end:
        end.bind(("127.0.0.1", 0))


def execute() -> None:
    if pid := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise OSError(code, "exec")
    else:
        try:
            os.execv("/bin/true", ["true"])
        except OSError as error:
            os._exit(error.errno or 255)


def fork() -> None:
    if pid := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    else:
        os._exit(7)


def thread() -> None:
    done = threading.Event()
    worker = threading.Thread(target=done.set)
    worker.start()
    worker.join()
    assert done.is_set()


def close(descriptors: object) -> None:
    for each in descriptors if isinstance(descriptors, tuple) else (descriptors,):
        os.close(each)


def read(path: str, mode: str) -> None:
    with open(path, mode):
        pass


# What is undone at once, so that the same attempts can be made by the next process.
ATTEMPTS: dict[str, Callable[[Targets], object]] = {
    "read": lambda it: read(f"{it.directory}/file", "r"),
    "list": lambda it: os.listdir(it.directory),
    "write": lambda it: read(f"{it.directory}/file", "r+"),
    "pipe": lambda it: close(os.pipe()),
    "tcp connect": lambda it: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", it.tcp_port)),
    "tcp bind": lambda it: bind(socket.SOCK_STREAM),
    "udp": lambda it: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", it.udp_port)),
    "unix path": lambda it: connect(socket.AF_UNIX, socket.SOCK_STREAM, it.unix_path),
    "unix abstract": lambda it: connect(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{it.abstract}"),
    "mkdir": lambda it: (os.mkdir(f"{it.directory}/made"), os.rmdir(f"{it.directory}/made")),
    "rmdir": lambda it: (os.rmdir(f"{it.directory}/empty"), os.mkdir(f"{it.directory}/empty")),
    "symlink": lambda it: (os.symlink("x", f"{it.directory}/made"), os.unlink(f"{it.directory}/made")),
    "mkfifo": lambda it: (os.mkfifo(f"{it.directory}/made"), os.unlink(f"{it.directory}/made")),
    "unlink": lambda it: (os.unlink(f"{it.directory}/other"), os.mknod(f"{it.directory}/other")),
    "rename": lambda it: (
        os.rename(f"{it.directory}/file", f"{it.directory}/made"),
        os.rename(f"{it.directory}/made", f"{it.directory}/file"),
    ),
    "truncate": lambda it: os.truncate(f"{it.directory}/file", 0),
    "execute": lambda it: execute(),
    "signal": lambda it: os.kill(it.pid, 0),
    "more descriptors": lambda it: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "stat": lambda it: os.stat(f"{it.directory}/file"),
    "chmod": lambda it: os.chmod(f"{it.directory}/file", 0o644),
    "fork": lambda it: fork(),
    "thread": lambda it: thread(),
    "random": lambda it: (os.urandom(16), uuid.uuid4()),
}


def lock_in(how: str) -> dict[str, object]:
    """Uses one means, all (``worker``), or none (``free``); what it came to."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if how == "worker":
        confinement = confine(Limits())
        flags = {
            "pdeathsig": ctypes.c_int(),
            "dumpable": prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
            "no_new_privs": prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
        }
        death = ctypes.c_int()
        prctl(PR_GET_PDEATHSIG, ctypes.byref(death), 0, 0, 0)
        flags["pdeathsig"] = signal.Signals(death.value).name
        return {**asdict(confinement), **flags}
    if how == "landlock":
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        refuse_everything(landlock_abi()[0])
    elif how == "descriptors":
        refuse_descriptors()
    return {}


def attempt(what: Callable[[Targets], object], targets: Targets) -> str:
    try:
        what(targets)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except ValueError as error:
        return str(error)
    return "done"


def become_nobody() -> None:
    """Nothing is hidden from root; who is somebody else already stays that."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        # The change of person has hidden the process; undone, so that what hides it is what is tried.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def look(pid: str) -> dict[str, str]:
    """What comes of looking into a process."""

    def into(name: str) -> str:
        path = f"/proc/{pid}/{name}"
        return attempt(lambda _: os.listdir(path) if name == "fd" else read(path, "rb"), NOTHING)

    return {name: into(name) for name in ("environ", "maps", "fd")}


NOTHING = Targets("", 0, 0, "", "", 0)


def main() -> None:
    how = sys.argv[1]
    if how == "look":
        become_nobody()
        print(json.dumps(look(sys.argv[2])))
        return
    targets = Targets(**json.loads(sys.argv[2]))
    if how.endswith("nobody"):
        become_nobody()
    state = lock_in(how.removesuffix(" nobody"))
    print(json.dumps({"state": state, "came": {name: attempt(it, targets) for name, it in ATTEMPTS.items()}}))
    sys.stdout.flush()
    # Looked at from outside until told to end.
    sys.stdin.readline()


if __name__ == "__main__":
    main()
