"""Who watches packages being fetched."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Is told how far fetching has come."""

    def expect(self, name: str) -> None:
        """One more package is to be fetched."""
        ...

    def done(self, name: str) -> None:
        """A package is here."""
        ...


class NoMeter:
    """Shows nothing."""

    def expect(self, name: str) -> None:
        """Shows nothing."""

    def done(self, name: str) -> None:
        """Shows nothing."""
