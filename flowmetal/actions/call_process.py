"""One process that calls Python functions, as the engine sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flowmetal.actions.output import Capture, Drain
from flowmetal.actions.processes import GRACE_SECONDS, Ending, Order, Process
from flowmetal.actions.turns import to_the_end
from flowmetal.activity.channel import Reader, encode
from flowmetal.errors import ValueCodecError
from flowmetal.values import Wire, to_json_data

CANCEL_SECONDS: Final = 1.0
"""What a function has to notice that it is cancelled, before its process gets SIGTERM."""

OUTPUT_BYTES: Final = 16 * 1024
"""What is kept of what a function prints, for its failure."""

_END_SECONDS: Final = 5.0
_CHUNK: Final = 1 << 16
# What is ours is imported before the operator's own modules can stand in its way.
_BOOTSTRAP: Final = (
    "import sys; sys.path += [each for each in sys.argv.pop(3).split('\\n') if each not in sys.path]; "
    "import runpy; runpy.run_module('flowmetal.activity', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True, slots=True)
class Call:
    """What a process is asked for."""

    module: str
    function: str
    arguments: Wire
    idempotency_key: str
    attempt: int
    action_name: str


class Crashed(Exception):
    """A process that ended before it gave an answer."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


class CallProcess:
    """One process, of which ``progress`` is the last word and ``output`` what was printed, both of the last call."""

    def __init__(self, process: Process, channel: socket.socket, printed: int) -> None:
        self._process = process
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._answer: asyncio.Future[tuple[list[Wire], Wire]] = self._loop.create_future()
        self._closed = asyncio.Event()
        self.progress: Wire = None
        self.output = Capture(OUTPUT_BYTES)
        self._drain = Drain(printed, self.output)
        self._loop.add_reader(channel.fileno(), self._readable)

    @staticmethod
    async def start(base_dir: str) -> CallProcess:
        """A process that finds modules in ``base_dir`` first.

        Raises:
            NotStarted: it is not started.
            OSError: it is not started.
        """
        ours, theirs = socket.socketpair()
        printed, printed_to = os.pipe()
        null = os.open(os.devnull, os.O_RDONLY)
        directory = -1
        try:
            directory = os.open(base_dir, os.O_RDONLY | os.O_DIRECTORY)
            argv = [sys.executable, "-I", "-u", "-c", _BOOTSTRAP, str(theirs.fileno()), base_dir, _module_paths()]
            order = Order(os.path.abspath(sys.executable), argv, dict(os.environ), directory, keep=[theirs.fileno()])
            process = await Process.start(order, (null, printed_to, printed_to))
        except BaseException:
            ours.close()
            os.close(printed)
            raise
        finally:
            theirs.close()
            for fd in (printed_to, null, directory):
                if fd >= 0:
                    os.close(fd)
        ours.setblocking(False)
        return CallProcess(process, ours, printed)

    @property
    def is_healthy(self) -> bool:
        """Whether it can take another call."""
        return not self._closed.is_set() and not self._process.has_ended

    async def call(self, call: Call) -> tuple[list[Wire], Wire]:
        """The head and the value of the answer.

        Raises:
            Crashed: there is none, and the process is no more.
            ValueCodecError: the arguments are too large.
        """
        head = ["call", call.module, call.function, call.idempotency_key, call.attempt, call.action_name]
        data = encode(head, call.arguments)
        self.progress = None
        self.output.clear()
        self._answer = self._loop.create_future()
        sending = asyncio.ensure_future(self._send(data))
        closed = asyncio.ensure_future(self._closed.wait())
        waiting: set[asyncio.Future[Any]] = {self._answer, closed}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await to_the_end(self._cancel() if sending.done() else self.stop())
            raise
        finally:
            closed.cancel()
            sending.cancel()
        self._drain.read()  # what was printed before the answer is there
        if self._answer.done():
            return self._answer.result()
        raise Crashed(await to_the_end(self._crashed()))

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ends it."""
        self._close_channel()
        await self._process.stop(grace_seconds)
        self._drain.close()

    async def _send(self, data: bytes) -> None:
        try:
            await self._loop.sock_sendall(self._channel, data)
        except OSError:
            return  # a process that is no more is read from the channel

    async def _cancel(self) -> None:
        """Has the call end: a word, some time, then signals."""
        if self._closed.is_set():
            return
        await self._send(encode(["cancel"]))
        await asyncio.wait({self._answer}, timeout=CANCEL_SECONDS)
        if not self._answer.done():
            await self.stop()

    async def _crashed(self) -> Ending:
        """How it ended, or what it takes to end it."""
        try:
            ending = await asyncio.wait_for(self._process.ended(), _END_SECONDS)
        except TimeoutError:
            ending = Ending(None)  # it closed the channel and went on
        await self._process.stop()
        await self._drain.finish(_END_SECONDS)
        return ending

    def _readable(self) -> None:
        try:
            data = self._channel.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close_channel()
            return
        try:
            for head, value in self._reader.feed(data):
                if head[0] == "progress":
                    self.progress = to_json_data(value)
                elif not self._answer.done():
                    self._answer.set_result((head, value))
        except ValueCodecError:
            self._close_channel()  # somebody else wrote into it

    def _close_channel(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())
            self._channel.close()


def _module_paths() -> str:
    """The directories in which this process finds modules, a line each."""
    own = str(Path(__file__).resolve().parent.parent.parent)
    return "\n".join([own, *(os.path.abspath(entry) for entry in sys.path if entry)])
