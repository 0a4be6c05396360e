"""The worker's end of the socket: blocking reads on the main thread, buffered writes from every thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from flowmetal.worker.protocol import FrameReader, encode_frames

_FLUSH_AT = 256
_RECEIVE_BYTES = 256 * 1024


class Channel:
    """Messages are kept until someone waits for an answer, or ``_FLUSH_AT`` have come together.

    ``on_write`` is called before messages are written: a sign that flows move on.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.on_write: Callable[[], None] = lambda: None
        self._reader = FrameReader()
        self._pending: list[Any] = []
        self._lock = threading.Lock()

    def send(self, message: list[Any]) -> None:
        """Queues a message; order is kept over all threads."""
        self._pending.append(message)
        if len(self._pending) >= _FLUSH_AT:
            self.flush()

    @property
    def has_pending(self) -> bool:
        """Whether messages wait for a flush."""
        return bool(self._pending)

    def flush(self) -> None:
        """Writes what is queued."""
        with self._lock:
            # The list object stays the same, so that a thread that appends meanwhile loses nothing.
            messages = self._pending[:]
            del self._pending[: len(messages)]
            if messages:
                self.on_write()
                self._connection.sendall(encode_frames(messages))

    def receive(self) -> list[list[Any]]:
        """The next messages; empty when the engine has gone."""
        while True:
            data = self._connection.recv(_RECEIVE_BYTES)
            if not data:
                return []
            messages = self._reader.feed(data)
            if messages:
                return messages
