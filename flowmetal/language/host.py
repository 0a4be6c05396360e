"""The seam between the prelude and whoever runs flows: what the prelude may ask, and how it is refused.

Every method is called from inside the interpreter, on the thread that evaluates.  Arguments and answers are plain
data; values are wire data; ``stack`` is the text of ``call_stack()`` at the call.  An ``Answer`` is the three
fields of a Result, ``[ok, value, error]``, or a scalar alone for Ok of it: crossing costs by the container.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from flowmetal.values import Wire

Answer: TypeAlias = Wire
"""``[ok, value, error]``, wire data; or a scalar ``value`` that stands for ``[True, value, None]``."""

FlowContextParts: TypeAlias = list[Wire]
"""A text of four words — run id, attempt, idempotency key, start — and the bound arguments or None."""


def is_ok_answer(answer: Answer) -> bool:
    """Whether an answer is Ok."""
    return type(answer) is not list or bool(answer[0])


def value_of(answer: Answer) -> Wire:
    """The value of an answer that is Ok."""
    return answer[1] if type(answer) is list else answer


def full_answer(answer: Answer) -> list[Wire]:
    """The three fields of an answer."""
    return answer if type(answer) is list else [True, answer, None]


class HostError(Exception):
    """Ends the current flow with kind ``error`` (or ``kind``); ``hint`` says what to write instead."""

    def __init__(self, message: str, *, hint: str = "", kind: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind


class Host(Protocol):
    """What the prelude asks while a run is evaluated."""

    def call(
        self, index: int, policy: Wire, args: list[Wire], kwargs: list[Wire], tasks: list[int], stack: str
    ) -> Answer:
        """Runs a flow as a child and waits for it."""
        ...

    def call_plain(self, index: int, stack: str) -> Answer:
        """``call`` without policy and arguments."""
        ...

    def effect(
        self, name: str, policy: Wire, args: list[Wire], kwargs: list[Wire], tasks: list[int], stack: str
    ) -> Answer:
        """Performs an effect and waits for it."""
        ...

    def start(
        self,
        kind: str,
        index: int | str,
        policy: Wire,
        args: list[Wire],
        kwargs: list[Wire],
        tasks: list[int],
        stack: str,
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

    def defer(
        self,
        index: int,
        policy: Wire,
        args: list[Wire],
        kwargs: list[Wire],
        grace: Wire,
        undoes_next: bool,
        stack: str,
    ) -> int:
        """Registers a cleanup; its number."""
        ...

    def clean(self, number: int, stack: str) -> Answer:
        """Runs a cleanup that was registered, and waits for it."""
        ...

    def release(self, numbers: list[int], stack: str) -> None:
        """Forgets cleanups that were registered."""
        ...

    def sleep(self, duration: Wire, stack: str) -> None:
        """Sleeps for a duration."""
        ...

    def sleep_until(self, timestamp: Wire, stack: str) -> None:
        """Sleeps until a moment."""
        ...

    def continue_as_new(self, kwargs: list[Wire], stack: str) -> None:
        """Begins the flow anew with these arguments and an empty history; never returns."""
        ...

    def safe_point(self, kwargs: list[Wire], stack: str) -> None:
        """Begins the flow anew if its life is long enough; else nothing."""
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

    def expose(self, key: str, value: Wire, stack: str) -> None:
        """Shows a value under a key."""
        ...

    def fail(self, failure: Wire, stack: str) -> None:
        """Ends the current flow with a failure; never returns."""
        ...

    def context(self) -> FlowContextParts:
        """What a flow context is made of."""
        ...

    def flow_name(self) -> str:
        """The name of the current flow, or the empty string while a module loads."""
        ...
