"""Secrets: where their texts come from, who may be handed one, and that results do not hold them."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowmetal.actions.effect import EffectContext, EffectFailure
from flowmetal.actions.scrubbing import Scrub
from flowmetal.actions.secret_store import SecretStore
from flowmetal.actions.secrets import SECRET, fingerprint, reveal, secret_names, want_secrets
from flowmetal.actions.services import Services
from flowmetal.errors import UsageError
from flowmetal.permissions import Denied, decide_all, parse_grants
from flowmetal.testing.effects import scripted
from flowmetal.testing.harness import failure_of, make_lab, value_of
from flowmetal.values import Wire, ok

TOKEN = 's3cr3t/tökén+with "quotes" & more'


class Held:
    """Secrets in a test's hand."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts

    def text(self, name: str) -> str | None:
        return self.texts.get(name)


def context(**texts: str) -> EffectContext:
    return EffectContext("k", "/base", "http.get", run_key=bytes(16), services=Services(Held(**texts)))


# -- where they come from ------------------------------------------------------------------------------


def test_a_variable_comes_before_a_file(tmp_path: Path) -> None:
    (tmp_path / "TOKEN").write_text("from the file\n")
    (tmp_path / "TOKEN").chmod(0o600)
    assert SecretStore(tmp_path, {"TOKEN": "from outside"}).text("TOKEN") == "from outside"
    assert SecretStore(tmp_path, {}).text("TOKEN") == "from the file"
    assert SecretStore(tmp_path, {}).text("OTHER") is None
    assert SecretStore(tmp_path / "nowhere", {}).text("TOKEN") is None


@pytest.mark.parametrize("name", ["../TOKEN", "/etc/passwd", "", "a b", "A" * 129, "TÖKEN", "a/b", ".", "x\0y"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    assert SecretStore(tmp_path, {name: "text"}).text(name) is None


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "TOKEN"
    path.write_text("long enough")
    for mode in (0o640, 0o604, 0o622, 0o601):
        path.chmod(mode)
        with pytest.raises(UsageError, match="other users can read") as caught:
            SecretStore(tmp_path, {}).text("TOKEN")
        assert caught.value.remedy == f"chmod 600 {path}"


@pytest.mark.parametrize("what", ["link", "directory", "fifo", "large", "bytes"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "TOKEN"
    if what == "link":
        (tmp_path / "other").write_text("long enough")
        path.symlink_to(tmp_path / "other")
    elif what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.write_bytes(b"x" * 70_000 if what == "large" else b"\xff\xfe12345678")
        path.chmod(0o600)
    with pytest.raises(UsageError):
        SecretStore(tmp_path, {}).text("TOKEN")


# -- who may be handed one -----------------------------------------------------------------------------

REQUEST: Wire = {
    "dict": ["Authorization", ["Bearer ", {"secret": ["TOKEN", ""]}], "x", {"tuple": [{"secret": ["B", ""]}]}]
}


def test_secrets_are_wanted_by_name_and_destination() -> None:
    assert secret_names(REQUEST) == ["TOKEN", "B"]
    assert secret_names(["TOKEN", {"struct": ["a", 1]}, {"int": "9" * 30}]) == []
    wants = want_secrets(REQUEST, "api.example.org:443", context())
    assert [want.resource for want in wants] == ["TOKEN@api.example.org:443", "B@api.example.org:443"]


def test_only_what_was_decided_on_is_put_in() -> None:
    here = context(TOKEN=TOKEN, B="bbbbbbbb")
    grants = parse_grants(["secret=TOKEN@api.example.org", "secret=B@api.example.org"], [], "/base")
    allowed = decide_all(grants, want_secrets(REQUEST, "api.example.org:443", here))
    assert not isinstance(allowed, Denied)
    revealed = {"dict": ["Authorization", ["Bearer ", TOKEN], "x", {"tuple": ["bbbbbbbb"]}]}
    assert reveal(REQUEST, allowed, here) == revealed
    with pytest.raises(EffectFailure, match="the secret B cannot be used here"):
        reveal(REQUEST, allowed[:1], here)
    elsewhere = decide_all(grants, want_secrets(REQUEST, "evil.example.org:443", here))
    assert isinstance(elsewhere, Denied)


@pytest.mark.parametrize(("text", "words"), [(None, "there is no secret TOKEN"), ("brief", "shorter than 8")])
def test_what_cannot_be_used_says_why(text: str | None, words: str) -> None:
    here = context(**({} if text is None else {"TOKEN": text}))
    grants = parse_grants(["secret=TOKEN@a.example"], [], "/base")
    allowed = decide_all(grants, SECRET.want({"secret_name": "TOKEN"}, here))
    assert not isinstance(allowed, Denied)
    with pytest.raises(EffectFailure, match=words) as caught:
        SECRET.perform(allowed, {"secret_name": "TOKEN"}, here)
    assert text is None or text not in caught.value.message


def test_a_fingerprint_tells_texts_apart_within_a_run_only() -> None:
    assert fingerprint("one text", b"k" * 16) == fingerprint("one text", b"k" * 16)
    assert fingerprint("one text", b"k" * 16) != fingerprint("two text", b"k" * 16)
    assert fingerprint("one text", b"k" * 16) != fingerprint("one text", b"j" * 16)


# -- results -------------------------------------------------------------------------------------------

ENCODINGS = {
    "plain": lambda text: f"<{text}>",
    "url": lambda text: f"?q={quote(text, safe='')}&x",
    "form": lambda text: f"q={quote_plus(text)}",
    "path": lambda text: f"/{quote(text)}/",
    "json": lambda text: json.dumps({"t": text}),
    "json unicode": lambda text: json.dumps({"t": text}, ensure_ascii=False),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    **{
        f"base64 after {before}": lambda text, before=before: base64.b64encode(b"u" * before + text.encode()).decode()
        for before in range(4)
    },
    "html": lambda text: f"<b>{html.escape(text)}</b>",
    "lower percent": lambda text: re.sub("%..", lambda found: found.group().lower(), quote(text, safe="")),
    "base64 in lines": lambda text: base64.encodebytes(b"pad" * 20 + text.encode() + b"pad" * 20).decode(),
    "base64 with more": lambda text: base64.b64encode(f"user:{text}!".encode()).decode(),
    "urlsafe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", [TOKEN, "simple-token-0123456789", "aaaaaaaa"])
def test_each_encoding_of_a_secret_is_masked(encoding: str, text: str) -> None:
    echoed = ENCODINGS[encoding](text)
    scrub = Scrub([("TOKEN", text), ("OTHER", "something else")])
    cleaned = scrub.text(echoed)
    assert "[secret TOKEN]" in cleaned
    for form in (text, text.encode().hex(), base64.b64encode(text.encode()).decode()[:-4]):
        assert form not in cleaned
    assert scrub.text("nothing of the kind") == "nothing of the kind"


LONG = "sk-live-0123456789abcdefghijklmnopqrstuvwxyz"
BIG = "9" * 30


@pytest.mark.parametrize("left", [12, 20, len(LONG) - 1])
def test_what_is_left_of_a_secret_that_was_cut_is_masked(left: int) -> None:
    scrub = Scrub([("K", LONG)])
    assert scrub.text(f"401: got {LONG[:left]}") == "401: got [secret K]"
    assert scrub.text(f"{LONG[-left:]}: no") == "[secret K]: no"
    assert scrub.text(f"…{LONG[-left:]} and {LONG[:left]}…") == "…[secret K] and [secret K]…"


def test_each_line_of_a_secret_is_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIBVwIBADANBgkq\nAQEFAASCAT8wggE7\n-----END KEY-----"
    cleaned = Scrub([("K", key)]).wire(["x MIIBVwIBADANBgkq", {"dict": ["l", "AQEFAASCAT8wggE7\n"]}])
    assert cleaned == ["x [secret K]", {"dict": ["l", "[secret K]\n"]}]


def test_what_addresses_have_in_common_is_left() -> None:
    scrub = Scrub([("URL", "https://user:pa55word-of-this-one@host.example/path")])
    assert scrub.text("see https://user.example/docs") == "see https://user.example/docs"
    assert scrub.text("at https://user:pa55word-of-this-one@ho…") == "at [secret URL]…"


def test_a_secret_that_is_a_number_is_masked_as_one() -> None:
    scrub = Scrub([("PIN", "8675309421"), ("BIG", BIG)])
    wire = {"dict": ["pin", 8675309421, "big", {"int": BIG}, "other", 7, "text", "8675309421"]}
    masked = ["pin", "[secret PIN]", "big", "[secret BIG]", "other", 7, "text", "[secret PIN]"]
    assert scrub.wire(wire) == {"dict": masked}


@given(st.text(min_size=8, max_size=40), st.text(alphabet="xyz", max_size=5), st.text(alphabet="xyz", max_size=5))
def test_wherever_a_secret_stands_it_is_masked(secret: str, before: str, after: str) -> None:
    assume(secret != BIG)  # it would be masked as the number too: the test above
    echoed = {"dict": [before + secret + after, [secret, {"tuple": [secret]}, {"int": BIG}, 7]]}
    key, (alone, nested, big, small) = Scrub([("S", secret)]).wire(ok(echoed))["result"][1]["dict"]
    assert "[secret S]" in key
    assert len(key) <= len(before) + len("[secret S]") + len(after) or secret in "xyz" * 20
    assert (alone, nested, big, small) == ("[secret S]", {"tuple": ["[secret S]"]}, {"int": BIG}, 7)


def test_a_result_is_masked_before_the_journal_and_the_flow_see_it(tmp_path: Path) -> None:
    """An effect echoes a secret, in its value, in a failure and in an unexpected fault."""
    answers = {
        "value": lambda: {"dict": ["token", TOKEN]},
        "failure": lambda: (_ for _ in ()).throw(EffectFailure(f"401 for {TOKEN}", details={"header": TOKEN})),
        "fault": lambda: (_ for _ in ()).throw(ZeroDivisionError(TOKEN)),
    }
    lab = make_lab(
        tmp_path,
        registry=scripted("inline", read=lambda args: answers[args["path"]]()),
        allow=("read=.", "secret=TOKEN@api.example.org"),
        services=Services(Held(TOKEN=TOKEN)),
    )
    text = """
def _main(fctx):
    token = unwrap(fctx.actions.secret("TOKEN"))
    r = [fctx.actions.read(name) for name in ("value", "failure", "fault")]
    fctx.actions.log("token is", token = token)
    return [type(token), token, r[0].value, r[1].error.message, r[1].error.details, r[2].error.message]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    try:
        value = value_of(lab.run(text))
        assert value[1]["secret"] == ["TOKEN", fingerprint(TOKEN, lab.events()[0].fields["nonce"])]
        assert str(value).count("[secret TOKEN]") == 4
        for event in lab.tree()["r.1"]:
            assert "s3cr3t" not in str(event)
        lab.allow = ("read=.",)
        failure = failure_of(lab.run(text, "other"))
        assert (failure.kind, "secret=TOKEN@HOST, @exec" in failure.message) == ("denied", True)
    finally:
        lab.store.close()
