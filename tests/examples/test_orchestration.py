"""The examples of orchestration: jobs, graphs of data, sagas, and a mail that nobody gets twice."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).absolute().parents[2]
ORGANISATIONS = ["Ada's", "Bob & Co", "Curie Labs", "Dijkstra", "Erlang Works"]


class Example:
    """A copy of an example's folder, and a home of its own."""

    def __init__(self, name: str, directory: Path) -> None:
        self.folder = directory / name
        shutil.copytree(CHECKOUT / "examples" / name, self.folder, ignore=shutil.ignore_patterns("*.csv", "*.txt"))
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "FLOWMETAL_HOME": str(directory / "home"),
            "FLOWMETAL_DURABILITY": "os",
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts ``flowmetal``."""
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "flowmetal", *command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of ``flowmetal``."""
        with self.start(*command) as process:
            out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def summary(self, flow: str, *options: str) -> dict[str, Any]:
        """The outcomes of a workflow's jobs, Ok or Err."""
        _, out, err = self.run("run", "--json", flow, *options)
        told = json.loads(out)
        jobs: dict[str, Any] = told["result"] if told["status"] == "ok" else told["failure"]["details"]["jobs"]
        assert jobs, err
        return jobs


def shown(jobs: dict[str, Any]) -> list[Any]:
    return [each["value"] if each["status"] == "ok" else each["status"] for each in jobs.values()]


@pytest.mark.parametrize(
    ("flow", "options", "ends"),
    [
        ("simple", [], ["orders.csv", [f"orders.csv processed for {env}" for env in ("dev", "staging", "prod")]]),
        ("fan_out_fan_in", [], [[[1, 2, 3], [4, 5, 6], [7, 8, 9]], [6, 15, 24], 45]),
        (
            "fan_out_fan_in",
            ["--exclude", "process-partitions"],
            [[[1, 2, 3], [4, 5, 6], [7, 8, 9]], "skipped", "skipped"],
        ),
        ("circuit_breaker", [], [True, "processed", "skipped"]),
        ("circuit_breaker", ["--no-healthy"], ["err", "skipped", "processed in fallback mode"]),
        ("robust", [], ["attempt 2", "skipped", "cleaned up"]),
        ("robust", ["--fails", "5"], ["err", "fallback", "cleaned up"]),
        ("robust", ["--fails", "5", "--only", "cleanup"], ["skipped", "skipped", "cleaned up"]),
        ("complex", [], ["done", "err", 27]),
        ("retry_pattern", [], ["attempt 4"]),
        ("retry_pattern", ["--fails", "9"], ["err"]),
        ("conditional", [], ["tested", "skipped", "reported"]),
        ("conditional", ["--environment", "production"], ["tested", "deployed", "reported"]),
        ("leased", [], [None]),
        (
            "dynamic",
            ["--date", "2024-06-02"],
            [{"batch_size": 500, "processing_date": "2024-06-01"}, "2024-06-01 by 500"],
        ),
    ],
)
def test_ddeutil(tmp_path: Path, flow: str, options: list[str], ends: list[Any]) -> None:
    assert shown(Example("ddeutil", tmp_path).summary(f"patterns.flow:{flow}", *options)) == ends


def test_ddeutil_workflows_within_a_workflow(tmp_path: Path) -> None:
    jobs = Example("ddeutil", tmp_path).summary("patterns.flow")
    assert [each["status"] for each in jobs.values()] == ["ok", "ok", "ok"]
    assert jobs["fan-out"]["value"]["merge"]["value"] == 45


def test_wvlet(tmp_path: Path) -> None:
    example = Example("wvlet", tmp_path)
    assert shown(example.summary("flows.flow:reliable_load")) == [[3, 1, 2], [1, 2, 3], 3]
    ways = [["primary", "row 1", "row 2"], ["backup", "row 1", "row 2"]]
    assert shown(example.summary("flows.flow:resilient")) == [ways[0], "skipped", ways[0]]
    assert shown(example.summary("flows.flow:resilient", "--down", "primary")) == ["err", ways[1], ways[1]]
    assert shown(example.summary("flows.flow:resilient", "--down", "primary", "--down", "backup")) == ["err"] * 3


def test_wvlet_books_all_or_nothing(tmp_path: Path) -> None:
    example = Example("wvlet", tmp_path)
    code, out, _ = example.run("run", "flows.flow:booking")
    assert (code, json.loads(out)) == (0, ["flight", "hotel", "car"])
    code, _, err = example.run("run", "flows.flow:booking", "--full", "car")
    assert code == 1
    said = [line.split(": ")[-1] for line in err.splitlines() if "booked" in line or "cancelled" in line]
    assert said == ["booked flight", "booked hotel", "cancelled hotel", "cancelled flight"]


def test_wvlet_books_off_what_is_cancelled(tmp_path: Path) -> None:
    example = Example("wvlet", tmp_path)
    with example.start("run", "flows.flow:booking_on_hold", "--id", "trip") as process:
        until = time.monotonic() + 60
        while "sleep" not in example.run("log", "trip")[1] and time.monotonic() < until:
            time.sleep(0.05)
        code, _, err = example.run("cancel", "trip")
        _, said = process.communicate(timeout=60)
    assert (code, err.splitlines()[-1]) == (0, "trip is cancelled")
    assert [line.split(": ")[-1] for line in said.splitlines() if "cancel_booking" in line] == [
        "cancelled hotel",
        "cancelled flight",
    ]


def test_wvlet_charges_once(tmp_path: Path) -> None:
    example = Example("wvlet", tmp_path)
    for _ in range(2):
        code, out, err = example.run("run", "flows.flow:payment", "--allow", "write=out")
        assert (code, json.loads(out)) == (0, ["receipt T-1"] * 2), err
    assert (example.folder / "out/charges.txt").read_text(encoding="utf-8") == "T-1 1250\n"


def test_wvlet_loops_until_a_signal_stops_it(tmp_path: Path) -> None:
    example = Example("wvlet", tmp_path)

    def query(key: str) -> str:
        return example.run("query", "loop", key)[1].strip()

    def until(key: str, wanted: list[str]) -> None:
        end = time.monotonic() + 60
        while query(key) not in wanted:
            assert time.monotonic() < end, (key, query(key))

    with example.start("run", "flows.flow:long_running", "--pause", "10ms", "--id", "loop") as process:
        until("status", ["running", '"running"'])
        assert example.run("signal", "loop", "control", '"pause"')[0] == 0
        until("status", ["paused", '"paused"'])
        before = query("progress")
        assert example.run("signal", "loop", "control", '"stop"')[0] == 0
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip()) == (0, before), err


def test_intro(tmp_path: Path) -> None:
    example = Example("intro", tmp_path)
    code, out, err = example.run("run", "etl.flow")
    assert (code, out) == (1, "")
    assert "cleanup: cleaned up" in err
    assert "error: check_once: Oh no!  [failed]" in err
    code, out, _ = example.run("run", "etl.flow:etl_workflow", "--wanted", "some")
    assert (code, json.loads(out)) == (0, ["saved some results", "reported some results"])


def test_cobra4(tmp_path: Path) -> None:
    example = Example("cobra4", tmp_path)
    daily = ("run", "daily.flow:daily_etl", "--allow", "write=out", "--api")
    code, out, err = example.run(*daily, "shaky")
    assert (code, out) == (0, "22\n"), err
    with (example.folder / "out/temperatures.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 22
    assert all(int(row["fahrenheit"]) == int(row["celsius"]) * 9 // 5 + 32 for row in rows)
    code, out, err = example.run(*daily, "down")
    assert (code, out) == (0, "0\n")
    assert "yesterday's table is kept: down: the API does not answer" in err


def test_coda_mails_nobody_twice(tmp_path: Path) -> None:
    example = Example("coda", tmp_path)
    code, out, err = example.run("run", "weekly.flow", "--id", "week-1", "--allow", "write=out")
    assert code == 0, err
    assert out.startswith("5 organisations mailed, in attempt ")
    mails = (example.folder / "out/mails.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(mails) == ORGANISATIONS


def test_coda_killed_and_resumed(tmp_path: Path) -> None:
    """A kill may repeat a mail that was under way, and no other."""
    example = Example("coda", tmp_path)
    mails = example.folder / "out/mails.txt"
    process = example.start("run", "weekly.flow", "--id", "week-1", "--allow", "write=out")
    with process:
        until = time.monotonic() + 60
        while not mails.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    code, out, err = example.run("resume", "week-1")
    assert code == 0, err
    assert out.startswith("5 organisations mailed")
    sent = Counter(mails.read_text(encoding="utf-8").splitlines())
    assert sorted(sent) == ORGANISATIONS
    # Five sends are side by side, so each may have been cut off between the mail and its record.
    assert max(sent.values()) <= 2
