"""Who answers what an engine asks people while a run only pretends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from flowmetal.engine.effects import ASKED_INTERRUPTED

_DO_NOT_REPEAT: Final = "fail"


class Questions:
    """An observer that lets no effect be repeated of which nobody knows whether it was done.

    Inputs are scripted, and grants are not asked for, so no other question comes.
    """

    def __init__(self, answer: Callable[[str, int, str], bool]) -> None:
        self._answer = answer

    def asked(self, run_id: str, number: int, reason: str, text: str) -> None:
        """Answers in a turn of its own."""
        if reason == ASKED_INTERRUPTED:
            asyncio.get_running_loop().call_soon(self._answer, run_id, number, _DO_NOT_REPEAT)

    def started(self, run_id: str, name: str, parent: str, number: int) -> None:
        """Nothing."""

    def acted(self, run_id: str, number: int, callee: str, name: str) -> None:
        """Nothing."""

    def ended(self, run_id: str, number: int, is_ok: bool) -> None:
        """Nothing."""

    def logged(self, run_id: str, text: str, level: str, fields: bytes | None) -> None:
        """Nothing."""

    def retrying(self, run_id: str, number: int, attempt: int, reason: str, delay_seconds: float) -> None:
        """Nothing."""
