"""Frames between engine and worker.

A frame is a 4-byte big-endian length and that many bytes of MessagePack: a list of messages.  A message is a list
that begins with its kind.  A *value* is a byte string of ``flowmetal.values`` encoding.

Worker to engine, all but the first four with run id and incarnation as fields 1 and 2:

    hello     versions, level, Landlock's version, reason    see flowmetal/worker/level.py
    need      labels of modules whose text is wanted; of packages requests, until their rules are known
    loaded    flows, labels in load order
    invalid   diagnostic: the program cannot be loaded
    checked   diagnostics of a program that was only checked
    record    number, callee, args, line, value           an action that needs no answer
    child     number, callee, args, line, value, name     a child that ended without an action of its own
    act       number, callee, args, line, tasks, name     an action for the engine
    enter     number, callee, args, line, name, child args, started (ms)   a child on its parent's thread becomes a
    run of its own log       after, index, text, fields (value or None), line, level wait      numbers
    parked until one of these has a result live      numbers still open                          replay is over done
    value (a Result) evicted   last action number mismatch  number, expected, got, expected line, got line more
    the next slice of history, please fault     text                                        the worker ends

Engine to worker:

    program   main label, {label: text}, {package: rule}  see flowmetal/language/package_loads.py
    check     main label, {label: text}, {effect: […]}    look only: answered by `checked`
    sources   {label: text}, what is wrong with the next one, {package: rule}
    start     run id, incarnation, {…}
    history   run id, incarnation, [event bodies], last
    result    run id, incarnation, number, value
    evict     run id, incarnation                         a request, ignored by a run that is no longer parked
    drop      run id, incarnation                         the run is over: unwind, say nothing
    time      microseconds since the epoch                the time from now on, of an engine whose clock is simulated

What a callee is: ``call REF`` and ``run REF`` for flows (blocking, or as a task), ``do NAME`` and ``start NAME`` for
effects likewise, else the action's own name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import msgpack

from flowmetal.errors import FlowmetalError

MAX_FRAME: Final = 4 * 1024 * 1024
LENGTH: Final = struct.Struct(">I")
BLOCKING: Final = frozenset({"call", "clean", "do", "sleep", "sleep_until", "wait", "wait_any", "close", "continue"})

_TEXT, _INT, _BYTES, _LIST, _BYTES_OR_NONE, _NUMBERS, _MAP, _TEXTS = (
    "text",
    "int",
    "bytes",
    "list",
    "bytes or nil",
    "numbers",
    "map",
    "texts",
)
_RUN: Final = (_TEXT, _INT)
_SHAPES: Final[dict[str, tuple[str, ...]]] = {
    "hello": (_MAP, _TEXT, _INT, _TEXT),
    "need": (_LIST,),
    "loaded": (_LIST, _LIST),
    "invalid": (_LIST,),
    "checked": (_LIST,),
    "fault": (_TEXT,),
    "record": (*_RUN, _INT, _TEXT, _BYTES, _TEXT, _BYTES),
    "child": (*_RUN, _INT, _TEXT, _BYTES, _TEXT, _BYTES, _TEXT),
    "act": (*_RUN, _INT, _TEXT, _BYTES, _TEXT, _NUMBERS, _TEXT, _TEXTS),
    "enter": (*_RUN, _INT, _TEXT, _BYTES, _TEXT, _TEXT, _BYTES, _INT, _TEXTS),
    "log": (*_RUN, _INT, _INT, _TEXT, _BYTES_OR_NONE, _TEXT, _TEXT),
    "wait": (*_RUN, _NUMBERS),
    "room": (*_RUN, _NUMBERS),
    "live": (*_RUN, _NUMBERS),
    "done": (*_RUN, _BYTES),
    "evicted": (*_RUN, _INT),
    "mismatch": (*_RUN, _INT, _TEXT, _TEXT, _TEXT, _TEXT),
    "more": _RUN,
}
_CHECKS: Final[dict[str, Callable[[Any], bool]]] = {
    _TEXT: lambda it: type(it) is str,
    _INT: lambda it: type(it) is int and 0 <= it < 2**53,
    _BYTES: lambda it: type(it) is bytes,
    _BYTES_OR_NONE: lambda it: it is None or type(it) is bytes,
    _LIST: lambda it: type(it) is list,
    _MAP: lambda it: type(it) is dict,
    _TEXTS: lambda it: type(it) is list and all(type(text) is str for text in it),
    _NUMBERS: lambda it: type(it) is list and all(type(n) is int and 0 < n < 2**53 for n in it),
}
_CHECKED: Final = {kind: tuple(_CHECKS[field] for field in shape) for kind, shape in _SHAPES.items()}


class FrameError(FlowmetalError):
    """Bytes that are no frame of this protocol; whoever sent them is not to be trusted any further."""


def encode_frame(messages: list[Any]) -> bytes:
    """One frame.

    Raises:
        FrameError: larger than ``MAX_FRAME``.
    """
    body: bytes = msgpack.packb(messages)
    if len(body) > MAX_FRAME:
        raise FrameError(f"a frame of {len(body):,} bytes; the limit is {MAX_FRAME:,}")
    return LENGTH.pack(len(body)) + body


def encode_frames(messages: list[Any]) -> bytes:
    """As many frames as the limit makes necessary; each single message must fit."""
    try:
        return encode_frame(messages)
    except FrameError:
        if len(messages) == 1:
            raise
        half = len(messages) // 2
        return encode_frames(messages[:half]) + encode_frames(messages[half:])


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[list[Any]]:
        """The messages of all frames that are complete now.

        Raises:
            FrameError: a length over the limit, or bytes that are not a list of messages.
        """
        self._buffer += data
        messages: list[list[Any]] = []
        at, size = 0, len(self._buffer)
        while size - at >= 4:
            (length,) = LENGTH.unpack_from(self._buffer, at)
            if length > MAX_FRAME:
                raise FrameError(f"a frame of {length:,} bytes; the limit is {MAX_FRAME:,}")
            if size - at - 4 < length:
                break
            messages += _decode(bytes(self._buffer[at + 4 : at + 4 + length]))
            at += 4 + length
        if at:
            del self._buffer[:at]
        return messages


def _decode(body: bytes) -> list[list[Any]]:
    try:
        messages = msgpack.unpackb(body, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise FrameError(f"a frame that is not MessagePack: {error or type(error).__name__}") from None
    if type(messages) is not list or not all(type(each) is list and each for each in messages):
        raise FrameError("a frame that is not a list of messages")
    return messages


def check_message(message: list[Any]) -> str:
    """The kind of a worker's message whose fields have the right types.

    Raises:
        FrameError: an unknown kind, a wrong number of fields, or a field of the wrong type.
    """
    kind = message[0]
    checks = _CHECKED.get(kind) if type(kind) is str else None
    if checks is None:
        raise FrameError(f"a message of unknown kind {str(kind)[:40]!r}")
    if len(message) != len(checks) + 1:
        raise FrameError(f"a {kind} message with {len(message) - 1} fields, not {len(checks)}")
    at = 1
    for check in checks:
        if not check(message[at]):
            raise FrameError(f"a {kind} message whose field {at} is not {_SHAPES[kind][at - 1]}")
        at += 1
    return str(kind)
