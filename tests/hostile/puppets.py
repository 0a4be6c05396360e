"""Workers whose strings a test holds: their messages come from this process, by a real socket, at the speed of memory.

A puppet loads its program as it should.  What it says when it is given a run is up to ``play``: bytes, after which its
socket is closed.  Its process is there to be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from flowmetal.engine.launching import Launched
from flowmetal.engine.process import WorkerProcess
from flowmetal.settings import Limits
from flowmetal.worker.protocol import FrameReader, encode_frame

HONEST: Final = "//beside.flow"
OK_42: Final = msgpack.packb({"result": [True, 42, None]})
_SENT_AT_ONCE: Final = 64 * 1024


@dataclass(frozen=True)
class Loaded:
    """What a real worker said of a program: its flows, and its labels in load order."""

    main: str
    flows: list[Any]
    labels: list[str]


Play = Callable[[str, int, int], bytes]
"""All that a puppet says of a run: of its id, its incarnation, and the number of its last recorded action."""


class Puppets:
    """An engine's ``spawn``; ``play`` is what puppets of programs other than ``HONEST`` do."""

    def __init__(self, programs: list[Loaded], play: Play) -> None:
        self.programs = {each.main: each for each in programs}
        self.play = play
        self.reasons: list[str] = []

    def __call__(self, limits: Limits, on_messages: Any, on_end: Any, /) -> WorkerProcess:
        """One more puppet."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        process = subprocess.Popen(["sleep", "100"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        puppet = _Puppet(self, theirs, process)

        def ended(worker: WorkerProcess, reason: str) -> None:
            self.reasons.append(reason)
            puppet.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
            on_end(worker, reason)

        made = WorkerProcess(limits, on_messages, ended, Launched(limits, "L0", process, ours), memory_of=None)
        stop = made.stop

        def stopped() -> None:
            process.kill()  # no socket tells it of its end
            puppet.close()
            stop()

        made.stop = stopped  # type: ignore[method-assign]
        return made


class _Puppet:
    def __init__(self, stage: Puppets, end: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self._stage = stage
        self._process = process
        self._end = end
        self._reader = FrameReader()
        self._program: Loaded | None = None
        self._missing: list[str] = []
        self._recorded: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end.fileno(), self._readable)
        self._say(["hello", {}, "L0", 0, ""])

    def close(self) -> None:
        if self._end.fileno() >= 0:
            self._loop.remove_reader(self._end.fileno())
            self._end.close()

    def _say(self, *messages: list[Any]) -> None:
        self._write(encode_frame(list(messages)))

    def _write(self, data: bytes) -> None:
        if self._end.fileno() < 0:
            return
        self._end.setblocking(True)
        self._end.settimeout(0.001)
        with contextlib.suppress(OSError):
            for at in range(0, len(data), _SENT_AT_ONCE):
                self._end.sendall(data[at : at + _SENT_AT_ONCE])
        self._end.setblocking(False)

    def _readable(self) -> None:
        try:
            data = self._end.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        for message in self._reader.feed(data):
            self._take(message)

    def _take(self, message: list[Any]) -> None:
        kind = message[0]
        if kind == "program":
            self._program = self._stage.programs[message[1]]
            self._missing = [label for label in self._program.labels if label not in message[2]]
            self._ask()
        elif kind == "sources":
            self._missing = [label for label in self._missing if label not in message[1]]
            self._ask()
        elif kind == "start" and not message[3]["replay"]:
            self._act(message[1], message[2])
        elif kind == "history":
            run_id = message[1]
            numbers = [event["n"] for event in map(msgpack.unpackb, message[3]) if "c" in event]
            self._recorded[run_id] = max([self._recorded.get(run_id, 0), *numbers])
            if message[4]:
                self._act(run_id, message[2])
            else:
                self._say(["more", run_id, message[2]])
        elif kind == "result" and self._program is not None and self._program.main == HONEST:
            self._say(["done", message[1], message[2], OK_42])

    def _ask(self) -> None:
        assert self._program is not None
        if self._missing:
            self._say(["need", self._missing])
        else:
            self._say(["loaded", self._program.flows, self._program.labels])

    def _act(self, run_id: str, incarnation: int) -> None:
        assert self._program is not None
        if self._program.main == HONEST:
            sleep = ["act", run_id, incarnation, 1, "sleep", msgpack.packb([0.02]), "x:1", [], "sleep", []]
            self._say(["live", run_id, incarnation, []], sleep)
            return
        self._write(self._stage.play(run_id, incarnation, self._recorded.get(run_id, 0)))
        self._process.kill()  # before its socket: an engine has patience with a process that has said its last
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_WR)
