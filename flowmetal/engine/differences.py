"""Where a run and other code part, in words and with the lines of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from flowmetal.engine.leftovers import read
from flowmetal.engine.table import HotRun, ProgramState
from flowmetal.errors import JournalError, did_you_mean
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.language.arguments import ArgumentError, bind
from flowmetal.language.drawing import draw
from flowmetal.language.labels import short_name
from flowmetal.values import Wire

_MOST_SHOWN: Final = 400


@dataclass(frozen=True, slots=True)
class Side:
    """What a run asks for by one of two codes: in words, the place ``file:line`` and that line, drawn; or ""."""

    asks: str = ""
    place: str = ""
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a run and the new code part: at action ``number``, 0 where no action is at fault."""

    run_id: str
    name: str
    message: str
    remedy: str
    number: int = 0
    old: Side = Side()
    new: Side = Side()


def ill_fitting(journal: Journal, header: Header, program: ProgramState) -> Difference | None:
    """Why a run cannot even begin in the new code.

    Raises:
        JournalError: its first event is missing, or damaged.
    """
    started = next((event for _, event in journal.history(header.run_id)), None)
    if started is None:
        raise JournalError(f"the run {header.run_id} has no first event", place=f"events {header.run_id}")
    call = msgpack.unpackb(journal.payload(header.run_id, started.fields["args"]))
    for reference in _needed(journal, header, call):
        if reference not in program.flows:
            wanted = short_name(reference)
            near = did_you_mean(wanted, [short_name(each) for each in program.flows])
            return Difference(
                header.run_id,
                header.name,
                f"the new code has no flow {wanted}{near}",
                "a run finds its flows again by file and name: give it both back",
            )
    flow = program.flows.get(header.flow)
    if flow is None or not flow.declared or header.ending:
        return None
    try:
        bind(flow.name, flow.arguments, call[0], call[1])
    except ArgumentError as error:
        new = Side(place=flow.place, excerpt=_drawn(program.sources, flow.place))
        return Difference(
            header.run_id,
            header.name,
            f"the arguments that it was started with do not fit the flow any more: {error.message}",
            "let it still take them: a new argument needs a default, an old one its name and type",
            new=new,
        )
    return None


def _needed(journal: Journal, header: Header, call: Wire) -> Iterator[str]:
    """The flows that a run needs whatever its text asks for: its own, those it was given, those it has left to do."""
    if header.flow:
        yield header.flow
    yield from _flows_in(call)
    if header.policy:
        yield from _flows_in(msgpack.unpackb(header.policy))
    if header.ending:
        for left in read(journal, header).left.values():
            yield left.callee.partition(" ")[2]


def _flows_in(wire: Wire) -> Iterator[str]:
    """The references of all flows within a value."""
    pending = [wire]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending += each
        elif isinstance(each, dict):
            ((tag, payload),) = each.items()
            if tag == "flow":
                yield payload[0]
                pending.append(payload[1])
            elif isinstance(payload, list):
                pending += payload


def difference(journal: Journal, run: HotRun, message: list[Any]) -> Difference:
    """What a worker's ``mismatch`` says, with the lines of either code."""
    _, run_id, _, number, expected, got, recorded_line, line = message
    root_id = run.root.header.run_id
    old_code = _code_at(journal, run, number)
    words = f"action #{number} is another one"
    if expected == got:
        words += ", though both begin alike"
    return Difference(
        run_id,
        run.header.name,
        words,
        "leave what it has done as it was and change what comes after; or let it end with its own code:"
        f" `flowmetal resume {root_id}`; or begin anew with what was Ok: `flowmetal cancel {root_id}`, then"
        f" `flowmetal rerun {root_id}`",
        number,
        _side(expected, recorded_line, _drawn(old_code, recorded_line)),
        _side(got, line, _drawn(run.root.program.sources, line)),
    )


def _code_at(journal: Journal, run: HotRun, number: int) -> dict[str, str]:
    """The modules that asked for an action, by label: those of the time when it was written."""
    for sequence, event in journal.history(run.run_id, run.header.attempt_seq):
        if event.fields.get("number") == number and event.kind in ("action", "child"):
            program = journal.facts(run.root.header.run_id, sequence)["program"]
            return {label: journal.code(digest) for label, digest in program}
    return {}


def _drawn(sources: dict[str, str], place: str) -> str:
    file, _, line = place.rpartition(":")
    text = sources.get(f"//{file}") or sources.get(file)
    return draw(text, int(line)) if text is not None and line.isdecimal() and len(line) < 9 else ""


def _side(asks: str, place: str, excerpt: str) -> Side:
    return Side(asks[:_MOST_SHOWN], place[:_MOST_SHOWN], excerpt)
