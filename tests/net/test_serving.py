"""The server for this machine: who asks it by tricks gets nothing, and says nothing on its owner's terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flowmetal.packages.serving import make_server

INDEX = "/pkg.example.org/v1/x/flowmetal/index.json"
HERE = "Host: localhost\r\n"
REQUESTS = [
    # the first line, headers, the status
    (f"GET {INDEX} HTTP/1.1", HERE, 200),
    (f"GET {INDEX} HTTP/1.1", "Host: 127.0.0.1:80\r\n", 200),
    (f"GET {INDEX} HTTP/1.1", "Host: evil.example\r\n", 421),
    (f"GET {INDEX} HTTP/1.1", "Host: localhost.evil.example\r\n", 421),
    (f"GET {INDEX} HTTP/1.1", "Host: localhost@evil.example\r\n", 421),
    (f"GET {INDEX} HTTP/1.1", "Host: \r\n", 421),
    (f"GET {INDEX} HTTP/1.1", f"{HERE}Host: evil.example\r\n", 400),
    (f"GET http://evil.example{INDEX} HTTP/1.1", HERE, 421),
    (f"PUT {INDEX} HTTP/1.1", HERE, 405),
    (f"GET /{INDEX} HTTP/1.1", HERE, 404),
    (f"GET {INDEX}?x HTTP/1.1", HERE, 404),
    (f"GET {INDEX}%00 HTTP/1.1", HERE, 404),
    ("GET /../secret HTTP/1.1", HERE, 404),
    ("GET /%2e%2e/secret HTTP/1.1", HERE, 404),
    ("GET /pkg.example.org/../secret/flowmetal/index.json HTTP/1.1", HERE, 404),
    ("GET /pkg.example.org/v1/x/flowmetal/v/1.0.0.json HTTP/1.1", HERE, 404),
    ("GET /elsewhere/flowmetal/index.json HTTP/1.1", HERE, 404),
    ("GET /.git/flowmetal/index.json HTTP/1.1", HERE, 404),
    ("GET /\x1b[31m HTTP/1.1", HERE, 400),
    ("\x1b[31m", HERE, 400),
]


def test_what_is_asked_by_tricks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder in ("registry/pkg.example.org/v1/x/flowmetal/v", "registry/.git/flowmetal", "outside/flowmetal"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "index.json").write_text("{}")
    registry = tmp_path / "registry"
    (registry / INDEX[1:]).write_text("{}")
    (registry / "elsewhere").symlink_to(tmp_path / "outside")
    (tmp_path / "secret").write_text("secret")
    (registry / "pkg.example.org/v1/x/flowmetal/v/1.0.0.json").symlink_to(tmp_path / "secret")

    async def ask() -> list[int]:
        server = make_server(registry, lambda method, path, status: None)
        try:
            port = await server.start(0)
            found = []
            for line, headers, _ in REQUESTS:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"{line}\r\n{headers}Connection: close\r\n\r\n".encode())
                answer = await reader.read()
                found.append(int(answer.split()[1]))
                assert b"secret" not in answer
                writer.close()
                await writer.wait_closed()
            return found
        finally:
            await server.close()

    assert asyncio.run(ask()) == [status for _, _, status in REQUESTS]
    assert caplog.records == []
