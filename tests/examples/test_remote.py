"""The table over the network: fetched from a busy server, put into words by Python, and posted once, come what may."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).absolute().parents[2]
FOLDER = CHECKOUT / "examples" / "etl"


class Server(ThreadingHTTPServer):
    """Is busy at the first request of each kind; keeps reports by their key, and says when it has one already."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.reports: dict[str, Any] = {}
        self.keys: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self._busy():
            return
        self._answer(200, (FOLDER / "data" / "seattle-weather.csv").read_bytes(), "text/csv; charset=utf-8")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        self.server.keys.append(key)
        known = key in self.server.reports
        self.server.reports[key] = json.loads(body)
        if self._busy():
            return
        self._answer(409 if known else 201, b"{}", "application/json")

    def _busy(self) -> bool:
        first = self.command not in self.server.asked
        self.server.asked.append(self.command)
        if first:
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
        return first

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def flowmetal(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "FLOWMETAL_HOME": str(tmp_path / "home"),
        "FLOWMETAL_DURABILITY": "os",
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "flowmetal", *arguments],
        cwd=FOLDER,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_table_is_fetched_put_into_words_and_posted(tmp_path: Path, server: Server) -> None:
    place = f"http://127.0.0.1:{server.server_port}"
    asked = ["remote.flow:remote", "--source", f"{place}/weather.csv", "--report-to", f"{place}/reports", "--id", "r"]
    allow = ["--allow", f"net=127.0.0.1:{server.server_port}/GET,POST", "--allow", "call=weather_report"]

    done = flowmetal(tmp_path, "run", *asked, *allow)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["months"], result["bad_rows"], result["status"]) == (48, 0, 409)
    assert result["report"].splitlines()[0].startswith("2012-01:")
    assert "trend" in result["report"]
    # Both were tried again, the post under one key, so the server kept one report.
    assert server.asked == ["GET", "GET", "POST", "POST"]
    assert len(set(server.keys)) == 1
    assert [report["months"] for report in server.reports.values()] == [48]
    log = flowmetal(tmp_path, "log", "r").stdout
    assert log.count("attempt 2") == 2

    again = flowmetal(tmp_path, "resume", "r")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert server.asked == ["GET", "GET", "POST", "POST"]


def test_without_a_grant_the_very_option_is_told(tmp_path: Path, server: Server) -> None:
    place = f"http://127.0.0.1:{server.server_port}"
    done = flowmetal(tmp_path, "run", "remote.flow:remote", "--source", f"{place}/x", "--report-to", f"{place}/y")
    assert done.returncode == 1
    assert f"--allow net=127.0.0.1:{server.server_port}/GET" in done.stderr
    assert server.asked == []
