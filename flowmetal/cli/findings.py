"""What is found in flow files by checking them, and how it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from flowmetal.assembly import locate_program, registry
from flowmetal.cli.loading_news import tell_of_packages
from flowmetal.cli.text import continued, drawn, printable
from flowmetal.engine.checking import check_file
from flowmetal.language.diagnostics import Diagnostic
from flowmetal.packages.late import Conduct
from flowmetal.settings import Limits
from flowmetal.sources import FileSources


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: ``line`` and ``column`` from 1, 0 where they are not known."""

    file: str
    line: int
    column: int
    diagnostic: Diagnostic

    def lines(self) -> list[str]:
        """As it is printed."""
        place = ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])
        shown = [f"{printable(place)}: {continued(self.diagnostic.message)}"]
        if self.diagnostic.excerpt:
            shown.append(drawn(self.diagnostic.excerpt))
        if self.diagnostic.hint:
            shown.append(f"  help: {continued(self.diagnostic.hint)}")
        return shown


def check_files(files: Iterable[str], limits: Limits, conduct: Conduct | None = None) -> list[Finding]:
    """All that is wrong with files and what they load, each thing once; ``conduct`` is how packages may be had.

    Raises:
        UsageError: a file that cannot be read.
    """
    return check_programs([locate_program(file, conduct) for file in files], limits)


def check_programs(programs: list[tuple[str, FileSources]], limits: Limits) -> list[Finding]:
    """As ``check_files``, for programs that were located.

    Raises:
        UsageError: a file that cannot be read.
    """
    for label, sources in programs:
        sources.text_of(label)  # what cannot be read is no finding but an error
    # Of several files each is named from its own program's root, as `run` names it.
    found: dict[tuple[str, str, int, int], Finding] = {}
    for label, sources in programs:
        for each in asyncio.run(check_file(label, sources, limits, registry())):
            name, line, column = (*each.place.split(":"), "0", "0")[:3]
            finding = Finding(name, int(line), int(column), each)
            found.setdefault((str(sources.root), name, finding.line, finding.column), finding)
        tell_of_packages(sources)
    return list(found.values())
