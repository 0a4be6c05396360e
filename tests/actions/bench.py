"""Effects that start processes, through the same steps as the engine, on a loop of their own."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import time
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from flowmetal.actions import STANDARD, EffectContext, EffectFailure
from flowmetal.actions.services import Services
from flowmetal.permissions import Denied, GrantSet, decide_all, parse_grants
from flowmetal.settings import Limits
from flowmetal.values import Failure, Wire, pack, to_json_data

KEY = "0123456789abcdef0123456789abcdef"
PATIENCE_SECONDS = 30.0

_counter = itertools.count()


@dataclass(frozen=True)
class FixedSecrets:
    """Secrets by name."""

    texts: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """The text, or None."""
        return self.texts.get(name)


@dataclass(frozen=True)
class Bench:
    """A directory to work in, with grants; calling it performs an effect to its end and closes what it leaves open."""

    base: Path
    grants: GrantSet
    secrets: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def granted(self, *allow: str, deny: tuple[str, ...] = ()) -> Bench:
        """The same bench under other grants."""
        return replace(self, grants=parse_grants(allow, deny, str(self.base)))

    def __call__(self, name: str, *args: Wire, **kwargs: Wire) -> Wire:
        """The effect's value, as JSON-like data.

        Raises:
            EffectFailure: also when the gate refuses.
        """
        return asyncio.run(self._alone(name, args, kwargs))

    def failure(self, name: str, *args: Wire, **kwargs: Wire) -> Failure:
        """The failure that the effect must end in."""
        with pytest.raises(EffectFailure) as caught:
            self(name, *args, **kwargs)
        failure = caught.value.to_failure()
        assert failure.message.isprintable()
        pack(failure.to_wire())
        return failure

    def details(self, name: str, *args: Wire, **kwargs: Wire) -> dict[str, object]:
        """The details of the failure that the effect must end in."""
        details: dict[str, object] = to_json_data(self.failure(name, *args, **kwargs).details)
        return details

    def cut_off(self, name: str, *args: Wire, **kwargs: Wire) -> tuple[list[Mapping[str, object]], float]:
        """Cancels the effect when the file ``begun`` is there; its last words, and the seconds its end took."""

        async def life() -> tuple[list[Mapping[str, object]], float]:
            services = Services(FixedSecrets(self.secrets))
            context = self.context(name, services)
            task = asyncio.ensure_future(self.perform(context, args, kwargs))
            while not (self.base / "begun").exists():
                assert not task.done(), task.result()
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)  # what was printed before is in the pipe: the loop looks there once more
            words = [each() for each in context.final_words]
            at = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            seconds = time.monotonic() - at
            await services.resources.close()
            return words, seconds

        return asyncio.run(life())

    async def _alone(self, name: str, args: tuple[Wire, ...], kwargs: Mapping[str, Wire]) -> Wire:
        services = Services(FixedSecrets(self.secrets))
        try:
            return to_json_data(await self.perform(self.context(name, services), args, kwargs))
        finally:
            await services.resources.close()

    def context(self, name: str, services: Services, key: str = KEY) -> EffectContext:
        """What an effect of that name is performed with."""
        return EffectContext(key, str(self.base), name, limits=self.limits, services=services)

    async def perform(self, context: EffectContext, args: tuple[Wire, ...], kwargs: Mapping[str, Wire]) -> Wire:
        """Performs an effect.

        Raises:
            EffectFailure: also when the gate refuses.
        """
        effect, bound = STANDARD.bind(context.action_name, args, kwargs)
        allowed = decide_all(self.grants, effect.want(bound, context))
        if isinstance(allowed, Denied):
            raise EffectFailure(allowed.message, kind="denied", details={"option": allowed.option})
        result = effect.perform(allowed, bound, context)
        value = await result if isinstance(result, Awaitable) else result
        pack(value)
        return value


def long_sleep() -> str:
    """A number of seconds, some twenty minutes, that no other process of this machine sleeps."""
    return f"{1_000 + os.getpid() % 1_000}.{os.getpid()}{next(_counter):04}"


def command_lines() -> list[str]:
    """The command lines of all processes."""
    return subprocess.run(
        ["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def wait_for(what: str, *, there: bool) -> None:
    """Waits until a command line that holds ``what`` is there, or none is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(what in line for line in command_lines()) != there:
        assert time.monotonic() < deadline, [line for line in command_lines() if what in line or not there]
        time.sleep(0.05)


def open_files() -> Iterator[str]:
    """What each open descriptor of this process is."""
    directory = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(directory):
        try:
            yield os.readlink(f"{directory}/{name}")
        except OSError:
            continue
