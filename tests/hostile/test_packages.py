"""Packages that lie, and registries that change: each is refused by name, and nothing of it is kept.

The numbers are those of the list of hostile input.  What an archive can do is in ``../packages/test_archive.py``,
what a web server can in ``../packages/test_fetching.py``.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowmetal.errors import DigestError, FlowmetalError, HomeError, NotCachedError, PackageError, UsageError
from flowmetal.packages.archive import facts_of, pack_archive
from flowmetal.packages.bounds import MAX_ARCHIVE_BYTES, MAX_UNPACKED_BYTES
from flowmetal.packages.cache import Cache
from flowmetal.packages.document import VersionDocument
from flowmetal.packages.late import Conduct
from flowmetal.packages.layout import INDEX, archive_path, base_path, document_path
from flowmetal.packages.manifest import read_manifest
from flowmetal.packages.preparing import prepare
from flowmetal.packages.project import Project
from tests.packages.registry import (
    DEPLOY,
    HOST,
    NOTIFY,
    Person,
    files_of,
    list_document,
    publish,
    put,
    version,
    versions,
    write,
)
from tests.packages.sites import site

FILES = files_of(DEPLOY, "1.0.0")


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def person(tmp_path: Path, registry: Path) -> Person:
    somebody = Person(tmp_path / "person")
    somebody.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    return somebody


# -- 35 to 38: what is published is not what is said ---------------------------------------------------


def with_archive(make: Callable[[bytes], bytes], *, honest: bool) -> Callable[[Path, VersionDocument], None]:
    """Puts another archive in the place of the published one; an honest document says so."""

    def do(root: Path, document: VersionDocument) -> None:
        base = root / base_path(DEPLOY)
        before = (base / archive_path(document.archive.sha256)).read_bytes()
        after = make(before)
        if honest:
            document = replace(document, archive=replace(facts_of(after, FILES)))
            list_document(root, document)
        write(base / archive_path(document.archive.sha256), after)

    return do


def with_files(more: dict[str, bytes]) -> Callable[[Path, VersionDocument], None]:
    """Has other files in the archive than the tree says."""

    def do(root: Path, document: VersionDocument) -> None:
        files = {**FILES, **more}
        archive = pack_archive(files)
        write(root / base_path(DEPLOY) / archive_path(facts_of(archive, files).sha256), archive)
        list_document(root, replace(document, archive=facts_of(archive, files)))

    return do


def with_document(**changes: object) -> Callable[[Path, VersionDocument], None]:
    """A document that says something else than the manifest does."""
    return lambda root, document: list_document(root, replace(document, **changes))  # type: ignore[arg-type]


def other_document(root: Path, document: VersionDocument) -> None:
    """37: the document is not the one whose digest the index has."""
    changed = replace(document, license="another")
    (root / base_path(DEPLOY) / document_path(document.version)).write_bytes(changed.data)


def other_index(root: Path, document: VersionDocument) -> None:
    """The index is that of another package."""
    path = root / base_path(DEPLOY) / INDEX
    data = json.loads(path.read_bytes())
    path.write_text(json.dumps({**data, "package": NOTIFY}))


def bomb(data: bytes) -> bytes:
    return gzip.compress(bytes(8 << 20), mtime=0)


def nested(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


PUBLISHED: dict[str, tuple[Callable[[Path, VersionDocument], None], type[FlowmetalError], str]] = {
    "35 a bomb": (with_archive(bomb, honest=True), PackageError, ""),
    "35 another archive": (
        with_archive(lambda data: data[:-1] + b"x", honest=False),
        DigestError,
        "its document says sha256:",
    ),
    "35 a nested archive": (with_archive(nested, honest=True), PackageError, "in the middle of a file"),
    "35 two archives": (with_archive(lambda data: data * 2, honest=True), PackageError, "follow the archive"),
    "35 a cut archive": (with_archive(lambda data: data[:-30], honest=True), PackageError, ""),
    "36 one more file": (with_files({"extra.flow": b"x = 1\n"}), DigestError, "its document says sha256:"),
    "36 another file": (with_files({"lib.flow": b"x = 1\n"}), DigestError, "its document says sha256:"),
    "37 another document": (other_document, DigestError, "its index says sha256:"),
    "37 another package's index": (other_index, PackageError, "is that of"),
    "41 it hides what it may need": (with_document(permissions=("read=.",)), PackageError, "another `permissions`"),
    "41 it hides what it requires": (with_document(requires={NOTIFY: version("1.0.0")}), FlowmetalError, ""),
    "41 another entry": (with_document(entry="other.flow"), PackageError, "another `entry`"),
    "another version": (with_document(version=version("1.0.1")), FlowmetalError, ""),
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_what_is_published_and_a_lie(registry: Path, person: Person, case: str) -> None:
    change, error, says = PUBLISHED[case]
    change(registry, publish(registry, FILES, DEPLOY))
    if case == "another version":
        person.requires({DEPLOY: "1.0.1"}, f"file:{registry}")
    with pytest.raises(error) as caught:
        person.load()
    assert says in str(caught.value)
    assert HOST in str(caught.value)
    assert not (person.project / "flowmetal.lock").exists()
    assert not list((person.folder / "cache").glob("tree/*"))


def test_37_38_the_same_version_with_another_tree(registry: Path, tmp_path: Path, person: Person) -> None:
    before = put(registry, DEPLOY, "1.0.0")
    person.load()
    now = put(registry, DEPLOY, "1.0.0", lib="evil = True\n")
    # Somebody who has the lock, and nothing else, is told; so is who has only used it before.
    other = Person(tmp_path / "other")
    other.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    (other.project / "flowmetal.lock").write_bytes((person.project / "flowmetal.lock").read_bytes())
    (person.project / "flowmetal.lock").unlink()
    (person.folder / "cache").rename(tmp_path / "cache-of-before")
    for somebody in (other, person):
        with pytest.raises(DigestError) as caught:
            somebody.load()
        assert before in caught.value.message
        assert now in caught.value.message


# -- 41, 42, 45: what a manifest asks for --------------------------------------------------------------


def test_41_a_package_chooses_no_registry(registry: Path, tmp_path: Path, person: Person) -> None:
    evil = tmp_path / "evil"
    put(evil, NOTIFY, "1.0.0", lib="evil = True\n")
    tables = f'[[registry]]\nprefix = "{HOST}"\nurl = "file:{evil}"\n'
    publish(registry, files_of(DEPLOY, "1.0.0", {NOTIFY: "1.0.0"}, tables), DEPLOY)
    put(registry, NOTIFY, "1.0.0")
    assert person.load().members[NOTIFY].texts["lib.flow"] == b'version = "1.0.0"\n'


def test_too_many_packages(registry: Path, person: Person) -> None:
    for number in range(258):
        put(registry, f"{HOST}/p{number}", "1.0.0", {f"{HOST}/p{number + 1}": "1.0.0"} if number < 257 else {})
    person.requires({f"{HOST}/p0": "1.0.0"}, f"file:{registry}")
    with pytest.raises(PackageError, match="more than 256 packages"):
        person.load(f"{HOST}/p0")


def test_a_package_calls_nothing_on_the_machine_of_who_loads_it(registry: Path, tmp_path: Path, person: Person) -> None:
    with site(tmp_path / "private") as private:
        document = publish(registry, FILES, DEPLOY)
        list_document(registry, replace(document, requires={f"{private.host}/admin": version("1.0.0")}))
        with pytest.raises(PackageError, match="which is on another machine for everybody else"):
            person.load()
        assert private.seen == []


def test_many_packages_of_the_largest_size(registry: Path, person: Person) -> None:
    """Each is within its limits; a stranger's requirements say how many there are."""
    half = os.urandom(MAX_ARCHIVE_BYTES // 2)
    for number in range(6):
        name = f"{HOST}/p{number}"
        files = files_of(name, "1.0.0", {f"{HOST}/p{number + 1}": "1.0.0"} if number < 5 else {})
        publish(registry, {**files, "data.bin": half + bytes(MAX_UNPACKED_BYTES - len(half) - 10_000)}, name)
    person.requires({f"{HOST}/p0": "1.0.0"}, f"file:{registry}")
    with pytest.raises(PackageError, match="more than 67,108,864 bytes together"):
        person.load(f"{HOST}/p0")


def test_a_key_of_many_parts_takes_no_time() -> None:
    """A parser that is quadratic in them took minutes for what a manifest may have."""
    for key in (".".join("a" * 100_000), ".".join(['"a"'] * 50_000), "[" + " . ".join("a" * 50_000) + "]"):
        with pytest.raises(UsageError, match="line 2 has a key of too many parts"):
            read_manifest(f"# {'.' * 100}\n{key} = 1\n", "flowmetal.toml")
    hosts = '"a.b.c.example", ' * 40
    assert read_manifest(f"[permissions]\nnet = [{hosts}]\n", "flowmetal.toml").permissions


def test_what_is_no_file_is_not_waited_for(registry: Path, person: Person, tmp_path: Path) -> None:
    put(registry, DEPLOY, "1.0.0")
    person.load()
    (first,) = (person.folder / "first-use").iterdir()
    first.unlink()
    os.mkfifo(first)
    (person.project / "flowmetal.lock").unlink()
    with pytest.raises(HomeError, match="not a regular file"):
        person.load()
    folder = tmp_path / "folder"
    for path, data in FILES.items():
        write(folder / path, data)
    os.mkfifo(folder / "pipe.flow")
    person.requires({DEPLOY: "1.0.0"}, tables=f'[replace]\n"{DEPLOY}" = {{ path = "{folder}" }}')
    with pytest.raises(PackageError, match="not a regular file"):
        person.load()
    (folder / "flowmetal.toml").unlink()
    os.mkfifo(folder / "flowmetal.toml")
    with pytest.raises(UsageError, match="not a regular file"):
        prepare(folder)


@pytest.mark.parametrize("link", ["vendor", f"vendor/{HOST}", f"vendor/{DEPLOY}/flowmetal/v"])
def test_vendor_writes_through_no_link(registry: Path, person: Person, tmp_path: Path, link: str) -> None:
    put(registry, DEPLOY, "1.0.0")
    person.load()
    (tmp_path / "outside").mkdir()
    (person.project / link).parent.mkdir(parents=True, exist_ok=True)
    (person.project / link).symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="it is a link"):
        Project(person.project, person.demand).vendor(False, "2026-01-01T00:00:00Z")
    assert list((tmp_path / "outside").iterdir()) == []


# -- 47: the cache -------------------------------------------------------------------------------------


def test_47_a_damaged_entry_is_fetched_again_or_named(registry: Path, person: Person) -> None:
    tree = put(registry, DEPLOY, "1.0.0", lib="x = 'abcdef'\n")
    person.load()
    blobs = [path for path in (person.folder / "cache" / "blob").rglob("*") if path.is_file()]
    listing = person.folder / "cache" / "tree" / tree.removeprefix("sha256:")
    assert {oct(path.stat().st_mode & 0o777) for path in [*blobs, listing]} == {"0o444"}
    for damaged in [*blobs, listing]:
        for content in (b"evil = True\n", b"", None):
            damaged.unlink()
            if content is not None:
                damaged.write_bytes(content)
            assert person.load().members[DEPLOY].texts["lib.flow"] == b"x = 'abcdef'\n"
    assert Cache(person.folder / "cache").verify() == (len(blobs) + 2, [])
    blobs[0].chmod(0o644)
    blobs[0].write_bytes(b"evil")
    person.requires({DEPLOY: "1.0.0"})
    with pytest.raises(NotCachedError) as caught:
        person.load(conduct=Conduct(offline=True))
    assert f"damaged: {blobs[0]}" in caught.value.message
    assert Cache(person.folder / "cache").verify()[1] == [blobs[0]]


def test_47_links_in_the_cache_lead_nowhere(registry: Path, person: Person, tmp_path: Path) -> None:
    put(registry, DEPLOY, "1.0.0")
    (tmp_path / "elsewhere").mkdir()
    cache = person.folder / "cache"
    cache.mkdir(parents=True)
    (cache / "blob").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError, match="cache cannot be written"):
        person.load()
    assert not list((tmp_path / "elsewhere").rglob("*.flow"))
    (cache / "blob").unlink()
    person.load()
    blob = next(path for path in (cache / "blob").rglob("*") if path.is_file())
    (tmp_path / "same").write_bytes(blob.read_bytes())
    blob.unlink()
    blob.symlink_to(tmp_path / "same")
    person.load()
    assert not blob.is_symlink()


def _fill(folder: Path, registry: Path, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    sys.exit(0 if len(Person(folder).load().members) == 2 else 1)


def test_47_eight_processes_fill_one_cache(registry: Path, person: Person) -> None:
    many = {f"m{number}": f"x = {number}\n" * 50 for number in range(30)}
    publish(registry, files_of(DEPLOY, "1.0.0", {NOTIFY: "1.0.0"}, **many), DEPLOY)
    put(registry, NOTIFY, "1.0.0")
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(8)
    processes = [context.Process(target=_fill, args=(person.folder, registry, barrier)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    count, damaged = Cache(person.folder / "cache").verify()
    assert (count > 30, damaged) == (True, [])
    assert not list((person.folder / "cache").rglob(".new-*"))
    assert versions(person.load(conduct=Conduct(frozen=True, offline=True))) == {
        "v1/deploy": "1.0.0",
        "v1/notify": "1.0.0",
    }


def test_killed_at_every_write(registry: Path, tmp_path: Path) -> None:
    """Who is gone in the middle leaves a cache that serves the next one, and nothing that passes for whole."""
    put(registry, DEPLOY, "1.0.0", other="x = 1\n")
    for kill_at in range(1, 60):
        person = Person(tmp_path / str(kill_at))
        person.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
        pid = os.fork()
        if pid == 0:
            _die_at(kill_at)
            try:
                person.load()
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        cache = Cache(person.folder / "cache")
        assert cache.verify()[1] == []
        assert versions(person.load()) == {"v1/deploy": "1.0.0"}
        assert [each.id for each in person.lock.packages] == [DEPLOY]
        cache.collect(0.0)
        assert not list(cache.directory.rglob(".new-*"))
        if not os.WIFSIGNALED(status):
            break
    assert 15 < kill_at < 59


def _die_at(number: int) -> None:
    left = [number]

    def before(function: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **more: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **more)

        return counted

    os.rename = before(os.rename)  # type: ignore[assignment]
    os.fsync = before(os.fsync)  # type: ignore[assignment]
