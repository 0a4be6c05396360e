"""Python functions of the operator: what they get, what they give, how they fail, and how they are ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal import activity
from flowmetal.actions.call_pool import MOST_PROCESSES
from flowmetal.actions.services import Services
from flowmetal.activity.plain import to_plain, to_wire
from flowmetal.engine.engine import Outcome
from flowmetal.permissions import parse_grants
from flowmetal.testing.harness import Lab, failure_of, in_loop, make_lab, value_of
from flowmetal.values import Wire, to_json_data
from tests.actions.bench import Bench, FixedSecrets, command_lines, long_sleep, wait_for

CHECKOUT = Path(__file__).parents[2]
TOKEN = "tok-0123456789-secret"
SECRET = {"secret": ["TOKEN", "00000000"]}

JOBS = """
import asyncio, ctypes, os, signal, subprocess, sys, threading, time
from functools import lru_cache, partial
from os.path import join
from flowmetal import activity
from jobs.more import other
import elsewhere

VALUE = 1
half = partial(divmod, 2)

class Table:
    @staticmethod
    def rows(n): return list(range(n))
    def own(self): return self

def echo(*args, **kwargs): return [list(args), kwargs]
def show(*args): return repr(args)
def add(a, b=1): return a + b
@lru_cache
def cached(x): return [x, os.getpid()]
def _private(): return 1
def pid(): return os.getpid()
def where(): return [os.getcwd(), sys.path[0], os.environ.get("FOR_FUNCTIONS")]
def give(what): return eval(what)
async def later(x):
    await asyncio.sleep(0.01)
    open("later", "w").close()
    return x
def current():
    found = activity.current()
    return [found.idempotency_key, found.attempt, found.action_name]
def boom():
    print("printed")
    print("and complained", file=sys.stderr)
    raise ValueError("bad row\\nof many")
def odd():
    class Odd(Exception):
        def __str__(self): raise RuntimeError
    raise Odd
def fail(): raise activity.Failure("come back", kind="busy", retry_after_seconds=0.5, rows=[1, 2])
def fail_oddly(): raise activity.Failure("odd", what=object())
def stop(): raise activity.Cancelled
def leave(): sys.exit(7)
def quit(code): os._exit(code)
def die(number):
    sys.stdout.write("last words")
    os.kill(os.getpid(), number)
def fault(): ctypes.string_at(0)
def close():
    os.closerange(3, 100)
    time.sleep(100)
def garbage():
    for fd in range(3, 20):
        try: os.write(fd, b"\\xff" * 8)
        except OSError: pass
    time.sleep(100)
def deep():
    value = []
    for _ in range(100): value = [value]
    return value
def loop():
    value = []
    value.append(value)
    return value
def children(marker):
    subprocess.Popen(["sleep", marker])
    subprocess.Popen(["sleep", marker], start_new_session=True)
    with open("mark", "w") as file: file.write(str(os.getpid()))
    os.rename("mark", "begun")
    activity.progress({"asleep": True})
    time.sleep(0.5)
    print("begun")
    time.sleep(1000)
def heed():
    open("begun", "w").close()
    while not activity.cancelled(): time.sleep(0.01)
    try: activity.check_cancelled()
    finally: open("heeded", "w").close()
async def heed_too():
    open("begun", "w").close()
    try: await asyncio.sleep(1000)
    finally: open("heeded", "w").close()
def heed_signal():
    open("begun", "w").close()
    try: time.sleep(1000)
    finally: open("heeded", "w").close()
def heed_nothing():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("begun", "w").close()
    while True: pass
def threads():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(activity.current().attempt))
    thread.start(); thread.join()
    return seen
def many():
    for number in range(20_000): activity.progress(number)
    return number
def try_again():
    attempt = activity.current().attempt
    with open("attempts", "a") as file: file.write(f"{attempt} {activity.current().idempotency_key}\\n")
    if attempt < 3: raise activity.Failure("not yet", retry_after_seconds=0.01)
    return attempt
"""


@pytest.fixture
def folder(base: Path) -> Path:
    """A directory with modules in it."""
    (base / "jobs").mkdir()
    (base / "jobs" / "__init__.py").write_text(JOBS, encoding="utf-8")
    (base / "jobs" / "more.py").write_text("def other(): return 'other'\n", encoding="utf-8")
    (base / "jobs" / "broken.py").write_text("import no_such_library\n", encoding="utf-8")
    (base / "jobs" / "wrong.py").write_text("def f(:\n", encoding="utf-8")
    (base / "elsewhere.py").write_text("def run(): return 1\n", encoding="utf-8")
    (base / "json.py").write_text("raise RuntimeError('stands in the way')\n", encoding="utf-8")
    return base


@pytest.fixture
def bench(folder: Path) -> Bench:
    """The functions of ``jobs`` may be called."""
    return Bench(folder, parse_grants(["call=jobs", "secret=TOKEN@call:jobs"], [], str(folder)), {"TOKEN": TOKEN})


# -- values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        ("add", [1], {"b": 2}, 3),
        ("add", [{"int": str(2**70)}], {}, 2**70 + 1),
        ("add", ["a", "b"], {}, "ab"),
        ("Table.rows", [3], {}, [0, 1, 2]),
        ("later", [{"tuple": [1]}], {}, [1]),
        ("other", [], {}, "other"),
        ("echo", [SECRET], {"k": [SECRET]}, [[TOKEN], {"k": [TOKEN]}]),
        ("threads", [], {}, [1]),
        ("many", [], {}, 19_999),
        ("show", [{"struct": ["a", 1]}, {"tuple": []}, 1.5, {"float": "inf"}], {}, "(namespace(a=1), (), 1.5, inf)"),
        ("show", [{"result": [True, 1, None]}], {}, "(namespace(ok=True, value=1, error=None),)"),
    ],
)
def test_what_a_function_gets_and_gives(
    bench: Bench, function: str, args: list[Wire], kwargs: dict[str, Wire], expected: object
) -> None:
    assert bench("call", f"jobs:{function}", *args, **kwargs) == expected


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(2), inner, max_size=4)
        | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3).map(lambda fields: SimpleNamespace(**fields))
    ),
    max_leaves=20,
)


@given(VALUES)
def test_values_go_and_come_back(value: Any) -> None:
    wire = to_wire(value)
    back = to_plain(wire)
    assert back == value
    assert to_wire(back) == wire


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("object()", "error", "its result is of type object, which cannot go to a flow"),
        ("{'a': [b'x']}", "error", "its result['a'][0] is of type bytes"),
        ("{1, 2}", "error", "its result is of type set"),
        ("__import__('datetime').date(2020, 1, 1)", "error", "its result is of type datetime.date"),
        ("'\\ud800'", "limit", "text that is not Unicode"),
        ("'x' * 2_000_000", "limit", "2,000,005 bytes encoded; the limit is 1,048,576"),
        ("10 ** 5000", "limit", "more than 4,096 digits"),
        ("deep()", "limit", "nested deeper than 64"),
        ("loop()", "limit", "nested deeper than 64, or holds itself"),
    ],
)
def test_what_cannot_go_back(bench: Bench, what: str, kind: str, message: str) -> None:
    failure = bench.failure("call", "jobs:give", what)
    assert failure.kind == kind
    assert message in failure.message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"flow": ["//main.flow:f", {"dict": []}]}, "a flow cannot be passed to Python"),
        ({"dict": [1, "a", True, "b"]}, "two keys that Python takes for one, True"),
        ({"dict": [{"tuple": [[]]}, "a"]}, "a key of type tuple"),
    ],
)
def test_what_cannot_go_there(bench: Bench, value: Wire, message: str) -> None:
    failure = bench.failure("call", "jobs:show", value)
    assert failure.kind == "error"
    assert message in failure.message


def test_subclasses_are_what_they_are_made_of() -> None:
    class Text(str):
        def __str__(self) -> str:
            return "not this"

    assert [type(to_wire(each)) for each in (signal.SIGTERM, Text("x"), type("F", (float,), {})(1.5))] == [
        int,
        str,
        float,
    ]
    assert to_wire(Text("x")) == "x"


# -- which function ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        ("jobs.add", "error", 'call: `jobs.add` is not the name of a function: write it as "package.module:function"'),
        ("jobs:", "error", "is not the name of a function"),
        ("os:system", "denied", "calling the Python function os:system is not granted: add --allow call=os:system"),
        ("jobsx:add", "denied", "add --allow call=jobsx:add"),
        ("jobs:ad", "error", "jobs:ad: there is no function `ad`, did you mean `add`?"),
        ("jobs:Table.row", "error", "there is no function `row`, did you mean `rows`?"),
        ("jobs.mor:other", "error", "there is no Python module jobs.mor, did you mean `jobs.more`?"),
        ("jobs:VALUE", "error", "`VALUE` is no function but a value of type int"),
        ("jobs:_private", "error", "`_private` is private"),
        ("jobs:Table.__init__", "error", "`__init__` is private"),
        ("jobs:os.system", "error", "`os.system` is neither a function of the module nor a method"),
        ("jobs:subprocess.Popen", "error", "is neither a function of the module nor a method"),
        ("jobs:join", "error", "`join` is not its own but posixpath's"),
        ("jobs:partial", "error", "`partial` is not its own but functools's"),
        ("jobs:half", "error", "`half` is not its own but functools's"),
        ("jobs:elsewhere.run", "error", "is neither a function of the module nor a method"),
        ("jobs:Table.mro", "error", "`Table.mro` is not its own but None's"),
        ("jobs:add", "error", "jobs:add: missing a required argument: 'a'; it is add(a, b=1)"),
        ("jobs.broken:f", "effect", "jobs.broken:f: ModuleNotFoundError: No module named 'no_such_library'"),
        ("jobs.wrong:f", "effect", "jobs.wrong:f: SyntaxError: "),
    ],
)
def test_a_name_that_means_no_function_to_be_called(bench: Bench, target: str, kind: str, message: str) -> None:
    failure = bench.failure("call", target)
    assert failure.kind == kind
    assert message in failure.message


def test_one_function_alone_may_be_granted(bench: Bench) -> None:
    one = bench.granted("call=jobs:add")
    assert one("call", "jobs:add", 1) == 2
    assert one.failure("call", "jobs:pid").kind == "denied"
    assert (
        bench.granted("call=jobs:add").failure("call", "jobs:add", SECRET).message
        == (
            "call: giving to the Python module jobs the secret TOKEN is not granted: add --allow secret=TOKEN@call:jobs"
        )
        or "secret=TOKEN@call:jobs" in one.failure("call", "jobs:add", SECRET).message
    )


def test_where_a_function_finds_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the run's directory, with the engine's environment; what lies there does not stand in our own way."""
    monkeypatch.setenv("FOR_FUNCTIONS", "here")
    assert bench("call", "jobs:where") == [str(bench.base), str(bench.base), "here"]


# -- failures ------------------------------------------------------------------------------------------


def test_an_exception_is_told_with_what_was_printed(bench: Bench) -> None:
    failure = bench.failure("call", "jobs:boom")
    assert (failure.kind, failure.message) == ("effect", "jobs:boom: ValueError: bad row …")
    details = to_json_data(failure.details)
    assert details["type"] == "ValueError"
    assert details["output"] == "printed\nand complained\n"
    assert details["traceback"].startswith("Traceback (most recent call last):\n  File ")
    assert details["traceback"].endswith("ValueError: bad row\nof many\n")
    assert "activity/calling.py" not in details["traceback"]


@pytest.mark.parametrize(
    ("function", "args", "kind", "message"),
    [
        ("odd", (), "effect", "jobs:odd: Odd: (its text cannot be had: RuntimeError)"),
        ("fail", (), "busy", "come back"),
        ("fail_oddly", (), "effect", "odd"),
        ("stop", (), "cancelled", "jobs:stop was cancelled"),
        ("leave", (), "effect", "jobs:leave: SystemExit: 7"),
        ("quit", (0,), "effect", "jobs:quit: its process ended with code 0 before it gave a result"),
        ("quit", (9,), "effect", "jobs:quit: its process ended with code 9 before it gave a result"),
        ("die", (9,), "effect", "jobs:die: its process was ended by SIGKILL before it gave a result"),
        ("die", (15,), "effect", "jobs:die: its process ended with code 143 before it gave a result"),
        ("fault", (), "effect", "jobs:fault: its process was ended by SIGSEGV before it gave a result"),
    ],
)
def test_how_a_call_fails(bench: Bench, function: str, args: tuple[Wire, ...], kind: str, message: str) -> None:
    failure = bench.failure("call", f"jobs:{function}", *args)
    assert (failure.kind, failure.message) == (kind, message)
    details = to_json_data(failure.details)
    assert details.get("may_have_run", False) == ("its process" in message)
    if function == "fail":
        assert details == {"rows": [1, 2], "retry_after_seconds": 0.5}
    if function == "die" and args == (9,):
        assert (details["signal"], details["output"]) == ("SIGKILL", "last words")
    if function == "fault":
        assert "in fault" in details["output"], "where it happened"


@pytest.mark.parametrize("function", ["close", "garbage"])
def test_a_function_that_ruins_its_channel_ends_only_itself(bench: Bench, function: str) -> None:
    failure = bench.failure("call", f"jobs:{function}")
    assert failure.kind == "effect"
    assert "before it gave a result" in failure.message


def test_arguments_too_large(bench: Bench) -> None:
    failure = bench.failure("call", "jobs:show", "x" * 600_000, "x" * 600_000)
    assert failure.kind == "limit"
    assert "its arguments are too large" in failure.message


# -- processes -----------------------------------------------------------------------------------------


def together(bench: Bench, *calls: tuple[str, list[Wire]]) -> list[Any]:
    """What several calls in one engine give, each a value or an exception."""

    async def life() -> list[Any]:
        services = Services()
        working = [
            bench.perform(bench.context("call", services, f"key {number}"), (f"jobs:{name}", *args), {})
            for number, (name, args) in enumerate(calls)
        ]
        results = await asyncio.gather(*working, return_exceptions=True)
        await services.resources.close()
        return results

    return asyncio.run(life())


def test_a_process_is_used_again_and_there_are_a_handful() -> None:
    assert MOST_PROCESSES == 4


def test_processes_are_shared_out(bench: Bench) -> None:
    pids = together(bench, *[("pid", [])] * 20)
    assert 1 <= len(set(pids)) <= MOST_PROCESSES
    crashed = together(bench, ("die", [9]), *[("pid", [])] * 8, ("quit", [3]), ("boom", []), *[("pid", [])] * 8)
    assert [type(each).__name__ for each in crashed].count("EffectFailure") == 3
    assert [type(each).__name__ for each in crashed].count("int") == 16


def test_modules_and_directories_do_not_share_a_process(bench: Bench) -> None:
    wider = bench.granted("call=jobs", "call=elsewhere", "call=os")

    async def life() -> list[Any]:
        services = Services()
        results = []
        for number in range(3):
            for target in ("jobs:pid", "jobs.more:other", "elsewhere:run"):
                results.append(
                    await wider.perform(wider.context("call", services, f"{number} {target}"), (target,), {})
                )
        await services.resources.close()
        return results

    results = asyncio.run(life())
    assert len(set(results[::3])) == 1, "kept for the next call"


@pytest.mark.parametrize(
    ("function", "heeds", "least", "most"),
    [
        ("heed", True, 0.0, 20.0),
        ("heed_too", True, 0.0, 20.0),
        ("heed_signal", True, 1.0, 20.0),
        ("heed_nothing", False, 3.0, 20.0),
    ],
)
def test_a_cancelled_function_is_told_and_then_ended(
    bench: Bench, function: str, heeds: bool, least: float, most: float
) -> None:
    _, seconds = bench.cut_off("call", f"jobs:{function}")
    assert (bench.base / "heeded").exists() == heeds
    assert least <= seconds < most
    assert not [line for line in command_lines() if str(bench.base) in line]


def test_nothing_is_left_of_a_call(bench: Bench) -> None:
    marker = long_sleep()
    bench.cut_off("call", "jobs:children", marker)
    assert not [line for line in command_lines() if marker in line or str(bench.base) in line]


# -- in an engine --------------------------------------------------------------------------------------

FLOW = """
def _main(fctx):
    return unwrap(CALL)

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A home to run flows in."""
    made = make_lab(tmp_path)
    (made.base / "jobs").mkdir()
    (made.base / "jobs" / "__init__.py").write_text(JOBS, encoding="utf-8")
    (made.base / "jobs" / "more.py").write_text("def other(): pass\n", encoding="utf-8")
    (made.base / "elsewhere.py").touch()
    made.allow = ("call=jobs", "secret=TOKEN@call:jobs")
    made.services = Services(FixedSecrets({"TOKEN": TOKEN}))
    yield made
    made.store.close()


def test_out_of_time_with_the_last_word_of_progress(lab: Lab) -> None:
    marker = long_sleep()
    text = FLOW.replace("unwrap(CALL)", "CALL0 and unwrap(CALL)")  # the process is up before the time begins
    text = text.replace("CALL0", 'unwrap(fctx.actions.call("jobs:pid"))')
    failure = failure_of(
        lab.run(text.replace("CALL", f'fctx.actions.call("jobs:children", "{marker}", timeout = "4s")'))
    )
    assert failure.kind == "timeout"
    assert to_json_data(failure.details) == {"may_have_run": True, "progress": {"asleep": True}, "output": "begun\n"}
    assert not [line for line in command_lines() if marker in line]


def test_attempts_are_known_and_have_one_key(lab: Lab) -> None:
    assert value_of(lab.run(FLOW.replace("CALL", 'fctx.actions.call("jobs:try_again", retries = 5)'))) == 3
    lines = [line.split() for line in (lab.base / "attempts").read_text().splitlines()]
    assert [number for number, _ in lines] == ["1", "2", "3"]
    assert len({key for _, key in lines}) == 1


def test_a_secret_that_comes_back_is_masked(lab: Lab) -> None:
    call = 'fctx.actions.call("jobs:echo", unwrap(fctx.actions.secret("TOKEN")), n = 1)'
    assert to_json_data(value_of(lab.run(FLOW.replace("CALL", call)))) == [["[secret TOKEN]"], {"n": 1}]
    kept = b"".join(path.read_bytes() for path in lab.home.rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept


def test_a_process_that_is_killed_is_the_failure_of_its_action(lab: Lab) -> None:
    """Another call, and the engine, go on."""
    text = """
def _main(fctx):
    killed = fctx.actions.run(effects.call, "jobs:children", "MARKER")
    other = fctx.actions.run(effects.call, "jobs:later", 5)
    return [unwrap(fctx.actions.wait(other)), fctx.actions.wait(killed).error.message]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    marker = long_sleep()

    async def life() -> Outcome:
        with lab.engine() as engine:
            await lab.start(engine, text.replace("MARKER", marker))
            deadline = time.monotonic() + 60
            while not (lab.base / "begun").exists() or not (lab.base / "later").exists():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            os.kill(int((lab.base / "begun").read_text()), signal.SIGKILL)
            try:
                return await asyncio.wait_for(engine.outcome("r"), 60)
            finally:
                await engine.stop()

    value = to_json_data(value_of(in_loop(life)))
    assert value == [5, "jobs:children: its process was ended by SIGKILL before it gave a result"]


def test_nothing_is_left_when_the_engine_is_killed(tmp_path: Path) -> None:
    marker = long_sleep()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text(JOBS, encoding="utf-8")
    (tmp_path / "jobs" / "more.py").write_text("def other(): pass\n", encoding="utf-8")
    (tmp_path / "elsewhere.py").touch()
    text = FLOW.replace("CALL", f'fctx.actions.call("jobs:children", "{marker}")')
    (tmp_path / "main.flow").write_text(text, encoding="utf-8")
    engine = subprocess.Popen(
        [sys.executable, "-m", "flowmetal", "run", "main.flow", "--allow", "call=jobs"],
        cwd=tmp_path,
        env={**os.environ, "FLOWMETAL_HOME": str(tmp_path / "home"), "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(marker, there=True)
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    wait_for(marker, there=False)
    wait_for(str(tmp_path), there=False)


def test_outside_of_a_call() -> None:
    activity.progress("ignored")
    activity.check_cancelled()
    assert not activity.cancelled()
    with pytest.raises(LookupError, match="no flow is calling"):
        activity.current()
    with pytest.raises(TypeError, match="of type object"):
        activity.progress(object())
    assert time.monotonic() > 0
