"""A graph of data as text, as Mermaid, as data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from flowmetal.cli.graphing import Vertex
from flowmetal.cli.text import cut, show_seconds

_MOST_NEEDS: Final = 6
_LABEL: Final = 80
_PLAIN: Final = re.compile(r"[^A-Za-z0-9 _.,:()/+*=-]")
_COLOURS: Final = {
    "ok": "fill:#d8f0d8,stroke:#2c7a2c",
    "err": "fill:#f6d5d5,stroke:#a02c2c",
    "cancelled": "fill:#f5ecc8,stroke:#8a6d1a",
    "running": "fill:#d5e6f6,stroke:#2c5ea0",
    "waiting": "fill:#e6e0f5,stroke:#5b3fa0",
    "paused": "fill:#e8e8e8,stroke:#606060",
}
_WORST: Final = ("err", "cancelled", "running", "waiting", "paused", "ok")


def text(graph: Vertex) -> Iterator[str]:
    """A line a node, in layers, what a flow started itself below it."""
    yield f"{graph.run_id}  {graph.name}  {_status(graph)}"
    yield from _lines(graph, "    ")


def _lines(vertex: Vertex, indent: str) -> Iterator[str]:
    has_layers = any(each.layer > 1 for each in vertex.below)
    layer = 0
    for each in vertex.below:
        mark = ""
        if has_layers:
            mark = f"{each.layer}." if each.layer != layer else ""
            mark = f"{mark:<4}"
            layer = each.layer
        took = f"  {show_seconds(each.seconds)}" if each.seconds is not None else ""
        more = "  …" if each.is_cut else ""
        place = f"  [{each.line}]" if each.line else ""
        yield f"{indent}{mark}{_title(each)}  {_status(each)}{took}{_needs(each)}{more}{place}"
        yield from _lines(each, indent + " " * (len(mark) + 4))


def _title(vertex: Vertex) -> str:
    many = f" ×{vertex.count:,}" if vertex.count > 1 else ""
    return f"#{vertex.number} {vertex.name}{many}"


def _status(vertex: Vertex) -> str:
    if vertex.count == 1:
        return next(iter(vertex.statuses))
    return ", ".join(f"{vertex.statuses[each]:,} {each}" for each in reversed(_WORST) if each in vertex.statuses)


def _needs(vertex: Vertex) -> str:
    if not vertex.needs:
        return ""
    shown = ", ".join(_title(each) for each in vertex.needs[:_MOST_NEEDS])
    left = len(vertex.needs) - _MOST_NEEDS
    return f"  ← {shown}{f' and {left:,} more' if left > 0 else ''}"


# -- Mermaid -------------------------------------------------------------------------------------------


def mermaid(graph: Vertex) -> Iterator[str]:
    """A Mermaid flowchart: arrows are data, dotted ones lead from a flow to what it started first."""
    yield "flowchart TD"
    vertices = list(graph.walk())
    names = {each.id: f"n{at}" for at, each in enumerate(vertices)}
    for each in vertices:
        title = f"{each.run_id} {each.name}" if each.kind == "run" else _title(each)
        label = _escaped(f"{cut(title, _LABEL)}: {_status(each)}")
        left, right = ("([", "])") if each.kind == "effect" else ("[", "]")
        yield f'    {names[each.id]}{left}"{label}"{right}'
    for each in vertices:
        for needed in each.needs:
            yield f"    {names[needed.id]} --> {names[each.id]}"
        for below in each.below:
            if not below.needs:
                yield f"    {names[each.id]} -.-> {names[below.id]}"
    for status, colour in _COLOURS.items():
        alike = [names[each.id] for each in vertices if _worst(each) == status]
        if alike:
            yield f"    classDef {status} {colour}"
            yield f"    class {','.join(alike)} {status}"


def _worst(vertex: Vertex) -> str:
    return next(each for each in _WORST if each in vertex.statuses)


def _escaped(label: str) -> str:
    """A label in which nothing can be taken for the end of it or for markup: such characters are entities."""
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", label)


# -- data ----------------------------------------------------------------------------------------------


def data_of(graph: Vertex) -> dict[str, Any]:
    """Nodes and edges for JSON."""
    vertices = list(graph.walk())
    edges = [{"from": needed.id, "to": each.id, "kind": "data"} for each in vertices for needed in each.needs]
    edges += [{"from": each.id, "to": below.id, "kind": "child"} for each in vertices for below in each.below]
    return {"run": graph.run_id, "nodes": [_node(each) for each in vertices], "edges": edges}


def _node(vertex: Vertex) -> dict[str, Any]:
    return {
        "id": vertex.id,
        "number": vertex.number or None,
        "name": vertex.name,
        "kind": vertex.kind,
        "layer": vertex.layer or None,
        "count": vertex.count,
        "statuses": dict(vertex.statuses),
        "seconds": vertex.seconds,
        "line": vertex.line or None,
    }
