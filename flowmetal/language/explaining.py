"""What the loader knows of an error that the interpreter cannot know: why a name is missing, why a value is frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from flowmetal.language.diagnostics import Diagnostic, diagnose, draw
from flowmetal.language.flows import FlowInfo
from flowmetal.language.host import HostError
from flowmetal.language.labels import short_name
from flowmetal.language.registry import GUARD, SCRIPT_NAME

_UNASSIGNED: Final = re.compile(
    r"error: Local variable `(\w+)` referenced before assignment\n(?: *--> (?P<file>.+?):(?P<line>\d+))?"
)
_FROZEN: Final = re.compile(r"^error: (Immutable|.*[Ff]rozen)", re.MULTILINE)
_GUARD_LIKE: Final = re.compile(r"^if\b[^#\n]*?__name__[^#\n]*?:", re.MULTILINE)
_MOST_COMMANDS: Final = 8
_TOP_LEVEL: Final = re.compile(r"^\S", re.MULTILINE)


def explain(text: str, sources: Mapping[str, str], main: str, problem: HostError | None) -> Diagnostic:
    """The diagnostic of an interpreter's error.

    Args:
        text: what the interpreter said.
        sources: texts of the modules by label.
        main: label of the main file.
        problem: the host's own error, if it was one that ended the evaluation.
    """
    if problem is not None:
        return diagnose(text, sources, problem.message, problem.hint)
    unassigned = _UNASSIGNED.search(text)
    if unassigned:
        message, hint = _why_unassigned(
            unassigned.group(1), sources.get(unassigned["file"] or "", ""), sources.get(main, "")
        )
        return diagnose(text, sources, message, hint)
    if _FROZEN.search(text):
        return diagnose(
            text,
            sources,
            "a module's values are frozen once it is loaded, and cannot be changed inside a flow",
            "work on a copy: `list(xs)`, `dict(d)`",
        )
    return diagnose(text, sources)


def _why_unassigned(name: str, text: str, main: str) -> tuple[str, str]:
    if not _binds(name, text, ""):
        if any(_binds(name, block, r"[ \t]+") for block in guarded_blocks(main)):
            return (
                f"`{name}` is set only under `{GUARD}`, which does not run while flows are loaded",
                "set it outside the guard, or pass it as an argument",
            )
        return (
            f"`{name}` is used before it is set",
            "a name that a function sets is its own throughout: pass the value in, or keep it in a list or dict",
        )
    return f"`{name}` is used before it is set", "move the line that sets it above the one that uses it"


def _binds(name: str, text: str, indent: str) -> bool:
    assigned = rf"(?:[\w, ]*\W)?{name}\s*(?:,[\w, ]*)?(?::[^=\n]*)?=(?!=)"
    forms = rf"^{indent}(?=\S)(?:def {name}\s*\(|{assigned}|for\b.*\b{name}\b.*\bin\b)"
    return bool(re.search(forms, text, re.MULTILINE))


def guarded_blocks(text: str) -> list[str]:
    """The bodies of the ``if`` statements at top level that look at ``__name__``."""
    blocks = []
    for guard in _GUARD_LIKE.finditer(text):
        end = _TOP_LEVEL.search(text, guard.end())
        blocks.append(text[guard.end() : end.start() if end else len(text)])
    return blocks


def nothing_started(text: str, main: str, flows: Sequence[FlowInfo], *, printed: bool) -> Diagnostic | None:
    """Why a script's body that called no action is at fault; None when it is not, having ``printed`` something.

    A guard that is never true is named: a stage that silently does nothing and reports success is the worst of faults.
    """
    line, guard = _false_guard(text)
    if printed and not line:
        return None
    file = short_name(main)
    if line:
        message = f"`{guard}` is never true, so the file starts nothing (write `{GUARD}`"
    else:
        message = f"the file starts nothing (call a flow under `{GUARD}`"
    commands = [
        f"`flowmetal run {file}:{info.global_name}`" for info in flows if info.label == main and info.global_name
    ]
    if commands:
        more = " …" if len(commands) > _MOST_COMMANDS else ""
        message += f", or run one of its flows: {', '.join(commands[:_MOST_COMMANDS])}{more}"
    return Diagnostic(f"{message})", f"{file}:{line}" if line else file, draw(text, line))


def _false_guard(text: str) -> tuple[int, str]:
    """Line and text of a guard that is never true, as ``if __name__ == "__main__":``; 0 and "" for none."""
    for guard in _GUARD_LIKE.finditer(text):
        if f'"{SCRIPT_NAME}"' not in guard.group() and f"'{SCRIPT_NAME}'" not in guard.group():
            return text.count("\n", 0, guard.start()) + 1, guard.group()
    return 0, ""
