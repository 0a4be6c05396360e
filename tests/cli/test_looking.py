"""The commands that look at runs: log, ps, show, flows, verify, gc, export, import, doctor, completion."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from flowmetal.language.labels import PRELUDE
from tests.cli.conftest import Cli, Here, until

TREE = """
def _leaf_impl(fctx):
    fctx.actions.sleep("20ms")
    fctx.actions.log("a leaf", n = fctx.args.n)
    return fctx.args.n

leaf = flow(_leaf_impl, args = {"n": args.int(doc = "which one")}, doc = "One of many.")

def _pure_impl(fctx):
    fail("no \\x1b[31mway")

pure = flow(_pure_impl)

def _tree_impl(fctx):
    tasks = [fctx.actions.run(leaf, n) for n in range(2)]
    fctx.actions.wait(tasks, timeout = "5s")
    pure()
    fctx.actions.read("/etc/passwd")
    fctx.actions.now()
    return ("done", float("inf"))

tree = flow(_tree_impl)
if __name__ == "__flow__":
    tree()
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A home with one run, ``t1``, for tests that only look."""
    cli = Cli(tmp_path_factory.mktemp("ran"))
    cli.file("tree.flow", TREE)
    done = cli("run", "tree.flow", "--id", "t1", "--label", "a=b")
    assert done.code == 0, done.err
    return cli


def test_log_is_a_tree(ran: Cli) -> None:
    lines = ran("log", "t1").out.splitlines()
    assert lines[0].startswith("t1  tree.flow  ")
    rows = [line[11:] for line in lines[1:]]  # without the time
    assert rows[0].startswith('#1 tree() → ("done", inf)  ')
    assert rows[0].endswith("  [tree.flow:24]")
    assert rows[1].startswith("  #1 run leaf(0) → 0  ")
    assert rows[2:4] == ["    #1 sleep 20ms  [tree.flow:3]", "    · a leaf  n = 0"]
    assert rows[4].startswith("  #2 run leaf(1) → 1  ")
    assert rows[7].startswith("  #3 wait #1, #2 for at most 5s → ok")
    assert rows[8] == "  #4 pure() → Err(failed) no \\x1b[31mway  at tree.flow:10  [tree.flow:17]"
    assert rows[9].startswith('  #5 read("/etc/passwd") → Err(denied) ')
    assert rows[10].startswith('  #6 now() → "20')
    assert rows[11].startswith("ok after ")


def test_log_of_a_part(ran: Cli) -> None:
    out = ran("log", "t1.1.1").out
    assert out.startswith("t1.1.1  tree.flow:leaf  ")
    assert "\n   +0." in out
    assert "did you mean `t1.1`" in ran("log", "t1.7").err or "there is no run" in ran("log", "t1.7").err


def test_log_as_json(ran: Cli) -> None:
    events = ran("log", "t1", "--json").lines
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)
    assert all({"run", "sequence", "at", "kind"} <= event.keys() for event in events)
    by_run = {(event["run"], event["kind"]): event for event in events}
    root = by_run["t1", "started"]
    assert root["labels"] == {"a": "b"}
    assert len(root["nonce"]) == 32
    leaf = by_run["t1.1.1", "started"]
    assert (leaf["flow"], leaf["args"], leaf["kwargs"]) == ("tree.flow:leaf", [0], {})
    assert by_run["t1.1.1", "log"]["fields"] == {"n": 0}
    assert by_run["t1.1", "child"]["failure"]["message"] == "no \x1b[31mway"
    assert by_run["t1", "finished"]["value"] == ["done", {"$float": "inf"}]
    assert {event["run"] for event in ran("log", "t1.1.2", "--json").lines} == {"t1.1.2"}


def test_log_follows_a_run_that_ended(ran: Cli) -> None:
    out = ran("log", "t1", "--follow").out
    assert "#1 leaf → 0" in out
    assert out.splitlines()[-1][11:].startswith("ok after 0.")
    followed = ran("log", "t1", "--follow", "--json").lines
    assert followed == ran("log", "t1", "--json").lines


def test_log_follows_a_run_that_goes_on(cli: Cli) -> None:
    cli.file("tree.flow", TREE.replace("20ms", "8s"))
    run = cli.start("run", "tree.flow", "--id", "t1")
    until(lambda: cli("ps").out)
    follower = cli.start("log", "t1", "--follow")
    assert follower.stdout is not None
    seen = [follower.stdout.readline() for _ in range(4)]
    assert "t1  tree.flow" in seen[0]
    assert run.poll() is None, "nothing was shown before the end"
    assert cli.end(run).code == 0
    assert "ok after" in cli.end(follower).out.splitlines()[-1]


WIDE = """
def _leaf_impl(fctx):
    fctx.actions.sleep(0)

leaf = flow(_leaf_impl)

def _wide_impl(fctx):
    fctx.actions.wait([fctx.actions.run(leaf) for _ in range(1100)])

wide = flow(_wide_impl)
if __name__ == "__flow__":
    wide()
"""


def test_log_of_more_runs_than_a_journal_has_readers(cli: Cli) -> None:
    assert cli("run", cli.file("wide.flow", WIDE), "--id", "w1").code == 0
    events = cli("log", "w1", "--json").lines
    assert len({event["run"] for event in events}) == 1_102
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)
    assert cli("log", "w1").out.count("leaf()") == 1_100


def test_log_in_a_pipe_that_closes(ran: Cli) -> None:
    command = f"{sys.executable} -m flowmetal log t1 --json | head -1"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=ran.folder,
        env=ran.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert json.loads(done.stdout)["kind"] == "started"
    assert done.stderr == ""


def test_ps(ran: Cli) -> None:
    out = ran("ps").out.splitlines()
    assert out[0].split() == ["RUN", "STATUS", "FLOW", "STARTED", "DURATION"]
    assert out[1].split()[:3] == ["t1", "ok", "tree.flow"]
    row = ran("ps", "--json").lines[0]
    assert (row["run"], row["flow"], row["status"], row["interrupted"]) == ("t1", "tree.flow", "ok", False)
    for options, count in (
        (["--flow", "tree.flow"], 1), (["--flow", "leaf"], 0), (["--label", "a=b"], 1), (["--label", "a=c"], 0),
        (["--status", "ok"], 1), (["--status", "err"], 0),
    ):  # fmt: skip
        assert len(ran("ps", "--json", *options).lines) == count, options


def test_ps_shows_the_newest_first_and_says_when_there_are_more(cli: Cli) -> None:
    cli.file("a.flow", 'def _f_impl(fctx):\n    return 1\nf = flow(_f_impl)\nif __name__ == "__flow__":\n    f()\n')
    for run_id in ("one", "two", "three"):
        cli("run", "a.flow", "--id", run_id)
    assert [row["run"] for row in cli("ps", "--json").lines] == ["three", "two", "one"]
    done = cli("ps", "--limit", "2")
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == ["three", "two"]
    assert "--limit 0 shows all" in done.err


def test_what_a_run_waits_for(cli: Cli) -> None:
    cli.file("tree.flow", TREE.replace("20ms", "1h"))
    process = cli.start("run", "tree.flow:tree", "--id", "t1")
    until(lambda: "2 flows: leaf" in cli("ps").out)
    assert cli("show", "t1", "--json").json["waits_for"] == "2 flows: leaf"
    process.send_signal(signal.SIGINT)
    assert cli.end(process).code == 130
    assert "interrupted: flowmetal resume t1" in cli("ps").out
    assert "still running" not in cli("log", "t1").out
    assert cli("log", "t1").out.splitlines()[-1] == "interrupted; it goes on with: flowmetal resume t1"


def test_show(ran: Cli) -> None:
    data = ran("show", "t1", "--json").json
    assert data["result"] == ["done", {"$float": "inf"}]
    assert data["flows_started"] == 3
    assert data["grants"] == {"allow": [], "deny": []}
    assert data["code"]["tree.flow"]
    assert data["limits"]["call_depth"] == 200
    out = ran("show", "t1").out
    for part in ("status         ok", 'result         ["done"', "allowed        nothing", "versions       flowmetal"):
        assert part in out
    modules = out.partition("\ncode  ")[2].partition("\nversions")[0].splitlines()[1:]
    files = sum(label.startswith(f"{PRELUDE}//") for label in data["code"])
    assert [line.split(maxsplit=1)[1] for line in modules] == [
        "tree.flow",
        f"{PRELUDE} ({files} files, each in --json)",
    ]
    assert ran("show", "t1.1.2", "--json").json["args"] == [1]
    assert "part of        t1.1\n" in ran("show", "t1.1.2").out


def test_flows(ran: Cli) -> None:
    out = ran("flows", "tree.flow").out
    assert out.startswith("leaf  (tree.flow:7)\n  One of many.\n    --n INT  which one  [required]\n")
    flows = {flow["name"]: flow for flow in ran("flows", "tree.flow", "--json").json}
    assert list(flows) == ["leaf", "pure", "tree"]
    assert flows["leaf"]["arguments"][0]["type"] == "int"
    assert not flows["tree"]["declared"]
    assert ran("flows", "nothing.flow").code == 2


def test_verify(ran: Cli) -> None:
    done = ran("verify")
    assert (done.code, done.out, done.err) == (0, "", f"{ran.home}: intact\n")


def test_export_and_import(ran: Cli) -> None:
    assert ran("export", "t1").code == 0
    taken = ran("import", "t1.flowrun", "--home", "second")
    assert (taken.code, taken.out) == (0, "t1\n")
    assert ran("import", "t1.flowrun", "--home", "second", "--quiet").err == ""
    assert ran("log", "t1", "--home", "second", "--json").out == ran("log", "t1", "--json").out
    assert ran("verify", "--home", "second").code == 0
    assert "flowmetal export t1" in ran("export", "t1.1").err


def test_gc(cli: Cli) -> None:
    cli.file("tree.flow", TREE)
    cli("run", "tree.flow", "--id", "t1")
    assert cli("gc", "--older-than", "1h", "--json").json["roots"] == 0
    assert cli("gc", "--older-than", "0", "--status", "err", "--json").json["roots"] == 0
    assert cli("gc", "--older-than", "0").out.startswith("removed 1 runs; 4 runs, ")
    assert cli("ps", "--json").lines == []
    assert cli("gc").code == 2


def test_doctor(ran: Cli) -> None:
    ran.environment["FLOWMETAL_SECRETS"] = str(ran.folder / "kept")
    done = ran("doctor", "--json")
    data = done.json
    assert data["home"] == str(ran.home)
    assert data["durability"] == "os"
    assert data["secrets"] == str(ran.folder / "kept")
    assert f"secrets          {ran.folder}/kept, which is not there" in ran("doctor").out
    assert data["runs"]["ok"] == 1
    assert data["engines_alive"] == 0
    assert data["versions"]["starlark-pyo3"]
    if sys.platform == "linux":
        assert set(data["worker_limits"].values()) == {True}
        assert data["sandbox"]["level"] == ("L1" if data["sandbox"]["landlock"] else "L0")
        assert bool(data["sandbox"]["reason"]) == (data["sandbox"]["level"] == "L0")
        assert data["left_open"] in ran("doctor").out
    assert "none; runs go on while" in ran("doctor").out
    assert "none yet" in ran("doctor", "--home", "nowhere").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(ran: Cli, shell: str) -> None:
    assert "_FLOWMETAL_COMPLETE" in ran("completion", shell).out


def test_completing(ran: Cli) -> None:
    def complete(*words: str) -> str:
        shell = {
            "_FLOWMETAL_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        other = Cli(ran.folder)
        other.environment = {**ran.environment, **shell}
        return other().out

    assert "plain,resume" in complete("flowmetal", "res")
    assert "plain,t1" in complete("flowmetal", "log", "t")
    assert "plain,--timeout" in complete("flowmetal", "run", "--ti")


def test_the_version_and_the_help(cli: Cli) -> None:
    assert cli("--version").out.startswith("flowmetal ")
    assert "doctor" in cli("--help").out
    bare = cli()
    assert (bare.code, bare.out) == (2, "")
    assert "doctor" in bare.err


def test_errs_on_the_way_to_an_ok_are_counted(cli: Cli) -> None:
    text = (
        'def _bad_impl(fctx):\n    fctx.actions.sleep(fctx.args.n)\n    fail("no")\n'
        'bad = flow(_bad_impl, args = {"n": args.float()})\n'
        "def _f_impl(fctx):\n    fctx.actions.wait([fctx.actions.run(bad, 0.0), fctx.actions.run(bad, 3.0)])\n"
        '    return "fine"\nf = flow(_f_impl)\nif __name__ == "__flow__":\n    f()\n'
    )
    process = cli.start("run", cli.file("a.flow", text), "--id", "r1")
    until(lambda: cli.home.exists() and "Err(failed)" in cli("log", "r1").out)
    process.kill()
    cli.end(process)
    done = cli("resume", "r1")
    assert done.out == "fine\n"
    assert "note: 2 results on the way were Err: flowmetal log r1 --errs\n  one: bad: no  --> a.flow:3\n" in done.err
    assert "note:" not in cli("run", "a.flow", "--id", "r1").err
    assert cli("run", "a.flow", "--quiet").err == ""
    row = next(line for line in cli("log", "r1").out.splitlines() if "#1 run bad" in line)
    assert "Err(failed) no" in row
    assert "at a.flow:3" in row
    seen = cli("show", "r1.1.1").out
    assert "  --> a.flow:3\n" in seen
    assert "fail(" in seen


MANY = """
inner = flow(lambda fctx: unwrap(fctx.actions.read("/nowhere")))

def _one(fctx, n):
    now()
    if n % 3 == 1:
        _ = inner()
    return n

one = flow(_one)

def _many(fctx):
    results = wait([run(one, n) for n in range(6)])
    fail("%d of them" % len(results))

many = flow(_many)
if __name__ == "__flow__":
    unwrap(many())
"""


def test_what_failed_is_found_among_what_did_not(cli: Cli, here: Here) -> None:
    cli.file("many.flow", MANY)
    done = here("run", "many.flow", "--id", "m1")
    assert "with what it lacked allowed" not in done.err
    rows = [line[11:].partition(" → ")[0] for line in here("log", "m1", "--errs").out.splitlines()[1:-1]]
    assert rows == [
        "#1 many()",
        *("  #2 run one(1)", "    #2 inner()", '      #1 read("/nowhere")'),
        *("  #5 run one(4)", "    #2 inner()", '      #1 read("/nowhere")'),
    ]
    refused = here("log", "m1", "--errs", "--json")
    assert (refused.code, "--errs does not go with --json" in refused.err) == (2, True)
    assert here("ps").out.splitlines()[0].endswith("  FAILURE")
    assert here("ps").out.endswith("  failed: 6 of them\n")
    (row,) = here("ps", "--json").lines
    assert row["failure"] == {"kind": "failed", "message": "6 of them"}


def test_a_wait_that_ran_out_says_so(cli: Cli) -> None:
    text = (
        'def _s_impl(fctx):\n    fctx.actions.sleep(fctx.args.n)\ns = flow(_s_impl, args = {"n": args.float()})\n'
        "def _f_impl(fctx):\n    a = fctx.actions.run(s, 0.0)\n    b = fctx.actions.run(s, 9.0)\n"
        "    fctx.actions.wait([a, b], timeout = 0.3)\n    fctx.actions.wait([a], timeout = 0.3)\n"
        "    fctx.actions.wait(b, timeout = 0.1)\n    fctx.actions.cancel(b)\n"
        'f = flow(_f_impl)\nif __name__ == "__flow__":\n    f()\n'
    )
    cli("run", cli.file("a.flow", text), "--id", "r1")
    seen = [line for line in cli("log", "r1").out.splitlines() if " wait #" in line]
    assert ["→ 1 of 2 done" in seen[0], "→ ok" in seen[1], "→ late" in seen[2]] == [True, True, True]


def test_check_and_run_name_a_file_alike(cli: Cli) -> None:
    """From the program's root, wherever one stands; so do the places in a journal, which knows no other."""
    cli.file("project/flowmetal.toml", "")
    main = cli.file("project/flows/main.flow", 'load("./part.flow", "x")\n')
    cli.file("project/flows/part.flow", "x = 1\ny = lenn([])\n")
    checked = cli("check", main)
    assert checked.code == 1
    assert checked.out.startswith("flows/part.flow:2:5: ")
    assert cli("check", main, "--json").json[0]["file"] == "flows/part.flow"
    assert "--> flows/part.flow:2:5\n" in cli("run", main).err


def test_a_run_that_was_moved_says_where_it_went(cli: Cli) -> None:
    cli("run", cli.file("a.flow", 'if __name__ == "__flow__":\n    print(1)\n'), "--id", "a1")
    cli("export", "a1", "--move", "-o", "a1.flowrun")
    assert "moved into a1.flowrun by `export --move`\n" in cli("ps").out


def test_what_matches_nothing_says_what_there_is(cli: Cli, here: Here) -> None:
    cli.file("one.flow", "a = flow(lambda fctx: 1)\n")
    assert here("run", "one.flow:a", "--id", "a").code == 0
    cases = [
        (["flow=one.flow"], "no run matches flow=one.flow; of its flows there are runs: flow=one.flow:a"),
        (["--flow", "one.flow:b"], "no run matches flow=one.flow:b, did you mean `one.flow:a`?"),
        (["flow=a", "status=err"], "no run matches flow=a status=err"),
    ]
    for terms, said in cases:
        found = here("ps", *terms)
        assert (found.code, found.out, found.err) == (0, "", f"{said}\n")
    none = here("cancel", "--all-matching", "flow=one.flow")
    assert none.err.endswith("matches flow=one.flow; of its flows there are runs: flow=one.flow:a\n")


def test_who_drives_a_run_is_told_by_number_until_it_is_interrupted(cli: Cli) -> None:
    """A run is of the status `interrupted` when its process has died, beside what it was then."""
    cli.file("nap.flow", 'nap = flow(lambda fctx: fctx.actions.sleep("1h"))\n')
    process = cli.start("run", "nap.flow:nap", "--id", "nap")
    until(lambda: cli.home.exists() and "sleep" in cli("log", "nap").out)
    assert f"  process {process.pid} drives it\n" in cli("explain", "nap").out
    assert cli("explain", "nap", "--json").json["process"] == process.pid
    busy = cli("export", "nap", "--move", "-o", "nap.flowrun")
    assert (busy.code, f"process {process.pid} drives the run `nap`" in busy.err) == (3, True)
    assert "nap" not in cli("ps", "status=interrupted").out
    process.kill()
    cli.end(process)
    for terms in (["status=interrupted"], ["status=ok,interrupted"], ["--status", "interrupted"]):
        assert cli("ps", *terms).out.split("\n")[1].startswith("nap ")
    assert cli("explain", "nap", "--json").json["process"] is None
    assert cli("ps", "status=interrupted", "label.a=b").out == ""


def test_whose_result_it_is_that_was_done_once(cli: Cli, here: Here) -> None:
    text = """
charge = flow(lambda fctx, cents: cents)
buy = flow(lambda fctx: options(charge, idempotency_key = "k")(fctx.args.cents), args = {"cents": args.int()})
"""
    cli.file("pay.flow", text)
    for run_id, cents in (("first", "1"), ("second", "1"), ("other", "2")):
        here("run", "pay.flow:buy", "--id", run_id, "--cents", cents)
    assert "done once" not in here("log", "first").out
    assert "(done once: the Result of #1 of first)" in here("log", "second").out
    assert "(done once: the Result of #1 of first)" in here("log", "second", "--follow").out
    assert "done once" not in here("log", "other").out  # other arguments: an Err of its own


def test_long_details_do_not_fill_the_screen(cli: Cli, here: Here) -> None:
    cli.file("long.flow", 'f = flow(lambda fctx: fail("no", jobs = {"a": "z" * 900}, step = 3))\n')
    failed = here("run", "long.flow:f")
    assert '  details: {"jobs": … (909 characters, see --json), "step": 3}\n' in failed.err
