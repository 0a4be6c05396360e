"""The files that a package begins with."""

from __future__ import annotations

from string import Template
from typing import Final

from flowmetal.package_ids import line_of

_MANIFEST: Final = Template("""\
[package]
name = "$package"
version = "$version"
description = "Says hello"
license = ""
# What others may load; lib.flow is what they get by the package's name alone.
exports = ["lib.flow"]

[requires]
# "pkg.example.org/v1/other" = "1.0.0"   # this version, or a later one that somebody else needs

[permissions]
# The most that this code may ever do for who calls it: it is granted by them, and shown to them before.
# net = ["api.example.org:443"]
""")

_LIBRARY: Final = Template('''\
# Greetings.

def _greet_impl(fctx: FlowContext) -> str:
    """Says hello.

    The time is an action: it is recorded, so a run that is killed and resumed still says the same.
    """
    return greeting(fctx.args.whom, fctx.actions.now())

greet = flow(_greet_impl, args = {"whom": args.string(default = "world", doc = "who is greeted")})

def greeting(whom: str, at: str) -> str:
    """The words of a greeting.

    Args:
      whom: who is greeted.
      at: a timestamp.

    Returns: one line of text.
    """
    if not whom:
        fail("nobody is greeted")
    return f"Hello {whom}, it is {at}"
''')

_TEST: Final = Template("""\
load("pkg.flowmetal.io/v1/testing", "assert_eq", "assert_fails", "assert_ok")
load("./lib.flow", "greet", "greeting")

def test_somebody_is_greeted(t):
    assert_eq(assert_ok(greet(whom = "you")), "Hello you, it is " + now())

def test_a_greeting(t):
    assert_eq(greeting("you", "noon"), "Hello you, it is noon")

def test_nobody_is_greeted(t):
    assert_fails(greet, whom = "", message = "nobody")
""")

_README: Final = Template("""\
# $name

Says hello.

```
load("$package", "greet")

unwrap(greet(whom = "you"))
```

    flowmetal check *.flow              what is wrong with it
    flowmetal test                      its tests
    flowmetal run lib.flow:greet        try it
    flowmetal docs .                    its reference
    flowmetal publish --to REGISTRY     for others to load
""")


def skeleton(package: str) -> dict[str, str]:
    """The texts of a new package by their paths."""
    line = line_of(package)
    version = "0.1.0" if line is None else f"{line}.0.0"
    values = {"package": package, "version": version, "name": package.rpartition("/")[2]}
    texts = {"flowmetal.toml": _MANIFEST, "lib.flow": _LIBRARY, "lib_test.flow": _TEST, "README.md": _README}
    return {path: text.substitute(values) for path, text in texts.items()}
