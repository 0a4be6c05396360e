"""What came of tests as JUnit XML, which most services that run tests can read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NEWLINES: Final = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


@dataclass(frozen=True, slots=True)
class JunitCase:
    """One test; ``lines`` say what went wrong, ``is_error`` that its file cannot be run."""

    file: str
    name: str
    seconds: float
    lines: tuple[str, ...] = ()
    is_error: bool = False


def junit_xml(cases: Sequence[JunitCase]) -> str:
    """A document with a suite for each file."""
    files = list(dict.fromkeys(each.file for each in cases))
    suites = [_suite(file, [each for each in cases if each.file == file]) for file in files]
    inner = "".join(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites {_counts(cases)}>\n{inner}</testsuites>\n'


def _suite(file: str, cases: Sequence[JunitCase]) -> str:
    inner = "".join(map(_case, cases))
    return f"  <testsuite name={_attribute(file)} {_counts(cases)}>\n{inner}  </testsuite>\n"


def _counts(cases: Sequence[JunitCase]) -> str:
    errors = sum(each.is_error for each in cases)
    failures = sum(bool(each.lines) and not each.is_error for each in cases)
    seconds = sum(each.seconds for each in cases)
    return f'tests="{len(cases)}" failures="{failures}" errors="{errors}" skipped="0" time="{seconds:.4f}"'


def _case(case: JunitCase) -> str:
    name = case.name or case.file
    start = f'    <testcase classname={_attribute(case.file)} name={_attribute(name)} time="{case.seconds:.4f}"'
    if not case.lines:
        return f"{start}/>\n"
    tag = "error" if case.is_error else "failure"
    message = case.lines[0].removeprefix("error: ")
    text = escape(_clean("\n".join(case.lines)))
    return f"{start}>\n      <{tag} message={_attribute(message)}>{text}</{tag}>\n    </testcase>\n"


def _attribute(text: str) -> str:
    return quoteattr(_clean(text), _NEWLINES)


def _clean(text: str) -> str:
    """``text`` without what no XML document may hold."""
    return _NOT_XML.sub("�", text)
