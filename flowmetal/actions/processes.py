"""Programs that the engine starts: each under a guard of its own, see ``guard``, so that none outlives the engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from flowmetal.actions.turns import Turns, to_the_end

GRACE_SECONDS: Final = 2.0
"""What a program has, after SIGTERM, before SIGKILL."""

MOST_AT_ONCE: Final = 32
"""Programs that run at the same time; one more waits."""

_GUARD: Final = str(Path(__file__).with_name("guard.py"))
_PATIENCE_SECONDS: Final = 6.0
"""After the grace: what the guard has before it is held for stuck."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a guard is to start.

    ``program`` is an absolute path, and its file has one of the SHA-256 in ``digests`` if there are any.  Texts are
    UTF-8, other bytes as lone surrogates.  ``cwd`` is a descriptor of a directory; those in ``keep`` stay open.
    """

    program: str
    argv: Sequence[str]
    env: dict[str, str]
    cwd: int
    digests: Sequence[str] = ()
    keep: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ended: with ``code``, or by the signal of that name; neither when its guard was killed."""

    code: int | None
    signal_name: str = ""


class NotStarted(Exception):
    """A program that did not start.

    ``where`` is ``open``, ``digest``, ``cwd``, ``exec`` or ``start``; ``code`` an errno; ``text`` the digest found.
    """

    def __init__(self, where: str, code: int, text: str) -> None:
        super().__init__(where, code, text)
        self.where = where
        self.code = code
        self.text = text


class Process:
    """One program under guard; made by ``start``.  It must be stopped, whatever becomes of it, on the same loop."""

    def __init__(self, guard: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._guard = guard
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._incoming = bytearray()
        self._group = 0
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[Ending] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._loop.add_reader(control.fileno(), self._readable)

    @staticmethod
    async def start(order: Order, stdio: tuple[int, int, int], grace_seconds: float = GRACE_SECONDS) -> Process:
        """Starts a program; the descriptors stay the caller's to close.

        Who cancels this gives it its grace: it may have done a good deal before its guard tells that it is there.

        Raises:
            NotStarted: says what refused.
            OSError: the guard cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", _GUARD, str(theirs.fileno())],
                    stdin=stdio[0],
                    stdout=stdio[1],
                    stderr=stdio[2],
                    env={},
                    cwd="/",
                    pass_fds=[theirs.fileno(), order.cwd, *order.keep],
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        process = Process(guard, ours)
        is_ordered = False
        try:
            await process._loop.sock_sendall(ours, _line(asdict(order)))
            is_ordered = True
            await process._started
        except (OSError, NotStarted, asyncio.CancelledError):
            await process.stop(grace_seconds if is_ordered else 0)
            raise
        return process

    @property
    def has_ended(self) -> bool:
        """Whether the program is no more."""
        return self._ended.done()

    async def ended(self) -> Ending:
        """Waits for the end of the program itself."""
        return await asyncio.shield(self._ended)

    async def gone(self) -> None:
        """Waits until nothing of it is left, which follows the end of the program."""
        await self._gone.wait()

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ends all of it; returns when nothing is left, even if the caller is cancelled again meanwhile."""
        await to_the_end(self._stop(grace_seconds))

    async def _stop(self, grace_seconds: float) -> None:
        self._guard.send_signal(signal.SIGCONT)  # its own program may have stopped it
        with contextlib.suppress(OSError):  # a guard that is gone is read from the socket
            if grace_seconds > 0:
                self._control.send(_line({"stop": grace_seconds}))
            else:
                self._control.shutdown(socket.SHUT_WR)
        try:
            await asyncio.wait_for(self._gone.wait(), grace_seconds + _PATIENCE_SECONDS)
        except TimeoutError:
            self._guard.kill()
            await self._gone.wait()

    # -- what the guard says ---------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = self._control.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        self._incoming += data
        while b"\n" in self._incoming:
            line, _, self._incoming = self._incoming.partition(b"\n")
            self._take(json.loads(line))

    def _take(self, message: list[Any]) -> None:
        kind = message[0]
        if kind == "forked":
            self._group = message[1]
        elif kind == "started":
            if not self._started.done():
                self._started.set_result(None)
        elif kind == "failed":
            if not self._started.done():
                self._started.set_exception(NotStarted(*message[1:]))
        elif kind == "ended" and not self._ended.done():
            number = message[2]
            self._ended.set_result(Ending(message[1], signal_name(number) if number is not None else ""))

    def _lost(self) -> None:
        """The guard has ended, as the last of it or before its time."""
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        self._guard.wait()
        if not self._started.done():
            if self._group:
                self._started.set_result(None)  # nobody knows: it may have run
            else:
                self._started.set_exception(NotStarted("start", 0, ""))
        if not self._ended.done():
            if self._group and self._started.exception() is None:
                # Killed by its own program, most likely, which has died of that; its group is what we know of.
                with contextlib.suppress(OSError):
                    os.killpg(self._group, signal.SIGKILL)
            self._ended.set_result(Ending(None))
        self._gone.set()


class Programs:
    """All programs that effects of one engine have running."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        self._turns = Turns()
        self._processes: set[Process] = set()

    @asynccontextmanager
    async def place(self, idempotency_key: str) -> AsyncIterator[None]:
        """Leave to run one more program."""
        async with self._turns.of(idempotency_key), self._slots:
            yield

    @asynccontextmanager
    async def started(
        self, order: Order, stdio: tuple[int, int, int], grace_seconds: float = GRACE_SECONDS
    ) -> AsyncIterator[Process]:
        """A program that is ended with the block, at the latest.

        Raises:
            NotStarted: says what refused.
            OSError: the guard cannot be started.
        """
        process = await Process.start(order, stdio, grace_seconds)
        self._processes.add(process)
        try:
            yield process
        finally:
            await process.stop(grace_seconds)
            self._processes.discard(process)

    async def close(self) -> None:
        """Ends all that still run."""
        await asyncio.gather(*(process.stop(0) for process in list(self._processes)))


def signal_name(number: int) -> str:
    """``SIGKILL`` of 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode("ascii") + b"\n"
