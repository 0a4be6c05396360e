"""``flowmetal flows``: descriptions, tags, and what a flow is made of."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Cli, Here

FILE = '''
load("pkg.flowmetal.io/v1/jobs", "job", "workflow")

def _a_impl(fctx):
    """Loads what came in the night.

    Then more.
    """

a = flow(_a_impl, tags = ["nightly", "team/web"])
numbers = args.list(of = args.int())
b = flow(_a_impl, description = "Another way.", doc = "Long.\\nVery.", args = {"n": args.int()}, returns = numbers)
c = flow(_a_impl, doc = "First.\\n\\nSecond.", tags = ["nightly"])
lone = [flow(_a_impl, name = "lone")]

etl = workflow({"extract": job(a), "clean": job(lambda fctx, needs: 1, needs = ["extract"])}, tags = ["nightly"])
'''


@pytest.fixture
def flows(cli: Cli, here: Here) -> Here:
    cli.file("f.flow", FILE)
    return here


def test_text(flows: Here) -> None:
    done = flows("flows", "f.flow")
    assert done.out.splitlines() == [
        "a  (f.flow:10)  declares no arguments",
        "  Loads what came in the night.",
        "  tags: nightly, team/web",
        "b  (f.flow:12)",
        "  Another way.",
        "  Long.",
        "  Very.",
        "    --n INT  [required]",
        "  returns list[int]",
        "c  (f.flow:13)  declares no arguments",
        "  First.",
        "  Second.",
        "  tags: nightly",
        "lone  (f.flow:14)  declares no arguments",
        "etl  (f.flow:16)",
        "  tags: nightly",
        '    --only ITEM     run these jobs alone  [list of "extract" | "clean"; may be repeated; default []]',
        '    --exclude ITEM  skip these jobs  [list of "extract" | "clean"; may be repeated; default []]',
        "  made of: clean",
    ]


def test_tags(flows: Here) -> None:
    def found(*tags: str) -> list[str]:
        options = [part for tag in tags for part in ("--tag", tag)]
        return [row["name"] for row in flows("flows", "f.flow", "--json", *options).json]

    assert found("nightly") == ["a", "c", "etl"]
    assert found("nightly", "team/web") == ["a"]
    assert found("none") == []
    none = flows("flows", "f.flow", "--tag", "nightyl")
    assert (none.code, none.out) == (0, "")
    assert none.err == "no flow of f.flow has the tag `nightyl`; its tags are nightly, team/web\n"
    rows = {row["name"]: row for row in flows("flows", "f.flow", "--json").json}
    assert [rows[name]["description"] for name in "abc"] == ["Loads what came in the night.", "Another way.", "First."]
    assert [rows[name]["returns"] for name in "ab"] == [None, "list[int]"]
    assert (rows["clean"]["part_of"], rows["lone"]["part_of"], rows["a"]["tags"]) == (
        "etl",
        None,
        ["nightly", "team/web"],
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("retry = 3", "has no setting `retry`, did you mean `retries`?"),
        ("attempts = 3", "has no setting `attempts`, did you mean `retries`?"),
        ("delay = 3", "has no setting `delay`, did you mean `retry_delay`?"),
        ('tag = ["a"]', "has no setting `tag`, did you mean `tags`?"),
        ('descripton = "a"', "did you mean `description`?"),
        ('tags = "a"', "a flow's `tags` are at most 20 words"),
        ('tags = ["a b"]', "a flow's `tags` are at most 20 words"),
        ('tags = ["%s"]' % ("a" * 51), "a flow's `tags` are at most 20 words"),
        ('description = "a\\nb"', "a flow's `description` is one line"),
        ("description = 1", "a flow's `description` is one line"),
    ],
)
def test_what_does_not_fit(cli: Cli, here: Here, settings: str, words: str) -> None:
    cli.file("wrong.flow", f"def _f(fctx):\n    pass\n\nf = flow(_f, {settings})\n")
    done = here("flows", "wrong.flow")
    assert (done.code, words in done.err) == (2, True), done.err
    checked = here("check", "wrong.flow")
    assert checked.code == 1
    assert settings.partition(" ")[0] in checked.out
