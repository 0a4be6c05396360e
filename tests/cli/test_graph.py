"""``flowmetal graph``: layers, edges, counts, and labels that no diagram can take for markup."""

from __future__ import annotations

import re

import pytest

from tests.cli.conftest import Cli, Here

GRAPH = """
def _one_impl(fctx, n):
    fctx.actions.now()
    if n == 3:
        fail("three")
    return n

one = flow(_one_impl)
two = flow(lambda fctx, n: n, name = "two")
total = flow(lambda fctx, first, rest: [first] + rest)

def _left_impl(fctx):
    return unwrap(one(1))

left = flow(_left_impl)

def _all_impl(fctx):
    a = fctx.actions.run(left)
    b = fctx.actions.run(two, a)
    w = fctx.actions.run(fctx.actions.append, "out.txt", "x")
    many = [fctx.actions.run(one, n) for n in range(13)]
    after = [fctx.actions.run(two, task) for task in many]
    last = fctx.actions.run(options(total, name = NAME), b, after[:2])
    fctx.actions.wait(many + after + [w])
    return unwrap(fctx.actions.wait(last))

all = flow(_all_impl)
if __name__ == "__flow__":
    all()
"""
HOSTILE = 'a "b"] --> n0; %%{init}%% <script> `x` #quot;'


@pytest.fixture
def graph(cli: Cli, here: Here) -> Here:
    cli.file("graph.flow", GRAPH.replace("NAME", f"'{HOSTILE}'"))
    done = here("run", "graph.flow", "--id", "g", "--allow", "write=.", "-q")
    assert done.code == 0, done.err
    return here


def lines_of(here: Here, *args: str) -> list[str]:
    """The lines of the text, without times."""
    return [re.sub(r"  [0-9.]+s\b", "", line) for line in here("graph", *args).out.splitlines()]


def test_layers_and_counts(graph: Here) -> None:
    assert lines_of(graph, "g") == [
        "g  graph.flow  ok",
        "    #1 all  ok  [graph.flow:29]",
        "        1.  #1 left  ok  [graph.flow:18]",
        "                #1 one  ok  [graph.flow:13]",
        "            #3 append  ok  [graph.flow:20]",
        "            #4 one ×13  12 ok, 1 err  [graph.flow:21]",
        "        2.  #2 two  ok  ← #1 left  [graph.flow:19]",
        "            #17 two ×13  12 ok, 1 err  ← #4 one ×13  [graph.flow:22]",
        f"        3.  #30 {HOSTILE}  ok  ← #2 two, #17 two ×13  [graph.flow:23]",
    ]
    assert lines_of(graph, "g", "--depth", "1")[1:] == ["    #1 all  ok  …  [graph.flow:29]"]
    assert lines_of(graph, "g.1.1") == ["g.1.1  left  ok", "    #1 one  ok  [graph.flow:13]"]
    assert graph("graph", "g", "--depth", "0").code == 2


def test_mermaid_is_a_flowchart_and_labels_are_inert(graph: Here) -> None:
    first, *lines = graph("graph", "g", "--format", "mermaid").out.splitlines()
    assert first == "flowchart TD"
    label = r"((?:[A-Za-z0-9 _.,:()/+*=-]|#\d+;)*)"
    node = re.compile(rf'    (n\d+)(?:\["{label}"\]|\(\["{label}"\]\))')
    edge = re.compile(r"    (n\d+) (?:-->|-\.->) (n\d+)")
    rest = re.compile(r"    classDef [a-z]+ fill:#[0-9a-f]{6},stroke:#[0-9a-f]{6}|    class n\d+(?:,n\d+)* [a-z]+")
    labels: dict[str, str] = {}
    edges: list[tuple[str, str]] = []
    for line in lines:
        if found := node.fullmatch(line):
            text = found[2] if found[2] is not None else found[3]
            labels[found[1]] = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), text)
        elif found := edge.fullmatch(line):
            edges.append((found[1], found[2]))
        else:
            assert rest.fullmatch(line), line
    shown = {(labels[source], labels[target]) for source, target in edges}
    assert shown == {
        ("g graph.flow: ok", "#1 all: ok"),
        ("#1 all: ok", "#1 left: ok"),
        ("#1 all: ok", "#3 append: ok"),
        ("#1 all: ok", "#4 one ×13: 12 ok, 1 err"),
        ("#1 left: ok", "#1 one: ok"),
        ("#1 left: ok", "#2 two: ok"),
        ("#4 one ×13: 12 ok, 1 err", "#17 two ×13: 12 ok, 1 err"),
        ("#2 two: ok", f"#30 {HOSTILE}: ok"),
        ("#17 two ×13: 12 ok, 1 err", f"#30 {HOSTILE}: ok"),
    }


def test_data(graph: Here) -> None:
    found = graph("graph", "g", "--json").json
    nodes = {each["id"]: each for each in found["nodes"]}
    assert nodes["g.1.4"] == {
        "id": "g.1.4",
        "number": 4,
        "name": "one",
        "kind": "flow",
        "layer": 1,
        "count": 13,
        "statuses": {"ok": 12, "err": 1},
        "seconds": None,
        "line": "graph.flow:21",
    }
    assert nodes["g.1.3"]["kind"] == "effect"
    assert {"from": "g.1.4", "to": "g.1.17", "kind": "data"} in found["edges"]
    assert {"from": "g", "to": "g.1", "kind": "child"} in found["edges"]
    assert {each[end] for each in found["edges"] for end in ("from", "to")} <= set(nodes)


def test_what_has_no_result(cli: Cli, here: Here) -> None:
    """What is under way, what waits for that, and what was left when its run ended."""
    cli.file(
        "open.flow",
        'def _nap_impl(fctx):\n    fctx.actions.sleep("1h")\n\nnap = flow(_nap_impl)\n'
        "def _all_impl(fctx):\n    a = fctx.actions.run(nap)\n    b = fctx.actions.run(nap, a)\n"
        '    fctx.actions.wait(b, timeout = "1ms")\n    fail("enough")\n\n'
        "all = flow(_all_impl, retries = 1, retry_delay = 0)\n"
        'if __name__ == "__flow__":\n    unwrap(all())\n',
    )
    here("run", "open.flow", "--id", "o", "-q")
    lines = lines_of(here, "o")
    assert lines[0] == "o  open.flow  err"
    assert lines[2] == "        1.  #5 nap  cancelled  [open.flow:6]", "it shows the last attempt"
    assert lines[3].startswith("        2.  #6 nap  ")
    assert lines[3].endswith("  ← #5 nap  [open.flow:7]")
