"""Chunk files: flow programs with what must come of them written on the line that must bring it.

A file is cut into *chunks* by lines of ``---``.  Each chunk is a program that is loaded and then run as a script by a
real engine and worker.  ``=== name.flow`` begins a further module of the chunk; what stands above the first such line
is ``main.flow``.

    x = 1 // 0          ### "division"          the error is reported at this line; message and help match
    f()                 ### limit "too deep"    likewise, and the failure's kind is this one
    ### file "starts nothing"                   the error has no line of the program
    ### out: hello                              the next line of what was printed and logged
    ### result: [1, 2]                          the run's value as one line
    ### cause: failed "no rows"                 the next cause of the failure, with its kind

A chunk without an expected error must end in Ok; a chunk with one must end in that one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flowmetal.actions.registry import STANDARD
from flowmetal.alarm_clock import SystemClock
from flowmetal.carried import prelude_directory
from flowmetal.engine.engine import Engine
from flowmetal.engine.starting import RunRequest
from flowmetal.errors import LanguageError, did_you_mean
from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.language.labels import carried_file, is_carried
from flowmetal.permissions.grants import parse_grants
from flowmetal.settings import Limits
from flowmetal.values import Failure, failure_of, is_ok, pack, to_text, unpack

MAIN = "main.flow"
_WANTED = re.compile(r'###\s+(?P<whole>file )?(?:(?P<kind>[a-z]+) )?(?P<pattern>"(?:[^"\\]|\\.)*")\s*$')
_TOLD = re.compile(r"^###\s+(?P<what>out|result|cause): (?P<rest>.*)$")


@dataclass(frozen=True)
class Wanted:
    """An expected error: ``line`` 0 stands for an error of the whole file."""

    file: str
    line: int
    kind: str
    pattern: str


@dataclass
class Chunk:
    """One program of a chunk file; ``line`` is where it begins there."""

    path: Path
    line: int
    title: str
    files: dict[str, str] = field(default_factory=dict)
    wanted: Wanted | None = None
    out: list[str] = field(default_factory=list)
    result: str | None = None
    causes: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.path.stem}:{self.line} {self.title}"


@dataclass(frozen=True)
class Came:
    """What came of a chunk."""

    message: str = ""
    place: str = ""
    kind: str = ""
    shown: str = ""
    failure: Failure | None = None
    result: str = ""
    out: tuple[str, ...] = ()


def read_chunks(path: Path) -> Iterator[Chunk]:
    """The chunks of a file."""
    at = 1
    for text in re.split(r"^---\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        yield _chunk(path, at, text)
        at += text.count("\n") + 1


def _chunk(path: Path, at: int, text: str) -> Chunk:
    title = next((line.lstrip("# ") for line in text.split("\n") if re.match(r"# \S", line)), "")[:60]
    chunk = Chunk(path, at, title)
    name, lines = MAIN, list[str]()
    for line in [*text.split("\n"), None]:
        if line is None or line.startswith("=== "):
            chunk.files[name] = "\n".join(lines) + "\n"
            name, lines = line[4:].strip() if line else "", []
            continue
        lines.append(line)
        told = _TOLD.match(line)
        wanted = _WANTED.search(line)
        if told:
            _tell(chunk, told["what"], told["rest"])
        elif wanted:
            pattern = ast.literal_eval("r" + wanted["pattern"])
            found = Wanted(name, 0 if wanted["whole"] else len(lines), wanted["kind"] or "", pattern)
            assert chunk.wanted is None, f"{path}:{at}: more than one expected error"
            chunk.wanted = found
        else:
            assert "###" not in line, f"{path}:{at + len(lines)}: not an expectation: {line}"
    return chunk


def _tell(chunk: Chunk, what: str, rest: str) -> None:
    if what == "out":
        chunk.out.append(rest)
    elif what == "cause":
        chunk.causes.append(rest)
    else:
        chunk.result = rest


class Texts:
    """A chunk's files as a program's sources; the prelude's come from where they are."""

    packages = None

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def text_of(self, label: str) -> str:
        name = label.removeprefix("//")
        if is_carried(label):
            return (prelude_directory() / carried_file(label)).read_text(encoding="utf-8")
        if name not in self._files:
            raise LanguageError(f"there is no file {name}{did_you_mean(name, self._files)}")
        return self._files[name]


async def run_chunk(files: dict[str, str], home: Path, limits: Limits | None = None) -> Came:
    """Runs a program's main file as a script, from load to outcome, on an engine of its own."""
    journal = Journal(MemoryStore(), home, SystemClock())
    engine = Engine(journal, ownership.acquire(home), STANDARD, (), SystemClock())
    try:
        try:
            program = await engine.load(f"//{MAIN}", Texts(files), limits or Limits())
        except LanguageError as error:
            return Came(f"{error.message} ({error.remedy})", error.place, "", error.show())
        grants = parse_grants([], [], str(home))
        engine.begin(program, RunRequest("main", "", "main", pack([[], []]), grants, str(home)))
        outcome = await engine.outcome("main")
        out = tuple(_out(journal))
        if outcome.error is not None:
            return Came(outcome.error.message, outcome.error.place, "", outcome.error.show(), out=out)
        assert outcome.value is not None
        result = unpack(outcome.value)
        if is_ok(result):
            return Came(result=to_text(result["result"][1], 2_000), out=out)
        failure = failure_of(result)
        return Came(
            failure.message, failure.source, failure.kind, f"{failure.message}\n{failure.trace}", failure, out=out
        )
    finally:
        engine.close()


def _out(journal: Journal) -> Iterator[str]:
    for run_id in ["main", *(each.run_id for each in journal.descendants("main"))]:
        for _, event in journal.history(run_id):
            if event.kind == "log":
                fields = event.fields.get("fields")
                value = unpack(fields) if fields else None
                yield event.fields["text"] + (f" {to_text(value)}" if value else "")


def judge(chunk: Chunk, came: Came) -> list[str]:
    """What of a chunk's expectations does not hold."""
    problems = []
    wanted = chunk.wanted
    if wanted is None:
        if came.message:
            problems.append(f"it must end in Ok, but: {came.place}: {came.shown}")
    elif not came.message:
        problems.append(f"it must end in an error at {wanted.file}:{wanted.line}, but ended in Ok({came.result})")
    else:
        line = came.place.split(":")[1] if came.place.count(":") else "0"
        # Where no line of the program is to blame, the place is in the package that is carried and made the flow.
        in_package = not wanted.line and is_carried(came.place.split(":")[0])
        if not in_package and (came.place.split(":")[0] or wanted.file, line) != (wanted.file, str(wanted.line)):
            problems.append(
                f"the error must be at {wanted.file}:{wanted.line}, but is at {came.place or 'no place'}:\n{came.shown}"
            )
        if not re.search(wanted.pattern, came.message):
            problems.append(f"the error must match {wanted.pattern!r}, but is: {came.message}")
        if wanted.kind and wanted.kind != came.kind:
            problems.append(f"the error must be of kind {wanted.kind}, but is {came.kind or 'an error of loading'}")
    if chunk.out and chunk.out != list(came.out):
        problems.append(f"it must print {chunk.out}, but printed {list(came.out)}")
    if chunk.result is not None and chunk.result != came.result:
        problems.append(f"the result must be {chunk.result}, but is {came.result}")
    return problems + _judge_causes(chunk, came)


def _judge_causes(chunk: Chunk, came: Came) -> list[str]:
    causes = came.failure.chain()[1:] if came.failure else []
    problems = []
    for at, text in enumerate(chunk.causes):
        kind, _, pattern = text.partition(" ")
        if at >= len(causes):
            problems.append(f"cause {at + 1} must be {text}, but there are {len(causes)}")
        elif causes[at].kind != kind or not re.search(ast.literal_eval("r" + pattern), causes[at].message):
            problems.append(f"cause {at + 1} must be {text}, but is {causes[at].kind} {causes[at].message!r}")
    return problems
