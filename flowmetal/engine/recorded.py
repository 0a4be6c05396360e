"""What the engine must know of a hot run, read from its history as that is sent to the worker."""

from __future__ import annotations

from typing import Any, Final

from flowmetal.engine.table import TASK_VERBS, HotRun, OpenAction
from flowmetal.journal.event_schema import KINDS

_ACTION: Final = KINDS["action"]
_CHILD: Final = KINDS["child"]
_RESULT: Final = KINDS["result"]
_TIMER_FIRED: Final = KINDS["timer_fired"]
_LOG: Final = KINDS["log"]
_ATTEMPT: Final = KINDS["attempt"]
_ASKED: Final = KINDS["asked"]


def note_recorded(run: HotRun, event: dict[str, Any]) -> None:
    """Takes one recorded event, its keys of one letter, into a run's numbers, open actions and task results."""
    kind = event["k"]
    if kind == _ACTION:
        run.last_action = event["n"]
        if "v" not in event:
            run.open[event["n"]] = _reopened(event)
    elif kind == _CHILD:
        run.last_action = event["n"]
    elif kind == _RESULT and not event.get("w"):
        action = run.open.pop(event["n"], None)
        if action is not None and action.verb in TASK_VERBS:
            run.task_results[event["n"]] = event["v"]
    elif kind == _ATTEMPT and event["n"] in run.open:
        action = run.open[event["n"]]
        action.attempt, action.retry_due_ms, action.asked = event["i"], event.get("u"), ""
        action.retry_delay_ms = event.get("u", event["t"]) - event["t"]
        action.has_begun = True
    elif kind == _ASKED and event["n"] in run.open:
        run.open[event["n"]].asked = event["z"]
    elif kind == _TIMER_FIRED:
        run.open.pop(event["n"], None)
    elif kind == _LOG:
        run.log_bytes += len(event["s"])


def _reopened(event: dict[str, Any]) -> OpenAction:
    verb, _, target = event["c"].partition(" ")
    return OpenAction(
        number=event["n"],
        verb=verb,
        target=target,
        args=event["a"],
        line=event["l"],
        name=event.get("m", target),
        deps=tuple(event.get("d", ())),
        due_ms=event.get("u"),
        is_reopened=True,
        modules=tuple(event.get("P", ())),
        at_ms=event["t"],
    )
