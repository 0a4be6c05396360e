"""Threads that carry runs.

A *strand* is a thread with a stack of runs: the one the engine started and, above it, children that are evaluated
inline.  All messages for its runs go to its inbox, and only the strand itself reads them, so a run's state needs no
lock.  A strand that waits is *parked*; the pool lets few strands evaluate at once, since the interpreter's lock
allows one anyway, and any number be parked.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from flowmetal.worker.run import Run

Job = Callable[["Strand"], None]


class Unwind(BaseException):
    """Leaves the evaluation of all runs of a strand; no outcome of any of them."""


class Mailbox:
    """What the main thread hands to a strand: messages, and the ids of runs that are over."""

    __slots__ = ("dropped", "inbox")

    def __init__(self) -> None:
        self.inbox: SimpleQueue[list[Any]] = SimpleQueue()
        self.dropped: set[str] = set()


class Strand:
    """One thread of the pool; its mailbox is that of the run it carries."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self.runs: list[Run] = []
        self.unwinding = False
        self.mailbox = Mailbox()


class StrandPool:
    """Starts jobs on strands, at most ``max_active`` of them evaluating at a time.

    Args:
        max_active: strands that evaluate at once.
        on_thread_failure: called when no further thread can be started.
    """

    def __init__(self, max_active: int, on_thread_failure: Callable[[Exception], None]) -> None:
        self._max_active = max_active
        self._on_thread_failure = on_thread_failure
        self._lock = threading.Lock()
        self._active = 0
        self._idle: list[Strand] = []
        self._queued: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Runs a job on a strand, now or when another strand parks or ends."""
        with self._lock:
            if self._active >= self._max_active:
                self._queued.append(job)
                return
            self._active += 1
        self._hand_over(job)

    def parking(self) -> None:
        """The calling strand is about to wait."""
        with self._lock:
            if not self._queued:
                self._active -= 1
                return
            job = self._queued.popleft()
        self._hand_over(job)

    def resumed(self) -> None:
        """The calling strand evaluates again; it is not held back, so that results are taken at once."""
        with self._lock:
            self._active += 1

    def _hand_over(self, job: Job) -> None:
        with self._lock:
            strand = self._idle.pop() if self._idle else None
        if strand is None:
            strand = Strand()
            try:
                threading.Thread(target=self._carry, args=(strand,), daemon=True).start()
            except RuntimeError as error:
                self._on_thread_failure(error)
        strand.jobs.put(job)

    def _carry(self, strand: Strand) -> None:
        while True:
            job: Job | None = strand.jobs.get()
            while job is not None:
                strand.unwinding = False
                job(strand)
                job = self._next(strand)

    def _next(self, strand: Strand) -> Job | None:
        """The next queued job for a strand that has ended one, or None after making it idle."""
        with self._lock:
            if self._queued and self._active <= self._max_active:
                return self._queued.popleft()
            self._active -= 1
            self._idle.append(strand)
            return None
