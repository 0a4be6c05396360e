"""``flowmetal run`` when all is well, and when a flow fails."""

from __future__ import annotations

import click
import pytest

from flowmetal.cli.options import RUN_OPTIONS
from flowmetal.cli.run import command
from tests.cli.conftest import Cli

CALL = 'if __name__ == "__flow__":\n    f()\n'

ALL = """
def _all_impl(fctx):
    a = fctx.args
    return [a.text, a.whole, a.part, a.yes, a.many, a.words, a.pairs, a.one_of, a.pause, a.thing]

everything = flow(_all_impl, doc = "Takes everything.", args = {
    "text": args.string(default = "-"),
    "whole": args.int(default = 0, doc = "a whole number", min = -5, max = 5),
    "part": args.float(default = 0.0),
    "yes": args.bool(default = False),
    "many": args.list(of = args.int(), default = []),
    "words": args.list(default = []),
    "pairs": args.dict(default = {}),
    "one_of": args.choice(["red", "blue"], default = "red"),
    "pause": args.duration(default = "1s"),
    "thing": args.any(default = None),
    "id": args.string(default = "no id", doc = "has the name of an option of run"),
})

def _id_impl(fctx):
    return fctx.args.id

ident = flow(_id_impl, args = {"id": args.string(default = "no id")})
"""


def test_a_string_is_printed_as_it_is(cli: Cli) -> None:
    done = cli("run", cli.file("a.flow", f'def _f_impl(fctx):\n    return "grüße\\n\\tyou"\nf = flow(_f_impl)\n{CALL}'))
    assert (done.code, done.out, done.err) == (0, "grüße\n\tyou\n", "")


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("None", ""),
        ("3", "3\n"),
        ("[1, (2,)]", "[\n  1,\n  [\n    2\n  ]\n]\n"),
        ('float("nan")', '{\n  "$float": "nan"\n}\n'),
    ],
)
def test_other_results_are_json(cli: Cli, value: str, printed: str) -> None:
    done = cli("run", cli.file("a.flow", f"def _f_impl(fctx):\n    return {value}\nf = flow(_f_impl)\n{CALL}"))
    assert (done.code, done.out, done.err) == (0, printed, "")


def test_json_is_one_object(cli: Cli) -> None:
    cli.file("a.flow", f'def _f_impl(fctx):\n    return (1, "x")\nf = flow(_f_impl)\n{CALL}')
    done = cli("run", "a.flow:f", "--json", "--id", "r1")
    seconds = done.json.pop("seconds")
    assert done.json | {"seconds": 0} == {
        "run": "r1", "flow": "a.flow:f", "status": "ok", "result": [1, "x"], "seconds": 0,
    }  # fmt: skip
    assert 0 <= seconds < 30
    assert done.out.count("\n") == 1
    body = cli("run", "--json", "a.flow").json
    assert body["flow"] == "a.flow"
    assert body["run"].startswith("a-")


def test_arguments_of_every_type(cli: Cli) -> None:
    cli.file("a.flow", ALL)
    tokens = ["--text", "--x", "--whole=-3", "--part", "2", "--yes", "--many", "1", "--many", "2", "--words", '"w"']
    tokens += ["--pairs", '{"a": [1]}', "--one-of", "blue", "--pause", "1h30m", "--thing", "null"]
    done = cli("run", "a.flow:everything", *tokens)
    assert done.err == ""
    assert done.json == ["--x", -3, 2.0, True, [1, 2], ["w"], {"a": [1]}, "blue", "1h30m", None]
    assert cli("run", "a.flow:everything", "--no-yes", "--one_of", "blue").json[3:8] == [False, [], [], {}, "blue"]
    cli.file("args.json", '{"whole": 2, "many": [7], "text": "from a file"}')
    done = cli("run", "a.flow:everything", "--args", "args.json", "--whole", "3")
    assert done.json[:5] == ["from a file", 3, 0.0, False, [7]]


def test_an_argument_named_like_an_option_of_run(cli: Cli) -> None:
    cli.file("a.flow", ALL)
    assert cli("run", "a.flow:ident", "--id", "r1", "--", "--id", "7").out == "7\n"
    assert cli("run", "a.flow:ident", "--id", "r2").out == "no id\n"
    assert {row["run"] for row in cli("ps", "--json").lines} == {"r1", "r2"}


def test_an_argument_with_our_name_is_listed_as_it_is_given(cli: Cli) -> None:
    text = 'step = flow(lambda fctx: fctx.args.limit, args = {"limit": args.string(), "n": args.int(default = 1)})\n'
    cli.file("s.flow", text + "bare = flow(lambda fctx: 1)\n")
    assert "    -- --limit TEXT" in cli("flows", "s.flow").out
    assert "flowmetal run s.flow:step -- --limit TEXT\n" in cli("run", "s.flow", "--n", "1").err
    assert "comes after `--`" in cli("run", "s.flow:step", "--limit", "20s").err
    assert "the flow's comes after `--`, … -- --limit VALUE" in cli("run", "s.flow:step", "--n", "2").err
    assert cli("run", "s.flow:step", "--", "--limit", "20s").out == "20s\n"
    for words in (["--limi", "3"], ["--limi=3"]):
        for target in ("s.flow:step", "s.flow:bare", "s.flow"):
            done = cli("run", target, *words)
            assert (done.code, "did you mean `--limit`?" in done.err) == (2, True), done.err
    assert "did you mean `--on-deny`" in cli("run", "s.flow:step", "--on-den", "wait").err


def test_the_options_of_run_are_known() -> None:
    options = [param for param in command.params if isinstance(param, click.Option)]
    own = [option for param in options for option in (*param.opts, *param.secondary_opts)]
    assert {*RUN_OPTIONS} == {*(option for option in own if option.startswith("--")), "--help"}


def test_help_of_a_flow(cli: Cli) -> None:
    cli.file("a.flow", ALL)
    done = cli("run", "a.flow:everything", "--help")
    assert (done.code, done.err) == (0, "")
    for part in ("Takes everything.", "--whole INT", "a whole number", "min -5; max 5; default 0", "--yes/--no-yes"):
        assert part in done.out
    assert "--one-of red|blue" in done.out
    assert "flowmetal run a.flow:ident" in cli("run", "a.flow", "--help").out
    assert "--allow" in cli("run", "--help").out
    assert cli("ps").err.startswith("no runs")


LOGS = """
def _f_impl(fctx):
    print("plain \\x1b[31mred")
    fctx.actions.log("with fields", n = 1)

f = flow(_f_impl)
if __name__ == "__flow__":
    print("from the body")
    f()
"""


def test_log_lines_go_to_stderr_and_are_harmless(cli: Cli) -> None:
    done = cli("run", cli.file("a.flow", LOGS))
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == ["from the body", "f: plain \\x1b[31mred", "f: with fields  n = 1"]
    assert cli("run", "a.flow", "--quiet").err == ""


FAILS = """
def _inner_impl(fctx):
    return [1][fctx.args.at]

inner = flow(_inner_impl, args = {"at": args.int()})

def _outer_impl(fctx):
    task = fctx.actions.run(inner, 5)
    return unwrap(fctx.actions.wait(fctx.actions.run(inner, task)))

outer = flow(_outer_impl)
if __name__ == "__flow__":
    outer()
"""


def test_a_failure_is_shown_with_its_causes_and_source(cli: Cli) -> None:
    done = cli("run", cli.file("a.flow", FAILS), "--id", "r1")
    assert (done.code, done.out) == (1, "")
    for part in ("[upstream]", "caused by:", "[error]", "a.flow:3", "return [1][fctx.args.at]", "flowmetal log r1"):
        assert part in done.err
    again = cli("run", "a.flow", "--id", "r2", "--json")
    assert again.code == 1
    assert again.json["status"] == "err"
    assert again.json["failure"]["kind"] == "upstream"
    assert again.json["failure"]["cause"]["kind"] == "error"


FILES = """
def _copy_impl(fctx):
    text = unwrap(fctx.actions.read("in/a.txt"))
    unwrap(fctx.actions.write("out/a.txt", text))
    return len(text)

copy = flow(_copy_impl)
if __name__ == "__flow__":
    copy()
"""


def test_grants(cli: Cli) -> None:
    cli.file("in/a.txt", "12345")
    cli.file("out/b.txt", "")
    cli.file("a.flow", FILES)
    denied = cli("run", "a.flow")
    assert denied.code == 1
    assert "[denied]" in denied.err
    assert f"--allow read={cli.folder}/in" in denied.err
    allowed = cli("run", "a.flow", "--allow", "read=in", "--allow", "write=out")
    assert (allowed.code, allowed.out, cli.text("out/a.txt")) == (0, "5\n", "12345")
    partly = cli("run", "a.flow", "--allow", "read=.", "--allow", "write=.", "--deny", "write=out")
    assert partly.code == 1


def test_a_run_that_takes_too_long(cli: Cli) -> None:
    cli.file("a.flow", f"def _f_impl(fctx):\n    fctx.actions.sleep('1h')\nf = flow(_f_impl)\n{CALL}")
    done = cli("run", "a.flow", "--timeout", "200ms", "--json")
    assert done.code == 1
    assert done.json["failure"]["kind"] == "timeout"


DETACHED = """
def _slow_impl(fctx):
    fctx.actions.sleep("300ms")
    return fctx.run_id

slow = flow(_slow_impl)

def _f_impl(fctx):
    fctx.actions.start(options(slow, id = "apart"))
    return "started"

f = flow(_f_impl)
if __name__ == "__flow__":
    f()
"""


def test_detached_runs_are_waited_for(cli: Cli) -> None:
    done = cli("run", cli.file("a.flow", DETACHED))
    assert (done.code, done.out) == (0, "started\n")
    assert "waiting for a run of its own: apart" in done.err
    assert {row["status"] for row in cli("ps", "--json").lines} == {"ok"}


def test_labels(cli: Cli) -> None:
    cli.file("a.flow", f"def _f_impl(fctx):\n    return 1\nf = flow(_f_impl)\n{CALL}")
    cli("run", "a.flow", "--id", "r1", "--label", "env=prod", "--label", "team=a")
    cli("run", "a.flow", "--id", "r2", "--label", "env=test")
    assert [row["run"] for row in cli("ps", "--json", "--label", "env=prod").lines] == ["r1"]
    assert cli("show", "r1", "--json").json["labels"] == {"env": "prod", "team": "a"}
