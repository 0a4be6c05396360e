"""The graph of data of a run, found in its journal.

A node is a flow or an effect that a run asked for; an edge leads to it from each task among its arguments, which the
action names in ``deps``.  A node's layer is one more than the highest of those that it needs.  Nodes of one run that
stand in one layer and come from one line of the flow are one node with counts when there are many of them, so that what
is shown is as large as the flow's text and not as its data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from flowmetal.cli.reading import flow_of, load
from flowmetal.identity import child_id
from flowmetal.journal.events import Event
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal

_FLOWS: Final = ("call", "run")
_EFFECTS: Final = ("do", "start")
_MOST_ALIKE: Final = 12


@dataclass(slots=True)
class Vertex:
    """One flow or effect, or ``count`` of them that are alike, the first of them ``number``.

    ``kind`` is run, flow or effect; ``statuses`` says how many are in which; ``below`` is what it started itself.
    """

    run_id: str
    number: int
    name: str
    kind: str
    layer: int = 0
    line: str = ""
    seconds: float | None = None
    statuses: dict[str, int] = field(default_factory=dict)
    needs: list[Vertex] = field(default_factory=list)
    below: list[Vertex] = field(default_factory=list)
    # It has started more than is shown.
    is_cut: bool = False

    @property
    def id(self) -> str:
        """What names it: the id of the run that it is, or would be."""
        return child_id(self.run_id, self.number) if self.number else self.run_id

    @property
    def count(self) -> int:
        """How many it stands for."""
        return sum(self.statuses.values())

    def walk(self) -> Iterator[Vertex]:
        """It and all below it, in the order of the text."""
        todo = [self]
        while todo:
            each = todo.pop()
            yield each
            todo += reversed(each.below)


@dataclass(slots=True)
class _Action:
    event: Event
    kind: str
    deps: tuple[int, ...]
    layer: int
    # "" while it has no result.
    status: str = ""
    ended_ms: int | None = None


def build(journal: Journal, run_id: str, depth: int) -> Vertex:
    """The graph of a run and of what it started, ``depth`` levels deep.

    Raises:
        UnknownRunError: no such run.
    """
    header = journal.require(run_id)
    top = Vertex(run_id, 0, flow_of(header) if header.is_root else header.name, "run", statuses={header.status: 1})
    todo = [(top, header, depth)]
    while todo:
        vertex, run, left = todo.pop()
        vertex.below, begun = _below(journal, run)
        for below, child in begun:
            if left > 1:
                todo.append((below, child, left - 1))
            else:
                below.is_cut = any(_kind(event) for _, event in journal.history(child.run_id))
    return top


def _below(journal: Journal, header: Header) -> tuple[list[Vertex], list[tuple[Vertex, Header]]]:
    """What one run asked for, in layers, and those of it that are runs whose own graph can be shown."""
    actions = _actions(journal, header.run_id)
    alike: dict[tuple[int, str, str, str], list[int]] = {}
    for number, action in actions.items():
        line = str(action.event.fields.get("line", ""))
        alike.setdefault((action.layer, _name(action.event), action.kind, line), []).append(number)
    vertices: dict[int, Vertex] = {}
    found: list[Vertex] = []
    begun: list[tuple[Vertex, Header]] = []
    for (layer, name, kind, line), numbers in sorted(alike.items(), key=lambda item: (item[0][0], item[1][0])):
        together = [numbers] if len(numbers) > _MOST_ALIKE else [[number] for number in numbers]
        for group in together:
            first = actions[group[0]]
            vertex = Vertex(header.run_id, group[0], name, kind, layer, line)
            if len(group) == 1 and first.ended_ms is not None:
                vertex.seconds = max(0, first.ended_ms - first.event.at_ms) / 1_000
            for number in group:
                child = journal.header(child_id(header.run_id, number)) if kind == "flow" else None
                status = child.status if child is not None else _status(header, actions, number)
                vertex.statuses[status] = vertex.statuses.get(status, 0) + 1
                vertices[number] = vertex
                if child is not None and len(group) == 1:
                    begun.append((vertex, child))
            found.append(vertex)
    for number, action in actions.items():
        vertex = vertices[number]
        for dep in action.deps:
            needed = vertices.get(dep)
            if needed is not None and needed is not vertex and all(each is not needed for each in vertex.needs):
                vertex.needs.append(needed)
    return found, begun


def _status(header: Header, actions: Mapping[int, _Action], number: int) -> str:
    action = actions[number]
    if action.status:
        return action.status
    if header.is_finished:
        return "cancelled"  # its run ended before it had a result
    return "waiting" if any(not actions[each].status for each in action.deps) else "running"


def _actions(journal: Journal, run_id: str) -> dict[int, _Action]:
    """The flows and effects of a run's present attempt, by number."""
    actions: dict[int, _Action] = {}
    for _, event in journal.history(run_id):
        fields = event.fields
        number = fields.get("number", 0)
        if event.kind in ("action", "child"):
            kind = _kind(event)
            if kind:
                deps = tuple(each for each in fields.get("deps", ()) if each in actions)
                layer = 1 + max((actions[each].layer for each in deps), default=0)
                actions[number] = _Action(event, kind, deps, layer)
            if event.kind == "child":
                _end(journal, run_id, actions[number], event)
        elif event.kind == "result" and number in actions and not fields.get("late"):
            _end(journal, run_id, actions[number], event)
        elif event.kind == "attempt" and not number:
            actions.clear()
    return actions


def _kind(event: Event) -> str:
    """What an event asks for: a flow, an effect, or "" for anything else."""
    verb = str(event.fields.get("callee", "")).partition(" ")[0]
    if event.kind == "child" or verb in _FLOWS:
        return "flow"
    return "effect" if verb in _EFFECTS else ""


def _end(journal: Journal, run_id: str, action: _Action, event: Event) -> None:
    is_ok, _, failure = load(journal, run_id, event.fields["value"])["result"]
    action.status = "ok" if is_ok else "cancelled" if failure["failure"][0] == "cancelled" else "err"
    action.ended_ms = event.at_ms


def _name(event: Event) -> str:
    callee = str(event.fields["callee"])
    return str(event.fields.get("name") or callee.partition(" ")[2] or callee)
