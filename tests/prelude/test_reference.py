"""The doc comments read as a reference, and their examples are true."""

from __future__ import annotations

import re
from typing import Any

import pytest

DOCUMENTED = [
    "data.make_json", "data.json_encode", "data.json_decode", "data._csv_parse", "data._csv_format",
    "text.pad_left", "text.pad_right", "text.sha256", "text._base64_encode", "text._base64_decode",
    "text.url_quote", "text.url_unquote",
    "numbers.sum", "numbers.round", "numbers.format_number", "numbers.forever",
    "time.seconds", "time._duration", "time._parse", "time._format", "time._add", "time._diff",
]  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented(helpers: Any, name: str) -> None:
    """Arguments, result and a true example."""
    text = helpers.documented()[name]
    doc = text.split('"""')[1]
    assert "Returns: " in doc
    signature = text.splitlines()[0].partition("(")[2].rpartition(")")[0]
    for argument in re.findall(r"(?:^|, )(\w+)(?=[:, ]|$)", re.sub(r"\[.*?\]|\".*?\"", "", signature)):
        assert f"  {argument}: " in doc
    if name != "data.make_json":
        assert "Example:\n" in doc
    for expression, value in re.findall(r"Example:\n +(\S.*?)  # (.*)\n", doc.replace("\\\\", "\\")):
        assert helpers.expression(f"({expression}) == ({value})"), expression


def test_other_names_are_private(helpers: Any) -> None:
    assert {name for name in helpers.documented() if "._" not in name} <= set(DOCUMENTED)
