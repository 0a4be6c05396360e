"""The pages of the documentation, cut into what tests look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).absolute().parents[2]
DOCS = CHECKOUT / "docs"
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CHANGELOG.md",
    CHECKOUT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted((CHECKOUT / "examples").rglob("*.md")),
    CHECKOUT / "tests/README.md",
]

KINDS = ("", "text", "demo", "console", "flow", "flow values")
"""What may stand after three backquotes, ``flow file=NAME`` beside these; tests/README.md says what each means."""

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    info: str
    text: str


def shown(page: Path) -> str:
    """A page as tests name it."""
    return page.relative_to(CHECKOUT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(shown(page), text[: match.start()].count("\n") + 1, match[1].strip(), match[2])
        for match in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def tables(text: str) -> Iterator[list[list[str]]]:
    """The tables of a text: rows of cells, without the head."""
    for match in re.finditer(r"^\|.*\n\| ---.*\n((?:\|.*\n?)*)", text, re.MULTILINE):
        yield [[cell.strip() for cell in _cells(row)] for row in match[1].splitlines()]


def _cells(row: str) -> list[str]:
    return [cell.replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def section(page: Path, heading: str) -> str:
    """The text from a heading to the next of the same or a higher level."""
    text = page.read_text(encoding="utf-8")
    start = text.index(f"\n{heading}\n") + 1
    level = heading.partition(" ")[0]
    following = re.compile(rf"^#{{1,{len(level)}}} ", re.MULTILINE).search(text, start + len(heading))
    return text[start : following.start() if following else len(text)]
