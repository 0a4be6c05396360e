"""Names that engine, journal and worker derive alike: a child's run id, an idempotency key."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from flowmetal.errors import UsageError

MAX_RUN_ID_BYTES = 400
NAME_RULE: Final = "1 to 200 of letters, digits and _ - . : /, the first of them a letter, a digit or _"
"""What messages, exposed values and shared state can be called."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,199}", re.ASCII)
_RUN_TEXT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.~-]*", re.ASCII)


def child_id(parent: str, number: int) -> str:
    """The run id of the child that action ``number`` of ``parent`` started.

    Raises:
        UsageError: longer than the journal's keys allow, that is nested too deep.
    """
    run_id = f"{parent}.{number}"
    if len(run_id) > MAX_RUN_ID_BYTES:
        raise UsageError(
            f"flows are nested too deep: the run id would be {len(run_id)} bytes, the limit is {MAX_RUN_ID_BYTES}",
            remedy="call flows in a loop instead of from within each other",
        )
    return run_id


def run_key(nonce: bytes, run_id: str, life: int = 1) -> str:
    """The idempotency key of a run itself, another one in each of its lives; 32 hex digits."""
    return idempotency_key(nonce, run_id if life == 1 else f"{run_id}~{life}")


def idempotency_key(nonce: bytes, run_id: str, number: int = 0) -> str:
    """32 hex digits, the same over resumes and attempts, never the same for another run.

    ``nonce`` is the root run's 16 random bytes; ``number`` an action of the run, or 0 for the run itself.
    """
    return hashlib.blake2b(f"{run_id}#{number}".encode(), key=nonce, digest_size=16).hexdigest()


def is_name(name: str) -> bool:
    """Whether messages, exposed values and shared state can be called so; see ``NAME_RULE``."""
    return _NAME.fullmatch(name) is not None


def may_be_run_id(text: str) -> bool:
    """Whether a text has the characters of a run's id; whether it is one its journal says."""
    return len(text) <= MAX_RUN_ID_BYTES and _RUN_TEXT.fullmatch(text) is not None
