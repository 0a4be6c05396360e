"""What was done already: a new attempt at a run, or a rerun, takes it over instead of doing it again.

Taken over are flows and effects that were Ok, if the new attempt asks for the same: the same callee, equal arguments
(tasks among them replaced by their values), and the same occurrence, for a flow may ask for the same several times and
mean it.  And on behalf of the same modules: what one was granted must not reach another that was not.  Everything else
— times, random numbers, waits, what was Err — is done anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from flowmetal.engine.table import EFFECT_VERBS, FLOW_VERBS, OpenAction, Taken
from flowmetal.errors import ValueCodecError
from flowmetal.identity import child_id
from flowmetal.journal.event_schema import KINDS
from flowmetal.journal.framing import unpack_plain
from flowmetal.journal.journal import Journal
from flowmetal.language.flows import FlowInfo
from flowmetal.language.returns import Misfit
from flowmetal.policy import policy_items
from flowmetal.values import Wire, is_ok_packed, pack, substitute_tasks

_ACTION: Final = KINDS["action"]
_CHILD: Final = KINDS["child"]
_ATTEMPT: Final = KINDS["attempt"]
_CONTINUED: Final = KINDS["continued"]
_RESULT: Final = KINDS["result"]
_SLICE_BYTES: Final = 1024 * 1024
NO_END: Final = 2**63
_Key = bytes
_Occurrence = tuple[_Key, int]
"""A call, and how often it was asked for before in the same attempt."""


@dataclass(slots=True)
class _Asked:
    """An action that awaits its result, as the history tells of it."""

    target: str
    args: bytes
    deps: tuple[int, ...]
    modules: tuple[str, ...] | None


@dataclass(slots=True)
class _Attempt:
    """One attempt's history while it is read: how often each key was asked for, and which of these were Ok."""

    counts: dict[_Key, int] = field(default_factory=dict)
    open: dict[int, _Asked] = field(default_factory=dict)
    occurrences: dict[int, tuple[_Key, int]] = field(default_factory=dict)
    results: dict[int, bytes] = field(default_factory=dict)
    undone_by: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A history to take over from: that of a run up to a sequence."""

    run_id: str
    upto: int


@dataclass(frozen=True, slots=True)
class _Found:
    """What came of one occurrence: where the result is, or that it was begun and was not Ok (sequence 0).

    ``modules`` are those that asked; None for what did nothing but compute, which is anybody's.
    """

    run_id: str
    number: int
    modules: tuple[str, ...] | None
    sequence: int = 0


class History:
    """What the sources have done, and what the present attempt has asked for so far.

    Args:
        journal: where the histories are; everything of them must be committed.
        run_id: the run.
        attempt_seq: the sequence of the event with which its present attempt began, 0 for the first.
        sources: what is taken over; of two that have done the same, the later counts.
    """

    def __init__(self, journal: Journal, run_id: str, attempt_seq: int, sources: Sequence[Source]) -> None:
        self._journal = journal
        self._run_id = run_id
        self._found: dict[_Occurrence, _Found] = {}
        for source in sources:
            self._read(source, self._found)
        self._present = self._read(Source(run_id, NO_END), {}, after=attempt_seq)

    def take(self, action: OpenAction, what: str, args: list[Wire], kwargs: list[Wire]) -> Taken | None:
        """The result that an action of the present attempt takes over; None if it is to be done.

        ``what`` is asked for, as ``what_of`` tells.
        """
        found = self._find(action, what, args, kwargs)
        if found is None or not found.sequence:
            return None
        (_, body), *_ = self._journal.raw_history(found.run_id, found.sequence - 1, 1)
        return Taken(found.number, unpack_plain(body)["v"])

    def begun(self, action: OpenAction, what: str, args: list[Wire], kwargs: list[Wire]) -> str:
        """The id of the child run that the same call began in a source, where it was not Ok; "" if there is none."""
        found = self._find(action, what, args, kwargs)
        return "" if found is None or found.sequence else child_id(found.run_id, found.number)

    def _find(self, action: OpenAction, what: str, args: list[Wire], kwargs: list[Wire]) -> _Found | None:
        present = self._present
        occurrence = present.occurrences.get(action.number)
        if occurrence is None:
            key = _key_of(what, args, kwargs)
            if key is None:
                return None
            occurrence = present.occurrences[action.number] = (key, present.counts.get(key, 0))
            present.counts[key] = occurrence[1] + 1
        found = self._found.get(occurrence)
        return found if found is not None and found.modules in (None, action.modules) else None

    def _read(self, source: Source, found: dict[_Occurrence, _Found], after: int = 0) -> _Attempt:
        """Takes in a history; gives its last attempt."""
        attempt = _Attempt()
        while events := self._journal.raw_history(source.run_id, after, _SLICE_BYTES):
            for sequence, body in events:
                if sequence > source.upto:
                    return attempt
                event = unpack_plain(body)
                if event["k"] == _CONTINUED and source.run_id != self._run_id:
                    return attempt  # what is left of that run is of a later life than the one that is done anew
                if event["k"] == _ATTEMPT and event["n"] == 0:
                    attempt = _Attempt()
                _note(attempt, source.run_id, sequence, event, found)
            after = events[-1][0]
        return attempt


def _note(
    attempt: _Attempt, run_id: str, sequence: int, event: dict[str, Any], found: dict[_Occurrence, _Found]
) -> None:
    kind = event["k"]
    number = event.get("n", 0)
    if kind == _ACTION and "v" not in event:
        verb, _, target = event["c"].partition(" ")
        if verb == "clean":
            _forget(attempt, msgpack.unpackb(event["a"])[3], found)
        if verb in FLOW_VERBS or verb in EFFECT_VERBS:
            deps, modules = tuple(event.get("d", ())), tuple(event.get("P", ()))
            asked = attempt.open[number] = _Asked(target, event["a"], deps, modules)
            _count(attempt, run_id, number, asked, found)
    elif kind == _ACTION and event["c"].startswith("defer ") and msgpack.unpackb(event["a"])[4]:
        attempt.undone_by[number] = number + 1
    elif kind == _CHILD:
        _count(attempt, run_id, number, _Asked(event["c"].partition(" ")[2], event["a"], (), None), found)
        _keep(attempt, run_id, sequence, event, None, found)
    elif kind == _RESULT and not event.get("w") and number in attempt.open:
        attempt.results[number] = event["v"]
        _keep(attempt, run_id, sequence, event, attempt.open[number].modules, found)
        for each, asked in attempt.open.items():
            if number in asked.deps:
                _count(attempt, run_id, each, asked, found)


def _forget(attempt: _Attempt, registered: int, found: dict[_Occurrence, _Found]) -> None:
    """What is undone is done no more, so nobody takes it over: neither it nor what it did."""
    occurrence = attempt.occurrences.get(attempt.undone_by.get(registered, 0))
    if occurrence is not None:
        found.pop(occurrence, None)


def _count(attempt: _Attempt, run_id: str, number: int, asked: _Asked, found: dict[_Occurrence, _Found]) -> None:
    """Gives an action its occurrence, once all that it depends on is known."""
    if number in attempt.occurrences or not all(each in attempt.results for each in asked.deps):
        return
    call = msgpack.unpackb(asked.args)
    args, kwargs = call[0], call[1]
    if asked.deps:
        if not all(is_ok_packed(attempt.results[each]) for each in asked.deps):
            return
        values = {each: msgpack.unpackb(attempt.results[each])["result"][1] for each in asked.deps}
        args, kwargs = substitute_tasks(args, values), substitute_tasks(kwargs, values)
    key = _key_of(what_of(asked.target, call[2] if len(call) > 2 else None), args, kwargs)
    if key is not None:
        occurrence = attempt.occurrences[number] = (key, attempt.counts.get(key, 0))
        attempt.counts[key] = occurrence[1] + 1
        known = found.get(occurrence)
        if known is None or not known.sequence:
            found[occurrence] = _Found(run_id, number, asked.modules)


def _keep(
    attempt: _Attempt,
    run_id: str,
    sequence: int,
    event: dict[str, Any],
    modules: tuple[str, ...] | None,
    found: dict[_Occurrence, _Found],
) -> None:
    occurrence = attempt.occurrences.get(event["n"])
    if occurrence is not None and is_ok_packed(event["v"]):
        found[occurrence] = _Found(run_id, event["n"], modules, sequence)


DETACHED: Final = " detached"


def what_of(target: str, settings: Wire) -> str:
    """What a call asks for: the start of a run of its own gives its id, so it is another thing than the flow."""
    return f"{target}{DETACHED}" if policy_items(settings).get("parent_close") else target


def still_fits(flow: FlowInfo | None, value: bytes) -> bool:
    """Whether an earlier result, Ok, is one that the flow may have today; the code may be another than it was then."""
    if flow is None or flow.returns is None:
        return True
    try:
        flow.returns.fitted(msgpack.unpackb(value)["result"][1])
    except Misfit:
        return False
    return True


def _key_of(what: str, args: list[Wire], kwargs: list[Wire]) -> _Key | None:
    try:
        return hashlib.sha256(what.encode() + b"\0" + pack([args, kwargs])).digest()
    except ValueCodecError:
        return None  # too large to be started at all
