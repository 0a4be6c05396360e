"""Launching a worker's process, with no look at what the engine is: a command does it before it imports the rest.

A worker takes as long to come up as the engine to be imported; side by side, a short run costs half.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowmetal.errors import InternalError, UsageError, did_you_mean
from flowmetal.settings import Limits
from flowmetal.worker.level import LEVELS

MINIMUM_LEVEL_VARIABLE: Final = "FLOWMETAL_MIN_SANDBOX"

_SOCKET_BUFFER: Final = 1024 * 1024

# The path is set by hand, so that the worker needs neither the environment nor the slow look at site-packages.
_BOOTSTRAP: Final = (
    "import sys; sys.path[:0] = sys.argv.pop(1).split('\\n'); import runpy; runpy.run_module('flowmetal.worker')"
)


@dataclass(frozen=True, slots=True)
class Launched:
    """A process that is coming up as a worker, and our end of its socket; it ends when that is closed.

    It is no use unless its greeting says that it is confined to ``minimum_level`` at least.
    """

    limits: Limits
    minimum_level: str
    process: subprocess.Popen[bytes]
    socket: socket.socket

    def discard(self) -> None:
        """Ends the process if nobody did; nothing happens to one that has been used and stopped."""
        self.socket.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def launch(limits: Limits) -> Launched:
    """Starts a worker's process; call it on the main thread, with whose end the worker's comes.

    Raises:
        InternalError: the process cannot be started.
        UsageError: the environment asks for a level of confinement that is none.
    """
    level = minimum_level()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
    ours.setblocking(False)
    arguments = [_module_path(), str(theirs.fileno()), json.dumps(limits.to_data())]
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("FLOWMETAL_WORKER_STDERR") else subprocess.DEVNULL,
            env={"MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
            cwd="/",
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise InternalError(f"a worker process cannot be started: {error.strerror}") from None
    finally:
        theirs.close()
    return Launched(limits, level, process, ours)


@contextlib.contextmanager
def coming_up(limits: Limits, *, wanted: bool = True) -> Iterator[Launched | None]:
    """A worker that comes up while the caller imports the engine, for its first program; None unless it is ``wanted``.

    It ends with the block, used or not.

    Raises:
        InternalError, UsageError: as ``launch``.
    """
    spare = launch(limits) if wanted else None
    try:
        yield spare
    finally:
        if spare is not None:
            spare.discard()


def minimum_level() -> str:
    """How far a worker must be confined: one of ``LEVELS``; the lowest unless the environment asks for more.

    Raises:
        UsageError: it asks for something else.
    """
    level = os.environ.get(MINIMUM_LEVEL_VARIABLE) or LEVELS[0]
    if level not in LEVELS:
        raise UsageError(
            f"{MINIMUM_LEVEL_VARIABLE} is {level!r}{did_you_mean(level.upper(), LEVELS)}",
            remedy=f"it is one of {', '.join(LEVELS)}; `flowmetal doctor` says what they mean",
        )
    return level


def _module_path() -> str:
    """The directories that hold this package and its libraries, a line each."""
    own = str(Path(__file__).resolve().parent.parent.parent)
    return "\n".join([own, *(entry for entry in sys.path if entry and entry != own)])
