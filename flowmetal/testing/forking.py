"""Processes by the hundred: one that has imported what they need forks one for each that is asked for.

Starting Python and importing costs most of them several times what they then do.  A forked one is as any other from
there on: a process of its own, in a session of its own, with its own descriptors, limits and confinement.

``python -c …`` runs the function ``main`` of a module, which prepares and calls ``fork_for_ever``: that listens at an
address until stdin ends.  A connection is one process: it brings a request and descriptors, gets the pid, and is told
the exit code when the process has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, Final

_BOOTSTRAP: Final = (
    "import sys; sys.path[:0] = sys.argv.pop(1).split('\\n');"
    " import importlib; importlib.import_module(sys.argv.pop(1)).main()"
)
_REQUEST_BYTES: Final = 64 * 1024
_MOST_DESCRIPTORS: Final = 8
_NUMBER_BYTES: Final = 16

Child = Callable[[Any, list[int]], object]
"""What a forked process does with its request and its descriptors; the process ends with it."""


class ForkedProcess:
    """What is used of a ``subprocess.Popen``, of a process that is another's child."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.pid = int(connection.recv(_NUMBER_BYTES, socket.MSG_WAITALL))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended.

        Raises:
            TimeoutExpired: it has not within ``timeout`` seconds.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = int(self._connection.recv(_NUMBER_BYTES, socket.MSG_WAITALL) or b"-9")
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("a forked process", timeout or 0) from None
            self._connection.close()
        return self.returncode

    def kill(self) -> None:
        """Ends it, unless it has ended."""
        if self.poll() is None:
            # It may end before this comes, and its exit code may still be on its way.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """The process that forks, which ``module`` prepares.

    Args:
        module: its name; its ``main`` is called.
        options: of Python, such as ``-W error``.
    """

    def __init__(self, module: str, options: Sequence[str] = ()) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="flowmetal-fork-")
        self.address = os.path.join(self._directory.name, "s")
        paths = "\n".join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", *options, "-c", _BOOTSTRAP, paths, module, self.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        with self._process.stdout as out:
            assert out.read(1) == b".", "the process that forks did not come up"

    def close(self) -> None:
        """Ends the process that forks, and with it what it forked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._directory.cleanup()


def forked(address: str, request: Any, descriptors: Sequence[int]) -> ForkedProcess:
    """A process that is forked at ``address``, with a request, JSON-like, and copies of ``descriptors``."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(address)
    socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], list(descriptors))
    return ForkedProcess(connection)


def fork_for_ever(child: Child) -> None:
    """Forks until stdin ends; in a forked process, returns when ``child`` has."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(sys.argv[1])
    listener.listen(64)
    ended, woken = socket.socketpair()
    ended.setblocking(False)
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    living: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for descriptor in (listener.fileno(), ended.fileno(), 0):
            selector.register(descriptor, selectors.EVENT_READ)
        os.write(1, b".")
        os.close(1)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if 0 in ready:
                os._exit(0)
            if ended.fileno() in ready:
                _reap(ended, living)
            if listener.fileno() in ready:
                begun = _fork(listener, living)
                if begun is not None:
                    break
    for each in (listener, ended, woken, *living.values()):
        each.close()
    child(*begun)


def _fork(listener: socket.socket, living: dict[int, socket.socket]) -> tuple[Any, list[int]] | None:
    """Forks for one connection; the request and the descriptors in the process that was forked, None in this one."""
    connection, _ = listener.accept()
    request, descriptors = _receive(connection)
    # The signal of a very short life must not come before its pid is known.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.setsid()
        connection.close()
        return request, descriptors
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(_number(pid))
    living[pid] = connection
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    return None


def _number(number: int) -> bytes:
    """A pid or an exit code; of one length, since the second may follow the first before that is read."""
    return str(number).encode().rjust(_NUMBER_BYTES)


def _receive(connection: socket.socket) -> tuple[Any, list[int]]:
    data, descriptors, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, _MOST_DESCRIPTORS)
    while not data.endswith(b"\n"):
        data += connection.recv(_REQUEST_BYTES)
    return json.loads(data), list(descriptors)


def _reap(ended: socket.socket, living: dict[int, socket.socket]) -> None:
    ended.recv(4096)
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        connection = living.pop(pid)
        with contextlib.suppress(OSError):
            connection.sendall(_number(os.waitstatus_to_exitcode(status)))
        connection.close()
