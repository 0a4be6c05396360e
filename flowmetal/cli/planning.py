"""What ``flowmetal plan`` does: an engine in memory whose effects are stubs, and a look at what came of it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from flowmetal.alarm_clock import SimulatedClock
from flowmetal.assembly import conduct_of, locate_program, open_pretence, pretend, registry
from flowmetal.cli import flow_listing
from flowmetal.cli.display import Display
from flowmetal.cli.driving import Interrupted, drive
from flowmetal.cli.event_data import to_data
from flowmetal.cli.event_lines import in_order
from flowmetal.cli.flow_arguments import read_arguments
from flowmetal.cli.granting import trusted_project
from flowmetal.cli.limiting import parse_limits
from flowmetal.cli.loading_news import tell_of_packages
from flowmetal.cli.log_tree import print_plan
from flowmetal.cli.needs import Needs
from flowmetal.cli.outcomes import failure_lines
from flowmetal.cli.reading import open_existing, result_data
from flowmetal.cli.running import no_arguments, request_of, split_target
from flowmetal.cli.stubs import DECLARED, RECORDED, Given, Stubs, given_data, read_samples, recorded_results
from flowmetal.cli.text import cut, json_text, printable, show_call, show_value
from flowmetal.engine.engine import Engine
from flowmetal.engine.launching import Launched
from flowmetal.errors import EXIT_OK, EXIT_RUN_FAILED
from flowmetal.identity import idempotency_key
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.permissions.grants import GrantSet
from flowmetal.places import home_path
from flowmetal.settings import format_duration
from flowmetal.values import Wire, failure_of, is_ok, unpack

_RUN_ID: Final = "plan"
_MOST_LISTED: Final = 10
_SHOWN_KINDS: Final = ("action", "child", "result", "log", "attempt")


def plan_target(
    *,
    target: str,
    theirs: list[str],
    from_run: str | None,
    samples_file: str | None,
    timeout: float,
    args_file: str | None,
    limits: tuple[str, ...],
    home: str | None,
    as_json: bool,
    frozen: bool | None = None,
    offline: bool = False,
    spare: Launched | None = None,
) -> int:
    """Plans ``FILE[:FLOW]``; the exit code.  ``spare`` is a worker that is coming up already.

    Raises:
        FlowmetalError: the plan could not begin.
    """
    file, name = split_target(target)
    effects = registry()
    samples = read_samples(samples_file, effects) if samples_file is not None else {}
    recorded: dict[bytes, list[Wire]] = {}
    if from_run is not None:
        existing = open_existing(home)
        recorded = recorded_results(existing, existing.require(from_run).run_id, effects)
    label, sources = locate_program(file, conduct_of(frozen, offline), home)
    project = trusted_project(sources.root, home)
    all_limits = parse_limits(limits, project.limits)
    stubs, needs, clock = Stubs(effects, samples, recorded), Needs(), SimulatedClock()

    async def work(engine: Engine, journal: Journal, display: Display) -> int:
        program = await engine.load(label, sources, all_limits)
        tell_of_packages(sources)
        if "--help" in theirs:
            print(flow_listing.help_text(program, file, name))
            return EXIT_OK
        flow = flow_listing.find(program, file, name) if name else None
        kwargs = (
            read_arguments(flow, target, theirs, args_file) if flow else no_arguments(program, file, theirs, args_file)
        )
        engine.begin(program, request_of(_RUN_ID, flow, file, kwargs, GrantSet(), {}, None))
        result: Wire = None
        try:
            outcome = await asyncio.wait_for(_to_the_end(engine), timeout)
        except TimeoutError:
            pass
        else:
            if outcome.error is not None:
                raise outcome.error
            result = unpack(outcome.value) if outcome.value is not None else {"result": [True, None, None]}
        # What waits to be written is read below.
        engine.close()
        plan = _Plan(journal, stubs, needs, result, timeout)
        return plan.print_json() if as_json else plan.print_text()

    with tempfile.TemporaryDirectory(prefix="flowmetal-plan-") as scratch:
        journal = open_pretence(Path(scratch), clock)
        try:
            return drive(
                None,
                True,
                work,
                journal,
                spare,
                open_with=lambda journal, spare: pretend(
                    journal, home_path(home), stubs.registry, clock, needs.decide, spare
                ),
            )
        except Interrupted as interrupted:
            interrupted.run_ids = []  # there is nothing to go on with
            raise


async def _to_the_end(engine: Engine) -> Any:
    outcome = await engine.outcome(_RUN_ID)
    await engine.idle()
    return outcome


class _Plan:
    """What was learned; ``result`` is None if the time was up."""

    def __init__(self, journal: Journal, stubs: Stubs, needs: Needs, result: Wire, timeout: float) -> None:
        self._journal = journal
        self._needs = needs
        self._stubs = stubs
        self._result = result
        self._timeout = timeout
        self._roots = sorted(journal.roots(), key=lambda header: header.run_id != _RUN_ID)
        self._nonces = {header.run_id: self._nonce(header.run_id) for header in self._roots}

    def _nonce(self, root_id: str) -> bytes:
        _, event = next(iter(self._journal.history(root_id)))
        return bytes(event.fields["nonce"])

    @property
    def _code(self) -> int:
        return EXIT_OK if self._result is not None and is_ok(self._result) else EXIT_RUN_FAILED

    def _header(self) -> Header:
        return self._journal.require(_RUN_ID)

    # -- for people ------------------------------------------------------------------------------------

    def print_text(self) -> int:
        """Prints the tree, then the grants; what went wrong goes to stderr."""
        for header in self._roots:
            print_plan(self._journal, header, lambda run_id, number: self._mark(run_id, number))
        options = self._needs.options()
        print()
        if options:
            print("it needs:")
            print(" \\\n".join(f"  {printable(option)}" for option in options))
        else:
            print("it needs no grants")
        for message in self._needs.never:
            print(f"  and what no grant allows: {printable(message)}")
        sys.stdout.flush()
        for line in self._problems():
            print(line, file=sys.stderr)
        return self._code

    def _mark(self, run_id: str, number: int) -> str:
        nonce = self._nonces[run_id.partition(".")[0]]
        given = self._stubs.given.get(idempotency_key(nonce, run_id, number))
        return f"  ({given.source})" if given is not None and given.source != RECORDED else ""

    def _problems(self) -> Iterator[str]:
        if self._result is None:
            yield f"stopped after {format_duration(self._timeout)}: this was learned so far (see --timeout)"
            return
        if is_ok(self._result):
            yield from self._empty()
            return
        yield "the flow does not come to its end here, so it may do and need more than this:"
        yield from failure_lines(self._journal, self._header(), failure_of(self._result))
        made_up = [given for given in self._stubs.given.values() if given.source == DECLARED]
        if made_up:
            yield f"  help: {len(made_up)} of its effects gave samples that mean nothing, on which it may have failed:"
            yield from _listed(made_up)

    def _empty(self) -> Iterator[str]:
        """That lists were empty only because nothing was read, so that what is done for each item was not seen."""
        empty = [
            given
            for given in self._stubs.given.values()
            if given.source == DECLARED and given.result["result"][1] == []
        ]
        if empty:
            yield "note: an empty list stood for what is not known, so what is done for each of its items is not here:"
            yield from _listed(empty)

    # -- for programs ----------------------------------------------------------------------------------

    def print_json(self) -> int:
        """Prints one object."""
        status = "timeout" if self._result is None else "ok" if is_ok(self._result) else "err"
        data: dict[str, Any] = {"status": status, **(result_data(self._result) if self._result is not None else {})}
        data["grants"] = self._needs.to_data()
        data["options"] = self._needs.options()
        data["never"] = list(self._needs.never)
        data["given"] = [given_data(given) for given in self._stubs.given.values()]
        data["actions"] = list(self._events())
        print(json_text(data))
        return self._code

    def _events(self) -> Iterator[dict[str, Any]]:
        for header in self._roots:
            for run_id, sequence, event in in_order(self._journal, header):
                if event.kind in _SHOWN_KINDS:
                    yield to_data(self._journal, run_id, sequence, event)


def _listed(some: Sequence[Given]) -> Iterator[str]:
    """Effects with what they gave, and how they would give something better."""
    for given in some[:_MOST_LISTED]:
        call = show_call(list(given.args.values())[:1], [], 60)
        yield f"    {given.effect}({call}) gave {cut(show_value(given.result['result'][1]), 60)}"
    if len(some) > _MOST_LISTED:
        yield f"    … and {len(some) - _MOST_LISTED} more"
    yield "    --samples FILE.json gives better ones, --from RUN what a run got"
