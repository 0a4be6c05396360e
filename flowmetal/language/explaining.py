"""What the loader knows of an error that the interpreter cannot know: why a name is missing, why a value is frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from flowmetal.language.diagnostics import Diagnostic, diagnose, draw
from flowmetal.language.flows import FlowInfo
from flowmetal.language.hints import CONTEXT_FIELDS, hint_for
from flowmetal.language.host import HostError
from flowmetal.language.labels import PRELUDE, is_carried, short_name
from flowmetal.language.registry import GUARD, SCRIPT_NAME

_UNASSIGNED: Final = re.compile(
    r"error: Local variable `(\w+)` referenced before assignment\n(?: *--> (?P<file>.+?):(?P<line>\d+))?"
)
_FROZEN: Final = re.compile(r"^error: (Immutable|.*[Ff]rozen)", re.MULTILINE)
_PLACE: Final = re.compile(r"^ *--> (?P<file>.+?):(?P<line>\d+)", re.MULTILINE)
_FRAME: Final = re.compile(r"^  \* (.+?):\d+, in ", re.MULTILINE)
_CALLED: Final = re.compile(r"^error: (?P<what>Missing|Found) .* for call to `?(?P<callee>[^`\s]+)", re.MULTILINE)
_FIELD_OF_NONE: Final = re.compile(
    rf"^error: Object of type `(?!record`)\w+` has no attribute `({'|'.join(CONTEXT_FIELDS)})`", re.MULTILINE
)
"""A field of the flow context was asked of what is none."""
_LOADS_JOBS: Final = re.compile(r"""^load\(["']pkg\.flowmetal\.io/v1/jobs["']""", re.MULTILINE)
_DEF: Final = re.compile(r"^def (\w+)\(", re.MULTILINE)
_STRUCT: Final = re.compile(r"^(\w+) = struct\(([^()]*)\)", re.MULTILINE)
_OF_PRELUDE: Final = re.compile(rf"({re.escape(PRELUDE)}//\w+\.flow)\.(\w+)")
_GUARD_LIKE: Final = re.compile(r"^if\b[^#\n]*?__name__[^#\n]*?:", re.MULTILINE)
_MOST_COMMANDS: Final = 8
_TOP_LEVEL: Final = re.compile(r"^\S", re.MULTILINE)


def explain(
    text: str,
    sources: Mapping[str, str],
    main: str,
    problem: HostError | None,
    implementations: Mapping[str, FlowInfo] = MappingProxyType({}),
) -> Diagnostic:
    """The diagnostic of an interpreter's error.

    Args:
        text: what the interpreter said.
        sources: texts of the modules by label.
        main: label of the main file.
        problem: the host's own error, if it was one that ended the evaluation.
        implementations: flows by the name that the interpreter has for their functions.
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
    return diagnose(_with_public_names(text, sources), sources, hint=_about_call(text, sources, implementations))


def _about_call(text: str, sources: Mapping[str, str], implementations: Mapping[str, FlowInfo]) -> str:
    """Advice where an implementation was called with what it does not take, or in the place of its flow; or ""."""
    frames = _FRAME.findall(text)
    place = _PLACE.search(text)
    called = _CALLED.search(text)
    if called and (place is None or is_carried(place["file"])):
        return _about_implementation(called, sources, implementations)
    callee = called["callee"] if called else ""
    if place and frames and not is_carried(frames[-1]) and _FIELD_OF_NONE.search(text):
        above = "\n".join(sources.get(place["file"], "").split("\n")[: int(place["line"])])
        callee = f"{place['file']}.{(_DEF.findall(above) or [''])[-1]}"
    if callee not in implementations:
        return ""
    flow = implementations[callee].global_name or implementations[callee].name
    return f"`{callee.rpartition('.')[2]}` is the implementation of the flow `{flow}`: call `{flow}(…)`"


def _about_implementation(
    called: re.Match[str], sources: Mapping[str, str], implementations: Mapping[str, FlowInfo]
) -> str:
    label, _, name = called["callee"].rpartition(".")
    source = sources.get(label, "")
    info = implementations.get(called["callee"])
    if info is not None and info.declared and called["what"] == "Missing":
        return f"declared arguments are in `fctx.args`: write `def {name}(fctx)`"
    if called["what"] == "Missing":
        return ""
    if name.startswith("test_"):
        return f"a test is `def {name}(t)`"
    if name == "lambda":
        lacks = re.search(r"\blambda\s*:", source) is not None
    else:
        first = re.search(rf"^[ \t]*def {name}\(\s*(\w*)", source, re.MULTILINE)
        lacks = first is not None and "ctx" not in first.group(1)
    if lacks:
        return "an implementation takes `fctx` first"
    if hint_for(called[0].removeprefix("error: ")):
        return ""  # what is said of its keyword is the better advice
    written = re.search(rf"^[ \t]*def {name}\(([^()]*)\)", source, re.MULTILINE)
    if written is None:
        return ""
    of_job = f"; of a job, `def {name}(fctx, needs)`" if written[1] == "fctx" and _LOADS_JOBS.search(source) else ""
    return f"it is `def {name}({' '.join(written[1].split())})`{of_job}"


def _with_public_names(text: str, sources: Mapping[str, str]) -> str:
    """An interpreter's text with the prelude's functions called as people call them, `csv.parse`."""

    def named(match: re.Match[str]) -> str:
        label, name = match.groups()
        if name.startswith("_"):
            for public, members in _STRUCT.findall(sources.get(label, "")):
                member = re.search(rf"\b(\w+) = {name}\b", members)
                if member:
                    return f"{public.removeprefix('_')}.{member.group(1)}"
        return re.sub(r"^json_", "json.", name)

    return _OF_PRELUDE.sub(named, text)


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
