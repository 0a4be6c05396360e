"""A store that is the death of its process, or that refuses: each at a commit chosen beforehand.

Commits are counted from 1, in the order in which update blocks end.
"""

from __future__ import annotations

import os
import signal

from flowmetal.errors import HomeError
from flowmetal.journal.store import Store
from flowmetal.journal.wrapped_store import Moment, WrappedStore


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
