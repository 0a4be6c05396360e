"""``call``: a function of the operator's own Python, in a process beside the engine.

It is trusted: it runs with the operator's environment and rights, under no sandbox.  What a flow can choose is which
granted function is called, and with what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from flowmetal.actions.call_pool import CallPool
from flowmetal.actions.call_process import Call, CallProcess, Crashed
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, plain
from flowmetal.actions.processes import NotStarted
from flowmetal.actions.secrets import reveal, want_secrets
from flowmetal.errors import ValueCodecError
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire, to_json_data

_TARGET: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    target: str = args["function"]
    if not _TARGET.fullmatch(target):
        raise EffectFailure(
            f'call: `{plain(target)}` is not the name of a function: write it as "package.module:function"',
            kind="error",
        )
    module = target.partition(":")[0]
    given = [args["args"], args["kwargs"]]
    return [Want("call", target, context.action_name), *want_secrets(given, f"call:{module}", context)]


async def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    target: str = args["function"]
    module, _, function = target.partition(":")
    arguments = reveal([args["args"], args["kwargs"]], allowed, context)
    call = Call(
        module, function, arguments, context.idempotency_key, context.attempt, context.name or context.action_name
    )
    pool = context.services.resources.get(CallPool)
    async with pool.turns.of(context.idempotency_key):
        try:
            async with pool.process(context.base_dir, module) as process:
                context.final_words.append(lambda: _last_words(process))
                head, value = await process.call(call)
                output = process.output.tail(_OUTPUT_BYTES)
        except Crashed as error:
            raise _crashed(target, error, process) from None
        except NotStarted as error:
            raise EffectFailure(f"{target}: no process could be started for it ({error.where})") from None
        except OSError as error:
            raise EffectFailure(f"{target}: no process could be started for it: {error.strerror}") from None
        except ValueCodecError as error:
            raise EffectFailure(f"{target}: its arguments are too large: {error.message}", kind="limit") from None
    if head[0] == "ok":
        return value
    details = to_json_data(value)
    if not isinstance(details, dict):
        details = {"details": details}
    raise EffectFailure(
        plain(str(head[2])), kind=str(head[1]), details={**details, **({"output": output} if output else {})}
    )


_OUTPUT_BYTES: Final = 4_096


def _last_words(process: CallProcess) -> Mapping[str, object]:
    words = {"progress": process.progress, "output": process.output.tail(_OUTPUT_BYTES)}
    return {name: word for name, word in words.items() if word not in (None, "")}


def _crashed(target: str, error: Crashed, process: CallProcess) -> EffectFailure:
    ending = error.ending
    if ending.signal_name:
        how = f"was ended by {ending.signal_name}"
    elif ending.code is not None:
        how = f"ended with code {ending.code}"
    else:
        how = "was lost"
    details = {"may_have_run": True, "code": ending.code, "signal": ending.signal_name, **_last_words(process)}
    return EffectFailure(f"{target}: its process {how} before it gave a result", details=details)


CALL: Final = Effect(
    name="call",
    doc="Calls a Python function of yours in a process of its own, and gives what it returns. An exception in it is "
    "Err, with `type`, `traceback` and `output`, what it printed, in its details; so is the end of its process.",
    parameters=(Parameter("function", "str", "where it is: `package.module:function`"),),
    mode="async",
    want=_want,
    perform=_perform,
    is_variadic=True,
)
"""See the module's text."""
