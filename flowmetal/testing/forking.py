"""Workers by the hundred: a process that has imported what a worker needs forks one for each that is asked for.

Starting Python and importing costs a worker five times what it then needs to load a small program.  A forked worker
is as a launched one is from there on: a process of its own, with its own limits and confinement.

``python -I -S -c … ADDRESS`` listens there until its stdin ends.  A connection is one worker: it brings the worker's
descriptor and limits, gets the pid, and is told the exit code when the worker has ended.
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
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from flowmetal.engine.launching import Launched, minimum_level
from flowmetal.settings import Limits
from flowmetal.worker.serving import serve

_BOOTSTRAP: Final = (
    "import sys; sys.path[:0] = sys.argv.pop(1).split('\\n'); import flowmetal.testing.forking as f; f.main()"
)
_SOCKET_BUFFER: Final = 1024 * 1024
_REQUEST_BYTES: Final = 64 * 1024


class ForkedProcess:
    """What the engine uses of a ``subprocess.Popen``, of a process that is another's child."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.pid = int(connection.recv(64))
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
                self.returncode = int(self._connection.recv(64) or b"-9")
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("worker", timeout or 0) from None
            self._connection.close()
        return self.returncode

    def kill(self) -> None:
        """Ends it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """The process that forks; ``launch`` takes the place of the engine's."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="flowmetal-fork-")
        self._address = os.path.join(self._directory.name, "s")
        paths = "\n".join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, paths, self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        with self._process.stdout as out:
            assert out.read(1) == b".", "the process that forks did not come up"

    def launch(self, limits: Limits) -> Launched:
        """A worker's process, as ``flowmetal.engine.launching.launch`` gives it."""
        level = minimum_level()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        ours.setblocking(False)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self._address)
        with theirs:
            socket.send_fds(connection, [json.dumps(limits.to_data()).encode() + b"\n"], [theirs.fileno()])
            process = ForkedProcess(connection)
        return Launched(limits, level, cast("subprocess.Popen[bytes]", process), ours)

    def close(self) -> None:
        """Ends the process that forks, and with it what it forked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._directory.cleanup()


def main() -> None:
    """Forks until stdin ends."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(sys.argv[1])
    listener.listen(64)
    ended, woken = socket.socketpair()
    ended.setblocking(False)
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    living: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    actions: dict[int, Callable[[], None]] = {
        listener.fileno(): lambda: _fork(listener, living),
        ended.fileno(): lambda: _reap(ended, living),
        0: lambda: os._exit(0),
    }
    for descriptor in actions:
        selector.register(descriptor, selectors.EVENT_READ)
    os.write(1, b".")
    os.close(1)
    while True:
        for key, _ in selector.select():
            actions[key.fd]()


def _fork(listener: socket.socket, living: dict[int, socket.socket]) -> None:
    connection, _ = listener.accept()
    request, descriptor = _receive(connection)
    # The signal of a very short life must not come before its pid is known.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        serve(descriptor, Limits.from_data(request))
    os.close(descriptor)
    connection.sendall(str(pid).encode())
    living[pid] = connection
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def _receive(connection: socket.socket) -> tuple[Any, int]:
    data, (descriptor,), _, _ = socket.recv_fds(connection, _REQUEST_BYTES, 1)
    while not data.endswith(b"\n"):
        data += connection.recv(_REQUEST_BYTES)
    return json.loads(data), descriptor


def _reap(ended: socket.socket, living: dict[int, socket.socket]) -> None:
    ended.recv(4096)
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        connection = living.pop(pid)
        with contextlib.suppress(OSError):
            connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        connection.close()


@contextlib.contextmanager
def forked_workers() -> Iterator[Callable[[Limits], Launched]]:
    """A way to launch workers, until the end."""
    server = ForkServer()
    try:
        yield server.launch
    finally:
        server.close()
