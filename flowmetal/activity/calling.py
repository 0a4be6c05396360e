"""Finding the function that a flow names, calling it, and saying in words what went wrong.

Only a function that is at home in the module it is named by is called.  A module imports others, so that without this
rule who may call ``jobs`` could call ``jobs:os.system``.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any, Final

from flowmetal.activity.plain import to_plain, to_wire
from flowmetal.activity.state import STATE, Cancelled, Failure
from flowmetal.errors import did_you_mean
from flowmetal.values import Wire

_MOST_FRAMES: Final = 20
_MOST_TRACEBACK: Final = 8_000
_MOST_MESSAGE: Final = 2_000
_MOST_KIND: Final = 100


class Wrong(Exception):
    """The call itself is wrong; the text says how."""


class Terminated(BaseException):
    """The process is to end now."""


def answer(module: str, name: str, arguments: Wire) -> tuple[list[Wire], Wire]:
    """Calls a function; the head and the value of the answer.

    Raises:
        Terminated: the process is to end.
    """
    target = f"{module}:{name}"
    try:
        return ["ok"], _result(target, _call(target, module, name, arguments))
    except Terminated:
        raise
    except Wrong as error:
        return ["err", "error", f"{target}: {error}"[:_MOST_MESSAGE]], {"dict": []}
    except (Cancelled, asyncio.CancelledError):
        return ["err", "cancelled", f"{target} was cancelled"], {"dict": []}
    except Failure as error:
        try:
            details = to_wire(error.details)
        except (TypeError, ValueError) as problem:
            details = to_wire({"details": f"left out: {problem}"})
        return ["err", error.kind[:_MOST_KIND] or "effect", error.message[:_MOST_MESSAGE]], details
    except BaseException as error:  # sys.exit() included: it ends the call, not this process
        kind = type(error).__name__
        text = _text_of(error)
        message = f"{target}: {kind}: {text}" if text else f"{target}: {kind}"
        return ["err", "effect", message[:_MOST_MESSAGE]], to_wire({"type": kind, "traceback": _traceback(error)})


def _call(target: str, module: str, name: str, arguments: Wire) -> Any:
    function = _find(_import(module), module, name)
    try:
        args, kwargs = to_plain(arguments)
    except TypeError as error:
        raise Wrong(str(error)) from None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None  # of some functions in C nothing is known
    if signature is not None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Wrong(f"{error}; it is {name}{signature}") from None
    result = function(*args, **kwargs)
    return asyncio.run(_awaited(result)) if inspect.iscoroutine(result) else result


async def _awaited(coroutine: Any) -> Any:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    STATE.when_cancelled(lambda: _tell(loop, task))
    return await coroutine


def _tell(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:
        return  # the loop has ended, and the call with it


def _result(target: str, value: Any) -> Wire:
    try:
        return to_wire(value)
    except (TypeError, ValueError) as error:
        text = str(error).replace("the value", "its result", 1)
        raise Failure(f"{target}: {text}", kind="error" if isinstance(error, TypeError) else "limit") from None


# -- finding -------------------------------------------------------------------------------------------


def _import(module: str) -> ModuleType:
    importlib.invalidate_caches()  # it may have been written since the last call
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module == missing or module.startswith(f"{missing}."):
            parent = missing.rpartition(".")[0]
            paths = sys.modules[parent].__path__ if parent in sys.modules else sys.path[:1]
            near = did_you_mean(
                missing, [f"{parent}.{found.name}".lstrip(".") for found in pkgutil.iter_modules(paths)]
            )
            raise Wrong(f"there is no Python module {missing}{near}") from None
        raise


def _find(found: ModuleType, module: str, name: str) -> Callable[..., Any]:
    value: Any = found
    for part in name.split("."):
        if part.startswith("_"):
            raise Wrong(f"`{part}` is private, and is not called by flows")
        if value is not found and not inspect.isclass(value):
            raise Wrong(f"`{name}` is neither a function of the module nor a method of one of its classes")
        if not hasattr(value, part):
            names = [each for each in vars(value) if not each.startswith("_") and callable(getattr(value, each, None))]
            raise Wrong(f"there is no function `{part}`{did_you_mean(part, names)}")
        value = getattr(value, part)
    if not callable(value):
        raise Wrong(f"`{name}` is no function but a value of type {type(value).__name__}")
    home = getattr(value, "__module__", None)
    if home != module and not str(home).startswith(f"{module}."):
        raise Wrong(f"`{name}` is not its own but {home}'s: only functions of the module itself are called")
    return value  # type: ignore[no-any-return]


# -- words ---------------------------------------------------------------------------------------------


def _text_of(error: BaseException) -> str:
    """The first line; all of them are in the traceback."""
    try:
        first, *more = str(error).strip().splitlines() or [""]
        return f"{first} …" if more else first
    except Exception as other:
        return f"(its text cannot be had: {type(other).__name__})"


def _traceback(error: BaseException) -> str:
    """The traceback from the function's own frames on, the last of them if there are many."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, trace, limit=-_MOST_FRAMES))
    except Exception:
        text = "".join(traceback.format_tb(trace, limit=-_MOST_FRAMES))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[-_MOST_TRACEBACK:]
