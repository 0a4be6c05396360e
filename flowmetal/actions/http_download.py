"""A body that goes to a file: written in a thread of its own, and in place only when it is there as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import queue
import threading
from typing import Final, TypeAlias

from flowmetal.actions.beneath import reach
from flowmetal.actions.effect import EffectFailure, os_failure
from flowmetal.actions.replacing import replace, write_all
from flowmetal.permissions.decision import Allowed

VERB: Final = "save to"
_WAITING_PIECES: Final = 8

_Piece: TypeAlias = bytes | None
"""What the thread is handed: bytes to write, None at the end."""


class _Abandoned(Exception):
    """The file is not wanted any more."""


class Download:
    """One file that is being written.

    Args:
        allowed: the decision on the file.
        path: for errors: as the flow gave it.
        idempotency_key: of the action.
    """

    def __init__(self, allowed: Allowed, path: str, idempotency_key: str) -> None:
        self._allowed = allowed
        self._path = path
        self._key = idempotency_key
        self._loop = asyncio.get_running_loop()
        self._pieces: queue.SimpleQueue[_Piece] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_WAITING_PIECES)
        self._done: asyncio.Future[str] = self._loop.create_future()
        self._is_abandoned = threading.Event()
        self._digest = hashlib.sha256()
        # No thread of a pool: it lives as long as a server likes to send, and would keep others from theirs.
        threading.Thread(target=self._run, name="download", daemon=True).start()

    async def write(self, piece: bytes) -> None:
        """Adds to the file.

        Raises:
            EffectFailure: the operating system refused.
        """
        await self._room.acquire()
        if self._done.done():
            self._done.result()
        self._pieces.put(piece)

    async def finish(self) -> str:
        """Puts the file in its place, durably; its SHA-256.

        Raises:
            EffectFailure: the operating system refused; what was there is as it was.
        """
        self._pieces.put(None)
        return await asyncio.shield(self._done)

    async def end(self) -> None:
        """Waits until the thread has left; a file that was not finished is removed.  Not to be interrupted."""
        self._is_abandoned.set()
        self._pieces.put(None)
        while not self._done.done():
            try:
                await asyncio.wait([self._done])
            except asyncio.CancelledError:
                continue  # said once already; the file must not stay
        if not self._done.cancelled():
            self._done.exception()  # known already to who awaited it

    def _run(self) -> None:
        failure: EffectFailure | None = None
        try:
            with reach(self._allowed, VERB, self._path) as place:
                replace(place, self._key, self._fill)
        except EffectFailure as error:
            failure = error
        except OSError as error:
            failure = os_failure(VERB, self._path, error)
        except Exception as error:
            failure = EffectFailure(f"cannot {VERB} the file ({type(error).__name__})")
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            self._loop.call_soon_threadsafe(self._ended, failure)

    def _fill(self, fd: int) -> None:
        while (piece := self._pieces.get()) is not None:
            write_all(fd, piece)
            self._digest.update(piece)
            self._loop.call_soon_threadsafe(self._room.release)
        if self._is_abandoned.is_set():
            raise _Abandoned

    def _ended(self, failure: EffectFailure | None) -> None:
        if failure is None:
            self._done.set_result(self._digest.hexdigest())
        else:
            self._done.set_exception(failure)
        self._room.release()  # who waits for room learns of it


def check_file(allowed: Allowed, path: str) -> None:
    """Looks, before anything is sent, whether the file could be written.

    Raises:
        EffectFailure: it could not.
    """
    try:
        with reach(allowed, VERB, path) as place:
            try:
                fd, _ = place.open_regular(os.O_WRONLY)
            except FileNotFoundError:
                return
            os.close(fd)
    except OSError as error:
        raise os_failure(VERB, path, error) from None
