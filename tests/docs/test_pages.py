"""Form of the pages: their length, their links, what their blocks say they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.generated import TABLES, renewed
from tests.docs.pages import CHECKOUT, DOCS, KINDS, PAGES, blocks, prose, shown

MOST_LINES = {"README.md": 150, "docs/architecture.md": 250, "docs/quickstart.md": 170}
MOST_COLUMNS = 135


@pytest.mark.parametrize("name", MOST_LINES)
def test_a_page_is_short(name: str) -> None:
    assert len((CHECKOUT / name).read_text(encoding="utf-8").splitlines()) <= MOST_LINES[name]


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_lines_are_not_wide(page: Path) -> None:
    text = prose(page)
    wide = [line for line in text.splitlines() if len(line) > MOST_COLUMNS and not line.startswith(("|", "> "))]
    assert not wide


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_blocks_say_what_they_are(page: Path) -> None:
    for block in blocks(page):
        is_file = re.fullmatch(r"flow file=[a-z_]+\.flow", block.info)
        assert block.info in KINDS or is_file, f"{block.page}:{block.line}: {block.info}"


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_every_page_is_linked_from_the_readme() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert not [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name})" not in text]


@pytest.mark.parametrize(("page", "source", "make"), TABLES, ids=[shown(page) for page, _, _ in TABLES])
def test_generated_tables_are_what_the_code_says(page: Path, source: str, make) -> None:  # type: ignore[no-untyped-def]
    same = renewed(page, source, make()) == page.read_text(encoding="utf-8")
    assert same, f"{source} has changed: run `python -m tests.docs.generated`"


def test_paths_that_pages_name_exist() -> None:
    """``flowmetal/…``, ``tests/…``, ``prelude/…`` in backquotes."""
    missing = []
    for page in PAGES:
        for path in re.findall(r"`((?:flowmetal|tests|prelude|examples|benchmarks|docs)/[\w./-]*\w/?)`", prose(page)):
            if not (CHECKOUT / path).exists():
                missing.append(f"{shown(page)}: {path}")
    assert not missing
