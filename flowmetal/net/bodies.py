"""The body of a response: decompressed piece by piece, within limits.

A few kilobytes can say gigabytes, so nothing is decompressed whole: each step gives at most ``_STEP_BYTES``, and what
came in and went out is counted after each.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from flowmetal.net.faults import RequestFault

ENCODINGS: Final = "gzip, deflate"
"""What is asked for."""

_STEP_BYTES: Final = 64 * 1024
_RATIO_FLOOR_BYTES: Final = 64 * 1024
"""Up to this size the ratio does not matter: a page of blanks is no attack."""


class Body:
    """Decodes one body.

    Args:
        encoding: the header Content-Encoding.
        limit_bytes: of the body, decompressed.
        ratio: how many bytes each compressed one may become.
        place: host and port, for errors.
        remedy: what errors say about a body that is too large.

    Raises:
        RequestFault: of every method: an encoding that was not asked for, a body past a limit or damaged.
    """

    def __init__(self, encoding: str, limit_bytes: int, ratio: int, place: str, remedy: str) -> None:
        self._limit_bytes = limit_bytes
        self._ratio = ratio
        self._place = place
        self._remedy = remedy
        self._encoding = encoding.strip().lower()
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            shown = self._encoding[:40] if self._encoding.isprintable() else "an unknown way"
            raise self._fault(f"sent a body compressed as {shown}, which was not asked for")
        self._inflater: zlib._Decompress | None = None
        self._came_bytes = 0
        self.size_bytes = 0

    def check_length(self, declared: str) -> None:
        """Refuses a body whose header Content-Length says already that it is too large."""
        if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > self._limit_bytes:
            raise self._too_large()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that ``data`` decodes to."""
        self._came_bytes += len(data)
        if self._came_bytes > self._limit_bytes + _RATIO_FLOOR_BYTES:  # what comes out may be less, even nothing
            raise self._too_large()
        if self._encoding in ("", "identity"):
            self._count(len(data))
            yield data
            return
        while data:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(self._window(data))
            try:
                piece = self._inflater.decompress(data, _STEP_BYTES)
            except zlib.error:
                raise self._fault("sent a compressed body that is damaged") from None
            self._count(len(piece))
            data = self._inflater.unconsumed_tail
            if self._inflater.eof:
                data, self._inflater = self._inflater.unused_data, None
            if piece:
                yield piece

    def end(self) -> bytes:
        """The last piece; refuses a compressed body that stopped in the middle."""
        if self._inflater is None:
            return b""
        piece = self._inflater.flush()
        self._count(len(piece))
        if not self._inflater.eof:
            raise self._fault("sent a compressed body that stops in the middle")
        return piece

    def _window(self, data: bytes) -> int:
        if "gzip" in self._encoding:
            return 16 + zlib.MAX_WBITS
        # By its name zlib's format; some servers leave its two bytes of header out.
        is_zlib = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
        return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS

    def _count(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        if self.size_bytes > self._limit_bytes:
            raise self._too_large()
        if self.size_bytes > max(_RATIO_FLOOR_BYTES, self._came_bytes * self._ratio):
            raise RequestFault(
                f"{self._place} sent a body that grows more than {self._ratio} times when it is decompressed",
                kind="limit",
                may_have_run=True,
            )

    def _too_large(self) -> RequestFault:
        message = f"{self._place} sent a body of more than {self._limit_bytes:,} bytes{self._remedy}"
        return RequestFault(message, kind="limit", may_have_run=True)

    def _fault(self, what: str) -> RequestFault:
        return RequestFault(f"{self._place} {what}", may_have_run=True)
