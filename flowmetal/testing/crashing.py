"""A store that is the death of its process, or that refuses: each at a commit chosen beforehand.

Commits are counted from 1, in the order in which update blocks end.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from flowmetal.errors import HomeError
from flowmetal.journal.store import Store, Update, View

Moment = Literal["before", "after"]


class WrappedStore:
    """A store that calls ``hook(moment, n)`` before and after its n-th commit."""

    def __init__(self, store: Store, hook: Callable[[Moment, int], None]) -> None:
        self.inner = store
        self.commits = 0
        self._hook = hook

    def view(self) -> AbstractContextManager[View]:
        """As the store within."""
        return self.inner.view()

    @contextmanager
    def update(self) -> Iterator[Update]:
        """As the store within, with the hook at its end."""
        with self.inner.update() as update:
            yield update
            self.commits += 1
            self._hook("before", self.commits)
        self._hook("after", self.commits)

    def last_transaction(self) -> int:
        """As the store within."""
        return self.inner.last_transaction()

    def size_bytes(self) -> int:
        """As the store within."""
        return self.inner.size_bytes()

    def close(self) -> None:
        """As the store within."""
        self.inner.close()


def crashing_store(store: Store, fatal: int, moment: Moment) -> WrappedStore:
    """A store whose ``fatal``-th commit ends this process with SIGKILL, before or after it is durable; 0 is never."""

    def hook(now: Moment, number: int) -> None:
        if number == fatal and now == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    return WrappedStore(store, hook)


def refusing_store(store: Store, first: int, error: HomeError) -> WrappedStore:
    """A store that refuses every commit from the ``first``-th on; nothing of these is written."""

    def hook(now: Moment, number: int) -> None:
        if number >= first and now == "before":
            raise error

    return WrappedStore(store, hook)
