"""Commands by the thousand: forked from a process that has imported all that they need, with workers that are forked.

What a command does is looked at here, not how it comes up: that is for the tests that start it for real, by
``Cli.start``, and for those of the pages, the examples and the kills.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import flowmetal
from flowmetal.cli import entry
from flowmetal.engine import launching, process
from flowmetal.testing.forked_workers import fork_server, launcher
from flowmetal.testing.forking import ForkServer, fork_for_ever, forked

_NOT_OURS = ("flowmetal.__main__", "flowmetal.testing", "flowmetal.activity", "flowmetal.worker.__main__")


def run_forked(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float
) -> tuple[int, str, str]:
    """Runs a command to its end; its exit code, stdout and stderr.

    Raises:
        TimeoutExpired: it has not ended within ``seconds``; it is killed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as null:
        request = {
            "argv": list(argv),
            "folder": str(folder),
            "environment": dict(environment),
            "workers": _workers().address,
        }
        command = forked(_commands().address, request, [null.fileno(), out.fileno(), err.fileno()])
        try:
            code = command.wait(seconds)
        except subprocess.TimeoutExpired:
            command.kill()
            raise
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return code, texts[0], texts[1]


@cache
def _commands() -> ForkServer:
    server = ForkServer("tests.cli.forked_commands", ["-W", "error"])
    atexit.register(server.close)
    return server


@cache
def _workers() -> ForkServer:
    context = fork_server()
    server = context.__enter__()
    atexit.register(context.__exit__, None, None, None)
    return server


# -- in the process that forks -------------------------------------------------------------------------


def main() -> None:
    """Forks commands until stdin ends."""
    for found in pkgutil.walk_packages(flowmetal.__path__, "flowmetal."):
        if not found.name.startswith(_NOT_OURS):
            importlib.import_module(found.name)
    gc.collect()
    gc.freeze()
    fork_for_ever(_command)


def _command(request: Any, descriptors: list[int]) -> None:
    """Makes this process one that was started so, and runs the command; it ends as any Python does."""
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
    os.closerange(3, 4096)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.path[:0] = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each not in sys.path]
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = (
        os.fdopen(0, encoding="utf-8"),
        os.fdopen(1, "w", encoding="utf-8"),
        os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1),
    )
    sys.argv = ["flowmetal", *request["argv"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    launch = launcher(request["workers"])
    launching.launch = launch
    process.launch = launch  # type: ignore[attr-defined]
    entry.main()
