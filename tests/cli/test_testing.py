"""``flowmetal test``: what passes, what fails and how that is shown, and that nothing real is ever done."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flowmetal.cli.main import run
from tests.cli.conftest import Cli

LOAD = (
    'load("pkg.flowmetal.io/v1/testing", "assert_eq", "assert_err", "assert_fails", "assert_false", "assert_in", '
    '"assert_ne", "assert_ok", "assert_true")\n'
)


@dataclass(frozen=True)
class Done:
    """What a command line gave."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """What ``--json`` prints."""
        return [json.loads(line) for line in self.out.splitlines()]


Flowmetal = Callable[..., Done]


@pytest.fixture
def flowmetal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Flowmetal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWMETAL_HOME", str(tmp_path / "home"))

    def command(*args: str, **files: str) -> Done:
        for name, text in files.items():
            (tmp_path / f"{name}.flow").write_text(text, encoding="utf-8")
        code = run(list(args))
        return Done(code, *capsys.readouterr())

    return command


ASSERTS = [
    # what a test does, how it fails: the first line without the test's name, and a line below; "" passes
    ('assert_eq([1, {"a": 2}], [1, {"a": 2}])', "", ""),
    ("assert_eq(3, 4)", "the values differ", "  got:    3"),
    ("assert_eq(3, 4)", "the values differ", "  wanted: 4"),
    ("assert_eq(1, 1.0)", "the values differ", "  wanted: 1.0"),
    ('assert_eq("a", "b", "the name")', "the name: the values differ", '  got:    "a"'),
    ("assert_eq(list(range(30)), list(range(29)) + [40])", "the values differ", "  +    29,"),
    ('assert_eq("one\\n" * 20 + "two", "one\\n" * 21)', "the values differ", '  +"two"'),
    ("assert_eq(len, str)", "the values differ", '  wanted: "str"'),
    ("assert_ne(1, 2)", "", ""),
    ("assert_ne(1, 1)", "the values are equal", "  got:    1"),
    ("assert_true(1 < 2)", "", ""),
    ("assert_true([1])", "it is not True", "  got:    [1]"),
    ("assert_false(0)", "it is not False", "  got:    0"),
    ('assert_in("b", "abc")', "", ""),
    ("assert_in(3, [1, 2])", "it is not there", "  wanted: 3"),
    ("assert_eq(assert_ok(Ok(7)), 7)", "", ""),
    ('assert_ok(Err("no", kind = "odd"))', "it is Err: [odd] no", '  got:    Failure(kind = "odd", message = "no"'),
    ('assert_eq(assert_err(Err("no way"), kind = "failed", message = "way").kind, "failed")', "", ""),
    ("assert_err(Ok(7))", "it is Ok, and should be Err", "  got:    7"),
    ('assert_err(Err("no", kind = "odd"), kind = "effect")', "it is Err of another kind: no", '  got:    "odd"'),
    ('assert_err(Err("no"), message = "yes")', "it is Err with another message", '  wanted: "yes"'),
    ('assert_fails(effects.read, "x", bogus = 1, kind = "error", message = "bogus")', "", ""),
    ('fail("by itself", at = 3)', "by itself", '  details: {"at": 3}'),
    ("x = [1][4]", "Index `4` is out of bound", "called from"),
    ('return Err("given back")', "given back", "return Err("),
    ("assert_eq(struct(a = 1), struct(a = 2))", "the values differ", "  got:    struct(a = 1)"),
]


def test_asserts(flowmetal: Flowmetal) -> None:
    text = LOAD + "".join(f"def test_{at}(t):\n    {body}\n" for at, (body, *_) in enumerate(ASSERTS))
    done = flowmetal("test", asserts_test=text)
    shown = dict(part.strip("_ ").partition(" ___")[::2] for part in done.out.split("asserts_test.flow::")[1:])
    for at, (body, first, below) in enumerate(ASSERTS):
        name = f"test_{at}"
        if not first:
            assert name not in shown, shown[name]
            continue
        lines = shown[name].split("\n")
        assert lines[1].startswith(f"error: {name}: {first}"), (body, lines)
        if below != "called from":
            assert any(below in line for line in lines), (body, lines)
        assert any(f"asserts_test.flow:{2 * at + 3}" in line for line in lines), (body, lines)
        assert any(body in line for line in lines), (body, lines)
    failed = sum(bool(first) for _, first, _ in ASSERTS)
    assert f"{failed} failed, {len(ASSERTS) - failed} passed in " in done.out
    assert done.code == 1


WORLD = """
def _twice(fctx, path):
    first = fctx.actions.read(path, retries = 2, retry_delay = "10m")
    sleep("100d")
    return [first, fctx.actions.read(path)]

twice = flow(_twice)

def test_constant(t):
    t.answer(effects.read, gives = "x")
    assert_eq(twice("a").value, [Ok("x"), Ok("x")])

def test_by_arguments(t):
    t.answer("read", gives = "any")
    t.answer("read", "b", gives = "b only")
    t.answer(effects.read, path = "c", gives = None)
    assert_eq([twice(it).value[0].value for it in ["a", "b", "c"]], ["any", "b only", None])

def test_in_order_with_retries(t):
    t.answer(effects.read, each = [Err("down", kind = "effect"), "up", "again"])
    before = now()
    assert_eq([it.value for it in twice("a").value], ["up", "again"])
    assert_eq(time.diff(now(), before), 60 + 100 * 24 * 3600)
    assert_eq(t.calls(effects.read), [{"path": "a"}] * 3)

def test_used_up(t):
    t.answer(effects.read, each = ["once"])
    twice("a")

def test_the_flow_hides_it(t):
    assert_false(effects.write("x", "y").ok)

def test_struct(t):
    t.answer(effects.http.get, "https://a.example/", gives = {"status": 404, "text": "gone"})
    answer = unwrap(effects.http.get("https://a.example/", headers = {"X": "1"}))
    assert_eq([answer.status, answer.text], [404, "gone"])
    assert_eq(t.calls(effects.http.get), [{"url": "https://a.example/", "headers": {"X": "1"}}])
    assert_eq(t.calls(effects.http.get, "https://b.example/"), [])

def _fake(fctx, path):
    if path == "none":
        return Err("no such file", kind = "effect")
    log("asked for " + path)
    return "text of " + path

fake = flow(_fake)

def test_by_a_flow(t):
    t.answer(effects.read, by = fake)
    t.answer(effects.read, "mine", gives = "other")
    assert_eq([it.value for it in parallel_map(effects.read, ["a", "b", "mine"])], ["text of a", "text of b", "other"])
    assert_err(effects.read("none"), kind = "effect", message = "no such file")
    assert_eq(len(t.calls(effects.read)), 4)

def test_by_no_flow(t):
    t.answer(effects.read, by = "fake")

def test_time_begins_anew(t):
    assert_eq(now(), "2030-01-01T00:00:00.000000Z")

def test_wrong_field(t):
    t.answer(effects.http.get, gives = {"statsu": 404})

def test_wrong_argument(t):
    t.answer(effects.read, pth = "x")

def test_no_effect(t):
    t.answer("raed", gives = 1)
"""

FAILURES = {
    "test_used_up": [
        "is called once more than it has answers (1)",
        't.answer(effects.read, "a", gives = "")',
    ],
    "test_the_flow_hides_it": ['write("x", "y")', "has no answer", 't.answer(effects.write, "x", "y", gives = None)'],
    "test_wrong_field": ["what `http.get` gives has no field `statsu`, did you mean `status`?"],
    "test_wrong_argument": ["read has no argument `pth`, did you mean `path`?"],
    "test_by_no_flow": ["`by` is a flow, not a value of type str"],
    "test_no_effect": ["there is no effect `raed`, did you mean `read`?"],
}


def test_effects_are_scripted(flowmetal: Flowmetal) -> None:
    done = flowmetal("test", "--json", world_test=LOAD + WORLD)
    *tests, total = done.objects
    for each in tests:
        words = json.dumps(each, ensure_ascii=False)
        for wanted in FAILURES.get(each["test"], []):
            assert wanted in words.replace('\\"', '"'), words
        assert each["status"] == ("failed" if each["test"] in FAILURES else "passed"), words
    assert (total["passed"], total["failed"], total["errors"]) == (len(tests) - len(FAILURES), len(FAILURES), 0)


def test_nothing_real_is_ever_done(flowmetal: Flowmetal, tmp_path: Path) -> None:
    """Not even what it would see of the machine: a hostile test learns and changes nothing."""
    mark = tmp_path / "mark"
    text = f"""
def test_hostile(t):
    tried = [
        effects.read("/etc/passwd"), effects.write("{mark}", "x"), effects.append("{mark}", "x"),
        effects.exec(["/bin/sh", "-c", "touch {mark}"]), effects.http.get("http://127.0.0.1:1/"),
        effects.env("HOME"), effects.list_dir("/"), effects.glob("**", "/etc"), effects.stat("/etc/passwd"),
        effects.remove("{tmp_path}"), effects.make_dir("{mark}"), effects.copy("/etc/passwd", "{mark}"),
        effects.digest("/etc/passwd"), effects.call("os:getcwd"), effects.input("who are you?"),
    ]
    for it in tried:
        assert_err(it, kind = "denied", message = "has no answer")
    assert_eq(effects.secret("token").value.name, "token")
"""
    done = flowmetal("test", "--json", hostile_test=LOAD + text)
    assert "failure" not in done.objects[0], done.objects[0]
    assert len(done.objects[0]["missing"]) == 15
    assert done.code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile_test.flow"]


def test_selection_and_its_errors(flowmetal: Flowmetal, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "more_test.flow").write_text("def test_deep(t):\n    pass\n", encoding="utf-8")
    files = {"a_test": "def test_one(t):\n    fail('x')\n\ndef test_two(t):\n    pass\n", "lib": "x = 1\n"}

    def names(*args: str) -> list[str]:
        return [f"{each['file']}::{each['test']}" for each in flowmetal("test", "--json", *args).objects[:-1]]

    every = ["a_test.flow::test_one", "a_test.flow::test_two", "deep/more_test.flow::test_deep"]
    assert flowmetal("test", **files).code == 1
    assert names() == every
    assert names("-k", "TWO") == [every[1]]
    assert names("a_test.flow::test_two", "deep") == every[1:]
    assert names("-x") == every[:1]
    assert "a_test.flow::test_one FAILED\na_test.flow::test_two passed\n" in flowmetal("test", "-v").out
    for args, words in {
        ("-k", "nobody"): "no test's name holds `nobody`",
        ("a_test.flow::test_tow",): "a_test.flow has no test `test_tow`, did you mean `test_two`?",
        ("a_tset.flow",): "there is no file a_tset.flow, did you mean `a_test.flow`?",
        ("lib.flow",): "there is no test in lib.flow",
        ("home.txt",): "there is no file home.txt",
    }.items():
        done = flowmetal("test", *args)
        assert (done.code, done.out) == (2, ""), args
        assert words in done.err
    for path in tmp_path.glob("**/*_test.flow"):
        path.unlink()
    assert "there is no test file in" in flowmetal("test").err


def test_a_file_that_cannot_be_loaded_is_one_error(flowmetal: Flowmetal, tmp_path: Path) -> None:
    (tmp_path / "a&b_test.flow").write_text("def test_x(t):\n    pass\n", encoding="utf-8")
    done = flowmetal(
        "test",
        "--junit",
        "out/j.xml",
        bad_test="def test_x(t):\n    pass\nx = nope\n",
        good_test="def test_y(t):\n    pass\n",
    )
    assert done.code == 2
    assert "1 passed, 2 files in error in " in done.out
    assert "bad_test.flow:3" in done.out
    assert "a&b_test.flow has a name that no module can have" in done.out
    root = ElementTree.parse(tmp_path / "out" / "j.xml").getroot()
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3", "failures": "0", "errors": "2",
    }  # fmt: skip


def test_junit_holds_what_no_xml_may(flowmetal: Flowmetal, tmp_path: Path) -> None:
    text = LOAD + 'def test_x(t):\n    assert_eq("<&>\\"\\x01]]>", "b")\n\ndef test_y(t):\n    pass\n'
    assert flowmetal("test", "--junit", "j.xml", a_test=text).code == 1
    root = ElementTree.parse(tmp_path / "j.xml").getroot()
    (suite,) = root
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("a_test.flow", "2", "1")
    first, second = suite
    assert float(first.get("time", "")) > 0
    assert "]]>" in (first[0].text or "")
    assert "\x01" not in (first[0].text or "")
    assert len(second) == 0


ENDLESS = "def _forever(fctx):\n    for _ in forever():\n        sleep(60)\n\nendless = flow(_forever)\n\n"


def test_what_a_test_leaves_running_is_ended_with_it(flowmetal: Flowmetal) -> None:
    text = ENDLESS + "def test_detached(t):\n    start(endless)\n\ndef test_after(t):\n    now()\n"
    assert "2 passed in " in flowmetal("test", a_test=text).out


def test_a_test_that_does_not_end_costs_its_own_time_only(flowmetal: Flowmetal) -> None:
    text = ENDLESS + "def test_endless(t):\n    endless()\n\ndef test_after(t):\n    fail('here')\n"
    done = flowmetal("test", "--timeout", "500ms", "-v", a_test=text)
    assert "test_endless FAILED\na_test.flow::test_after FAILED\n" in done.out
    assert "test_endless was not done after 500ms of real time" in done.out


CRASHING = """
def _page(fctx, number):
    return len(unwrap(fctx.actions.http.get("https://pages.example/%d" % number, retries = 2)).text)

page = flow(_page)

def _report(fctx, append):
    sizes = [unwrap(it) for it in parallel_map(page, [1, 2, 3])]
    sleep("1d")
    text = "%d %s %s" % (sum(sizes), now()[:10], uuid())
    unwrap(fctx.actions.write("report.txt", text))
    if append:
        unwrap(append("log.txt", "done"))
    print("done")
    return text

report = flow(_report)

def _world(t):
    t.answer(effects.http.get, gives = {"text": "12345"})
    t.answer(effects.http.get, "https://pages.example/2", each = [Err("503", kind = "effect"), {"text": "1"}])
    t.answer(effects.write)
    t.answer(effects.append)

def test_sound(t):
    _world(t)
    text = assert_ok(report(None))
    assert_eq(text[:13], "11 2030-01-02")
    assert_eq(t.calls(effects.write), [{"path": "report.txt", "text": text}])

def _counted(fctx, url, **rest):
    return {"text": "x" * int(url[-1])}

counted = flow(_counted)

def test_answered_by_a_flow(t):
    _world(t)
    t.answer(effects.http.get, by = counted)
    assert_eq(assert_ok(report(None))[:1], "6")

def test_append(t):
    _world(t)
    assert_ok(report(effects.append))

def test_append_never_twice(t):
    _world(t)
    assert_ok(report(options(effects.append, interrupted = "never")))

def test_append_if_somebody_says_so(t):
    _world(t)
    assert_ok(report(options(effects.append, interrupted = "ask")))
"""


def test_crash_everywhere(flowmetal: Flowmetal) -> None:
    tests = {
        each.get("test"): each
        for each in flowmetal("test", "--crash-everywhere", "--json", a_test=LOAD + CRASHING).objects
    }
    for name in ("test_sound", "test_answered_by_a_flow", "test_append_never_twice", "test_append_if_somebody_says_so"):
        assert (tests[name]["status"], tests[name]["differences"]) == ("passed", []), tests[name]
        assert tests[name]["crashes"] >= 8
    assert tests["test_append"]["status"] == "failed"
    (difference,) = tests["test_append"]["differences"]
    assert difference == {
        "moment": 'after append("log.txt", "done") was done, before that was recorded',
        "what": ['done twice, not once: append("log.txt", "done")'],
    }


def test_crash_everywhere_tells_what_became_otherwise(flowmetal: Flowmetal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of an engine, made here: the time stands at the beginning again after every crash."""
    monkeypatch.setattr("flowmetal.alarm_clock.SimulatedClock.advance", lambda self, seconds: None)
    text = (
        'def _f(fctx):\n    sleep("1h")\n    return now()\n\nf = flow(_f)\n\ndef test_f(t):\n    sleep("1h")\n    f()\n'
    )
    done = flowmetal("test", "--crash-everywhere", a_test=text)
    assert done.code == 1
    assert "error: test_f comes out otherwise when the engine ends\n  after event " in done.out
    assert '#2 f gives Ok("2030-01-01T01:00:00.000000Z"), and gave Ok("2030-01-01T02:00:00.000000Z")' in done.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_interrupted_is_summed_up(cli: Cli, number: signal.Signals, code: int) -> None:
    cli.file("a_test.flow", ENDLESS + "def test_a(t):\n    now()\n\ndef test_endless(t):\n    endless()\n")
    cli.environment["TMPDIR"] = str(cli.folder)
    process = cli.start("test", "-v")
    assert process.stdout is not None
    assert process.stdout.readline() == "a_test.flow::test_a passed\n"
    process.send_signal(number)
    done = cli.end(process)
    assert (done.code, done.err) == (code, "")
    assert "1 passed, interrupted in " in done.out
    assert [path.name for path in cli.folder.iterdir()] == ["a_test.flow"]


APART = """
work = flow(lambda fctx: unwrap(fctx.actions.write("x", "y")))

def _ship(fctx):
    unwrap(fctx.actions.start(options(work, id = "order-1")))
    fctx.actions.sleep("1s")

ship = flow(_ship)
quick = flow(lambda fctx, path: "by flow " + path)

def test_a_run_of_its_own(t):
    t.answer(effects.write)
    assert_ok(ship())
    assert_eq(len(t.calls(effects.write)), 1)

def test_a_run_of_its_own_again(t):
    test_a_run_of_its_own(t)

def test_once(t):
    t.answer(effects.write)
    assert_ok(options(work, idempotency_key = "k")())
    assert_eq(len(t.calls(effects.write)), 1)

def test_once_again(t):
    test_once(t)

def test_the_names_of_others_are_taken(t):
    t.answer(effects.write)
    t.answer(effects.read, by = quick)
    for name in ["test_last", "test_once", "answer-2", "answer-4", "answer-5"]:
        unwrap(t.fctx.actions.start(options(work, id = name)))
    assert_eq(effects.read("x"), Ok("by flow x"))
    unwrap(t.fctx.actions.start(options(work, id = "answer-8")))
    assert_eq(effects.read("y"), Ok("by flow y"))

def test_last(t):
    pass
"""


def test_a_test_finds_nothing_of_the_one_before(flowmetal: Flowmetal) -> None:
    done = flowmetal("test", "-v", apart_test=LOAD + APART)
    assert (done.code, done.out.count(" passed\n")) == (0, 6), done
