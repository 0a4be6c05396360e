"""An effect under way: what is known of it from the moment it is asked for until it has a result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure
from flowmetal.alarm_clock import Alarm
from flowmetal.engine.table import OpenAction, RootState
from flowmetal.permissions.decision import Allowed
from flowmetal.policy import Policy
from flowmetal.settings import format_duration
from flowmetal.values import Failure, Wire, err, from_python, ok

_MOST_RETRY_AFTER_SECONDS: Final = 86_400


@dataclass(slots=True, eq=False)
class Flight:
    """One effect; ``attempt`` counts from 1, ``generation`` all beginnings: an end of an earlier one is none."""

    run_id: str
    action: OpenAction
    root: RootState
    inherited: tuple[str, ...]
    effect: Effect
    args: Arguments
    context: EffectContext
    policy: Policy
    attempt: int = 1
    generation: int = 0
    allowed: tuple[Allowed, ...] = ()
    # False once cancelled: the result, if it comes, is only noted.
    wanted: bool = True
    # It is in nobody's hands: it waits for its next attempt, or for a person.
    asked: str = ""
    timer: Alarm | None = None
    deadline: Alarm | None = None
    # The sequence of the message that it has received.
    read: int = 0
    # Its result is in the journal already, written with what it changed there.
    is_recorded: bool = False
    thread: Future[Wire] | None = None
    task: asyncio.Task[None] | None = None

    @property
    def by(self) -> list[str]:
        """The grants that allow it, as texts."""
        return [str(each.grant) for each in self.allowed]

    @property
    def is_under_way(self) -> bool:
        """Whether something in the world is being done for it."""
        return self.thread is not None or self.task is not None

    def set_timer(self, timer: Alarm) -> None:
        """Puts a timer in the place of the one that there is: an attempt ends or begins at one time only."""
        self.stop_timer()
        self.timer = timer

    def stop_timer(self) -> None:
        """Forgets when the attempt is to end, or the next to begin."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def stop_timers(self) -> None:
        """Forgets that, and when all attempts are to have ended."""
        self.stop_timer()
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None


# -- performing ----------------------------------------------------------------------------------------


def perform(flight: Flight) -> Wire:
    """One attempt, here and now; the Result."""
    try:
        return ok(flight.effect.perform(flight.allowed, flight.args, flight.context))
    except EffectFailure as error:
        return err(error.to_failure(flight.action.name, flight.action.line))
    except Exception as error:
        return err(_fault(flight, error))


async def perform_async(flight: Flight) -> Wire:
    """One attempt on the loop; the Result."""
    try:
        result = flight.effect.perform(flight.allowed, flight.args, flight.context)
        return ok(await result if isinstance(result, Awaitable) else result)
    except EffectFailure as error:
        return err(error.to_failure(flight.action.name, flight.action.line))
    except Exception as error:
        return err(_fault(flight, error))


def _fault(flight: Flight, error: Exception) -> Failure:
    """A fault of the effect's own code ends this action, not the engine; the text names the type for the report."""
    name = flight.action.name
    message = f"{name} failed unexpectedly: {type(error).__name__}: {error}"
    return Failure("effect", message, flow=name, source=flight.action.line)


# -- failures ------------------------------------------------------------------------------------------


def interrupted_failure(flight: Flight) -> Failure:
    """Nobody knows how far the attempt came that an engine's end cut off."""
    action = flight.action
    return Failure(
        "interrupted",
        f"{action.name} was interrupted: it may have run, or in part",
        {"dict": ["may_have_run", True]},
        action.name,
        action.line,
    )


def timeout_failure(flight: Flight) -> Failure:
    """The time of one attempt is up."""
    name, seconds = flight.action.name, flight.policy.timeout_seconds or 0
    message, details = f"{name} was not done after {format_duration(seconds)}", cut_off_details(flight)
    if flight.effect.mode == "engine":
        # Nothing happens outside of the journal, so nothing is in doubt.
        message = f"{name}: no message `{flight.args['message']}` came within {format_duration(seconds)}"
        details = {"dict": ["message", flight.args["message"]]}
    return Failure("timeout", message, details, name, flight.action.line)


def cut_off_details(flight: Flight) -> Wire:
    """What is known of an attempt that is cut off: that it may have run, and what it says of itself."""
    details: dict[str, object] = {"may_have_run": True}
    for words in flight.context.final_words:
        details |= words()
    return from_python(details)


def schedule_failure(flight: Flight, last: Failure | None) -> Failure:
    """The time of all attempts is up; ``last`` is what came of the one before."""
    attempts = f"{flight.attempt} attempt{'' if flight.attempt == 1 else 's'}"
    return Failure(
        "timeout",
        f"{flight.action.name} was not done within {format_duration(flight.policy.schedule_timeout_seconds or 0)}, "
        f"in {attempts}",
        cut_off_details(flight),
        flight.action.name,
        flight.action.line,
        cause=last.to_wire() if last is not None else None,
    )


def retry_after_seconds(failure: Failure) -> float:
    """Seconds that whoever failed asked to be left alone for."""
    details = failure.details
    pairs = details["dict"] if isinstance(details, dict) and "dict" in details else []
    seconds = dict(zip(map(str, pairs[::2]), pairs[1::2], strict=True)).get("retry_after_seconds")
    if not isinstance(seconds, int | float) or not seconds > 0:
        return 0.0
    return float(min(seconds, _MOST_RETRY_AFTER_SECONDS))
