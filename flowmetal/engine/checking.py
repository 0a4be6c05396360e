"""Checking flow files: a worker looks at them, and nothing of them is run."""

from __future__ import annotations

import asyncio
from typing import Any

from flowmetal.actions.registry import STANDARD, Registry
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.supply import SourceProvider, answer, placed
from flowmetal.engine.table import ProgramState
from flowmetal.errors import FlowmetalError, LanguageError
from flowmetal.language.diagnostics import Diagnostic
from flowmetal.settings import Limits


async def check_file(
    main: str, provider: SourceProvider, limits: Limits, registry: Registry = STANDARD
) -> list[Diagnostic]:
    """What is wrong with a main file and the modules it loads; ``registry`` are the effects that it may call.

    Raises:
        LanguageError: the worker did not live to say it.
    """
    program = ProgramState(main, {}, limits)
    checked: asyncio.Future[list[Diagnostic]] = asyncio.get_running_loop().create_future()

    def spoke(worker: WorkerProcess, messages: list[list[Any]]) -> None:
        for message in messages:
            if message[0] == "need":
                answer(program, provider, message[1], worker)
            elif message[0] == "checked" and not checked.done():
                lists = [each for each in message[1] if type(each) is list and each]
                found = [Diagnostic(*[str(part) for part in each[:5]]) for each in lists]
                if program.refusal is None:
                    checked.set_result(found)
                else:
                    checked.set_exception(placed(program.refusal, _load_of(program.refusal, found)))

    def ended(worker: WorkerProcess, reason: str) -> None:
        if not checked.done():
            error = LanguageError(f"the file cannot be checked: {reason}", place=main.removeprefix("//"))
            checked.set_exception(worker.refusal or error)

    worker = WorkerProcess(limits, spoke, ended)
    worker.send(["check", main, {}, _signatures(registry)])
    worker.flush()
    try:
        return await asyncio.wait_for(checked, limits.evaluation_seconds)
    except TimeoutError:
        raise LanguageError(
            f"the file cannot be checked: loading it took more than {limits.evaluation_seconds:g} seconds",
            place=main.removeprefix("//"),
        ) from None
    finally:
        if program.resolving is not None:
            program.resolving.cancel()
        worker.stop()


def _load_of(refusal: FlowmetalError, found: list[Diagnostic]) -> FlowmetalError:
    """What was found at the load for which packages were asked, without a place where nothing was."""
    at = next((each for each in found if each.message == refusal.message), None)
    return at.to_error() if at is not None else refusal


def _signatures(registry: Registry) -> dict[str, list[Any]]:
    """By effect: its parameters, those that must be given, the types of all, and whether it takes any more."""
    return {
        effect.name: [
            [each.name for each in effect.parameters],
            [each.name for each in effect.parameters if each.required],
            [each.type for each in effect.parameters],
            effect.is_variadic,
        ]
        for effect in registry.values()
    }
