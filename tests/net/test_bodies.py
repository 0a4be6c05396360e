"""Bodies: decompressed as they come, in pieces of any size, and never further than the limits."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.net.bodies import Body
from flowmetal.net.faults import RequestFault


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKERS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "GZIP ": gzip.compress, "deflate": zlib.compress}


def decode(encoding: str, data: bytes, step: int = 1000, limit_bytes: int = 1 << 20, ratio: int = 100) -> bytes:
    body = Body(encoding, limit_bytes, ratio, "h:443", "; save it")
    pieces = [piece for at in range(0, len(data), step) for piece in body.feed(data[at : at + step])]
    pieces.append(body.end())
    assert body.size_bytes == sum(map(len, pieces))
    return b"".join(pieces)


@given(st.binary(max_size=3000), st.integers(1, 4000))
def test_what_was_compressed_comes_back(data: bytes, step: int) -> None:
    for encoding, pack in PACKERS.items():
        assert decode(encoding, pack(data), step) == data
    assert decode("deflate", raw_deflate(data), step) == data
    assert decode("", data, step) == decode("identity", data, step) == data
    assert decode("gzip", gzip.compress(data, mtime=0) + gzip.compress(data[::-1]), step) == data + data[::-1]


def test_large_pieces_are_divided() -> None:
    data = os.urandom(300_000)
    body = Body("gzip", 1 << 20, 100, "h:443", "")
    pieces = list(body.feed(gzip.compress(data, mtime=0)))
    assert max(map(len, pieces)) <= 64 * 1024
    assert b"".join([*pieces, body.end()]) == data


@pytest.mark.parametrize("step", [1, 100, 1 << 20])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_ends_early(encoding: str, step: int) -> None:
    bomb = PACKERS[encoding](bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(RequestFault) as caught:
        decode(encoding, bomb, step, limit_bytes=1 << 40)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.kind == "limit"
    assert "100 times" in caught.value.message
    assert peak_bytes < 64_000_000


def test_a_bomb_in_many_members_ends_early() -> None:
    bomb = gzip.compress(bytes(60_000), mtime=0) * 1000
    with pytest.raises(RequestFault, match="100 times"):
        decode("gzip", bomb, limit_bytes=1 << 40)


def test_what_comes_in_is_limited_too() -> None:
    with pytest.raises(RequestFault, match="more than 1,000 bytes"):
        decode("gzip", gzip.compress(b"", mtime=0) * 5_000, limit_bytes=1_000)


def test_blanks_in_a_small_body_are_no_bomb() -> None:
    assert decode("gzip", gzip.compress(b" " * 60_000, mtime=0)) == b" " * 60_000


@pytest.mark.parametrize(
    ("encoding", "data", "words"),
    [
        ("br", b"", "compressed as br"),
        ("gzip, gzip", b"", "not asked for"),
        ("\x1b[2J", b"", "an unknown way"),
        ("gzip", b"no gzip at all", "damaged"),
        ("gzip", gzip.compress(b"x" * 500, mtime=0)[:-9], "stops in the middle"),
        ("gzip", gzip.compress(b"x", mtime=0)[:-8] + b"\0" * 8, "damaged"),
        ("gzip", gzip.compress(b"x", mtime=0) + b"tail", "damaged"),
        ("deflate", zlib.compress(b"x" * 500)[:-3], "stops in the middle"),
    ],
)
def test_a_damaged_body_is_refused(encoding: str, data: bytes, words: str) -> None:
    with pytest.raises(RequestFault, match=words) as caught:
        decode(encoding, data)
    assert caught.value.kind == "effect"
    assert caught.value.may_have_run
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_the_limit_is_of_what_comes_out(encoding: str) -> None:
    data = os.urandom(70_000)
    packed = gzip.compress(data, mtime=0) if encoding else data
    assert decode(encoding, packed, limit_bytes=70_000) == data
    with pytest.raises(RequestFault, match="more than 69,999 bytes; save it") as caught:
        decode(encoding, packed, limit_bytes=69_999)
    assert caught.value.kind == "limit"


def test_a_declared_length_is_believed_when_it_is_too_large() -> None:
    body = Body("", 1000, 100, "h:443", "")
    for fine in ("", "1000", "x", "-5000", "9" * 400, "²"):
        body.check_length(fine)
    with pytest.raises(RequestFault, match="more than 1,000 bytes"):
        body.check_length("1001")
