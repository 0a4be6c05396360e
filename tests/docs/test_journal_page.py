"""docs/journal-format.md says what the code says; the tables of events are generated (``test_pages.py``)."""

from __future__ import annotations

import re

from flowmetal import values
from flowmetal.journal import events, headers, mail, meta, transfer
from flowmetal.journal.store import TABLES
from tests.docs.pages import CHECKOUT, DOCS, section, tables

PAGE = DOCS / "journal-format.md"


def first_column(heading: str) -> list[str]:
    """The names in the first column of a section's table."""
    (rows,) = tables(section(PAGE, heading))
    return [row[0].strip("`") for row in rows]


def test_tables() -> None:
    assert first_column("## Tables") == list(TABLES)


def test_headers() -> None:
    (rows,) = tables(section(PAGE, "## Headers"))
    assert {row[1].strip("`"): row[0].strip("`") for row in rows} == headers._LETTERS
    statuses = next(row[2] for row in rows if "`status`" in row[1])
    assert tuple(re.findall(r"`(\w+)`", statuses)) == headers.STATUSES


def test_value_tags() -> None:
    """The tags of the module's own table, each of which the codec takes."""
    told = re.findall(r'^    \{"(\w+)": ', values.__doc__ or "", re.MULTILINE)
    assert first_column("## Values") == told
    prelude = (CHECKOUT / "prelude/wire.flow").read_text(encoding="utf-8")
    assert set(told) == set(re.findall(r'if tag == "(\w+)"', prelude))
    samples = {
        "int": "9" * 30,
        "float": "nan",
        "tuple": [],
        "dict": [1, 2],
        "struct": ["a", 1],
        "result": [True, None, None],
    }
    samples |= {"failure": ["failed", "", None, "", "", "", None], "flow": ["//a.flow:f", {"dict": []}]}
    samples |= {"effect": ["read", {"dict": []}], "task": [1, "f"], "secret": ["TOKEN", ""]}
    assert set(samples) == set(told)
    for tag, payload in samples.items():
        values.check({tag: payload})


def test_fields_of_failures_and_results() -> None:
    rows = {row[0].strip("`"): row[1] for table in tables(section(PAGE, "## Values")) for row in table}
    assert rows["failure"].strip("[]").split(", ") == list(values.Failure.__dataclass_fields__)


def test_numbers() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"Format number: **{meta.FORMAT}**" in text
    assert {events.VERSION, headers.VERSION, mail.VERSION, transfer.VERSION} == {1}
    assert transfer.MAGIC == b"FLOWMETAL-RUN\n"
    assert (
        f"At most {values.MAX_DEPTH} levels, {values.MAX_NODES:,} parts, 1 MiB, and {values.MAX_INT_DIGITS:,} digits"
        in text
    )
    assert values.MAX_BYTES == 1 << 20
