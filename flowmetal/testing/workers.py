"""Workers that die at a message chosen beforehand, and other things that a seam between engine and worker allows.

Messages of all workers of one engine are counted together, from 1, those it sends and those it receives alike; the
program's loading is not counted, since nothing has been promised to anybody before it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from flowmetal.engine.launching import Launched
from flowmetal.engine.process import WorkerProcess
from flowmetal.settings import Limits

OnMessages = Callable[[WorkerProcess, list[list[Any]]], None]
OnEnd = Callable[[WorkerProcess, str], None]

LOADING = frozenset({"hello", "need", "loaded", "invalid", "program", "sources", "fault"})


class Tapped(WorkerProcess):
    """A worker whose messages pass ``received`` and ``sent`` of a tap.

    Either may say False: then the message is lost with all after it.
    """

    def __init__(self, limits: Limits, on_messages: OnMessages, on_end: OnEnd, tap: WorkerTap) -> None:
        self._tap = tap
        self._cut = False
        self._deliver = on_messages
        super().__init__(limits, self._tapped, on_end, tap.launch(limits) if tap.launch else None)

    def _tapped(self, _worker: WorkerProcess, messages: list[list[Any]]) -> None:
        for message in messages:
            if self._cut or (message[0] not in LOADING and not self._tap.received(self, message)):
                self._cut = True
                return
            self._deliver(self, [message])
            self._tap.delivered(self, message)

    def send(self, message: list[Any]) -> None:
        """Queues a message, unless the tap says that the worker is dead before it."""
        if not self._cut and (message[0] in LOADING or self._tap.sent(self, message)):
            super().send(message)
        else:
            self._cut = True


class WorkerTap:
    """A factory of tapped workers (an engine's ``spawn``); this one only counts and keeps their pids."""

    def __init__(self) -> None:
        self.count = 0
        self.pids: list[int] = []
        # How workers come up, if not as an engine's do.
        self.launch: Callable[[Limits], Launched] | None = None

    def __call__(self, limits: Limits, on_messages: OnMessages, on_end: OnEnd, /) -> WorkerProcess:
        """One more worker."""
        worker = Tapped(limits, on_messages, on_end, self)
        self.pids.append(worker.pid)
        return worker

    def received(self, worker: Tapped, message: list[Any]) -> bool:
        """Before the engine gets a message; False if it never does."""
        self.count += 1
        return True

    def delivered(self, worker: Tapped, message: list[Any]) -> None:
        """After the engine has handled a message."""

    def sent(self, worker: Tapped, message: list[Any]) -> bool:
        """Before a message is written; False if it never is."""
        self.count += 1
        return True


class FrameKiller(WorkerTap):
    """Ends the worker with SIGKILL at the messages whose numbers are in ``fatal``.

    That message and all after it are lost.
    """

    def __init__(self, fatal: set[int]) -> None:
        super().__init__()
        self._fatal = fatal

    def received(self, worker: Tapped, message: list[Any]) -> bool:
        """Kills when its time has come."""
        return self._next(worker)

    def sent(self, worker: Tapped, message: list[Any]) -> bool:
        """Kills when its time has come."""
        return self._next(worker)

    def _next(self, worker: Tapped) -> bool:
        self.count += 1
        if self.count not in self._fatal:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        return False


class Evictor(WorkerTap):
    """Asks every run to leave as soon as it waits, or at every ``each``-th such moment."""

    def __init__(self, each: int = 1) -> None:
        super().__init__()
        self._each = each
        self._waits = 0
        self.evictions = 0

    def delivered(self, worker: Tapped, message: list[Any]) -> None:
        """Sends the request."""
        if message[0] == "wait":
            self._waits += 1
            if self._waits % self._each == 0:
                worker.send(["evict", message[1], message[2]])
                worker.flush()
        elif message[0] == "evicted":
            self.evictions += 1
