"""Padding, digests and encodings."""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("pad_left", ["7", 3, "0"], "007"),
        ("pad_left", [-7, 4], "  -7"),
        ("pad_left", ["long", 2], "long"),
        ("pad_left", ["", 0], ""),
        ("pad_right", ["é", 3, "😀"], "é😀😀"),
        ("pad_right", [12, -5], "12"),
        ("sha256", [""], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("base64.decode", [""], ""),
        ("base64.decode", ["w6k="], "é"),
        ("url_quote", ["a b/ü?&=+~"], "a%20b%2F%C3%BC%3F%26%3D%2B~"),
        ("url_quote", ["/a b", "/"], "/a%20b"),
        ("url_unquote", ["a%20b+c%c3%BC"], "a b+cü"),
    ],
)
def test_values(helpers: Any, name: str, args: list[Any], value: str) -> None:
    assert helpers(name, *args) == value


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("pad_left", ["a", 3, ""], 'pad_left: fill is one character, not ""'),
        ("pad_right", ["a", 2**31], "pad_right: the width 2147483648 is over the limit of 1048576"),
        ("pad_left", [1.5, 3], "does not match the type annotation"),
        ("base64.decode", ["abc"], "base64.decode: not standard base64"),
        ("base64.decode", ["a==="], "base64.decode: not standard base64"),
        ("base64.decode", ["ab-_"], "base64.decode: not standard base64"),
        ("base64.decode", ["YQ==\n\n\n\n"], "base64.decode: not standard base64"),
        ("base64.decode", ["é" * 4], "base64.decode: not standard base64"),
        ("base64.decode", ["YWL/"], "base64.decode: the bytes are not UTF-8 text (at byte 2)"),
        ("base64.encode", ["x" * 800_000], "base64.encode: the result is over 1,048,576 bytes"),
        ("url_quote", ["é" * 200_000], "url_quote: the result is over 1,048,576 bytes"),
        ("url_quote", ["a", "é"], "url_quote: safe holds ASCII"),
        ("url_quote", ["a", "%"], "url_quote: safe holds ASCII"),
        ("url_unquote", ["a%zz"], 'url_unquote: "%zz" at character 2 is not % and two hexadecimal digits'),
        ("url_unquote", ["%2"], 'url_unquote: "%2" at character 1'),
        ("url_unquote", ["%ff"], "url_unquote: the decoded bytes are not UTF-8"),
    ],
)
def test_errors(helpers: Any, name: str, args: list[Any], message: str) -> None:
    assert message in helpers.fails(name, *args)


@given(TEXTS)
def test_encodings_return(helpers: Any, text: str) -> None:
    encoded = helpers("base64.encode", text)
    assert encoded == base64.b64encode(text.encode()).decode()
    assert helpers("base64.decode", encoded) == text
    quoted = helpers("url_quote", text)
    assert quoted == urllib.parse.quote(text, safe="")
    assert helpers("url_unquote", quoted) == text
    assert helpers("sha256", text) == hashlib.sha256(text.encode()).hexdigest()
