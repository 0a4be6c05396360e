"""Entry point of the command ``flowmetal``: what must be so before anything else is imported.

Importing takes a tenth of a second, and Python shows Ctrl-C in the middle of an import as a traceback, or loses it.
So the first thing that happens is that Ctrl-C ends the process, until there is something to end in good order.
"""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Runs the command line of this process and ends it."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from flowmetal.cli.main import main as run

    run()
