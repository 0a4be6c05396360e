"""What can go wrong with a request, in words for people."""

from __future__ import annotations

from typing import Literal


class RequestFault(Exception):
    """A request that got no answer, or none that may be used.

    Args:
        message: what happened and what to do, beginning with a small letter; without secrets, queries and headers.
        kind: ``effect`` (the world), ``denied`` (an address), ``limit`` (too large), ``timeout``.
        may_have_run: whether the request was sent, or a part of it.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Literal["effect", "denied", "limit", "timeout"] = "effect",
        may_have_run: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.may_have_run = may_have_run
