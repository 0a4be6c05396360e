from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.permissions import Grant, GrantSet
from flowmetal.permissions.table import table_grants


def parsed(text: str) -> GrantSet:
    table = tomllib.loads(text).get("grants", {})
    return table_grants(table, "/base", "/base/flowmetal.toml", lambda path: path, lambda name: f"/bin/{name}")


def test_both_ways_of_writing_and_packages() -> None:
    grants = parsed(
        """
        [grants]
        allow = ["net=API.example/get", "read=data"]
        deny = ["net=*.internal", "exec=curl"]
        write = ["./out"]
        net = ["10.0.0.0/8:5432"]
        secret = ["TOKEN@api.example"]
        [grants."pkg.example.org/v1/deploy"]
        net = ["api.example"]
        deny = ["net=api.example/POST"]
        [grants."//lib/x.flow"]
        """
    )
    assert [str(grant) for grant in grants.allow] == [
        "net=10.0.0.0/8:5432",
        "net=api.example/GET",
        "read=/base/data",
        "secret=TOKEN@api.example",
        "write=/base/out",
    ]
    assert grants.deny == (Grant("exec", "/bin/curl", "curl"), Grant("net", "*.internal"))
    assert grants.packages == (
        ("//lib/x.flow", GrantSet()),
        ("pkg.example.org/v1/deploy", GrantSet((Grant("net", "api.example"),), (Grant("net", "api.example/POST"),))),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grants = 3", "`grants` is not a table"),
        ("[[grants]]", "`grants` is not a table"),
        ("[grants]\nalow = []", "[grants] has no key `alow`, did you mean `allow`?"),
        ("[grants]\nnett = []", "did you mean `net`?"),
        ("[grants]\nallow_all = true", "[grants] has no key `allow_all`"),
        ("[grants.deploy]\nnet = []", "[grants] has no key `deploy`"),
        ('[grants]\nnet = "a.example"', "[grants] net is not a list of strings"),
        ("[grants]\nnet = [1]", "[grants] net is not a list of strings"),
        ('[grants]\nnet = ["net=a.example"]', "`[grants] net net=net=a.example`"),
        ('[grants]\nallow = ["a.example"]', "names no path"),
        ('[grants]\nallow = ["nett=x"]', "did you mean `net`"),
        ('[grants]\ndeny = ["net=127.1"]', "`[grants] deny net=127.1`: `127.1` is neither a name nor an address"),
        ('[grants]\nsecret = ["TOKEN@*"]', "never for every host"),
        ('[grants."x.org/a"]\nalow = []', '[grants."x.org/a"] has no key `alow`'),
        ('[grants."x.org/a"]\n"y.org/b" = {}', '[grants."x.org/a"] has no key `y.org/b`'),
        ('[grants]\n"x.org/a" = []', '[grants."x.org/a"] is not a table'),
        ('[grants."X/a"]', "`X/a` is no package"),
        ('[grants."x.org/a//b.flow"]', "is no package"),
        ('[grants]\n"a\\u001b[2Jb" = []', "has no key `a\\x1b[2Jb`"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(text)
    assert message in caught.value.message
    assert caught.value.place == "/base/flowmetal.toml"
    assert caught.value.message.isprintable()


TOML = st.recursive(
    st.text(max_size=8) | st.integers() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["allow", "deny", "net", "x.org/a", "//a.flow"]) | st.text(max_size=5), inner)
    ),
    max_leaves=8,
)


@given(TOML)
def test_any_table_is_grants_or_an_error_with_its_file(table: object) -> None:
    try:
        grants = table_grants(table, "/base", "file", lambda path: path, lambda name: None)
    except UsageError as error:
        assert error.place == "file"  # noqa: PT017
        return
    assert GrantSet.from_data(grants.to_data()) == grants
