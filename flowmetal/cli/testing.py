"""What ``flowmetal test`` does: files one after another; the worker of the next comes up while one runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowmetal.assembly import conduct_of
from flowmetal.cli.limiting import parse_limits
from flowmetal.cli.loading_news import tell_of_packages
from flowmetal.cli.test_report import FileProblem, Report
from flowmetal.engine.launching import Launched, launch
from flowmetal.errors import (
    EXIT_OK,
    EXIT_RUN_FAILED,
    EXIT_USAGE,
    FlowmetalError,
    LanguageError,
    UsageError,
)
from flowmetal.packages.late import Conduct
from flowmetal.rehearsal.collecting import TestFile, find_files, read_test_file
from flowmetal.rehearsal.crashing import rehearse_crashes
from flowmetal.rehearsal.lending import Lender
from flowmetal.rehearsal.stage import on_stage
from flowmetal.settings import Limits


def run_tests(
    *,
    paths: tuple[str, ...],
    keyword: str,
    stop_at_first: bool,
    verbose: bool,
    crash_everywhere: bool,
    junit_file: str | None,
    durations: int,
    timeout: float,
    limits: tuple[str, ...],
    frozen: bool | None,
    offline: bool,
    as_json: bool,
) -> int:
    """Runs what is selected; the exit code.

    Raises:
        FlowmetalError: there is nothing to run, or what was asked for is wrong.
    """
    all_limits = parse_limits(limits)
    report = Report(verbose=verbose, as_json=as_json)
    files = _read(paths, keyword, conduct_of(frozen, offline), report)
    began = time.perf_counter()
    caught: list[int] = []
    with _interruptible(caught), contextlib.suppress(KeyboardInterrupt):
        run_all = _crash_files if crash_everywhere else _run_files
        run_all(files, all_limits, timeout, stop_at_first, report)
    report.finish(time.perf_counter() - began, durations, bool(caught))
    if junit_file is not None:
        report.write_junit(Path(junit_file))
    if caught:
        return 128 + caught[0]
    if report.problems:
        return EXIT_USAGE
    return EXIT_RUN_FAILED if report.failed else EXIT_OK


@contextlib.contextmanager
def _interruptible(caught: list[int]) -> Iterator[None]:
    """Ctrl-C, or another polite request to end, is remembered and ends what runs in good order."""

    def stop(number: int, _frame: object) -> None:
        caught.append(number)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _read(paths: Sequence[str], keyword: str, conduct: Conduct, report: Report) -> list[TestFile]:
    found = []
    for selected in find_files(paths):
        try:
            found.append(read_test_file(selected, keyword, conduct))
        except FlowmetalError as error:
            if selected.names:
                raise
            report.problem(FileProblem(selected.file, error))
    chosen = [each for each in found if each.names]
    if not chosen and not report.problems:
        raise UsageError(
            f"no test's name holds `{keyword}`"
            if keyword
            else f"there is no test in {', '.join(e.file for e in found)}",
            remedy="leave out -k to run all" if keyword else "a test is a function `def test_…(t):` at the top level",
        )
    return chosen


def _run_files(files: list[TestFile], limits: Limits, timeout: float, stop_at_first: bool, report: Report) -> None:
    with _spares(limits) as spares:
        for at, file in enumerate(files):
            spare = spares.pop() if spares else None
            if at + 1 < len(files):
                spares.append(launch(limits))
            asyncio.run(_run_file(file, limits, timeout, stop_at_first, report, spare))
            if stop_at_first and (report.failed or report.problems):
                return


@contextlib.contextmanager
def _spares(limits: Limits) -> Iterator[list[Launched]]:
    spares = [launch(limits)]
    try:
        yield spares
    finally:
        for each in spares:
            each.discard()


async def _run_file(
    file: TestFile, limits: Limits, timeout: float, stop_at_first: bool, report: Report, spare: Launched | None
) -> None:
    left = list(file.names)
    with contextlib.closing(Lender(spare)) as lender:
        while left:
            with (
                tempfile.TemporaryDirectory(prefix="flowmetal-test-") as scratch,
                on_stage(Path(scratch), lender=lender) as stage,
            ):
                try:
                    await stage.load(file, limits)
                except FlowmetalError as error:
                    report.problem(FileProblem(file.file, error))
                    return
                finally:
                    tell_of_packages(file.sources.files)
                while left and not (stage.is_spoilt or stage.is_used):
                    tested = await stage.run(left.pop(0), str(file.sources.files.root), timeout)
                    report.add(file.file, tested, stage.journal)
                    if stop_at_first and not tested.passed:
                        return
            if stage.is_spoilt:
                lender.close()


def _crash_files(files: list[TestFile], limits: Limits, timeout: float, stop_at_first: bool, report: Report) -> None:
    for file in files:
        asyncio.run(_crash_file(file, limits, timeout, stop_at_first, report))
        if stop_at_first and (report.failed or report.problems):
            return


async def _crash_file(file: TestFile, limits: Limits, timeout: float, stop_at_first: bool, report: Report) -> None:
    lender = Lender()
    try:
        for name in file.names:
            with tempfile.TemporaryDirectory(prefix="flowmetal-test-") as scratch:
                tested, journal = await rehearse_crashes(file, name, Path(scratch), limits, timeout, lender)
                report.add(file.file, tested, journal)
                if stop_at_first and not tested.passed:
                    return
    except LanguageError as error:
        report.problem(FileProblem(file.file, error))
    finally:
        tell_of_packages(file.sources.files)
        lender.close()
