"""Which versions a program gets: by its manifest, by its lock, by what was first used."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import DigestError, NotCachedError, NotLockedError, PackageError, UnreachableError, UsageError
from flowmetal.packages.late import Conduct
from flowmetal.packages.resolution import Described, select
from flowmetal.packages.versions import Version
from tests.packages.registry import (
    DEPLOY,
    HOST,
    NOTIFY,
    Person,
    files_of,
    list_document,
    names,
    publish,
    put,
    version,
    versions,
)

FROZEN = Conduct(frozen=True)
OFFLINE = Conduct(offline=True)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path / "person")


SELECTIONS = [
    # what the root requires; what each version requires; what is selected
    (["a 1.0.0"], {"a 1.0.0": [], "a 1.9.0": []}, {"a": "1.0.0"}),
    (["a 1.0.0", "b 1.0.0"], {"a 1.0.0": ["b 1.2.0"], "b 1.0.0": [], "b 1.2.0": []}, {"a": "1.0.0", "b": "1.2.0"}),
    # what an outdone version requires counts too, so that no order of looking matters
    (
        ["a 1.0.0", "b 1.0.0"],
        {"a 1.0.0": ["b 1.2.0"], "b 1.0.0": ["c 1.5.0"], "b 1.2.0": ["c 1.1.0"], "c 1.1.0": [], "c 1.5.0": []},
        {"a": "1.0.0", "b": "1.2.0", "c": "1.5.0"},
    ),
    (
        ["a 1.0.0"],
        {"a 1.0.0": ["b 1.0.0"], "b 1.0.0": ["a 1.1.0"], "a 1.1.0": ["b 1.0.0"]},
        {"a": "1.1.0", "b": "1.0.0"},
    ),
    (["a 1.0.0-rc.1"], {"a 1.0.0-rc.1": [], "a 1.0.0": []}, {"a": "1.0.0-rc.1"}),
    (
        ["a 1.0.0-rc.1", "b 1.0.0"],
        {"a 1.0.0-rc.1": [], "a 1.0.0": [], "b 1.0.0": ["a 1.0.0"]},
        {"a": "1.0.0", "b": "1.0.0"},
    ),
]


@pytest.mark.parametrize(("root", "published", "selected"), SELECTIONS)
def test_the_greatest_of_the_least(
    registry: Path, person: Person, root: list[str], published: dict[str, list[str]], selected: dict[str, str]
) -> None:
    for each, requires in published.items():
        name, number = each.split()
        put(registry, f"{HOST}/{name}", number, names(requires))
    for order in itertools.permutations(root):
        person.requires(names(list(order)), f"file:{registry}")
        assert versions(person.load(f"{HOST}/a")) == selected
        assert {each.id.removeprefix(f"{HOST}/"): str(each.version) for each in person.lock.packages} == selected
        assert versions(person.load(f"{HOST}/a", conduct=FROZEN)) == selected


def test_a_lock_decides_until_the_manifest_asks_for_more(registry: Path, person: Person) -> None:
    put(registry, DEPLOY, "1.0.0")
    put(registry, DEPLOY, "1.1.0")
    person.requires({DEPLOY: "1.1.0"}, f"file:{registry}")
    assert versions(person.load()) == {"v1/deploy": "1.1.0"}
    person.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    assert versions(person.load()) == {"v1/deploy": "1.1.0"}
    person.requires({DEPLOY: "1.2.0"}, f"file:{registry}")
    with pytest.raises(NotLockedError, match=r"the lock has .* 1\.1\.0, and 1\.2\.0 is required"):
        person.load(conduct=FROZEN)
    with pytest.raises(UnreachableError, match=r"has no version 1\.2\.0") as caught:
        person.load()
    assert "its newest version is 1.1.0" in caught.value.remedy
    assert person.lock.find(DEPLOY).version == version("1.1.0")  # type: ignore[union-attr]


def test_what_is_not_in_the_lock(registry: Path, person: Person) -> None:
    put(registry, NOTIFY, "1.0.0")
    put(registry, DEPLOY, "1.0.0", {NOTIFY: "1.0.0"})
    person.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    with pytest.raises(NotLockedError, match=f"{DEPLOY} is not in the lock"):
        person.load(conduct=FROZEN)
    person.load()
    text = (person.project / "flowmetal.lock").read_text()
    (person.project / "flowmetal.lock").write_text(text.partition(f'[[package]]\nid = "{NOTIFY}"')[0])
    with pytest.raises(NotLockedError, match=f"{NOTIFY} is not in the lock"):
        person.load(conduct=FROZEN)
    person.load()
    assert (person.project / "flowmetal.lock").read_text() == text


def test_a_project_that_requires_nothing_of_it_asks_nobody(person: Person) -> None:
    person.requires({NOTIFY: "1.0.0"})
    assert person.load(DEPLOY).members == {}


def test_a_yanked_version_is_locked_and_not_chosen(registry: Path, tmp_path: Path, person: Person) -> None:
    first = publish(registry, files_of(DEPLOY, "1.0.0"), DEPLOY)
    person.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    person.load()
    put(registry, DEPLOY, "1.0.1")
    list_document(registry, first, yanked=True)
    assert versions(person.load()) == {"v1/deploy": "1.0.0"}
    other = Person(tmp_path / "other")
    other.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    assert versions(other.load()) == {"v1/deploy": "1.0.1"}
    assert "was yanked: 1.0.1 is taken" in "".join(other.notices)


def test_a_version_that_changed_is_named_with_both_digests(registry: Path, person: Person) -> None:
    before = put(registry, DEPLOY, "1.0.0")
    person.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    person.load()
    now = put(registry, DEPLOY, "1.0.0", lib="version = 'other'\n")
    # Nothing is fetched that the cache has; without it the lock tells, and without a lock the first use.
    assert person.load().members[DEPLOY].tree == before
    person.folder.joinpath("cache").rename(person.folder / "old")
    for file in ("flowmetal.lock", ""):
        with pytest.raises(DigestError) as caught:
            person.load()
        assert before in caught.value.message
        assert now in caught.value.message
        if file:
            (person.project / file).unlink()


def test_scripts_name_versions_in_their_loads(registry: Path, person: Person) -> None:
    tree = put(registry, DEPLOY, "1.0.0")
    put(registry, DEPLOY, "1.1.0")
    (person.folder).mkdir()
    (person.folder / "registries.toml").write_text(f'[[registry]]\nprefix = "{HOST}"\nurl = "file:{registry}"\n')
    assert versions(person.load(f"{DEPLOY}@1.0.0")) == {"v1/deploy": "1.0.0"}
    assert versions(person.load(f"{DEPLOY}@1.0.0", f"{DEPLOY}@1.1.0", DEPLOY)) == {"v1/deploy": "1.1.0"}
    assert versions(person.load(f"{DEPLOY}@{tree}")) == {"v1/deploy": "1.0.0"}
    with pytest.raises(PackageError, match="is pinned to"):
        person.load(f"{DEPLOY}@{tree}", f"{DEPLOY}@1.1.0")
    with pytest.raises(PackageError, match=r"no version of .* is named"):
        person.load(DEPLOY)
    assert not list(person.project.glob("*.lock"))
    # What was used once is known, and with a file for it locked.
    assert versions(person.load(f"{DEPLOY}@1.0.0", conduct=FROZEN)) == {"v1/deploy": "1.0.0"}
    put(registry, DEPLOY, "1.2.0")
    with pytest.raises(NotLockedError, match="is in no lock and was never used here"):
        person.load(f"{DEPLOY}@1.2.0", conduct=FROZEN)
    (person.project / "main.flow.lock").touch()
    person.load(f"{DEPLOY}@1.2.0")
    assert 'version = "1.2.0"' in (person.project / "main.flow.lock").read_text()
    assert versions(person.load(DEPLOY, conduct=FROZEN)) == {"v1/deploy": "1.2.0"}


def test_offline_everything_that_is_absent_is_named(person: Person) -> None:
    person.requires({DEPLOY: "1.0.0", NOTIFY: "1.0.0"})
    with pytest.raises(NotCachedError) as caught:
        person.load(conduct=OFFLINE)
    assert DEPLOY in caught.value.message
    assert NOTIFY in caught.value.message


def test_replacements_are_the_roots_own(registry: Path, person: Person) -> None:
    put(registry, DEPLOY, "1.0.0", {NOTIFY: "1.0.0"}, tables=f'[replace]\n"{NOTIFY}" = {{ path = "/nowhere" }}')
    put(registry, NOTIFY, "1.0.0")
    put(registry, f"{HOST}/v1/other", "1.0.0")
    person.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    assert person.load().members[NOTIFY].version == "1.0.0"
    folder = person.folder / "notify"
    for path, data in files_of(NOTIFY, "1.7.0", lib="here = True\n").items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(data)
    person.requires({DEPLOY: "1.0.0"}, f"file:{registry}", f'[replace]\n"{NOTIFY}" = {{ path = "../notify" }}')
    member = person.load().members[NOTIFY]
    assert (member.version, member.tree, member.texts["lib.flow"]) == ("", "", b"here = True\n")
    assert [each.id for each in person.lock.packages] == [DEPLOY, NOTIFY]
    person.requires({NOTIFY: "1.0.0"}, f"file:{registry}", f'[replace]\n"{NOTIFY}" = {{ package = "{HOST}/v1/other" }}')
    (person.project / "flowmetal.lock").unlink()
    assert person.load(NOTIFY).members[NOTIFY].texts["lib.flow"] == b'version = "1.0.0"\n'


def test_an_update_that_may_do_more_waits_for_acceptance(registry: Path, person: Person) -> None:
    put(registry, DEPLOY, "1.0.0", tables='[permissions]\nread = ["."]\nnet = ["api.example.org"]')
    put(registry, DEPLOY, "1.1.0", tables='[permissions]\nread = ["."]\nwrite = ["."]')
    person.requires({DEPLOY: "1.0.0"}, f"file:{registry}")
    assert person.load().members[DEPLOY].permissions == ("net=api.example.org", "read=.")
    before = (person.project / "flowmetal.lock").read_text()
    assert "its code may need net=api.example.org, read=." in "".join(person.notices)
    person.requires({DEPLOY: "1.1.0"}, f"file:{registry}")
    with pytest.raises(PackageError, match=r"may need more than was accepted of 1\.0\.0: write=\."):
        person.load()
    assert (person.project / "flowmetal.lock").read_text() == before
    assert person.load(conduct=Conduct(accept=[DEPLOY])).members[DEPLOY].permissions == ("read=.", "write=.")
    # Who takes a line out of the lock accepts less.
    lock = person.project / "flowmetal.lock"
    lock.write_text(lock.read_text().replace('"read=.", ', ""))
    assert person.load().members[DEPLOY].permissions == ("write=.",)


def test_a_lock_that_is_none(person: Person) -> None:
    person.requires({DEPLOY: "1.0.0"})
    (person.project / "flowmetal.lock").write_text("<<<<<<< ours\n")
    with pytest.raises(UsageError, match="merge"):
        person.load()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, int], dict[tuple[str, int], dict[str, int]]]:
    """What a root requires, and what each version of some packages does: minor versions by name."""
    names = [f"p{number}" for number in range(draw(st.integers(1, 6)))]
    needs = st.dictionaries(st.sampled_from(names), st.integers(0, 3), max_size=3)
    return draw(needs), {(name, minor): draw(needs) for name in names for minor in range(4)}


@given(graphs())
def test_what_is_selected_is_the_least_that_is_enough(
    graph: tuple[dict[str, int], dict[tuple[str, int], dict[str, int]]],
) -> None:
    root, published = graph

    def as_versions(requires: dict[str, int]) -> dict[str, Version]:
        return {name: Version(1, minor, 0) for name, minor in requires.items()}

    async def describe(package: str, least: Version) -> Described:
        return Described(least, as_versions(published[package, least.minor]))

    selected = asyncio.run(select(as_versions(root), describe))
    reached: set[tuple[str, int]] = set()
    waiting = set(root.items())
    while waiting:
        reached |= waiting
        waiting = {need for node in waiting for need in published[node].items()} - reached
    assert selected == {
        name: Version(1, max(minor for other, minor in reached if other == name), 0) for name, _ in reached
    }
