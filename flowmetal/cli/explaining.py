"""Why a run is not moving, found in the journal alone.

Two things can hold a run up: that nobody drives it, which its root's header and the lock of its engine say; and what
its open actions wait for.  Those are the actions of its unfinished runs that have no result.  Most of them say by
themselves what is missing; a child that has begun is explained by its own open actions, so the leaves of the tree are
the answer.
"""

from __future__ import annotations

from flowmetal.cli.explanation import Engine, Explanation, Node
from flowmetal.cli.open_waits import Look
from flowmetal.cli.reading import unread_names
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of, sort_key
from flowmetal.journal.ownership import process_of
from flowmetal.journal.starting import is_driven
from flowmetal.policy import policy_items
from flowmetal.values import unpack


def explain(journal: Journal, run_id: str, home: str | None) -> Explanation:
    """Looks at a run and all that is open below it.

    Raises:
        UnknownRunError: no such run.
    """
    header = journal.require(run_id)
    root = header if header.is_root else journal.require(root_of(run_id))
    nodes = {run_id: Node(header)}
    if not header.is_finished:
        below = (each for each in journal.descendants(run_id) if not each.is_finished)
        nodes.update({each.run_id: Node(each) for each in sorted(below, key=lambda each: sort_key(each.run_id))})
    last_ms = header.created_ms
    engine = _engine(journal, root, header)
    limits = _limits_above(journal, header)
    for node in nodes.values():
        if node.header.is_finished:
            continue
        limited = limits.get(node.header.parent, 0) or _places(node.header)
        limits[node.header.run_id] = limited
        found = Look(journal, node.header, home, limited, engine == "live")
        node.waits, seen_ms = found.waits(nodes)
        last_ms = max(last_ms, seen_ms)
        parent = nodes.get(node.header.parent)
        if parent is not None and node.header.run_id != run_id:
            parent.below.append(node)
    mail: dict[str, int] = {}
    for _, to, message in journal.mail_for([root.run_id]):
        if to == run_id or to.startswith(f"{run_id}.") or to == root.run_id:
            kind = str(message.get("kind"))
            mail[kind] = mail.get(kind, 0) + 1
    process = process_of(journal.home, root.owner) if engine == "live" else None
    unread = unread_names(journal, run_id)
    return Explanation(root, nodes[run_id], engine, mail, unread, last_ms, home, process)


def _engine(journal: Journal, root: Header, header: Header) -> Engine:
    if header.is_finished:
        return "ended"
    if root.moved_to:
        return "moved"
    if root.is_held:
        return "paused"
    if is_driven(journal.home, root):
        return "live"
    if root.status == "paused":
        return "full"
    return "dead" if root.owner else "none"


def _places(header: Header) -> int:
    return policy_items(unpack(header.policy)).get("max_parallel") or 0 if header.policy else 0


def _limits_above(journal: Journal, header: Header) -> dict[str, int]:
    """The ``max_parallel`` that the parent of a run is under, 0 for none."""
    found, at = 0, header.parent
    while at and not found:
        above = journal.header(at)
        found, at = (_places(above), above.parent) if above is not None else (0, "")
    return {header.parent: found}
