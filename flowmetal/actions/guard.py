"""The guard of one program: a small process between the engine and it, which sees that nothing of it is left.

The engine can be killed at any moment, and a signal to it reaches none of its children.  So it starts no program
itself: it starts this file in a Python of its own, over a socket whose other end dies with the engine.  The guard
starts the program in a session of its own and waits, and whatever happens first ends all:

- the program ends: what it has left running gets SIGTERM and, after a grace, SIGKILL;
- the engine asks for the end: the same, the program included;
- the socket closes, for the engine is no more: SIGKILL at once, since another engine may do the action again.

On Linux the guard is the *subreaper* of all that comes of the program: a process whose parent has ended becomes the
guard's child, whatever session it has gone to, so the guard kills children until there are none.  A process cannot
fork while it is being killed, and its own group is killed as one, so a fork bomb is over in one stroke.  Only what
forks and ends faster than it is looked at, in a new session each time, could run ahead; the guard gives up on it after
some seconds.  The program itself gets SIGKILL when the guard is killed, and the engine then kills its
group.  On macOS there are no subreapers: what has left the program's session on purpose outlives it there.

It imports nothing of Flowmetal, so that it is up in a few milliseconds.  Over the socket go lines of JSON; in: one
``Order`` as an object, then ``{"stop": seconds of grace}``; out: ``["forked", pid]``, ``["started"]`` or ``["failed",
where, errno, text]``, ``["ended", code or null, signal or null]``; when nothing is left, the socket closes.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, Final, NoReturn

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_LOOK_SECONDS: Final = 0.02
_KILL_SECONDS: Final = 4.0
_SIGNALS: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python ignores and a program expects to die of."""


class _Lost(Exception):
    """The engine is no more."""


class Guard:
    """See the module's text; ``control`` is the socket to the engine."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._incoming = bytearray()
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._wake, wake_in = os.pipe()
        for fd in (self._wake, wake_in):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        self._poll = select.poll()  # select() takes no numbers of 1,024 and more
        for fd in (self._wake, control.fileno()):
            self._poll.register(fd, select.POLLIN)
        self._pid = 0
        self._has_ended = False
        if self._libc is not None:
            self._libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def run(self) -> None:
        """Starts the one program and stays until nothing of it is left."""
        try:
            order = None
            while order is None:
                order = self._order(None)
            if not self._start(order):
                return
            grace_seconds = self._wait()
        except _Lost:
            grace_seconds = 0.0
        if self._pid:
            self._end(grace_seconds)

    # -- starting --------------------------------------------------------------------------------------

    def _start(self, order: dict[str, Any]) -> bool:
        program: int | str = order["program"]
        try:
            if order["digests"]:
                program = _checked(order["program"], order["digests"])
        except OSError as error:
            self._say("failed", "open", error.errno, "")
            return False
        except ValueError as error:
            self._say("failed", "digest", 0, str(error))
            return False
        report, report_in = os.pipe()
        gate, gate_in = os.pipe()
        guard = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(gate_in)
            self._become(program, order, guard, gate, report_in)
        os.close(report_in)
        # The engine knows whose group to end before there is a program that could end this process.
        self._say("forked", pid)
        os.close(gate)
        os.write(gate_in, b"x")
        os.close(gate_in)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        for fd in (order["cwd"], *order["keep"]):
            os.close(fd)
        problem = os.read(report, 100)
        os.close(report)
        if problem:
            os.waitpid(pid, 0)
            where, number = problem.decode("ascii").split()
            self._say("failed", where, int(number), "")
            return False
        self._pid = pid
        self._say("started")
        return True

    def _become(self, program: int | str, order: dict[str, Any], guard: int, gate: int, report: int) -> NoReturn:
        """Makes this process, a copy of the guard, the program."""
        where = "start"
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            if self._libc is not None:
                self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != guard:
                    os._exit(127)
            if not os.read(gate, 1):
                os._exit(127)
            for fd in order["keep"]:
                os.set_inheritable(fd, True)
            where = "cwd"
            os.fchdir(order["cwd"])
            os.close(order["cwd"])
            where = "exec"
            env = {_bytes(name): _bytes(value) for name, value in order["env"].items()}
            os.execve(program, [*map(_bytes, order["argv"])], env)
        except OSError as error:
            os.write(report, f"{where} {error.errno}".encode("ascii"))
        finally:
            os._exit(127)

    # -- waiting ---------------------------------------------------------------------------------------

    def _wait(self) -> float:
        """Waits for the program's end, or for the word to end it; the seconds of grace."""
        while True:
            message = self._order(None)
            if message is not None:
                return float(message["stop"])
            if self._look():
                return float(_GRACE_OF_THE_LEFT)

    def _order(self, seconds: float | None) -> dict[str, Any] | None:
        """A message of the engine; None after so many seconds or when a child may have ended."""
        if b"\n" in self._incoming:
            return self._first_line()
        ready = {fd for fd, _ in self._poll.poll(None if seconds is None else seconds * 1_000)}
        if self._wake in ready:
            os.read(self._wake, 512)
        if self._control.fileno() in ready:
            try:
                data = self._control.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                raise _Lost
            self._incoming += data
        return self._first_line() if b"\n" in self._incoming else None

    def _first_line(self) -> dict[str, Any]:
        line, _, self._incoming = self._incoming.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _look(self) -> bool:
        """Takes note of children that have ended; whether the program is one of them."""
        if not self._has_ended and (ended := self._status()) is not None:
            self._has_ended = True
            self._say("ended", *ended)
        for pid in _children():
            # The program stays a zombie until its group is ended, so that its number is nobody else's.
            if pid != self._pid:
                os.waitpid(pid, os.WNOHANG)
        return self._has_ended

    def _status(self) -> tuple[int | None, int | None] | None:
        """How the program ended: an exit code or a signal."""
        if hasattr(os, "waitid"):
            found = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid == 0:
                return None
            return (found.si_status, None) if found.si_code == os.CLD_EXITED else (None, found.si_status)
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        return (code, None) if code >= 0 else (None, -code)

    # -- ending ----------------------------------------------------------------------------------------

    def _end(self, grace_seconds: float) -> None:
        """Ends all that is left."""
        if grace_seconds > 0:
            self._signal_all(signal.SIGTERM)
            self._signal_all(signal.SIGCONT)
        patience = time.monotonic() + grace_seconds
        despair = patience + _KILL_SECONDS
        while self._remain():
            now = time.monotonic()
            if now >= despair:
                return
            if now >= patience:
                self._signal_all(signal.SIGKILL)
            try:
                message = self._order(_LOOK_SECONDS)
                if message is not None:
                    patience = min(patience, now + float(message["stop"]))
            except _Lost:
                patience = now
                time.sleep(_LOOK_SECONDS)

    def _remain(self) -> bool:
        if not self._look() or any(pid != self._pid for pid in _children()):
            return True
        if self._libc is not None:
            return False  # whoever lives is our child
        try:
            os.killpg(self._pid, 0)
        except OSError:
            return False
        return True

    def _signal_all(self, number: int) -> None:
        others = [pid for pid in _children() if not _is_in_group(pid, self._pid)]
        for kill, pid in ((os.killpg, self._pid), *((os.kill, pid) for pid in others)):
            try:
                kill(pid, number)
            except OSError as error:
                if error.errno not in (errno.ESRCH, errno.EPERM):
                    raise

    def _say(self, *message: object) -> None:
        try:
            self._control.sendall(json.dumps(message).encode("ascii") + b"\n")
        except OSError:
            return  # the engine is no more, which is read from the socket


_GRACE_OF_THE_LEFT: Final = 2.0
"""Seconds that what a program leaves behind has to end."""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _checked(path: str, digests: list[str]) -> int | str:
    """The open file of a program whose SHA-256 is among ``digests``, or its path where no open file can be executed.

    Raises:
        OSError: it cannot be read.
        ValueError: it has another; the text is that.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    digest = hashlib.sha256()
    head = b""
    while chunk := os.read(fd, 1 << 20):
        head = head or chunk[:2]
        digest.update(chunk)
    if digest.hexdigest() not in digests:
        raise ValueError(digest.hexdigest())
    if os.execve not in os.supports_fd:
        return path
    if head == b"#!":
        os.set_inheritable(fd, True)  # its interpreter opens it by the number
    return fd


def _is_in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except OSError:
        return False


def _children() -> list[int]:
    """The children of this process, as far as the system tells."""
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:
        return [pid for pid in _processes() if _parent(pid) == own]


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


if __name__ == "__main__":
    end = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(end.fileno(), False)
    Guard(end).run()
    os._exit(0)
