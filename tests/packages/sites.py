"""Web servers on loopback that carry a registry, and do as they are told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

Answer = Callable[[BaseHTTPRequestHandler], bool]
"""Answers a request, or does not, and then the file is sent."""


@dataclass
class Site:
    """A server: ``seen`` are the paths that were asked for, ``answer`` may be set to answer in another way."""

    root: Path
    port: int
    scheme: str
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: Answer | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def host(self) -> str:
        """Host and port, as the name of a package has them."""
        return f"localhost:{self.port}"


@contextmanager
def site(root: Path, authority: trustme.CA | None = None) -> Iterator[Site]:
    """Serves a directory, by https with a certificate of ``authority`` if there is one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            served.seen.append(self.path)
            served.headers.append(dict(self.headers))
            if served.answer is not None and served.answer(self):
                return
            path = served.root / self.path.lstrip("/")
            if not path.is_file():
                send(self, 404)
                return
            data = path.read_bytes()
            tag = f'"{hash(data)}"'
            if self.headers.get("If-None-Match") == tag:
                send(self, 304, ETag=tag)
            else:
                send(self, 200, data, ETag=tag)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # type: ignore[method-assign]
    if authority is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(tls)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    served = Site(root, server.server_address[1], "http" if authority is None else "https")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Sends an answer; ``_`` in the names of headers stands for a hyphen."""
    handler.send_response(status)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in given.items():
        handler.send_header(name, value)
    if "Content-Length" not in given and status != 304:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
