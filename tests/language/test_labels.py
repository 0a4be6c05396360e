"""Labels: what a load string means, by text alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.carried import prelude_directory
from flowmetal.errors import LanguageError
from flowmetal.language.labels import (
    PACKAGES,
    PRELUDE,
    PRELUDE_MAIN,
    carried_file,
    is_carried,
    is_prelude,
    resolve_load,
    short_name,
)
from flowmetal.language.package_loads import ROOT, Rule, parse_load
from flowmetal.packages.preparing import read_package


@pytest.mark.parametrize(
    ("loader", "written", "label"),
    [
        ("//etl.flow", "./a.flow", "//a.flow"),
        ("//x/etl.flow", "./a.flow", "//x/a.flow"),
        ("//x/y/etl.flow", "../a.flow", "//x/a.flow"),
        ("//x/etl.flow", "./../y/./a.flow", "//y/a.flow"),
        ("//x/etl.flow", "//a.flow", "//a.flow"),
        ("//x/etl.flow", "//y/a-b+c.1.flow", "//y/a-b+c.1.flow"),
        ("//x.flow", PRELUDE, PRELUDE_MAIN),
        ("//x.flow", f"{PRELUDE}//time.flow", f"{PRELUDE}//time.flow"),
        ("//x.flow", "pkg.flowmetal.io/v1/jobs", "pkg.flowmetal.io/v1/jobs//jobs.flow"),
        ("//x.flow", "pkg.flowmetal.io/v1/jobs//order.flow", "pkg.flowmetal.io/v1/jobs//order.flow"),
        ("pkg.flowmetal.io/v1/jobs//jobs.flow", "./order.flow", "pkg.flowmetal.io/v1/jobs//order.flow"),
        (PRELUDE_MAIN, "//time.flow", f"{PRELUDE}//time.flow"),
        (PRELUDE_MAIN, "./time.flow", f"{PRELUDE}//time.flow"),
    ],
)
def test_a_label(loader: str, written: str, label: str) -> None:
    assert resolve_load(loader, written) == label


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("../a.flow", "leaves the program's root"),
        ("./x/../../a.flow", "leaves the program's root"),
        ("//../a.flow", "leaves the program's root"),
        (f"{PRELUDE}//../a.flow", "leaves the program's root"),
        (":a.flow", '"./a.flow"'),
        ("a.flow", '"./a.flow"'),
        ("a", '"./a.flow"'),
        ("./a", '"./a.flow"'),
        ("x/a.flow", '"./x/a.flow"'),
        ("/etc/a.flow", '"//etc/a.flow"'),
        ("./a b.flow", "'a b.flow'"),
        ("./a\0.flow", "not allowed"),
        ("./-a.flow", "not allowed"),
        (".//a.flow", "not allowed"),
        ("./.hidden.flow", "not allowed"),
        ("", "not a label"),
        ("https://example.com/a.flow", "without a scheme"),
        ("pkg.flowmetal.io/v2/prelude", PRELUDE),
        ("pkg.flowmetal.io/v1/job", "did you mean `pkg.flowmetal.io/v1/jobs`?"),
        ("pkg.flowmetal.io/v1/jobs//../prelude/wire.flow", "leaves the program's root"),
        ("./" + "a" * 300 + ".flow", "longer than 200"),
    ],
)
def test_no_label(written: str, says: str) -> None:
    with pytest.raises(LanguageError) as caught:
        resolve_load("//main.flow", written)
    assert says in f"{caught.value.message} {caught.value.remedy}"


@given(
    st.text(alphabet="ab./:\\ \0é", max_size=30),
    st.sampled_from(["//m.flow", "//a/m.flow", "//a/b/m.flow", PRELUDE_MAIN]),
)
def test_whatever_is_written_stays_within_the_root(written: str, loader: str) -> None:
    try:
        label = resolve_load(loader, written)
    except LanguageError:
        return
    package, _, path = label.partition("//")
    assert package == loader.partition("//")[0]
    assert path.endswith(".flow")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert resolve_load(loader, f"//{path}") == label


def test_names() -> None:
    assert short_name("//x/a.flow") == "x/a.flow"
    assert is_prelude(PRELUDE_MAIN)
    assert not is_prelude("//prelude.flow")


def test_files_of_what_is_carried() -> None:
    directory = prelude_directory()
    for package in PACKAGES:
        label = resolve_load("//main.flow", package)
        assert is_carried(label)
        assert is_prelude(label) == (package == PRELUDE)
        assert (directory / carried_file(label)).is_file()
    assert not is_carried("//jobs.flow")
    assert not is_carried("pkg.flowmetal.io/v1/other//other.flow")


def test_a_package_is_not_loaded_as_a_part_of_the_prelude() -> None:
    """Only the prelude may ask the host, so no other file may pass for one of it."""
    label = resolve_load("//main.flow", f"{PRELUDE}//jobs/jobs.flow")
    with pytest.raises(LanguageError, match="there is no"):
        carried_file(label)


def test_what_the_prelude_keeps_to_itself() -> None:
    """Whatever its manifest does not export: names that cross its files are public in these, and for nobody else."""
    facts = read_package(prelude_directory())[1]
    files = {path.name for path in prelude_directory().glob("*.flow")}
    assert {"prelude.flow", "time.flow"} < set(facts.exports) < files
    for name in files:
        label = f"{PRELUDE}//{name}"
        assert resolve_load(PRELUDE_MAIN, f"//{name}") == label
        for loader in ("//x.flow", "pkg.flowmetal.io/v1/jobs//jobs.flow", f"{DEPLOY}//lib.flow"):
            if name in facts.exports:
                assert resolve_load(loader, label) == label
                continue
            with pytest.raises(LanguageError, match="for the prelude itself"):
                resolve_load(loader, label)


DEPLOY = "pkg.example.org/v1/deploy"
NOTIFY = "pkg.example.org/v1/notify"
RULES = {
    ROOT: Rule("", {DEPLOY: "1.0.0"}),
    DEPLOY: Rule("lib.flow", {NOTIFY: "1.2.0"}, ("k8s/*.flow", "api.flow")),
    NOTIFY: Rule("main.flow", {}, ()),
}


@pytest.mark.parametrize(
    ("loader", "written", "label"),
    [
        ("//x.flow", DEPLOY, f"{DEPLOY}//lib.flow"),
        ("//x.flow", f"{DEPLOY}@1.0.0", f"{DEPLOY}//lib.flow"),
        ("//x.flow", f"{DEPLOY}//lib.flow", f"{DEPLOY}//lib.flow"),
        ("//x.flow", f"{DEPLOY}//./k8s/../k8s/a.flow", f"{DEPLOY}//k8s/a.flow"),
        (f"{DEPLOY}//k8s/a.flow", "../inner.flow", f"{DEPLOY}//inner.flow"),
        (f"{DEPLOY}//k8s/a.flow", "//inner.flow", f"{DEPLOY}//inner.flow"),
        (f"{DEPLOY}//lib.flow", NOTIFY, f"{NOTIFY}//main.flow"),
        (f"{DEPLOY}//lib.flow", PRELUDE, PRELUDE_MAIN),
    ],
)
def test_a_label_of_a_package(loader: str, written: str, label: str) -> None:
    assert resolve_load(loader, written, RULES) == label


@pytest.mark.parametrize(
    ("loader", "written", "says"),
    [
        ("//x.flow", NOTIFY, "does not require"),
        ("//x.flow", f"{DEPLOY}s", f"did you mean `{DEPLOY}`?"),
        ("//x.flow", f"{DEPLOY}@1.1.0", "requires pkg.example.org/v1/deploy 1.0.0"),
        ("//x.flow", f"{DEPLOY}//k8s/deep/a.flow", "does not export k8s/deep/a.flow"),
        ("//x.flow", f"{DEPLOY}//apy.flow", "did you mean `api.flow`?"),
        ("//x.flow", f"{DEPLOY}//../notify/main.flow", "leaves"),
        (f"{DEPLOY}//lib.flow", "../x.flow", "leaves"),
        (f"{DEPLOY}//lib.flow", DEPLOY, 'write "//lib.flow"'),
        (f"{NOTIFY}//main.flow", DEPLOY, "its author has to add it there"),
        ("//x.flow", "pkg.example.org/../v1/deploy", "is not a label"),
        ("//x.flow", "pkg.example.org/%2e%2e/deploy", "is not a label"),
        ("//x.flow", "pkg.example.org\\v1/deploy", "is not a label"),
        ("//x.flow", "Pkg.Example.org/v1/deploy", 'write "pkg.example.org/v1/deploy"'),
        ("//x.flow", "pkg.example.org./v1/deploy", "is not a label"),
        ("//x.flow", "me@pkg.example.org/v1/deploy", "a user before its host"),
        ("//x.flow", "pkg.example.org:0/v1/deploy", "port"),
        ("//x.flow", "127.0.0.1/v1/deploy", "not an address"),
        ("//x.flow", "[::1]/v1/deploy", "is not a label"),
        ("//x.flow", "pkg。example。org/v1/deploy", "is not a label"),
        ("//x.flow", "localhost:70000/v1", "port"),
    ],
)
def test_no_label_of_a_package(loader: str, written: str, says: str) -> None:
    with pytest.raises(LanguageError) as caught:
        resolve_load(loader, written, RULES)
    assert says in f"{caught.value.message} {caught.value.remedy}"


def test_until_rules_are_known_a_load_is_a_request() -> None:
    digest = "sha256:" + "0f" * 32
    for written, request in (
        (DEPLOY, f"{DEPLOY}//"),
        (f"{DEPLOY}@1.2.3", f"{DEPLOY}@1.2.3//"),
        (f"{DEPLOY}@{digest}//x/../y.flow", f"{DEPLOY}@{digest}//y.flow"),
    ):
        assert resolve_load("//m.flow", written) == request
        assert parse_load(request.removesuffix("//")).package == DEPLOY


def test_rules_travel() -> None:
    for rule in (*RULES.values(), Rule("x.flow")):
        assert Rule.from_data(rule.to_data()) == rule
