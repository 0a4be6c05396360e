"""What belongs to a package, and what keeps it from being published."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flowmetal.errors import UsageError
from flowmetal.packages.gathering import gather_files
from flowmetal.packages.preparing import prepare
from flowmetal.packages.secret_looks import secret_looks

Write = Callable[..., Path]


def _tree(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path, encoding="utf-8")
    return folder


def test_what_is_left_out(tmp_path: Path) -> None:
    _tree(
        tmp_path,
        *("lib.flow", "k8s/a.flow", "README.md", "LICENSE", "data/vendor/x.csv", "data/flowmetal.lock"),
        *(".git/config", "k8s/.hidden", "__pycache__/x.pyc", "flowmetal.lock", "vendor/a.org/x/flowmetal/index.json"),
        *("other/flowmetal.toml", "other/lib.flow", "public/a.org/x/flowmetal/index.json", "flowmetal/index.json"),
        *("begun/a.org/x/flowmetal/a/1.tar.gz", "flowmetal/v/1.0.0.json"),
    )
    found = gather_files(tmp_path, [tmp_path / "begun"])
    assert sorted(found) == [
        "LICENSE",
        "README.md",
        "data/flowmetal.lock",
        "data/vendor/x.csv",
        "k8s/a.flow",
        "lib.flow",
    ]
    assert found["k8s/a.flow"] == b"k8s/a.flow"


def _link(folder: Path) -> None:
    (folder / "link.flow").symlink_to("/etc/passwd")


def _linked_folder(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent)


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_link, "it is a link"),
        (_linked_folder, "it is a link"),
        (_pipe, "no regular file"),
        (lambda folder: _tree(folder, "a b.txt"), "no path in a package"),
        (lambda folder: _tree(folder, "größe.txt"), "no path in a package"),
        (lambda folder: _tree(folder, "x/" * 12 + "y"), "folders deep"),
        (lambda folder: (folder / "big.flow").write_bytes(bytes(600_000)), "the limit is 524,288"),
    ],
)
def test_what_no_package_may_have(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path)
    with pytest.raises(UsageError) as error:
        gather_files(tmp_path)
    assert said in error.value.message


def test_a_prepared_package(package: Write) -> None:
    folder = package(
        more='exports = ["lib.flow", "k8s/*.flow"]\n[permissions]\nnet = ["api.example.org"]\n',
        **{
            "k8s__a.flow": 'load("//own.flow", "y")\n',
            "own.flow": "y = 1\n",
            "lib_test.flow": 'load("./lib.flow", "x")\n',
        },
    )
    prepared = prepare(folder)
    assert prepared.exports == ("k8s/a.flow", "lib.flow")
    assert prepared.roots() == ["k8s/a.flow", "lib_test.flow"]
    document = prepared.document("2026-01-31T23:59:59Z")
    assert document.permissions == ("net=api.example.org",)
    assert document.archive.files == 5


def test_modules_that_load_each_other_in_a_circle_are_still_looked_at(package: Write) -> None:
    folder = package(**{"lib.flow": 'load("./a.flow", "x")\n', "a.flow": 'load("./lib.flow", "x")\n'})
    assert prepare(folder).roots() == ["a.flow"]


@pytest.mark.parametrize(
    ("files", "said", "place"),
    [
        ({"lib.flow": b"\xef\xbb\xbfx = 1\n"}, "byte order mark", "lib.flow:1"),
        ({"lib.flow": b"x = 1\r\ny = 2\r\n"}, "ends in a carriage return", "lib.flow:1"),
        ({"lib.flow": b"x = 1\ny = '\xff'\n"}, "not UTF-8", "lib.flow:2"),
        ({"lib.flow": 'x = 1\nload("a.org/x@1.2.3//y.flow", "y")\n'}, "has a version in it", "lib.flow:2"),
        ({"lib.flow": 'load(  # so\n    r"a.org/x@1.2.3",\n    "y",\n)\n'}, "has a version in it", "lib.flow:2"),
        ({"lib.flow": f'load("a.org/x@sha256:{"0" * 64}", "y")\n'}, "has a version in it", "lib.flow:1"),
        ({"lib.flow": 'load("https://a.org/x", "y")\n'}, "a URL", "lib.flow:1"),
        ({"flowmetal.toml": "[grants]\n"}, "no table [package]", "flowmetal.toml"),
        ({"flowmetal.toml": b"\xff"}, "not UTF-8", "flowmetal.toml"),
        ({"flowmetal.toml": None}, "there is no flowmetal.toml", ""),
        ({"lib.flow": None, "libs.flow": "x = 1\n"}, "did you mean `libs.flow`", "flowmetal.toml"),
    ],
)
def test_what_keeps_a_package_from_being_published(
    package: Write, files: dict[str, str | bytes | None], said: str, place: str
) -> None:
    with pytest.raises(UsageError) as error:
        prepare(package(**files))
    assert said in error.value.message
    assert error.value.place.endswith(place)


def test_a_version_in_what_is_no_load_is_nobodys_business(package: Write) -> None:
    text = '# load("a.org/x@1.0.0", "y")\nx = """\nload("a.org/x@1.0.0", "y")\n"""\ny = [load for load in "ab"]\n'
    assert prepare(package(**{"lib.flow": text})).roots() == ["lib.flow"]


def test_other_dialects_are_for_other_versions(package: Write) -> None:
    with pytest.raises(UsageError, match="dialect is 2") as error:
        prepare(package(more="dialect = 2\n"))
    assert error.value.remedy == "upgrade Flowmetal"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-----BEGIN RSA PRIVATE KEY" + "-----", "a private key"),
        ("key = 'AKIA" + "IOSFODNN7EXAMPLE'", "an access key of AWS"),
        ("ghp_" + "a1" * 18, "a token of GitHub"),
        ("postgres://me:hunter22@db.example.org/x", "a password in a URL"),
        ("password = " + '"correct-horse-battery"', "a password"),
        ("API_KEY: " + "'0123456789abcdef'", "a password"),
    ],
)
def test_what_looks_like_a_secret_is_said(text: str, what: str) -> None:
    assert list(secret_looks({"b.flow": b"\n\n" + text.encode(), "a.flow": b""})) == [("b.flow", 3, what)]


@pytest.mark.parametrize(
    "text",
    [
        'secret = fctx.actions.secret("TOKEN")',
        'password = args.secret(doc = "of the database")',
        "https://example.org:443/x@y",
        'token = "{name}"',
        'url = "https://%s:%s@host/"',
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert list(secret_looks({"a.flow": text.encode()})) == []
