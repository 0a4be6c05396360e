"""Waiting for others, and for one's own end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Turns:
    """Sees that two attempts of one action are never under way together: one that is cut off may take its grace."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def of(self, idempotency_key: str) -> AsyncIterator[None]:
        """Waits until the attempt before is over in every respect."""
        while idempotency_key in self._under_way:
            await self._under_way[idempotency_key].wait()
        over = self._under_way[idempotency_key] = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[idempotency_key]
            over.set()


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives; a cancellation meanwhile is put off until it is done.

    Raises:
        asyncio.CancelledError: there was one.
    """
    doing = asyncio.ensure_future(work)
    cancelled = False
    while not doing.done():
        try:
            await asyncio.wait({doing})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return doing.result()
