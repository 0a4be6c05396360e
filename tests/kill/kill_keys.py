"""What the flow over effects calls: each call leaves the key under which it was asked for in a file."""

from __future__ import annotations

import os

from flowmetal import activity


def note(path: str, what: str) -> str:
    """Appends what was asked for, and the key, as one line."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{what} {activity.current().idempotency_key}\n".encode())
    finally:
        os.close(descriptor)
    return what
