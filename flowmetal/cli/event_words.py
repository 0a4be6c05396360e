"""The words for one event: what was asked for, what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowmetal.cli.event_data import CALL_VERBS
from flowmetal.cli.reading import holder_of, load
from flowmetal.cli.text import cut, printable, rfc3339, show_call, show_failure_line, show_value
from flowmetal.errors import UsageError
from flowmetal.journal.events import Event
from flowmetal.journal.framing import Field
from flowmetal.journal.journal import Journal
from flowmetal.language.labels import short_name
from flowmetal.settings import format_duration
from flowmetal.values import Failure, failure_of, to_json_data

_BEFORE_CALL = {
    "run": "run",
    "start": "start",
    "defer": "when it ends",
    "clean": "clean up",
    "on_failure": "on failure",
}
_LOG_LIMIT = 500
_DETAILS_LIMIT = 200


def asked_for(journal: Journal, run_id: str, event: Event) -> str:
    """What an ``action`` or ``child`` asked for: ``analyze("a.csv")``, ``run save({…})``, ``sleep 20ms``."""
    verb, _, target = str(event.fields["callee"]).partition(" ")
    args = load(journal, run_id, event.fields["args"])
    if verb in CALL_VERBS and isinstance(args, list) and len(args) > 1:
        name = printable(event.fields.get("name") or target.rpartition(":")[2])
        call = f"{name}({show_call(args[0], args[1])})"
        return f"{_BEFORE_CALL[verb]} {call}" if verb in _BEFORE_CALL else call
    if verb == "sleep":
        return f"sleep {_duration(args[0])}"
    if verb == "sleep_until":
        return f"sleep until {rfc3339(event.fields.get('due_ms', 0))}"
    if verb in ("wait", "wait_any"):
        tasks = args[0]
        many = printable(f"{', '.join(f'#{number}' for number in tasks[:8])}{', …' if len(tasks) > 8 else ''}")
        within = f" for at most {_duration(args[1])}" if len(args) > 1 and args[1] is not None else ""
        return f"{verb} {many}{within}"
    if verb == "expose" and len(args) == 2:
        return f"expose {printable(str(args[0]))} = {show_value(args[1])}"
    if verb == "cancel":
        return f"cancel #{show_value(args[0])}"
    if verb == "release":
        return f"release {', '.join(f'#{number}' for number in args[0][:8])}{', …' if len(args[0]) > 8 else ''}"
    if verb == "close":
        return "cancel what is still open"
    return f"{printable(verb)}()"


def _duration(seconds: object) -> str:
    try:
        return format_duration(seconds) if isinstance(seconds, int | float) else show_value(seconds)
    except UsageError:
        return show_value(seconds)


def place(event: Event) -> str:
    """The place of an action in brackets; nothing for one that no line asked for."""
    line = event.fields["line"]
    return f"  [{printable(line)}]" if line else ""


def came_of_wait(journal: Journal, run_id: str, action: Event | None, field: Field) -> str:
    """What a ``wait`` with a timeout or a ``wait_any`` came to: ``ok``, ``late``, ``2 of 3 done``; "" for others."""
    verb = "" if action is None else str(action.fields.get("callee", ""))
    if verb not in ("wait", "wait_any"):
        return ""
    value = load(journal, run_id, field)
    if not isinstance(value, dict) or "result" not in value or not value["result"][0]:
        return ""
    answer = value["result"][1]
    if answer is None:
        return "late"
    if isinstance(answer, list) and not all(answer):
        return f"{sum(map(bool, answer))} of {len(answer)} done" if len(answer) > 1 else "late"
    return "ok" if isinstance(answer, list) else ""


def came_of(journal: Journal, run_id: str, field: Field, limit: int = 100) -> str:
    """What a result is: ``Ok(3)``, ``Err(denied) …``; a recorded value without a Result as it is."""
    value = load(journal, run_id, field)
    if isinstance(value, dict) and "result" in value:
        if not value["result"][0]:
            return _failure(failure_of(value))
        return "ok" if value["result"][1] is None else show_value(value["result"][1], limit)
    return show_value(value, limit)


def _failure(failure: Failure) -> str:
    """``Err(kind) message  {details}  at file:line``, the place being where it came about."""
    details = to_json_data(failure.details)
    if isinstance(details, dict):
        details = {name: value for name, value in details.items() if name != "option"}
    shown = f"  {cut(printable(json.dumps(details, ensure_ascii=False)), _DETAILS_LIMIT)}" if details else ""
    place = f"  at {cut(printable(failure.source), _DETAILS_LIMIT)}" if failure.source else ""
    return f"{show_failure_line(failure)}{shown}{place}"


def is_failure(journal: Journal, run_id: str, field: Field) -> bool:
    """Whether a result is Err."""
    value = load(journal, run_id, field)
    return isinstance(value, dict) and "result" in value and not value["result"][0]


def log_line(journal: Journal, run_id: str, event: Event) -> str:
    """A line that a flow wrote, with its fields."""
    text = printable(event.fields["text"])
    fields = load(journal, run_id, event.fields["fields"])
    if isinstance(fields, dict) and fields.get("dict"):
        text += "  " + show_call([], fields["dict"], 200)
    level = printable(event.fields["level"])
    return f"{level}: {cut(text, _LOG_LIMIT)}" if level not in ("info", "print") else f"· {cut(text, _LOG_LIMIT)}"


def late(journal: Journal, run_id: str, event: Event) -> str:
    """A result that came after its action was cancelled."""
    return f"{came_of(journal, run_id, event.fields['value'])}, too late to matter"


def why(journal: Journal, run_id: str, action: Event, result: Event, *, is_denied: bool) -> str:
    """Where a result comes from and whose doing it was."""
    fields = result.fields
    if fields.get("taken_from"):
        return f"  (taken over from #{fields['taken_from']})"
    holder = holder_of(journal, run_id, action)
    if holder is not None and not came_of(journal, run_id, fields["value"]).startswith("Err("):
        return f"  (done once: the Result of #{holder.number} of {holder.run_id})"
    modules = action.fields.get("modules")
    if is_denied and modules:
        return f"  (asked by {cut(printable(', '.join(map(short_name, modules))), _DETAILS_LIMIT)})"
    by = printable(", ".join(fields.get("by", ())))
    return f"  (by {cut(by, _DETAILS_LIMIT)})" if by else ""


def next_life(journal: Journal, run_id: str, event: Event) -> str:
    """Which life begins, with what."""
    args = load(journal, run_id, event.fields["args"])
    return f"life {event.fields['life']}, continued with ({show_call(args[0], args[1])})"


def other(event: Event) -> str:
    """Words for events that are neither action nor result nor log line; those of an action do not name it."""
    fields = event.fields
    if event.kind == "attempt":
        return _attempt(event)
    if event.kind == "asked":
        return question(fields["reason"], fields["text"])
    if event.kind == "grants":
        return f"granted from here on: {grants_text(fields['grants'])}"
    if event.kind == "cancel_requested":
        return f"ended from outside: {printable(fields['reason'])}"
    if event.kind == "paused":
        why = f": {printable(fields['reason'])}" if fields["reason"] else ""
        return f"was paused for {_duration(max(0, event.at_ms - fields['since_ms']) / 1_000)}{why}"
    if event.kind == "code_changed":
        return "goes on with other code from here"
    return event.kind


def message(journal: Journal, run_id: str, event: Event) -> str:
    """A message that came, and from which run."""
    fields = event.fields
    value = show_value(load(journal, run_id, fields["value"]))
    sender = f"  (from {printable(fields['sender'])})" if fields.get("sender") else ""
    return f"message {printable(fields['name'])}: {value}{sender}"


def is_beginning(event: Event) -> bool:
    """Whether an event says no more than that an attempt, planned before, begins now."""
    fields = event.fields
    return event.kind == "attempt" and not fields["repeated"] and not fields.get("reason")


def _attempt(event: Event) -> str:
    fields = event.fields
    if fields["repeated"]:
        return f"attempt {fields['attempt']} again, the first may have run"
    if is_beginning(event):
        return f"attempt {fields['attempt']} begins"
    due_ms = fields.get("due_ms")
    delay = f" in {_duration(max(0, due_ms - event.at_ms) / 1_000)}" if due_ms is not None else ""
    reason = f": {cut(printable(fields['reason']), _DETAILS_LIMIT)}" if fields.get("reason") else ""
    return f"attempt {fields['attempt']}{delay}{reason}"


def question(reason: str, text: str) -> str:
    """What an action waits for, as ``asked`` has it."""
    words = cut(printable(text.partition("\n")[2] if reason == "grant" else text), _DETAILS_LIMIT)
    return f"waits for a grant: {words}" if reason == "grant" else f"asked: {words}"


def grants_text(grants: Mapping[str, Any]) -> str:
    """What a set of grants allows and denies, as ``GrantSet.to_data`` has it; packages after the run."""
    rows = [f"{row[0]}={row[1]}" for row in grants.get("allow", [])]
    rows += [f"no {row[0]}={row[1]}" for row in grants.get("deny", [])]
    text = printable(", ".join(rows)) or "nothing"
    for label, some in grants.get("packages", []):
        text += f"; to {printable(label)}: {grants_text(some)}"
    return cut(text, _LOG_LIMIT)
