"""A store around another, for who must know of every commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

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
