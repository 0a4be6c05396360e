"""A process that calls Python functions for flows, one at a time: ``python -m flowmetal.activity FD DIRECTORY``."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import select
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Final, NoReturn

from flowmetal.activity.calling import Terminated, answer
from flowmetal.activity.channel import Reader, encode
from flowmetal.activity.state import STATE, Current
from flowmetal.errors import ValueCodecError
from flowmetal.values import Wire

_PROGRESS_MS: Final = 100
_CHUNK: Final = 1 << 16
_TERMINATED: Final = 128 + signal.SIGTERM


class Process:
    """See the module's text; ``channel`` is the socket to the engine."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._sending = threading.Lock()
        self._calls: queue.SimpleQueue[tuple[list[Wire], Wire] | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Performs calls until the engine closes the channel."""
        threading.Thread(target=self._listen, name="flowmetal-activity", daemon=True).start()
        while (call := self._calls.get()) is not None:
            (_, module, name, *_), arguments = call
            try:
                head, value = answer(module, name, arguments)
            finally:
                STATE.end()
            with contextlib.suppress(OSError, ValueError):  # whoever closed them wanted that
                sys.stdout.flush()
                sys.stderr.flush()
            self._say(head, value)

    def _listen(self) -> None:
        """On a thread of its own, so that a cancellation is noted while a function computes."""
        reader = Reader()
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        while True:
            if poll.poll(_PROGRESS_MS if STATE.current is not None else None):
                try:
                    data = self._channel.recv(_CHUNK)
                except OSError:
                    data = b""
                if not data:
                    break
                for head, value in reader.feed(data):
                    if head[0] == "call":
                        STATE.begin(Current(*head[3:]))
                        self._calls.put((head, value))
                    else:
                        STATE.cancel()
            with self._sending:  # held from taking to sending: none is sent after the answer of its call
                for progress in STATE.take_progress():
                    self._send(encode(["progress"], progress))
        STATE.cancel()
        self._calls.put(None)

    def _say(self, head: list[Wire], value: Wire) -> None:
        try:
            data = encode(head, value)
        except ValueCodecError as error:
            data = encode(["err", "limit", error.message], {"dict": []})
        with self._sending:
            self._send(data)

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # an engine that is no more is read from the channel
            self._channel.sendall(data)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def main() -> None:
    """Serves the channel that the first argument names, with the second before all else on the path."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(channel.fileno(), False)
    sys.path.insert(0, sys.argv[2])
    sys.argv[1:] = []
    faulthandler.enable()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        Process(channel).run()
    except Terminated:
        sys.exit(_TERMINATED)


if __name__ == "__main__":
    main()
