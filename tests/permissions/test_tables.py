"""Tables: what is granted, what is wanted, and the verdict with a part of what it says."""

from __future__ import annotations

import shlex

import pytest

from flowmetal.permissions import Allowed, Denied, Grant, GrantSet, Want, decide, everything, parse_grants

PACKAGE = "pkg.example.org/v1/deploy"
OTHER = "pkg.example.org/v1/other"


def words(text: str) -> list[str]:
    return text.split()


def granted(text: str, *, packages: dict[str, str] | None = None) -> GrantSet:
    """Grants from one line; those that begin with ``!`` are denied."""
    sets = {
        label: parse_grants(
            [each for each in line.split() if each[0] != "!"],
            [each[1:] for each in line.split() if each[0] == "!"],
            "/base",
            lambda path: path,
            lambda name: name if "/" in name else f"/bin/{name}",
        )
        for label, line in {"": text, **(packages or {})}.items()
    }
    root = sets.pop("")
    return GrantSet(root.allow, root.deny, tuple(sets.items()))


def wanted(text: str) -> Want:
    effect, _, resource = text.partition("=")
    return Want(effect, resource, "act")


OK = ""


@pytest.mark.parametrize(
    ("grants", "want", "says"),
    [
        # 49: hosts by text
        ("", "net=a.example:443/GET", "act: GET a.example:443 is not granted: add --allow net=a.example:443/GET"),
        ("net=api.github.com", "net=api.github.com:443/GET", OK),
        ("net=api.github.com", "net=api.github.com:80/POST", OK),
        ("net=api.github.com", "net=API.GitHub.com:443/GET", OK),
        ("net=api.github.com", "net=api.github.com.:443/GET", OK),
        ("net=API.github.com.", "net=api.github.com:443/GET", OK),
        ("net=api.github.com", "net=api.github.com.evil.test:443/GET", "is not granted: add"),
        ("net=api.github.com", "net=xapi.github.com:443/GET", "is not granted: add"),
        ("net=github.com", "net=api.github.com:443/GET", "is not granted: add"),
        ("net=*.corp.example", "net=a.corp.example:443/GET", OK),
        ("net=*.corp.example", "net=a.b.corp.example:443/GET", OK),
        ("net=*.corp.example", "net=corp.example:443/GET", "for the names below corp.example, not for it"),
        ("net=*.corp.example", "net=evilcorp.example:443/GET", "is not granted: add"),
        ("net=*.corp.example", "net=corp.example.evil.test:443/GET", "is not granted: add"),
        # ports and methods
        ("net=a.example", "net=a.example:8443/GET", "`net=a.example` is for port 443 and 80"),
        ("net=a.example:8443", "net=a.example:443/GET", "is for port 8443"),
        ("net=a.example:443", "net=a.example:80/GET", "is for https, port 443; this is http, port 80"),
        ("net=a.example:80", "net=a.example:443/GET", "is for http, port 80; this is https, port 443"),
        ("net=a.example:*", "net=a.example:9/GET", OK),
        ("net=a.example/GET,HEAD", "net=a.example:443/GET", OK),
        ("net=a.example/GET,HEAD", "net=a.example:443/POST", "is for GET, HEAD"),
        ("net=a.example/GET", "net=a.example:443", "is for GET"),
        # addresses
        ("net=*", "net=a.example:443/GET", OK),
        ("net=*", "net=8.8.8.8:443/GET", OK),
        ("net=*", "net=[2606:4700::1]:443/GET", OK),
        ("net=*", "net=127.0.0.1:443/GET", "is for public addresses only): add --allow net=127.0.0.1:443/GET"),
        ("net=*", "net=[::1]:443/GET", "for public addresses only"),
        ("net=*", "net=[::ffff:127.0.0.1]:443/GET", "for public addresses only"),
        ("net=*", "net=[64:ff9b::7f00:1]:443/GET", "for public addresses only"),
        ("net=*", "net=[2002:7f00:1::]:443/GET", "for public addresses only"),
        ("net=*", "net=168.63.129.16:443/GET", "for public addresses only"),
        ("net=127.0.0.1:8080", "net=127.0.0.1:8080/GET", OK),
        ("net=127.0.0.1:8080", "net=127.0.0.1:8081/GET", "is for port 8080"),
        ("net=127.0.0.1:8080", "net=[::ffff:127.0.0.1]:8080/GET", OK),
        ("net=127.0.0.1:8080", "net=[::1]:8080/GET", "is not granted"),
        ("net=127.0.0.1", "net=localhost:80/GET", "is not granted"),
        ("net=localhost", "net=127.0.0.1:80/GET", "is not granted"),
        ("net=10.0.0.0/8:5432", "net=10.1.2.3:5432", OK),
        ("net=10.0.0.0/8", "net=11.1.2.3:80/GET", "is not granted"),
        ("net=10.0.0.0/8", "net=db.example:80/GET", "is not granted"),
        ("net=[fd00::]/8", "net=[fd12::7]:80/GET", OK),
        ("net=[fd00::]/8", "net=[fe80::7]:80/GET", "is not granted"),
        ("net=0.0.0.0/0", "net=127.0.0.1:80/GET", OK),
        ("net=0.0.0.0/0", "net=169.254.169.254:80/GET", "a cloud hands out credentials: add --allow"),
        ("net=169.254.0.0/16", "net=169.254.169.254:80/GET", OK),
        ("net=[::]/0", "net=[fd00:ec2::254]:80/GET", "a cloud hands out credentials"),
        ("net=[fd00:ec2::254]", "net=[fd00:ec2::254]:80/GET", OK),
        ("net=0.0.0.0/0", "net=0.0.0.0:80/GET", "never allowed"),
        ("net=0.0.0.0/0", "net=239.1.2.3:80/GET", "never allowed"),
        ("net=[::]/0", "net=[ff02::1]:80/GET", "never allowed"),
        ("net=[::]/0", "net=[::ffff:127.0.0.1]:80/GET", "is not granted"),
        # 59: texts that some resolver reads as an address
        ("net=*", "net=2130706433:80/GET", "neither a name nor an address"),
        ("net=*", "net=0x7f.1:80/GET", "neither a name nor an address"),
        ("net=*", "net=127.1:80/GET", "neither a name nor an address"),
        ("net=*", "net=127.0.0.1.:80/GET", "neither a name nor an address"),
        ("net=*", "net=%31%32%37.0.0.1:80/GET", "percent sign"),
        ("net=*", "net=a@b.example:80/GET", "a user"),
        ("net=*", "net=[fe80::1%25en0]:80/GET", "percent sign"),
        ("net=*", "net=*:443/GET", "not one host"),
        ("net=*", "net=a.example/GET", "not one host"),
        ("net=*", "net=a.example:0/GET", "not a port"),
        ("net=*", "net=a.example:443/GET,POST", "not one host"),
        ("net=*", "net=10.0.0.0/8:80/GET", "not one host"),
        ("net=localhost:80", "net=localhost.:80/GET", OK),
        # deny
        ("net=* !net=*.internal", "net=db.internal:443/GET", "`--deny net=*.internal` wins"),
        ("net=*:* !net=a.example", "net=a.example:9999/GET", "is denied"),
        ("net=* !net=a.example:80", "net=a.example:443/GET", OK),
        ("net=* !net=a.example/POST", "net=a.example:443/POST", "is denied"),
        ("net=* !net=a.example/POST", "net=a.example:443/GET", OK),
        ("net=* !net=a.example/POST", "net=a.example:443", "is denied"),
        ("net=10.0.0.0/8 !net=10.1.0.0/16", "net=10.1.2.3:80/GET", "is denied"),
        ("net=10.0.0.0/8 !net=10.1.0.0/16", "net=10.2.2.3:80/GET", OK),
        ("net=127.0.0.1 !net=127.0.0.0/8", "net=[::ffff:127.0.0.1]:80/GET", "is denied"),
        ("net=127.0.0.1 !net=localhost", "net=127.0.0.1:80/GET", "is denied"),
        ("net=127.0.0.1 !net=*", "net=127.0.0.1:80/GET", "is denied"),
        # exec
        ("", "exec=kubectl", "running kubectl is not granted: add --allow exec=kubectl"),
        ("exec=kubectl", "exec=kubectl", OK),
        ("exec=kubectl", "exec=/bin/kubectl", OK),
        ("exec=kubectl", "exec=/tmp/kubectl", "is not granted"),
        ("exec=/opt/kubectl", "exec=kubectl", "is not granted"),
        ("exec=*", "exec=anything", OK),
        ("exec=* !exec=curl", "exec=curl", "is denied"),
        ("exec=* !exec=curl", "exec=/usr/local/bin/curl", "is denied"),
        ("exec=* !exec=/bin/curl", "exec=/bin/curl", "is denied"),
        ("exec=*", "exec=*", "is not one resource"),
        ("exec=*", "exec=", "is not one resource"),
        ("exec=*", "exec=\udcff", "neither the name of a program nor an absolute path"),
        ("exec=*", "exec=a\0b", "neither the name of a program nor an absolute path"),
        ("exec=*", "exec=./tool", "neither the name of a program nor an absolute path"),
        ("exec=*", "exec=/bin/../tool", "neither the name of a program nor an absolute path"),
        # env
        ("env=HOME", "env=HOME", OK),
        ("env=HOME", "env=HOME2", "reading the variable HOME2 is not granted: add --allow env=HOME2"),
        ("env=HOME", "env=home", "is not granted"),
        ("env=* !env=AWS_SECRET", "env=AWS_SECRET", "is denied"),
        ("env=*", "env=LD_PRELOAD", OK),
        ("env=*", "env=A B", "not the name of a variable"),
        # secret
        ("secret=TOKEN@api.example", "secret=TOKEN@api.example:443", OK),
        ("secret=TOKEN@api.example", "secret=TOKEN@api.example:80", "is for https, port 443; this is http, port 80"),
        ("secret=TOKEN@api.example", "secret=TOKEN@evil.example:443", "`secret=TOKEN@api.example` is for api.example"),
        ("secret=TOKEN@api.example", "secret=OTHER@api.example:443", "the secret OTHER to api.example:443 is not"),
        ("secret=TOKEN@*.example", "secret=TOKEN@api.example:443", OK),
        ("secret=TOKEN@127.0.0.1:9000", "secret=TOKEN@127.0.0.1:9000", OK),
        ("secret=TOKEN@[::1]:9000", "secret=TOKEN@[::1]:9000", OK),
        ("secret=TOKEN@api.example", "secret=TOKEN@exec:443", "is for another destination"),
        ("secret=TOKEN@api.example", "secret=TOKEN@127.1:443", "neither a name nor an address"),
        ("secret=TOKEN@exec:kubectl", "secret=TOKEN@exec:/bin/kubectl", OK),
        ("secret=TOKEN@exec:kubectl", "secret=TOKEN@exec:/bin/curl", "is for another destination"),
        ("secret=TOKEN@exec:kubectl", "secret=TOKEN@api.example:443", "is for another destination"),
        ("secret=TOKEN@call:etl", "secret=TOKEN@call:etl.load", OK),
        ("secret=TOKEN@call:etl", "secret=TOKEN@call:etlx", "is for another destination"),
        ("secret=TOKEN@api.example", "secret=TOKEN", OK),
        ("secret=OTHER@api.example", "secret=TOKEN", "is to go, secret=TOKEN@HOST, @exec:PROGRAM or @call:MODULE"),
        ("secret=TOKEN@api.example !secret=TOKEN@*", "secret=TOKEN@api.example:443", "is denied"),
        ("secret=TOKEN@api.example !secret=TOKEN@api.example", "secret=TOKEN@api.example:443", "is denied"),
        ("net=*", "secret=TOKEN@api.example:443", "is not granted"),
        # call
        ("call=etl", "call=etl:main", OK),
        ("call=etl", "call=etl.load:main", OK),
        ("call=etl", "call=etlx:main", "Python function etlx:main is not granted: add --allow call=etlx:main"),
        ("call=etl:main", "call=etl:main", OK),
        ("call=etl:main", "call=etl:other", "is not granted"),
        ("call=etl.load", "call=etl:main", "is not granted"),
        ("call=* !call=os", "call=os.path:join", "is denied"),
        ("call=*", "call=etl", "is not MODULE:FUNCTION"),
        # effects of plug-ins
        ("effect=slack.post", "effect=slack.post", OK),
        ("effect=slack", "effect=slack.post", "the effect slack.post is not granted: add --allow effect=slack.post"),
        ("effect=* !effect=slack.post", "effect=slack.post", "is denied"),
        # paths
        ("read=/data", "write=/data/x", "`read=/data` does not allow writing"),
        ("write=/", "write=/base/flowmetal.toml", "never allowed: flowmetal.toml says what flows may do"),
        ("write=/", "write=/base/Flowmetal.LOCK", "never allowed"),
        ("read=/", "read=/base/flowmetal.toml", OK),
        ("write=/", "write=/base/.git/hooks/pre-commit", "never allowed: Git runs programs"),
        ("write=/", "write=/base/sub/.git", "never allowed"),
        ("write=/", "write=/base/.GIT/config", "never allowed"),
        ("write=/", "write=/base/.gitignore", OK),
        ("write=/ exec=kubectl", "write=/bin/kubectl", "/bin/kubectl is a program that the flow may run"),
        ("write=/ exec=kubectl exec=*", "write=/bin/kubectl", OK),
        ("read=/ exec=kubectl", "read=/bin/kubectl", OK),
        ("read=/", "read=data", "not an absolute path"),
        # no class
        ("", "nett=x", "no class of effects `nett`, did you mean `net`"),
    ],
)  # fmt: skip
def test_one_authority(grants: str, want: str, says: str) -> None:
    decision = decide(granted(grants), wanted(want), fold=False)
    if says == OK:
        assert isinstance(decision, Allowed), decision.message
    else:
        assert isinstance(decision, Denied)
        assert says in decision.message
        assert decision.message.startswith("act: ")
        assert decision.message.isprintable()


@pytest.mark.parametrize(
    "want",
    words("""net=a.example:443/GET net=a.example:8080/POST net=10.0.0.1:22 net=127.0.0.1:80/GET net=[::1]:80/GET
    exec=kubectl exec=/bin/x env=HOME call=os:system effect=slack.post read=/etc/passwd write=/tmp/x"""),
)
def test_everything_allows_it(want: str) -> None:
    assert isinstance(decide(everything(), wanted(want), fold=False), Allowed)


@pytest.mark.parametrize(
    "want",
    words("secret=TOKEN@a.example:443 net=169.254.169.254:80/GET read=/proc/self/environ write=/w/.git/hooks/x"),
)
def test_everything_is_not_all(want: str) -> None:
    assert isinstance(decide(everything(), wanted(want), fold=False), Denied)
    assert isinstance(decide(everything(), wanted("env=HOME"), [f"{PACKAGE}//x.flow"]), Denied)


MAIN = "//main.flow"
DEPLOY = f"{PACKAGE}//deploy.flow"
OTHERS = f"{OTHER}//x.flow"


@pytest.mark.parametrize(
    ("run", "packages", "stack", "want", "option"),
    [
        ("env=A", {}, [MAIN], "env=A", OK),
        ("env=A", {}, [MAIN, DEPLOY], "env=A", f"--allow-for {PACKAGE} env=A"),
        ("env=A", {PACKAGE: "env=A"}, [MAIN, DEPLOY], "env=A", OK),
        ("env=A", {PACKAGE: "env=A"}, [DEPLOY], "env=A", OK),
        ("env=A", {PACKAGE: "env=*"}, [MAIN, DEPLOY], "env=B", "--allow env=B"),
        ("", {PACKAGE: ""}, [MAIN, DEPLOY], "env=B", f"--allow env=B --allow-for {PACKAGE} env=B"),
        ("env=*", {PACKAGE: "env=* !env=B"}, [MAIN, DEPLOY], "env=B", "denied"),
        ("env=* !env=B", {PACKAGE: "env=*"}, [MAIN, DEPLOY], "env=B", "denied"),
        # 52: what only another package has
        ("env=*", {PACKAGE: "env=A"}, [MAIN, DEPLOY, OTHERS], "env=A", f"--allow-for {OTHER} env=A"),
        ("env=*", {PACKAGE: "env=A", OTHER: "env=B"}, [DEPLOY, OTHERS], "env=A", f"--allow-for {OTHER} env=A"),
        ("env=*", {PACKAGE: "env=A", OTHER: "env=A"}, [DEPLOY, OTHERS], "env=A", OK),
        # a lambda of the root that a package calls is narrowed too
        ("env=*", {PACKAGE: ""}, [MAIN, DEPLOY, MAIN], "env=A", f"--allow-for {PACKAGE} env=A"),
        # one file of the root program
        ("env=*", {"//lib/x.flow": ""}, [MAIN, "//lib/y.flow"], "env=A", OK),
        ("env=*", {"//lib/x.flow": ""}, [MAIN, "//lib/x.flow"], "env=A", "--allow-for //lib/x.flow env=A"),
        # names that look alike are others
        ("env=*", {PACKAGE: "env=A"}, [f"{PACKAGE}2//x.flow"], "env=A", f"--allow-for {PACKAGE}2 env=A"),
        ("env=*", {PACKAGE: "env=A"}, [f"{PACKAGE}/x.flow"], "env=A", f"--allow-for {PACKAGE}/x.flow env=A"),
        ("env=*", {PACKAGE: "env=A"}, ["nonsense"], "env=A", "--allow-for nonsense env=A"),
        ("net=a.example", {PACKAGE: "net=a.example/GET"}, [DEPLOY], "net=a.example:443/GET", OK),
        ("net=a.example", {PACKAGE: "net=a.example/GET"}, [DEPLOY], "net=a.example:443/POST",
         f"--allow-for {PACKAGE} net=a.example:443/POST"),
        ("net=127.0.0.1", {PACKAGE: "net=*"}, [DEPLOY], "net=127.0.0.1:80/GET",
         f"--allow-for {PACKAGE} net=127.0.0.1:80/GET"),
    ],
)  # fmt: skip
def test_every_package_on_the_stack_must_allow_it(
    run: str, packages: dict[str, str], stack: list[str], want: str, option: str
) -> None:
    decision = decide(granted(run, packages=packages), wanted(want), stack)
    if option == OK:
        assert isinstance(decision, Allowed)
        return
    assert isinstance(decision, Denied)
    if option == "denied":
        assert "is denied" in decision.message
        assert not decision.option
    else:
        assert decision.option == option
        assert decision.message.endswith(f"add {option}")


def test_a_refusal_names_the_package_and_the_module_that_asked() -> None:
    decision = decide(granted("env=A"), wanted("env=A"), [MAIN, DEPLOY])
    assert isinstance(decision, Denied)
    assert decision.message == (
        f"act: reading the variable A is not granted to the package {PACKAGE}, whose module {DEPLOY} asked: "
        f"add --allow-for {PACKAGE} env=A"
    )


def test_the_inner_directory_is_what_both_allow() -> None:
    decision = decide(granted("read=/data", packages={PACKAGE: "read=/data/in"}), wanted("read=/data/in/x"), [DEPLOY])
    assert isinstance(decision, Allowed)
    assert (decision.grant, decision.named) == (Grant("read", "/data/in"), "/data/in")
    decision = decide(granted("read=/data/in", packages={PACKAGE: "read=/"}), wanted("read=/data/in/x"), [DEPLOY])
    assert isinstance(decision, Allowed)
    assert decision.grant == Grant("read", "/data/in")


def test_a_denial_of_a_package_is_a_fence_for_its_links() -> None:
    grants = granted("read=/data", packages={PACKAGE: "read=/data !read=/data/private"})
    decision = decide(grants, wanted("read=/data/x"), [DEPLOY])
    assert isinstance(decision, Allowed)
    assert "/data/private" in decision.fences
    alone = decide(grants, wanted("read=/data/x"), [MAIN])
    assert isinstance(alone, Allowed)
    assert "/data/private" not in alone.fences


def test_one_name_that_leads_to_two_places_is_refused() -> None:
    grants = GrantSet(
        (Grant("read", "/real/one", "/link"),), (), ((PACKAGE, GrantSet((Grant("read", "/real/two", "/link"),))),)
    )
    decision = decide(grants, wanted("read=/link/x"), [DEPLOY])
    assert isinstance(decision, Denied)
    assert "different files" in decision.message


def test_networks_are_those_of_all() -> None:
    run = "net=db.example:* net=10.0.0.0/8:* net=192.168.0.0/16:5432 !net=10.9.0.0/16"
    grants = granted(run, packages={PACKAGE: "net=db.example:* net=10.1.0.0/16:5432 net=127.0.0.1:5432"})
    alone = decide(grants, wanted("net=db.example:5432"), [MAIN])
    assert isinstance(alone, Allowed)
    assert alone.networks == ("10.0.0.0/8", "192.168.0.0/16")
    assert alone.denied_networks == ("10.9.0.0/16",)
    decision = decide(grants, wanted("net=db.example:5432"), [DEPLOY])
    assert isinstance(decision, Allowed)
    assert decision.networks == ("10.1.0.0/16",)
    assert decision.packages == (PACKAGE,)
    elsewhere = decide(grants, wanted("net=db.example:5433"), [MAIN])
    assert isinstance(elsewhere, Allowed)
    assert elsewhere.networks == ("10.0.0.0/8",)


A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("run", "package", "want", "program", "digests"),
    [
        ("exec=tool", None, "exec=tool", "/bin/tool", ()),
        ("exec=*", None, "exec=tool", "", ()),
        ("exec=* exec=tool", None, "exec=tool", "/bin/tool", ()),
        (f"exec=tool@sha256:{A}", None, "exec=/bin/tool", "/bin/tool", (A,)),
        (f"exec=tool@sha256:{A} exec=tool@sha256:{B}", None, "exec=tool", "/bin/tool", (A, B)),
        (f"exec=tool@sha256:{A} exec=tool", None, "exec=tool", "/bin/tool", ()),
        ("exec=*", f"exec=tool@sha256:{A}", "exec=tool", "/bin/tool", (A,)),
        (f"exec=tool@sha256:{A} exec=tool@sha256:{B}", f"exec=tool@sha256:{B}", "exec=tool", "/bin/tool", (B,)),
        (f"exec=tool@sha256:{A}", f"exec=tool@sha256:{B}", "exec=tool", None, ()),
    ],
)
def test_programs(run: str, package: str | None, want: str, program: str | None, digests: tuple[str, ...]) -> None:
    packages = {PACKAGE: package} if package is not None else {}
    decision = decide(granted(run, packages=packages), wanted(want), [DEPLOY] if packages else [])
    if program is None:
        assert isinstance(decision, Denied)
        assert "different programs" in decision.message
    else:
        assert isinstance(decision, Allowed)
        assert (decision.program, decision.digests) == (program, digests)


def test_denied_programs_travel_with_the_decision() -> None:
    decision = decide(granted("exec=* !exec=curl"), wanted("exec=/tmp/link"))
    assert isinstance(decision, Allowed)
    assert decision.fences == ("/bin/curl",)


def test_fences_close_for_writing_and_reading() -> None:
    for effect in ("read", "write"):
        decision = decide(granted(f"{effect}=/"), wanted(f"{effect}=/lib/mod.py"), fences=("/lib",), fold=False)
        assert isinstance(decision, Denied)
        assert "no grant opens /lib" in decision.message


@pytest.mark.parametrize("resource", ["/x/\x1b[2J\n/y", "/x/" + "a" * 10_000 + "/y", "/x/\u202e/y"])
def test_hostile_names_stay_text(resource: str) -> None:
    # 58: what a person is shown
    decision = decide(GrantSet(), Want("read", resource, "read"), fold=False)
    assert isinstance(decision, Denied)
    assert decision.message.isprintable()
    assert shlex.split(decision.option)[1] == f"read={resource.rpartition('/')[0]}"
