"""Messages that a worker could almost have sent: valid ones, changed in one place or several by a seeded chooser."""

from __future__ import annotations

import random
import struct
from typing import Any, Final

import msgpack

Message = list[Any]
NONE: Final = msgpack.packb({"result": [True, None, None]})
NO_CALL: Final = msgpack.packb([[], []])
WORK: Final = "//main.flow:work"

_TEXTS: Final = [
    "",
    "r",
    "r.1",
    "beside0",
    "\x1b[2J\x1b]0;x\x07",
    "a\nerror: forged\n",
    "\u202e\u2066",
    "\0",
    "x" * 1_025,
    "x" * 9_000,
    "call //main.flow:work",
    "//main.flow",
    "//beside.flow",
    "do append",
    "do secret",
    "start read",
    "now",
    "../../etc/passwd",
    "\ud800",
]
_NUMBERS: Final = [0, 1, 2, 3, -1, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**64 - 1, -(2**63)]
_FLOATS: Final = [0.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf")]
_WIRES: Final[list[Any]] = [
    {"result": [True, 1, None]},
    {"result": [False, None, None]},
    {"result": [False, None, {"failure": ["\x1b[2J", "m", None, "f", "s", "t", None]}]},
    {"result": []},
    {"task": [1, "t"]},
    {"task": [9, ""]},
    {"int": "9" * 30},
    {"int": "9" * 5_000},
    {"float": "nan"},
    {"dict": ["a", 1, "a", 2]},
    {"dict": [1]},
    {"tuple": [[]]},
    {"struct": ["a", 1]},
    {"secret": ["S", "f"]},
    {"flow": ["x"]},
    {"x": 1, "y": 2},
    {},
]


def script(run: str, incarnation: int, first: int) -> list[Message]:
    """What an honest worker says of a run: a bit of everything, then its end."""
    about = [run, incarnation]
    append = msgpack.packb([["log.txt", "x\n"], []])
    n = first
    return [
        ["live", *about, []],
        ["log", *about, n, 1, "hello", msgpack.packb({"dict": ["a", 1]}), "main.flow:1", "info"],
        ["record", *about, n + 1, "random", msgpack.packb([]), "main.flow:2", msgpack.packb(0.5)],
        ["act", *about, n + 2, "do append", append, "main.flow:3", [], "append", ["//main.flow"]],
        ["act", *about, n + 3, f"run {WORK}", NO_CALL, "main.flow:4", [], "work", []],
        ["act", *about, n + 4, "start append", append, "main.flow:5", [], "append", []],
        ["act", *about, n + 5, "sleep", msgpack.packb([0.001]), "main.flow:6", [], "sleep", []],
        ["act", *about, n + 6, "wait_any", msgpack.packb([[n + 3, n + 4], 0.001]), "main.flow:7", [], "wait_any", []],
        ["act", *about, n + 7, "wait", msgpack.packb([[n + 3], None]), "main.flow:8", [], "wait", []],
        ["child", *about, n + 8, f"call {WORK}", NO_CALL, "main.flow:9", NONE, "work"],
        ["act", *about, n + 9, "cancel", msgpack.packb([n + 3]), "main.flow:10", [], "cancel", []],
        ["wait", *about, [n + 5]],
        ["enter", *about, n + 10, f"call {WORK}", NO_CALL, "main.flow:11", "work", NO_CALL, 1, []],
        ["done", f"{run}.{n + 10}", incarnation, NONE],
        ["act", *about, n + 11, "close", msgpack.packb([]), "main.flow:12", [], "close", []],
        ["more", *about],
        ["evicted", *about, n + 11],
        ["done", *about, NONE],
    ]


def hostile_bytes(chooser: random.Random, run: str, incarnation: int, first: int) -> bytes:
    """A script with some of it changed, as frames, with some of these changed."""
    messages: list[Any] = script(run, incarnation, first)
    kept = chooser.randint(1, len(messages))
    messages = messages[:kept]
    for _ in range(chooser.choice([1, 1, 1, 2, 4, 8])):
        messages = _changed(chooser, messages)
    data = b""
    while messages:
        size = chooser.randint(1, len(messages))
        body = msgpack.packb(messages[:size], unicode_errors="surrogatepass")
        data += struct.pack(">I", len(body)) + body
        messages = messages[size:]
    return _cut(chooser, data) if chooser.random() < 0.15 else data


def _changed(chooser: random.Random, messages: list[Any]) -> list[Any]:
    at = chooser.randrange(len(messages)) if messages else 0
    kind = chooser.random()
    if not messages or kind < 0.03:
        return [*messages, _any(chooser, 3)]
    if kind < 0.16:
        return messages[:at] + messages[at + 1 :]
    if kind < 0.24:
        return messages[: at + 1] + messages[at:]
    if kind < 0.32:
        other = chooser.randrange(len(messages))
        swapped = list(messages)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        return swapped
    message = messages[at]
    if type(message) is list and len(message) > 1 and chooser.random() < 0.85:
        # Mostly a field and not the whole: what is of no shape dies at the door.
        field = chooser.randrange(1, len(message))
        changed = [*message[:field], _mutated(chooser, message[field]), *message[field + 1 :]]
    else:
        changed = _mutated(chooser, message)
    return [*messages[:at], changed, *messages[at + 1 :]]


def _mutated(chooser: random.Random, value: Any) -> Any:
    """One place of a value, as deep as chance will have it, with something else in it."""
    if type(value) is bytes and chooser.random() < 0.7:
        return _mutated_bytes(chooser, value)
    if type(value) is list and value and chooser.random() < 0.9:
        kind, at = chooser.random(), chooser.randrange(len(value))
        if kind < 0.1:
            return value[:at] + value[at + 1 :]
        if kind < 0.2:
            return [*value[:at], _any(chooser, 2), *value[at:]]
        return [*value[:at], _mutated(chooser, value[at]), *value[at + 1 :]]
    if type(value) is dict and value and chooser.random() < 0.8:
        key = chooser.choice(list(value))
        return {**value, key: _mutated(chooser, value[key])}
    if type(value) is int and chooser.random() < 0.5:
        return max(-(2**63), min(value + chooser.choice([-2, -1, 1, 2, 1_000]), 2**64 - 1))
    return _any(chooser, 3)


def _mutated_bytes(chooser: random.Random, value: bytes) -> bytes:
    if chooser.random() < 0.25:
        return _cut(chooser, value)
    try:
        inner = msgpack.unpackb(value, strict_map_key=False, unicode_errors="surrogatepass")
    except ValueError:  # it has been changed before
        return _cut(chooser, value)
    return msgpack.packb(_mutated(chooser, inner), unicode_errors="surrogatepass")  # type: ignore[no-any-return]


def _cut(chooser: random.Random, data: bytes) -> bytes:
    if not data:
        return b"\xc1"
    at = chooser.randrange(len(data))
    kind = chooser.random()
    if kind < 0.3:
        return data[:at]
    if kind < 0.6:
        return data[:at] + bytes([data[at] ^ (1 << chooser.randrange(8))]) + data[at + 1 :]
    if kind < 0.8:
        return data[:at] + chooser.randbytes(chooser.randint(1, 8)) + data[at:]
    return data[:at] + data[at + chooser.randint(1, 8) :]


def _any(chooser: random.Random, depth: int) -> Any:
    kind = chooser.random()
    if kind < 0.2:
        return chooser.choice(_NUMBERS)
    if kind < 0.45:
        return chooser.choice(_TEXTS)
    if kind < 0.55:
        return chooser.choice([None, True, False, *_FLOATS])
    if kind < 0.7:
        return chooser.choice(_WIRES)
    if kind < 0.8:
        return msgpack.packb(_any(chooser, depth - 1), unicode_errors="surrogatepass") if depth else b""
    if kind < 0.84:
        return msgpack.ExtType(chooser.randrange(128), b"x")
    if kind < 0.87:
        return chooser.randbytes(chooser.choice([0, 1, 100, 70_000]))
    if kind < 0.9:
        deep: Any = 1
        for _ in range(chooser.choice([10, 63, 64, 65, 400])):
            deep = [deep]
        return deep
    return [_any(chooser, depth - 1) for _ in range(chooser.randint(0, 3))] if depth else []
