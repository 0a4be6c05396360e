"""What is made of the interpreter's text: message, place, excerpt, help; and the tables of advice."""

from __future__ import annotations

import re

import pytest
import starlark

from flowmetal.carried import prelude_directory
from flowmetal.language.diagnostics import Diagnostic, diagnose, line_in, site_of
from flowmetal.language.dialect import make_dialect, make_globals
from flowmetal.language.drawing import draw
from flowmetal.language.from_python import ACTION_NAMES, ATTRIBUTE_HINTS, DIFFERENCES, FORMS, KEYWORD_HINTS, NAME_HINTS
from flowmetal.language.hints import hint_for, without_guess
from flowmetal.language.members import members_of
from flowmetal.language.modules import prelude_names

PRELUDE = "pkg.flowmetal.io/v1/prelude//prelude.flow"
TRACE = f"""Traceback (most recent call last):
  * //etl.flow:9, in <module>
      f(0)
  * //lib/x.flow:4, in f
      retry(0)
  * {PRELUDE}:40, in retry
      fail("no")
error: HostError: no
 --> {PRELUDE}:40:5
   |
40 |     fail("no")
   |     ^^^^^^^^^^
   |
"""
SOURCES = {"//etl.flow": "\n" * 8 + "f(0)\n", "//lib/x.flow": "\n\n\n    retry(0)\n"}


def said(text: str) -> Diagnostic:
    """The diagnostic of a text that does not evaluate."""
    with pytest.raises(starlark.StarlarkError) as caught:
        starlark.eval(starlark.Module(), starlark.parse("//m.flow", text, make_dialect()), make_globals())
    return diagnose(str(caught.value), {"//m.flow": text})


def test_an_error_in_the_prelude_is_shown_where_it_was_called() -> None:
    found = diagnose(TRACE, SOURCES)
    assert (found.message, found.place) == ("no", "lib/x.flow:4")
    assert found.excerpt == "  |\n4 |     retry(0)\n  |"
    assert found.trace == "  etl.flow:9, in <module>\n  lib/x.flow:4, in f"


JOBS = "pkg.flowmetal.io/v1/jobs//running.flow"
IN_PACKAGE = f"""Traceback (most recent call last):
  * {PRELUDE}:40, in enter
      found(0)
  * {JOBS}:2, in _run
      unwrap(0)
error: no
 --> {{}}:2:5
  |
2 |     unwrap(0)
  |     ^^^^^^^^^
  |
"""


@pytest.mark.parametrize(("where", "place"), [(JOBS, f"{JOBS}:2:5"), (PRELUDE, f"{JOBS}:2")])
def test_an_error_of_a_package_alone_is_shown_there(where: str, place: str) -> None:
    found = diagnose(IN_PACKAGE.format(where), {JOBS: "\n    unwrap(0)\n"})
    assert (found.place, "2 |     unwrap(0)" in found.excerpt) == (place, True)
    assert site_of(IN_PACKAGE) == f"{JOBS}:2"


def test_what_the_host_knows_better_replaces_what_was_said() -> None:
    found = diagnose(TRACE, SOURCES, "a better word", "a way out")
    assert (found.message, found.hint, found.place) == ("a better word", "a way out", "lib/x.flow:4")


def test_an_error_of_the_program_is_shown_at_its_column() -> None:
    found = said("x = [1]\ny = x[5]\n")
    assert (found.message, found.place) == ("Index `5` is out of bound", "m.flow:2:5")
    assert found.excerpt.split("\n")[1:] == ["2 | y = x[5]", "  |     ^^^^", "  |"]


def test_a_trace_that_repeats_the_place_is_left_out() -> None:
    assert said("def f(a): pass\nf()\n").trace == ""
    assert said("def f():\n    return len(3)\nf()\n").trace == "  m.flow:3, in <module>"


def test_machinery_is_kept_out_of_messages() -> None:
    for text in (
        "def _f(a): pass\n_f()",
        "def _f(): pass\n_f(1)",
        "def _f(a): pass\n_f(b = 1, a = 2)",
        "x = 1 2",
        "def f(:",
    ):
        found = said(text)
        assert not re.search(r"//|HostError|Parse error|INDENT|FLOAT|\(s\)", found.message), found.message
        assert len(found.message) < 200
    assert said("def _f(a): pass\n_f()").message == "`_f` needs the argument `a`"
    assert said("def _f(): pass\n_f(1)").message == "`_f` got 1 more by position than it takes"


def test_values_in_messages_are_cut() -> None:
    assert len(said(f"def f(x: int): pass\nf('{'a' * 5_000}')").message) < 300


def test_a_text_is_shown_in_quotes() -> None:
    found = said("def f(x: int): pass\nf('a')")
    assert found.message == 'Value `"a"` of type `string` does not match the type annotation `int` for argument `x`'


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('load("./x.flow", title)', "quote the names"),
        ('load("./x.flow", title, "other")', "quote the names"),
        ('load("./x.flow", "other", title)', "quote the names"),
        ('load("./x.flow", *)', "each name is listed"),
    ],
)
def test_loads_have_their_advice(text: str, advice: str) -> None:
    assert advice in said(text).hint


def test_text_of_no_form_is_passed_on() -> None:
    assert diagnose("something else", {}) == Diagnostic("something else")
    assert diagnose("", {}).message == ""


@pytest.mark.parametrize(
    "text", [TRACE * 50, "error: " + "x" * 100_000, "  * //a:1, in b\n" * 20_000, " --> " * 50_000]
)
def test_long_texts_give_short_diagnostics(text: str) -> None:
    found = diagnose(text, SOURCES)
    assert len(found.message) <= 2_000
    assert len(found.trace) <= 4_000


def test_data_and_back() -> None:
    found = diagnose(TRACE, SOURCES)
    assert Diagnostic(*found.to_data()) == found
    assert Diagnostic.of_error(found.to_error()).to_data()[:4] == found.to_data()[:4]


def test_places_in_stacks() -> None:
    assert site_of(TRACE) == "lib/x.flow:4"
    assert site_of("") == ""
    assert line_in("//etl.flow", TRACE) == 9
    assert line_in("//none.flow", TRACE) == 0


def test_drawing() -> None:
    assert draw("a\nb", 2) == "  |\n2 | b\n  |"
    assert draw("a", 0) == draw("a", 2) == ""
    assert len(draw("x" * 1_000, 1)) < 250


# -- advice --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", sorted(KEYWORD_HINTS))
def test_every_reserved_word_has_its_advice(word: str) -> None:
    found = said(f"def f(x):\n    {word} x\n")
    assert found.hint == KEYWORD_HINTS[word]
    assert found.place.startswith("m.flow:2")


@pytest.mark.parametrize("name", sorted(NAME_HINTS))
def test_every_missing_name_has_its_advice(name: str) -> None:
    found = said(f"x = {name}\n")
    assert found.hint == NAME_HINTS[name]
    assert "did you mean" not in found.message


def test_what_only_the_context_has_is_told_of_its_bare_name() -> None:
    text = (prelude_directory() / "prelude.flow").read_text(encoding="utf-8")
    there = set(members_of(text)["fctx.actions"]) - set(prelude_names(text))
    assert there == ACTION_NAMES
    for name in ACTION_NAMES:
        assert f"fctx.actions.{name}" in said(f"x = {name}\n").hint


@pytest.mark.parametrize("name", sorted(set(ATTRIBUTE_HINTS) - {"count", "append"}))
def test_every_missing_attribute_has_its_advice(name: str) -> None:
    found = said(f"x = struct(a = 1).{name}\n")
    assert found.hint == ATTRIBUTE_HINTS[name]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("step() + 1", "Step = record(ok = bool)\nx = Step(ok = True) + 1"),
        ("step() + 1", "Step = record(ok = bool)\nx = 'a' + Step(ok = True)"),
        ("step() + 1", "Step = record(ok = bool)\nx = Step(ok = True).split()"),
        ("step() + 1", "Step = record(ok = bool)\nx = [i for i in Step(ok = True)]"),
        ("step() + 1", "Step = record(ok = bool)\nx = Step(ok = True) < 1"),
        ("step() + 1", "Step = record(ok = bool)\nx = int(Step(ok = True))"),
        ("a < b < c", "x = 1 < 2 < 3"),
        ("a = b = 1", "a = b = 1"),
        ("n := 3", "x = (n := 3)"),
        ("if x = 1", "if x = 1: pass"),
        ("x ** 2", "x = 2 ** 2"),
        ("{**a, **b}", "x = {'a': 1, **{}}"),
        ("[*xs, 1]", "x = [*[], 1]"),
        ("a, *b = xs", "a, *b = [1, 2]"),
        ("{1, 2}", "x = {1, 2}"),
        ("{1, 2}", "x = {1}"),
        ("f(x for x in xs)", "x = len(y for y in [])"),
        ("@flow", "@flow\ndef f(): pass"),
        ('"a" "b"', "x = 'a' 'b'"),
        ('b"a"', "x = b'a'"),
        ('f"{x.y}"', "x = 1\ny = f'{x.y}'"),
        ('f"{x:.2f}"', "x = 1\ny = f'{x:.2f}'"),
        ('"{:.2f}".format(x)', "x = '{:.2f}'.format(1)"),
        ('"{:,}".format(x)', "x = '{:,}'.format(1)"),
        ('"{:d}".format(x)', "x = '{:}'.format(1)"),
        ('"{:d}".format(x)', "x = '{n:d}'.format(n = 1)"),
        ('"{:>5}".format(x)', "x = '{n:>5}'.format(n = 1)"),
        ('"%.2f" % x', "x = '%.2f' % 1"),
        ('"{:>5}".format(x)', "x = '{:>5}'.format(1)"),
        ('"%5d" % x', "x = '%5d' % 1"),
        ("x++", "x = 1\nx++"),
        ("a && b", "x = 1 && 2"),
        ("a || b", "x = 1 || 2"),
        ("!a", "x = !True"),
        ("else if", "if True: pass\nelse if True: pass"),
        ("1_000", "x = 1_000"),
        ("x if c", "x = 1 if True"),
        ("for … else", "for x in []:\n    pass\nelse:\n    pass"),
        ("def f(x: 'int')", "def f(x: 'int'): pass"),
    ],
)
def test_forms_have_their_advice(form: str, text: str) -> None:
    assert said(text).hint == FORMS[form]


def test_forms_without_a_message_of_their_own_are_few() -> None:
    """A tab is refused by the scan; `isinstance` with a tuple is no error, only False."""
    assert {"a tab", "isinstance(x, (int, str))"} <= set(FORMS)
    assert not set(FORMS) & set(DIFFERENCES) - {"isinstance(x, (int, str))"}


def test_advice_is_for_its_own_message_only() -> None:
    assert hint_for("Key `record` was not found") != FORMS["step() + 1"]
    assert hint_for("Object of type `record` has no attribute `widht`, did you mean `width`?") == ""
    assert "`fctx.actions`" in hint_for("Object of type `record` has no attribute `read`", 'fctx.read("x")')
    assert hint_for("Index `5` is out of bound") == ""
    assert (
        hint_for('Key `"a:b"` was not found')
        == hint_for("Key `None` was not found")
        == hint_for("Key `3` was not found")
    )
    assert "`format`" in said("x = '{a}'.format(b = 1)").hint
    assert hint_for("") == ""
    assert without_guess("Variable `lenn` not found, did you mean `len`?").endswith("`len`?")
    assert without_guess("Variable `null` not found, did you mean `all`?") == "Variable `null` not found"
