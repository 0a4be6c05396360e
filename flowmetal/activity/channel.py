"""Messages between the engine and a process that calls Python: pairs of frames, a head and a value.

A frame is its length in four bytes and wire data as MessagePack, see ``flowmetal.values``.  Heads to the process:
``["call", module, function, key, attempt, action name]``, whose value is ``[args, kwargs]``, and ``["cancel"]``.  Heads
to the engine: ``["progress"]``, ``["ok"]`` with the result, ``["err", kind, message]`` with details.
"""

from __future__ import annotations

from typing import Final

from flowmetal.errors import ValueCodecError
from flowmetal.values import MAX_BYTES, Wire, pack, unpack

_LENGTH: Final = 4


def encode(head: list[Wire], value: Wire = None) -> bytes:
    """The bytes of a message.

    Raises:
        ValueCodecError: it is larger than a value may be.
    """
    return b"".join(len(data).to_bytes(_LENGTH, "big") + data for data in (pack(head), pack(value)))


class Reader:
    """Takes bytes as they come and gives messages."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: list[Wire] | None = None

    def feed(self, data: bytes) -> list[tuple[list[Wire], Wire]]:
        """The messages that are complete now.

        Raises:
            ValueCodecError: it is none.
        """
        self._data += data
        messages = []
        while len(self._data) >= _LENGTH:
            size = int.from_bytes(self._data[:_LENGTH], "big")
            if size > MAX_BYTES:
                raise ValueCodecError(f"a frame of {size:,} bytes")
            if len(self._data) < _LENGTH + size:
                break
            wire = unpack(bytes(self._data[_LENGTH : _LENGTH + size]))
            del self._data[: _LENGTH + size]
            if self._head is not None:
                messages.append((self._head, wire))
                self._head = None
            elif isinstance(wire, list) and wire and all(isinstance(item, str | int) for item in wire):
                self._head = wire
            else:
                raise ValueCodecError("a message without a head")
        return messages
