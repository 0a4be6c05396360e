"""What is under way on a thread that evaluates: which module is loading, and why the host refused."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from flowmetal.language.host import HostError


@dataclass(slots=True)
class Pass:
    """A module that is being evaluated; ``expected`` are the indices of flows that a script pass must make again."""

    label: str
    expected: list[int] | None = None
    count: int = 0


class ThreadState(threading.local):
    """One for a program; every thread has fields of its own."""

    current: Pass | None = None
    problem: HostError | None = None

    def refuse(self, error: HostError) -> HostError:
        """Remembers an error, since the interpreter keeps only its text; gives it to be raised."""
        self.problem = error
        return error

    def take_problem(self) -> HostError | None:
        """The error remembered last, once."""
        problem, self.problem = self.problem, None
        return problem

    @property
    def is_loading(self) -> bool:
        """Whether a module is being evaluated as a library."""
        return self.current is not None and self.current.expected is None
