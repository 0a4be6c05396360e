"""How tests are shown: dots or lines while they run, what failed and why, a line that sums up, JSON, JUnit XML."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from flowmetal.cli.comparing import compared_lines
from flowmetal.cli.junit import JunitCase, junit_xml
from flowmetal.cli.outcomes import Sources, failure_lines
from flowmetal.cli.text import drawn, json_text, printable, show_seconds
from flowmetal.errors import FlowmetalError
from flowmetal.journal.journal import Journal
from flowmetal.rehearsal.recorded import failure_places
from flowmetal.rehearsal.stage import Tested
from flowmetal.rehearsal.world import Missing
from flowmetal.values import Failure, to_json_data

_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A test file that cannot be run."""

    file: str
    error: FlowmetalError


@dataclass(frozen=True, slots=True)
class Shown:
    """One test that ran; ``lines`` say what went wrong, none if it passed."""

    file: str
    name: str
    seconds: float
    lines: tuple[str, ...]
    data: dict[str, Any]


@dataclass
class Report:
    """Gathers what came of tests and shows it."""

    verbose: bool
    as_json: bool
    shown: list[Shown] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)
    _file: str = ""
    _column: int = 0

    @property
    def failed(self) -> list[Shown]:
        """The tests that did not pass."""
        return [each for each in self.shown if each.lines]

    # -- while they run --------------------------------------------------------------------------------

    def problem(self, problem: FileProblem) -> None:
        """Takes in a file that cannot be run."""
        self.problems.append(problem)
        if self.as_json:
            data = {"file": problem.file, "status": "error", "message": problem.error.message}
            print(json_text({**data, "place": problem.error.place, "help": problem.error.remedy}))
        elif self.verbose:
            print(f"{printable(problem.file)} ERROR")
        else:
            self._mark(problem.file, "E")

    def add(self, file: str, tested: Tested, journal: Journal) -> None:
        """Takes in a test that ran on ``journal``."""
        lines = () if tested.passed else tuple(_failure(tested, journal))
        shown = Shown(file, tested.name, tested.seconds, lines, _data(file, tested))
        self.shown.append(shown)
        if self.as_json:
            print(json_text(shown.data))
        elif self.verbose:
            print(f"{printable(file)}::{tested.name} {'FAILED' if lines else 'passed'}")
        else:
            self._mark(file, "F" if lines else ".")
        sys.stdout.flush()

    def _mark(self, file: str, mark: str) -> None:
        if file != self._file:
            start = f"{printable(file)} "
            print(("\n" if self._file else "") + start, end="")
            self._file, self._column = file, len(start)
        elif self._column >= _WIDTH:
            print("\n  ", end="")
            self._column = 2
        print(mark, end="", flush=True)
        self._column += 1

    # -- at the end ------------------------------------------------------------------------------------

    def finish(self, seconds: float, durations: int, interrupted: bool) -> None:
        """Shows what failed, and sums up."""
        passed = len(self.shown) - len(self.failed)
        if self.as_json:
            counts = {"passed": passed, "failed": len(self.failed), "errors": len(self.problems)}
            print(json_text({**counts, "seconds": round(seconds, 3), "interrupted": interrupted}))
            return
        if not self.verbose and self._file:
            print()
        for each in self.failed:
            print(_ruler(f"{printable(each.file)}::{each.name}", "_"))
            print("\n".join(each.lines))
            print()
        for problem in self.problems:
            print(_ruler(f"{printable(problem.file)} cannot be run", "_"))
            print(printable(problem.error.show(), keep="\n\t"))
            print()
        if durations:
            print(_ruler(f"the slowest {durations}", "="))
            for each in sorted(self.shown, key=lambda each: -each.seconds)[:durations]:
                print(f"{show_seconds(each.seconds):>8}  {printable(each.file)}::{each.name}")
        parts = [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{passed} passed"] if passed or not parts else []
        parts += [f"{len(self.problems)} file{'s' * (len(self.problems) > 1)} in error"] if self.problems else []
        parts += ["interrupted"] if interrupted else []
        print(_ruler(f"{', '.join(parts)} in {show_seconds(seconds)}", "="))

    def write_junit(self, path: Path) -> None:
        """Writes all of it as JUnit XML."""
        cases = [JunitCase(each.file, each.name, each.seconds, each.lines) for each in self.shown]
        cases += [JunitCase(each.file, "", 0.0, tuple(each.error.show().split("\n")), True) for each in self.problems]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(junit_xml(cases))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def _ruler(text: str, char: str) -> str:
    return f"{char * 8} {text} {char * 8}"


# -- why a test failed ---------------------------------------------------------------------------------


def _failure(tested: Tested, journal: Journal) -> Iterator[str]:
    """What went wrong, for a person."""
    if tested.error is not None:
        yield printable(tested.error.show(), keep="\n\t")
        return
    ok, _, error = tested.result["result"]
    if not ok:
        failure = Failure.from_wire(error)
        compared = compared_lines(failure)
        yield from _missing(tested, journal)
        shown = failure if compared is None else _without_details(failure)
        yield from failure_lines(journal, journal.require(tested.name), shown)
        if compared is not None:
            yield from compared
    else:
        yield from _missing(tested, journal)
    for finding in tested.crashes:
        yield f"error: {tested.name} comes out otherwise when the engine ends"
        yield f"  {printable(finding.moment)}"
        for each in finding.differences:
            yield f"  | {printable(each)}"


def _missing(tested: Tested, journal: Journal) -> Iterator[str]:
    """What the test had not foreseen, each once, with its place and the line to add."""
    seen: dict[Missing, None] = dict.fromkeys(tested.world.missing)
    places = failure_places(journal, tested.name) if seen else {}
    sources = Sources(journal, journal.require(tested.name)) if seen else None
    for each in seen:
        yield f"error: {printable(each.call)} {each.reason}"
        place = places.get(each.message, "")
        if place and sources is not None:
            yield f"  --> {printable(place)}"
            yield drawn(sources.excerpt(place))
        yield f"  help: add to {tested.name}: {printable(each.line)}"


def _without_details(failure: Failure) -> Failure:
    return Failure(
        failure.kind, failure.message, {"dict": []}, failure.flow, failure.source, failure.trace, failure.cause
    )


def _data(file: str, tested: Tested) -> dict[str, Any]:
    """One test for JSON."""
    data: dict[str, Any] = {
        "file": file,
        "test": tested.name,
        "status": "passed" if tested.passed else "failed",
        "seconds": round(tested.seconds, 4),
    }
    if tested.error is not None:
        data["error"] = tested.error.show()
    elif not tested.result["result"][0]:
        data["failure"] = to_json_data(tested.result["result"][2])
    if tested.crash_count:
        data["crashes"] = tested.crash_count
        data["differences"] = [{"moment": each.moment, "what": list(each.differences)} for each in tested.crashes]
    if tested.world.missing:
        data["missing"] = [
            {"call": each.call, "reason": each.reason, "add": each.line} for each in dict.fromkeys(tested.world.missing)
        ]
    return data
