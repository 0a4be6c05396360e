"""Evaluating runs: from a start message, or from a blocking call, to an outcome.

A blocking child is evaluated *inline*, within its parent's callback, while it has no event of its own.  If it ends
without an action it is one combined event of its parent; else its first action makes it a run of the engine's, which
after an eviction lives on a strand of its own and is never inlined again.

What ends an evaluation: a value, a failure (``fail``, ``unwrap``, an error), the fuel, or the unwinding of the whole
strand, which is no outcome at all.  A fault of the process — memory, stack, panic — is none either: the worker ends
and says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from flowmetal.errors import UsageError, ValueCodecError
from flowmetal.identity import child_id, run_key
from flowmetal.language.arguments import ArgumentError, bind
from flowmetal.language.host import Answer, HostError, full_answer, is_ok_answer
from flowmetal.language.labels import short_name
from flowmetal.language.program import StarlarkError
from flowmetal.settings import Limits
from flowmetal.values import Failure, Wire, err, pack
from flowmetal.worker import cleanups
from flowmetal.worker.driver import NO_ARGS, OK_NONE, Driver, Mismatch, answer_of, moment_text
from flowmetal.worker.failures import how_it_ended, of_error, out_of_fuel
from flowmetal.worker.returning import fitting
from flowmetal.worker.run import SCRIPT, Run
from flowmetal.worker.strand import Strand, Unwind

_FAULT: Final = re.compile(r"^error: (MemoryError|RecursionError|RuntimeError: can't start new thread).*", re.MULTILINE)
_FLUSH_TICKS: Final = 32


class Evaluator:
    """Evaluates runs on the calling thread's strand.

    Args:
        driver: moves the runs forward.
        limits: fuel and inline depth.
        on_fault: ends the process, saying why; does not return.
    """

    def __init__(self, driver: Driver, limits: Limits, on_fault: Callable[[str], None]) -> None:
        self._driver = driver
        self._limits = limits
        self._fuel = max(1, limits.fuel_ticks // 1_000)
        self._on_fault = on_fault

    def carry(self, strand: Strand, run: Run) -> None:
        """Evaluates a run that the engine started, to its end or its unwinding."""
        driver = self._driver
        driver.attach(strand)
        strand.runs = [run]
        try:
            answer = self._evaluate(run)
            data = self._pack_answer(run, answer)
            if run.history is not None:
                driver.end(run, *how_it_ended(answer, run.asked_at or self._place(run, ours=True)))
            driver.outlet.send(["done", run.run_id, run.incarnation, data])
            self._leave(strand)
        except (Unwind, Mismatch):
            # The mailboxes go first: once the engine hears of it, the runs may come back with new ones.
            runs = self._leave(strand)
            for each in runs:
                if each.materialized and each.run_id not in strand.mailbox.dropped:
                    driver.outlet.send(["evicted", each.run_id, each.incarnation, each.number])
        driver.outlet.flush()

    def _leave(self, strand: Strand) -> list[Run]:
        runs, strand.runs = strand.runs, []
        for each in runs:
            if self._driver.mailboxes.get(each.run_id) is strand.mailbox:
                del self._driver.mailboxes[each.run_id]
        return runs

    def inline(
        self,
        run: Run,
        index: int,
        args: list[Wire],
        kwargs: list[Wire],
        child_at: tuple[str, bytes, str, str],
        modules: tuple[str, ...],
    ) -> Answer:
        """Evaluates a blocking child of a live run within its parent's call.

        ``child_at`` is what the parent's action says: callee, packed arguments, source line, name; ``modules`` are
        those on the call stack.
        """
        driver = self._driver
        child = self._child(run, index, args, kwargs)
        child.callee, child.packed, child.line, child.name = child_at
        child.modules = modules
        strand = driver.strand
        strand.runs.append(child)
        try:
            answer = self._evaluate(child)
        except Unwind:
            # Back into the interpreter; the outermost frame reports all of the strand's runs.
            raise HostError("unwinding") from None
        strand.runs.pop()
        data = self._pack_answer(child, answer)
        if child.materialized:
            driver.outlet.send(["done", child.run_id, child.incarnation, data])
            driver.mailboxes.pop(child.run_id, None)
        else:
            driver.emit(
                run, ["child", run.run_id, run.incarnation, child.parent_number, *child_at[:3], data, child.name]
            )
        return answer_of(data)

    def _child(self, run: Run, index: int, args: list[Wire], kwargs: list[Wire]) -> Run:
        try:
            child = Run(child_id(run.run_id, run.number), run.incarnation, index, args, kwargs)
        except UsageError as error:
            raise self._driver.program.refuse(HostError(error.message, kind="limit")) from None
        child.parent, child.parent_number, child.depth = run, run.number, run.depth + 1
        child.materialized = False
        child.inlining = run.inlining
        child.nonce = run.nonce
        child.key = run_key(run.nonce, child.run_id)
        child.last_now = run.last_now
        # As a replay reads it from the journal: in milliseconds.
        child.started_ms = self._driver.moment(child)[0]
        child.started = moment_text(child.started_ms * 1_000)
        return child

    def _evaluate(self, run: Run) -> Answer:
        """The outcome of a run, the tasks it left open seen to."""
        program = self._driver.program
        try:
            if run.index == SCRIPT:
                program.run_script(lambda: self._tick(run))
                answer: Answer = None
            else:
                answer = self._enter(run)
        except StarlarkError as error:
            answer = self._outcome_of_error(run, str(error))
        return self._close(run, answer)

    def _enter(self, run: Run) -> Answer:
        info = self._driver.program.flows[run.index]
        if info.declared:
            try:
                run.bound = bind(info.name, info.arguments, run.args, run.kwargs)
            except ArgumentError as error:
                text = f"{error.message} ({error.remedy})" if error.remedy else error.message
                return [False, None, Failure("error", text, flow=run.name, source=run.line).to_wire()]
        program = self._driver.program
        answer = program.enter(run.index, run.context, run.bound, run.args, run.kwargs, lambda: self._tick(run))
        return fitting(info, run.name, answer)

    def _outcome_of_error(self, run: Run, text: str) -> Answer:
        program = self._driver.program
        if self._driver.strand.unwinding:
            raise Unwind
        if run.exhausted:
            return self._out_of_fuel(run)
        if run.failure is not None:
            failure, run.failure = run.failure, None
            return [False, None, failure]
        problem = program.problem
        fault = _FAULT.search(text) if problem is None else None
        if fault:
            self._on_fault(fault.group(1))
        kind = problem.kind if problem is not None else "error"
        place = self._place(run, ours=problem is not None)
        failure = of_error(program.diagnose(text), text, kind, run.name, place, self._limits)
        return [False, None, failure.to_wire()]

    def _out_of_fuel(self, run: Run) -> Answer:
        if not run.unobserved and not run.deferred:
            self._driver.end(run, "(nothing: the fuel was used up)")
        return [False, None, out_of_fuel(run.name, self._place(run, ours=True), self._limits).to_wire()]

    def _tick(self, run: Run) -> bool:
        """Called by the interpreter each 1,000 steps; True ends the evaluation."""
        strand = self._driver.strand
        if run.run_id in strand.mailbox.dropped:
            strand.unwinding = True
            return True
        run.ticks += 1
        if run.ticks > self._fuel:
            run.exhausted = True
            return True
        if run.ticks % _FLUSH_TICKS == 0:
            self._driver.outlet.flush()
        return False

    # -- the end of a run ------------------------------------------------------------------------------

    def _close(self, run: Run, answer: Answer) -> Answer:
        """Sees to the tasks that the flow never looked at, which are cancelled if it failed; then to its cleanups."""
        driver = self._driver
        if run.unobserved:
            if not is_ok_answer(answer):
                driver.act(run, "close", NO_ARGS, "", [], "close")
            driver.observe(run, list(run.unobserved))
        if run.index == SCRIPT and is_ok_answer(answer):
            answer = self._script_answer(run)
        return cleanups.clean_rest(driver, run, answer) if run.deferred else answer

    def _script_answer(self, run: Run) -> Answer:
        """The first Err of the flows that the body called, else the Result of the last one."""
        for number, callee in run.tasks.items():
            if callee.startswith("run ") and number in run.results:
                run.note_direct(number, self._driver.result(run, number))
        if run.direct_error is not None:
            return run.direct_error[1]
        if run.number == 0:
            found = self._driver.program.find_nothing_started(printed=run.log_index > 0)
            if found is not None:
                return [
                    False,
                    None,
                    Failure("error", found.message, flow=run.name, source=found.place, trace=found.excerpt).to_wire(),
                ]
        return run.direct_last[1] if run.direct_last is not None else None

    def _place(self, run: Run, *, ours: bool) -> str:
        """Where an error belongs that no line of the program is in.

        What the prelude refused lies in what the implementation returned, else in what the caller passed.
        """
        program = self._driver.program
        place = program.flows[run.index].place if run.index != SCRIPT else short_name(program.main)
        return place if ours else run.line or place

    def _pack_answer(self, run: Run, answer: Answer) -> bytes:
        if answer is None:
            return OK_NONE
        answer = full_answer(answer)
        failure = answer[2]
        if isinstance(failure, dict) and "failure" in failure and not failure["failure"][3]:
            failure["failure"][3] = run.name
        try:
            return pack({"result": answer})
        except (ValueCodecError, ValueError, OverflowError) as error:
            source = self._place(run, ours=True)
            return pack(err(Failure("limit", f"the result: {error}", flow=run.name, source=source)))
