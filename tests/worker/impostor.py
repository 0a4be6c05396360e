"""Run by ``test_frames.py`` in place of a worker: behaves until it is given a run, then says what no worker says.

``python impostor.py DESCRIPTOR CASE LOADED`` — LOADED is a file with the ``loaded`` message that a real worker sent.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

import msgpack

NONE = msgpack.packb({"result": [True, None, None]})
NO_ARGS = msgpack.packb([])
CALL = msgpack.packb([[], []])
APPEND = [["log.txt", "worked\n"], []]
WORK = "call //main.flow:work"


def frame(*messages: Any) -> bytes:
    body = msgpack.packb(list(messages))
    return struct.pack(">I", len(body)) + body


def raw(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def act(run: list[Any], number: int, callee: str, wire: Any, tasks: Any = (), **changes: Any) -> bytes:
    line = changes.get("line", "x:1")
    return frame(["act", *run, number, callee, msgpack.packb(wire), line, list(tasks), "name", []])


def first(run: list[Any]) -> bytes:
    """What the flow does first, so that the run can go on after the impostor has said it."""
    return act(run, 1, "do append", APPEND)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def dicts(*wires: Any) -> dict[str, Any]:
    return {"dict": list(wires)}


CASES: dict[str, Callable[[list[Any]], bytes]] = {
    # bytes that are no frame
    "oversize": lambda run: struct.pack(">I", 5 << 20),
    "huge": lambda run: b"\xff\xff\xff\xff",
    "not_msgpack": lambda run: raw(b"\xc1\xc1\xc1"),
    "two_values": lambda run: raw(b"\x90\x90"),
    "empty_frame": lambda run: raw(b""),
    "not_a_list": lambda run: raw(msgpack.packb({"a": 1})),
    "not_lists": lambda run: frame(1, 2, 3),
    "empty_message": lambda run: frame([]),
    "deep": lambda run: raw(b"\x91" * 100_000 + b"\xc0"),
    "ext_type": lambda run: raw(msgpack.packb([["done", *run, msgpack.ExtType(4, b"x")]])),
    "map_keys": lambda run: raw(b"\x91\x92\xa5hello\x81\x01\x02"),
    # messages of wrong kind or fields
    "unknown_kind": lambda run: frame(["please", *run]),
    "kind_no_text": lambda run: frame([["done"], *run, NONE]),
    "engine_kind": lambda run: frame(["start", *run, {}]),
    "few_fields": lambda run: frame(["done", *run]),
    "many_fields": lambda run: frame(["done", *run, NONE, 1]),
    "text_for_int": lambda run: frame(["done", run[0], "1", NONE]),
    "bool_for_int": lambda run: frame(["done", run[0], True, NONE]),
    "negative": lambda run: act(run, -1, "close", []),
    "large_int": lambda run: act(run, 2**60, "close", []),
    "loaded_again": lambda run: frame(["loaded", [], []]),
    # actions
    "number_skipped": lambda run: act(run, 2, "sleep", [0.01]),
    "number_again": lambda run: first(run) + first(run),
    "unknown_action": lambda run: act(run, 1, "format_disk", []),
    "unknown_flow": lambda run: act(run, 1, "run //main.flow:other", [[], []]),
    "action_no_list": lambda run: act(run, 1, "sleep", {"dict": [0, 1]}),
    "sleep_of_text": lambda run: act(run, 1, "sleep", ["x"]),
    "sleep_of_list": lambda run: act(run, 1, "sleep", [[1]]),
    "sleep_for_ever": lambda run: act(run, 1, "sleep", [1e300]),
    "sleep_negative": lambda run: act(run, 1, "sleep", [-1.0]),
    "sleep_nan": lambda run: act(run, 1, "sleep", [{"float": "nan"}]),
    "sleep_until_never": lambda run: act(run, 1, "sleep_until", [1e18]),
    "wait_for_nothing": lambda run: act(run, 1, "wait", []),
    "wait_for_others": lambda run: act(run, 1, "wait", [[7], None]),
    "wait_for_lists": lambda run: act(run, 1, "wait", [[[1]], None]),
    "wait_any_of_none": lambda run: act(run, 1, "wait_any", [[], None]),
    "cancel_nothing": lambda run: act(run, 1, "cancel", []),
    "cancel_other": lambda run: act(run, 1, "cancel", [5]),
    "continue_none": lambda run: act(run, 1, "continue", []),
    "continue_positional": lambda run: act(run, 1, "continue", [[1], []]),
    "continue_odd": lambda run: act(run, 1, "continue", [[], ["a"]]),
    "continue_open": lambda run: first(run) + act(run, 2, "continue", [[], []]),
    "close_more": lambda run: act(run, 1, "close", [1]),
    "call_no_lists": lambda run: act(run, 1, "do append", ["log.txt", "x"]),
    "kwargs_odd": lambda run: act(run, 1, "do append", [["log.txt", "x"], ["a"]]),
    "kwargs_lists": lambda run: act(run, 1, "do append", [[], [[1], 2]]),
    "policy_none": lambda run: act(run, 1, "do append", [[], [], 5]),
    "policy_lists": lambda run: act(run, 1, "run //main.flow:work", [[], [], dicts([1], 2)]),
    "policy_unknown": lambda run: act(run, 1, "run //main.flow:work", [[], [], dicts("retrials", 2)]),
    "policy_id": lambda run: act(
        run, 1, "run //main.flow:work", [[], [], dicts("parent_close", "abandon", "id", "../x")]
    ),
    "dependency_unknown": lambda run: act(run, 1, "run //main.flow:work", [[], []], [4]),
    "dependency_hidden": lambda run: act(run, 1, "run //main.flow:work", [[{"task": [4, "t"]}], []]),
    "dependency_on_effect": lambda run: first(run) + act(run, 2, "run //main.flow:work", [[], []], [1]),
    "value_deep": lambda run: act(run, 1, "do append", [[nested(100)], []]),
    "value_untagged": lambda run: act(run, 1, "do append", [[{"a": 1, "b": 2}], []]),
    "value_garbage": lambda run: frame(["act", *run, 1, "do append", b"\xc1", "x:1", [], "name"]),
    "long_line": lambda run: act(run, 1, "sleep", [1], line="x" * 100_000),
    "record_of_effect": lambda run: frame(["record", *run, 1, "do append", NO_ARGS, "x:1", NONE]),
    "record_garbage": lambda run: frame(["record", *run, 1, "random", NO_ARGS, "x:1", b"\xc1"]),
    "child_no_result": lambda run: frame(["child", *run, 1, WORK, CALL, "x:1", b"\x01", "work"]),
    "child_no_call": lambda run: frame(["child", *run, 1, "do append", CALL, "x:1", NONE, "work"]),
    "child_unknown": lambda run: frame(["child", *run, 1, "call //main.flow:other", CALL, "x:1", NONE, "work"]),
    "enter_unknown": lambda run: frame(["enter", *run, 1, "call //main.flow:other", CALL, "x:1", "work", CALL, 1, []]),
    "enter_no_args": lambda run: frame(["enter", *run, 1, WORK, CALL, "x:1", "work", NONE, 1, []]),
    "enter_future": lambda run: frame(["enter", *run, 1, WORK, CALL, "x:1", "work", CALL, 2**52, []]),
    # the life of a run
    "done_no_result": lambda run: frame(["done", *run, b"\x01"]),
    "done_garbage": lambda run: frame(["done", *run, b"\xc1"]),
    "done_with_open": lambda run: first(run) + frame(["done", *run, NONE]),
    "evicted_elsewhere": lambda run: frame(["evicted", *run, 44]),
    "log_too_long": lambda run: frame(["log", *run, 0, 1, "x" * 100_000, None, "x:1", "info"]),
    "log_garbage": lambda run: frame(["log", *run, 0, 1, "x", b"\xc1", "x:1", "info"]),
}

IGNORED: dict[str, Callable[[list[Any]], bytes]] = {
    # what is said of others' runs, or of an earlier life, has no effect; then the impostor ends
    "other_run": lambda run: frame(["done", "other", run[1], NONE]),
    "old_life": lambda run: frame(["done", run[0], run[1] - 1, NONE]),
    "later_life": lambda run: frame(["done", run[0], run[1] + 1, NONE]),
    "nothing": lambda run: b"",
    "half_a_frame": lambda run: b"\x00\x00\x01",
    "waits_for_nothing": lambda run: frame(["wait", *run, [5, 6]]),
    "more": lambda run: frame(["more", *run], ["more", *run]),
    "fault": lambda run: frame(["fault", "x" * 1_000]),
}


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    case = sys.argv[2]
    with open(sys.argv[3], "rb") as file:
        loaded = msgpack.unpackb(file.read())
    connection.sendall(frame(["hello", {}, "L0", 0, ""]))
    buffer = b""
    while data := connection.recv(1 << 20):
        buffer += data
        while len(buffer) >= 4 and len(buffer) >= 4 + struct.unpack(">I", buffer[:4])[0]:
            size = struct.unpack(">I", buffer[:4])[0]
            for message in msgpack.unpackb(buffer[4 : 4 + size], strict_map_key=False):
                if message[0] == "program":
                    connection.sendall(frame(loaded))
                elif message[0] == "history" and message[1] == "r.3":
                    run = [message[1], message[2]]
                    hostile = CASES.get(case) or IGNORED[case]
                    connection.sendall(frame(["live", *run, []]) + hostile(run))
                    if case in IGNORED:
                        time.sleep(0.05)
                        return
            buffer = buffer[4 + size :]


if __name__ == "__main__":
    main()
