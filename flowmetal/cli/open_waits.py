"""What one unfinished run waits for, from its history: its open actions, each in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from flowmetal.cli.explanation import Kind, Node, Wait
from flowmetal.cli.questions import GRANT, INPUT, Question
from flowmetal.cli.reading import load
from flowmetal.cli.text import cut, with_home
from flowmetal.engine.attempts import RETRY
from flowmetal.identity import child_id
from flowmetal.journal import once
from flowmetal.journal.events import Event
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.policy import policy_items
from flowmetal.settings import parse_duration

_SHOWN: Final = 80
_MOST_TASKS: Final = 6


class Look:
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
        elif event.kind == "cancel_requested":
            self._open.clear()  # what follows cleans up
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
        if (child := nodes.get(child_id(run_id, number))) is not None:
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
            return self._message(call, event.at_ms, wait)
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

    def _message(self, call: list[Any], asked_ms: int, wait: Any) -> Wait:
        args, pairs = call[0], call[1]
        given = dict(zip(pairs[::2], pairs[1::2], strict=True))
        name = str(args[0] if args else given.get("message", ""))
        timeout = policy_items(call[2]).get("timeout") if len(call) > 2 else None
        found: Wait = wait(
            "message",
            json.dumps(name, ensure_ascii=False),
            due_ms=asked_ms + int(parse_duration(timeout) * 1_000) if timeout is not None else None,
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
