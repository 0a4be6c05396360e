"""What a program prints, into a file that is replaced when the program has ended well, and not before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from typing import Final

from flowmetal.actions.beneath import reach
from flowmetal.actions.effect import EffectContext, EffectFailure, os_failure, plain
from flowmetal.actions.replacing import replace, write_all
from flowmetal.permissions.decision import Allowed

_CHUNK: Final = 1024 * 1024
_LOOK_MS: Final = 100


class _Abandoned(Exception):
    """The file is not wanted: it stays as it was."""


class FileSink:
    """Copies a pipe into a file, in a thread of its own.

    ``broken`` is set when that cannot go on: the program should be ended.

    Args:
        allowed: the decision about the file.
        shown: its path as the flow gave it.
        context: of the action.
    """

    def __init__(self, allowed: Allowed, shown: str, context: EffectContext) -> None:
        self._allowed = allowed
        self._shown = shown
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._over = threading.Event()
        self._verdict = threading.Event()
        self._keep = False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._done = asyncio.Event()
        self.broken = asyncio.Event()

    def begin(self, fd: int) -> None:
        """Begins to copy from a pipe, which is the sink's to close."""
        self._thread = threading.Thread(target=self._copy_all, args=(fd,), name="exec-output", daemon=True)
        self._thread.start()

    async def finish(self, seconds: float, *, keep: bool) -> None:
        """Takes what is still in the pipe, for no longer than so many seconds, and replaces the file or leaves it.

        Raises:
            EffectFailure: it could not be written.
        """
        self._loop.call_later(seconds, self._over.set)
        self._keep = keep
        self._verdict.set()
        await self._done.wait()
        if isinstance(self._error, OSError):
            raise os_failure("write", self._shown, self._error)
        if self._error is not None and not isinstance(self._error, _Abandoned):
            raise self._error

    async def abandon(self) -> None:
        """Ends what was not finished: the file stays as it was.  Nothing happens to what was."""
        self._over.set()
        self._verdict.set()
        if self._thread is not None:
            await self._done.wait()

    def _copy_all(self, fd: int) -> None:
        try:
            with reach(self._allowed, "write", self._shown) as place:
                replace(place, self._context.idempotency_key, lambda file: self._copy(fd, file))
        except Exception as error:
            self._error = error
            if not isinstance(error, _Abandoned):
                self._tell(self.broken)
        finally:
            os.close(fd)
            self._tell(self._done)

    def _tell(self, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(event.set)

    def _copy(self, fd: int, file: int) -> None:
        limit = self._context.limits.exec_file_bytes
        size = 0
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            if not poll.poll(_LOOK_MS):
                if self._over.is_set():
                    break
                continue
            data = os.read(fd, _CHUNK)
            if not data:
                break
            size += len(data)
            if size > limit:
                raise EffectFailure(
                    f"cannot write `{plain(self._shown)}`: the program printed more than {limit:,} bytes, the limit "
                    "exec_file_bytes",
                    kind="limit",
                    details={"limit_bytes": limit},
                )
            write_all(file, data)
        self._verdict.wait()
        if not self._keep:
            raise _Abandoned
