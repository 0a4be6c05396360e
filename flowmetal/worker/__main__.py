"""Entry point of the worker process: ``python -m flowmetal.worker DESCRIPTOR LIMITS``.

``DESCRIPTOR`` is the number of the inherited socket, ``LIMITS`` a JSON object of ``flowmetal.settings.Limits``.
Everything is imported, then the process locks itself in, then it says hello and reads its first frame.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading

from flowmetal.settings import Limits
from flowmetal.worker.channel import Channel
from flowmetal.worker.confine import confine
from flowmetal.worker.limits import close_inherited
from flowmetal.worker.session import Session


def main() -> None:
    """Serves one program over the inherited socket, until it is closed."""
    descriptor = int(sys.argv[1])
    limits = Limits.from_data(json.loads(sys.argv[2]))
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


main()
