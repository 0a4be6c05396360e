"""The one call that this process is performing, as its function and the process around it see it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flowmetal.activity.plain import to_wire
from flowmetal.values import Wire


class Cancelled(BaseException):
    """The flow does not want the result any more.  ``except Exception`` lets it through."""


class Failure(Exception):
    """Ends the action in Err, without a traceback.

    Args:
        message: what happened.
        kind: the failure's kind, by which a flow and its policies tell failures apart.
        retry_after_seconds: how long to leave whoever failed alone, when the action is tried again.
        details: more about it: values that can go back to a flow.
    """

    def __init__(
        self, message: str, *, kind: str = "effect", retry_after_seconds: float | None = None, **details: Any
    ) -> None:
        super().__init__(message)
        self.message = str(message)
        self.kind = str(kind)
        self.details = details
        if retry_after_seconds is not None:
            self.details["retry_after_seconds"] = float(retry_after_seconds)


@dataclass(frozen=True, slots=True)
class Current:
    """The action that a function is called for; the key is the same on every attempt, which count from 1."""

    idempotency_key: str
    attempt: int
    action_name: str


class State:
    """What changes while a call goes on; other threads of the function may look at it too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: Current | None = None
        self._cancelled = False
        self._on_cancel: Callable[[], None] | None = None
        self._progress: list[Wire] = []

    def begin(self, call: Current) -> None:
        """A call begins."""
        with self._lock:
            self._current, self._cancelled, self._on_cancel = call, False, None
            self._progress.clear()

    def end(self) -> None:
        """The call is over."""
        with self._lock:
            self._current = self._on_cancel = None
            self._progress.clear()

    def cancel(self) -> None:
        """Tells the function that its result is not wanted."""
        with self._lock:
            if self._current is None:
                return
            self._cancelled = True
            on_cancel = self._on_cancel
        if on_cancel is not None:
            on_cancel()

    def when_cancelled(self, tell: Callable[[], None]) -> None:
        """Has ``tell`` called on a cancellation, at once if it came before; on any thread."""
        with self._lock:
            self._on_cancel = tell
            late = self._cancelled
        if late:
            tell()

    @property
    def current(self) -> Current | None:
        """The call that goes on."""
        with self._lock:
            return self._current

    @property
    def is_cancelled(self) -> bool:
        """Whether the result is not wanted any more."""
        with self._lock:
            return self._cancelled and self._current is not None

    def report(self, wire: Wire) -> None:
        """Keeps the latest word of progress for whoever sends it."""
        with self._lock:
            if self._current is not None:
                self._progress[:] = [wire]

    def take_progress(self) -> list[Wire]:
        """The latest word of progress, if there is one that was not taken."""
        with self._lock:
            taken = self._progress.copy()
            self._progress.clear()
            return taken


STATE: Final = State()
"""A process performs one call at a time."""


def current() -> Current:
    """The action that this function is called for.

    Raises:
        LookupError: no flow is calling.
    """
    call = STATE.current
    if call is None:
        raise LookupError("activity.current() is for functions that a flow calls, and no flow is calling")
    return call


def progress(value: Any) -> None:
    """Says how far the function is; the last word is in the details of the failure when its time is up.

    Raises:
        TypeError: a value that cannot go to a flow.
        ValueError: one that is too large.
    """
    STATE.report(to_wire(value))


def cancelled() -> bool:
    """Whether the result is not wanted any more, and the process will be ended shortly."""
    return STATE.is_cancelled


def check_cancelled() -> None:
    """Raises if the result is not wanted any more.

    Raises:
        Cancelled: it is not.
    """
    if STATE.is_cancelled:
        raise Cancelled("the action was cancelled")
