"""``flowmetal.toml``: what it may say, and that a slip in it is named."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.packages.manifest import (
    Manifest,
    PackageFacts,
    Registry,
    Replacement,
    exported_files,
    exports,
    read_manifest,
)
from flowmetal.packages.versions import Version

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

WHOLE = """
[package]
name = "pkg.example.org/v1/deploy"
version = "1.4.2"
entry = "main.flow"
exports = ["main.flow", "k8s/*.flow"]
dialect = 1
license = "MIT"

[requires]
"pkg.example.org/v2/notify" = "2.1.0"

[permissions]
net = ["API.example.org:443", "api.example.org:443"]
read = ["data/./in/", "/etc//hosts"]
exec = ["git"]
secret = ["TOKEN@api.example.org"]

[replace]
"pkg.example.org/v2/notify" = { path = "../notify" }
"a.org/x" = { package = "b.org/x" }

[[registry]]
prefix = "corp.example/"
url = "https://packages.corp.example/"

[[registry]]
prefix = "corp.example/team"
url = "file:../registry"

[grants]
anything = "is not looked at"

[limits]
neither = 1
"""


def test_a_whole_manifest() -> None:
    assert read_manifest(WHOLE, "flowmetal.toml") == Manifest(
        PackageFacts(
            name="pkg.example.org/v1/deploy",
            version=Version(1, 4, 2),
            entry="main.flow",
            exports=("main.flow", "k8s/*.flow"),
            license="MIT",
        ),
        {"pkg.example.org/v2/notify": Version(2, 1, 0)},
        (
            "exec=git",
            "net=api.example.org:443",
            "read=./data/in",
            "read=/etc/hosts",
            "secret=TOKEN@api.example.org",
        ),
        {"pkg.example.org/v2/notify": Replacement(path="../notify"), "a.org/x": Replacement(package="b.org/x")},
        (
            Registry("corp.example", "https://packages.corp.example/"),
            Registry("corp.example/team", "file:../registry"),
        ),
    )


def test_a_project_needs_to_say_nothing() -> None:
    assert read_manifest("", "flowmetal.toml") == Manifest()


def _package(line: str) -> str:
    return f'[package]\nname = "a.org/x"\nversion = "1.0.0"\n{line}\n'


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("[packages]\n", "no key `packages`, did you mean `package`?", ""),
        (_package('entri = "a.flow"'), "no key `entri`, did you mean `entry`?", ""),
        ('[package]\nversion = "1.0.0"\n', "has no `name`", ""),
        ('[package]\nname = "a.org/x"\n', "has no `version`", ""),
        ('[package]\nname = "x"\nversion = "1.0.0"\n', "no dot", "HOST/PATH"),
        ('[package]\nname = "a.org/x"\nversion = "1.0"\n', "no version", "three numbers"),
        ('[package]\nname = "a.org/x"\nversion = "2.0.0"\n', "begin with 0 or 1", "/v2/"),
        ('[package]\nname = "a.org/v1/x"\nversion = "2.0.0"\n', "is the line v1", "/v2/"),
        ('[package]\nname = "a.org/v1/x"\nversion = "0.1.0"\n', "is the line v1", ""),
        (_package("version2 = 1"), "no key", ""),
        (_package("entry = 1"), "entry is not a string", ""),
        (_package('entry = "../x.flow"'), "no path in a package", ""),
        (_package('entry = "x.py"'), "not the path of a .flow file", ""),
        (_package('entry = "*.flow"'), "not the path of a .flow file", ""),
        (_package('exports = ["/x.flow"]'), "no path in a package", ""),
        (_package('exports = "x.flow"'), "exports is not a list", ""),
        (_package("dialect = -1"), "not a number", ""),
        (_package("dialect = true"), "not a number", ""),
        (_package(r'license = "\u001b[2J"'), "a character that is no text", ""),
        ('[requires]\n"a.org/x" = 1\n', "not a string", ""),
        ('[requires]\n"a.org/x" = "^1.0.0"\n', "no version", "write 1.0.0"),
        ('[requires]\n"a.org/x//y.flow" = "1.0.0"\n', "not allowed", ""),
        ('[requires]\n"a.org/v2/x" = "1.0.0"\n', "is the line v2", ""),
        (_package('[requires]\n"a.org/x" = "1.0.0"\n'), "names the package itself", ""),
        ("permissions = []\n", "permissions is not a table", ""),
        ('[permissions]\nnets = ["a.org"]\n', "no key `nets`, did you mean `net`?", ""),
        ('[permissions]\nnet = "a.org"\n', "not a list", ""),
        ('[permissions]\nnet = [""]\n', "names no host", ""),
        ('[permissions]\nread = ["../x"]\n', "leaves the directory of the run", ""),
        ('[permissions]\nexec = ["./run.sh"]\n', "a relative path", ""),
        ('[permissions]\nsecret = ["TOKEN@*"]\n', "never for every host", ""),
        ('[replace]\n"a.org/x" = {}\n', "what is taken instead", ""),
        ('[replace]\n"a.org/x" = { path = "x", package = "b.org/x" }\n', "what is taken instead", ""),
        ('[registry]\nprefix = "a.org"\n', "not a list", "[[registry]]"),
        ('[[registry]]\nprefix = "a.org"\n', "has no `url`", ""),
        ('[[registry]]\nprefix = "a.org"\nurl = "http://a.org/"\n', "no address of a registry", "https"),
        ('[[registry]]\nprefix = "a.org"\nurl = "http://localhost.a.org/"\n', "no address of a registry", ""),
        ('[[registry]]\nprefix = "a.org"\nurl = "ssh://a.org/"\n', "no address of a registry", ""),
        ('[[registry]]\nprefix = "a.org"\nurl = "https://me:secret@a.org/"\n', "for `a.org` has a user", "no place"),
        ('[[registry]]\nprefix = "a.org"\nurl = "https://a.org/?token=x"\n', "for `a.org` has a user", "no place"),
        ('[[registry]]\nprefix = "A.org"\nurl = "https://a.org/"\n', "lower case", ""),
        ("[package\n", "not TOML", ""),
        ('[requires]\na.org/x = "1.0.0"\n', "not TOML", '"a.org/x" = …'),
        ('[replace]\n"a.org/x" = "../x"\n', "not a table", '"a.org/x" = { path = "../x" }'),
        ("x = " + "[" * 5000, "not TOML", ""),
        ('a."b' * 100_000, "characters", ""),
    ],
)
def test_a_slip_is_named(text: str, said: str, remedy: str) -> None:
    with pytest.raises(UsageError) as error:
        read_manifest(text, "dir/flowmetal.toml")
    assert said in error.value.message
    assert remedy in error.value.remedy
    assert error.value.place == "dir/flowmetal.toml"


@pytest.mark.parametrize(
    ("pattern", "path", "meant"),
    [
        ("lib.flow", "lib.flow", True),
        ("lib.flow", "libxflow", False),
        ("k8s/*.flow", "k8s/a.flow", True),
        ("k8s/*.flow", "k8s/a/b.flow", False),
        ("*.flow", "k8s/a.flow", False),
        ("*/*.flow", "k8s/a.flow", True),
    ],
)
def test_patterns_of_exports(pattern: str, path: str, meant: bool) -> None:
    assert exports(pattern, path) is meant


def test_what_a_package_exports() -> None:
    facts = PackageFacts(name="a.org/x", version=Version(1, 0, 0), exports=("k8s/*.flow",))
    paths = ["lib.flow", "own.flow", "k8s/b.flow", "k8s/a.flow", "k8s/a.txt"]
    assert exported_files(facts, paths) == ("k8s/a.flow", "k8s/b.flow", "lib.flow")
    with pytest.raises(UsageError, match="no file is `k8s"):
        exported_files(facts, ["lib.flow"])
    with pytest.raises(UsageError, match=r"the entry `lib.flow` is not there, did you mean `lib2.flow`"):
        exported_files(facts, ["lib2.flow"])


def test_the_registry_of_a_prefix_holds_whole_parts() -> None:
    registry = Registry("corp.example/team", "file:x")
    assert registry.holds("corp.example/team/x")
    assert not registry.holds("corp.example/teams/x")
    assert Registry("", "file:x").holds("a.org/x")


@relaxed
@given(st.text(max_size=60) | st.text(max_size=40).map('[package]\nname = "a.org/x"\n'.__add__))
def test_any_text_is_a_manifest_or_an_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(read_manifest(text, "x"), Manifest)
