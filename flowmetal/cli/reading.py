"""Reading a journal for people: names, times, who drives a run."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from flowmetal.cli.questions import latest_questions
from flowmetal.cli.text import show_moment
from flowmetal.errors import UsageError
from flowmetal.journal import event_reading, once
from flowmetal.journal.events import Event
from flowmetal.journal.framing import Field
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import own_range, place_of, root_of
from flowmetal.journal.messages import SIGNAL, unread, waiting
from flowmetal.journal.starting import is_driven
from flowmetal.language.labels import short_name
from flowmetal.places import home_path, open_journal
from flowmetal.policy import policy_items
from flowmetal.values import Failure, Wire, failure_of, is_ok, to_json_data, unpack

_MOST_LOOKED_AT = 2_000
_MOST_ASKED = 50
_MOST_EVENTS = 1_000
_MOST_COUNTED = 20_000


def open_existing(home: str | None) -> Journal:
    """The journal of a home that exists.

    Raises:
        HomeError: there is none, or it cannot be read.
    """
    return open_journal(home_path(home), must_exist=True)


def flow_of(header: Header) -> str:
    """What a run runs: ``etl.flow`` for a file's body, else ``etl.flow:analyze``."""
    return short_name(header.flow or header.main)


def newest_roots(found: Iterable[Header], limit: int) -> list[Header]:
    """Headers of root runs, newest first; ``limit`` 0 is all."""

    def age(header: Header) -> tuple[int, str]:
        return header.created_ms, header.run_id

    return heapq.nlargest(limit, found, key=age) if limit else sorted(found, key=age, reverse=True)


def reruns_of(journal: Journal, header: Header) -> list[Header]:
    """The root runs that are reruns of a root run, oldest first; looks at the headers of all root runs."""
    found = (each for each in journal.roots() if each.rerun_of == header.run_id)
    return sorted(found, key=lambda each: (each.created_ms, each.run_id))


def is_interrupted(journal: Journal, header: Header) -> bool:
    """Whether a root run is unfinished, nobody drives it, and nobody paused it."""
    return not (header.is_finished or header.is_held or header.moved_to) and not is_driven(journal.home, header)


def seconds_of(header: Header, now_ms: int) -> float:
    """How long a run took, or has taken so far."""
    end_ms = header.finished_ms if header.finished_ms is not None else now_ms
    return max(0, end_ms - header.created_ms) / 1_000


def load(journal: Journal, run_id: str, field: Field) -> Wire:
    """The value of an event's or header's payload.

    Raises:
        JournalError: missing or damaged.
    """
    return unpack(journal.payload(run_id, field))


def result_data(result: Wire) -> dict[str, Any]:
    """A Result for JSON: ``{"result": …}`` or ``{"failure": …}``."""
    ok, value, error = result["result"]
    return {"result": to_json_data(value)} if ok else {"failure": to_json_data(error)}


def started_of(journal: Journal, run_id: str) -> dict[str, Any]:
    """What a root run was started with, and the code it has now; the root's for a child.

    Raises:
        JournalError: its first event is missing or damaged.
    """
    return journal.facts(root_of(run_id))


def root_only(header: Header, command: str) -> None:
    """Raise unless a run is a root.

    Raises:
        UsageError: it is part of another run; names that.
    """
    if not header.is_root:
        raise UsageError(
            f"`{header.run_id}` is part of a run", remedy=f"name the whole run: flowmetal {command} {header.root}"
        )


def open_actions(journal: Journal, run_id: str) -> list[Event]:
    """The actions of a run that have no result, oldest first, as far as its latest events tell."""
    ended: set[int] = set()
    found: list[Event] = []
    with journal.store.view() as view:
        for key, data in islice(view.scan("events", *own_range(run_id), reverse=True), _MOST_EVENTS):
            kind = event_reading.kind_of(data)
            if kind not in ("result", "timer_fired", "action"):
                continue
            event = event_reading.decode(data, place_of("events", key))
            if kind != "action":
                ended.add(event.fields["number"])
            elif "value" not in event.fields and event.fields["number"] not in ended:
                found.append(event)
    return [each for each in reversed(found) if each.fields["callee"] not in ("cancel", "close")]


def errs_of(journal: Journal, root_id: str) -> Iterator[Failure]:
    """The results in a root's tree that are recorded as Err, not cancelled; of a large tree those it begins with."""
    looked_at = 0
    for run_id in chain([root_id], (each.run_id for each in journal.descendants(root_id))):
        for _, event in journal.history(run_id):
            looked_at += 1
            if event.kind in ("result", "child"):
                result = load(journal, run_id, event.fields["value"])
                if not is_ok(result) and failure_of(result).kind != "cancelled":
                    yield failure_of(result)
            if looked_at >= _MOST_COUNTED:
                return


def awaited_messages(journal: Journal, root_id: str) -> dict[str, list[str]]:
    """The messages that the runs of a tree wait for, by the id of the run; of those that wait for any."""
    found: dict[str, list[str]] = {}
    for header in [journal.require(root_id), *islice(journal.descendants(root_id), _MOST_LOOKED_AT)]:
        if not header.is_finished:
            run_id = header.run_id
            names = [_received(journal, run_id, action) for action in open_actions(journal, run_id)]
            found.update({run_id: list(dict.fromkeys(filter(None, names)))} if any(names) else {})
    return found


def unread_names(journal: Journal, run_id: str) -> list[str]:
    """The names of the messages that a run has been sent and has not received, each once."""
    with journal.store.view() as view:
        if not waiting(view, run_id).messages:
            return []
    names = [each.name for each in unread(journal.store, run_id)]
    for _, to, message in journal.mail_for([root_of(run_id)]):
        if to == run_id and message["kind"] == SIGNAL:
            names.append(str(message["name"]))
    return list(dict.fromkeys(names))


def holder_of(journal: Journal, run_id: str, action: Event) -> once.Claim | None:
    """Who holds the ``idempotency_key`` of an action, if that is another one."""
    if str(action.fields.get("callee", "")).partition(" ")[0] not in ("call", "run", "do"):
        return None
    call = load(journal, run_id, action.fields["args"])
    key = policy_items(call[2]).get("idempotency_key") if len(call) > 2 else None
    if type(key) is not str:
        return None
    with journal.store.view() as view:
        claim = once.read_claim(view, key)
    return claim if claim is not None and claim.place != (run_id, action.fields.get("number")) else None


def _received(journal: Journal, run_id: str, action: Event) -> str:
    """The name of the message that an action waits for, "" of any other action."""
    if action.fields["callee"] != "do receive":
        return ""
    names = load(journal, run_id, action.fields["args"])[0]
    return str(names[0]) if names else ""


def waits_for(journal: Journal, header: Header, now_ms: int) -> str:
    """What an unfinished root run waits for: a person, a timer, or the innermost of what it started."""
    open_runs = {header.run_id: header}
    for below in islice(journal.descendants(header.run_id), _MOST_LOOKED_AT):
        if not below.is_finished:
            open_runs[below.run_id] = below
    questions = latest_questions(journal, islice(open_runs, _MOST_ASKED))
    if questions:
        more = f", and {len(questions) - 1} more" if len(questions) > 1 else ""
        return f"{questions[0].summary}{more}"
    parents = {each.parent for each in open_runs.values()}
    leaves = [each for each in open_runs.values() if each.run_id not in parents]
    if len(leaves) > 1:
        return f"{len(leaves)} flows: {', '.join(sorted({leaf.name for leaf in leaves})[:4])}"
    leaf = leaves[0]
    where = "" if leaf.is_root else f"{leaf.name}: "
    if leaf.wake_at_ms is not None:
        return f"{where}sleeping until {show_moment(leaf.wake_at_ms)}"
    action = journal.last_action(leaf.run_id)
    if action is None:
        return where.rstrip(": ")
    verb, _, target = str(action.fields["callee"]).partition(" ")
    if name := _received(journal, leaf.run_id, action):
        return f"{where}a message `{name}`"
    return f"{where}{action.fields.get('name') or target or verb}"
