"""What is found out about a run that is not moving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flowmetal.cli.text import with_home
from flowmetal.journal.headers import Header

Kind = Literal["timer", "retry", "person", "grant", "message", "tasks", "effect", "key", "room", "start", "code"]
Engine = Literal["live", "dead", "none", "paused", "full", "moved", "ended"]
"""Who drives a run: a live engine; one that died; nobody.  Or: paused by someone, by its limit, moved, ended."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that a run waits for; ``command`` is what would free it, "" where nothing but time does.

    ``number`` is the action, 0 for the run itself; ``due_ms`` when it is over by itself, at the latest.
    """

    run_id: str
    number: int
    kind: Kind
    what: str
    since_ms: int
    due_ms: int | None = None
    command: str = ""
    line: str = ""


@dataclass(slots=True)
class Node:
    """An unfinished run: what it waits for itself, and the unfinished runs that it has started."""

    header: Header
    line: str = ""
    waits: list[Wait] = field(default_factory=list)
    below: list[Node] = field(default_factory=list)

    def leaves(self) -> Iterator[Wait]:
        """All that would have to come for all of it to go on; tasks are explained by what they wait for."""
        todo = [self]
        while todo:
            node = todo.pop()
            own = [each for each in node.waits if each.kind != "tasks"]
            yield from own or ([] if node.below else node.waits)
            todo += reversed(node.below)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run is not moving; ``mail`` is what has been sent to it and was not read yet, by kind.

    ``unread`` are the names of the messages that it has not received; ``process`` is who drives it, if it is known.
    """

    root: Header
    tree: Node
    engine: Engine
    mail: Mapping[str, int]
    unread: Sequence[str]
    last_ms: int
    home: str | None
    process: int | None = None

    @property
    def command(self) -> str:
        """What makes somebody drive the run, "" if somebody does or it has ended."""
        resume = with_home(f"flowmetal resume {self.root.run_id}", self.home)
        if self.engine in ("dead", "none", "paused"):
            return resume
        return f"{resume} --limit journal_bytes_per_run=…" if self.engine == "full" else ""
