"""A worker's process from its first line to its last.

Everything has been imported; the process locks itself in, then it says hello and reads its first frame.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import NoReturn

from flowmetal.settings import Limits
from flowmetal.worker.channel import Channel
from flowmetal.worker.confine import confine
from flowmetal.worker.limits import close_inherited
from flowmetal.worker.session import Session


def serve(descriptor: int, limits: Limits) -> NoReturn:
    """Serves one program over the socket of that descriptor until it is closed, and ends the process."""
    close_inherited(descriptor)
    connection = socket.socket(fileno=descriptor)
    threading.stack_size(limits.thread_stack_bytes)
    session = Session(Channel(connection), limits)
    # If the engine has gone, there is nobody left to tell.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            confinement = confine(limits)
        except OSError as error:
            session.fault(f"it could not lock itself in: {error.strerror or error}")
        session.serve(confinement)
    os._exit(0)
