"""Workers by the hundred: forked from a process that has imported what a worker needs, and evaluated the prelude."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn, cast

from flowmetal.engine.launching import Launched, minimum_level
from flowmetal.settings import Limits
from flowmetal.testing.forking import ForkServer, fork_for_ever, forked
from flowmetal.worker.limits import close_inherited
from flowmetal.worker.serving import prepared, serve, serve_session

_SOCKET_BUFFER: Final = 1024 * 1024


def launcher(address: str) -> Callable[[Limits], Launched]:
    """What takes the place of ``flowmetal.engine.launching.launch``, where a process listens that forks workers."""

    def launch(limits: Limits) -> Launched:
        level = minimum_level()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        ours.setblocking(False)
        with theirs:
            process = forked(address, limits.to_data(), [theirs.fileno()])
        return Launched(limits, level, cast("Any", process), ours)

    return launch


@contextlib.contextmanager
def fork_server() -> Iterator[ForkServer]:
    """A process that forks workers, until the end."""
    server = ForkServer("flowmetal.testing.forked_workers")
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def forked_workers() -> Iterator[Callable[[Limits], Launched]]:
    """A way to launch workers, until the end."""
    with fork_server() as server:
        yield launcher(server.address)


def main() -> None:
    """Forks until stdin ends."""
    usual = Limits()
    ours, theirs = socket.socketpair()
    descriptor = theirs.detach()
    session = prepared(descriptor, usual)

    def work(limits: Any, descriptors: list[int]) -> NoReturn:
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        asked = Limits.from_data(limits)
        if asked != usual:
            serve(descriptors[0], asked)
        os.dup2(descriptors[0], descriptor, inheritable=False)
        close_inherited(descriptor)
        serve_session(session, usual)

    with ours:
        fork_for_ever(work)
