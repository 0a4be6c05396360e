"""A worker process as the engine sees it: a pid, a socket, and nothing to be trusted."""

from __future__ import annotations

import asyncio
import contextlib
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from flowmetal.engine.exits import describe_exit
from flowmetal.engine.launching import MINIMUM_LEVEL_VARIABLE, Launched, launch
from flowmetal.engine.memory import LOOK_SECONDS, MEMORY_OF
from flowmetal.errors import FlowmetalError, InternalError, UsageError
from flowmetal.settings import Limits
from flowmetal.worker.level import Confinement
from flowmetal.worker.protocol import FrameError, FrameReader, check_message, encode_frames

_RECEIVE_BYTES: Final = 128 * 1024
_STOP_SECONDS: Final = 2.0
_LONGEST_FAULT: Final = 500


class WorkerProcess:
    """One worker; its messages come by ``on_messages``, its end, once, by ``on_end`` with a reason.

    Args:
        limits: what the process must keep to.
        on_messages: takes messages, each of the right shape.
        on_end: told the end.
        launched: a process of these limits that is coming up already.
        memory_of: what the process of a pid holds, in bytes, where the engine must see to that limit itself.

    Raises:
        InternalError: the process cannot be started.
        UsageError: the level of confinement that is asked for is none.
    """

    def __init__(
        self,
        limits: Limits,
        on_messages: Callable[[WorkerProcess, list[list[Any]]], None],
        on_end: Callable[[WorkerProcess, str], None],
        launched: Launched | None = None,
        memory_of: Callable[[int], int] | None = MEMORY_OF,
    ) -> None:
        self._on_messages = on_messages
        self._on_end = on_end
        self._reader = FrameReader()
        self._outgoing: list[Any] = []
        self._unsent = bytearray()
        self._ended = False
        self._fault = ""
        self.limits = limits
        self.last_heard = time.monotonic()
        self.cpu_at_last_heard = 0.0
        # What it says of itself in its greeting, and why another worker would do no better.
        self.confinement: Confinement | None = None
        self.refusal: FlowmetalError | None = None
        launched = launched or launch(limits)
        self._minimum_level = launched.minimum_level
        self._process = launched.process
        self._socket = launched.socket
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._memory_of = memory_of
        self._look_at_memory()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether its end has not been noticed yet."""
        return not self._ended

    @property
    def is_heard_out(self) -> bool:
        """Whether all that it has sent has been read: an engine that was held up may have more to hear."""
        if self._ended:
            return True
        waiting = select.poll()  # select() takes no numbers of 1,024 and more
        waiting.register(self._socket, select.POLLIN)
        return not waiting.poll(0)

    def serve(
        self,
        on_messages: Callable[[WorkerProcess, list[list[Any]]], None],
        on_end: Callable[[WorkerProcess, str], None],
    ) -> None:
        """Serves somebody else from now on, who gives it a program anew; nothing of before may be under way."""
        self._on_messages = on_messages
        self._on_end = on_end

    # -- out -------------------------------------------------------------------------------------------

    def send(self, message: list[Any]) -> None:
        """Queues a message for the next ``flush``."""
        self._outgoing.append(message)

    def flush(self) -> None:
        """Writes what is queued, as far as the socket takes it; the rest follows by itself."""
        if not self._outgoing or self._ended:
            return
        messages, self._outgoing = self._outgoing, []
        data = encode_frames(messages)
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # its end is read from the socket
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    # -- in --------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end("")
            return
        self.last_heard = time.monotonic()
        try:
            messages = self._reader.feed(data)
            for message in messages:
                kind = check_message(message)
                if kind == "fault":
                    self._failed(message[1])
                elif kind == "hello" or self.confinement is None:
                    self._greeted(message)
        except FrameError as error:
            self.kill(f"it sent {error.message}")
            return
        if self.refusal is not None:
            self.kill(f"{self.refusal.message} ({self.refusal.remedy})")
            return
        self.cpu_at_last_heard = self.cpu_seconds() or 0.0
        if messages:
            self._on_messages(self, messages)

    def _failed(self, reason: str) -> None:
        self._fault = reason[:_LONGEST_FAULT]
        if self.confinement is None:
            self.refusal = InternalError(
                f"a worker cannot come up: {self._fault}",
                remedy="the system has the means that it names, and refuses them: look for a container or a security"
                " module in the way",
            )

    def _greeted(self, message: list[Any]) -> None:
        """Takes in how far the worker is locked in: the first that it says, before it has read anything hostile."""
        if message[0] != "hello" or self.confinement is not None:
            raise FrameError(f"{message[0]} where a greeting {'was due' if self.confinement is None else 'was over'}")
        self.confinement = Confinement.of_greeting(*message[2:])
        if self.confinement is None:
            raise FrameError("a greeting with a level of confinement that is none")
        if self.confinement.is_below(self._minimum_level):
            self.refusal = UsageError(
                f"a worker is confined to {self.confinement.level} only, and {MINIMUM_LEVEL_VARIABLE} asks for"
                f" {self._minimum_level}: {self.confinement.reason}",
                remedy=f"run where the system can do it (Linux with Landlock), or lower {MINIMUM_LEVEL_VARIABLE};"
                " `flowmetal doctor` says what the levels mean",
            )

    # -- the end ---------------------------------------------------------------------------------------

    def kill(self, reason: str) -> None:
        """Ends the process at once; ``on_end`` tells the reason."""
        self._fault = self._fault or reason
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._end(self._fault)

    def stop(self) -> None:
        """Ends the process without telling anybody."""
        if not self._ended:
            self._ended = True
            self._close()
        try:
            self._process.wait(0.05)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._close()
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._on_end(self, reason or self._fault or describe_exit(code, self.limits))

    def _close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()

    def _look_at_memory(self) -> None:
        if self._ended or self._memory_of is None:
            return
        if self._memory_of(self._process.pid) > self.limits.address_space_bytes:
            self.kill(f"it took more than {self.limits.address_space_bytes:,} bytes of memory")
        else:
            self._loop.call_later(LOOK_SECONDS, self._look_at_memory)

    def cpu_seconds(self) -> float | None:
        """Processor time the process has used; None where the system does not tell."""
        if sys.platform != "linux":
            return None
        try:
            # The clock of another process, see clock_getcpuclockid(3).
            return time.clock_gettime((~self._process.pid << 3) | 2)
        except OSError:
            return None
