"""The code of a run that is there: what it is pinned to, and other code in its place.

A root's ``started`` says what code it was started with; each ``code_changed`` after it says what it goes on with.  The
header holds the digest of the present graph, so a run whose code was never changed is known without a look at its
history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from flowmetal.errors import ConflictError, JournalError, RunBusyError, UnknownRunError
from flowmetal.journal import event_reading, events, meta
from flowmetal.journal.headers import program_digest, put_header, read_header
from flowmetal.journal.keys import event_key, events_range, own_range, place_of, sequence_of
from flowmetal.journal.store import Store, View

_CHANGED: Final = ("program", "versions", "file", "packages")


@dataclass(frozen=True, slots=True)
class NewCode:
    """What a run is to go on with.

    ``program`` is the code graph as (label, hex sha256) in load order, ``texts`` maps hex sha256 to module text,
    ``file`` is the path of the main file, absolute; ``packages`` are those of the graph.
    """

    program: list[tuple[str, str]]
    texts: Mapping[str, str]
    versions: Mapping[str, str]
    file: str
    packages: Sequence[Sequence[str]] = ()

    @property
    def digest(self) -> str:
        """What a header calls this graph."""
        return program_digest(self.program)


def facts(store: Store, root_id: str, before_sequence: int | None = None) -> dict[str, Any]:
    """The fields of a root's ``started``, with the code, the versions and the file of now.

    ``before_sequence`` asks for those of the time when the event of that sequence was written.

    Raises:
        JournalError: the first event is missing, or one is damaged.
    """
    with store.view() as view:
        found = _started(view, root_id)
        header = read_header(view, root_id)
        pairs = [(str(label), str(digest)) for label, digest in found.get("program", ())]
        # A run may have gone to other code and back: of an earlier time the header says nothing.
        if before_sequence is None and (header is None or header.program in ("", program_digest(pairs))):
            return found
        for key, data in view.scan("events", *own_range(root_id), reverse=True):
            if before_sequence is not None and sequence_of(key) >= before_sequence:
                continue
            if event_reading.kind_of(data) == "code_changed":
                changed = event_reading.decode(data, place_of("events", key)).fields
                return found | {name: changed[name] for name in _CHANGED if name in changed}
    return found


def _started(view: View, root_id: str) -> dict[str, Any]:
    for key, data in view.scan("events", *events_range(root_id, 0)):
        event = event_reading.decode(data, place_of("events", key))
        if event.kind == "started":
            return dict(event.fields)
        break
    raise JournalError(
        f"the run {root_id} has no first event",
        place=f"events {root_id}",
        remedy="`flowmetal verify` lists what is damaged",
    )


def change_code(
    store: Store,
    root_id: str,
    engine: bytes,
    fence: Callable[[], None],
    code: NewCode,
    last_sequence: int,
    below: Iterable[str],
    now_ms: int,
) -> None:
    """Let a root that ``engine`` owns go on with other code, and give it up; one transaction.

    Args:
        store: where the run is.
        root_id: the root.
        engine: the owner.
        fence: called inside the transaction; raises when the engine may write no more.
        code: the new code.
        last_sequence: the highest in the root's tree.
        below: the runs below the root that have not ended.
        now_ms: the time of the event.

    Raises:
        RunBusyError: another engine owns it.
        ConflictError: it has ended.
    """
    with store.update() as update:
        fence()
        header = read_header(update, root_id)
        if header is None:
            raise UnknownRunError(f"there is no run `{root_id}`")
        if header.owner != engine:
            raise RunBusyError(f"the run `{root_id}` was taken up by another engine meanwhile", remedy="try again")
        if header.is_finished:
            raise ConflictError(f"the run `{root_id}` has ended")
        for digest, text in code.texts.items():
            key = bytes.fromhex(digest)
            if update.get("code", key) is None:
                update.put("code", key, text.encode())
        meta.next_number(update, "code")
        event = events.code_changed(
            now_ms, code.program, versions=code.versions, file=code.file, packages=code.packages
        )
        update.put_many("events", [(event_key(root_id.encode(), last_sequence + 1), event)])
        put_header(update, replace(header, program=code.digest, owner=b""), header)
        for run_id in below:
            child = read_header(update, run_id)
            if child is not None and not child.is_finished:
                put_header(update, replace(child, program=code.digest), child)
