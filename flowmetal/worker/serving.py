"""A worker's process from its first line to its last.

Everything has been imported; the prelude is evaluated, which is ours; the process locks itself in, then it says hello
and reads its first frame.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import NoReturn

from flowmetal.carried import prelude_directory
from flowmetal.language.labels import PRELUDE
from flowmetal.settings import Limits
from flowmetal.worker.channel import Channel
from flowmetal.worker.confine import confine
from flowmetal.worker.limits import close_inherited
from flowmetal.worker.session import Session


def serve(descriptor: int, limits: Limits) -> NoReturn:
    """Serves one program over the socket of that descriptor until it is closed, and ends the process."""
    close_inherited(descriptor)
    serve_session(prepared(descriptor, limits), limits)


def prepared(descriptor: int, limits: Limits) -> Session:
    """A session that has evaluated the prelude, over the socket of that descriptor."""
    threading.stack_size(limits.thread_stack_bytes)
    session = Session(Channel(socket.socket(fileno=descriptor)), limits)
    session.prepare(_prelude())
    return session


def serve_session(session: Session, limits: Limits) -> NoReturn:
    """Locks the process in and serves until the socket is closed; nothing else may be open that is inherited."""
    # If the engine has gone, there is nobody left to tell.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            confinement = confine(limits)
        except OSError as error:
            session.fault(f"it could not lock itself in: {error.strerror or error}")
        session.serve(confinement)
    os._exit(0)


def _prelude() -> dict[str, str]:
    """The texts of the prelude by label; if something is wrong with them, the engine says so, who gives them out."""
    found = {}
    for path in sorted(prelude_directory().glob("*.flow")):
        with contextlib.suppress(OSError):
            found[f"{PRELUDE}//{path.name}"] = path.read_bytes().decode("utf-8", "replace")
    return found
