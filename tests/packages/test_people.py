"""One person publishes, another loads: with the commands that people use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import trustme

from tests.cli.conftest import Cli, until
from tests.packages.registry import DEPLOY, HOST, NOTIFY, files_of, publish, write
from tests.packages.sites import site

MAIN = f"""
load("{DEPLOY}", "deploy", "save")
load("{DEPLOY}//k8s/names.flow", "name")

def _main(fctx):
    return deploy(fctx, name)

main = flow(_main)
saves = flow(lambda fctx: save(fctx))
"""
LIB = f"""
load("{NOTIFY}", "tell")
load("./inner.flow", "prefix")

def deploy(fctx, name):
    fctx.actions.sleep(0)
    return prefix + name + tell()

def save(fctx):
    return fctx.actions.write("out.txt", "x")
"""


def deploy_files(version: str = "1.0.0") -> dict[str, bytes]:
    """A package with an entry, an export, and a module of its own."""
    manifest = (
        f'[package]\nname = "{DEPLOY}"\nversion = "{version}"\nexports = ["k8s/*.flow"]\n'
        f'[requires]\n"{NOTIFY}" = "1.0.0"\n[permissions]\nwrite = ["."]\n'
    )
    texts = {"flowmetal.toml": manifest, "lib.flow": LIB, "inner.flow": 'prefix = "deployed "\n'}
    return {name: text.encode() for name, text in {**texts, "k8s/names.flow": 'name = "web"\n'}.items()}


def notify_files(version: str = "1.0.0") -> dict[str, bytes]:
    """A package that no other needs."""
    manifest = f'[package]\nname = "{NOTIFY}"\nversion = "{version}"\n'
    return {"flowmetal.toml": manifest.encode(), "lib.flow": b'def tell():\n    return ", told"\n'}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    root = tmp_path / "registry"
    publish(root, deploy_files(), DEPLOY)
    publish(root, notify_files(), NOTIFY)
    return root


@pytest.fixture
def person(tmp_path: Path, registry: Path) -> Cli:
    folder = tmp_path / "person"
    write(folder / "main.flow", MAIN.encode())
    manifest = f'[requires]\n"{DEPLOY}" = "1.0.0"\n[[registry]]\nprefix = "{HOST}"\nurl = "file:../registry"\n'
    write(folder / "flowmetal.toml", manifest.encode())
    cli = Cli(folder)
    cli.environment |= {"FLOWMETAL_CACHE": str(folder / "cache"), "FLOWMETAL_REGISTRIES": str(folder / "none.toml")}
    cli.environment.pop("CI", None)
    return cli


def test_a_package_is_loaded_locked_and_replayed_without_a_trace_of_it(person: Cli, registry: Path) -> None:
    waits = person.start("run", "main.flow:saves", "--id", "killed", "--on-deny", "wait", "--allow", "write=.")
    until(lambda: "asks" in person("show", "killed").out)
    waits.kill()
    waits.communicate()
    done = person("run", "main.flow:main", "--id", "r")
    assert (done.code, done.out) == (0, "deployed web, told\n"), done.err
    # Locked: the registry is not asked, whatever may have become of it.
    shutil.rmtree(registry)
    done = person("run", "main.flow:main", "--frozen", "--offline")
    assert (done.code, done.out, done.err) == (0, "deployed web, told\n", "")
    assert person("check", "main.flow", "--frozen").code == 0
    # Recorded: neither cache nor lock is looked at.
    shutil.rmtree(person.folder / "cache")
    (person.folder / "flowmetal.lock").unlink()
    shown = person("show", "r", "--json").json
    assert [(each["package"], each["version"]) for each in shown["packages"]] == [(DEPLOY, "1.0.0"), (NOTIFY, "1.0.0")]
    done = person("resume", "killed", "--allow-for", DEPLOY, "write=.")
    assert done.code == 0, done
    assert person.text("out.txt") == "x"
    assert person("verify").code == 0
    done = person("run", "main.flow:main", "--frozen")
    assert done.code == 6, done
    assert "is not in the lock" in done.err
    assert "main.flow:2" in done.err


def test_each_reason_has_an_exit_code(person: Cli, registry: Path) -> None:
    done = person("run", "main.flow:main")
    assert f"flowmetal.lock: {DEPLOY} 1.0.0 sha256:" in done.err
    assert "its code may need write=." in done.err
    person.file("flowmetal.lock", "")
    frozen = person("run", "main.flow:main", "--frozen")
    assert (frozen.code, "is not in the lock" in frozen.err) == (6, True), frozen
    person.file("flowmetal.toml", f'[requires]\n"{DEPLOY}" = "1.0.0"\n')
    shutil.rmtree(person.folder / "cache")
    offline = person("run", "main.flow:main", "--offline")
    assert (offline.code, "is not on this machine" in offline.err) == (7, True), offline
    person.file("flowmetal.toml", '[requires]\n"localhost:9/x" = "1.0.0"\n')
    person.file("main.flow", 'load("localhost:9/x", "a")\n')
    unreachable = person("run", "main.flow")
    assert (unreachable.code, "cannot reach localhost:9" in unreachable.err) == (8, True), unreachable
    person.file("main.flow", f'load("{NOTIFY}", "a")\n')
    unknown = person("run", "main.flow")
    assert (unknown.code, "flowmetal.toml does not require" in unknown.err) == (2, True), unknown


LOADS = [
    # a load in the main file; what is said of it
    (f'load("{DEPLOY}//inner.flow", "prefix")', "does not export inner.flow"),
    (f'load("{DEPLOY}//k8s/name.flow", "name")', "did you mean `k8s/names.flow`?"),
    (f'load("{DEPLOY}@1.0.1", "deploy")', f"flowmetal.toml requires {DEPLOY} 1.0.0"),
    (f'load("{DEPLOY}s", "deploy")', f"does not require {DEPLOY}s, did you mean `{DEPLOY}`?"),
    (f'load("{DEPLOY}", "deplay")', "deploy"),
    (f'load("{DEPLOY}//../notify/lib.flow", "tell")', f"leaves the package {DEPLOY}"),
    (f'load("{DEPLOY}@v1.0", "deploy")', "write @1.0.0:"),
    (f'load("{DEPLOY}@1.0.0/k8s/names.flow", "name")', f'write "{DEPLOY}@1.0.0//k8s/names.flow"'),
    (f'load("{DEPLOY}//k8s/names.flow@1.0.0", "name")', f'write "{DEPLOY}@1.0.0//k8s/names.flow"'),
    (f'load("{DEPLOY}/k8s/names.flow", "name")', f'"{DEPLOY}/k8s//names.flow", of a package'),
    (f'load("{HOST}/V1/deploy", "deploy")', "names of packages are in lower case"),
]


def test_loads_that_may_not_be(person: Cli) -> None:
    files = [person.file(f"bad{at}.flow", f"\n{written}\n") for at, (written, _) in enumerate(LOADS)]
    done = person("check", *files, "--json")
    assert done.code == 1, done
    found = done.json
    assert [(each["file"], each["line"]) for each in found] == [(file, 2) for file in files]
    for each, (_, says) in zip(found, LOADS, strict=True):
        assert says in f"{each['message']} {each['help']}"


def test_an_error_is_at_the_load_that_it_is_about(person: Cli) -> None:
    lines = (f'load("{NOTIFY}@1.0.0", "tell")', 'load("./none.flow", "x")', f'load("{HOST}/v1/none@1.0.0", "y")')
    person.file("scripts/both.flow", "\n".join(lines))
    person.file("scripts/last.flow", "\n".join((lines[0], lines[2])))
    person.file("registries.toml", f'[[registry]]\nprefix = "{HOST}"\nurl = "file:../registry"\n')
    person.environment["FLOWMETAL_REGISTRIES"] = str(person.folder / "registries.toml")
    person.file("flowmetal.toml", "")
    both, last = person("run", "scripts/both.flow"), person("run", "scripts/last.flow")
    assert (both.code, "there is no file" in both.err, "both.flow:2" in both.err) == (2, True, True), both
    assert (last.code, "there is no package" in last.err, "last.flow:2" in last.err) == (8, True, True), last
    checked = person("check", "scripts/last.flow")
    assert (checked.code, checked.err) == (8, last.err), checked


def test_a_package_loads_what_its_own_manifest_requires(person: Cli, registry: Path) -> None:
    files = deploy_files("1.0.1")
    manifest = files["flowmetal.toml"].decode().replace(f'"{NOTIFY}" = "1.0.0"', "")
    publish(registry, {**files, "flowmetal.toml": manifest.encode()}, DEPLOY)
    requires = f'[requires]\n"{DEPLOY}" = "1.0.1"\n"{NOTIFY}" = "1.0.0"\n'
    person.file("flowmetal.toml", f'{requires}[[registry]]\nprefix = "{HOST}"\nurl = "file:../registry"\n')
    done = person("run", "main.flow:main")
    assert done.code == 2, done
    assert f"the manifest of {DEPLOY} does not require {NOTIFY}" in done.err
    assert f"{DEPLOY}//lib.flow:2" in done.err


def test_modules_of_packages_that_load_each_other(person: Cli, registry: Path) -> None:
    back = notify_files("1.0.1")
    manifest = back["flowmetal.toml"] + f'[requires]\n"{DEPLOY}" = "1.0.0"\n'.encode()
    lib = back["lib.flow"] + f'load("{DEPLOY}", "deploy")\n'.encode()
    publish(registry, {"flowmetal.toml": manifest, "lib.flow": lib}, NOTIFY)
    requires = f'[requires]\n"{DEPLOY}" = "1.0.0"\n"{NOTIFY}" = "1.0.1"\n'
    person.file("flowmetal.toml", f'{requires}[[registry]]\nprefix = "{HOST}"\nurl = "file:../registry"\n')
    done = person("run", "main.flow:main")
    assert done.code == 2, done
    assert "modules load each other in a circle" in done.err
    assert f"{NOTIFY}//lib.flow" in done.err


def test_a_ceiling_is_recorded_with_the_run(person: Cli) -> None:
    grants = (
        "--allow",
        "write=.",
        "--allow",
        "read=.",
        "--allow-for",
        DEPLOY,
        "read=.",
        "--allow-for",
        DEPLOY,
        "write=.",
    )
    done = person("run", "main.flow:saves", "--id", "may", *grants)
    assert done.code == 0, done
    person.file("flowmetal.lock", person.text("flowmetal.lock").replace('"write=."', ""))
    done = person("run", "main.flow:saves", "--id", "may-not", *grants)
    assert done.code == 1, done
    assert f"is beyond the permissions of the package {DEPLOY}" in done.err


def test_two_people_and_a_web_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One makes and publishes a package, the other loads it by https; the second time there is no server."""
    author, reader = Cli(tmp_path / "author"), Cli(tmp_path / "reader")
    for cli in (author, reader):
        cli.folder.mkdir()
        cli.environment |= {"FLOWMETAL_CACHE": str(cli.folder / "cache"), "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        cli.environment["FLOWMETAL_REGISTRIES"] = str(cli.folder / "registries.toml")
        cli.environment.pop("CI", None)
    for name, data in notify_files().items():
        write(author.folder / "notify" / name, data)
    done = author("publish", "notify", "--to", "public")
    assert done.code == 0, done
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    reader.file("main.flow", f'load("{NOTIFY}@1.0.0", "tell")\nprint(tell())\n')
    with site(author.folder / "public", authority) as served:
        reader.file("registries.toml", f'[[registry]]\nprefix = "{HOST}"\nurl = "{served.url}"\n')
        done = reader("check", "main.flow")
        assert (done.code, done.out) == (0, ""), done
        assert f"used for the first time: {NOTIFY} 1.0.0" in done.err
        asked = len(served.seen)
    assert asked == 3
    done = reader("run", "main.flow", "--offline")
    assert done.code == 0, done
    assert ", told" in done.out + done.err


def test_a_run_of_a_flow_of_a_package_becomes_a_test(person: Cli, registry: Path) -> None:
    package = f"{HOST}/v1/greet"
    files = {"lib": 'greet = flow(lambda fctx: "hello")\n'}
    publish(registry, files_of(package, "1.0.0", **files), package)
    where = f'[[registry]]\nprefix = "{HOST}"\nurl = "file:../registry"\n'
    for run_id, at, manifest in (
        ("script", "@1.0.0", where),
        ("project", "", f'{where}[requires]\n"{package}" = "1.0.0"'),
    ):
        person.file("flowmetal.toml", manifest)
        person.file("main.flow", f'load("{package}{at}", "greet")\nif __name__ == "__flow__":\n    greet()\n')
        assert person("run", "main.flow", "--id", run_id).code == 0
        refused = person("run", "main.flow:greet")
        assert (refused.code, "a flow of a package is run by one of your own" in refused.err) == (2, True), refused
        assert person("fixture", run_id, "-o", f"{run_id}_test.flow").code == 0
        assert f'load("{package}{at}", "greet")' in person.text(f"{run_id}_test.flow")
        shutil.rmtree(person.folder / "cache")
        done = person("test", f"{run_id}_test.flow")
        assert (done.code, "1 passed" in done.out) == (0, True), done
    (person.folder / "flowmetal.lock").unlink()
    done = person("test", "--crash-everywhere", "project_test.flow")
    assert (done.code, f"note: flowmetal.lock: {package} 1.0.0" in done.err) == (0, True), done
    for target in (f"{package}@1.0.0:greet", f"{package}//lib.flow:greet", package):
        refused = person("run", target)
        load = target.removesuffix(":greet")
        assert (refused.code, f'write a file with load("{load}", …) in it' in refused.err) == (2, True), refused


def test_a_package_that_came_later_may_need_nothing(person: Cli) -> None:
    """What it may need was never accepted for this run, and no grant opens more."""
    wait = "def _main(fctx):\n    unwrap(fctx.actions.receive('go'))\n"
    person.file("later.flow", f"{wait}    return 1\n\nmain = flow(_main)\n")
    waits = person.start("run", "later.flow:main", "--id", "later", "--allow", "write=.")
    until(lambda: "a message" in person("show", "later").out)
    waits.kill()
    waits.communicate()
    person.file("later.flow", f'load("{DEPLOY}", "save")\n\n{wait}    return save(fctx)\n\nmain = flow(_main)\n')
    assert person("upgrade", "later", "later.flow").code == 0
    assert person("signal", "later", "go").code == 0
    done = person("resume", "later", "--allow-for", DEPLOY, "write=.")
    assert (done.code, "[permissions] in its flowmetal.toml has nothing" in done.err) == (1, True), done
    assert not (person.folder / "out.txt").exists()


def test_a_package_ends_no_life_of_a_flow_of_yours(person: Cli, registry: Path) -> None:
    """It would choose what the flow does next, and nothing of that life would be on its account."""
    package = f"{HOST}/v1/again"
    library = "def again(way):\n    getattr(current_flow().actions, way)(path = 'out.txt')\n"
    library += "def _loop(fctx):\n    return fctx.args.path or again('continue_as_new')\n\n"
    library += "loop = flow(_loop, args = {'path': args.string(default = '')})\n"
    manifest = f'[package]\nname = "{package}"\nversion = "1.0.0"\n'
    publish(registry, {"flowmetal.toml": manifest.encode(), "lib.flow": library.encode()}, package)
    place = f'[[registry]]\nprefix = "{HOST}"\nurl = "file:../registry"\n'
    person.file("flowmetal.toml", f'[requires]\n"{package}" = "1.0.0"\n{place}')
    person.file(
        "main.flow",
        f'load("{package}", "again", "loop")\n\ndef _main(fctx):\n    if fctx.args.path:\n'
        '        return fctx.actions.write(fctx.args.path, "x")\n    return again(fctx.args.way)\n\n'
        'main = flow(_main, args = {"path": args.string(default = ""), "way": args.string(default = "")})\n'
        "own = flow(lambda fctx: unwrap(loop()))\n",
    )
    for way in ("continue_as_new", "safe_point"):
        done = person("run", "main.flow:main", "--allow", "write=.", "--", "--way", way)
        assert (done.code, f"is called by the package {package}, whose flow this is not" in done.err) == (1, True), done
    assert not (person.folder / "out.txt").exists()
    assert person("run", "main.flow:own").out == "out.txt\n"
