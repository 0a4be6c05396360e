"""What `flowmetal check` says where a Result or a Task is taken for its value, or dropped; and where it is silent."""

from __future__ import annotations

import asyncio

from flowmetal.engine.checking import check_file
from flowmetal.settings import Limits
from tests.language.chunks import MAIN, Texts
from tests.language.marked import assert_found_as_marked, found_in

OTHER = """
loaded = flow(lambda fctx, n: n)
sum = flow(lambda fctx, a, b: a + b)
"""

HEAD = """
load("./other.flow", "loaded", "sum", total = "loaded")

step = flow(lambda fctx, n = 1: n)
def _helper(n):
    return n
"""

WRONG = """
def _values(fctx, names):
    a = fctx.actions
    text = a.read("x")
    if text:  #! the Result of `read` is true, whatever is in it
        print("there")
    print("yes" if step() else "no")  #! the Result of `step` is true
    print([name for name in names if a.stat(name)])  #! the Result of `stat` is true
    print(step() or 1)  #! the Result of `step` is true
    print(not loaded(1))  #! the Result of `loaded` is true
    for line in text:  #! the Result of `read` has no items
        print(line)
    print([line for line in a.glob("*")])  #! the Result of `glob` has no items
    print("x" in text)  #! the Result of `read` has no items
    print(text[0])  #! the Result of `read` has no items
    print(text.split("x"))  #! the Result of `read` has no `split`
    print(step() + 1)  #! the Result of `step` cannot be computed with
    print(-step())  #! the Result of `step` cannot be computed with
    print(step() == 3)  #! the Result of `step` is equal to no value
    print("x" != total(1))  #! the Result of `loaded` is equal to no value
    print(step() < 3)  #! the Result of `step` cannot be compared
    print(len(text))  #! `len` takes a value, and this is a Result of `read`
    print(sorted(a.list_dir(".")))  #! `sorted` takes a value, and this is a Result of `list_dir`
    started = a.start(step)
    print(started + "x")  #! the Result of `step` cannot be computed with
    print(options(a.read, retries = 1)("x").lines)  #! the Result of `read` has no `lines`
    print(race([a.run(step)]).values)  #! the Result of `race` has no `values`
    print(Ok(1) + 1)  #! the Result of `Ok` cannot be computed with

def _tasks(fctx):
    task = fctx.actions.run(step)
    print(task.value)  #! the Task of `step` has no `value`
    print(task + 1)  #! the Task of `step` cannot be computed with
    if task:  #! the Task of `step` is true
        print("there")
    print(unwrap(task))  #! `unwrap` takes a Result, and this is a Task of `step`
    print(is_ok(fctx.actions.run(effects.read, "x")))  #! `is_ok` takes a Result, and this is a Task of `read`
    print(fctx.actions.wait(step()))  #! `wait` takes a Task, and this is a Result of `step`
    print(fctx.actions.wait(task).value.x, fctx.actions.wait(task).x)  #! the Result of `step` has no `x`
    print(fctx.actions.run(step()))  #! `run` takes a flow or an effect, not a Result of `step`
    print(fctx.actions.run(_helper, 1))  #! `run` takes a flow or an effect, not the plain function `_helper`
    print(fctx.actions.start(lambda fctx: 1))  #! `start` takes a flow or an effect, not the plain function

def _dropped(fctx, names):
    a = fctx.actions
    a.write("x", "y")  #! the Result of `write` is dropped
    step()  #! the Result of `step` is dropped
    options(step, name = "s")()  #! the Result of `step` is dropped
    [step(n) for n in names]  #! the Result of `step` is dropped
    a.wait(a.run(step))  #! the Result of `step` is dropped
    a.wait([a.run(step)], timeout = 1)  #! the Results of `wait` are dropped
    parallel_map(step, names)  #! the Results of `parallel_map` are dropped
    if names:
        total(2)  #! the Result of `loaded` is dropped

def _bare(fctx, names):
    print(run(_helper, 1))  #! `run` takes a flow or an effect, not the plain function `_helper`
    print(wait(step()))  #! `wait` takes a Task, and this is a Result of `step`
    print(run(step).value)  #! the Task of `step` has no `value`
    print(run(step, 1, 2))  #! step takes 1 argument, got 2 by position
    wait([run(step)])  #! the Results of `wait` are dropped
    step() if names else None  #! the Result of `step` is dropped
    names and step()  #! the Result of `step` is dropped
    print(defer(_helper), parallel_map(step(), names))  #! not a Result of `step`

def _lists(fctx, names):
    print(all(parallel_map(step, names)))  #! `all` takes values, and this is a list of Results of `parallel_map`
    print(unwrap(wait([run(step)])))  #! `unwrap` takes one Result, and this is a list of Results of `wait`
    print(wait([run(step)]).value)  #! the list of Results of `wait` has no `value`
    results = parallel_map(step, names)
    print(results[0] + 1)  #! the Result of `parallel_map` cannot be computed with
    for result in results:
        if result:  #! the Result of `parallel_map` is true
            print("there")
    print([each for each in results if each])  #! the Result of `parallel_map` is true
    given: Result = step()
    print(given + 1)  #! the Result of `step` cannot be computed with

def _calls(fctx):
    print(step(1, 2))  #! step takes 1 argument, got 2 by position
    print(step(m = 1))  #! step has no argument `m`
    print(loaded())  #! loaded needs the argument `n`
    print(fctx.actions.run(total))  #! total needs the argument `n`
    print(fctx.actions.run(options(step, name = "s"), 1, 2))  #! step takes 1 argument, got 2 by position
    print(fctx.actions.run(effects.read))  #! effects.read needs the argument `path`
    print(fctx.actions.run(fctx.actions.read, "x", "y"))  #! read takes 1 argument, got 2 by position
    print(fctx.actions.write("x", fctx.actions.read("y")))  #! takes a string as `text`, and this is a Result of `read`
    print(fctx.actions.read(5))  #! read: the argument `path` must be a string, not 5 (int)
    print(fctx.actions.run(fctx.actions.write, "x", text = ["y"]))  #! write: the argument `text` must be a string
"""

RIGHT = """
def _right(fctx, names, given = None):
    a = fctx.actions
    text = a.read("x")
    print(text.ok, text.value, text.error, text, "%s" % text, str(text), [text], {"r": text}, f"{text}")
    if is_err(text) or not text.ok or text.value:
        return text
    _ = a.remove("x")
    _ = [step(n) for n in names]
    task = a.run(step, 1)
    a.run(step)
    a.start(step, 1)
    a.sleep(1)
    a.log("x", result = text)
    print(task.name, a.wait(task).value + 1, [unwrap(r) + 1 for r in a.wait([task])])
    print(step() == step(), step() == given, given == 3, step(a.run(step)), a.write("x", a.run(effects.read, "y")))
    print(a.write_json("x", text.value), a.run(given, 1), a.call("m:f", text), a.env("X", default = None))
    changed = step()
    changed = 3
    print(changed + 1, len(names), unwrap(given), a.wait(given), _helper(1))
    given()
    _helper(1)
    cleanup = a.defer(step)
    a.release(cleanup)
    found, other = step(), step()
    for each in [step(), step()]:
        print(each.value, each + 1)
    return step()

right = flow(_right)

names = ["a"]

def _scopes(fctx, n = len(names), *, more = [text.upper() for text in names]):
    names = fctx.actions.glob("*")
    text = fctx.actions.read("x")
    best = max(step(1), step(5), key = lambda result: result.value)
    found = [unwrap(result) + 1 for result in wait([run(step)]) if result.ok]
    ordered = sorted(parallel_map(step, [1, 2]), key = lambda result: result.value)
    for result in [1, 2]:
        print(result + 1)
    return [is_err(names), text.ok, best.ok, found, ordered, sum(run(step), 2), share == 1, share in [0, 1], None == n]

share = len(names) / 1
scopes = flow(_scopes)
if names:
    size = 1
else:
    size = 2

def step_of(step, a):
    step(1)
    a.write("x", "y")
    return step() + 1

def _shadowed(fctx):
    def _helper():
        return 1
    run = lambda f: f
    run(_helper)
    return [fctx.actions.run(_helper) for _helper in [step]]

if __name__ == "__flow__":
    right(["x"])
    step()
"""


MACROS = """
load("pkg.flowmetal.io/v1/prelude", _flow = "flow")

def flow(f, **policy):
    return _flow(lambda fctx, n: f(fctx, "extra", n), **policy)

def options(f, *extra):
    return lambda *args: f(*(list(args) + list(extra)))

def _step(fctx, extra, n):
    return [extra, n]

step = flow(_step)

if __name__ == "__flow__":
    print(step(1).value, options(step)(1))
"""


def test_what_takes_a_result_for_its_value_or_drops_it_is_found() -> None:
    assert_found_as_marked(HEAD + WRONG, OTHER)


def test_what_may_be_meant_is_passed_over() -> None:
    assert found_in(HEAD + RIGHT, OTHER) == {}


def test_names_of_the_prelude_that_a_file_gives_to_something_else_are_its_own() -> None:
    assert found_in(MACROS) == {}


def test_columns_count_characters() -> None:
    text = 'step = flow(lambda fctx: 1)\ndef _f(fctx):\n    print("äöü", step() + 1)\n'
    (found,) = asyncio.run(check_file(f"//{MAIN}", Texts({MAIN: text}), Limits()))
    assert found.place == "main.flow:3:18"
