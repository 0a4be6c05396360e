"""What a program prints, read as fast as it prints and kept within a limit: the beginning and the end.

Where it is cut, no half of a secret may be left that nobody would recognise: a cut that would go through a secret is
moved to before it.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
from collections.abc import Iterable
from typing import Final

from flowmetal.actions.scrubbing import forms

_CHUNK: Final = 256 * 1024
_BURST: Final = 8


class Capture:
    """Bytes of a stream as they come, of which ``limit`` are kept: half from its beginning, half from its end.

    Args:
        limit: bytes.
        secrets: texts that are not to be cut in two.
    """

    def __init__(self, limit: int, secrets: Iterable[str] = ()) -> None:
        self._forms = sorted({form.encode("utf-8", "surrogatepass") for text in secrets for form in forms(text)})
        # More is kept than is shown, so that a secret at the cut is there in one piece.
        self._slack = max(map(len, self._forms), default=0)
        self._half = limit // 2
        self._room = self._half + self._slack
        self._head = bytearray()
        self._tail = bytearray()
        self.size = 0

    def feed(self, data: bytes) -> None:
        """Takes more of the stream."""
        self.size += len(data)
        free = self._room - len(self._head)
        if free > 0:
            self._head += data[:free]
            data = data[free:]
        if data:
            self._tail += data[-self._room :]
            if len(self._tail) > 2 * self._room:
                del self._tail[: -self._room]

    def text(self, limit: int) -> tuple[str, bool]:
        """The text, not much longer than ``limit`` bytes in UTF-8, and whether something of it is missing.

        What is no UTF-8 has U+FFFD in its place.
        """
        whole = self._whole()
        if whole is not None:
            text = whole.decode("utf-8", "replace")
            if len(text.encode("utf-8")) <= limit:
                return text, False
        half = min(self._half, limit // 2)
        head, tail = self._beginning(half), self._end(half)
        if len((_text_of_head(head) + _text_of_tail(tail)).encode("utf-8")) > limit:
            head, tail = self._beginning(half // 3), self._end(half // 3)  # no text: each byte may become three
        dropped = self.size - len(head) - len(tail)
        return f"{_text_of_head(head)}\n[… {dropped:,} bytes are left out …]\n{_text_of_tail(tail)}", True

    def tail(self, limit: int) -> str:
        """The end of the text, of at most ``limit`` bytes of the stream."""
        whole = self._whole()
        if whole is not None and len(whole) <= limit:
            return whole.decode("utf-8", "replace")
        return "…" + _text_of_tail(self._end(min(limit, self._half)))

    def clear(self) -> None:
        """Forgets everything."""
        self._head.clear()
        self._tail.clear()
        self.size = 0

    def _whole(self) -> bytes | None:
        known = bytes(self._head + self._tail)
        return known if len(known) == self.size else None

    def _beginning(self, size: int) -> bytes:
        source = self._whole() or bytes(self._head)
        cut = min(size, len(source))
        return source[: min((start for start, end in self._around(source, cut)), default=cut)]

    def _end(self, size: int) -> bytes:
        source = self._whole() or bytes(self._tail)
        cut = max(0, len(source) - size)
        return source[max((end for start, end in self._around(source, cut)), default=cut) :]

    def _around(self, source: bytes, cut: int) -> list[tuple[int, int]]:
        """Where secrets lie across a cut."""
        found = []
        for form in self._forms:
            low = max(0, cut - len(form) + 1)
            start = source.find(form, low, cut + len(form) - 1)
            if 0 <= start < cut < start + len(form):
                found.append((start, start + len(form)))
        return found


class Drain:
    """Reads a pipe to its end, into a capture.  It owns the descriptor."""

    def __init__(self, fd: int, capture: Capture) -> None:
        self._fd = fd
        self._capture = capture
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self.read)

    def read(self) -> None:
        """Takes what is there now."""
        for _ in range(_BURST):
            if self._over.is_set():
                return
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.close()
                return
            self._capture.feed(data)

    async def finish(self, seconds: float) -> None:
        """Waits for the end of the stream, but no longer than so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        self.close()

    def close(self) -> None:
        """Reads no more."""
        if not self._over.is_set():
            self._over.set()
            self._loop.remove_reader(self._fd)
            os.close(self._fd)


class Feed:
    """Writes bytes into a pipe as it takes them, and closes it.  It owns the descriptor."""

    def __init__(self, fd: int, data: bytes) -> None:
        self._fd = fd
        self._left = memoryview(data)
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_writer(fd, self._write)

    def _write(self) -> None:
        try:
            self._left = self._left[os.write(self._fd, self._left) :] if self._left else self._left
        except BlockingIOError:
            return
        except OSError:
            self._left = memoryview(b"")  # nobody reads on, which a program may do
        if not self._left:
            self.close()

    def close(self) -> None:
        """Writes no more."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1


def share(total: int, first: int, second: int) -> tuple[int, int]:
    """How much of ``total`` each of two gets: what it needs, if need be half, and what the other leaves."""
    half = total // 2
    if first + second <= total:
        return first, second
    if first <= half:
        return first, total - first
    if second <= half:
        return total - second, second
    return half, half


def _text_of_head(data: bytes) -> str:
    # An unfinished character at the end is left out.
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data, final=False)


def _text_of_tail(data: bytes) -> str:
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:].decode("utf-8", "replace")
