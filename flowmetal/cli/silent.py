"""A file whose body starts nothing: most often its guard is misspelt, and success would be a lie."""

from __future__ import annotations

import re

from flowmetal.cli import flow_listing
from flowmetal.engine.engine import Outcome
from flowmetal.engine.table import ProgramState
from flowmetal.errors import UsageError, did_you_mean
from flowmetal.journal.journal import Journal
from flowmetal.language.labels import short_name
from flowmetal.values import unpack

_GUARD = re.compile(r"^[ \t]*if\b.*\b(_*name_*)\s*==\s*[\"']([^\"'\n]*)[\"']", re.MULTILINE)
_RIGHT = "__flow__"


def did_nothing(journal: Journal, program: ProgramState, outcome: Outcome) -> bool:
    """Whether a file's body ended in Ok(None) without an action or a child.

    Printing counts as something when there is no flow to start.
    """
    if outcome.value is None or unpack(outcome.value) != {"result": [True, None, None]}:
        return False
    has_flows = bool(flow_listing.own_flows(program))
    for _, event in journal.history(outcome.header.run_id):
        if event.kind in ("action", "child") or (event.kind == "log" and not has_flows):
            return False
    return True


def error(program: ProgramState, file: str) -> UsageError:
    """The error for a file whose body starts nothing; names a misspelt guard."""
    text = program.sources.get(program.main, "")
    for match in _GUARD.finditer(text):
        variable, value = match.groups()
        if (variable, value) != ("__name__", _RIGHT):
            line = text.count("\n", 0, match.start()) + 1
            return UsageError(
                f'the body of {file} starts nothing: the guard compares with "{value}"'
                f"{did_you_mean(value, [_RIGHT]) or ', and `__flow__` is the name of a file that is run'}",
                place=f"{short_name(program.main)}:{line}",
                excerpt=f"  | {match.group().strip()}:",
                remedy=f'write `if __name__ == "{_RIGHT}":`',
            )
    return UsageError(
        f"the body of {file} starts nothing", remedy=flow_listing.commands(program, file, "to run one of its flows:")
    )
