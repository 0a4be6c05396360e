"""``flowmetal check``: silent on what is right, and on each mistake a line that helps."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowmetal.engine.checking import check_file
from flowmetal.settings import Limits
from tests.language.chunks import MAIN, Chunk, Texts, read_chunks

CHECKOUT = Path(__file__).parents[2]
RIGHT = [
    chunk
    for path in sorted((CHECKOUT / "tests/testdata").glob("*.flow"))
    for chunk in read_chunks(path)
    if not chunk.wanted
]
EXAMPLES = sorted((CHECKOUT / "examples").rglob("*.flow"))


def check(text: str, **others: str) -> list[str]:
    """What is found in a file, as ``line:column message (help)``."""
    files = {MAIN: text, **{f"{name}.flow": other for name, other in others.items()}}
    found = asyncio.run(check_file(f"//{MAIN}", Texts(files), Limits()))
    assert all(each.excerpt for each in found if ":" in each.place)
    return [f"{each.place.removeprefix('main.flow:')} {each.message} ({each.hint})" for each in found]


def command(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flowmetal", "check", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_chunks_that_succeed_are_passed_over_in_silence() -> None:
    async def found() -> list[str]:
        gate = asyncio.Semaphore(4)

        async def one(chunk: Chunk) -> list[str]:
            async with gate:
                diagnostics = await check_file(f"//{MAIN}", Texts(chunk.files), Limits())
            return [f"{chunk.id}: {each.place} {each.message}" for each in diagnostics]

        return [line for lines in await asyncio.gather(*map(one, RIGHT)) for line in lines]

    assert asyncio.run(found()) == []


# What the plug-in's example names is there when its package is: tests/examples/test_plugin.py.
@pytest.mark.parametrize(
    "path", [each for each in EXAMPLES if each.parent.name != "plugin"], ids=lambda each: each.name
)
def test_examples_are_passed_over_in_silence(path: Path) -> None:
    done = command(str(path), cwd=CHECKOUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


HEAD = "def _f(fctx):\n    return 1\n\n"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('f = flow(_f, nmae = "x")', "14 `flow()` has no setting `nmae`, did you mean `name`?"),
        ("f = flow(_f, id = 'x')", "14 `id` is a setting of one start (write `options(f, id = …)`)"),
        ("f = options(_f, detach = True)",
         "17 there is no setting `detach` (start a run of its own by `fctx.actions.start(f, …)`)"),
        ("f = options(flow(_f), returns = args.int())",
         "23 `options()` has no setting `returns` (it is of the flow: `flow(f, returns = …)`)"),
        ("f = flow(_f, retires = 3)", "14 `flow()` has no setting `retires`, did you mean `retries`"),
        ("f = flow()", "5 flow needs the argument `implementation`"),
        ("f = flow(_f)\ng = options(f, nam = 1)", "16 `options()` has no setting `nam`, did you mean `name`?"),
        ("f = flow(_f, args = {'n': args.int(minimum = 1)})",
         "36 args.int has no argument `minimum`, did you mean `min`?"),
        ("f = flow(_f, args = {'n': args.sting()})",
         "32 `args` has no `sting`, did you mean `string`? (there are: string, int,"),
        ("f = lambda fctx: fctx.actions.slep(1)", "31 there is no action `slep`, did you mean `sleep`?"),
        ("f = lambda fctx: fctx.actions.sleep()", "18 fctx.actions.sleep needs the argument `duration`"),
        ("f = lambda fctx: fctx.actions.reed", "31 there is no action `reed`, did you mean `read`?"),
        ("f = lambda fctx: fctx.read('x')", "23 `fctx` has no `read` (write `fctx.actions.read`)"),
        ("f = lambda fctx: fctx.arg.n", "23 `fctx` has no `arg`, did you mean `args`?"),
        ("f = lambda: json.dumps(1)", "18 `json` has no `dumps` (write `json.encode(value)`)"),
        ("f = lambda: args.integer()", "18 `args` has no `integer` (write `args.int()`)"),
        ("f = lambda: csv.prase('')", "17 `csv` has no `prase`, did you mean `parse`?"),
        ("f = lambda: time.now()", "18 `time` has no `now` (write `fctx.actions.now()`)"),
        ("f = lambda: base64.decod('')", "20 `base64` has no `decod`, did you mean `decode`?"),
        ("f = lambda: effects.fetch('')", "21 `effects` has no `fetch` (there are: read, write"),
        ("f = flow(lambda fctx: fctx.args.nn, args = {'n': args.int()})",
         "33 the flow `f` declares no argument `nn`, did you mean `n`? (it declares: n)"),
        ("f = lambda: sleep(1, 2)", "13 sleep takes 1 argument, got 2 by position"),
        ("f = lambda: retry(_f, limt = 1)", "23 retry has no argument `limt`, did you mean `limit`?"),
        ("f = lambda: sum([1], first = 2)", "22 sum has no argument `first` (it takes: values, start)"),
        ("f = lambda: csv.parse('', headers = True)",
         "27 csv.parse has no argument `headers`, did you mean `header`?"),
        ("f = lambda: unwrap()", "13 unwrap needs the argument `result`"),
        ("f = lambda: nothing_of_the_kind", "13 Variable `nothing_of_the_kind` not found"),
        ("def g(x: Optional[int]):\n    pass", "10 Variable `Optional` not found (write `int | None`)"),
        ("def g():\n    return 1\n    x = 2", "5 this is never reached"),
        ("d = {'a': 1, 'a': 2}", ' duplicate dictionary key'),
        ("def g(): return 1 + 'a'", "Operator `+`|not available|binary operator"),
        ("x = [1", "`[` is not closed"),
        ("while True: pass", "forever()"),
        ("x = 1 // 0", "zero"),
        ("fail('no')", "no"),
    ],
)  # fmt: skip
def test_a_mistake_is_found(line: str, found: str) -> None:
    lines = check(HEAD + line + "\n")
    assert len(lines) == 1, lines
    assert any(part in lines[0] for part in found.split("|")), lines


def test_flows_are_called_as_they_declare() -> None:
    text = """
load("./lib.flow", "step", other = "step")
own = flow(lambda fctx: 1, args = {"a": args.int(), "b": args.int(default = 1)})
def _f(fctx, rest):
    step(1, limt = 2)
    other()
    own(1, 2, 3)
    own(1, a = 2)
    _ = own(*rest)
    _ = own(1, **{})
    _ = own(b = 1, a = 2)
    fctx.actions.run(own, 1)
f = flow(_f)
"""
    lib = 'step = flow(lambda fctx: 1, args = {"n": args.int(), "limit": args.int(default = 1)})\n'
    assert [line.split(" (")[0] for line in check(text, lib=lib)] == [
        "5:13 step has no argument `limt`, did you mean `limit`?",
        "6:5 other needs the argument `n`",
        "7:5 own takes 2 arguments, got 3 by position",
        "8:12 own got the argument `a` twice",
    ]


def test_names_of_ones_own_are_left_alone() -> None:
    text = """
def retry(a, b, c):
    return a
def _f(fctx, sleep):
    sleep(1, 2, 3)
    [wait(1, 2, 3, 4) for wait in []]
    now = lambda a: a
    return now(1) + retry(1, 2, 3) + (lambda log: log())(1)
f = flow(_f)
"""
    assert check(text) == []


def test_arguments_are_looked_up_as_the_flow_declares_them() -> None:
    text = """
def _f(fctx):
    print(fctx.args.name, fctx.args.nane)
    print([fctx.args.x for _ in [1]])
    g = lambda n: fctx.args.other
    return g
f = flow(_f, args = {"name": args.string()})
def _g(fctx):
    return fctx.args.name
g = flow(_g)
def _shared(fctx):
    return fctx.args.a
h = flow(_shared, args = {"b": args.int()})
i = flow(_shared, args = {"a": args.int()})
def _helper(fctx):
    return fctx.args.a
j = flow(lambda fctx: _helper(fctx))
json = struct(dumps = 1)
def _k(fctx, csv):
    return json.dumps + csv.nothing
k = flow(_k)
"""
    assert check(text) == [
        "3:37 the flow `f` declares no argument `nane`, did you mean `name`? (it declares: name)",
        "4:22 the flow `f` declares no argument `x` (it declares: name)",
        "5:29 the flow `f` declares no argument `other` (it declares: name)",
        "9:22 the flow `g` declares no argument `name` (it declares none)",
    ]


def test_an_error_in_a_loaded_module_is_shown_there() -> None:
    assert check('load("./lib.flow", "x")\n', lib="x = lenn([])\n") == [
        "lib.flow:1:5 Variable `lenn` not found, did you mean `len`? ()"
    ]


def test_exit_codes_and_json(tmp_path: Path) -> None:
    (tmp_path / "good.flow").write_text("f = flow(lambda fctx: 1)\n")
    (tmp_path / "bad.flow").write_text('load("./sub/lib.flow", "x")\nf = flow(lambda fctx: 1, nmae = 1)\n')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/lib.flow").write_text("x = foo\n")
    (tmp_path / "latin.flow").write_bytes(b"# \xe9\n")
    assert command("good.flow", cwd=tmp_path).returncode == 0
    done = command("good.flow", "bad.flow", "--json", cwd=tmp_path)
    assert done.returncode == 1
    places = [(each["file"], each["line"], each["column"]) for each in json.loads(done.stdout)]
    assert places == [("bad.flow", 2, 26), ("sub/lib.flow", 1, 5)]
    assert "bad.flow:2:26: `flow()` has no setting `nmae`" in command("bad.flow", cwd=tmp_path).stdout
    for unreadable in ("latin.flow", "none.flow", "."):
        done = command("good.flow", unreadable, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")


def test_a_file_that_ends_its_worker_is_told_of(tmp_path: Path) -> None:
    text = "def deep():\n    x = []\n    for _ in range(100000):\n        x = [x]\n    return x\nx = deep()\n"
    (tmp_path / "deep.flow").write_text(text)
    done = command("deep.flow", cwd=tmp_path)
    assert (done.returncode, "SIGSEGV" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ('read(pth = "x")', "read has no argument `pth`, did you mean `path`?"),
        ("http.get()", "http.get needs the argument `url`"),
        ('exec("ls -l")', 'exec takes a list as `argv` (write ["ls", "-l"])'),
        ('read("x", retri = 3)', "read has no argument `retri`, did you mean `retries`?"),
        ('read("x", "y")', "read takes 1 argument, got 2 by position"),
    ],
)
def test_wrong_calls_of_effects(call: str, found: str) -> None:
    (line,) = check(f"def _f(fctx):\n    return fctx.actions.{call}\n\nf = flow(_f)\n")
    assert found in line


def test_right_calls_of_effects() -> None:
    calls = ['read("x", retries = 3, interrupted = "ask")', 'call("m:f", 1, 2, x = 3)', "read(*[], **{})"]
    body = "".join(f"    _ = fctx.actions.{call}\n" for call in calls)
    assert check(f"def _f(fctx):\n{body}\nf = flow(_f)\n") == []


ALIASED = """
def _f(fctx, given):
    a = fctx.actions
    get = a.http.get
    c = fctx
    a.raed("x")  #! there is no action `raed`, did you mean `read`?
    a.read(pth = "x")  #! read has no argument `pth`
    get()  #! http.get needs the argument `url`
    c.actions.read()  #! read needs the argument `path`
    [a.read("x", "y") for _ in given]  #! read takes 1 argument, got 2 by position
    c.arsg  #! `fctx` has no `arsg`, did you mean `args`?
    changed = fctx.actions
    changed = given
    changed.raed("x")
    given.raed("x")
    [a.raed for a in given]
    (lambda a: a.raed())(given)

f = flow(_f)
"""


def test_names_that_stand_for_the_context_are_followed() -> None:
    wanted = {at: line.partition("#! ")[2] for at, line in enumerate(ALIASED.split("\n"), 1) if "#! " in line}
    found = {int(each.partition(":")[0]): each for each in check(ALIASED)}
    assert set(found) == set(wanted), found
    assert all(words in found[at] for at, words in wanted.items()), found
