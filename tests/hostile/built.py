"""Programs that are too long, too deep or too odd to be written down; see ``case.py``."""

from __future__ import annotations

from typing import Any, Final

from flowmetal.settings import MIB
from tests.hostile.case import MAIN, Case

_SMALL: Final = {"address_space_bytes": 256 * MIB}


def _rejected(name: str, text: str | bytes, *says: str, **more: Any) -> Case:
    """A program that is not let pass."""
    return _case(name, text, "rejected", *says, **more)


def _case(name: str, text: str | bytes, expect: str, *says: str, files: Any = None, **more: Any) -> Case:
    data = text.encode() if isinstance(text, str) else text
    others = {key: value.encode() for key, value in (files or {}).items()}
    return Case(name, {MAIN: data, **others}, expect, says=says, **more)


def _load(name: str, written: str, *says: str) -> Case:
    return _rejected(f"34-load-{name}", f'load("{written}", "x")\n', "main.flow", *says)


def _body(text: str) -> str:
    return f'def _main(fctx):\n{text}\nmain = flow(_main)\nif __name__ == "__flow__":\n    main()\n'


def _loads(count: int) -> str:
    return "".join(f"load('./l{n}.flow', 'x{n}')\n" for n in range(count))


def _used(text: str) -> str:
    return text + 'if __name__ == "__flow__":\n    print(1)\n'


def _colliding(count: int) -> str:
    return _body(f"    found = {{}}\n    for i in range({count}):\n        found[i << 32] = i\n    return len(found)\n")


_DEEP: Final = "".join(f"{' ' * depth}if True:\n" for depth in range(600))
_MANY: Final = 100_000
_KEYWORDS: Final = ", ".join(f"a{n} = 1" for n in range(30_000))

CASES: Final = [
    _case("16-colliding-keys", _colliding(10_000), "ok"),
    _case(
        "16-many-colliding-keys",
        _colliding(2_000_000),
        "resource-fault",
        "5 seconds of processor time",
        limits={"cpu_seconds": 5},
        torture=True,
    ),
    _rejected("24-unary-plus", "x = " + "+" * _MANY + "1\n", "main.flow:1"),
    _rejected("24-unary-minus", "x = " + "-" * _MANY + "1\n", "main.flow:1"),
    _rejected("24-unary-tilde", "x = " + "~" * _MANY + "1\n", "main.flow:1"),
    _rejected("25-open-brackets", "x = " + "(" * _MANY + "\n", "main.flow:1"),
    _rejected("25-brackets", "x = " + "(" * _MANY + "1" + ")" * _MANY + "\n", "main.flow:1"),
    _rejected("25-lists", "x = " + "[" * _MANY + "]" * _MANY + "\n", "main.flow:1"),
    _rejected("25-dicts", "x = " + "{1:" * _MANY + "1" + "}" * _MANY + "\n", "main.flow:1"),
    _rejected("25-calls", "x = " + "f(" * _MANY + ")" * _MANY + "\n", "main.flow:1"),
    _rejected("25-calls-of-calls", "x = f" + "()" * _MANY + "\n", "main.flow:1"),
    _rejected("25-attributes", "x = f" + ".a" * _MANY + "\n", "main.flow:1"),
    _rejected("25-lambdas", "x = " + "lambda: " * 50_000 + "1\n", "main.flow:1"),
    _rejected("25-conditions", "x = " + "1 if 1 else " * 40_000 + "1\n", "main.flow:1"),
    _rejected("26-nots", "x = " + "not " * _MANY + "1\n", "main.flow:1"),
    _rejected("27-terms", "x = " + "+".join(["a"] * 50_000) + "\n", "main.flow:1"),
    _rejected("27-and-or", "x = " + " and ".join(["a or a"] * 20_000) + "\n", "main.flow:1"),
    _rejected("28-indents", _DEEP + " " * 600 + "pass\n", "main.flow"),
    _rejected("28-elifs", "if 1:\n    pass\n" + "elif 1:\n    pass\n" * 20_000, "main.flow"),
    _rejected("29-identifier", "a" * 500_000 + " = 1\n", "main.flow:1"),
    _rejected("29-identifier-of-a-megabyte", "a" * 1_000_000 + " = 1\n", "main.flow"),
    _rejected("30-line-of-a-megabyte", 'x = "' + "a" * 1_000_000 + '"\n', "main.flow"),
    _rejected("30-literal", 'x = "' + "a" * 500_000 + '"\n', "main.flow:1"),
    _rejected("30-nul", "x = 1\0\n", "main.flow:1"),
    _rejected("30-bidi", "x = '\u202e'\n", "main.flow:1"),
    _rejected("30-bidi-in-a-comment", "x = 1  # \u2067\n", "main.flow:1"),
    _rejected("30-cr-only", "x = 1\rprint(1)\r", "main.flow:1"),
    _rejected("30-not-utf-8", b"x = '\xff\xfe'\n", "main.flow"),
    _rejected("30-utf-16", "x = 1\n".encode("utf-16"), "main.flow"),
    _rejected("30-surrogate", b"x = '\xed\xa0\x80'\n", "main.flow"),
    _rejected("30-next-line", "x = 1\u2028y = 2\n", "main.flow:1"),
    _rejected("30-wide-space", "x\u00a0= 1\n", "main.flow:1"),
    _rejected("30-escape-in-an-error", "x = \x1b[31m\n", "main.flow:1"),
    _rejected("30-bom", "\ufeffx = 1\n", "byte order mark", "main.flow:1"),
    _rejected(
        "31-many-loads", "".join(f"load('./l{n}.flow', 'x{n}')\n" for n in range(2_000)), "no file", "main.flow:1"
    ),
    _rejected(
        "31-load-flood", "".join(f"load('./l{n}.flow', 'x{n}')\n" for n in range(15_000)), "no file", torture=True
    ),
    _rejected(
        "31-long-chain",
        'load("./l0.flow", "x")\n',
        "l299.flow:1",
        files={f"l{n}.flow": f'load("./l{n + 1}.flow", y = "x")\nx = y\n' for n in range(300)},
    ),
    _case("32-parameters", _used("def g(" + ", ".join(f"a{n} = 1" for n in range(40_000)) + "):\n    pass\n"), "ok"),
    _case("32-arguments", _used("def g(*a):\n    return len(a)\nx = g(" + "1," * 200_000 + ")\n"), "ok"),
    _case(
        "32-keywords",
        _used("def g(**a):\n    return len(a)\nx = g(" + ",".join(f"a{n}=1" for n in range(30_000)) + ")\n"),
        "ok",
    ),
    _rejected("33-nested-type", f"def g(x: {'list[' * 250}int{']' * 250}):\n    pass\n", "main.flow:1"),
    _rejected("33-long-type", "def g(x: " + " | ".join(["list[int]"] * 5_000) + "):\n    return 1\n", "main.flow:1"),
    _load("up", "../x.flow", "root"),
    _load("up-far", "./../../../../etc/passwd"),
    _load("absolute", "/etc/passwd"),
    _load("absolute-by-label", "//../x.flow"),
    _load("percent", "./%2e%2e/x.flow"),
    _load("backslash", ".\\\\x.flow"),
    _load("url", "http://127.0.0.1/x"),
    _load("userinfo", "user:pass@pkg.example.org/v1/x"),
    _load("port-zero", "pkg.example.org:0/v1/x"),
    _load("ipv6", "[::1]/v1/x"),
    _load("upper-case", "PKG.flowmetal.io/v1/prelude"),
    _load("trailing-dot", "pkg.flowmetal.io./v1/prelude"),
    _load("unicode-dots", "pkg\u3002flowmetal\uff0eio/v1/prelude"),
    _load("fullwidth", "./\uff0e\uff0e/x.flow"),
    _load("new-line", "./x.flow\\n"),
    _load("nul", "./\\0.flow"),
    _load("bidi", "./\\u202e.flow"),
    _load("escape", "./\\x1b[31m.flow"),
    _load("nothing", ""),
    _load("long", "./" + "a" * 5_000 + ".flow"),
    _load("proc", "//proc/self/environ"),
    _load("private", "pkg.flowmetal.io/v1/prelude//wire.flow"),
]
