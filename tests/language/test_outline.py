"""Functions and doc comments, read from text."""

from __future__ import annotations

from flowmetal.language.outline import Function, PassedOn, outline

TEXT = '''\
# What this module is.
#
# And more.

# not this
load("x", "y")

def plain():
    pass

def many(
        a,  # first
        b = {"x": [1, (2, 3)]},
        *rest: int,
        c: str = "):",
    ) -> list[str]:
    """Does.

    Args:
      a: first
    """
    def inner():
        """Not this."""
    return inner

text = """
def not_this(): pass
"""

def _impl(fctx): return 1

def _doc(fctx):
    # a comment first
    r\'\'\'One line.\'\'\'

run = flow(_impl)
walk = flow(
    _doc,
    name = "w",
)
'''


def test_an_outline() -> None:
    found = outline(TEXT)
    assert found.comment == "What this module is.\n\nAnd more."
    assert found.functions == (
        Function("plain", "plain()", "", 8),
        Function(
            "many",
            'many(a, b = {"x": [1, (2, 3)]}, *rest: int, c: str = "):") -> list[str]',
            "Does.\n\nArgs:\n  a: first",
            11,
        ),
        Function("_impl", "_impl(fctx)", "", 30),
        Function("_doc", "_doc(fctx)", "One line.", 32),
    )
    assert found.implementations == (("run", "_impl"), ("walk", "_doc"))
    assert (found.doc_of("walk"), found.doc_of("run"), found.doc_of("no")) == ("One line.", "", "")


def test_what_a_module_passes_on() -> None:
    text = '''\
load("//inner.flow", "both", _area = "area")  # load("//no.flow", "no")
load(
    "./other.flow",
    _volume = "volume",  # a bracket ) in a comment
)

area = _area
same = both
volume = _volume # not an alias alone
mine = area
text = """
hidden = _area
"""
volume = _volume
'''
    assert outline(text).passed_on == (
        PassedOn("area", "//inner.flow", "area", 7),
        PassedOn("same", "//inner.flow", "both", 8),
        PassedOn("volume", "./other.flow", "volume", 14),
    )


def test_what_has_nothing() -> None:
    assert outline("").functions == ()
    assert outline("x = 1").comment == ""
    assert outline("def f(a):").functions == (Function("f", "f(a)", "", 1),)
