"""Processes that call Python functions: a handful, each for one module, kept for the next call while it is healthy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from flowmetal.actions.call_process import CallProcess
from flowmetal.actions.turns import Turns, to_the_end

MOST_PROCESSES: Final = 4
"""Calls that go on at the same time; one more waits."""


class CallPool:
    """All processes of one engine that call Python functions."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[CallProcess]] = {}
        self._all: set[CallProcess] = set()
        self._starting = 0
        self._changed = asyncio.Condition()
        self.turns = Turns()

    @asynccontextmanager
    async def process(self, base_dir: str, module: str) -> AsyncIterator[CallProcess]:
        """A process for one call of a function in ``module``.

        Raises:
            NotStarted: it is not started.
            OSError: it is not started.
        """
        process = await self._take(base_dir, module)
        try:
            yield process
        finally:
            await to_the_end(self._give_back((base_dir, module), process))

    async def close(self) -> None:
        """Ends all of them."""
        await asyncio.gather(*(process.stop() for process in list(self._all)))
        self._all.clear()
        self._idle.clear()

    async def _take(self, base_dir: str, module: str) -> CallProcess:
        async with self._changed:
            while True:
                while self._idle.get((base_dir, module)):
                    process = self._idle[base_dir, module].pop()
                    if process.is_healthy:
                        return process
                    await self._end(process)
                if len(self._all) + self._starting < MOST_PROCESSES:
                    self._starting += 1
                    break
                other = next((some for some in self._idle.values() if some), None)
                if other is not None:
                    await self._end(other.pop(0))
                else:
                    await self._changed.wait()
        try:
            process = await CallProcess.start(base_dir)
            self._all.add(process)
        finally:
            self._starting -= 1
            await to_the_end(self._tell())
        return process

    async def _give_back(self, key: tuple[str, str], process: CallProcess) -> None:
        if process.is_healthy:
            self._idle.setdefault(key, []).append(process)
        else:
            await self._end(process)
        await self._tell()

    async def _end(self, process: CallProcess) -> None:
        self._all.discard(process)
        await process.stop()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
