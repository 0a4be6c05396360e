"""Checking flow files: a worker looks at them, and nothing of them is run."""

from __future__ import annotations

import asyncio
from typing import Any

from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.supply import SourceProvider, supply
from flowmetal.engine.table import ProgramState
from flowmetal.errors import LanguageError
from flowmetal.language.diagnostics import Diagnostic
from flowmetal.settings import Limits


async def check_file(main: str, provider: SourceProvider, limits: Limits) -> list[Diagnostic]:
    """What is wrong with a main file and the modules it loads.

    Raises:
        LanguageError: the worker did not live to say it.
    """
    program = ProgramState(main, {}, limits)
    checked: asyncio.Future[list[Diagnostic]] = asyncio.get_running_loop().create_future()

    def spoke(worker: WorkerProcess, messages: list[list[Any]]) -> None:
        for message in messages:
            if message[0] == "need":
                worker.send(["sources", *supply(program, provider, message[1])])
                worker.flush()
            elif message[0] == "checked" and not checked.done():
                found = [each for each in message[1] if type(each) is list and each]
                checked.set_result([Diagnostic(*[str(part) for part in each[:5]]) for each in found])

    def ended(worker: WorkerProcess, reason: str) -> None:
        if not checked.done():
            error = LanguageError(f"the file cannot be checked: {reason}", place=main.removeprefix("//"))
            checked.set_exception(worker.refusal or error)

    worker = WorkerProcess(limits, spoke, ended)
    worker.send(["check", main, {}])
    worker.flush()
    try:
        return await asyncio.wait_for(checked, limits.evaluation_seconds)
    except TimeoutError:
        raise LanguageError(
            f"the file cannot be checked: loading it took more than {limits.evaluation_seconds:g} seconds",
            place=main.removeprefix("//"),
        ) from None
    finally:
        worker.stop()
