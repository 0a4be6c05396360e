"""A package from its first file to a registry, by commands."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flowmetal.cli import findings
from flowmetal.cli.findings import Finding
from flowmetal.cli.main import run
from flowmetal.language.labels import PACKAGES
from flowmetal.packages.preparing import prepare
from flowmetal.packages.publishing import publish
from tests.cli.conftest import Cli

CHECKOUT = Path(__file__).absolute().parents[2]
NAME = "pkg.example.org/v1/hello"


def test_a_new_package_is_well_and_can_be_published_tested_and_run(cli: Cli) -> None:
    made = cli("new", NAME)
    assert made.out.split() == ["hello/flowmetal.toml", "hello/lib.flow", "hello/lib_test.flow", "hello/README.md"]
    page = cli("docs", "hello").out
    assert page.startswith(f"# {NAME}\n\nVersion 1.0.0\n\nSays hello\n\n## lib.flow\n")
    assert '```python\nload("pkg.example.org/v1/hello", "greet", "greeting")\n```' in page
    assert "### flow `greet(whom)`\n\nSays hello.\n\nThe time is an action" in page
    assert '| `whom` | string | who is greeted  [default "world"] |' in page
    assert "### `greeting(whom: str, at: str) -> str`\n\n```text\nThe words of a greeting.\n\nArgs:\n  whom:" in page
    tested = cli("test", "hello")
    assert (tested.code, "3 passed" in tested.out) == (0, True), tested.err
    ran = cli("run", "hello/lib.flow:greet", "--whom", "you")
    assert (ran.code, ran.out[:10]) == (0, "Hello you,"), ran.err
    published = cli("publish", "hello", "--to", "public", "--json")
    assert (published.code, published.err) == (0, "")
    assert published.json == {
        "package": NAME,
        "version": "1.0.0",
        "tree": published.json["tree"],
        "new": True,
        "previous": None,
        "added": [],
        "removed": [],
        "files": ["README.md", "flowmetal.toml", "lib.flow", "lib_test.flow"],
        "size": published.json["size"],
        "warnings": [],
        "dry_run": False,
    }


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["new", "hello"], "write its host and path: flowmetal new pkg.example.org/v1/hello"),
        (["new", "pkg.example.org/Hello"], "lower case"),
        (["new", "pkg.example.org"], "flowmetal new pkg.example.org/v1/NAME"),
        (["new", f"https://{NAME}"], f"write flowmetal new {NAME}"),
        (["new", f"{NAME}@1.0.0"], f"write flowmetal new {NAME}; flowmetal.toml has that"),
        (["new", NAME, "."], ". is there already"),
        (["publish", "--to", "x"], "there is no flowmetal.toml"),
        (["publish"], "missing option '--to'"),
        (["pkg", "yank", NAME, "--to", "x"], "names no version"),
        (["pkg", "yank", f"{NAME}@1.0.0", "--to", "x"], "is not in this registry"),
        (["pkg", "serve", "nowhere"], "there is no directory nowhere"),
        (["pkg", "sevre"], "there is no command `sevre`, did you mean `serve`?"),
        (["docs", "nowhere"], "there is no directory nowhere"),
        (["docs", "Example.org/x"], "names of packages are in lower case"),
    ],
)
def test_what_cannot_be_done_is_said(
    argv: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    assert run(argv) == 2
    assert said in capsys.readouterr().err


Files = dict[str, str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def package(folder: Path, files: Files, version: str = "1.0.0", more: str = "") -> None:
    manifest = f'[package]\nname = "{NAME}"\nversion = "{version}"\n{more}\n'
    for name, text in {"flowmetal.toml": manifest, **files}.items():
        (folder / name).write_bytes(text.encode())


@pytest.mark.parametrize(
    ("files", "said", "code"),
    [
        ({"lib.flow": "x = 1 +\n"}, "lib.flow:1", 1),
        ({"lib.flow": "x = 1\n", "other.flow": "y = unknown\n"}, "other.flow:1:5", 1),
        ({"lib.flow": 'load("./other.flow", "x")\n'}, "there is no file", 1),
        ({"lib.flow": f'load("{NAME}//other.flow", "x")\n'}, "a package does not load itself by name", 2),
        ({"lib.flow": "x = 1\r\n"}, "lib.flow:1", 2),
    ],
)
def test_nothing_is_published_that_is_not_well(
    files: Files, said: str, code: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package(here, files)
    assert run(["publish", "--to", "public"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert not (here / "public").exists()


def test_what_is_published_says_what_it_may_need(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"lib.flow": 'key = "AKIA' + 'IOSFODNN7EXAMPLE"\n'}
    package(here, files, "1.0.0", '[permissions]\nnet = ["a.example.org"]\n[replace]\n"a.org/x" = {path = "../x"}')
    assert run(["publish", "--to", ".", "--bare"]) == 0
    first = capsys.readouterr()
    assert "may need  + net=a.example.org  (the first version)" in first.out
    assert "warning: lib.flow:1 looks like an access key of AWS" in first.err
    assert "warning: it was checked with what replaces a.org/x here" in first.err
    package(here, files, "1.1.0", '[permissions]\nnet = ["b.example.org"]\nenv = ["HOME"]')
    assert run(["publish", "--to", ".", "--bare", "--dry-run"]) == 0
    assert re.findall(r"may need  (.*)", capsys.readouterr().out) == [
        "+ env=HOME  (since 1.0.0)",
        "+ net=b.example.org  (since 1.0.0)",
        "- net=a.example.org  (since 1.0.0)",
    ]
    assert list(json.loads((here / "flowmetal/index.json").read_bytes())["versions"]) == ["1.0.0"]


def test_a_package_that_may_do_less_than_what_it_requires(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "")
    for variable in ("FLOWMETAL_CACHE", "FLOWMETAL_HOME", "FLOWMETAL_REGISTRIES"):
        monkeypatch.setenv(variable, str(here / variable.lower()))
    needs = '[permissions]\nnet = ["a.org:443/GET", "*.b.org", "127.0.0.1"]\nread = ["in/x"]\nenv = ["HOME"]'
    (here / "public").mkdir()
    package(here, {"lib.flow": "x = 1\n"}, "1.0.0", needs)
    assert run(["publish", "--to", "public"]) == 0
    (here / "other").mkdir()
    where = '[[registry]]\nprefix = ""\nurl = "file:../public"\n'
    text = f'[package]\nname = "pkg.example.org/v1/other"\nversion = "1.0.0"\n{where}[requires]\n"{NAME}" = "1.0.0"\n'
    (here / "other/lib.flow").write_text(f'load("{NAME}", "x")\n')
    rows = [
        ("", "env=HOME, net=*.b.org, net=127.0.0.1, net=a.org:443/GET, read=./in/x"),
        ('net = ["*"]\nread = ["in"]\nenv = ["*"]', "net=127.0.0.1"),
        ('net = ["a.org/GET,POST", "b.org", "127.0.0.1:*"]\nread = ["in/y"]', "env=HOME, net=*.b.org, read=./in/x"),
        ('net = ["a.org:80", "*.org", "127.0.0.1"]\nread = ["."]\nenv = ["HOME"]', ""),
    ]
    capsys.readouterr()
    for permissions, lacking in rows:
        (here / "other/flowmetal.toml").write_text(f"{text}[permissions]\n{permissions}\n")
        assert run(["publish", "other", "--to", "public", "--dry-run"]) == 0
        warned = re.findall(r"warning: (.*)", capsys.readouterr().err)
        said = f"{NAME} may need {lacking}, which [permissions] here lacks"
        assert [each.partition(":")[0] for each in warned] == ([said.partition(":")[0]] if lacking else []), permissions
        assert all(said in each for each in warned)


def test_what_changes_while_it_is_checked_is_not_published(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package(here, {"lib.flow": "x = 1\n"})

    def check(*_: object) -> list[Finding]:
        (here / "lib.flow").write_text("x = unknown\n", encoding="utf-8")
        return []

    monkeypatch.setattr(findings, "check_programs", check)
    assert run(["publish", "--to", "public"]) == 2
    assert "changed while they were checked" in capsys.readouterr().err
    assert not (here / "public").exists()


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_a_registry_is_served_to_this_machine(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(cli.folder)
    package(cli.folder, {"lib.flow": "x = 1\n"})
    publish(prepare(cli.folder), cli.folder / "public" / NAME, "2026-01-31T23:59:59Z")
    cli.file("public/secret.txt", "nobody's business")
    cli.file("public/flowmetal/v/x.txt", "nobody's business")
    (cli.folder / "public/pkg.example.org/v1/hello/flowmetal/v/2.0.0.json").symlink_to("/etc/hostname")
    assert run(["pkg", "yank", f"{NAME}@1.0.0", "--to", "public"]) == 0
    assert capsys.readouterr().err == f"{NAME} 1.0.0 is out of use; no version of it is in use\n"
    server = cli.start("pkg", "serve", "public", "--port", "0")
    try:
        assert server.stdout is not None
        shown = "".join(server.stdout.readline() for _ in range(3))
        assert 'prefix = "pkg.example.org"\n' in shown
        root = re.findall(r'url = "(http://localhost:\d+/)"', shown)[0]
        base = f"{root}{NAME}/flowmetal"
        status, headers, data = get(f"{base}/index.json")
        assert (status, headers["Cache-Control"]) == (200, "no-cache")
        row = json.loads(data)["versions"]["1.0.0"]
        assert row["yanked"] is True
        assert get(f"{base}/index.json", **{"If-None-Match": headers["ETag"]})[0] == 304
        status, headers, data = get(f"{base}/v/1.0.0.json")
        assert (status, hashlib.sha256(data).hexdigest()) == (200, row["doc"])
        assert "immutable" in headers["Cache-Control"]
        archive = json.loads(data)["archive"]
        status, headers, data = get(f"{base}/a/{archive['sha256']}.tar.gz")
        assert (status, hashlib.sha256(data).hexdigest()) == (200, archive["sha256"])
        assert "Content-Encoding" not in headers
        for path in (
            *("", "secret.txt", "flowmetal/v/x.txt", f"{NAME}/flowmetal/v/2.0.0.json", f"{NAME}/flowmetal/"),
            *(f"x/../{NAME}/flowmetal/index.json", f"{NAME}//flowmetal/index.json", "%2e%2e/flowmetal/index.json"),
        ):
            assert get(root + path)[0] == 404, path
        assert get(f"{base}/index.json", Host="evil.example.org")[0] == 421
    finally:
        server.send_signal(signal.SIGINT)
        done = cli.end(server)
    assert done.code == 130
    assert "200 GET /pkg.example.org/v1/hello/flowmetal/index.json" in done.err


@pytest.mark.parametrize("name", PACKAGES)
def test_what_comes_with_flowmetal_is_published_by_the_same_command(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = CHECKOUT / "prelude"
    if not name.endswith("/prelude"):
        folder /= name.rpartition("/")[2]
    assert run(["publish", str(folder), "--to", "public", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["package"] == name


def test_the_reference_of_a_package_that_is_published(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("FLOWMETAL_CACHE", "FLOWMETAL_HOME", "FLOWMETAL_REGISTRIES"):
        monkeypatch.setenv(variable, str(here / variable.lower()))
    go = 'go = flow(_go_impl, args = {"n": args.int(default = %d)}, returns = args.int())\n'
    text = f'def _go_impl(fctx):\n    """Goes."""\n\n{go}'
    trees = []
    for minor in range(2):
        folder = here / f"hello{minor}"
        folder.mkdir()
        # Its own replacements and registries are not those of who looks at it.
        package(folder, {"lib.flow": text % minor}, f"1.{minor}.0", '[replace]\n"a.org/x" = { path = "/nowhere" }')
        trees.append(publish(prepare(folder), here / "public" / NAME, "2026-01-31T23:59:59Z").document.tree)
    (here / "project").mkdir()
    (here / "project/flowmetal.toml").write_text(
        '[[registry]]\nprefix = ""\nurl = "file:../public"\n', encoding="utf-8"
    )
    monkeypatch.chdir(here / "project")
    for label, minor in ((NAME, 1), (f"{NAME}@1.0.0", 0), (f"{NAME}@{trees[0]}", 0)):
        assert run(["docs", label, "--offline"]) == 0
        page = capsys.readouterr().out
        assert page.startswith(f"# {NAME}\n\nVersion 1.{minor}.0\n\n## lib.flow\n")
        assert "### flow `go(n)`\n\nGoes.\n\n| argument | type | |\n" in page
        assert f"| `n` | int | [default {minor}] |\n\nReturns `int`.\n" in page
    assert [path.name for path in (here / "project").iterdir()] == ["flowmetal.toml"]


def test_the_reference_of_what_comes_with_flowmetal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["docs", "pkg.flowmetal.io/v1/time"]) == 0
    page = capsys.readouterr().out
    assert "### `add(ts: str, duration: int | float | str) -> str`" in page


def test_the_reference_tells_what_a_module_passes_on_from_one_that_is_not_exported(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here / "shapes"
    (folder / "in").mkdir(parents=True)
    files = {
        "lib.flow": 'load("./in/a.flow", _a = "size")\nload("//open.flow", _d = "deep")\narea = _a\ndeep = _d\n',
        "in/a.flow": 'load("./b.flow", _size = "size_of")\nsize = _size\ndef hidden(): pass\n',
        "in/b.flow": 'def size_of(a, b):\n    """The area."""\n    return a * b\n',
        "open.flow": 'def deep():\n    """Its own module tells this."""\n',
    }
    package(folder, files, more='exports = ["lib.flow", "open.flow"]')
    assert run(["docs", "shapes"]) == 0
    page = capsys.readouterr().out
    module, other = page.split("## open.flow")
    assert module.endswith("### `area(a, b)`\n\n```text\nThe area.\n```\n\n")
    assert "### `deep()`" in other
    assert "hidden" not in page
