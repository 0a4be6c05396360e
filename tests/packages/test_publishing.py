"""A registry is whole wherever a publisher is killed, and loses no version of publishers at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowmetal.errors import UsageError
from flowmetal.packages.archive import unpack_archive
from flowmetal.packages.document import Index, parse_document, parse_index
from flowmetal.packages.layout import INDEX, archive_path, document_path
from flowmetal.packages.listing import listing_of
from flowmetal.packages.preparing import Prepared, prepare
from flowmetal.packages.publishing import base_in, plan, publish, yank
from flowmetal.packages.versions import Version

CHECKOUT = Path(__file__).absolute().parents[2]
NAME = "pkg.example.org/v1/hello"
NOW = "2026-01-31T23:59:59Z"
LATER = "2026-02-01T00:00:00Z"
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine stops in these tests, so no disk needs to be waited for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def whole(base: Path) -> Index:
    """The index of a registry all of whose versions are there and are what they should be."""
    if not (base / INDEX).exists():
        return Index(NAME)
    index = parse_index((base / INDEX).read_bytes(), "the index")
    for version, listed in index.versions.items():
        document = parse_document((base / document_path(version)).read_bytes(), "the document")
        assert (document.sha256, document.version, document.published) == (listed.doc, version, listed.published)
        archive = (base / archive_path(document.archive.sha256)).read_bytes()
        assert listing_of(unpack_archive(archive, document.archive)).digest == document.tree
    return index


def test_what_is_published_is_there(package: Write, tmp_path: Path) -> None:
    base = base_in(tmp_path / "public", NAME)
    assert base == tmp_path / "public/pkg.example.org/v1/hello"
    published = publish(prepare(package()), base, NOW)
    assert (published.is_new, published.previous) == (True, None)
    assert list(whole(base).versions) == [Version(1, 0, 0)]
    there = [path for path in base.rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in there) == [".gz", ".json", ".json"]
    assert {path.stat().st_mode & 0o777 for path in there} == {0o644}


def test_publishing_the_same_again_changes_nothing(package: Write, tmp_path: Path) -> None:
    prepared = prepare(package())
    first = publish(prepared, tmp_path, NOW)
    before = (tmp_path / INDEX).read_bytes()
    again = publish(prepared, tmp_path, LATER)
    assert (again.is_new, again.document) == (False, first.document)
    assert (tmp_path / INDEX).read_bytes() == before


def test_publishing_the_same_again_restores_what_is_missing(package: Write, tmp_path: Path) -> None:
    prepared = prepare(package())
    document = publish(prepared, tmp_path, NOW).document
    (tmp_path / document_path(document.version)).unlink()
    (tmp_path / archive_path(document.archive.sha256)).unlink()
    publish(prepared, tmp_path, LATER)
    assert list(whole(tmp_path).versions) == [Version(1, 0, 0)]
    (tmp_path / document_path(document.version)).write_bytes(b"{}")
    (tmp_path / archive_path(document.archive.sha256)).write_bytes(prepared.archive[:-1])
    assert len(publish(prepared, tmp_path, LATER).restored) == 2
    assert list(whole(tmp_path).versions) == [Version(1, 0, 0)]


def test_a_version_never_changes(package: Write, tmp_path: Path) -> None:
    first = prepare(package())
    publish(first, tmp_path, NOW)
    other = prepare(package(**{"lib.flow": "x = 2\n"}))
    before = (tmp_path / INDEX).read_bytes()
    with pytest.raises(UsageError) as error:
        publish(other, tmp_path, LATER)
    assert first.tree in error.value.message
    assert other.tree in error.value.message
    assert (tmp_path / INDEX).read_bytes() == before
    assert len(list((tmp_path / "flowmetal/a").iterdir())) == 1


def test_permissions_are_compared_with_the_version_before(package: Write, tmp_path: Path) -> None:
    publish(prepare(package("1.0.0", '[permissions]\nnet = ["a.org", "b.org"]\n')), tmp_path, NOW)
    publish(prepare(package("1.2.0", '[permissions]\nread = ["/"]\n')), tmp_path, NOW)
    between = plan(prepare(package("1.1.0", '[permissions]\nnet = ["b.org"]\nenv = ["X"]\n')), tmp_path, NOW)
    assert between.previous == Version(1, 0, 0)
    assert (between.added, between.removed) == (("env=X",), ("net=a.org",))


def test_a_plan_writes_nothing(package: Write, tmp_path: Path) -> None:
    base = tmp_path / "public"
    assert plan(prepare(package()), base, NOW).is_new
    assert not base.exists()


def test_the_registry_of_another_package_is_refused(package: Write, tmp_path: Path) -> None:
    (tmp_path / "flowmetal").mkdir()
    (tmp_path / INDEX).write_bytes(Index("pkg.example.org/v1/other").data)
    with pytest.raises(UsageError, match=r"registry of pkg.example.org/v1/other"):
        publish(prepare(package()), tmp_path, NOW)


def test_a_yanked_version_stays_and_comes_back(package: Write, tmp_path: Path) -> None:
    publish(prepare(package()), tmp_path, NOW)
    before = whole(tmp_path)
    assert yank(tmp_path, NAME, Version(1, 0, 0)).versions[Version(1, 0, 0)].yanked
    assert whole(tmp_path).versions[Version(1, 0, 0)].yanked
    yank(tmp_path, NAME, Version(1, 0, 0), undo=True)
    assert whole(tmp_path) == before
    with pytest.raises(UsageError, match=r"has no version 1.0.1"):
        yank(tmp_path, NAME, Version(1, 0, 1))
    with pytest.raises(UsageError, match="is not in this registry"):
        yank(tmp_path / "elsewhere", NAME, Version(1, 0, 0))


def test_publishing_at_once_loses_no_version(package: Write, tmp_path: Path) -> None:
    prepared: list[Prepared] = [prepare(package(f"1.{minor}.0")) for minor in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda each: publish(each, tmp_path, NOW), prepared))
    assert sorted(whole(tmp_path).versions) == [Version(1, minor, 0) for minor in range(12)]


KILLED = """
import os, signal, sys
from pathlib import Path
from flowmetal.packages import durable
from flowmetal.packages.preparing import prepare
from flowmetal.packages.publishing import publish

folder, base = Path(sys.argv[1]), Path(sys.argv[2])
left = 0

def counted(call):
    def wrapper(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapper

os.fsync = lambda _: None
for name in ("fsync", "rename", "fchmod", "mkdir", "unlink", "open", "close"):
    setattr(os, name, counted(getattr(os, name)))

prepared = prepare(folder)
step, alive = 0, False
while not alive:
    step += 1
    left = step
    child = os.fork()
    if child == 0:
        left = step
        publish(prepared, base / str(step), "2026-01-31T23:59:59Z")
        os._exit(0)
    left = 0
    alive = os.waitpid(child, 0)[1] == 0
print(step)
"""
"""Publishes into a registry after the other, killed at its first step, at its second and so on until one is through."""


def test_a_registry_is_whole_wherever_a_publisher_is_killed(package: Write, tmp_path: Path) -> None:
    base = tmp_path / "registries"
    publish(prepare(package("1.0.0")), base / "1", NOW)
    for step in range(2, 61):
        shutil.copytree(base / "1", base / str(step))
    folder = package("1.1.0", **{"lib.flow": "x = 2\n"})
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(base)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    steps = int(done.stdout)
    assert 15 < steps <= 60
    second = prepare(folder)
    seen = set()
    for step in range(1, steps + 1):
        versions = tuple(map(str, whole(base / str(step)).versions))
        seen.add(versions)
        assert versions == ("1.0.0", "1.1.0") if step == steps else versions[0] == "1.0.0"
        publish(second, base / str(step), LATER)
        assert list(map(str, whole(base / str(step)).versions)) == ["1.0.0", "1.1.0"]
        assert not list((base / str(step)).rglob(".new-*"))
    assert seen == {("1.0.0",), ("1.0.0", "1.1.0")}
