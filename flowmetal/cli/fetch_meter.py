"""How far fetching packages has come: one line on a terminal, which is gone when it is over."""

from __future__ import annotations

import sys

_WIDTH = 20


class FetchMeter:
    """Draws a bar on stderr if that is a terminal, and nothing elsewhere."""

    def __init__(self) -> None:
        self._expected = 0
        self._done = 0

    def expect(self, name: str) -> None:
        """One more package is to be fetched."""
        self._expected += 1
        self._draw(name)

    def done(self, name: str) -> None:
        """A package is here."""
        self._done += 1
        self._draw(name)

    def _draw(self, name: str) -> None:
        if not sys.stderr.isatty():
            return
        filled = _WIDTH * self._done // self._expected
        bar = "█" * filled + "░" * (_WIDTH - filled)
        text = f"\r\x1b[Kfetching packages {bar} {self._done}/{self._expected} {name}"
        sys.stderr.write("\r\x1b[K" if self._done == self._expected else text[:120])
        sys.stderr.flush()
