"""Why a run is not moving, found in the journal alone.

Two things can hold a run up: that nobody drives it, which its root's header and the lock of its engine say; and what
its open actions wait for.  Those are the actions of its unfinished runs that have no result.  Most of them say by
themselves what is missing; a child that has begun is explained by its own open actions, so the leaves of the tree are
the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flowmetal.cli.questions import GRANT, INPUT, Question
from flowmetal.cli.reading import load
from flowmetal.cli.text import cut, with_home
from flowmetal.engine.attempts import RETRY
from flowmetal.identity import child_id
from flowmetal.journal import once
from flowmetal.journal.events import Event
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of, sort_key
from flowmetal.journal.starting import is_driven
from flowmetal.policy import policy_items
from flowmetal.values import unpack

Kind = Literal["timer", "retry", "person", "grant", "message", "tasks", "effect", "key", "room", "start", "code"]
Engine = Literal["live", "dead", "none", "paused", "full", "moved", "ended"]
"""Who drives a run: a live engine; one that died; nobody.  Or: paused by someone, by its limit, moved, ended."""

_SHOWN: Final = 80
_MOST_TASKS: Final = 6


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that a run waits for; ``command`` is what would free it, "" where nothing but time does.

    ``number`` is the action, 0 for the run itself; ``due_ms`` when it is over by itself, at the latest.
    """

    run_id: str
    number: int
    kind: Kind
    what: str
    since_ms: int
    due_ms: int | None = None
    command: str = ""
    line: str = ""


@dataclass(slots=True)
class Node:
    """An unfinished run: what it waits for itself, and the unfinished runs that it has started."""

    header: Header
    line: str = ""
    waits: list[Wait] = field(default_factory=list)
    below: list[Node] = field(default_factory=list)

    def leaves(self) -> Iterator[Wait]:
        """All that would have to come for all of it to go on; tasks are explained by what they wait for."""
        todo = [self]
        while todo:
            node = todo.pop()
            own = [each for each in node.waits if each.kind != "tasks"]
            yield from own or ([] if node.below else node.waits)
            todo += reversed(node.below)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run is not moving; ``mail`` is what has been sent to it and was not read yet, by kind."""

    root: Header
    tree: Node
    engine: Engine
    mail: Mapping[str, int]
    last_ms: int
    home: str | None

    @property
    def command(self) -> str:
        """What makes somebody drive the run, "" if somebody does or it has ended."""
        resume = with_home(f"flowmetal resume {self.root.run_id}", self.home)
        if self.engine in ("dead", "none", "paused"):
            return resume
        return f"{resume} --limit journal_bytes_per_run=…" if self.engine == "full" else ""


def explain(journal: Journal, run_id: str, home: str | None) -> Explanation:
    """Looks at a run and all that is open below it.

    Raises:
        UnknownRunError: no such run.
    """
    header = journal.require(run_id)
    root = header if header.is_root else journal.require(root_of(run_id))
    nodes = {run_id: Node(header)}
    if not header.is_finished:
        below = (each for each in journal.descendants(run_id) if not each.is_finished)
        nodes.update({each.run_id: Node(each) for each in sorted(below, key=lambda each: sort_key(each.run_id))})
    last_ms = header.created_ms
    engine = _engine(journal, root, header)
    limits = _limits_above(journal, header)
    for node in nodes.values():
        if node.header.is_finished:
            continue
        limited = limits.get(node.header.parent, 0) or _places(node.header)
        limits[node.header.run_id] = limited
        found = _Look(journal, node.header, home, limited, engine == "live")
        node.waits, seen_ms = found.waits(nodes)
        last_ms = max(last_ms, seen_ms)
        parent = nodes.get(node.header.parent)
        if parent is not None and node.header.run_id != run_id:
            parent.below.append(node)
    mail: dict[str, int] = {}
    for _, to, message in journal.mail_for([root.run_id]):
        if to == run_id or to.startswith(f"{run_id}.") or to == root.run_id:
            kind = str(message.get("kind"))
            mail[kind] = mail.get(kind, 0) + 1
    return Explanation(root, nodes[run_id], engine, mail, last_ms, home)


def _engine(journal: Journal, root: Header, header: Header) -> Engine:
    if header.is_finished:
        return "ended"
    if root.moved_to:
        return "moved"
    if root.is_held:
        return "paused"
    if is_driven(journal.home, root):
        return "live"
    if root.status == "paused":
        return "full"
    return "dead" if root.owner else "none"


def _places(header: Header) -> int:
    return policy_items(unpack(header.policy)).get("max_parallel") or 0 if header.policy else 0


def _limits_above(journal: Journal, header: Header) -> dict[str, int]:
    """The ``max_parallel`` that the parent of a run is under, 0 for none."""
    found, at = 0, header.parent
    while at and not found:
        above = journal.header(at)
        found, at = (_places(above), above.parent) if above is not None else (0, "")
    return {header.parent: found}


class _Look:
    """One unfinished run: its history is read once, from the beginning of its present attempt."""

    def __init__(self, journal: Journal, header: Header, home: str | None, places: int, is_live: bool) -> None:
        self._journal = journal
        self._header = header
        self._home = home
        self._places = places
        self._is_live = is_live
        self._open: dict[int, Event] = {}
        self._attempts: dict[int, Event] = {}
        self._asked: dict[int, Question] = {}
        self._last_ms = header.created_ms
        self._reason = ""

    def waits(self, nodes: Mapping[str, Node]) -> tuple[list[Wait], int]:
        """What the run waits for, without the children among ``nodes``, and when something was last written."""
        for sequence, event in self._journal.history(self._header.run_id):
            self._note(sequence, event)
        header = self._header
        if header.wake_action == RETRY:
            what = f"attempt {header.attempt}{f' after {self._reason}' if self._reason else ''}"
            return [Wait(header.run_id, 0, "retry", what, self._last_ms, header.wake_at_ms)], self._last_ms
        found = [self._wait(number, event, nodes) for number, event in self._open.items()]
        waits = [each for each in found if each is not None]
        if not self._open:
            what = "its own code to go on: it is evaluated, or waits for its turn in a worker"
            waits = [Wait(header.run_id, 0, "code", what, self._last_ms)]
        return waits, self._last_ms

    def _note(self, sequence: int, event: Event) -> None:
        self._last_ms = event.at_ms
        fields = event.fields
        number = fields.get("number", 0)
        if event.kind == "action" and "value" not in fields:
            if fields["callee"] not in ("cancel", "close"):
                self._open[number] = event
        elif event.kind in ("result", "timer_fired") and not fields.get("late"):
            self._open.pop(number, None)
        elif event.kind == "attempt" and not number:
            self._open.clear()
            self._reason = str(fields.get("reason", ""))
        elif event.kind == "attempt":
            self._attempts[number] = event
            self._asked.pop(number, None)
        elif event.kind == "asked":
            run_id, text = self._header.run_id, fields["text"]
            self._asked[number] = Question(run_id, number, fields["reason"], text, event.at_ms, sequence)

    def _wait(self, number: int, event: Event, nodes: Mapping[str, Node]) -> Wait | None:
        run_id, fields = self._header.run_id, event.fields
        verb, _, target = str(fields["callee"]).partition(" ")
        line, due_ms = str(fields.get("line", "")), fields.get("due_ms")

        def wait(kind: Kind, what: str, **more: Any) -> Wait:
            settings: dict[str, Any] = {"since_ms": event.at_ms, "line": line, **more}
            return Wait(run_id, number, kind, what, **settings)

        if verb in ("sleep", "sleep_until"):
            return wait("timer", verb.replace("_", " "), due_ms=due_ms)
        if verb in ("wait", "wait_any"):
            numbers = load(self._journal, run_id, fields["args"])[0]
            left = [each for each in numbers if each in self._open]
            which = "one of the tasks" if verb == "wait_any" else "the tasks" if len(left) > 1 else "the task"
            return wait("tasks", f"{which} {_numbers(left)}", due_ms=due_ms)
        name = str(fields.get("name") or target)
        missing = [each for each in fields.get("deps", ()) if each in self._open]
        if missing:
            return wait("tasks", f"{name} needs {'tasks' if len(missing) > 1 else 'the task'} {_numbers(missing)}")
        if number in self._asked:
            return self._question(self._asked[number], name, wait)
        if verb in ("call", "run") and (child := nodes.get(child_id(run_id, number))) is not None:
            child.line = line
            return None
        call = load(self._journal, run_id, fields["args"])
        holder = self._holder(number, policy_items(call[2]).get("idempotency_key") if len(call) > 2 else None)
        if holder:
            command = with_home(f"flowmetal explain {holder}", self._home)
            return wait("key", f"{name}: {holder} holds its key and has no result yet", command=command)
        attempt = self._attempts.get(number)
        if self._places and attempt is None:
            return wait("room", f"{name}: at most {self._places} may be under way (max_parallel)")
        if verb in ("call", "run"):
            return wait("start", f"{name} has yet to begin")
        if attempt is not None and attempt.fields.get("due_ms") is not None:
            reason = cut(str(attempt.fields.get("reason", "")), _SHOWN)
            what = f"attempt {attempt.fields['attempt']} at {name}{f' after {reason}' if reason else ''}"
            return wait("retry", what, since_ms=attempt.at_ms, due_ms=attempt.fields["due_ms"])
        if target == "receive":
            return self._message(call, wait)
        state = "is under way" if self._is_live else "was under way, and may have run"
        return wait("effect", f"{name}, which {state}", since_ms=attempt.at_ms if attempt else event.at_ms)

    def _question(self, question: Question, name: str, wait: Any) -> Wait:
        found: Wait
        words = cut(question.words, _SHOWN)
        command = question.command(self._home)
        if question.reason == GRANT:
            found = wait("grant", words, since_ms=question.at_ms, command=command)
        else:
            asks = json.dumps(words, ensure_ascii=False) if question.reason == INPUT else words
            found = wait("person", f"{name}: {asks}", since_ms=question.at_ms, command=command)
        return found

    def _message(self, call: list[Any], wait: Any) -> Wait:
        args, pairs = call[0], call[1]
        given = dict(zip(pairs[::2], pairs[1::2], strict=True))
        name = str(args[0] if args else given.get("message", given.get("name", "")))
        found: Wait = wait(
            "message",
            json.dumps(name, ensure_ascii=False),
            command=with_home(f"flowmetal signal {self._header.run_id} {name} JSON", self._home),
        )
        return found

    def _holder(self, number: int, key: object) -> str:
        """The run that holds the key of an action and has no result yet, "" if that is the action itself."""
        if type(key) is not str:
            return ""
        with self._journal.store.view() as view:
            claim = once.read_claim(view, key)
        is_held = claim is not None and claim.value is None and claim.place != (self._header.run_id, number)
        return claim.run_id if claim is not None and is_held else ""


def _numbers(numbers: list[int]) -> str:
    shown = ", ".join(f"#{each}" for each in numbers[:_MOST_TASKS])
    return shown + (f" and {len(numbers) - _MOST_TASKS:,} more" if len(numbers) > _MOST_TASKS else "")
