"""Names that engine, journal and worker derive alike: a child's run id, an idempotency key."""

from __future__ import annotations

import hashlib

from flowmetal.errors import UsageError

MAX_RUN_ID_BYTES = 400


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


def idempotency_key(nonce: bytes, run_id: str, number: int = 0) -> str:
    """32 hex digits, the same over resumes and attempts, never the same for another run.

    ``nonce`` is the root run's 16 random bytes; ``number`` an action of the run, or 0 for the run itself.
    """
    return hashlib.blake2b(f"{run_id}#{number}".encode(), key=nonce, digest_size=16).hexdigest()
