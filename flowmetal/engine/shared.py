"""``state.get`` and ``state.set``, and how a flight whose Result is written with what it changed gets it."""

from __future__ import annotations

from typing import Any, Final

from flowmetal.engine.flights import Flight
from flowmetal.engine.runs import Runs
from flowmetal.errors import FlowmetalError, QuotaError, UnknownRunError, UsageError, ValueCodecError
from flowmetal.journal.shared_state import Shared, put_shared, read_shared
from flowmetal.journal.store import Update
from flowmetal.settings import format_size
from flowmetal.values import Failure, Wire, err, ok, pack, unpack

_REASONS: Final = {UnknownRunError: "unknown", UsageError: "finished", QuotaError: "limit"}


class SharedState:
    """What the runs of a home share.

    Args:
        runs: who sets and gets.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._ledger = runs.ledger

    def get(self, flight: Flight) -> Wire:
        """What a name holds."""
        with self._ledger.journal.store.view() as view:
            found = read_shared(view, flight.args["key"])
        value, version = (unpack(found.value), found.version) if found is not None else (None, 0)
        return ok({"struct": ["value", value, "version", version]})

    def set(self, flight: Flight) -> Wire | None:
        """Sets what a name holds, decided inside the transaction: another process may have set it meanwhile.

        None if the store refused; then the engine ends.
        """
        name, expected, value = flight.args["key"], flight.args["expected_version"], pack(flight.args["value"])
        most = flight.root.limits.message_bytes
        if len(value) > most:
            text = f"is {len(value):,} bytes encoded; the limit `message_bytes` is {format_size(most)}"
            return failed(flight, "limit", f"what `{name}` is set to {text}")
        results: list[Wire] = []

        def put(update: Update) -> None:
            found = read_shared(update, name)
            version = found.version if found is not None else 0
            if expected is not None and expected != version:
                message = f"`{name}` has version {version}, not {expected}: somebody has set it"
                results.append(failed(flight, "conflict", message, {"dict": ["version", version]}))
                return
            put_shared(update, name, Shared(value, version + 1, self._ledger.now_ms, flight.run_id))
            results.append(ok(version + 1))
            record(self._runs, flight, results[0])

        return results[0] if self._ledger.commit(put) else None


def record(runs: Runs, flight: Flight, result: Wire) -> None:
    """Appends the Result of a flight now, in the batch of what it has changed, and to the key that it holds."""
    run_id, number, packed = flight.run_id, flight.action.number, pack(result)
    runs.ledger.result(run_id, number, packed, by=flight.by)
    runs.once.settle(run_id, number, packed)
    flight.is_recorded = True


def failed(flight: Flight, kind: str, message: str, details: Wire = None) -> Wire:
    """An Err of a flight."""
    action = flight.action
    return err(Failure(kind, f"{action.name}: {message}", details, action.name, action.line))


def not_sent(flight: Flight, error: FlowmetalError) -> Wire:
    """The Err of a flight whose message was refused."""
    kind = "limit" if isinstance(error, QuotaError) else "effect"
    details = {"dict": ["run", flight.args["run_id"], "reason", _REASONS.get(type(error), "finished")]}
    return failed(flight, kind, error.message, details)


def value_in(message: dict[str, Any]) -> bytes | None:
    """The encoded value that a message holds; None if that is none."""
    value = message.get("value")
    try:
        unpack(value if isinstance(value, bytes) else b"")
    except ValueCodecError:
        return None
    return value
