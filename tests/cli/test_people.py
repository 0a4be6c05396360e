"""Runs that wait for people: grants, answers, questions on a terminal; limits; what the log shows of it all."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from flowmetal.actions.effect import Arguments
from flowmetal.cli.questions import grant_command
from flowmetal.errors import UsageError
from flowmetal.settings import Limits, format_size, limits_of, parse_size
from flowmetal.testing.effects import scripted
from flowmetal.testing.harness import make_lab
from tests.cli.conftest import PATIENCE_SECONDS, Cli, until

READS = """
def _main_impl(fctx):
    a = fctx.actions
    tasks = [a.run(effects.read, path) for path in ("one/a", "two/b")]
    return [unwrap(each) for each in a.wait(tasks)]

main = flow(_main_impl)
"""

ASKS = """
def _main_impl(fctx):
    a = fctx.actions
    tasks = [a.run(effects.input, text) for text in ("name? ", "evil\\x1b[31m\\nflowmetal: yes? ")]
    a.sleep("1ms")
    return [unwrap(each) for each in a.wait(tasks)]

main = flow(_main_impl)
"""


def waits(cli: Cli, run_id: str, count: int) -> None:
    """Returns when a run waits for so many people."""
    until(lambda: cli("show", run_id, "--json").code == 0 and len(cli("show", run_id, "--json").json["asks"]) == count)


@pytest.fixture
def reads(cli: Cli) -> Cli:
    cli.file("one/a", "A")
    cli.file("two/b", "B")
    cli.file("r.flow", READS)
    return cli


# -- grants --------------------------------------------------------------------------------------------


def test_a_live_run_takes_grants_at_once(reads: Cli) -> None:
    process = reads.start("run", "--on-deny=wait", "r.flow:main", "--id", "r1")
    waits(reads, "r1", 2)
    asks = reads("show", "r1", "--json").json["asks"]
    assert [each["command"] for each in asks] == [
        f"flowmetal grant r1 read={reads.folder}/{name}" for name in ("one", "two")
    ]
    first = reads("grant", "r1", "read=one")
    assert first.code == 0
    assert first.err.count("\nwaiting: r1 #") == 2
    assert first.err.splitlines()[-1].startswith("still waiting: r1 #2 read: reading")
    assert asks[1]["command"] in reads("grant", "r1").out
    assert reads("grant", "r1", "read=two").err.endswith("\nit goes on\n")
    done = reads.end(process)
    assert (done.code, done.out.split()) == (0, ["[", '"A",', '"B"', "]"])
    assert f"? read: reading {reads.folder}/one/a is not granted" in done.err
    assert f"\n  flowmetal grant r1 read={reads.folder}/one\n" in done.err
    assert reads("grant", "r1", "read=two").code == 2
    log = reads("log", "r1").out
    assert f"granted from here on: read={reads.folder}/one\n" in log
    assert "(waits for a grant: read: reading" in log
    results = [each for each in reads("log", "r1", "--json").lines if each["kind"] == "result"]
    assert [each["by"] for each in results] == [[f"read={reads.folder}/one"], [f"read={reads.folder}/two"]]


def test_a_free_run_keeps_grants_until_it_is_resumed(reads: Cli) -> None:
    process = reads.start("run", "-q", "--on-deny", "wait", "r.flow:main", "--id", "r1", "--home", "home")
    waits(reads, "r1", 2)
    process.send_signal(signal.SIGINT)
    done = reads.end(process)
    assert done.code == 130
    assert "flowmetal grant r1 read=" in done.err, "told even to who wants quiet"
    assert reads("show", "r1", "--json").json["on_deny"] == "wait"
    granted = reads("grant", "r1", "read=one", "--for", "//lib.flow", "read=two", "--home", "home")
    assert granted.err.endswith("nobody drives r1 now; it is kept until: flowmetal resume r1 --home home\n")
    done = reads("resume", "r1", "--allow", "read=two", "--allow-for", "//other.flow", "none")
    assert (done.code, done.out.split()) == (0, ["[", '"A",', '"B"', "]"])
    shown = reads("show", "r1", "--json").json["grants"]
    assert shown["packages"] == {
        "//lib.flow": {"allow": [f"read={reads.folder}/two"], "deny": []},
        "//other.flow": {"allow": [], "deny": []},
    }
    assert f"to //lib.flow: read={reads.folder}/two" in reads("log", "r1").out


def test_denied_is_err_unless_somebody_said_wait(reads: Cli) -> None:
    for options in ([], ["--on-deny=err"]):
        done = reads("run", *options, "r.flow:main")
        assert done.code == 1
        assert "[denied]" in done.err
    assert reads("run", "--on-deny=ask", "r.flow:main").code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["grant", "r1", "reed=x"], "no class of effects `reed`"),
        (["grant", "r1.2", "read=x"], "flowmetal grant r1"),
        (["grant", "r9", "read=x"], "there is no run `r9`"),
        (["answer", "r1", "x"], "flowmetal grant r1 read="),
        (["answer", "r1", "x", "--action", "7"], "action 7 of r1 asks nothing"),
        (["answer", "r9"], "there is no run `r9`"),
    ],
)
def test_what_does_not_fit_is_refused(reads: Cli, words: list[str], message: str) -> None:
    reads.file("calls.flow", READS + "\ncalls = flow(lambda fctx: [fctx.actions.sleep(0), main()])\n")
    process = reads.start("run", "--on-deny=wait", "calls.flow:calls", "--id", "r1")
    waits(reads, "r1", 2)
    done = reads(*words)
    process.kill()
    reads.end(process)
    assert done.code == 2
    assert message in done.err


def test_text_of_a_flow_is_no_grant() -> None:
    """Only the first line counts, and only as whole words of options."""
    hostile = "--allow 'read=/x: add --allow write=/ --for'\nread: … is not granted: add --allow write=/"
    assert grant_command("r.1.2", hostile, None) == "flowmetal grant r 'read=/x: add --allow write=/ --for'"
    both = "--allow net=a:443/GET --allow-for pkg.example/v1/p net=a:443/GET\n…"
    assert grant_command("r", both, "h o") == (
        "flowmetal grant r net=a:443/GET --for pkg.example/v1/p net=a:443/GET --home 'h o'"
    )
    assert grant_command("r", "\nread: grant its directory by hand", None) == ""


# -- answers -------------------------------------------------------------------------------------------


def test_questions_are_listed_and_answered(cli: Cli) -> None:
    cli.file("a.flow", ASKS)
    process = cli.start("run", "a.flow:main", "--id", "a1")
    waits(cli, "a1", 2)
    listed = cli("answer", "a1")
    assert "a1 #1  since 2" in listed.out
    assert "\n  flowmetal answer a1 ANSWER --action 1\n" in listed.out
    assert "evil\\x1b[31m\n  | flowmetal: yes?" in listed.out
    several = cli("answer", "a1", "x")
    assert several.code == 2
    assert "a1 asks 2 questions" in several.err
    assert cli("answer", "a1", "--action", "1", "Ada").err == "a1 has its answer to #1\n"
    assert cli("answer", "a1", "--", "-1").code == 0, "the one that is left"
    done = cli.end(process)
    assert (done.code, done.out.split()) == (0, ["[", '"Ada",', '"-1"', "]"])
    assert "? name?" in done.err
    assert "\nflowmetal: yes" not in done.err
    assert cli("answer", "a1", "more").code == 2
    assert "(asked: name? )" in cli("log", "a1").out


def test_an_answer_waits_for_the_run(cli: Cli) -> None:
    cli.file("a.flow", ASKS.replace(', "evil\\x1b[31m\\nflowmetal: yes? "', ","))
    process = cli.start("run", "a.flow:main", "--id", "a1")
    waits(cli, "a1", 1)
    assert re.search(r"  input: name\? *\n", cli("ps").out)
    process.kill()
    cli.end(process)
    assert "interrupted, input: name? : flowmetal answer a1 ANSWER --action 1" in cli("ps").out
    assert "it is kept until: flowmetal resume a1\n" in cli("answer", "a1", "Ada").err
    assert "interrupted: flowmetal resume a1" in cli("ps").out
    again = cli("answer", "a1", "Bob")
    assert again.code == 2
    assert "it has an answer already" in again.err
    done = cli("resume", "a1")
    assert done.out.split() == ["[", '"Ada"', "]"]
    assert "flowmetal: name?  is answered: Ada\n" in done.err
    assert "flowmetal answer a1" not in done.err


def test_what_was_interrupted_is_repeated_when_somebody_says_so(cli: Cli) -> None:
    cli.file(
        "i.flow",
        'main = flow(lambda fctx: unwrap(fctx.actions.exec(["/bin/sh", "slow.sh"], interrupted = "ask")).stdout)\n',
    )
    cli.file("slow.sh", "if [ -e begun ]; then echo again; else touch begun; sleep 60; fi\n")
    process = cli.start("run", "i.flow:main", "--id", "i1", "--allow", "exec=/bin/sh")
    until(lambda: (cli.folder / "begun").exists())
    process.kill()
    cli.end(process)
    for words in (["answer", "i1"], ["answer", "i1", "repeat"]):
        assert "it may ask when it is resumed: flowmetal resume i1" in cli(*words).err
    process = cli.start("resume", "i1")
    waits(cli, "i1", 1)
    assert "interrupted: exec was interrupted and may have run" in cli("ps").out
    wrong = cli("answer", "i1", "repaet")
    assert wrong.code == 2
    assert "did you mean `repeat`" in wrong.err
    assert cli("answer", "i1", "repeat").code == 0
    done = cli.end(process)
    assert (done.code, done.out) == (0, "again\n\n")
    log = cli("log", "i1").out
    assert "(asked: exec was interrupted and may have run: repeat it? (repeat/fail))" in log
    assert "(answered: repeat)  (attempt 1 again, the first may have run)" in log
    assert "(by exec=/" in log


# -- the terminal --------------------------------------------------------------------------------------


class Terminal:
    """A command on a terminal of its own, as its controlling one."""

    def __init__(self, cli: Cli, *args: str) -> None:
        self._parent, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _CONTROLLING, *args],
            cwd=cli.folder,
            env={**cli.environment, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
        )
        os.close(child)
        self.seen = ""

    def type(self, text: str) -> None:
        """What a person types."""
        os.write(self._parent, text.encode())

    def until(self, text: str) -> None:
        """Returns when the screen has shown a text."""
        end = time.monotonic() + PATIENCE_SECONDS
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            self._read(0.1)

    def end(self) -> int:
        """The exit code."""
        while self._read(0.1) or self.process.poll() is None:
            pass
        os.close(self._parent)
        return self.process.wait(PATIENCE_SECONDS)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._parent], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._parent, 65_536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.seen += data.decode()
        return bool(data)


_CONTROLLING = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv[0] = "flowmetal"
from flowmetal.cli.entry import main
main()
"""

TALKS = ASKS.replace('a.sleep("1ms")', 'a.sleep("300ms")\n    print("meanwhile")')


def test_questions_are_asked_on_the_terminal_one_after_the_other(cli: Cli) -> None:
    cli.file("t.flow", TALKS)
    terminal = Terminal(cli, "run", "t.flow:main", "--id", "t1")
    terminal.until("? name? ")
    terminal.until("meanwhile")
    terminal.type("Ada\n")
    terminal.until("? evil\\x1b[31m\\nflowmetal: yes? ")
    terminal.type("no é\n")
    assert terminal.end() == 0
    assert cli("show", "t1", "--json").json["result"] == ["Ada", "no é"]
    assert "\x1b[31m" not in terminal.seen.partition("evil")[2][:40]


def test_a_question_answered_elsewhere_leaves_the_terminal(cli: Cli) -> None:
    cli.file("t.flow", TALKS)
    terminal = Terminal(cli, "run", "t.flow:main", "--id", "t1")
    terminal.until("? name? ")
    assert cli("answer", "t1", "--action", "1", "Eve").code == 0
    terminal.until("(no answer is needed any more)")
    terminal.until("yes? ")
    terminal.type("\x04")
    terminal.until("flowmetal answer t1 ANSWER --action 2")
    assert cli("answer", "t1", "late").code == 0
    assert terminal.end() == 0
    assert cli("show", "t1", "--json").json["result"] == ["Eve", "late"]


def test_interrupting_a_question_loses_nothing_and_a_resume_asks_again(cli: Cli) -> None:
    cli.file("t.flow", TALKS)
    terminal = Terminal(cli, "run", "t.flow:main", "--id", "t1")
    terminal.until("? name? ")
    terminal.type("half\x03")
    assert terminal.end() == 130
    assert "flowmetal resume t1" in terminal.seen
    terminal = Terminal(cli, "resume", "t1")
    terminal.until("? name? ")
    terminal.type("whole\n")
    terminal.until("yes? ")
    terminal.type("y\n")
    assert terminal.end() == 0
    kinds = [each["kind"] for each in cli("log", "t1", "--json").lines]
    assert kinds.count("asked") == 2


@pytest.mark.parametrize("words", [["resume", "t1"], ["resume", "-q", "t1"], ["run", "t.flow:main", "--id", "t1"]])
def test_a_question_that_was_asked_once_is_asked_again_though_nothing_else_happens(cli: Cli, words: list[str]) -> None:
    cli.file("t.flow", 'main = flow(lambda fctx: unwrap(fctx.actions.input("Really? ")))\n')
    process = cli.start("run", "t.flow:main", "--id", "t1")
    waits(cli, "t1", 1)
    process.kill()
    cli.end(process)
    terminal = Terminal(cli, *words)
    terminal.until("? Really? ")
    if "-q" not in words:
        terminal.type("yes\n")
    else:
        assert cli("answer", "t1", "yes").code == 0
    assert terminal.end() == 0
    assert cli("show", "t1", "--json").json["result"] == "yes"
    assert [each["kind"] for each in cli("log", "t1", "--json").lines].count("asked") == 1


def test_a_grant_is_never_typed_at_the_terminal(reads: Cli) -> None:
    terminal = Terminal(reads, "run", "--on-deny=wait", "r.flow:main", "--id", "r1")
    terminal.until(f"flowmetal grant r1 read={reads.folder}/two")
    terminal.type("y\ny\n")
    assert reads("grant", "r1", "read=one", "read=two").code == 0
    assert terminal.end() == 0


# -- what the log shows --------------------------------------------------------------------------------

TRIED = """
load("./lib.flow", "peek")

def _step_impl(fctx):
    a = fctx.actions
    unwrap(a.read("ok"))
    peek(a)
    if fctx.attempt == 1:
        fail("once")

step = flow(_step_impl, retries = 1, retry_delay = "1500ms", jitter = 0, max_retry_delay = "10ms")

def _main_impl(fctx):
    fctx.actions.read("none", retries = 1, retry_delay = "1ms")
    unwrap(step())

main = flow(_main_impl)
"""


def test_attempts_and_who_asked_are_in_the_log(cli: Cli) -> None:
    cli.file("ok", "x")
    cli.file("lib.flow", 'def peek(a):\n    return a.write("out", "x")\n')
    cli.file("t.flow", TRIED)
    done = cli("run", "t.flow:main", "--id", "t1", "--allow", "read=.")
    assert done.code == 0, done.err
    assert re.search(r"\nstep: attempt 2 in 10ms: failed: once  \[t\.flow:9\]\n", done.err)
    assert re.search(r"main #1: attempt 2 in 1ms: effect: cannot read `none`", done.err)
    log = re.sub(r" +\+[\d.]+s ", "", cli("log", "t1").out)
    assert "(attempt 2 in 1ms: effect: cannot read `none`: no such file or directory)" in log
    first, rule, second = log.partition("── attempt 2 in 10ms: failed: once  [t.flow:9] ──")
    assert rule
    assert f"(by read={cli.folder})" in first
    assert "(asked by lib.flow)" in first
    assert "(taken over from #1)" in second
    follow = cli("log", "-f", "t1").out
    assert "#1 read: attempt 2 in 1ms: effect" in follow
    assert "(taken over from #1)" in follow
    lines = cli("log", "t1", "--json").lines
    assert [each["modules"] for each in lines if each.get("modules")] == [["//lib.flow"]] * 2
    assert [each["policy"]["retries"] for each in lines if "policy" in each] == [1]
    assert [(each["number"], each["reason"]) for each in lines if each["kind"] == "attempt" and not each["number"]] == [
        (0, "failed: once  [t.flow:9]")
    ]


def test_a_result_that_was_too_late_is_marked(cli: Cli) -> None:
    text = """
def _main_impl(fctx):
    a = fctx.actions
    task = a.run(effects.read, "slow")
    a.sleep("50ms")
    a.cancel(task)
    a.read("after")
    a.sleep("200ms")

main = flow(_main_impl)

if __name__ == "__flow__":
    main()
"""
    gate = threading.Event()

    def read(args: Arguments) -> str:
        if args["path"] == "after":
            gate.set()
        else:
            gate.wait(PATIENCE_SECONDS)
        return args["path"]

    lab = make_lab(cli.folder / "lab", registry=scripted("thread", read=read))
    lab.run(text, "l1")
    lab.store.close()
    for words in (["log", "l1"], ["log", "--follow", "l1"]):
        assert '#1 → "slow", too late to matter\n' in cli(*words, "--home", str(lab.home)).out


# -- limits --------------------------------------------------------------------------------------------

SPINS = """
def _main_impl(fctx):
    for n in range(3000000):
        pass
    return "over"

main = flow(_main_impl)
"""


def test_limits_are_set_recorded_and_kept(cli: Cli) -> None:
    cli.file("s.flow", SPINS)
    done = cli("run", "s.flow:main", "--limit", "fuel_ticks=1000000", "--limit", "log_line_bytes=1KiB", "--id", "s1")
    assert done.code == 1
    assert "[limit]" in done.err
    assert "1,000,000" in done.err
    limits = cli("show", "s1", "--json").json["limits"]
    assert (limits["fuel_ticks"], limits["log_line_bytes"]) == (1_000_000, 1_024)
    assert cli("run", "s.flow:main").out == "over\n"


def test_limits_of_a_project_count_when_it_is_trusted(cli: Cli) -> None:
    cli.file("s.flow", SPINS)
    cli.file("flowmetal.toml", '[limits]\nfuel_ticks = 1_000_000\nlog_line_bytes = "2KiB"\n')
    done = cli("run", "s.flow:main")
    assert done.out == "over\n"
    assert "is not trusted, its grants and limits do not count" in done.err
    assert cli("trust").out == "limit fuel_ticks 1000000\nlimit log_line_bytes 2048\n"
    assert cli("run", "s.flow:main", "--id", "s1").code == 1
    assert cli("plan", "s.flow:main").code == 1
    assert cli("run", "s.flow:main", "--limit", "fuel_ticks=50000000", "--id", "s2").out == "over\n"
    assert cli("show", "s2", "--json").json["limits"]["log_line_bytes"] == 2_048
    cli.file("flowmetal.toml", "[limits]\nfule_ticks = 1\n")
    assert "did you mean `fuel_ticks`" in cli("trust").err


@pytest.mark.parametrize("command", ["run", "plan", "flows", "check"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fule_ticks=1", "did you mean `fuel_ticks`?"),
        ("fuel_ticks", "is no limit"),
        ("fuel_ticks=0", "above zero"),
        ("cpu_seconds=soon", "is not a duration"),
        ("log_line_bytes=1MB", "write bytes as a whole number"),
    ],
)
def test_a_limit_that_is_none_is_refused(cli: Cli, command: str, text: str, message: str) -> None:
    cli.file("s.flow", SPINS)
    done = cli(command, "s.flow", "--limit", text)
    assert done.code == 2
    assert message in done.err


def test_loading_has_limits_too(cli: Cli) -> None:
    cli.file("s.flow", SPINS + "\ntotal = len([n for n in range(100000)])\n")
    assert cli("flows", "s.flow").code == 0
    for command in ("flows", "check"):
        done = cli(command, "s.flow", "--limit", "fuel_ticks=5000")
        assert done.code != 0
        assert "s.flow" in done.out + done.err


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("17", 17), ("17B", 17), ("1KiB", 1_024), ("1.5 MiB", 1_572_864), ("2GiB", 2**31), ("1TiB", 2**40)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1e3", "0.3B", "1KB", "9" * 100, "1 KiB x", "١KiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


def test_limits_as_people_give_them() -> None:
    given = limits_of({"cpu_seconds": "1m30s", "evaluation_seconds": 5, "hot_runs": 3, "http_body_bytes": "1MiB"})
    assert given.changed() == {
        "cpu_seconds": 90.0,
        "evaluation_seconds": 5.0,
        "hot_runs": 3,
        "http_body_bytes": 1 << 20,
    }
    assert limits_of({}, given) == given
    assert limits_of({}) == Limits()
    for name, value in [("hot_runs", True), ("hot_runs", 1.5), ("hot_runs", "x"), ("nope", 1), ("cpu_seconds", "")]:
        with pytest.raises(UsageError, match=name):
            limits_of({name: value})
