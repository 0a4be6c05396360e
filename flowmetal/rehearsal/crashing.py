"""One test with an engine that ends on the way, at every moment at which it can.

What a kill can find in a journal is what some commit left there.  So the test runs once, on an engine that commits at
the end of every turn, and at every commit the journal, the world and the time are kept: three references, for neither
changes in place.  From each, another engine takes the test up and brings it to its end, in the world as it was

- right after the commit: nothing had been done that the journal did not know of, so nothing may be done twice, and
- where effects were performed before the next commit: done, and not recorded.  They are done again with the key that
  they had, from which the world knows them; what has no way to know, ``append``, is done twice.  An effect that must
  not be repeated is not, and then its flow may come out otherwise.

What is compared: what everything gave that the test called, in order; its own result; which calls the world has seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from flowmetal.alarm_clock import SimulatedClock
from flowmetal.journal.events import Event
from flowmetal.journal.journal import Journal
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.journal.wrapped_store import Moment, WrappedStore
from flowmetal.rehearsal.collecting import TestFile
from flowmetal.rehearsal.lending import Lender
from flowmetal.rehearsal.literals import literal
from flowmetal.rehearsal.script import NAMES
from flowmetal.rehearsal.stage import START, CrashFinding, Tested, on_stage
from flowmetal.rehearsal.world import Call, World
from flowmetal.settings import Limits
from flowmetal.values import Failure, Wire, failure_of, is_ok, unpack

_OF_THE_TEST: Final = tuple(f"do {name}" for name in NAMES)
_MOST_FINDINGS: Final = 5
_LONGEST: Final = 120


@dataclass(frozen=True, slots=True)
class _Moment:
    """Where an engine ends; ``in_doubt`` is what was done since the last commit."""

    store: MemoryStore
    world: World
    passed_seconds: float
    in_doubt: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one action of the test came to."""

    number: int
    callee: str
    value: Wire


async def rehearse_crashes(
    file: TestFile, name: str, scratch: Path, limits: Limits, timeout_seconds: float, lender: Lender
) -> tuple[Tested, Journal]:
    """Runs one test, then again from each moment at which it may have been cut off; with the journal of the first.

    ``lender`` has the worker.

    Raises:
        LanguageError: the file cannot be loaded.
    """
    clock, inner, worlds, moments = SimulatedClock(START), MemoryStore(), [World()], list[_Moment]()

    def note(when: Moment, _: int) -> None:
        world, seen = worlds[0], moments[-1] if moments else None
        if when == "after":
            moments.append(_Moment(inner.copy(), world.copy(), clock.monotonic()))
        elif seen is not None and len(world.calls) > len(seen.world.calls):
            done = tuple(world.calls[len(seen.world.calls) :])
            moments.append(_Moment(seen.store, world.copy(), clock.monotonic(), done))

    store = WrappedStore(inner, note)
    with on_stage(scratch, lender=lender, store=store, clock=clock, worlds=worlds, commit_every_turn=True) as stage:
        await stage.load(file, limits)
        first = await stage.run(name, str(file.sources.files.root), timeout_seconds)
        if not first.passed:
            return first, stage.journal
        wanted = _answers(stage.journal, name)
    findings, count = list[CrashFinding](), 0
    for moment, words in _worth_it(moments, name, scratch):
        count += 1
        differences = await _once_more(moment, name, first, wanted, scratch, timeout_seconds, lender)
        if differences:
            findings.append(CrashFinding(words, tuple(differences)))
        if len(findings) == _MOST_FINDINGS:
            break
    return replace(first, crashes=tuple(findings), crash_count=count), Journal(inner, scratch, clock)


async def _once_more(
    moment: _Moment,
    name: str,
    first: Tested,
    wanted: list[_Answer],
    scratch: Path,
    timeout_seconds: float,
    lender: Lender,
) -> list[str]:
    """Takes a test up at a moment; what became otherwise."""
    clock, world = SimulatedClock(START), moment.world.copy()
    clock.advance(moment.passed_seconds)
    with on_stage(scratch, lender=lender, store=moment.store.copy(), clock=clock, worlds=[world]) as stage:
        tested = await stage.resume(name, timeout_seconds)
        if tested.error is not None:
            return [tested.error.message]
        got = _answers(stage.journal, name)
        left_alone = _was_left_alone(stage.journal, name)
    differences: list[str] = []
    if not left_alone:
        if not tested.passed:
            differences += _why(tested)
        differences += _differing(wanted, got)
    return [*differences, *_miscounted(first.world, world, moment, may_lack=left_alone)]


def _was_left_alone(journal: Journal, name: str) -> bool:
    """Whether an effect that must not be repeated was not, as nobody knows whether it was done."""
    for header in [journal.require(name), *journal.descendants(name)]:
        for _, event in journal.history(header.run_id):
            if event.kind == "result":
                result = unpack(journal.payload(header.run_id, event.fields["value"]))
                if not is_ok(result) and failure_of(result).kind == "interrupted":
                    return True
    return False


def _why(tested: Tested) -> Iterator[str]:
    if not is_ok(tested.result):
        failure = Failure.from_wire(tested.result["result"][2])
        yield f"the test fails: {failure.message}" + (f" [{failure.source}]" if failure.source else "")
    for each in tested.world.missing:
        yield f"{each.call} {each.reason}"


def _differing(wanted: list[_Answer], got: list[_Answer]) -> Iterator[str]:
    """The first action that came to something else."""
    for before, after in zip(wanted, got, strict=False):
        if before != after:
            shown, other = (literal(each.value)[:_LONGEST] for each in (after, before))
            yield f"#{after.number} {after.callee} gives {shown}, and gave {other}"
            return
    if len(wanted) != len(got):
        yield f"the test asks for {len(got)} things, and asked for {len(wanted)}"


def _miscounted(first: World, world: World, moment: _Moment, *, may_lack: bool) -> Iterator[str]:
    """What was done more often than without a crash, or less often."""
    before = Counter(each.text for each in first.calls)
    after = Counter(each.text for each in world.calls)
    if not moment.in_doubt:
        after.update(each.text for each in world.repeated)
    for call, times in after.items():
        if times > before[call]:
            yield f"done {_times(times)}, not {_times(before[call])}: {call[:_LONGEST]}"
    for call, times in before.items():
        if times > after[call] and not may_lack:
            yield f"done {_times(after[call])}, not {_times(times)}: {call[:_LONGEST]}"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _answers(journal: Journal, name: str) -> list[_Answer]:
    """What every action of a test came to, in the order in which it asked."""
    callees: dict[int, str] = {}
    values: dict[int, Wire] = {}
    for _, event in journal.history(name):
        number = event.fields.get("number", 0)
        if event.kind in ("action", "child"):
            callees[number] = str(event.fields["callee"])
        if "value" in event.fields and number and not event.fields.get("late"):
            values[number] = unpack(journal.payload(name, event.fields["value"]))
    shown = {number: callee.rpartition(":")[2] for number, callee in callees.items()}
    return [_Answer(number, shown[number], value) for number, value in sorted(values.items())]


# -- moments -------------------------------------------------------------------------------------------


def _worth_it(moments: list[_Moment], name: str, scratch: Path) -> Iterator[tuple[_Moment, str]]:
    """The moments at which the test was under way and more than its own scripting had happened, in words."""
    seen = 0
    for moment in moments:
        journal = Journal(moment.store, scratch, SimulatedClock(START))
        header = journal.header(name)
        if header is None or header.is_finished:
            continue
        if moment.in_doubt:
            done = ", ".join(each.text for each in moment.in_doubt)
            yield moment, f"after {done[:_LONGEST]} was done, before that was recorded"
            continue
        new = sorted(_events_after(journal, name, seen), key=lambda each: each[1])
        if new:
            seen = new[-1][1]
        actions = [event.fields for _, event in journal.history(name) if event.kind == "action"]
        callees = {fields["number"]: str(fields["callee"]) for fields in actions}
        told = [_words(each, callees) for each in new]
        told = [each for each in told if each]
        if told:
            yield moment, f"after event {seen}: {told[-1]}"


def _events_after(journal: Journal, name: str, sequence: int) -> Iterator[tuple[str, int, Event]]:
    for header in [journal.require(name), *journal.descendants(name)]:
        for number, event in journal.history(header.run_id, sequence):
            yield header.run_id, number, event


def _words(item: tuple[str, int, Event], callees: dict[int, str]) -> str:
    """One event; "" for what the test says to its world."""
    run_id, _, event = item
    number = event.fields.get("number", 0)
    is_own = "." not in run_id
    callee = str(event.fields.get("callee", callees.get(number, "") if is_own else ""))
    if is_own and (callee in _OF_THE_TEST or event.kind == "started"):
        return ""
    what = f" #{number} {callee.rpartition(':')[2]}".rstrip() if number else ""
    line = f" [{event.fields['line']}]" if event.fields.get("line") else ""
    return f"{event.kind}{what} of {run_id}{line}"
