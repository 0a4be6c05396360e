"""Which texts of modules a worker is given while it loads a program.

Files come at once.  When nothing but packages is missing, all packages of the program are resolved in one go, for then
every file of the root program has been read and what it asks for is known; the worker waits meanwhile.  From then on
the worker has the packages' rules, and asks for modules by their labels.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, Protocol

from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.table import ProgramState
from flowmetal.errors import FlowmetalError, InternalError, LanguageError, PackageError
from flowmetal.language.labels import is_carried
from flowmetal.language.package_loads import ROOT, Rule, parse_load
from flowmetal.language.scan import decode_source
from flowmetal.package_graph import Graph, Member, PackageSource, Request

_MAX_MODULES: Final = 2_000
_MAX_REQUESTS: Final = 256
# In characters, of which one takes up to four bytes; one module more may be added to it.
_AT_ONCE: Final = 512 * 1024


class SourceProvider(Protocol):
    """Where the text of modules comes from while a program is first loaded."""

    @property
    def packages(self) -> PackageSource | None:
        """Where packages come from; None if there are none but those that ``text_of`` knows."""
        ...

    def text_of(self, label: str) -> str:
        """The text of a module.

        Raises:
            LanguageError: there is no such module, or it cannot be read.
        """
        ...


def answer(program: ProgramState, provider: SourceProvider | None, labels: list[Any], worker: WorkerProcess) -> None:
    """Answers a worker that needs ``labels``: now, or when the packages that it asks for have come."""
    source = provider.packages if provider is not None else None
    if source is not None and program.graph is None and all(_is_of_package(label) for label in labels):
        if program.resolving is None:  # a worker that asks twice is answered once
            program.resolving = asyncio.ensure_future(_resolve(program, source, labels, worker))
        return
    if program.graph is None and source is not None:
        labels = [label for label in labels if not _is_of_package(label)]
    worker.send(["sources", *supply(program, provider, labels), program.rules])
    worker.flush()


async def _resolve(program: ProgramState, source: PackageSource, labels: list[str], worker: WorkerProcess) -> None:
    problem: list[str] = []
    try:
        if len(labels) > _MAX_REQUESTS:
            raise LanguageError(f"the program loads more than {_MAX_REQUESTS} packages")
        loads = [parse_load(label.removesuffix("//")) for label in labels]
        graph = await source.resolve([Request(load.package, load.requirement) for load in loads])
        program.graph = graph
        program.rules = rules_of(graph)
    except FlowmetalError as error:
        program.refusal = error if isinstance(error, PackageError) else None
        problem = [error.message, error.place, error.remedy, _label_meant(error, labels)]
    except Exception as error:
        program.refusal = InternalError(f"{type(error).__name__}: {error}")
        program.refusal.__cause__ = error
        problem = [program.refusal.message, "", "", labels[0]]
    finally:
        program.resolving = None
    worker.send(["sources", {}, problem, program.rules])
    worker.flush()


def _label_meant(error: FlowmetalError, labels: list[str]) -> str:
    """The load that an error is about: one whose package it names, else the first, which led to that package."""
    return next((label for label in labels if re.split("@|//", label)[0] in error.message), labels[0])


def placed(refusal: FlowmetalError, found: FlowmetalError) -> FlowmetalError:
    """Why packages could not be had, with the place of the load that ``found`` names."""
    told = type(refusal)(refusal.message, place=found.place, excerpt=found.excerpt, remedy=refusal.remedy)
    told.__cause__ = refusal.__cause__
    return told


def _is_of_package(label: Any) -> bool:
    return type(label) is str and not label.startswith("//") and not is_carried(label)


def rules_of(graph: Graph) -> dict[str, list[Any]]:
    """What a worker is told of a program's packages."""
    found = {ROOT: Rule("", graph.requires).to_data()}
    for member in graph.members.values():
        found[member.package] = Rule(member.entry, member.requires, member.exports).to_data()
    return found


def pinned_rules(packages: list[list[str]]) -> dict[str, list[Any]]:
    """The rules of packages that a run has recorded: its code is pinned, so nothing but the entries matters."""
    if not packages:
        return {}
    return {ROOT: Rule("").to_data(), **{package: Rule(entry).to_data() for package, _, _, entry in packages}}


def packages_of(program: ProgramState) -> list[list[str]]:
    """What a run records of its packages, of those that have a module in it: id, version, tree, entry."""
    if program.graph is None:
        return []
    loaded = {label.rpartition("//")[0] for label in program.labels}
    members = [member for package, member in sorted(program.graph.members.items()) if package in loaded]
    return [[member.package, member.version, member.tree, member.entry] for member in members]


def supply(
    program: ProgramState, provider: SourceProvider | None, labels: list[Any]
) -> tuple[dict[str, str], list[str]]:
    """Texts for the labels that a worker needs: as many as go into a frame with ease, for it asks again.

    What the program does not have yet comes from ``provider``, and stays.  With them, what is wrong with the next one:
    message, place, remedy and label, or nothing.
    """
    known = [label for label in labels if type(label) is str and label in program.sources]
    if known:
        return first_of(program.sources, known), []
    found: dict[str, str] = {}
    for label in labels:
        if sum(map(len, found.values())) > _AT_ONCE:
            break
        try:
            if provider is None or type(label) is not str:
                raise LanguageError(f"the module {label} is not among the pinned ones")
            if len(program.sources) >= _MAX_MODULES:
                raise LanguageError(f"the program has more than {_MAX_MODULES:,} modules")
            package, _, file = label.rpartition("//")
            member = program.graph.members.get(package) if program.graph is not None else None
            text = provider.text_of(label) if member is None else _text_of(member, file, label)
            found[label] = program.sources[label] = text
        except LanguageError as error:
            return found, [error.message, error.place, error.remedy, str(label)]
    return found, []


def _text_of(member: Member, file: str, label: str) -> str:
    data = member.texts.get(file)
    if data is None:
        version = f" {member.version}" if member.version else ""
        raise LanguageError(f"{member.package}{version} has no file {file}")
    return decode_source(data, label)


def first_of(sources: dict[str, str], labels: list[str]) -> dict[str, str]:
    """As many of the modules as go into a frame with ease; at least one."""
    found: dict[str, str] = {}
    size = 0
    for label in labels:
        found[label] = sources[label]
        size += len(sources[label])
        if size > _AT_ONCE:
            break
    return found
