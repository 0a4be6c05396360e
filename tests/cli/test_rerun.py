"""``flowmetal rerun`` as a person uses it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Cli, Here

STEP = """
def _main(fctx):
    a = fctx.actions
    first = unwrap(a.read("a.txt"))
    unwrap(a.append("log.txt", "done\\n"))
    return first + unwrap(a.read(fctx.args.second))

main = flow(_main, args = {"second": args.path(default = "b.txt")})

if __name__ == "__flow__":
    main()
"""


@pytest.fixture
def failed(cli: Cli) -> Cli:
    """A run ``one`` that read ``a.txt``, wrote a line and found no ``b.txt``."""
    cli.file("step.flow", STEP)
    cli.file("a.txt", "a")
    done = cli("run", "step.flow:main", "--id", "one", "--allow", "read=.", "--allow", "write=.")
    assert done.code == 1
    return cli


def test_what_was_ok_is_not_done_again(failed: Cli) -> None:
    failed.file("b.txt", "b")
    done = failed("rerun", "one", "--id", "two")
    assert (done.code, done.out) == (0, "ab\n")
    assert "two is a rerun of one" in done.err
    assert (failed.folder / "log.txt").read_text() == "done\n"
    assert failed("show", "two", "--json").json["rerun_of"] == "one"
    again = failed("rerun", "two", "--from", "2", "--set", "second=a.txt", "--json")
    assert again.json["result"] == "aa"
    assert (failed.folder / "log.txt").read_text() == "done\ndone\n"


def test_lineage_is_kept_and_shown(failed: Cli, here: Here) -> None:
    """Both ways: of which run one is the rerun, and which reruns a run has."""
    for source, new in (("one", "two"), ("two", "three"), ("one", "four")):
        here("rerun", source, "--id", new, "-q")
    failed.file("other.flow", 'if __name__ == "__flow__":\n    print(1)\n')
    here("run", "other.flow", "--id", "other", "-q")
    shown = {run_id: here("show", run_id, "--json").json for run_id in ("one", "two", "three", "other")}
    assert [each["reruns"] for each in shown.values()] == [["two", "four"], ["three"], [], []]
    assert [each.get("rerun_of") for each in shown.values()] == [None, "one", "two", None]
    assert "reruns         two, four\n" in here("show", "one").out
    assert here("log", "three").out.splitlines()[0].endswith("  (a rerun of two)")
    rows = [line.split()[:3] for line in here("ps", "--lineage").out.splitlines()]
    assert [row[0] for row in rows] == ["RUN", "other", "one", "two", "three", "four"], "reruns below what they are of"
    assert [row[2] for row in rows[3:]] == ["one", "two", "one"]
    assert {row["run"]: row["rerun_of"] for row in here("ps", "--json").lines}["four"] == "one"


def test_it_runs_the_code_of_today(failed: Cli) -> None:
    failed.file("b.txt", "b")
    failed.file("step.flow", STEP.replace("return first +", 'return first + "-" +'))
    assert failed("rerun", "one").out == "a-b\n"
    assert (failed.folder / "log.txt").read_text() == "done\n"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["none"], 2, "there is no run `none`"),
        (["one", "--from", "9"], 2, "one has no action #9"),
        (["one", "--from", "x"], 2, "names no action"),
        (["one", "--from", "1.2"], 2, "one.1 has no action #2"),
        (["one", "--set", "secnd=x"], 2, "did you mean `second`?"),
        (["one", "--set", "second"], 2, "write --set NAME=VALUE"),
        (["one", "--file", "other.flow"], 2, "other.flow"),
        (["one", "--id", "one"], 2, "exists"),
    ],
)
def test_what_cannot_be_is_told(failed: Cli, args: list[str], code: int, words: str) -> None:
    done = failed("rerun", *args)
    assert done.code == code, done.err
    assert words in done.err


def test_a_file_that_has_gone_is_asked_for(failed: Cli) -> None:
    (failed.folder / "step.flow").rename(failed.folder / "moved.flow")
    done = failed("rerun", "one")
    assert done.code == 2
    assert "--file FILE" in done.err
    failed.file("b.txt", "b")
    assert failed("rerun", "one", "--file", "moved.flow").out == "ab\n"


def test_what_was_denied_is_done_again_with_more_allowed(cli: Cli, here: Here) -> None:
    cli.file("step.flow", STEP)
    cli.file("a.txt", "a")
    cli.file("b.txt", "b")
    denied = here("run", "step.flow:main", "--id", "one", "--allow", "read=.")
    assert "help: `flowmetal rerun one`, with what it lacked allowed, does again what was not Ok\n" in denied.err
    unknown = here("rerun", "one", "--allow-for", "pkg.example.org/v1/x", "nonsense=1")
    assert (unknown.code, "nonsense" in unknown.err) == (2, True)
    done = here("rerun", "one", "--allow", "write=.", "--allow-for", "pkg.example.org/v1/x", "read=.")
    assert (done.code, done.out) == (0, "ab\n")
