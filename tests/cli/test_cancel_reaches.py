"""A cancel reaches children and what is under way for them in the world, whoever asks for it.

Each effect here would take ten minutes; that nothing of it is left long before that is what is looked at.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE_SECONDS, Cli, Here, until

LONG = """
def _busy_impl(fctx, port):
    a = fctx.actions
    return a.wait([
        a.run(a.exec, ["sh", "-c", "echo $$ > exec.pid; sleep 600 & wait"]),
        a.run(a.call, "long_job:hold", "call.pid"),
        a.run(a.http.get, "http://127.0.0.1:%d/" % port),
        a.run(a.digest, "huge"),
    ])

busy = flow(_busy_impl)

def _between_impl(fctx, port):
    return busy(port)

between = flow(_between_impl)

def _main_impl(fctx):
    task = fctx.actions.run(between, fctx.args.port)
    fctx.actions.receive("stop")
    fctx.actions.cancel(task)
    return fctx.actions.wait(task).error.kind

main = flow(_main_impl, args = {"port": args.int()})
"""
JOB = """
import os, time

def hold(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)
"""
GRANTS = ("read=.", "exec=sh", "call=long_job", "net=127.0.0.1:*")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_SECONDS)
        yield listening


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("by", ["another terminal", "its caller"])
def test_nothing_is_left(cli: Cli, here: Here, server: socket.socket, by: str) -> None:
    cli.file("long.flow", LONG)
    cli.file("long_job.py", JOB)
    os.truncate(os.open(cli.folder / "huge", os.O_CREAT | os.O_RDWR), 2**42)
    allowed = [part for grant in GRANTS for part in ("--allow", grant)]
    port = server.getsockname()[1]
    process = cli.start("run", "long.flow:main", "--port", str(port), "--id", "r", *allowed)
    until(lambda: process.poll() is not None or (cli.text("exec.pid").strip() and cli.text("call.pid")))
    assert process.poll() is None, cli.end(process)
    connection, _ = server.accept()
    connection.settimeout(PATIENCE_SECONDS)
    pids = [int(cli.text(name)) for name in ("exec.pid", "call.pid")]
    assert all(map(is_alive, pids))

    waits = {each["kind"]: each for each in here("explain", "r", "--json").json["waits"]}
    assert (waits["message"]["what"], waits["message"]["command"]) == ('"stop"', "flowmetal signal r stop JSON")
    assert waits["effect"]["what"].endswith(", which is under way")
    done = here("cancel", "r") if by == "another terminal" else here("signal", "r", "stop", "null")
    assert done.code == 0, done.err
    # An engine waits for the threads in which files are read, so its end is theirs.
    ended = cli.end(process)
    assert (ended.code, ended.out) == ((1, "") if by == "another terminal" else (0, "cancelled\n")), ended.err
    until(lambda: not any(map(is_alive, pids)))
    with connection:
        while connection.recv(65_536):
            pass  # what it asked; then the connection is closed
    assert {row["run"]: row["status"] for row in here("ps", "--json").lines} == {
        "r": "cancelled" if by == "another terminal" else "ok"
    }
