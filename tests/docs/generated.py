"""Tables of the pages that are written out of the code: ``python -m tests.docs.generated`` renews them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path

from flowmetal import settings
from flowmetal.journal import event_schema
from flowmetal.language import from_python
from tests.docs.pages import DOCS

END = "<!-- end -->"
_WHERE = "<!-- from here on written by `python -m tests.docs.generated` out of {} -->"


def _table(head: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {head} | |", "| --- | --- |"]
    for key, advice in rows.items():
        shown = f"`` {key} ``" if "`" in key else (f"`{key}`" if _is_code(key) else key)
        lines.append(f"| {_escape(shown)} | {_escape(advice)} |")
    return "\n".join(lines) + "\n"


def _is_code(key: str) -> bool:
    return not key.startswith("a ") and " of a " not in key and "…" not in key


def _escape(text: str) -> str:
    return text.replace("|", r"\|")


def coming_from_python() -> str:
    """The tables of "Coming from Python"."""
    return "\n".join(
        [
            _table("word", from_python.KEYWORD_HINTS),
            _table("name", from_python.NAME_HINTS),
            _table("method or field", from_python.ATTRIBUTE_HINTS),
            _table("form", from_python.FORMS),
            "Written alike, with another meaning:\n",
            _table("here", from_python.DIFFERENCES),
        ]
    )


def event_kinds() -> str:
    """The tables of kinds and fields of events."""
    kinds = ["| number | kind | always | where it applies |", "| --- | --- | --- | --- |"]
    for kind, number in event_schema.KINDS.items():
        schema = event_schema.SCHEMAS[kind]
        always = ", ".join(f"`{name}`" for name in schema.types if name in schema.required)
        more = ", ".join(f"`{name}`" for name in schema.types if name not in schema.required)
        kinds.append(f"| {number} | `{kind}` | {always} | {more} |")
    fields: dict[str, str] = {}
    for schema in event_schema.SCHEMAS.values():
        fields.update(schema.types)
    fields = {"kind": "number of the kind", "at_ms": "int", **fields}
    letters = ["| letter | field | type |", "| --- | --- | --- |"]
    letters += [f"| `{letter}` | `{name}` | {fields[name]} |" for name, letter in event_schema.KEYS.items()]
    return "\n".join(kinds) + "\n\n" + "\n".join(letters) + "\n"


def limits() -> str:
    """The table of limits with their defaults."""
    docs: dict[str, str] = {}
    (record,) = [
        node
        for node in ast.parse(inspect.getsource(settings)).body
        if isinstance(node, ast.ClassDef) and node.name == "Limits"
    ]
    for field, doc in zip(record.body, record.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(doc, ast.Expr):
            assert isinstance(doc.value, ast.Constant)
            docs[field.target.id] = " ".join(str(doc.value.value).split())
    lines = ["| limit | usually | |", "| --- | --- | --- |"]
    for name, value in settings.Limits().to_data().items():
        lines.append(f"| `{name}` | {_shown_limit(name, value)} | {_escape(docs[name])} |")
    return "\n".join(lines) + "\n"


def _shown_limit(name: str, value: float) -> str:
    if "_bytes" in name:
        return settings.format_size(int(value))
    return settings.format_duration(value) if name.endswith("_seconds") else f"{value:,}"


TABLES = [
    (DOCS / "cli.md", "flowmetal/settings.py", limits),
    (DOCS / "language.md", "flowmetal/language/from_python.py", coming_from_python),
    (DOCS / "journal-format.md", "flowmetal/journal/event_schema.py", event_kinds),
]


def renewed(page: Path, source: str, text: str) -> str:
    """The page with its generated part written anew."""
    old = page.read_text(encoding="utf-8")
    begin = _WHERE.format(source)
    start = old.index(begin) + len(begin)
    return f"{old[:start]}\n\n{text}\n{old[old.index(END, start) :]}"


if __name__ == "__main__":
    for page, source, make in TABLES:
        page.write_text(renewed(page, source, make()), encoding="utf-8")
