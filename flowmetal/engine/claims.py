"""What is to be said of a key that someone holds; see ``once.py``."""

from __future__ import annotations

from flowmetal.engine.earlier import DETACHED
from flowmetal.identity import child_id
from flowmetal.journal import once
from flowmetal.journal.headers import read_header
from flowmetal.journal.keys import root_of
from flowmetal.journal.once import Claim
from flowmetal.journal.store import Update, View


def put_err(update: Update, done: Claim) -> None:
    """Writes the Err that came of a claim; one of a flow that never began leaves the key free."""
    is_flow = "//" in done.what and not done.what.endswith(DETACHED)
    if is_flow and read_header(update, child_id(*done.place)) is None:
        once.remove_claim(update, done)
    else:
        once.put_claim(update, done)


def is_gone(view: View, found: Claim) -> bool:
    """Whether who holds a key is not there any more, and had no Result."""
    return found.value is None and read_header(view, found.run_id) is None


def endless(update: Update, found: Claim, mine: Claim) -> str:
    """Why waiting for the Result would never end, if that is so."""
    theirs = steps(found)
    if steps(mine)[: len(theirs)] == theirs:
        return f"the key {mine.key!r} is held by {shown(found)}, which waits for this"
    root = read_header(update, root_of(found.run_id))
    if root is not None and root.moved_to:
        return f"the key {mine.key!r} is held by {shown(found)}, which was moved to {root.moved_to}"
    return ""


def steps(claim: Claim) -> list[str]:
    """The action that holds a key, as a way down from its root."""
    return [*claim.run_id.split("."), str(claim.number)]


def shown(claim: Claim) -> str:
    """Who holds a key, for people."""
    return f"{claim.what.rpartition('//')[2]} (action {claim.number} of {claim.run_id})"
