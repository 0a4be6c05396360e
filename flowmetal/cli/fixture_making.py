"""What ``flowmetal fixture`` does: the text of a test, tried on a stage before it is written."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowmetal.assembly import locate_program, registry
from flowmetal.cli.reading import open_existing, started_of
from flowmetal.cli.text import printable
from flowmetal.errors import EXIT_OK, UsageError
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.language.labels import TEST_SUFFIX, short_name
from flowmetal.packages.opening import is_project, manifest_in
from flowmetal.rehearsal.collecting import unwritten_test_file
from flowmetal.rehearsal.fixture import RecordedFlow, fixture_text, flows_of, test_name
from flowmetal.rehearsal.lending import Lender
from flowmetal.rehearsal.stage import Tested, on_stage
from flowmetal.settings import Limits
from flowmetal.sources import FileSources
from flowmetal.values import Failure, is_ok

_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Making:
    """What a fixture is made of; ``packages`` has how the entry of a package is loaded, by its label."""

    journal: Journal
    header: Header
    flows: list[RecordedFlow]
    label: str
    sources: FileSources
    test_label: str
    output: str
    packages: Mapping[str, str]


def make_fixture(run_id: str, output: str | None, home: str | None) -> int:
    """Writes a test of a run, or prints it; the exit code.

    Raises:
        FlowmetalError: no such run, no test can be made of it, or the file exists.
    """
    journal = open_existing(home)
    header = journal.require(run_id)
    flows = flows_of(journal, header)
    started = started_of(journal, run_id)
    file = str(started.get("file", ""))
    if not file or not os.path.exists(file):
        raise UsageError(f"the file of the run {run_id} is not there any more: {file or 'it is not recorded'}")
    label, sources = locate_program(file)
    name = output or os.path.join(os.path.dirname(file), Path(file).stem + TEST_SUFFIX)
    if output is not None:
        _check_output(output, sources.root)
    test_label = f"//{Path(os.path.realpath(name)).relative_to(sources.root.resolve()).as_posix()}"
    packages = _loads_of_packages(started.get("packages", []), sources.root)
    text = asyncio.run(_make(_Making(journal, header, flows, label, sources, test_label, name, packages)))
    if output is None:
        print(printable(text, keep="\n\t"), end="")
        return EXIT_OK
    temporary = f"{output}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, output)
    print(f"{printable(output)}: run it with `flowmetal test {printable(output)}`")
    return EXIT_OK


def _check_output(output: str, root: Path) -> None:
    if not output.endswith(TEST_SUFFIX):
        raise UsageError(f"{output} is no name of a test file", remedy=f"test files end in {TEST_SUFFIX}")
    if os.path.exists(output):
        raise UsageError(f"{output} exists", remedy="name another, or remove it first")
    if not os.path.isdir(os.path.dirname(output) or "."):
        raise UsageError(f"there is no folder {os.path.dirname(output)}")
    if not Path(os.path.realpath(output)).is_relative_to(root.resolve()):
        raise UsageError(f"{output} is outside the program", remedy=f"only what is below {root} can load it")


async def _make(making: _Making) -> str:
    """The text, with what is not the same every time left out."""
    lender = Lender()
    effects = registry()
    try:
        with tempfile.TemporaryDirectory(prefix="flowmetal-fixture-") as scratch:
            with on_stage(Path(scratch), lender=lender) as stage:
                known = await stage.flows_of(making.label, making.sources, Limits())
            folder = os.path.dirname(making.test_label[2:])
            loads = {each.label: _load_of(each.label, folder, making.packages) for each in known.values()}
            loose: dict[str, str] = {}
            while True:
                text = fixture_text(making.journal, making.header.run_id, making.flows, known, effects, loads, loose)
                file = unwritten_test_file(making.output, making.test_label, text, making.sources)
                failed: list[Tested] = []
                with on_stage(Path(scratch), lender=lender) as stage:
                    await stage.load(file, Limits())
                    for name in file.names:
                        tested = await stage.run(name, str(making.sources.root), _SECONDS)
                        failed += [] if tested.passed else [tested]
                names = {test_name(making.flows, at, known[flow.reference]) for at, flow in enumerate(making.flows)}
                fresh = [each for each in failed if each.name in names - loose.keys()]
                if not failed:
                    return text
                if not fresh or any(each.world.missing or each.error is not None for each in failed):
                    remedy = (
                        "what the flow asks for depends on time or chance, another run had done it under an "
                        "idempotency_key, or its text has changed since"
                    )
                    raise UsageError(_why_not(failed[0]), remedy=remedy)
                loose |= {each.name: "it is not the same every time" for each in fresh}
    finally:
        lender.close()


def _why_not(tested: Tested) -> str:
    """Why a test that was made of a run does not pass."""
    if tested.error is not None:
        return f"the test would not pass: {tested.error.message}"
    if tested.world.missing:
        return f"the test would not pass: {tested.world.missing[0].call} was not asked for in the run"
    if not is_ok(tested.result):
        return f"the test would not pass: {Failure.from_wire(tested.result['result'][2]).message}"
    return "the test would not pass"


def _loads_of_packages(packages: list[list[str]], root: Path) -> dict[str, str]:
    """By package, how a test file loads it: with its version, unless a manifest has that."""
    manifest = manifest_in(root)
    is_required = manifest is not None and is_project(manifest)
    return {f"{name}//{entry}": name if is_required else f"{name}@{version}" for name, version, _, entry in packages}


def _load_of(label: str, folder: str, packages: Mapping[str, str]) -> str:
    """How a file in ``folder``, from the program's root, loads a module."""
    if not label.startswith("//"):
        package, _, file = label.rpartition("//")
        named = next((load for entry, load in packages.items() if entry.startswith(f"{package}//")), package)
        return named if label in packages else f"{named}//{file}"
    relative = os.path.relpath(short_name(label), folder or ".")
    return relative if relative.startswith("../") else f"./{relative}"
