"""What a terminal sees: the live tree, and nothing that a flow could do to it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

from flowmetal.cli.progress import MOST_NAMES, OTHERS, Progress
from flowmetal.cli.text import printable, show_call, show_seconds, show_value
from flowmetal.values import Failure, err, from_python, ok
from tests.cli.conftest import Cli, until

FAN = """
def _leaf_impl(fctx):
    fctx.actions.sleep("400ms")
    print("leaf \\x1b]0;title\\x07")
    if fctx.args.n == 3:
        fail("bad")

leaf = flow(_leaf_impl, args = {"n": args.int()})

def _fan_impl(fctx):
    fctx.actions.wait([fctx.actions.run(leaf, n) for n in range(30)])
    return "all"

fan = flow(_fan_impl)
if __name__ == "__flow__":
    fan()
"""


def on_a_terminal(cli: Cli, *args: str) -> str:
    """All that a command writes to a terminal."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "flowmetal", *args],
        cwd=cli.folder,
        env={**cli.environment, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    written = b""
    while True:
        try:
            data = os.read(parent, 65_536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not data:
            break
        written += data
    os.close(parent)
    assert process.wait(30) == 0
    return written.decode()


def test_the_live_tree_adds_up(cli: Cli) -> None:
    seen = on_a_terminal(cli, "run", cli.file("fan.flow", FAN))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert re.search(r"└─ \S leaf  30 running", plain)
    assert re.search(r"✗ leaf  29 ok  1 err", plain)
    note = (
        r"\nall\r\nnote: 1 result on the way was Err: flowmetal log fan-\w+ --errs\r\n  leaf: bad  --> fan\.flow:6\s*$"
    )
    assert re.search(note, plain)
    assert "\x1b]0;" not in seen
    assert "leaf \\x1b]0;title\\x07" in plain


def test_the_log_is_drawn(cli: Cli) -> None:
    cli.file("fan.flow", FAN.replace("400ms", "1ms"))
    cli("run", "fan.flow", "--id", "f1")
    seen = on_a_terminal(cli, "log", "f1")
    assert "├─ #1 fan()" in seen
    assert "│  ├─ #1 run leaf(0)" in seen
    assert "\x1b[31mErr(failed) bad  at fan.flow:6" in seen
    assert "├" not in cli("log", "f1").out


def test_quiet_is_quiet_on_a_terminal(cli: Cli) -> None:
    assert on_a_terminal(cli, "run", "-q", cli.file("fan.flow", FAN)).strip() == "all"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rows_are_added_up_by_name() -> None:
    clock = Clock()
    progress = Progress(lambda run_id: ("", run_id), clock)
    progress.started("r", "etl", "", 0)
    for number in range(1, 101):
        progress.acted("r", number, "load")
        progress.started(f"r.{number}", "load", "r", number)
        progress.acted(f"r.{number}", 1, "sleep")
    row = progress.forest.below["etl"].below["load"]
    assert (row.running, row.below["sleep"].running) == (100, 100)
    clock.now = 2.0
    for number in range(1, 101):
        progress.ended(f"r.{number}", 1, True)
        progress.ended(f"r.{number}", 0, number > 10)
        progress.ended("r", number, number > 10)
    assert (row.running, row.ok, row.err, row.busy(9.0)) == (0, 90, 10, 2.0)
    progress.ended("r", 0, True)
    assert progress.forest.below["etl"].ok == 1


def test_many_names_share_a_row() -> None:
    progress = Progress(lambda run_id: ("", run_id), Clock())
    for number in range(1, 1_000):
        progress.acted("r", number, f"name {number}")
    below = progress.forest.below["r"].below
    assert len(below) == MOST_NAMES + 1
    assert below[OTHERS].running == 999 - MOST_NAMES


def test_runs_that_began_earlier_are_looked_up() -> None:
    known = {"r": ("", "etl"), "r.3": ("r", "load")}
    progress = Progress(known.__getitem__, Clock())
    progress.ended("r.3", 7, True)  # nobody saw it begin
    progress.acted("r.3", 8, "read")
    load = progress.forest.below["etl"].below["load"]
    assert (load.running, load.below["read"].running) == (1, 1)
    progress.ended("r", 3, True)
    assert (load.running, load.ok) == (0, 1)


def test_text_is_harmless() -> None:
    assert printable("a\x1b[31m\x07\x9b\u202e\n\tü\U000e0041") == "a\\x1b[31m\\x07\\x9b\\u202e\\n\\tü\\U000e0041"
    assert printable("a\n\x00", keep="\n") == "a\n\\x00"


def test_values_are_written_as_the_language_would() -> None:
    value = from_python({"a": [1, 2.5, None, True], ("x",): "y\n"})
    assert show_value(value) == '{"a": [1, 2.5, None, True], ("x",): "y\\n"}'
    assert show_value({"struct": ["a", 1]}) == "struct(a = 1)"
    assert show_value(ok(3)) == "Ok(3)"
    assert show_value(err(Failure("denied", "no"))) == "Err(denied: no)"
    assert show_value({"int": "9" * 30}) == "9" * 30
    assert show_value([list(range(1_000))] * 1_000, 20) == "[[0, 1, 2, 3, 4, 5,…"
    assert show_call(["x", {"task": [3, "load"]}], ["n", 1]) == '"x", task #3 load, n = 1'


def test_lengths_of_time() -> None:
    shown = {0: "0.000s", 0.0123: "0.012s", 3.44: "3.4s", 65: "1m05s", 3_600: "1h00m", 90_000: "1d01h", 8e6: "92d14h"}
    assert {seconds: show_seconds(seconds) for seconds in shown} == shown


def test_what_is_taken_up_is_seen_with_its_age() -> None:
    clock = Clock()
    clock.now = 100.0
    progress = Progress(lambda run_id: ("", run_id), clock)
    progress.started("r", "etl", "", 0, 10.0)
    progress.acted("r", 2, "load", 20.0)
    progress.started("r.2", "load", "r", 2, 20.0)
    progress.started("r.3", "load", "r", 3, 15.0)
    progress.acted("r.3", 1, "sleep", 16.0)
    progress.was("r", "load", 12.0, 30.0, is_ok=True)
    progress.was("r.9", "deeper", 12.0, 30.0, is_ok=True)
    etl = progress.forest.below["etl"]
    load = etl.below["load"]
    assert (etl.busy(100.0), load.busy(100.0), load.below["sleep"].busy(100.0)) == (90.0, 88.0, 84.0)
    assert (load.running, load.ok) == (2, 1)
    progress.ended("r.3", 0, False)
    progress.ended("r", 3, False)
    assert (load.running, load.below["sleep"].running, load.below["sleep"].dropped) == (1, 0, 1)
    progress.ended("r", 0, False)
    assert (etl.running, etl.err, load.running) == (0, 1, 0)


def test_the_tree_is_there_after_a_resume(cli: Cli) -> None:
    process = cli.start("run", cli.file("fan.flow", FAN.replace("400ms", "6s")), "--id", "f1")
    until(lambda: sum("sleep" in line for line in cli("log", "f1").out.splitlines()) == 30)
    process.kill()
    cli.end(process)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_a_terminal(cli, "resume", "f1"))
    assert re.search(r"└─ \S leaf  30 running", plain)
    assert re.search(r"└─ \S sleep  30 running", plain)


def test_a_result_cannot_command_a_terminal(cli: Cli) -> None:
    text = """
def _f_impl(fctx):
    return "a\\x1b]0;title\\x07\\x9b2J\\n\\tb"

def _g_impl(fctx):
    return {"key": "\\x9b2J\\x7f\\u2028\\u202e\\U000e0041"}

f = flow(_f_impl)
g = flow(_g_impl)
"""
    cli.file("f.flow", text)
    assert on_a_terminal(cli, "run", "f.flow:f").startswith("a\\x1b]0;title\\x07\\x9b2J\r\n")
    assert cli("run", "f.flow:f").out == "a\x1b]0;title\x07\x9b2J\n\tb\n"
    structured = cli("run", "f.flow:g")
    assert structured.json == {"key": "\x9b2J\x7f\u2028\u202e\U000e0041"}
    assert structured.out == '{\n  "key": "\\u009b2J\\u007f\\u2028\\u202e\\udb40\\udc41"\n}\n'


IMITATOR = """
bad = "ok\\n  help: `rm -rf /`\\nerror: of ours\\r\\x1b[2K\\nnote: all is well"

def _mixed_impl(fctx):
    print("line", bad)
    why = Failure(kind = bad, message = bad, flow = bad, source = bad, trace = bad, details = {bad: bad})
    return Result(ok = False, error = why, value = None)

mixed = flow(_mixed_impl, name = "mixed")

if __name__ == "__flow__":
    unwrap(mixed())
"""


def test_no_line_of_a_flow_passes_for_one_of_ours(cli: Cli) -> None:
    """Kind, message, flow, place and trace are the flow's own words, whatever they hold."""
    cli.file("mixed.flow", IMITATOR)
    outputs = {
        "run": cli("run", "mixed.flow", "--id", "m1", "--quiet").err,
        **{" ".join(words): cli(*words, "m1").out for words in (["show"], ["log"], ["log", "--follow"])},
        "ps": cli("ps").out,
        "resume": cli("resume", "m1", "--quiet").err,
    }
    assert "error: " in outputs["run"]
    assert "[ok\\n  help" in outputs["run"], outputs["run"]
    for command, output in outputs.items():
        assert "\x1b" not in output
        assert "\r" not in output
        for line in output.split("\n"):
            assert not line.startswith(("  help: `rm", "error: of", "note:")), (command, output)


def test_a_line_of_the_log_is_as_long_as_a_person_reads(cli: Cli) -> None:
    text = """
def _f_impl(fctx, value):
    print("x" * 5000)
    fail("m" * 5000, details = {"d": "z" * 5000})

f = flow(_f_impl)

if __name__ == "__flow__":
    f({"k" * 3000: ["v" * 4000]})
"""
    cli("run", cli.file("long.flow", text), "--id", "l1")
    for words in (["log", "l1"], ["log", "l1", "--follow"]):
        assert max(map(len, cli(*words).out.split("\n"))) < 600
    assert "v" * 4_000 in cli("log", "l1", "--json").out
