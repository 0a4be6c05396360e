"""Labels of packages: one spelling for one thing."""

from __future__ import annotations

import pytest

from flowmetal.errors import UsageError
from flowmetal.package_ids import PackageLabel, check_path, divide_path, line_of, parse_label

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("pkg.flowmetal.io/v1/prelude", PackageLabel("pkg.flowmetal.io/v1/prelude")),
        ("pkg.flowmetal.io/v1/prelude//time.flow", PackageLabel("pkg.flowmetal.io/v1/prelude", file="time.flow")),
        ("a.org/x@1.4.2", PackageLabel("a.org/x", version="1.4.2")),
        ("a.org/x@1.0.0-rc.1//b/c.flow", PackageLabel("a.org/x", version="1.0.0-rc.1", file="b/c.flow")),
        (f"a.org/x@sha256:{HEX}", PackageLabel("a.org/x", digest=f"sha256:{HEX}")),
        ("localhost:8080/x", PackageLabel("localhost:8080/x")),
        ("xn--bcher-kva.example/x.y_z-1", PackageLabel("xn--bcher-kva.example/x.y_z-1")),
    ],
)
def test_labels(text: str, label: PackageLabel) -> None:
    assert parse_label(text) == label
    assert str(label) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no host"),
        ("a.org", "host without a path"),
        ("a.org/", "not allowed"),
        ("A.org/x", "lower case"),
        ("a.org/X", "lower case"),
        ("a.org./x", "no host"),
        ("a..org/x", "no host"),
        ("-a.org/x", "no host"),
        ("bücher.example/x", "no host"),
        ("аpple.org/x", "no host"),
        ("a.org/../x", "not allowed"),
        ("a.org/x/..", "not allowed"),
        ("a.org/x..y", "not allowed"),
        ("a.org/.x", "not allowed"),
        ("a.org/x.", "not allowed"),
        ("a.org/x%2e", "not allowed"),
        ("a.org/x?y", "not allowed"),
        ("a.org/x#y", "not allowed"),
        ("a.org\\x/y", "no host"),
        ("user@a.org/x", "no dot"),
        ("a.org/x\n", "not allowed"),
        ("a.org/x\0", "not allowed"),
        ("a.org:0/x", "port"),
        ("a.org:080/x", "port"),
        ("a.org:65536/x", "port"),
        ("a.org:/x", "port"),
        ("127.0.0.1/x", "not an address"),
        ("127.1:80/x", "not an address"),
        ("[::1]/x", "no host"),
        ("intern/x", "no dot"),
        ("https://a.org/x", "without a scheme"),
        (f"a.org/{'x' * 65}", "64 characters"),
        (f"a.org/{'x/' * 100}y", "200 characters"),
        ("a.org/x@", "no version"),
        ("a.org/x@v1.0.0", "no version"),
        ("a.org/x@main", "no version"),
        ("a.org/x@1.0.0+b", "no version"),
        (f"a.org/x@sha256:{HEX[:-1]}", "64 hexadecimal"),
        (f"a.org/x@sha256:{HEX.upper()}", "64 hexadecimal"),
        ("a.org/x//", "no path"),
        ("a.org/x//../y.flow", "no path"),
        ("a.org/x///y.flow", "no path"),
        ("a.org/x//y.flow//z.flow", "no path"),
    ],
)
def test_what_is_no_label_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_label(text)
    assert said in error.value.message


def test_a_name_without_a_dot_is_a_host_where_it_has_a_registry() -> None:
    assert parse_label("intern/x", hosts=["intern"]).package == "intern/x"


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("a.org/x", None),
        ("a.org/v1/x", 1),
        ("a.org/x/v12", 12),
        ("a.org/v0/x/v3", 0),
        ("v1.org/x", None),
        ("a.org/vx", None),
    ],
)
def test_the_line_of_a_package(package: str, line: int | None) -> None:
    assert line_of(package) == line


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/x",
        "x/",
        "x//y",
        ".",
        "..",
        "x/../y",
        "./x",
        ".x",
        "x.",
        "x./y",
        "-x",
        "x\\y",
        "x y",
        "ü",
        "x\n",
        "C:x",
        "x\0",
        "~",
    ],
)
def test_what_is_no_path_in_a_package_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        check_path(path)


def test_the_longest_paths() -> None:
    assert divide_path(check_path("a" * 100)) == ("", "a" * 100)
    longest = "/".join(["a" * 49] * 4) + "/a"
    assert len(longest) == 201
    assert divide_path(check_path(longest[:-2])) is not None
    for path in (longest, "a" * 101, "/".join(["a"] * 13), "a" * 99 + "/" + "b" * 101, "/".join(["a" * 66] * 3) + "bb"):
        with pytest.raises(UsageError):
            check_path(path)
