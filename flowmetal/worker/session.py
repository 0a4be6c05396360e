"""The worker's main thread: reads frames, loads the program, gives runs to strands and messages to runs."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import Any, Final, NoReturn

import msgpack

from flowmetal import __version__
from flowmetal.errors import LanguageError
from flowmetal.identity import run_key
from flowmetal.language.checking import check_program
from flowmetal.language.diagnostics import Diagnostic
from flowmetal.language.dialect import DIALECT, HOST_BINDING, interpreter_version
from flowmetal.language.labels import PRELUDE_MAIN
from flowmetal.language.package_loads import Rule
from flowmetal.language.program import Program
from flowmetal.settings import Limits
from flowmetal.worker.channel import Channel
from flowmetal.worker.driver import Driver, moment_text
from flowmetal.worker.evaluation import Evaluator
from flowmetal.worker.host import FlowHost
from flowmetal.worker.level import Confinement
from flowmetal.worker.limits import arm_cpu_limit
from flowmetal.worker.run import SCRIPT, History, Run
from flowmetal.worker.strand import Mailbox, Strand, StrandPool

_CANCELLED: Final = "Evaluation cancelled"
FAULT_EXIT_CODE: Final = 70
_MAX_ACTIVE: Final = 4


class Session:
    """One worker's life: one program, any number of runs."""

    def __init__(self, channel: Channel, limits: Limits) -> None:
        self._channel = channel
        # A stretch of evaluation ends with an action, whether or not that needs an answer.
        channel.on_write = lambda: arm_cpu_limit(limits)
        self._limits = limits
        self._pool = StrandPool(_MAX_ACTIVE, lambda error: self.fault(f"a thread could not start: {error}"))
        self._driver = Driver(channel, self._pool)
        evaluator = Evaluator(self._driver, limits, self.fault)
        self._evaluator = evaluator
        self._host = FlowHost(self._driver, evaluator, limits)
        self._program: Program | None = None
        self._ahead: Program | None = None
        # Looks into files, which is over when the process is locked in.
        self._versions = versions()

    def serve(self, confinement: Confinement) -> None:
        """Says hello, and how far the process is locked in; handles messages until the engine goes away."""
        self._channel.send(["hello", self._versions, confinement.level, confinement.landlock_abi, confinement.reason])
        self._channel.flush()
        while messages := self._channel.receive():
            arm_cpu_limit(self._limits)
            for message in messages:
                self._handle(message)

    def prepare(self, prelude: dict[str, str]) -> None:
        """Evaluates the prelude while nobody needs the process yet; ``prelude`` are its texts by label.

        The program of a recorded run may bring another prelude, which is then evaluated when it comes.
        """
        program = Program(PRELUDE_MAIN, prelude, self._host, self._limits.call_depth)
        self._driver.program = program
        budget = [self._limits.fuel_ticks // 1_000]
        # Whatever is wrong with it: a program that brings this text meets it again, and is told; one that was recorded
        # with another must be able to go on.
        with contextlib.suppress(Exception):
            if not program.missing():
                program.load(lambda: _spend(budget))
                self._ahead = program

    def fault(self, reason: str) -> NoReturn:
        """Ends the process, after telling the engine why; nothing else of what is queued matters any more."""
        try:
            self._channel.send(["fault", reason[:500]])
            self._channel.flush()
        finally:
            os._exit(FAULT_EXIT_CODE)

    def _handle(self, message: list[Any]) -> None:
        kind = message[0]
        if kind in ("result", "history", "evict", "drop"):
            mailbox = self._driver.mailboxes.get(message[1])
            if mailbox is not None:
                if kind == "drop":
                    mailbox.dropped.add(message[1])
                mailbox.inbox.put(message)
        elif kind == "start":
            self._start(message[1], message[2], message[3])
        elif kind == "time":
            self._driver.simulated_us = message[1]
        elif kind == "program":
            self._load(message[1], message[2], message[3])
        elif kind == "check":
            self._check(message[1], message[2], message[3])

    # -- the program -----------------------------------------------------------------------------------

    def _load(self, main: str, sources: dict[str, str], rules: dict[str, list[Any]]) -> None:
        program = self._new_program(main, sources)
        _take_rules(program, rules)
        self._driver.program = program
        budget = [self._limits.fuel_ticks // 1_000]
        try:
            self._complete(program)
            program.load(lambda: _spend(budget))
        except LanguageError as error:
            self._channel.send(["invalid", self._in_words(Diagnostic.of_error(error), budget).to_data()])
        except BaseException as error:
            # Exhausted memory and panics of the interpreter.
            self.fault(f"{type(error).__name__}: {error}")
        else:
            self._program = program
            flows = [flow.to_data() for flow in program.flows]
            self._channel.send(["loaded", flows, program.labels])
        self._channel.flush()

    def _check(self, main: str, sources: dict[str, str], effects: dict[str, list[Any]]) -> None:
        """Says what is wrong with a program; none of its runs follow."""
        program = self._new_program(main, sources)
        self._driver.program = program
        budget = [self._limits.fuel_ticks // 1_000]
        try:
            self._complete(program)
            found = check_program(program, lambda: _spend(budget), effects)
        except LanguageError as error:
            found = [Diagnostic.of_error(error)]
        except BaseException as error:
            self.fault(f"the check came to grief: {type(error).__name__}: {error}")
        self._channel.send(["checked", [self._in_words(each, budget).to_data() for each in found]])
        self._channel.flush()

    def _new_program(self, main: str, sources: dict[str, str]) -> Program:
        program, self._ahead = self._ahead, None
        if program is None:
            return Program(main, sources, self._host, self._limits.call_depth)
        program.become(main, sources)
        return program

    def _in_words(self, diagnostic: Diagnostic, budget: list[int]) -> Diagnostic:
        """What is wrong with a program; for the end of the fuel the interpreter has no words of its own."""
        if budget[0] >= 0 or diagnostic.message != _CANCELLED:
            return diagnostic
        message = f"the modules compute for more than {self._limits.fuel_ticks:,} steps while they are loaded"
        remedy = "the limit is `fuel_ticks`; compute in a flow what takes long"
        return replace(diagnostic, message=message, hint=remedy)

    def _complete(self, program: Program) -> None:
        """Asks for modules until every load of every module is at hand; nothing is evaluated yet."""
        while missing := program.missing():
            self._channel.send(["need", missing])
            self._channel.flush()
            self._take_sources(program, missing)

    def _take_sources(self, program: Program, missing: list[str]) -> None:
        for message in self._channel.receive():
            if message[0] == "sources":
                program.modules.sources.update(message[1])
                _take_rules(program, message[3])
                if message[2]:
                    error = LanguageError(message[2][0], place=message[2][1], remedy=message[2][2])
                    raise program.modules.unavailable(message[2][3], error)
            elif message[0] == "time":
                self._handle(message)
            elif message[0] in ("start", "program"):
                self.fault("a message out of order")

    # -- runs ------------------------------------------------------------------------------------------

    def _start(self, run_id: str, incarnation: int, about: dict[str, Any]) -> None:
        program = self._program
        if program is None:
            self.fault("a run without a program")
        reference = about["flow"]
        index = program.by_reference.get(reference) if reference else SCRIPT
        if index is None:
            self.fault(f"there is no flow {reference} in the program")
        args, kwargs = msgpack.unpackb(about["args"])[:2]
        run = Run(run_id, incarnation, index, args, kwargs)
        run.name = about["name"]
        run.nonce = about["nonce"]
        run.key = run_key(run.nonce, run_id, about["life"])
        run.continue_every = about["continue_every"]
        run.attempt = about["attempt"]
        run.started_ms = about["started_ms"]
        run.started = moment_text(run.started_ms * 1_000)
        run.last_now = run.started_ms * 1_000
        run.inlining = about["inlining"]
        run.number = run.base = about["base"]
        run.line = about["line"]
        if about["replay"]:
            run.history = History()
        # Messages may come before a strand is free: they wait in a mailbox of the run's own.
        mailbox = Mailbox()
        self._driver.mailboxes[run_id] = mailbox
        self._pool.submit(lambda strand: self._carry(strand, mailbox, run))

    def _carry(self, strand: Strand, mailbox: Mailbox, run: Run) -> None:
        strand.mailbox = mailbox
        try:
            self._evaluator.carry(strand, run)
        except BaseException as error:
            # Panics of the interpreter, exhausted memory, faults of ours: never a result of the flow.
            self.fault(f"{type(error).__name__}: {error}")


def _take_rules(program: Program, rules: dict[str, list[Any]]) -> None:
    if rules:
        program.modules.take_rules({package: Rule.from_data(data) for package, data in rules.items()})


def _spend(budget: list[int]) -> bool:
    budget[0] -= 1
    return budget[0] < 0


def versions() -> dict[str, str | int]:
    """What the worker is made of; a run records it."""
    return {
        "flowmetal": __version__,
        "starlark-pyo3": interpreter_version(),
        "dialect": DIALECT,
        "host_binding": HOST_BINDING,
    }
