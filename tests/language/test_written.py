"""What `flowmetal check` says of values that a text writes out where only some will do, and where it is silent."""

from __future__ import annotations

from tests.language.marked import assert_found_as_marked

WRONG = """
load("./other.flow", "timed")

f = flow(lambda fctx: 3)

def _g(fctx):
    a = fctx.actions
    sleep("5 minutes")  #! sleep: `5 minutes` is not a duration
    a.sleep(-1)  #! is not a duration
    task = a.run(options(f, timeout = "5 min"))  #! options: `timeout` is a duration
    print(options(f, retries = 1.5))  #! options: `retries` is a whole number
    print(options(a.read, interrupted = "nope"))  #! options: `interrupted` is one of
    print(wait(task, timeout = "x"))  #! wait: `x` is not a duration
    print(wait(task, "1w"))  #! wait: `1w` is not a duration
    print(unwrap(a.read("a", retries = "3")))  #! fctx.actions.read: `retries` is a whole number
    print(unwrap(effects.read("a", jitter = 2)))  #! effects.read: `jitter` is a number from 0 to 1
    print(unwrap(a.http.get("https://a.example", timeout = [])))  #! `timeout` is a duration
    print(unwrap(a.receive("x", timeout = "soon")))  #! `timeout` is a duration
    print("{:.2f}".format(3.14))  #! `format` knows no `:.2f`
    print("a {{}} {0!r:>5} b".format(3))  #! `format` knows no `:>5`

g = flow(_g)
"""

RIGHT = """
load("./other.flow", "timed")

f = flow(lambda fctx: 3)
named = flow(lambda fctx: fctx.args.timeout, args = {"timeout": args.string()})

def _sleep(duration, timeout):
    return duration + timeout

def format(text):
    return text

def _g(fctx, pause):
    a = fctx.actions
    sleep("5m")
    sleep(0.5)
    sleep(pause)
    a.sleep("1h30m")
    task = a.run(options(f, timeout = "5m", retries = 3, retry_on = ["timeout"], backoff = "linear", name = "x"))
    print(wait(task, timeout = None), wait_any([task], timeout = 3))
    print(_sleep("5 minutes", timeout = "x"))
    print(unwrap(named(timeout = "soon")))
    print(unwrap(wait(a.run(named, timeout = "soon"))))
    print(unwrap(timed("5 minutes", timeout = "later")))
    print(unwrap(a.read("a", retries = 3, timeout = None, interrupted = "never")))
    print("{} {{:>5}} {0} {name}".format(1, name = 2), format("{:>5}"))
    print("a:b {}".format(3), "at {}: {}".format(1, 2))

g = flow(_g)
"""

OTHER = """
timed = flow(lambda fctx, duration, timeout: duration + timeout)
"""


def test_what_will_not_do() -> None:
    assert_found_as_marked(WRONG, OTHER)


def test_what_will_do() -> None:
    assert_found_as_marked(RIGHT, OTHER)
