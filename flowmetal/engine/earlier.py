"""What the earlier attempts of a run have done already: a new attempt takes it over instead of doing it again.

Taken over are flows and effects that were Ok, if the new attempt asks for the same: the same callee, equal arguments
(tasks among them replaced by their values), and the same occurrence, for a flow may ask for the same several times and
mean it.  Everything else — times, random numbers, waits, what was Err — is done anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from flowmetal.engine.table import EFFECT_VERBS, FLOW_VERBS, Taken
from flowmetal.errors import ValueCodecError
from flowmetal.journal.event_schema import KINDS
from flowmetal.journal.framing import unpack_plain
from flowmetal.journal.journal import Journal
from flowmetal.policy import policy_items
from flowmetal.values import Wire, is_ok_packed, pack, substitute_tasks

_ACTION: Final = KINDS["action"]
_CHILD: Final = KINDS["child"]
_ATTEMPT: Final = KINDS["attempt"]
_RESULT: Final = KINDS["result"]
_SLICE_BYTES: Final = 1024 * 1024
_Key = bytes


@dataclass(slots=True)
class _Asked:
    """An action that awaits its result, as the history tells of it."""

    target: str
    args: bytes
    deps: tuple[int, ...]


@dataclass(slots=True)
class _Attempt:
    """One attempt's history while it is read: how often each key was asked for, and which of these were Ok."""

    counts: dict[_Key, int] = field(default_factory=dict)
    open: dict[int, _Asked] = field(default_factory=dict)
    occurrences: dict[int, tuple[_Key, int]] = field(default_factory=dict)
    results: dict[int, bytes] = field(default_factory=dict)


class History:
    """The results of the attempts of a run up to the event ``attempt_seq``, and what the present one has asked for.

    Args:
        journal: where the history is; everything of it must be committed.
        run_id: the run.
        attempt_seq: the sequence of the event with which the present attempt began.
    """

    def __init__(self, journal: Journal, run_id: str, attempt_seq: int) -> None:
        self._journal = journal
        self._run_id = run_id
        # Where the result of each key's n-th occurrence is: the sequence of the event, the number of the action.
        self._found: dict[tuple[_Key, int], tuple[int, int]] = {}
        self._present = _Attempt()
        self._read(attempt_seq)

    def take(self, number: int, target: str, args: list[Wire], kwargs: list[Wire]) -> Taken | None:
        """The result that action ``number`` of the present attempt takes over; None if it is to be done."""
        present = self._present
        occurrence = present.occurrences.get(number)
        if occurrence is None:
            key = _key_of(target, args, kwargs)
            if key is None:
                return None
            occurrence = present.occurrences[number] = (key, present.counts.get(key, 0))
            present.counts[key] = occurrence[1] + 1
        found = self._found.get(occurrence)
        if found is None:
            return None
        sequence, taken_from = found
        (_, body), *_ = self._journal.raw_history(self._run_id, sequence - 1, 1)
        return Taken(taken_from, unpack_plain(body)["v"])

    def _read(self, attempt_seq: int) -> None:
        attempt = _Attempt()
        after = 0
        while events := self._journal.raw_history(self._run_id, after, _SLICE_BYTES):
            for sequence, body in events:
                event = unpack_plain(body)
                if event["k"] == _ATTEMPT and event["n"] == 0:
                    attempt = _Attempt()
                self._note(attempt, sequence, event, is_earlier=sequence <= attempt_seq)
            after = events[-1][0]
        self._present = attempt

    def _note(self, attempt: _Attempt, sequence: int, event: dict[str, Any], *, is_earlier: bool) -> None:
        kind = event["k"]
        if kind == _ACTION and "v" not in event:
            verb, _, target = event["c"].partition(" ")
            if verb in FLOW_VERBS or verb in EFFECT_VERBS:
                asked = _Asked(target, event["a"], tuple(event.get("d", ())))
                attempt.open[event["n"]] = asked
                self._count(attempt, event["n"], asked)
        elif kind == _CHILD:
            _, _, target = event["c"].partition(" ")
            self._count(attempt, event["n"], _Asked(target, event["a"], ()))
            self._keep(attempt, sequence, event, is_earlier)
        elif kind == _RESULT and not event.get("w") and event["n"] in attempt.open:
            attempt.results[event["n"]] = event["v"]
            self._keep(attempt, sequence, event, is_earlier)
            for number, asked in attempt.open.items():
                if event["n"] in asked.deps:
                    self._count(attempt, number, asked)

    def _count(self, attempt: _Attempt, number: int, asked: _Asked) -> None:
        """Gives an action its occurrence, once all that it depends on is known."""
        if number in attempt.occurrences or not all(each in attempt.results for each in asked.deps):
            return
        call = msgpack.unpackb(asked.args)
        if len(call) > 2 and policy_items(call[2]).get("detach"):
            return
        args, kwargs = call[0], call[1]
        if asked.deps:
            if not all(is_ok_packed(attempt.results[each]) for each in asked.deps):
                return
            values = {each: msgpack.unpackb(attempt.results[each])["result"][1] for each in asked.deps}
            args, kwargs = substitute_tasks(args, values), substitute_tasks(kwargs, values)
        key = _key_of(asked.target, args, kwargs)
        if key is not None:
            attempt.occurrences[number] = (key, attempt.counts.get(key, 0))
            attempt.counts[key] = attempt.counts.get(key, 0) + 1

    def _keep(self, attempt: _Attempt, sequence: int, event: dict[str, Any], is_earlier: bool) -> None:
        occurrence = attempt.occurrences.get(event["n"])
        if is_earlier and occurrence is not None and is_ok_packed(event["v"]):
            self._found[occurrence] = (sequence, event["n"])


def _key_of(target: str, args: list[Wire], kwargs: list[Wire]) -> _Key | None:
    try:
        return hashlib.sha256(target.encode() + b"\0" + pack([args, kwargs])).digest()
    except ValueCodecError:
        return None  # too large to be started at all
