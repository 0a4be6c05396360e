"""What holds of every decision, whatever is granted and wanted."""

from __future__ import annotations

import ipaddress
import shlex

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowmetal.permissions import Allowed, Denied, Grant, GrantSet, Want, address_allowed, decide, parse_grants
from flowmetal.permissions.paths import contains

PACKAGE = "pkg.example.org/v1/deploy"
STACK = ("//main.flow", f"{PACKAGE}//x.flow")
HASH = "c" * 64


def resolved(text: str) -> Grant:
    return parse_grants([text], [], "/", lambda path: path, lambda name: f"/bin/{name.rpartition('/')[2]}").allow[0]


HOSTS = ["a.example", "b.a.example", "*.a.example", "*", "localhost", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "[::1]"]
NET = st.builds(
    lambda host, port, methods: f"net={host}{port}{methods}",
    st.sampled_from(HOSTS),
    st.sampled_from(["", ":80", ":8080", ":*"]),
    st.sampled_from(["", "/GET", "/GET,POST"]),
)
OTHERS = st.sampled_from(
    f"""exec=tool exec=* exec=tool@sha256:{HASH} exec=/opt/tool env=A env=* call=m call=m.n:f call=* effect=x.y effect=*
    secret=S@a.example secret=S@*.a.example:8080 secret=S@10.1.2.3 secret=S@exec:tool secret=S@call:m""".split()
)
PATHS = st.lists(st.sampled_from(["a", "b", ".git", "flowmetal.toml"]), max_size=3).map(lambda x: "/" + "/".join(x))
GRANTS = (NET | OTHERS).map(resolved) | st.builds(Grant, st.sampled_from(["read", "write"]), PATHS, PATHS)
FLAT = st.builds(GrantSet, st.lists(GRANTS, max_size=6).map(tuple), st.lists(GRANTS, max_size=2).map(tuple))
SETS = st.builds(lambda run, package: GrantSet(run.allow, run.deny, ((PACKAGE, package),)), FLAT, FLAT)
WANTS = st.builds(
    lambda pair, directory: Want(*pair, "act", directory),
    st.tuples(
        st.just("net"),
        st.builds(
            lambda host, port, method: f"{host}:{port}{method}",
            st.sampled_from([host for host in HOSTS if "*" not in host and "/" not in host]),
            st.sampled_from([80, 443, 8080]),
            st.sampled_from(["", "/GET", "/POST"]),
        ),
    )
    | st.tuples(st.just("exec"), st.sampled_from(["tool", "/bin/tool", "other"]))
    | st.tuples(st.just("env"), st.sampled_from(["A", "B"]))
    | st.tuples(st.just("call"), st.sampled_from(["m:f", "m.n:f", "m.n:g"]))
    | st.tuples(st.just("effect"), st.sampled_from(["x.y", "x"]))
    | st.tuples(
        st.just("secret"),
        st.sampled_from(
            ["S", "S@a.example:443", "S@b.a.example:8080", "S@10.1.2.3:443", "S@exec:/bin/tool", "S@call:m"]
        ),
    )
    | st.tuples(st.sampled_from(["read", "write"]), PATHS),
    st.booleans(),
)
STACKS = st.sampled_from([(), STACK])
ADDRESSES = ["8.8.8.8", "10.1.2.3", "10.2.2.3", "127.0.0.1", "::1", "::ffff:10.1.2.3", "169.254.169.254"]


def reachable(allowed: Allowed) -> set[str]:
    return {address for address in ADDRESSES if not address_allowed(allowed, address)}


def widened(grants: GrantSet, grant: Grant) -> GrantSet:
    """The grant more, for the run and for the package."""
    return grants.widen(GrantSet((grant,), (), ((PACKAGE, GrantSet((grant,))),)))


@given(SETS, WANTS, STACKS, GRANTS)
@settings(max_examples=150)
def test_a_grant_more_takes_nothing_away(grants: GrantSet, want: Want, stack: tuple[str, ...], grant: Grant) -> None:
    assume(not (want.effect == "write" and grant.effect == "exec"))  # a program that may be run is not written
    before, after = decide(grants, want, stack, fold=False), decide(widened(grants, grant), want, stack, fold=False)
    if not isinstance(before, Allowed):
        return
    assert isinstance(after, Allowed), after.message
    if want.effect == "net":
        assert reachable(before) <= reachable(after)
    if want.effect == "exec":
        assert not before.program or before.program == after.program or not after.program
        assert not after.digests or set(before.digests) <= set(after.digests)
    if want.effect in ("read", "write"):
        assert contains(after.grant.resource, before.grant.resource) or before.named != after.named


@given(SETS, WANTS, STACKS)
@settings(max_examples=150)
def test_a_denial_always_wins(grants: GrantSet, want: Want, stack: tuple[str, ...]) -> None:
    if not isinstance(decide(grants, want, stack, fold=False), Allowed):
        return
    resource = want.resource
    if want.effect == "net":
        resource = resource.partition("/")[0].rpartition(":")[0]
    if want.effect == "secret":
        resource = f"{resource.partition('@')[0]}@*"
    if want.effect == "call":
        resource = resource.partition(":")[0]
    denial = Grant(want.effect, resource)
    for more in (GrantSet((), (denial,)), GrantSet((), (), ((PACKAGE, GrantSet((), (denial,))),))):
        decision = decide(grants.widen(more), want, STACK, fold=False)
        assert isinstance(decision, Denied)
    assert isinstance(decide(grants.widen(GrantSet((), (denial,))), want, stack, fold=False), Denied)


@given(SETS, WANTS)
@settings(max_examples=150)
def test_a_package_never_does_more_than_the_run_or_than_itself(grants: GrantSet, want: Want) -> None:
    both = decide(grants, want, STACK, fold=False)
    run = decide(GrantSet(grants.allow, grants.deny), want, fold=False)
    package = decide(grants.packages[0][1], want, fold=False)
    if not isinstance(both, Allowed):
        return
    assert isinstance(run, Allowed)
    assert isinstance(package, Allowed)
    assert set(both.fences) >= set(run.fences) - {"/bin/tool", "/opt/tool"}
    if want.effect in ("read", "write"):
        for side in (grants, grants.packages[0][1]):
            assert any(
                contains(each.resource, both.grant.resource) for each in side.allow if each.effect == want.effect
            )
    if want.effect == "net":
        assert reachable(both) == reachable(run) & reachable(package)
        for text in both.networks:
            block = ipaddress.ip_network(text)
            for side in (run, package):
                others = [ipaddress.ip_network(each) for each in side.networks]
                assert any(block.version == each.version and block.subnet_of(each) for each in others)  # type: ignore[arg-type]
    if want.effect == "exec":
        for alone in (run, package):
            assert not alone.digests or set(both.digests) <= set(alone.digests)
            assert both.digests or not alone.digests


@given(SETS, WANTS, STACKS)
@settings(max_examples=150)
def test_what_a_refusal_proposes_helps(grants: GrantSet, want: Want, stack: tuple[str, ...]) -> None:
    decision = decide(grants, want, stack, fold=False)
    if not isinstance(decision, Denied) or not decision.option or "<HOST>" in decision.option:
        return
    assert decision.option in decision.message
    tokens = iter(shlex.split(decision.option))
    for flag in tokens:
        label = next(tokens) if flag == "--allow-for" else ""
        more = GrantSet((resolved(next(tokens)),))
        grants = grants.widen(GrantSet((), (), ((label, more),)) if label else more)
    again = decide(grants, want, stack, fold=False)
    # One name may have led elsewhere when the other side was granted it; that is no help, and is said.
    assert isinstance(again, Allowed) or want.effect == "exec" or "to different files" in again.message


@given(SETS, WANTS)
def test_the_prelude_alone_is_the_run(grants: GrantSet, want: Want) -> None:
    plain = GrantSet(grants.allow, grants.deny)
    for stack in ((), ("//main.flow",), ("//a.flow", "//b/c.flow")):
        assert type(decide(grants, want, stack, fold=False)) is type(decide(plain, want, fold=False))
