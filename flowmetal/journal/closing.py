"""What becomes of runs of their own when the run ends that started them.

``close`` ‖ 0 ‖ run id ‖ 0 ‖ root id in ``meta`` says that the end of a run is that of a root, by ``cancel`` or
``terminate``.  It is written in the transaction that starts the root, and becomes mail for it in the one that ends the
run; so whatever is killed in between, the root learns of it, or has ended.
"""

from __future__ import annotations

from typing import Final

from flowmetal.journal import mail
from flowmetal.journal.headers import read_header
from flowmetal.journal.store import Update, View

_PREFIX: Final = b"close\0"
ABANDON: Final = "abandon"


def closing_pair(parent: str, root: str, how: str) -> tuple[bytes, bytes]:
    """The key and value in ``meta`` by which the end of ``parent`` is that of ``root``."""
    return _key(parent, root), how.encode()


def closers(view: View, root: str) -> set[str]:
    """The runs of a root's tree whose end is that of others."""
    found: set[str] = set()
    for start, stop in (
        (_PREFIX + root.encode() + b"\0", _PREFIX + root.encode() + b"\1"),
        (_PREFIX + root.encode() + b".", _PREFIX + root.encode() + b"/"),
    ):
        found.update(key[len(_PREFIX) :].partition(b"\0")[0].decode() for key, _ in view.scan("meta", start, stop))
    return found


def close(update: Update, parent: str) -> list[str]:
    """The run ``parent`` has ended: mail for what it started; the roots that have it."""
    start = _key(parent, "")
    roots = []
    for key, how in list(update.scan("meta", start, start[:-1] + b"\1")):
        update.delete("meta", key)
        root = key[len(start) :].decode()
        header = read_header(update, root)
        if header is not None and not header.is_finished and not header.moved_to:
            mail.put(update, root, {"kind": how.decode(), "reason": f"{parent}, which started it, has ended"})
            roots.append(root)
    return roots


def forget_closers(update: Update, root: str) -> None:
    """The tree of a root is being removed: its end closes nothing any more."""
    for parent in closers(update, root):
        start = _key(parent, "")
        for key, _ in list(update.scan("meta", start, start[:-1] + b"\1")):
            update.delete("meta", key)


def _key(parent: str, root: str) -> bytes:
    return _PREFIX + parent.encode() + b"\0" + root.encode()
