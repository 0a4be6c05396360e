"""Documents and indexes: bytes that say one thing, and nothing else is taken for them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.packages.archive import ArchiveFacts
from flowmetal.packages.document import Index, Listed, VersionDocument, parse_document, parse_index
from flowmetal.packages.fields import canonical_json
from flowmetal.packages.versions import Version

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DOCUMENT = VersionDocument(
    package="pkg.example.org/v1/deploy",
    version=Version(1, 4, 2),
    tree=f"sha256:{'a' * 64}",
    archive=ArchiveFacts("b" * 64, 100, 200, 2),
    entry="lib.flow",
    exports=("k8s/a.flow", "lib.flow"),
    requires={"pkg.example.org/v1/notify": Version(1, 0, 0)},
    permissions=("net=api.example.org:443",),
    published="2026-01-31T23:59:59Z",
    license="MIT",
    description="Größe",
)
INDEX = Index(
    "pkg.example.org/v1/deploy",
    {
        Version(1, 10, 0): Listed("d" * 64, "2026-01-31T23:59:59Z"),
        Version(1, 9, 0): Listed("c" * 64, "2026-01-30T00:00:00Z", yanked=True),
    },
)


def test_a_document_is_its_bytes() -> None:
    assert parse_document(DOCUMENT.data, "x") == DOCUMENT
    assert DOCUMENT.sha256 == hashlib.sha256(DOCUMENT.data).hexdigest()
    assert b'"description":"Gr\xc3\xb6\xc3\x9fe","dialect":1,' in DOCUMENT.data


def test_an_index_has_a_line_for_each_field_in_the_order_of_versions() -> None:
    assert parse_index(INDEX.data, "x") == INDEX
    lines = INDEX.data.decode().splitlines()
    assert [line.strip() for line in lines if "1." in line] == ['"1.9.0": {', '"1.10.0": {']
    assert lines[-1] == "}"


def _changed(**fields: Any) -> bytes:
    data = json.loads(DOCUMENT.data)
    for name, value in fields.items():
        data[name] = value
    return canonical_json({name: value for name, value in data.items() if value is not ...})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "not a table"),
        (b"1.5", "only whole numbers"),
        (b"NaN", "only whole numbers"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5_000, "not JSON"),
        (b" " * 300_000, "more than 262,144 bytes"),
        (b'{"schema":1,"schema":1}', "a name twice"),
        (DOCUMENT.data + b"\n", "not in its canonical form"),
        (DOCUMENT.data.replace(b":1,", b": 1,", 1), "not in its canonical form"),
        (DOCUMENT.data.replace(b"Gr", rb"\u0047r"), "not in its canonical form"),
        (_changed(schema=2), "a newer Flowmetal"),
        (_changed(schema=True), "not a number"),
        (_changed(more=1), "no key `more`"),
        (_changed(tree=...), "no `tree`"),
        (_changed(tree="sha256:" + "A" * 64), "tree is not"),
        (_changed(package="a.org"), "host without a path"),
        (_changed(version="2.0.0"), "is the line v1"),
        (_changed(archive={}), "no `sha256`"),
        (_changed(archive={"sha256": "b" * 63, "size": 1, "unpacked": 1, "files": 1}), "64 hexadecimal"),
        (_changed(archive={"sha256": "b" * 64, "size": -1, "unpacked": 1, "files": 1}), "not a number"),
        (_changed(archive={"sha256": "b" * 64, "size": 1 << 60, "unpacked": 1, "files": 1}), "not a number"),
        (_changed(entry="../x"), "no path in a package"),
        (_changed(exports=["lib.flow", "a.flow"]), "not sorted"),
        (_changed(exports=[1]), "not a list of strings"),
        (_changed(requires={"a.org/x": "1"}), "no version"),
        (_changed(permissions=["net=b.org", "net=a.org"]), "canonical form"),
        (_changed(permissions=["net=A.org"]), "canonical form"),
        (_changed(permissions=["shell=rm"]), "no class of effects"),
        (_changed(published="yesterday"), "not a time"),
        (_changed(license="\x1b[2J"), "no text"),
        (_changed(license=1), "not a string"),
    ],
)
def test_what_is_no_document(data: bytes, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_document(data, "https://pkg.example.org/x.json")
    assert said in error.value.message
    assert error.value.place == "https://pkg.example.org/x.json"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{}", "no `schema`"),
        (b" " * ((1 << 20) + 1), "more than 1,048,576 bytes"),
        (INDEX.data.replace(b"1.9.0", b"1.9"), "no version"),
        (INDEX.data.replace(b"1.9.0", b"2.9.0"), "is the line v1"),
        (INDEX.data.replace(b"1.9.0", b"1.10.0"), "a name twice"),
        (INDEX.data.replace(b"true", b"1"), "yanked is not true or false"),
        (INDEX.data.replace(b"c" * 64, b"c" * 65), "64 hexadecimal"),
        (INDEX.data.replace(b"yanked", b"revoked"), "no key `revoked`"),
    ],
)
def test_what_is_no_index(data: bytes, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_index(data, "x")
    assert said in error.value.message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@relaxed
@given(st.sampled_from(sorted(json.loads(DOCUMENT.data))), _JSON)
def test_a_field_of_any_kind_is_taken_or_refused(name: str, value: Any) -> None:
    with contextlib.suppress(UsageError):
        assert parse_document(_changed(**{name: value}), "x").data == _changed(**{name: value})


@relaxed
@given(st.binary(max_size=100))
def test_any_bytes_are_an_index_or_an_error(data: bytes) -> None:
    with contextlib.suppress(UsageError):
        parse_index(data, "x")
