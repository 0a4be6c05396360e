"""What `flowmetal check` says where a flow gets, or returns, what another does not return; and where it is silent."""

from __future__ import annotations

from tests.language.marked import assert_found_as_marked, found_in

OTHER = """
count = flow(lambda fctx: 1, returns = args.int())
unwrap_twice = lambda x: x
"""

HEAD = """
load("./other.flow", "count", unwrapped = "unwrap_twice")

text = flow(lambda fctx: "a", returns = args.string())
moment = flow(lambda fctx: "a", returns = args.timestamp())
ratio = flow(lambda fctx: 0.5, returns = args.float())
numbers = flow(lambda fctx: [1], returns = args.list(of = args.int()))
colour = flow(lambda fctx: "red", returns = args.choice(["red"]))
anything = flow(lambda fctx: 1, returns = args.any())
silent = flow(lambda fctx: 1)
step = flow(lambda fctx: 1, args = {
    "s": args.string(default = ""),
    "n": args.int(default = 0),
    "f": args.float(default = 0.0),
    "strings": args.list(of = args.string(), default = []),
    "xs": args.list(default = []),
    "d": args.duration(default = 0),
    "w": args.any(default = None),
})
plain = flow(lambda fctx, x: x)
"""

WRONG = """
def _main(fctx, unknown):
    a = fctx.actions
    n = unwrap(count())
    _ = step(n)  #! `step` takes a string as `s`, and `count` returns an int
    _ = step(s = n)  #! `step` takes a string as `s`, and `count` returns an int
    _ = step("", unwrap(text()))  #! `step` takes an int as `n`, and `text` returns a string
    _ = step(n = count().value)  # fits
    _ = step(count())  #! `step` takes a string as `s`, and this is a Result of `count`
    _ = step(n = silent())  #! `step` takes an int as `n`, and this is a Result of `silent`
    task = a.run(count)
    _ = step(task)  #! `step` takes a string as `s`, and `count` returns an int
    _ = step(s = fctx.actions.wait(task).value)  #! `step` takes a string as `s`, and `count` returns an int
    a.run(step, n)  #! `step` takes a string as `s`, and `count` returns an int
    a.run(options(step, retries = 1), s = task)  #! `step` takes a string as `s`, and `count` returns an int
    fctx.actions.start(step, n)  #! `step` takes a string as `s`, and `count` returns an int
    options(step, retries = 1)(unwrap(options(count, name = "c")()))  #! `step` takes a string as `s`
    _ = step(strings = unwrap(numbers()))  #! takes a list[string] as `strings`, and `numbers` returns a list[int]
    _ = step(n = unwrap(ratio()))  #! `step` takes an int as `n`, and `ratio` returns a float
    _ = step(n = unwrap(colour()))  #! `step` takes an int as `n`, and `colour` returns a choice["red"]
    return [unwrap(step(n)) for _ in range(3)]  #! `step` takes a string as `s`, and `count` returns an int

main = flow(_main)

def _other(fctx):
    if fctx.attempt > 1:
        return count()  #! `other` returns a string, and `count` an int
    found = text()
    later = lambda: unwrap(count())
    return unwrap(found)

other = flow(_other, returns = args.string())
short = flow(lambda fctx: unwrap(count()), returns = args.string())  #! `short` returns a string, and `count` an int
"""

RIGHT = """
def _main(fctx, unknown, count = None):
    a = fctx.actions
    _ = step(unwrap(text()), 1, unwrap(ratio()))
    _ = step(unwrap(moment()), xs = unwrap(numbers()), d = unwrap(text()))
    _ = step(unwrap(colour()), w = text(), f = 1)
    _ = step(unwrap(anything()), n = unwrap(silent()))
    _ = step(count())
    _ = step(unwrap(count()))
    changed = unwrap(numbers())
    changed = "b"
    _ = step(changed)
    for each in unwrap(numbers()):
        _ = step(each)
    _ = step(*unwrap(numbers()))
    _ = plain(unwrap(numbers()))
    _ = step(unwrapped(text()))
    _ = step(str(unwrap(numbers())))
    task = a.run(text)
    a.run(step, task)
    a.run(plain, a.run(numbers))
    return a.wait([task, a.run(numbers)])

main = flow(_main)

def helper(step, unwrap):
    _ = step(unwrap(numbers()))

def _fits(fctx):
    def inner():
        return numbers()
    if inner():
        return text()
    return unwrap(anything())

fits = flow(_fits, returns = args.string())
"""


def test_what_cannot_fit_is_found() -> None:
    assert_found_as_marked(HEAD + WRONG, OTHER)


def test_what_may_fit_is_passed_over() -> None:
    assert found_in(HEAD + RIGHT, OTHER) == {}
