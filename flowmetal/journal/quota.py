"""The journal's own limit on its size.

Counting looks inside the uncommitted update, so one that would pass the limit is aborted and nothing is lost.
Counting costs nine small calls; it happens once what was put since the last count could matter, and every 64th
update because other processes write too.  An update that puts nothing (gc) is never asked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from flowmetal.errors import QuotaError

_COUNT_EVERY: Final = 64


class Quota:
    """A limit of ``limit_bytes`` on the store in ``path``."""

    def __init__(self, limit_bytes: int, path: Path) -> None:
        self._limit_bytes = limit_bytes
        self._path = path
        self._updates_left = 0
        self._bytes_left = 0

    def check(self, put_bytes: int, used_bytes: Callable[[], int]) -> None:
        """Raise when an update that put ``put_bytes`` passes the limit; ``used_bytes`` counts, itself included.

        Raises:
            QuotaError: names the limit and the remedy.
        """
        self._updates_left -= 1
        self._bytes_left -= put_bytes
        if self._updates_left > 0 and self._bytes_left > 0:
            return
        used = used_bytes()
        if used > self._limit_bytes:
            self._updates_left = 0
            raise QuotaError(
                f"the journal would use {used:,} bytes; its limit is {self._limit_bytes:,}",
                place=str(self._path),
                remedy="remove finished runs with `flowmetal gc`, or raise the limit (journal quota)",
            )
        self._updates_left = _COUNT_EVERY
        # Pages are seldom full: a quarter of what is left cannot overshoot.
        self._bytes_left = (self._limit_bytes - used) // 4
