"""Plans: nothing is done, and what would be is known, with the grants that it needs."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.cli.needs import Needs, smallest
from flowmetal.permissions.decision import Denied, Want, decide_all
from flowmetal.permissions.grants import GrantSet, parse_grants
from tests.cli.conftest import Cli, Done

HEAD = "def _main_impl(fctx):\n    a = fctx.actions\n"


def flow_of(body: str, more: str = "") -> str:
    """A file whose flow ``main`` has this body, in which ``a`` are the actions."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f'{more}\n{HEAD}{lines}\n\nmain = flow(_main_impl)\n\nif __name__ == "__flow__":\n    unwrap(main())\n'


def options_of(done: Done) -> list[str]:
    """The options that a plan prints, as a shell would read them."""
    text = done.out.partition("it needs:\n")[2]
    return shlex.split(text.replace("\\\n", " "))


ETL = """
def _part_impl(fctx, name):
    fctx.actions.sleep("1h")
    return unwrap(fctx.actions.read("data/" + name))

part = flow(_part_impl)

def _etl_impl(fctx):
    a = fctx.actions
    who = unwrap(a.input("who?"))
    tasks = [a.run(part, name) for name in ["a.txt", "sub dir/b.txt"]]
    text = "".join([each.value for each in a.wait(tasks)])
    unwrap(a.append("out/log.txt", who))
    unwrap(a.write("out/deep/x.txt", text))
    a.sleep_until("2040-01-01T00:00:00Z")
    return [text, now()[:4], unwrap(a.list_dir("data"))]

etl = flow(_etl_impl)
"""


@pytest.fixture
def etl(cli: Cli) -> Cli:
    cli.file("etl.flow", ETL)
    cli.file("data/a.txt", "A")
    cli.file("data/sub dir/b.txt", "B")
    return cli


def snapshot(folder: Path) -> dict[str, Any]:
    """Every file below a folder with its bytes and its time."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_done_and_the_options_it_prints_are_enough(etl: Cli) -> None:
    before = snapshot(etl.folder)
    done = etl("plan", "etl.flow:etl")
    assert done.code == 0
    assert done.err.splitlines()[1:2] == ['    list_dir("data") gave []'], "what is done for each item was not seen"
    assert {path: some for path, some in snapshot(etl.folder).items() if ".pyc" not in path} == before
    assert not etl.home.exists()
    tree, _, _ = done.out.partition("\nit needs:")
    assert tree.splitlines()[:4] == [
        "etl.flow:etl",
        "  started etl()",
        '  #1 input("who?") → ""  (sample)  [etl.flow:10]',
        '  #2 run part("a.txt") → ""  [etl.flow:11]',
    ]
    assert '#2 read("data/sub dir/b.txt") → ""  (sample)  [etl.flow:4]' in tree
    assert options_of(done) == ["--allow", f"read={etl.folder}/data", "--allow", f"write={etl.folder}/out"]

    etl.file("out/deep/y.txt", "")
    earnest = {'unwrap(a.input("who?"))': '"me"', '"1h"': '"1ms"', "2040-": "2020-"}
    text = ETL
    for old, new in earnest.items():
        text = text.replace(old, new)
    run = etl("run", etl.file("earnest.flow", text) + ":etl", *options_of(done), "--json")
    assert run.code == 0, run.out
    assert run.json["result"][::2] == ["AB", ["a.txt", "sub dir"]]
    assert (etl.text("out/deep/x.txt"), etl.text("out/log.txt")) == ("AB", "me")


def test_simulated_time_is_what_the_flow_sees(etl: Cli) -> None:
    assert etl("plan", "etl.flow:etl", "--json").json["result"] == ["", "2040", []]


def test_results_come_from_a_run_in_their_order(cli: Cli) -> None:
    polls = 'return [a.read("f").value or "err" for _ in range(4)] + [unwrap(a.read("g")), a.random()]'
    cli.file("f", "first")
    cli.file("g", "other")
    between = (
        'one = unwrap(a.read("f"))\nunwrap(a.write("f", "second"))\ntwo = unwrap(a.read("f"))\nunwrap(a.read("g"))'
    )
    cli.file("rec.flow", flow_of(between))
    assert cli("run", "rec.flow", "--allow", "read=.", "--allow", "write=.", "--id", "r1").code == 0
    cli.file("f", "changed since")
    cli.file("polls.flow", flow_of(polls))
    planned = cli("plan", "polls.flow:main", "--from", "r1", "--json").json
    assert planned["result"][:5] == ["first", "second", "second", "second", "other"]
    assert {each["source"] for each in planned["given"]} == {"recorded"}
    assert cli("plan", "polls.flow:main", "--from", "r9").code == 2


@pytest.mark.parametrize(
    ("samples", "result"),
    [
        ({"read": "x"}, ["x", "x", "file"]),
        ({"read": "x", "read(b)": "y"}, ["x", "y", "file"]),
        ({"stat": {"kind": "directory"}}, ["", "", "directory"]),
        ({"stat(a)": {"kind": "link"}, "stat": {"kind": "directory"}}, ["", "", "link"]),
    ],
)
def test_samples_are_by_effect_or_by_call(cli: Cli, samples: dict[str, Any], result: list[str]) -> None:
    cli.file("s.json", json.dumps(samples))
    cli.file("f.flow", flow_of('return [unwrap(a.read("a")), unwrap(a.read("b")), unwrap(a.stat("a")).kind]'))
    assert cli("plan", "f.flow:main", "--samples", "s.json", "--json").json["result"] == result


def test_samples_and_arguments_come_by_stdin(cli: Cli) -> None:
    cli.file(
        "f.flow",
        flow_of('return unwrap(a.read("a"))').replace(
            "_main_impl)", '_main_impl, args = {"m": args.int(default = 1)})'
        ),
    )
    command = [sys.executable, "-m", "flowmetal"]
    for argv, given_text, code, told in (
        (["plan", "f.flow:main", "--samples", "-"], '{"read": "x"}', 0, '#1 read("a") → "x"'),
        (["run", "f.flow:main", "--args", "-"], '{"n": 1}', 2, "has no argument `n`"),
        (["run", "f.flow:main", "--args", "-"], "{", 2, "--args - is not JSON"),
    ):
        done = subprocess.run(
            [*command, *argv],
            cwd=cli.folder,
            env=cli.environment,
            input=given_text,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (done.returncode, told in done.stdout + done.stderr) == (code, True), done


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"reed": "x"}', "there is no effect `reed`, did you mean `read`?"),
        ('{"stat": {"kint": 1}}', "has no field `kint`, did you mean `kind`?"),
        ("[1]", "--samples s.json holds no object"),
        ("{", "--samples s.json is not JSON"),
    ],
)
def test_samples_that_are_none_are_refused(cli: Cli, text: str, message: str) -> None:
    cli.file("s.json", text)
    cli.file("f.flow", flow_of("return 1"))
    done = cli("plan", "f.flow", "--samples", "s.json")
    assert done.code == 2
    assert message in done.err


def test_what_fails_on_a_sample_says_so_and_tells_what_it_learned(cli: Cli) -> None:
    cli.file("f.flow", flow_of('n = json.decode(unwrap(a.read("in/n.json")))\nunwrap(a.write("out/n", str(n)))'))
    done = cli("plan", "f.flow")
    assert done.code == 1
    assert "the flow does not come to its end here" in done.err
    assert 'read("in/n.json") gave ""' in done.err
    assert "--samples FILE.json gives better ones" in done.err
    assert "flowmetal log" not in done.err
    assert options_of(done) == ["--allow", f"read={cli.folder}/in"]
    cli.file("s.json", '{"read": "7"}')
    assert options_of(cli("plan", "f.flow", "--samples", "s.json"))[2:] == ["--allow", f"write={cli.folder}/out"]


def test_what_no_grant_allows_is_said(cli: Cli) -> None:
    cli.file(
        "f.flow",
        flow_of('return [a.read("/proc/self/environ").error.kind, a.read("home/journal/data.mdb").error.kind]'),
    )
    done = cli("plan", "f.flow:main", "--json").json
    assert done["result"] == ["denied", "denied"]
    assert done["grants"] == {"allow": [], "packages": {}}
    assert len(done["never"]) == 2
    assert "no grant opens /proc" in cli("plan", "f.flow").out


def test_a_flow_without_end_is_planned_for_a_while(cli: Cli) -> None:
    cli.file("f.flow", flow_of('for n in range(1000000000):\n    a.sleep("30d")\n    a.read("x/" + str(n % 3))'))
    done = cli("plan", "f.flow", "--timeout", "1s")
    assert done.code == 1
    assert "stopped after 1s" in done.err
    assert options_of(done) == ["--allow", f"read={cli.folder}/x"]


def test_retries_detached_flows_and_prints_are_in_the_tree(cli: Cli) -> None:
    more = """
def _worse_impl(fctx):
    fctx.actions.read("w")
    fail("always")

worse = flow(_worse_impl, retries = 2, retry_delay = "1d", max_retry_delay = "30d")
aside = flow(lambda fctx: fctx.actions.write("aside/f", "x"))
"""
    cli.file("f.flow", flow_of('worse()\nprint("seen")\na.start(aside)', more))
    done = cli("plan", "f.flow:main")
    assert done.code == 0, done.err
    assert "── attempt 3 in 2d: failed: always  [f.flow:4] ──" in done.out
    assert "· seen" in done.out
    assert "\nf.flow:aside\n" in done.out
    assert f"--allow write={cli.folder}/aside" in done.out


def test_interrupting_a_plan_leaves_nothing_to_go_on_with(cli: Cli) -> None:
    cli.file("f.flow", flow_of('for n in range(1000000000):\n    a.sleep("30d")'))
    process = cli.start("plan", "f.flow")
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    done = cli.end(process)
    assert done.code == 130
    assert "resume" not in done.err


PATHS = st.lists(st.sampled_from("ab"), max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.sets(PATHS))
def test_directories_within_others_need_no_grant_of_their_own(paths: set[str]) -> None:
    kept = [text.partition("=")[2] for text in smallest(f"read={path}" for path in paths)]
    for path in paths:
        assert any(path == each or path.startswith(each.rstrip("/") + "/") for each in kept)
    for one in kept:
        assert not any(one != other and one.startswith(other.rstrip("/") + "/") for other in kept)


def test_the_smallest_grants() -> None:
    texts = [
        "net=api.example:443/POST",
        "net=api.example:443/GET",
        "net=api.example:80/GET",
        "net=[::1]:80/GET",
        "secret=TOKEN@<HOST>",
        "secret=TOKEN@api.example:443",
        "secret=OTHER@<HOST>",
        "env=HOME",
        "env=HOME",
        "read=/a/b",
        "read=/a",
        "read=/ab",
        "write=/a/b",
    ]
    assert smallest(texts) == [
        "env=HOME",
        "net=[::1]:80/GET",
        "net=api.example:443/GET,POST",
        "net=api.example:80/GET",
        "read=/a",
        "read=/ab",
        "secret=OTHER@<HOST>",
        "secret=TOKEN@api.example:443",
        "write=/a/b",
    ]


def test_a_package_needs_its_own_and_the_runs_grants() -> None:
    needs = Needs()
    modules = ["//lib/own.flow", "pkg.example/v1/deploy//k8s/x.flow", "pkg.example/v1/log//l.flow"]
    want = Want("net", "api.example:443/POST", "http.post")
    for each in (modules, modules[:2], modules[:1]):
        assert isinstance(needs.decide(GrantSet(), [want, Want("env", "HOME", "env")], each), tuple)
    more = Want("net", "api.example:443/GET", "http.get")
    needs.decide(GrantSet(), [more], modules[:2])
    assert needs.to_data() == {
        "allow": ["env=HOME", "net=api.example:443/GET,POST"],
        "packages": {
            "pkg.example/v1/deploy": ["env=HOME", "net=api.example:443/GET,POST"],
            "pkg.example/v1/log": ["env=HOME", "net=api.example:443/POST"],
        },
    }
    tokens = shlex.split(" ".join(needs.options()))
    allow = [tokens[at + 1] for at, token in enumerate(tokens) if token == "--allow"]
    allow_for = [(tokens[at + 1], tokens[at + 2]) for at, token in enumerate(tokens) if token == "--allow-for"]
    granted = parse_grants(allow, [], "/", allow_for=allow_for)
    assert isinstance(decide_all(granted, [want, more], modules[:2]), tuple)
    assert isinstance(decide_all(granted, [want], modules), tuple)
    assert isinstance(decide_all(granted, [more], modules), Denied)
    assert isinstance(needs.decide(GrantSet(deny=granted.allow), [want], []), Denied)
