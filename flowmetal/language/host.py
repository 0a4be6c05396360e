"""The seam between the prelude and whoever runs flows: what the prelude may ask, and how it is refused.

Every method is called from inside the interpreter, on the thread that evaluates.  Arguments and answers are plain
data; values are wire data; ``stack`` is the text of ``call_stack()`` at the call.  An ``Answer`` is the three
fields of a Result: ``[ok, value, error]``.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from flowmetal.values import Wire

Answer: TypeAlias = list[Wire]
"""``[ok, value, error]``, wire data."""


class HostError(Exception):
    """Ends the current flow with kind ``error`` (or ``kind``); ``hint`` says what to write instead."""

    def __init__(self, message: str, *, hint: str = "", kind: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind


class Host(Protocol):
    """What the prelude asks while a run is evaluated."""

    def call(self, index: int, policy: Wire, args: list[Wire], kwargs: list[Wire], tasks: list[int], stack: str) -> Answer:
        """Runs a flow as a child and waits for it."""
        ...

    def effect(self, name: str, policy: Wire, args: list[Wire], kwargs: list[Wire], tasks: list[int], stack: str) -> Answer:
        """Performs an effect and waits for it."""
        ...

    def start(
        self, kind: str, index: int | str, policy: Wire, args: list[Wire], kwargs: list[Wire], tasks: list[int], stack: str
    ) -> list[int | str]:
        """Starts a flow or an effect; gives the number and the name of its task."""
        ...

    def wait(self, numbers: list[int], timeout: Wire, stack: str) -> list[Answer]:
        """Waits for tasks; one answer each."""
        ...

    def wait_any(self, numbers: list[int], timeout: Wire, stack: str) -> list[Wire]:
        """Waits for the first task in journal order; gives its index (or None) and its answer."""
        ...

    def cancel(self, number: int, stack: str) -> None:
        """Asks for the end of a task."""
        ...

    def sleep(self, duration: Wire, stack: str) -> None:
        """Sleeps for a duration."""
        ...

    def sleep_until(self, timestamp: Wire, stack: str) -> None:
        """Sleeps until a moment."""
        ...

    def now(self, stack: str) -> str:
        """The recorded time."""
        ...

    def random(self, stack: str) -> float:
        """A recorded random number in [0, 1)."""
        ...

    def uuid(self, stack: str) -> str:
        """A recorded random UUID."""
        ...

    def log(self, text: str, fields: Wire, level: str, stack: str) -> None:
        """Writes a log line."""
        ...

    def fail(self, failure: Wire, stack: str) -> None:
        """Ends the current flow with a failure; never returns."""
        ...

    def context(self) -> list[Wire]:
        """What a flow context is made of: run id, attempt, idempotency key, start, bound arguments or None."""
        ...

    def flow_name(self) -> str:
        """The name of the current flow, or the empty string while a module loads."""
        ...
