"""What is tried: hostile input as data, and what is expected of it.

A case is a file of ``cases/``, or a row of ``built.py`` where the text is too long or too odd to be written down.  The
file begins with a header:

    # case: 1                   the number in the list of hostile input
    # expect: flow-error        one of VERDICTS
    # kind: limit               the failure's kind, if it matters
    # says: 50,000,000 steps    what the message must name; may be repeated
    # limits: cpu_seconds=2     where the default would take long
    # torture                   only with `./dev torture`

A line ``### NAME`` begins a further file of the program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

VERDICTS: Final = ("flow-error", "denied", "resource-fault", "rejected", "ok")
MAIN: Final = "main.flow"
_HEADER: Final = re.compile(r"# (case|expect|kind|says|limits|torture)(?:: (.*))?")
_FILE: Final = re.compile(r"^### (\S+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One hostile program.

    Args:
        name: its number in the list, then what it does.
        files: the program's files by name; ``main.flow`` is run.
        expect: one of ``VERDICTS``.
        kind: the failure's kind, "" for any.
        says: texts that the message must have: the limit, or the place.
        limits: those that are not the defaults.
        torture: whether it is too slow for every day.
    """

    name: str
    files: Mapping[str, bytes]
    expect: str
    kind: str = ""
    says: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    torture: bool = False

    def __post_init__(self) -> None:
        assert self.expect in VERDICTS, self
        assert self.expect == "ok" or self.says, f"{self.name} does not say what a person must be told"


def read_case(path: Path) -> Case:
    """The case of a file."""
    found: dict[str, list[str]] = {}
    text = path.read_text(encoding="utf-8")
    for line in text.splitlines():
        match = _HEADER.fullmatch(line)
        if match is None:
            break
        found.setdefault(match[1], []).append(match[2] or "")
    main, *others = _FILE.split(text)
    files = {MAIN: main, **dict(zip(others[::2], others[1::2], strict=True))}
    (number,), (expect,) = found["case"], found["expect"]
    return Case(
        f"{number}-{path.stem}",
        {name: content.encode() for name, content in files.items()},
        expect,
        found.get("kind", [""])[0],
        tuple(found.get("says", ())),
        dict(_limit(each) for line in found.get("limits", ()) for each in line.split()),
        "torture" in found,
    )


def read_cases() -> list[Case]:
    """All cases that are files."""
    return [read_case(path) for path in sorted((Path(__file__).parent / "cases").glob("*.flow"))]


def _limit(text: str) -> tuple[str, int | float]:
    name, _, value = text.partition("=")
    return name, float(value) if "." in value else int(value)
