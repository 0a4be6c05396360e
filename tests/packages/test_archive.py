"""Archives: the same files are the same archive and tree, and a hostile one is refused by name."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.packages.archive import ArchiveFacts, facts_of, pack_archive, unpack_archive
from flowmetal.packages.listing import listing_of

relaxed = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FILES = {"lib.flow": b"x = 1\n", "k8s/apply.flow": b"y = 2\n", "data/" + "d" * 90 + "/" + "e" * 90: b"\0" * 5000}

_NAME = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_+-]{0,6}(\.flow)?", fullmatch=True)
_PATH = st.lists(_NAME, min_size=1, max_size=4).map("/".join)


def _fits(files: dict[str, bytes]) -> bool:
    try:
        listing_of(files)
    except UsageError:
        return False
    return True


TREES = st.dictionaries(_PATH, st.binary(max_size=1500), max_size=12).filter(_fits)


@relaxed
@given(TREES, st.randoms(use_true_random=False))
def test_any_tree_is_one_archive_whatever_its_order(files: dict[str, bytes], chance: random.Random) -> None:
    names = list(files)
    chance.shuffle(names)
    archive = pack_archive(files)
    assert pack_archive({name: files[name] for name in names}) == archive
    assert unpack_archive(archive, facts_of(archive, files)) == files


@relaxed
@given(TREES, st.randoms(use_true_random=False))
def test_any_tar_of_a_tree_is_that_tree_whatever_its_order_times_and_modes(
    files: dict[str, bytes], chance: random.Random
) -> None:
    names = list(files)
    chance.shuffle(names)
    members = []
    for name in names:
        member = tarfile.TarInfo(name)
        member.mode, member.mtime = chance.choice([0o644, 0o777, 0o4755]), chance.randrange(1 << 32)
        member.uid, member.gid, member.uname = chance.randrange(1 << 20), chance.randrange(1 << 20), "root"
        members.append((member, files[name]))
    there = unpack_archive(_tar(members, level=chance.randrange(10)))
    assert listing_of(there).digest == listing_of(files).digest


def test_an_archive_is_what_tar_reads() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack_archive(FILES)), mode="r:gz") as tar:
        assert [member.name for member in tar] == sorted(FILES)
        assert {(member.mode, member.mtime, member.uid, member.uname) for member in tar} == {(0o644, 0, 0, "")}
        assert {name: tar.extractfile(name).read() for name in FILES} == FILES  # type: ignore[union-attr]


def test_what_would_be_refused_is_not_packed() -> None:
    with pytest.raises(UsageError, match="over 100 times its size"):
        pack_archive({"zeros": bytes(2 << 20)})
    with pytest.raises(UsageError, match=r"the limit is 4,194,304"):
        pack_archive({"noise": random.Random(1).randbytes(5 << 20)})


def _member(name: str = "x", kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def _tar(members: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT, level: int = 9) -> bytes:
    parts = []
    for member, data in members:
        if member.isreg():
            member.size = len(data)
        parts += [member.tobuf(form, "utf-8", "surrogateescape"), data, bytes(-len(data) % 512)]
    return gzip.compress(b"".join([*parts, bytes(1024)]), level)


def _one(member: tarfile.TarInfo, data: bytes = b"", form: int = tarfile.USTAR_FORMAT) -> bytes:
    return _tar([(member, data)], form)


def _raw(change: Callable[[bytearray], object]) -> bytes:
    tar = bytearray(gzip.decompress(pack_archive({"x": b"hello"})))
    change(tar)
    return gzip.compress(bytes(tar))


def _resummed(at: int, data: bytes) -> bytes:
    def change(tar: bytearray) -> None:
        tar[at : at + len(data)] = data
        tar[148:156] = b" " * 8
        tar[148:156] = b"%06o\0 " % sum(tar[:512])

    return _raw(change)


def _huge() -> bytes:
    """A bomb: 10 MB of nothing in 10 KB."""
    return _one(_member(), bytes(10_000_000))


HOSTILE = {
    "symlink": (_one(_member(kind=tarfile.SYMTYPE, linkname="/etc/passwd")), "is a symbolic link"),
    "hard link": (_one(_member(kind=tarfile.LNKTYPE, linkname="y")), "is a hard link"),
    "character device": (_one(_member(kind=tarfile.CHRTYPE)), "is a device"),
    "block device": (_one(_member(kind=tarfile.BLKTYPE)), "is a device"),
    "pipe": (_one(_member(kind=tarfile.FIFOTYPE)), "is a pipe"),
    "folder": (_one(_member("d", tarfile.DIRTYPE)), "is a folder"),
    "contiguous": (_one(_member(kind=tarfile.CONTTYPE)), "is a contiguous file"),
    "sparse": (_one(_member(kind=tarfile.GNUTYPE_SPARSE)), "is a sparse file"),
    "old kind": (_one(_member(kind=tarfile.AREGTYPE)), "of the kind"),
    "long name": (_one(_member("x" * 300), form=tarfile.GNU_FORMAT), "no ustar"),
    "pax": (_one(_member("ü" * 90), form=tarfile.PAX_FORMAT), "is a pax header"),
    "file with a link": (_one(_member(linkname="/etc")), "is a file with a link"),
    "parent": (_one(_member("../x")), "no path in a package"),
    "inner parent": (_one(_member("a/../../x")), "no path in a package"),
    "absolute": (_one(_member("/etc/x")), "no path in a package"),
    "backslash": (_one(_member("..\\x")), "no path in a package"),
    "drive": (_one(_member("C:x")), "no path in a package"),
    "hidden": (_one(_member(".git/config")), "no path in a package"),
    "newline": (_one(_member("x\n0 0 y")), "no path in a package"),
    "empty name": (_resummed(0, b"\0"), "no path in a package"),
    "two names": (_resummed(2, b"y"), "goes on behind its end"),
    "deep": (_one(_member("/".join("abcdefghijklm"))), "12 folders deep"),
    "twice": (_tar([(_member(), b"a"), (_member(), b"b")]), "is in the archive twice"),
    "alias in case": (_tar([(_member("A/x"), b""), (_member("a/y"), b"")]), "differ in case only"),
    "file and folder": (_tar([(_member("a"), b""), (_member("a/y"), b"")]), "is a file and a folder"),
    "bomb": (_huge(), "over 100 times its size"),
    "no tar": (gzip.compress(b"x" * 4096), "no ustar"),
    "large flow": (_one(_member("x.flow"), random.Random(2).randbytes(600_000)), "the limit is 524,288"),
    "large": (_resummed(124, b"77777777777\0"), "the limit is 16,777,216"),
    "many": (_tar([(_member(f"f{n}"), b"") for n in range(2001)]), "more than 2,000 files"),
    "sum": (_raw(lambda tar: tar.__setitem__(3, 65)), "wrong sum"),
    "size that is none": (_resummed(124, b"\x80" + bytes(11)), "not octal"),
    "negative size": (_resummed(124, b"-0000000001\0"), "not octal"),
    "padding": (_raw(lambda tar: tar.__setitem__(600, 1)), "between the end of `x`"),
    "no end": (_raw(lambda tar: tar.__delitem__(slice(1024, None))), "ends in the middle"),
    "half an end": (_raw(lambda tar: tar.__delitem__(slice(1536, None))), "ends in the middle"),
    "hidden tail": (_raw(lambda tar: tar.extend(bytes(512))), "goes on behind its end"),
    "file behind the end": (_raw(lambda tar: tar.__setitem__(1600, 1)), "goes on behind its end"),
    "cut off": (pack_archive(FILES)[:-20], "is cut off"),
    "without sums": (pack_archive(FILES)[:-8], "is cut off"),
    "garbage behind": (pack_archive(FILES) + b"x", "1 bytes follow"),
    "two archives": (pack_archive(FILES) * 2, "bytes follow"),
    "wrong sum of gzip": (pack_archive(FILES)[:-8] + bytes(8), "damaged"),
    "not gzip": (b"PK\x03\x04" + bytes(100), "not gzip"),
    "empty": (b"", "is cut off"),
    "too large": (bytes((4 << 20) + 1), "more than 4,194,304 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_by_name(name: str) -> None:
    archive, said = HOSTILE[name]
    with pytest.raises(UsageError) as error:
        unpack_archive(archive)
    assert said in error.value.message


@pytest.mark.parametrize(
    ("field", "said"),
    [("size", "its document says"), ("sha256", "SHA-256"), ("unpacked", "unpacks to more"), ("files", "more than")],
)
@pytest.mark.parametrize("off", [-1, 1])
def test_an_archive_is_what_its_document_says(field: str, said: str, off: int) -> None:
    archive = pack_archive(FILES)
    right = facts_of(archive, FILES)
    values = {name: getattr(right, name) for name in ("sha256", "size", "unpacked", "files")}
    values[field] = "0" * 64 if field == "sha256" else values[field] + off
    if off > 0 and field in ("unpacked", "files"):
        said = "its document says"
    with pytest.raises(UsageError, match=said):
        unpack_archive(archive, ArchiveFacts(**values))


@relaxed
@given(st.data())
def test_a_damaged_archive_is_an_error_or_other_files(data: st.DataObject) -> None:
    tar = bytearray(gzip.decompress(pack_archive({"a": b"1", "b/c.flow": b"2" * 600})))
    for _ in range(data.draw(st.integers(1, 3))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UsageError):
        assert sum(map(len, unpack_archive(gzip.compress(bytes(tar), 1)).values())) <= len(tar)


def test_files_of_a_directory_are_one_tree_whatever_its_modes_and_times(tmp_path: Path) -> None:
    digests = set()
    for mode, time in ((0o600, 1), (0o755, 2_000_000_000)):
        for name, data in sorted(FILES.items(), reverse=mode == 0o600):
            path = tmp_path / str(mode) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(mode)
            os.utime(path, (time, time))
        found = {
            str(path.relative_to(tmp_path / str(mode))): path.read_bytes()
            for path in (tmp_path / str(mode)).rglob("*")
            if path.is_file()
        }
        digests.add((listing_of(found).digest, pack_archive(found)))
    assert len(digests) == 1
