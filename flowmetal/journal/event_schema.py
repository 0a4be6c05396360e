"""The shapes of events on disk: letters, numbers of kinds, types of fields.

Kept apart from the builders because this is the format: it only ever grows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flowmetal.journal.blobs import is_reference

VERSION: Final = 1

_DIGEST: Final = re.compile("[0-9a-f]{64}", re.ASCII)

KEYS: Final = {
    "kind": "k",
    "at_ms": "t",
    "number": "n",
    "callee": "c",
    "args": "a",
    "line": "l",
    "value": "v",
    "due_ms": "u",
    "deps": "d",
    "name": "m",
    "flow": "f",
    "detached": "x",
    "program": "p",
    "main": "M",
    "limits": "L",
    "grants": "g",
    "base_dir": "b",
    "nonce": "o",
    "versions": "V",
    "labels": "e",
    "deadline_ms": "D",
    "attempt": "i",
    "repeated": "r",
    "late": "w",
    "after": "j",
    "index": "q",
    "text": "s",
    "fields": "F",
    "level": "y",
    "reason": "z",
    "status": "S",
    "modules": "P",
    "by": "B",
    "taken_from": "h",
    "on_deny": "W",
    "policy": "G",
    "file": "R",
    "since_ms": "E",
    "sender": "A",
    "read": "Y",
    "packages": "K",
    "life": "I",
}
"""Long name → the letter on disk."""

LONG_NAMES: Final = {letter: name for name, letter in KEYS.items()}

KINDS: Final = {
    "started": 1,
    "action": 2,
    "child": 3,
    "attempt": 4,
    "result": 5,
    "timer_fired": 6,
    "signal": 7,
    "grants": 8,
    "log": 9,
    "cancel_requested": 10,
    "code_changed": 11,
    "finished": 12,
    "asked": 13,
    "paused": 14,
    "continued": 15,
}
"""Kind → its number on disk."""

FINAL_STATUSES: Final = ("ok", "err", "cancelled")

_TYPES: Final = {
    "number": "count",
    "callee": "str",
    "args": "payload",
    "line": "str",
    "value": "payload",
    "due_ms": "int",
    "deps": "counts",
    "name": "str",
    "flow": "str",
    "detached": "bool",
    "program": "program",
    "main": "str",
    "limits": "map",
    "grants": "any",
    "base_dir": "str",
    "nonce": "nonce",
    "versions": "map",
    "labels": "map",
    "deadline_ms": "int",
    "attempt": "count",
    "repeated": "bool",
    "late": "bool",
    "after": "count",
    "index": "count",
    "text": "str",
    "fields": "payload",
    "level": "str",
    "reason": "str",
    "status": "status",
    "modules": "texts",
    "by": "texts",
    "taken_from": "count",
    "on_deny": "str",
    "policy": "payload",
    "file": "str",
    "since_ms": "int",
    "sender": "str",
    "read": "count",
    "packages": "packages",
    "life": "count",
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of one kind: the type of each, and which must be there."""

    types: dict[str, str]
    required: frozenset[str]


def _schema(required: str, optional: str = "") -> Schema:
    names = required.split()
    return Schema({name: _TYPES[name] for name in names + optional.split()}, frozenset(names))


_ROOT_FIELDS: Final = "program main limits grants base_dir nonce versions labels deadline_ms on_deny file packages"

SCHEMAS: Final = {
    "started": _schema("flow name args detached", f"line modules policy {_ROOT_FIELDS}"),
    "action": _schema("number callee args line", "value due_ms deps name modules"),
    "child": _schema("number callee args line value", "name"),
    "attempt": _schema("number attempt repeated", "reason due_ms"),
    "result": _schema("number value", "late by taken_from read"),
    "timer_fired": _schema("number"),
    "signal": _schema("name value", "sender"),
    "grants": _schema("grants"),
    "log": _schema("after index text fields line level"),
    "cancel_requested": _schema("reason"),
    "code_changed": _schema("program", "versions file packages"),
    "finished": _schema("status value"),
    "asked": _schema("number reason text"),
    "paused": _schema("since_ms reason"),
    "continued": _schema("number life args"),
}


def is_of(kind: str, value: Any) -> bool:
    """Whether a value is of a type of ``_TYPES``."""
    check = _CHECKS.get(kind)
    return check is None or check(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_program(value: Any) -> bool:
    return type(value) is list and all(
        type(pair) is list and len(pair) == 2 and type(pair[0]) is type(pair[1]) is str and _is_digest(pair[1])
        for pair in value
    )


def _is_packages(value: Any) -> bool:
    return type(value) is list and all(
        type(row) is list and len(row) == 4 and all(type(text) is str for text in row) for row in value
    )


def _is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


_CHECKS: Final[dict[str, Callable[[Any], bool]]] = {
    "str": lambda value: type(value) is str,
    "int": lambda value: type(value) is int,
    "bool": lambda value: type(value) is bool,
    "map": lambda value: type(value) is dict,
    "count": _is_count,
    "texts": lambda value: type(value) is list and all(type(text) is str for text in value),
    "counts": lambda value: type(value) is list and all(map(_is_count, value)),
    "program": _is_program,
    "packages": _is_packages,
    "nonce": lambda value: type(value) is bytes and len(value) == 16,
    "payload": lambda value: type(value) is bytes or is_reference(value),
    "status": lambda value: value in FINAL_STATUSES,
}
