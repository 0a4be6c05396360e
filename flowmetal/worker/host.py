"""What the prelude asks of a run: each method is one action of the language, or a question about the run."""

from __future__ import annotations

import uuid as system_uuid
from dataclasses import replace
from sys import intern
from typing import Final

from flowmetal.errors import UsageError, ValueCodecError
from flowmetal.identity import MAX_RUN_ID_BYTES, NAME_RULE, child_id, is_name
from flowmetal.language.arguments import ArgumentError, bind, moment_of
from flowmetal.language.diagnostics import modules_of, site_of
from flowmetal.language.host import Answer, FlowContextParts, HostError, full_answer, value_of
from flowmetal.policy import SETTINGS, check_policy, is_plain, policy_items
from flowmetal.settings import MAX_DURATION_SECONDS, Limits, format_duration, parse_duration
from flowmetal.values import Failure, Wire, pack, substitute_tasks, to_text
from flowmetal.worker import cleanups
from flowmetal.worker.driver import Driver, answer_of
from flowmetal.worker.evaluation import Evaluator
from flowmetal.worker.run import SCRIPT, VALUE, Deferred, Run

_LONG_ID: Final = MAX_RUN_ID_BYTES - 20


class FlowHost:
    """Implements ``flowmetal.language.host.Host`` for the run on the calling thread."""

    def __init__(self, driver: Driver, evaluator: Evaluator, limits: Limits) -> None:
        self._driver = driver
        self._evaluator = evaluator
        self._limits = limits

    # -- flows and effects -----------------------------------------------------------------------------

    def call_plain(self, index: int, stack: str) -> Answer:
        """``call`` without policy and arguments."""
        return self.call(index, None, [], [], [], stack)

    def call(
        self, index: int, policy: Wire, args: list[Wire], kwargs: list[Wire], tasks: list[int], stack: str
    ) -> Answer:
        """Runs a flow as a child and waits for it."""
        driver = self._driver
        run = driver.current()
        line = site_of(stack)
        info = driver.program.flows[index]
        name = info.name
        if policy is not None:
            settings = policy_items(policy)
            name = settings.get("name", name)
            if settings.get("parent_close") or settings.get("id"):
                raise self._refuse(
                    "`id` and `parent_close` are of a run of its own, which is not waited for",
                    hint="start it: `fctx.actions.start(f, …)`",
                )
        self._check_nesting(run)
        packed = self._pack([args, kwargs] if policy is None else [args, kwargs, policy])
        values, cause = self._settle(run, tasks) if tasks else (None, None)
        callee = f"call {info.reference}"
        event = driver.begin(run, callee, packed, line)
        number = run.number
        if event is not None and event.get(VALUE) is not None:
            answer = answer_of(event[VALUE])
        elif event is not None:
            answer = self._await_call(run, number)
        elif cause is not None:
            failure = Failure(
                "upstream", f"a task that {name} needs has failed", flow=run.name, source=line, cause=cause
            )
            answer = self._never_called(run, failure, callee, packed, line, name)
        elif run.inlining and run.depth < self._limits.inline_depth and is_plain(policy):
            if values:
                args, kwargs = substitute_tasks(args, values), substitute_tasks(kwargs, values)
            too_large = _too_large(name, line, [args, kwargs]) if values else None
            if too_large is not None:
                answer = self._never_called(run, too_large, callee, packed, line, name)
            else:
                answer = self._evaluator.inline(
                    run, index, args, kwargs, (callee, packed, line, name), self._modules(stack)
                )
        else:
            modules = list(self._modules(stack))
            driver.emit(run, ["act", run.run_id, run.incarnation, number, callee, packed, line, tasks, name, modules])
            answer = self._await_call(run, number)
        if run.index == SCRIPT:
            run.note_direct(number, answer)
        cleanups.note_undone(run, number, answer)
        return answer

    def _never_called(self, run: Run, failure: Failure, callee: str, packed: bytes, line: str, name: str) -> Answer:
        answer = [False, None, failure.to_wire()]
        try:
            value = pack({"result": answer})
        except ValueCodecError:
            answer = [False, None, replace(failure, cause=None).to_wire()]
            value = pack({"result": answer})
        self._driver.emit(run, ["child", run.run_id, run.incarnation, run.number, callee, packed, line, value, name])
        return answer

    def _await_call(self, run: Run, number: int) -> Answer:
        run.open[number] = None
        self._driver.wait_for(run, [number])
        return answer_of(run.results.pop(number))

    def effect(
        self, name: str, policy: Wire, args: list[Wire], kwargs: list[Wire], tasks: list[int], stack: str
    ) -> Answer:
        """Performs an effect and waits for it."""
        driver = self._driver
        run = driver.current()
        self._check_tasks(run, tasks)
        policy, kwargs = self._with_settings(policy, kwargs)
        packed = self._pack([args, kwargs] if policy is None else [args, kwargs, policy])
        shown = policy_items(policy).get("name", name)
        answer = answer_of(driver.act(run, f"do {name}", packed, site_of(stack), tasks, shown, self._modules(stack)))
        cleanups.note_undone(run, run.number, answer)
        return answer

    def start(
        self,
        kind: str,
        index: int | str,
        policy: Wire,
        args: list[Wire],
        kwargs: list[Wire],
        tasks: list[int],
        stack: str,
    ) -> list[int | str]:
        """Starts a flow or an effect; gives the number and the name of its task."""
        driver = self._driver
        run = driver.current()
        self._check_tasks(run, tasks)
        settings = policy_items(policy)
        if kind == "flow":
            self._check_nesting(run)
            info = driver.program.flows[int(index)]
            # Interned: a run may have started thousands of the same.
            callee, name = intern(f"run {info.reference}"), settings.get("name", info.name)
        else:
            policy, kwargs = self._with_settings(policy, kwargs)
            callee, name = f"start {index}", policy_items(policy).get("name", str(index))
        packed = self._pack([args, kwargs] if policy is None else [args, kwargs, policy])
        driver.make_room(run, self._limits.open_actions)
        driver.act(run, callee, packed, site_of(stack), tasks, name, self._modules(stack))
        number = run.number
        run.tasks[number] = callee
        run.unobserved[number] = None
        return [number, name]

    # -- waiting ---------------------------------------------------------------------------------------

    def wait(self, numbers: list[int], timeout: Wire, stack: str) -> list[Answer]:
        """Waits for tasks; one answer each."""
        driver = self._driver
        run = driver.current()
        self._check_tasks(run, numbers)
        if timeout is None:
            driver.observe(run, numbers)
            return [driver.result(run, number) for number in numbers]
        line = site_of(stack)
        seconds = self._seconds(timeout)
        done = value_of(answer_of(driver.act(run, "wait", self._pack([numbers, seconds]), line, [], "wait")))
        return [
            self._done_or_late(run, number, is_done, seconds, line)
            for number, is_done in zip(numbers, done, strict=True)
        ]

    def _done_or_late(self, run: Run, number: int, is_done: bool, seconds: float, line: str) -> Answer:
        if is_done:
            self._driver.observe(run, [number])
            return self._driver.result(run, number)
        name = run.tasks[number].partition(" ")[2].rpartition(":")[2].partition("#")[0]
        return _late(f"{name} was not done after {format_duration(seconds)}; it goes on", run.name, line)

    def wait_any(self, numbers: list[int], timeout: Wire, stack: str) -> list[Wire]:
        """Waits for the first task in journal order."""
        driver = self._driver
        run = driver.current()
        self._check_tasks(run, numbers)
        line = site_of(stack)
        seconds = None if timeout is None else self._seconds(timeout)
        index = value_of(answer_of(driver.act(run, "wait_any", self._pack([numbers, seconds]), line, [], "wait_any")))
        if index is None:
            return [None, _late(f"no task was done within {format_duration(seconds or 0)}; they go on", run.name, line)]
        driver.observe(run, [numbers[index]])
        return [index, driver.result(run, numbers[index])]

    def cancel(self, number: int, stack: str) -> None:
        """Asks for the end of a task."""
        run = self._driver.current()
        self._check_tasks(run, [number])
        self._driver.act(run, "cancel", self._pack([number]), site_of(stack), [], "cancel")
        run.open.pop(run.number, None)

    # -- cleanups --------------------------------------------------------------------------------------

    def defer(
        self,
        index: int,
        policy: Wire,
        args: list[Wire],
        kwargs: list[Wire],
        grace: Wire,
        undoes_next: bool,
        stack: str,
    ) -> int:
        """Registers a cleanup; its number."""
        driver = self._driver
        run = driver.current()
        self._check_nesting(run)
        info = driver.program.flows[index]
        grace_ms = int(self._seconds(grace) * 1_000)
        name = policy_items(policy).get("name", info.name)
        modules = list(self._modules(stack))
        known = None if undoes_next else args
        deferred = Deferred(info.reference, name, policy, known, kwargs, site_of(stack), modules)
        packed = self._pack([args, kwargs, policy, grace_ms, undoes_next])
        return cleanups.defer(driver, run, deferred, packed, undoes_next)

    def clean(self, number: int, stack: str) -> Answer:
        """Runs a cleanup that was registered, and waits for it."""
        run = self._driver.current()
        self._check_deferred(run, number)
        if run.deferred[number].args is None:
            raise self._refuse("what this cleanup is for has given no value", "run what it undoes first")
        run.deferred[number].line = site_of(stack)
        return cleanups.clean(self._driver, run, number)

    def release(self, numbers: list[int], stack: str) -> None:
        """Forgets cleanups that were registered; one that was run, or has fallen away, is no error."""
        run = self._driver.current()
        for number in numbers:
            if not 0 < number <= run.number:
                self._check_deferred(run, number)
        cleanups.release(self._driver, run, numbers, site_of(stack))

    def _check_deferred(self, run: Run, number: int) -> None:
        if number not in run.deferred:
            raise self._refuse(
                "this cleanup is not registered any more, or not with this flow",
                "a cleanup is run once, by the flow that has registered it",
            )

    def sleep(self, duration: Wire, stack: str) -> None:
        """Sleeps for a duration."""
        run = self._driver.current()
        self._driver.act(run, "sleep", self._pack([self._seconds(duration)]), site_of(stack), [], "sleep")

    def sleep_until(self, timestamp: Wire, stack: str) -> None:
        """Sleeps until a moment."""
        run = self._driver.current()
        try:
            moment = moment_of(timestamp)
        except ArgumentError as error:
            raise self._refuse(f"`sleep_until`: {error.message}") from None
        self._driver.act(run, "sleep_until", self._pack([moment]), site_of(stack), [], "sleep_until")

    # -- lives -----------------------------------------------------------------------------------------

    def continue_as_new(self, kwargs: list[Wire], stack: str) -> None:
        """Ends this life of the flow and begins the next with these arguments; never returns."""
        self._continue(self._next_life(kwargs, "continue_as_new", stack), stack)

    def safe_point(self, kwargs: list[Wire], stack: str) -> None:
        """As ``continue_as_new`` if this life has had so many actions as its setting says; else nothing."""
        packed = self._next_life(kwargs, "safe_point", stack)
        run = self._driver.current()
        # The numbers are the same on every replay, so nothing of this need be recorded.
        if run.continue_every and run.number - run.base >= run.continue_every:
            self._continue(packed, stack)

    def _next_life(self, kwargs: list[Wire], asked: str, stack: str) -> bytes:
        run = self._driver.current()
        if run.index == SCRIPT:
            raise self._refuse(f"`{asked}` is for flows: the body of a file has no arguments", "put it into a flow")
        info = self._driver.program.flows[run.index]
        own = info.label.rpartition("//")[0]
        for package in (module.rpartition("//")[0] for module in self._modules(stack)):
            # The next life begins with no call stack: whoever chooses its arguments would act as the flow does.
            if package not in ("", own):
                raise self._refuse(
                    f"`{asked}` is called by the package {package}, whose flow this is not",
                    "a function of a package may give the arguments; call it in the flow's own code",
                )
        if info.declared:
            try:
                bind(info.name, info.arguments, [], kwargs)
            except ArgumentError as error:
                raise self._refuse(f"`{asked}`: {error.message}", error.remedy) from None
        return self._pack([[], kwargs])

    def _continue(self, packed: bytes, stack: str) -> None:
        driver = self._driver
        run = driver.current()
        # As at the end of a flow: what it has started and not looked at is waited for, then its cleanups are run.
        driver.observe(run, list(run.unobserved))
        answer = full_answer(cleanups.clean_rest(driver, run, None)) if run.deferred else [True]
        if not answer[0]:
            run.failure = answer[2]
            raise HostError("a cleanup failed")
        driver.act(run, "continue", packed, site_of(stack), [], "continue")

    # -- records ---------------------------------------------------------------------------------------

    def now(self, stack: str) -> str:
        """The recorded time, never earlier than the run has seen."""
        return str(self._driver.record("now", site_of(stack), lambda run: self._driver.moment(run)[1]))

    def random(self, stack: str) -> float:
        """A recorded random number in [0, 1)."""
        return float(self._driver.record("random", site_of(stack), self._new_random))

    def uuid(self, stack: str) -> str:
        """A recorded random UUID."""
        return str(self._driver.record("uuid", site_of(stack), self._new_uuid))

    def _new_random(self, run: Run) -> float:
        return (self._driver.chance(run) >> 75) / 2**53

    def _new_uuid(self, run: Run) -> str:
        return str(system_uuid.UUID(int=self._driver.chance(run), version=4))

    def expose(self, key: str, value: Wire, stack: str) -> None:
        """Shows a value under a key."""
        if not is_name(key):
            raise self._refuse(f"`expose`: a key cannot be {to_text(key, 80)}: it is {NAME_RULE}")
        self._driver.record("expose", site_of(stack), lambda _run: None, self._pack([key, value]))

    def log(self, text: str, fields: Wire, level: str, stack: str) -> None:
        """Writes a log line unless it is recorded already; while a module loads, nothing."""
        driver = self._driver
        if driver.program.is_loading():
            return
        run = driver.current()
        run.log_index += 1
        if run.history is not None and driver.is_logged(run):
            return
        limit = self._limits.log_line_bytes
        cut = text if len(text) <= limit else f"{text[:limit]}…"
        packed = None if fields is None else self._pack(fields)
        driver.emit(
            run, ["log", run.run_id, run.incarnation, run.number, run.log_index, cut, packed, site_of(stack), level]
        )

    # -- the rest --------------------------------------------------------------------------------------

    def fail(self, failure: Wire, stack: str) -> None:
        """Ends the current flow with a failure; while a module loads, the loading."""
        program = self._driver.program
        is_failure = isinstance(failure, dict) and "failure" in failure
        message = failure["failure"][1] if is_failure else to_text(failure)
        run = self._driver.innermost()
        if run is None or program.is_loading():
            raise self._refuse(message)
        if not is_failure:
            failure = Failure("failed", message, flow=run.name, source=site_of(stack)).to_wire()
        if not failure["failure"][5]:
            failure["failure"][5] = program.diagnose(stack).trace
        run.failure = failure
        raise HostError(message)

    def context(self) -> FlowContextParts:
        """What a flow context is made of."""
        run = self._driver.innermost()
        if run is None or self._driver.program.is_loading():
            raise self._refuse("there is no current flow: `current_flow()` works below a flow's implementation")
        return [run.context, run.bound]

    def flow_name(self) -> str:
        """The name of the current flow, or the empty string while a module loads."""
        run = self._driver.innermost()
        return run.name if run is not None else ""

    # -- helpers ---------------------------------------------------------------------------------------

    def _modules(self, stack: str) -> tuple[str, ...]:
        """The modules whose doing a call is; the main file, which is behind every call, is not named.

        The module of the flow is among them though it may be in no frame: a function of another may have made the flow.
        """
        program = self._driver.program
        if not program.has_libraries:
            return ()
        found = modules_of(stack, program.main)
        index = self._driver.current().index
        label = program.main if index == SCRIPT else program.flows[index].label
        return found if label == program.main or label in found else (label, *found)

    def _with_settings(self, policy: Wire, kwargs: list[Wire]) -> tuple[Wire, list[Wire]]:
        """The settings of a start and the arguments of an effect, which takes both as keywords."""
        given = [at for at in range(0, len(kwargs), 2) if kwargs[at] in SETTINGS]
        if not given:
            return policy, kwargs
        settings = policy_items(policy) | {kwargs[at]: kwargs[at + 1] for at in given}
        merged = {"dict": [part for pair in settings.items() for part in pair]}
        try:
            check_policy(merged, "effect")
        except UsageError as error:
            raise self._refuse(error.message, error.remedy) from None
        rest = [part for at in range(0, len(kwargs), 2) if at not in given for part in kwargs[at : at + 2]]
        return merged, rest

    def _refuse(self, message: str, hint: str = "", kind: str = "error") -> HostError:
        return self._driver.program.refuse(HostError(message, hint=hint, kind=kind))

    def _pack(self, wire: Wire) -> bytes:
        try:
            return pack(wire)
        except ValueCodecError as error:
            raise self._refuse(error.message, error.remedy, "limit") from None
        except (OverflowError, ValueError) as error:
            raise self._refuse(f"the arguments cannot be encoded: {error}", kind="limit") from None

    def _check_nesting(self, run: Run) -> None:
        """Raise, before the action has its number, if a child's run id would be too long."""
        if len(run.run_id) > _LONG_ID:
            try:
                child_id(run.run_id, run.number + 1)
            except UsageError as error:
                raise self._refuse(error.message, error.remedy, "limit") from None

    def _check_tasks(self, run: Run, numbers: list[int]) -> None:
        for number in numbers:
            if number not in run.tasks:
                raise self._refuse(
                    f"task {number} was not started by this flow", "only the flow that started a task can use it"
                )

    def _settle(self, run: Run, tasks: list[int]) -> tuple[dict[int, Wire], Wire]:
        """Waits for the tasks in a blocking call's arguments: their values by number, or the first failure."""
        self._check_tasks(run, tasks)
        self._driver.observe(run, tasks)
        values: dict[int, Wire] = {}
        for number in tasks:
            is_ok, value, error = full_answer(self._driver.result(run, number))
            if not is_ok:
                return {}, error
            values[number] = value
        return values, None

    def _seconds(self, duration: Wire) -> float:
        if not isinstance(duration, int | float | str) or isinstance(duration, bool):
            raise self._refuse(
                f'a duration is a number of seconds or a text such as "1h30m", not {to_text(duration, 60)}'
            )
        try:
            seconds = float(parse_duration(duration))
        except UsageError as error:
            raise self._refuse(error.message, error.remedy) from None
        if not 0 <= seconds <= MAX_DURATION_SECONDS:
            raise self._refuse(f"a duration is from 0 seconds to 100 years, not {seconds:g} seconds")
        return seconds


def _too_large(name: str, line: str, call: list[Wire]) -> Failure | None:
    """The failure of a call whose tasks' values are too large together, if they are."""
    try:
        pack(call)
    except ValueCodecError as error:
        return Failure("limit", f"the arguments of {name}: {error.message}", flow=name, source=line)
    return None


def _late(message: str, flow: str, line: str) -> Answer:
    return [False, None, Failure("timeout", message, {"dict": ["running", True]}, flow, line).to_wire()]
