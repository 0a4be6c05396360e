"""Who may drive a run: begin, adopt, release, each decided in one write transaction.

A run's id is its idempotency key: asking for the same run twice is one run, asking for another run under the same
id is an error that says what differs.  The store lets one process write at a time, so "read the owner, probe its
lock, set the new owner" cannot interleave with another engine's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from flowmetal.errors import ConflictError, InternalError, RunBusyError, UnknownRunError
from flowmetal.journal import blobs, event_reading, garbage, meta, ownership, pausing
from flowmetal.journal.events import Event
from flowmetal.journal.headers import Header, put_header, read_header
from flowmetal.journal.keys import event_key, place_of
from flowmetal.journal.store import Store, Update
from flowmetal.values import Wire, to_json_data, unpack

START_SEQUENCE: Final = 1
"""The sequence of every root's ``started``; engines number from 2."""

_SHOWN_LENGTH: Final = 200

Outcome = Literal["started", "finished", "followed", "adopted"]


@dataclass(frozen=True, slots=True)
class StartRequest:
    """All that starting a root run writes.

    ``started`` is the event's bytes, ``code`` maps hex sha256 to module text, ``blobs`` are the pairs that
    ``externalize`` gave for the arguments, ``notes`` pairs for ``meta``.
    """

    header: Header
    started: bytes
    code: Mapping[str, str] = field(default_factory=dict)
    blobs: Sequence[tuple[bytes, bytes]] = ()
    notes: Sequence[tuple[bytes, bytes]] = ()

    @property
    def run_id(self) -> str:
        """The id of the run to start."""
        return self.header.run_id


@dataclass(frozen=True, slots=True)
class Begun:
    """What became of a request.

    ``started``: it is new.  ``finished``: it ended earlier, ``header.result`` is its result.  ``followed``: a
    live engine drives it, or the caller has no engine to drive it.  ``adopted``: it was free and is ours now.
    """

    outcome: Outcome
    header: Header


def begin(store: Store, home: Path, request: StartRequest, engine: bytes | None) -> Begun:
    """Start a root run, or find out what the earlier one of that id has come to; see ``Journal.begin``."""
    if not request.header.is_root or request.header.root != request.run_id:
        raise InternalError("only root runs are begun", place=request.run_id)
    with store.update() as update:
        existing = read_header(update, request.run_id)
        if existing is None:
            header = replace(request.header, owner=engine or b"")
            _write_start(update, request, header)
            return Begun("started", header)
        _check_same(update, existing, request)
        if existing.is_finished:
            return Begun("finished", existing)
        if existing.is_held:
            raise pausing.held(existing)
        if engine is None or (existing.owner and ownership.is_alive(home, existing.owner)):
            return Begun("followed", existing)
        return Begun("adopted", _set_owner(update, existing, engine))


def adopt(store: Store, home: Path, root_id: str, engine: bytes, *, even_held: bool = True) -> Header:
    """Become the owner of a root run and its descendants; see ``Journal.adopt``."""
    with store.update() as update:
        header = _root_header(update, root_id)
        if header.is_held and not even_held:
            raise pausing.held(header)
        if header.owner and header.owner != engine and ownership.is_alive(home, header.owner):
            if header.is_held:
                raise pausing.still_under_way(header)
            raise RunBusyError(
                f"{ownership.who_drives(home, header.owner)} drives the run `{root_id}`",
                remedy=f"follow it with `flowmetal log {root_id} --follow`, or end that process first",
            )
        _check_not_moved(header)
        return _set_owner(update, header, engine)


def release(store: Store, root_id: str, engine: bytes) -> None:
    """Give a root run up; nothing happens when ``engine`` does not own it."""
    with store.update() as update:
        header = read_header(update, root_id)
        if header is not None and header.owner == engine:
            _set_owner(update, header, b"")


def is_driven(home: Path, header: Header) -> bool:
    """Whether a live engine owns this unfinished root."""
    return bool(header.owner) and not header.is_finished and ownership.is_alive(home, header.owner)


def _write_start(update: Update, request: StartRequest, header: Header) -> None:
    run_id = request.run_id
    if update.get("meta", meta.removing_key(run_id)) is not None:
        # An earlier run of this id is half removed; nothing of it may mix with the new one.
        garbage.purge(update, run_id)
    for digest, text in request.code.items():
        key = bytes.fromhex(digest)
        if update.get("code", key) is None:
            update.put("code", key, text.encode())
    meta.next_number(update, "code")
    for key, value in request.blobs:
        update.put("blobs", key, value)
    for key, value in request.notes:
        update.put("meta", key, value)
    update.put_many("events", [(event_key(run_id.encode(), START_SEQUENCE), request.started)])
    put_header(update, header, None)


def _check_same(update: Update, existing: Header, request: StartRequest) -> None:
    asked = request.header
    _check_not_moved(existing)
    differences = []
    # The body of any file is the flow "": there the file tells them apart.
    if (existing.flow or existing.main) != (asked.flow or asked.main):
        differences.append(f"the flow ({existing.flow or existing.main}, not {asked.flow or asked.main})")
    if existing.args_digest != asked.args_digest:
        differences.append(f"the arguments ({_versus(update, request, _arguments)})")
    if existing.grants_digest != asked.grants_digest:
        differences.append(f"the grants ({_versus(update, request, _grants)})")
    more = ""
    if existing.grants_digest != asked.grants_digest:
        verb = "rerun" if existing.is_finished else "resume"
        more = f"; with more grants: flowmetal {verb} {existing.run_id} --allow …"
    if differences:
        raise ConflictError(
            f"the run `{existing.run_id}` exists and differs in {' and '.join(differences)}",
            remedy=f"give another run id, or ask for it exactly as it was started{more}",
        )


def _versus(update: Update, request: StartRequest, show: Callable[[Event, bytes], str]) -> str:
    """What a run was started with and what is asked for now, in words."""
    root = request.run_id
    key = event_key(root.encode(), START_SEQUENCE)
    place = place_of("events", key)
    recorded = event_reading.decode(update.get("events", key) or b"", place)
    asked = event_reading.decode(request.started, place)
    field = asked.fields["args"]
    args = dict(request.blobs)[blobs.blob_key(root, field.data)] if blobs.is_reference(field) else field
    before = show(recorded, blobs.load(update, root, recorded.fields["args"]))
    now = show(asked, args)
    # The same at the start, and yet it differs: more was granted at a resume.
    return f"started with {before}, asked for {now}" if before != now else "more was granted to it at a resume"


def _arguments(_started: Event, packed: bytes) -> str:
    call = unpack(packed)
    if not (isinstance(call, list) and len(call) >= 2):
        return _cut(_compact(call))  # not as the engine writes them
    args, pairs = call[:2]
    shown = [_compact(each) for each in args]
    shown += [f"{pairs[at]} = {_compact(pairs[at + 1])}" for at in range(0, len(pairs), 2)]
    return _cut(", ".join(shown))


def _grants(started: Event, _packed: bytes) -> str:
    return _cut(", ".join(_grant_words(started.fields["grants"])))


def _grant_words(grants: dict[str, Any]) -> list[str]:
    shown = [f"{effect}={path}" for effect, path, *_ in grants.get("allow", [])]
    shown += [f"no {effect}={path}" for effect, path, *_ in grants.get("deny", [])]
    for label, some in grants.get("packages", []):
        shown.append(f"{label} {' and '.join(_grant_words(some)) or 'nothing'}")
    return shown


def _compact(value: Wire) -> str:
    return json.dumps(to_json_data(value), ensure_ascii=False)


def _cut(text: str) -> str:
    text = text or "none"
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def _check_not_moved(header: Header) -> None:
    if header.moved_to:
        raise ConflictError(f"the run `{header.run_id}` was moved to {header.moved_to}", remedy="go on with it there")


def _root_header(update: Update, root_id: str) -> Header:
    header = read_header(update, root_id)
    if header is None:
        raise UnknownRunError(f"there is no run `{root_id}`")
    if not header.is_root:
        raise InternalError("only root runs are adopted", place=root_id)
    return header


def _set_owner(update: Update, header: Header, engine: bytes) -> Header:
    owned = replace(header, owner=engine)
    if owned != header:
        put_header(update, owned, header)
    return owned
