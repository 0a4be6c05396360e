"""Events as JSON objects: the stable form of ``flowmetal log --json``."""

from __future__ import annotations

from typing import Any

from flowmetal.cli.reading import load
from flowmetal.cli.text import json_text, rfc3339
from flowmetal.journal.events import Event
from flowmetal.journal.journal import Journal
from flowmetal.language.labels import short_name
from flowmetal.values import Wire, to_json_data

CALL_VERBS = frozenset({"call", "run", "do", "start", "defer", "clean", "on_failure"})
_PLAIN = frozenset(
    [
        "number",
        "name",
        "line",
        "due_ms",
        "deps",
        "detached",
        "program",
        "main",
        "limits",
        "grants",
        "base_dir",
        "versions",
        "labels",
        "deadline_ms",
        "attempt",
        "life",
        "repeated",
        "late",
        "after",
        "index",
        "text",
        "level",
        "reason",
        "since_ms",
        "status",
        "modules",
        "by",
        "taken_from",
        "sender",
        "read",
        "on_deny",
        "file",
    ]
)


def to_data(journal: Journal, run_id: str, sequence: int, event: Event) -> dict[str, Any]:
    """An event as data for JSON: ``run, sequence, at, kind`` and what is of its kind.

    Raises:
        JournalError: a payload is missing or damaged.
    """
    data: dict[str, Any] = {"run": run_id, "sequence": sequence, "at": rfc3339(event.at_ms), "kind": event.kind}
    fields = event.fields
    verb = ""
    if "callee" in fields:
        verb, _, target = str(fields["callee"]).partition(" ")
        data["verb"] = verb
        if target:
            data["callee"] = short_name(target)
    if "flow" in fields:
        data["flow"] = short_name(fields["flow"])
    data.update((name, value) for name, value in fields.items() if name in _PLAIN)
    if "nonce" in fields:
        data["nonce"] = fields["nonce"].hex()
    if "args" in fields:
        data.update(
            _args_data(
                load(journal, run_id, fields["args"]), event.kind in ("started", "continued") or verb in CALL_VERBS
            )
        )
    if "policy" in fields:
        data["policy"] = to_json_data(load(journal, run_id, fields["policy"]))
    if "fields" in fields:
        data["fields"] = to_json_data(load(journal, run_id, fields["fields"])) or {}
    if "value" in fields:
        data.update(_value_data(load(journal, run_id, fields["value"])))
    return data


def _args_data(args: Wire, is_call: bool) -> dict[str, Any]:
    if not is_call or not isinstance(args, list) or len(args) < 2:
        return {"args": to_json_data(args)}
    pairs = args[1]
    data = {
        "args": to_json_data(args[0]),
        "kwargs": {pairs[at]: to_json_data(pairs[at + 1]) for at in range(0, len(pairs), 2)},
    }
    if len(args) > 2 and args[2] is not None:
        data["options"] = to_json_data(args[2])
    return data


def _value_data(value: Wire) -> dict[str, Any]:
    if isinstance(value, dict) and "result" in value:
        ok, inner, failure = value["result"]
        return {"ok": ok, "value": to_json_data(inner)} if ok else {"ok": ok, "failure": to_json_data(failure)}
    return {"value": to_json_data(value)}


def print_json(journal: Journal, run_id: str, sequence: int, event: Event, flush: bool = True) -> None:
    """Prints one event as one line."""
    print(json_text(to_data(journal, run_id, sequence, event)), flush=flush)
