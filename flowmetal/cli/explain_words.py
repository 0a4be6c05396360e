"""An explanation in words: first the answer, then the tree of all that is open."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from flowmetal.cli.explanation import Explanation, Node, Wait
from flowmetal.cli.reading import flow_of
from flowmetal.cli.text import cut, printable, rfc3339, show_moment, show_seconds, with_home
from flowmetal.journal.headers import Header

_SHOWN: Final = 3
"""How many leaves the answer names, and how many alike the tree shows of each kind."""

_ALIKE: Final = 8
_REASON: Final = 100

_ONE: Final = {
    "timer": "a timer",
    "retry": "the next attempt",
    "person": "a person",
    "grant": "a grant",
    "message": "a message",
    "tasks": "what it has started",
    "effect": "an effect",
    "key": "another run",
    "room": "room",
    "start": "a start",
    "code": "its own code",
}
_MANY: Final = {
    "timer": "timers",
    "retry": "next attempts",
    "person": "answers of people",
    "grant": "grants",
    "message": "messages",
    "tasks": "waits for tasks",
    "effect": "effects under way",
    "key": "keys that other runs hold",
    "room": "places under a limit",
    "start": "flows that have yet to begin",
    "code": "flows that are evaluated or wait for a worker",
}
_MAIL: Final = {
    "cancel": "a request to end it",
    "terminate": "a request to end it",
    "pause": "a request to pause it",
    "grant": "a grant",
    "answer": "an answer",
    "signal": "a message",
}
_FREES: Final = {
    "timer": "nothing needs to be done: it goes on by itself",
    "retry": "nothing needs to be done: it is tried again by itself",
    "effect": "it goes on when that has ended",
    "room": "it goes on when something else has ended",
    "start": "it goes on by itself",
    "code": "it goes on by itself; a flow that never ends meets its limit of fuel or time",
}


def print_explanation(found: Explanation) -> None:
    """Prints an explanation."""
    now_ms = int(time.time() * 1_000)
    for line in answer(found, now_ms):
        print(printable(line))
    if found.engine not in ("ended", "moved"):
        print()
        for line in _tree(found.tree, now_ms, 0):
            print(printable(line))


def data_of(found: Explanation) -> dict[str, Any]:
    """An explanation for JSON."""
    now_ms = int(time.time() * 1_000)
    return {
        "run": found.tree.header.run_id,
        "status": found.tree.header.status,
        "engine": found.engine,
        "process": found.process,
        "answer": list(answer(found, now_ms)),
        "command": found.command or None,
        "last_event": rfc3339(found.last_ms),
        "mail": dict(found.mail),
        "unread": list(found.unread),
        "waits": [_wait_data(each) for each in _all(found.tree)],
    }


def _wait_data(wait: Wait) -> dict[str, Any]:
    return {
        "run": wait.run_id,
        "number": wait.number or None,
        "kind": wait.kind,
        "what": wait.what,
        "since": rfc3339(wait.since_ms),
        "due": rfc3339(wait.due_ms) if wait.due_ms is not None else None,
        "command": wait.command or None,
        "line": wait.line or None,
    }


def _all(node: Node) -> Iterator[Wait]:
    todo = [node]
    while todo:
        each = todo.pop()
        yield from each.waits
        todo += reversed(each.below)


# -- the answer ----------------------------------------------------------------------------------------


def answer(found: Explanation, now_ms: int) -> Iterator[str]:
    """Why it is not moving, in a few lines, the most important first."""
    header, root = found.tree.header, found.root
    run_id = header.run_id
    if found.engine == "ended":
        yield f"{run_id} has ended: {header.status}, at {show_moment(header.finished_ms or header.created_ms)}"
        yield f"  what it did: {with_home(f'flowmetal log {run_id}', found.home)}"
        return
    if found.engine == "moved":
        yield f"{run_id} was moved into {root.moved_to}; it goes on where that is imported"
        return
    yield from _driver(found, now_ms)
    for kind, count in found.mail.items():
        what = _MAIL.get(kind, kind)
        yield f"  {what}{f' ({count:,} times)' if count > 1 else ''} waits to be read by whoever drives it"
    if found.unread:
        yield f"  it has not received the messages that it was sent as {cut(', '.join(found.unread), _REASON)}"
    yield from _ending(header, found.home)
    leaves = list(found.tree.leaves())
    if found.engine == "live":
        yield from _leaves(run_id, leaves, now_ms, is_driven=True)
        if found.process is not None:
            yield f"  process {found.process} drives it"
        if found.tree.header.deadline_ms is not None or root.deadline_ms is not None:
            yield f"  its time is up at {show_moment(root.deadline_ms or header.deadline_ms or 0)}"
    elif leaves:
        yield from _leaves("then it", leaves, now_ms, is_driven=False)


def _driver(found: Explanation, now_ms: int) -> Iterator[str]:
    root = found.root
    run_id = found.tree.header.run_id
    last = f"nothing has happened since {_since(found.last_ms, now_ms)}"
    if found.engine == "paused":
        why = f": {cut(root.pause_reason, _REASON)}" if root.pause_reason else ""
        yield f"{run_id} is paused since {_since(root.paused_ms or 0, now_ms)}{why}"
    elif found.engine == "full":
        yield f"{run_id} is paused: its journal is as large as journal_bytes_per_run lets it be; {last}"
    elif found.engine == "dead":
        yield f"nobody drives {run_id}: the process that did has died; {last}"
    elif found.engine == "none":
        yield f"nobody drives {run_id}: it was interrupted; {last}"
    if found.command:
        yield f"  to go on: {found.command}"


def _ending(header: Header, home: str | None) -> Iterator[str]:
    """That a run has been ended and still cleans up, or handles its failure."""
    if header.ending:
        ends_by_ms = None if header.is_root else header.ends_by_ms
        until = f", at most until {show_moment(ends_by_ms)}" if ends_by_ms is not None else ""
        what = "handles its failure" if header.ending == "failed" else "cleans up"
        yield f"{header.run_id} is being ended and {what}{until}"
        yield f"  to end it at once: {with_home(f'flowmetal cancel {header.run_id} --now', home)}"


def _leaves(subject: str, leaves: Sequence[Wait], now_ms: int, *, is_driven: bool) -> Iterator[str]:
    """What is waited for.  That something goes on by itself is said only where somebody drives the run."""
    if len(leaves) == 1:
        (one,) = leaves
        yield f"{subject} waits for {_ONE[one.kind]}: {_words(one, now_ms)}"
        if one.command or is_driven:
            yield f"  {_frees(one)}"
        return
    yield f"{subject} waits for {len(leaves):,} things:"
    urgent = [each for each in leaves if each.command]
    for each in urgent[:_SHOWN]:
        yield f"  {_ONE[each.kind]}: {_words(each, now_ms)}"
        yield f"    {_frees(each)}"
    for count in _counts([*urgent[_SHOWN:], *(each for each in leaves if not each.command)], now_ms):
        yield f"  {count}"
    if not urgent and is_driven:
        yield "  nothing needs to be done: it goes on when these are over"


def _counts(leaves: Sequence[Wait], now_ms: int) -> Iterator[str]:
    for kind in _MANY:
        alike = [each for each in leaves if each.kind == kind]
        if alike:
            due = [each.due_ms for each in alike if each.due_ms is not None]
            first = f" ({'the first ' if len(alike) > 1 else ''}{_due(min(due), now_ms)})" if due else ""
            words = _ONE[kind].removeprefix("a ").removeprefix("an ").removeprefix("the ")
            yield f"{len(alike):,} {_MANY[kind] if len(alike) > 1 else words}{first}"


def _frees(wait: Wait) -> str:
    words = {"person": "to answer", "grant": "to allow it", "message": "to send it", "key": "why that is"}
    if wait.command:
        return f"{words.get(wait.kind, 'to free it')}: {wait.command}"
    return _FREES.get(wait.kind, "it goes on when that is over")


def _words(wait: Wait, now_ms: int) -> str:
    due = f", {_due(wait.due_ms, now_ms)}" if wait.due_ms is not None else ""
    return f"{wait.what}{due}, since {_since(wait.since_ms, now_ms)}"


def _due(due_ms: int, now_ms: int) -> str:
    if due_ms < now_ms:
        return f"was due at {show_moment(due_ms)}"
    return f"due at {show_moment(due_ms)}, in {show_seconds((due_ms - now_ms) / 1_000)}"


def _since(at_ms: int, now_ms: int) -> str:
    return f"{show_moment(at_ms)} ({show_seconds(max(0, now_ms - at_ms) / 1_000)})"


# -- the tree ------------------------------------------------------------------------------------------


def _tree(node: Node, now_ms: int, depth: int) -> Iterator[str]:
    header = node.header
    indent = "  " * depth
    place = f"  [{node.line}]" if node.line else ""
    name = flow_of(header) if header.is_root else header.name
    yield f"{indent}{header.run_id}  {name}{place}"
    for kind in dict.fromkeys(each.kind for each in node.waits):
        alike = [each for each in node.waits if each.kind == kind]
        shown = alike if len(alike) <= _ALIKE else alike[:_SHOWN]
        for wait in shown:
            number = f"#{wait.number} " if wait.number else ""
            at = f"  [{wait.line}]" if wait.line else ""
            yield f"{indent}  {number}waits for {_ONE[kind]}: {_words(wait, now_ms)}{at}"
            if wait.command:
                yield f"{indent}      {wait.command}"
        if len(shown) < len(alike):
            yield f"{indent}  … and {', '.join(_counts(alike[len(shown) :], now_ms))}"
    for name in dict.fromkeys(each.header.name for each in node.below):
        same = [each for each in node.below if each.header.name == name]
        few = same if len(same) <= _ALIKE else same[:_SHOWN]
        for each in few:
            yield from _tree(each, now_ms, depth + 1)
        if len(few) < len(same):
            rest = [leaf for each in same[len(few) :] for leaf in each.leaves()]
            yield f"{indent}  … and {len(same) - len(few):,} more {name}: {', '.join(_counts(rest, now_ms))}"
