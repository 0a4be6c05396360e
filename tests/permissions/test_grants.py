from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.permissions import Grant, GrantSet, everything, parse_grants

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))
PATH_GRANTS = st.builds(Grant, st.sampled_from(["read", "write"]), PATHS, PATHS)
TEXTS = st.sampled_from(
    """net=example.org net=Example.ORG. net=*.example.org:8443/get,POST net=*:* net=10.0.0.0/8 net=10.0.0.0/8:8080/GET
    net=[FD00::]/8 net=[::1]:80 net=127.0.0.1/32 net=0.0.0.0/0 exec=kubectl exec=./bin/tool exec=* env=HOME env=*
    exec=kubectl@sha256:{} secret=TOKEN@example.org secret=TOKEN@*.example.org:8443 secret=TOKEN@127.0.0.1:80
    secret=TOKEN@exec:kubectl secret=TOKEN@call:etl.load call=etl call=etl.load:main call=* effect=slack.post
    effect=*""".format("ab" * 32).split()
)
OTHER_GRANTS = TEXTS.map(
    lambda text: parse_grants([text], [], "/base", lambda path: path, lambda name: f"/bin/{name}").allow[0]
)
GRANTS = PATH_GRANTS | OTHER_GRANTS
LABELS = st.sampled_from(["pkg.example.org/v1/deploy", "pkg.example.org/v1/other", "localhost:8080/x", "//lib/x.flow"])
FLAT = st.builds(GrantSet, st.lists(GRANTS, max_size=4).map(tuple), st.lists(GRANTS, max_size=3).map(tuple))
SETS = st.builds(
    lambda grants, packages: GrantSet(grants.allow, grants.deny, tuple(packages)),
    FLAT,
    st.lists(st.tuples(LABELS, FLAT), max_size=3),
)


def same(path: str) -> str:
    return path


def which(name: str) -> str | None:
    """Every bare name is a program of /bin, but for those that begin with ``no``."""
    return None if name.startswith("no") else f"/bin/{name}" if "/" not in name else name


@given(SETS)
def test_a_set_survives_the_journal(grants: GrantSet) -> None:
    again = GrantSet.from_data(grants.to_data())
    assert again == grants
    assert again.digest() == grants.digest()


@given(st.lists(GRANTS, max_size=5), st.randoms())
def test_order_and_repeats_do_not_matter(grants: list[Grant], random: object) -> None:
    shuffled = grants * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert GrantSet(tuple(grants)).digest() == GrantSet(tuple(shuffled)).digest()


@given(SETS, SETS)
def test_widening_keeps_everything_of_both(one: GrantSet, other: GrantSet) -> None:
    both = one.widen(other)
    assert both == other.widen(one)
    assert set(both.allow) == {*one.allow, *other.allow}
    assert set(both.deny) == {*one.deny, *other.deny}
    assert (both.digest() == one.digest()) == (both == one)


@given(SETS)
def test_the_options_give_the_set_again(grants: GrantSet) -> None:
    plain = GrantSet(
        tuple(Grant(grant.effect, grant.resource) for grant in grants.allow),
        tuple(Grant(grant.effect, grant.resource) for grant in grants.deny),
        tuple(
            (label, GrantSet(tuple(Grant(each.effect, each.resource) for each in some.allow)))
            for label, some in grants.packages
        ),
    )
    allow = [text.removeprefix("--allow ") for text in plain.options() if text.startswith("--allow ")]
    deny = [text.removeprefix("--deny ") for text in plain.options() if text.startswith("--deny ")]
    pairs = [
        text.removeprefix("--allow-for ").split(" ", 1) for text in plain.options() if text.startswith("--allow-for")
    ]
    allow_for = [(label, text) for label, text in pairs]
    again = parse_grants(allow, deny, "/", same, lambda path: path, allow_for=allow_for)
    assert again.options() == plain.options()
    assert again == plain


def test_directories_are_made_absolute_against_the_base() -> None:
    grants = parse_grants(["read=data", "write=../out", "read=/x/"], ["read=data/private"], "/home/ada/flows", same)
    assert [str(grant) for grant in grants.allow] == ["read=/home/ada/flows/data", "read=/x", "write=/home/ada/out"]
    assert [str(grant) for grant in grants.deny] == ["read=/home/ada/flows/data/private"]


def test_links_are_resolved_when_granting(tmp_path: Path) -> None:
    real = Path(os.path.realpath(tmp_path))
    (real / "real").mkdir()
    (real / "link").symlink_to("real")
    (grant,) = parse_grants(["read=link"], [], str(real)).allow
    assert grant == Grant("read", str(real / "real"), str(real / "link"))


def test_a_directory_may_be_made_later(tmp_path: Path) -> None:
    (grant,) = parse_grants(["write=later/out"], [], str(tmp_path)).allow
    assert grant.resource == os.path.realpath(tmp_path / "later" / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raed=./x", "no class of effects `raed`, did you mean `read`"),
        ("Write=./x", "no class of effects `Write`, did you mean `write`"),
        ("nett=x", "did you mean `net`"),
        ("zzz=x", "no class of effects `zzz`"),
        ("=x", "no class of effects ``"),
        ("net", "names no host"),
        ("exec=", "names no program"),
        ("env", "names no name"),
        ("secret=", "names no name and host"),
        ("call", "names no module"),
        ("efect=x", "did you mean `effect`"),
        ("net=https://example.org/x", "is a URL"),
        ("net=ada@example.org", "has a user in it"),
        ("net=ex%61mple.org", "has a percent sign"),
        ("net=example.org\\@x", "has a user"),
        ("net=example.org\\x", "has a backslash"),
        ("net=exa mple.org", "blanks or control characters"),
        ("net=example.org\n", "blanks or control characters"),
        ("net=example.org\x1b[31m", "blanks or control characters"),
        ("net=b\u00fccher.example", "not in ASCII"),
        ("net=example\u3002org", "not in ASCII"),
        ("net=a..b", "is not a host name"),
        ("net=.example.org", "is not a host name"),
        ("net=example.org..", "is not a host name"),
        ("net=-x.example.org", "is not a host name"),
        (f"net={'a' * 64}.org", "is not a host name"),
        (f"net={'a.' * 127}org", "is not a host name"),
        (f"net={'a.' * 500}org", "too long"),
        ("net=2130706433", "neither a name nor an address"),
        ("net=0x7f000001", "neither a name nor an address"),
        ("net=0x7f.1", "neither a name nor an address"),
        ("net=127.1", "neither a name nor an address"),
        ("net=0177.0.0.1", "neither a name nor an address"),
        ("net=127.0.0.1.", "neither a name nor an address"),
        ("net=*.127.0.0.1", "neither a name nor an address"),
        ("net=256.0.0.1", "neither a name nor an address"),
        ("net=example.1", "neither a name nor an address"),
        ("net=::1", "`::1` is not a host"),
        ("net=[::1", "has `[` and no `]`"),
        ("net=[::1]x", "is not HOST"),
        ("net=[fe80::1%25eth0]", "percent sign"),
        ("net=[example.org]", "is not an IP address"),
        ("net=[127.0.0.1]", "needs no brackets"),
        ("net=[::ffff:127.0.0.1]", "an address of IPv4 in IPv6"),
        ("net=10.0.0.1/8", "names one address and a block"),
        ("net=10.0.0.0/33", "is not a prefix length"),
        ("net=10.0.0.0/08", "is not a prefix length"),
        ("net=[fd00::]/129", "is not a prefix length"),
        ("net=example.org/8", "a prefix length is for addresses"),
        ("net=10.0.0.0:80/8", "`8` is not an HTTP method"),
        ("net=api.*.example", "`*` stands for whole labels"),
        ("net=*example.org", "`*` stands for whole labels"),
        ("net=*.*.org", "`*` stands for whole labels"),
        ("net=example.org:0", "is not a port"),
        ("net=example.org:65536", "is not a port"),
        ("net=example.org:https", "is not a port"),
        ("net=example.org:080", "is not a port"),
        ("net=example.org:", "is not a port"),
        ("net=example.org:8\u0661", "is not a port"),
        ("net=example.org/", "`` is not an HTTP method"),
        ("net=example.org/GET,", "`` is not an HTTP method"),
        ("net=example.org/GTE", "did you mean `GET`"),
        ("net=/GET", "no host is named"),
        ("exec=*@sha256:" + "0" * 64, "no program is named"),
        ("exec=tool@sha256:ABC", "64 hexadecimal digits"),
        ("exec=~/tool", "leaves `~` as it is"),
        ("env=1X", "is not the name of a variable"),
        ("env=A*", "is not the name of a variable"),
        ("env=A=b", "is not the name of a variable"),
        ("secret=TOKEN", "does not say where the secret may go"),
        ("secret=TOKEN@", "does not say where the secret may go"),
        ("secret=*@example.org", "is not the name of a secret"),
        ("secret=TOKEN@10.0.0.0/8", "not to a block"),
        ("secret=TOKEN@example.org/GET", "bound to HOST or HOST:PORT"),
        ("secret=TOKEN@exec:*", "bound to one program"),
        ("secret=TOKEN@call:*", "bound to a module"),
        ("secret=TOKEN@call:a:b", "bound to a module"),
        ("secret=TOKEN@127.1", "neither a name nor an address"),
        ("call=a-b", "is neither MODULE nor MODULE:FUNCTION"),
        ("call=a..b", "is neither MODULE nor MODULE:FUNCTION"),
        ("call=a:b:c", "is neither MODULE nor MODULE:FUNCTION"),
        ("effect=a b", "is not the name of an effect"),
        ("read", "names no path"),
        ("read=", "names no path"),
        ("./data", "names no path"),
        ("read=~/x", "leaves `~` as it is"),
        ("read=a\0b", "not a path in UTF-8"),
        ("read=a\udcffb", "not a path in UTF-8"),
    ],
)
@pytest.mark.parametrize("denying", [False, True])
def test_a_wrong_option_says_what_is_wrong(text: str, message: str, denying: bool) -> None:
    with pytest.raises(UsageError) as caught:
        parse_grants([] if denying else [text], [text] if denying else [], "/base", same, which)
    assert message in caught.value.message
    caught.value.show().encode("utf-8")


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"allow": []},
        {"allow": [], "deny": [], "more": []},
        {"allow": {}, "deny": []},
        {"allow": [["read", "/x"]], "deny": []},
        {"allow": [["read", "/x", 3]], "deny": []},
        {"allow": [["read", "x", "x"]], "deny": []},
        {"allow": [["read", "/x/../y", "/y"]], "deny": []},
        {"allow": [["net", "/x", "/x"]], "deny": []},
        {"allow": [["net", "Example.org", "Example.org"]], "deny": []},
        {"allow": [["net", "example.org", "example.com"]], "deny": []},
        {"allow": [["exec", "tool", "./tool"]], "deny": []},
        {"allow": [["secret", "TOKEN@*", "TOKEN@*"]], "deny": []},
        {"allow": [["secret", "TOKEN@10.0.0.0/8", "TOKEN@10.0.0.0/8"]], "deny": []},
        {"allow": [], "deny": [], "packages": {}},
        {"allow": [], "deny": [], "packages": [["x.org/a"]]},
        {"allow": [], "deny": [], "packages": [["a", {"allow": [], "deny": []}]]},
        {"allow": [], "deny": [], "packages": [["x.org/a//b.flow", {"allow": [], "deny": []}]]},
        {"allow": [], "deny": [], "packages": [["x.org/a", {"allow": [], "deny": [], "packages": []}]]},
        {"allow": ["read=/x"], "deny": []},
        {"allow": [], "deny": "x"},
    ],
)
def test_journal_bytes_that_are_no_grants_are_refused(data: object) -> None:
    with pytest.raises(UsageError):
        GrantSet.from_data(data)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("net=API.GitHub.com.", "net=api.github.com"),
        ("net=api.github.com:443/post,get,GET", "net=api.github.com:443/GET,POST"),
        ("net=*.Corp.Example/get", "net=*.corp.example/GET"),
        ("net=*", "net=*"),
        ("net=*:*", "net=*:*"),
        ("net=localhost.:8080", "net=localhost:8080"),
        ("net=10.0.0.0/8:8080/GET", "net=10.0.0.0/8:8080/GET"),
        ("net=10.0.0.7/32", "net=10.0.0.7"),
        ("net=[FD00:0:0::]/8", "net=[fd00::]/8"),
        ("net=[0:0::1]:80", "net=[::1]:80"),
        ("net=[::1]/128", "net=[::1]"),
        ("net=xn--bcher-kva.example", "net=xn--bcher-kva.example"),
        ("net=_dmarc.example.org", "net=_dmarc.example.org"),
        ("exec=kubectl", "exec=/bin/kubectl"),
        ("exec=./bin/../bin/tool", "exec=/base/bin/tool"),
        ("secret=T@API.github.com", "secret=T@api.github.com"),
        ("secret=T@exec:kubectl", "secret=T@exec:/bin/kubectl"),
        ("call=etl", "call=etl"),
    ],
)
def test_a_grant_has_one_form(written: str, canonical: str) -> None:
    (grant,) = parse_grants([written], [], "/base", same, which).allow
    assert str(grant) == canonical
    (again,) = parse_grants([canonical], [], "/base", same, which).allow
    assert again.resource == grant.resource


@given(TEXTS)
def test_the_canonical_form_is_its_own(text: str) -> None:
    (grant,) = parse_grants([text], [], "/base", same, which).allow
    (again,) = parse_grants([str(grant)], [], "/elsewhere", same, which).allow
    assert str(again) == str(grant)


@given(st.text(max_size=30) | st.text("0123456789abcfx.:[]/*%@-,GETP", max_size=24))
def test_any_text_is_a_net_grant_of_one_form_or_refused(text: str) -> None:
    try:
        (grant,) = parse_grants([f"net={text}"], [], "/", same, which).allow
    except UsageError as error:
        error.show().encode("utf-8")
        return
    assert grant.resource.isascii()
    assert str(parse_grants([str(grant)], [], "/", same, which).allow[0]) == str(grant)


def test_a_program_is_found_when_it_is_granted(tmp_path: Path) -> None:
    base = Path(os.path.realpath(tmp_path))
    (base / "tool-1.2").write_text("#!/bin/sh\n")
    (base / "tool-1.2").chmod(0o755)
    (base / "tool").symlink_to("tool-1.2")
    (base / "notes").write_text("text")
    (grant,) = parse_grants(["exec=./tool"], [], str(base)).allow
    assert grant == Grant("exec", str(base / "tool-1.2"), str(base / "tool"))
    (shell,) = parse_grants(["exec=sh"], [], str(base)).allow
    assert shell.named == "sh"
    assert shell.resource == os.path.realpath(shell.resource)
    for missing in ("./notes", "./none", "no-such-program-anywhere"):
        with pytest.raises(UsageError) as caught:
            parse_grants([f"exec={missing}"], [], str(base))
        assert f"there is no program `{missing}`" in caught.value.message


def test_a_program_that_is_not_there_can_be_denied() -> None:
    assert parse_grants([], ["exec=nothing"], "/", same, which).deny == (Grant("exec", "nothing"),)


def test_a_set_of_an_old_journal_is_read_and_keeps_its_digest() -> None:
    data = {
        "allow": [["read", "/data", "/data"], ["write", "/private/out", "/out"]],
        "deny": [["read", "/data/x", "/data/x"]],
    }
    grants = GrantSet.from_data(data)
    assert grants.to_data() == data
    assert grants.digest() == "795fd595d1819318240778a1154235e882b080d491cdfe9445860e2faaf1f08c"


def test_a_package_is_declared_with_nothing() -> None:
    grants = parse_grants([], [], "/", same, which, allow_for=[("x.org/a", "none"), ("x.org/b", "env=HOME")])
    assert grants.packages == (("x.org/a", GrantSet()), ("x.org/b", GrantSet((Grant("env", "HOME"),))))
    assert grants.to_data()["packages"][0] == ["x.org/a", {"allow": [], "deny": []}]
    assert grants.digest() != GrantSet().digest()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("deploy", "is no package"),
        ("X.org/a", "is no package"),
        ("nodots/a", "is no package"),
        ("x.org", "is no package"),
        ("//../x.flow", "is no package"),
        ("x.org/a//b.flow", "is no package"),
        ("x.org/a\x1b[2J", "is no package"),
        ("x.org/" + "a" * 400, "is no package"),
    ],
)
def test_what_names_no_package(label: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_grants([], [], "/", same, which, allow_for=[(label, "env=HOME")])
    assert message in caught.value.message
    assert caught.value.message.isprintable()


def test_everything_is_everything_but_secrets() -> None:
    grants = everything()
    assert {grant.effect for grant in grants.allow} == {
        "read",
        "write",
        "net",
        "exec",
        "env",
        "call",
        "effect",
        "signal",
        "state",
    }
    assert GrantSet.from_data(grants.to_data()) == grants
