"""What the tests of the journal build on: a clock in the hand, headers, requests, events of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from hypothesis import strategies as st

from flowmetal.journal import events
from flowmetal.journal.blobs import externalize
from flowmetal.journal.events import RootFacts
from flowmetal.journal.headers import Header, digest_of, program_digest
from flowmetal.journal.starting import StartRequest

TEXT = "def main(fctx):\n    pass\n"
DIGEST = sha256(TEXT.encode()).hexdigest()


@dataclass
class HeldClock:
    """Time moves when a test says so."""

    seconds: float = 1_700_000_000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


def root_facts(**changes: Any) -> RootFacts:
    facts = RootFacts(
        [("//f.flow", DIGEST)], "//f.flow", {"fuel": 10}, {"http": []}, "/base", bytes(16), {"host": "1"}, {}
    )
    return replace(facts, **changes)


def root_header(run_id: str = "etl", **changes: Any) -> Header:
    header = Header(
        run_id,
        "//f.flow:main",
        "main",
        run_id,
        1_700_000_000_000,
        program=program_digest([("//f.flow", DIGEST)]),
        main="//f.flow",
        args_digest=digest_of(b"\x90"),
        grants_digest=digest_of(b"\x80"),
    )
    return replace(header, **changes)


def child_header(run_id: str, **changes: Any) -> Header:
    parent, _, _ = run_id.rpartition(".")
    return root_header(run_id, **({"parent": parent, "root": run_id.partition(".")[0]} | changes))


def request(run_id: str = "etl", args: bytes = b"\x90", text: str = TEXT, **changes: Any) -> StartRequest:
    digest = sha256(text.encode()).hexdigest()
    program = [("//f.flow", digest)]
    header = root_header(run_id, args_digest=digest_of(args), program=program_digest(program), **changes)
    field, blobs = externalize(args, run_id)
    started = events.started(1, header.flow, header.name, field, root=root_facts(program=program))
    return StartRequest(header, started, {digest: text}, blobs)


# -- events of every kind ------------------------------------------------------------------------------

counts = st.integers(0, 2**40)
times = st.integers(0, 2**48)
texts = st.text(max_size=20)
payloads = st.binary(max_size=40)
digests = st.binary(min_size=32, max_size=32)
programs = st.lists(st.tuples(texts, digests.map(bytes.hex)), max_size=3)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
maps = st.dictionaries(texts, plain, max_size=3)
names = st.dictionaries(texts, texts, max_size=3)
facts = st.builds(
    RootFacts,
    programs,
    texts,
    maps,
    plain,
    texts,
    st.binary(min_size=16, max_size=16),
    names,
    names,
    st.none() | times,
    st.sampled_from(["", "wait"]),
    texts,
    st.lists(st.lists(texts, min_size=4, max_size=4), max_size=2),
)
modules = st.lists(texts, max_size=3)

ARGUMENTS: dict[str, tuple[Callable[..., bytes], dict[str, Any]]] = {
    "started": (
        events.started,
        {
            "flow": texts,
            "name": texts,
            "args": payloads,
            "detached": st.booleans(),
            "modules": modules,
            "policy": st.none() | payloads,
            "root": st.none() | facts,
        },
    ),
    "action": (
        events.action,
        {
            "number": counts,
            "callee": texts,
            "args": payloads,
            "line": texts,
            "value": st.none() | payloads,
            "due_ms": st.none() | times,
            "deps": st.none() | st.lists(counts, max_size=3),
            "name": texts,
            "modules": modules,
        },
    ),
    "child": (
        events.child,
        {"number": counts, "callee": texts, "args": payloads, "line": texts, "value": payloads, "name": texts},
    ),
    "attempt": (
        events.attempt,
        {"number": counts, "attempt": counts, "repeated": st.booleans(), "reason": texts, "due_ms": st.none() | times},
    ),
    "result": (
        events.result,
        {
            "number": counts,
            "value": payloads,
            "late": st.booleans(),
            "by": modules,
            "taken_from": counts,
            "read": counts,
        },
    ),
    "timer_fired": (events.timer_fired, {"number": counts}),
    "signal": (events.signal, {"name": texts, "value": payloads, "sender": texts}),
    "grants": (events.grants, {"grants": plain}),
    "log": (
        events.log,
        {"after": counts, "index": counts, "text": texts, "fields": payloads, "line": texts, "level": texts},
    ),
    "cancel_requested": (events.cancel_requested, {"reason": texts}),
    "code_changed": (events.code_changed, {"program": programs}),
    "asked": (events.asked, {"number": counts, "reason": texts, "text": texts}),
    "continued": (events.continued, {"number": counts, "life": counts, "args": payloads}),
    "paused": (events.paused, {"since_ms": counts, "reason": texts}),
    "finished": (events.finished, {"status": st.sampled_from(["ok", "err", "cancelled"]), "value": payloads}),
}


@st.composite
def built_events(draw: st.DrawFn) -> tuple[str, int, dict[str, Any], bytes]:
    """(kind, at_ms, arguments, bytes) of an event of any kind."""
    kind = draw(st.sampled_from(sorted(ARGUMENTS)))
    build, strategies = ARGUMENTS[kind]
    at_ms = draw(times)
    arguments = {name: draw(strategy) for name, strategy in strategies.items()}
    return kind, at_ms, arguments, build(at_ms, **arguments)
