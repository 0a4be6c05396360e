"""The look at source text before the parser gets it: what would end the process is refused with a line."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import starlark
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import LanguageError
from flowmetal.language import scan as scanning
from flowmetal.language.dialect import make_dialect
from flowmetal.language.scan import decode_source, scan

CHECKOUT = Path(__file__).parents[2]
EVERY_FLOW = [*sorted((CHECKOUT / "examples").rglob("*.flow")), *sorted((CHECKOUT / "prelude").glob("*.flow"))]


DEEP = "nested or chained too deep"


def refused(text: str) -> LanguageError:
    with pytest.raises(LanguageError) as caught:
        scan(text, "main.flow")
    return caught.value


def refused_bytes(data: bytes) -> LanguageError:
    with pytest.raises(LanguageError) as caught:
        decode_source(data, "main.flow")
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("\n" + "[" * 100_000 + "]" * 100_000, 2, DEEP),
        ("x = " + "(" * 201 + "1" + ")" * 201, 1, DEEP),
        ("x = " + "{1:" * 100_000, 1, DEEP),
        ("x = " + "f(" * 100_000, 1, DEEP),
        ("x = " + "-" * 100_000 + "1", 1, DEEP),
        ("x = " + "- " * 100_000 + "1", 1, DEEP),
        ("x = " + "~" * 100_000 + "1", 1, DEEP),
        ("x = " + "not " * 100_000 + "1", 1, DEEP),
        ("x = " + "-+~not " * 100_000 + "1", 1, DEEP),
        ("x = " + "lambda: " * 100_000 + "1", 1, DEEP),
        ("x = " + "lambda a: " * 100_000 + "1", 1, DEEP),
        ("x = 1" + " + 1" * 50_000, 1, DEEP),
        ("x = 1" + " and 1" * 50_000, 1, DEEP),
        ("x = a" + ".b" * 50_000, 1, DEEP),
        ("x = f" + "()" * 50_000, 1, DEEP),
        ("x = f" + "[0]" * 50_000, 1, DEEP),
        ("x = 1" + " if 1 else 1" * 50_000, 1, DEEP),
        ("x = (1" + "\n + 1" * 50_000 + ")", 199, DEEP),
        ("".join("  " * n + "if True:\n" for n in range(10_000)), 67, DEEP),
        ("x = 1\nif x:\n" + " " * 10_000 + "pass", 3, "indented deeper than 200"),
        ("if 1: pass\n" + "elif 1: pass\n" * 100_000, 100, DEEP),
        ("x" * 1_000_000 + " = 1", 1, "an identifier longer than 1,000"),
        ('x = "' + "a" * 1_000_000 + '"', 1, "a string literal longer than 65,536"),
        ('\nx = """' + "a\n" * 500_000 + '"""', 2, "a string literal longer than 65,536"),
        ("def f():\n\treturn 1", 2, "tabs are not allowed"),
        ("x = [\n1,\n\n2", 1, "`[` is not closed"),
        ("f(\n  [1, 2)\n", None, ""),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_too_deep_is_refused(text: str, line: int | None, says: str) -> None:
    if line is None:
        assert ends_well(text)
        return
    error = refused(text)
    assert says in error.message
    assert error.place == f"main.flow:{line}"


def ends_well(text: str) -> bool:
    """Whether the parser lives through what the scan lets pass, in a process of its own with a worker's stack."""
    script = (
        "import sys, threading\nsys.path[:0] = [sys.argv[1]]\nimport starlark\n"
        "from flowmetal.language.scan import scan\nfrom flowmetal.errors import LanguageError\n"
        "from flowmetal.language.dialect import make_dialect, make_globals\ntext = sys.stdin.read()\n"
        "def go():\n    try:\n        scan(text, 'main.flow')\n"
        "        tree = starlark.parse('main.flow', text, make_dialect())\n"
        "        tree.lint()\n        starlark.eval(starlark.Module(), tree, make_globals())\n"
        "    except (LanguageError, starlark.StarlarkError):\n        pass\n"
        "threading.stack_size(1024 * 1024)\nthread = threading.Thread(target=go)\nthread.start()\nthread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(CHECKOUT)], input=text, text=True, timeout=60, check=False)
    return done.returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 66 + "]" * 66,
        "x = " + "(" * 66 + "1" + ")" * 66,
        "x = " + "{1: " * 66 + "1" + "}" * 66,
        "x = " + "len(" * 49 + "1" + ")" * 49,
        "x = " + "-" * 199 + "1",
        "x = " + "not " * 199 + "1",
        "x = 1" + " + 1" * 198,
        "x = struct()" + ".b" * 197,
        "x = len" + "()" * 198,
        "x = 1" + " if 1 else 1" * 99,
        "x = " + "lambda: " * 49 + "1",
        "x = " + "lambda a, b: " * 49 + "1",
        "x = " + "len(lambda: -" * 24 + "1" + ")" * 24,
        "x = " + "(" * 20 + "1" + (" + 1" * 6 + ")") * 20,
        "".join(" " * n + "if True:\n" for n in range(66)) + " " * 66 + "x = 1\n",
        "".join(" " * n + "def f():\n" for n in range(64)) + " " * 64 + "x = 1\n",
        "def f():\n" + "".join(" " * n + "for x in []:\n" for n in range(1, 65)) + " " * 66 + "pass\n",
        "if 1: pass\n" + "elif 1: pass\n" * 97,
        "x = " + "[y for y in " * 39 + "[]" + "]" * 39,
        "x = 1\n" * 20_000,
        "x = [" + "1, " * 100_000 + "]",
    ],
    ids=lambda text: text[:30],
)
def test_the_parser_bears_what_is_let_pass(text: str) -> None:
    scan(text, "main.flow")
    assert ends_well(text)


@pytest.mark.parametrize("path", EVERY_FLOW, ids=lambda path: path.name)
def test_ordinary_files_pass(path: Path) -> None:
    scan(decode_source(path.read_bytes(), path.name), path.name)


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        (b"x = 1\ny = '\xff'\n", "main.flow:2", "not UTF-8: byte 0xff in line 2"),
        (b"\xef\xbb\xbfx = 1\n", "main.flow:1", "byte order mark"),
        (b"\xff\xfex\0", "main.flow:1", "not UTF-8"),
        ("x = 1\n# \u202e text".encode(), "main.flow:2", "U+202E is not allowed"),
        ("x = '\u2066'".encode(), "main.flow:1", "U+2066 is not allowed"),
        (b"x = 1\n\0", "main.flow:2", "U+0000 is not allowed"),
        (b"x = 1\ry = 2\n", "main.flow:1", "carriage return"),
        (b"#" * (scanning.MAX_SOURCE_BYTES + 1), "main.flow", "larger than 524,288 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bytes_that_are_no_flow_file(data: bytes, place: str, says: str) -> None:
    error = refused_bytes(data)
    assert (error.place, says in error.message) == (place, True), error.message


def test_lines_that_end_as_on_windows_are_read() -> None:
    assert decode_source(b"x = 1\r\ny = 2\r\n", "main.flow") == "x = 1\ny = 2\n"


def test_identifiers_are_those_of_the_text() -> None:
    text = 'a = b.c # d\ndef e(f = "g"):\n    return [h for h in i if not True]\n'
    assert scan(text, "main.flow") == {"a", "b", "c", "e", "f", "h", "i", "True"}


@given(st.text(alphabet="ab1 \n\"'#()[]{}.,:=-+~\\\tr", max_size=60))
def test_no_text_breaks_the_scan(text: str) -> None:
    try:
        scan(text, "main.flow")
    except LanguageError:
        # What the scan refuses of so short a text, the parser refuses too.
        with pytest.raises(starlark.StarlarkError):
            starlark.parse("main.flow", text, make_dialect())


def test_hostile_text_takes_linear_time() -> None:
    for text in ('"' * 200_000, "'''" * 60_000, '"\\' * 100_000, "r" * 999 + '"' * 99_999, "\n" * 500_000):
        with contextlib.suppress(LanguageError):
            scan(text, "main.flow")
