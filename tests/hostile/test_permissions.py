"""Authority that was not given: 49, 50, 52, 54 and 55 of the list."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.engine import Outcome
from flowmetal.permissions import Allowed, Denied, GrantSet, Want, decide, parse_grants
from flowmetal.settings import Limits
from flowmetal.testing.harness import TextSources
from tests.hostile.conftest import Within
from tests.hostile.smuggling import ALLOWED, DENIED, Way, program
from tests.hostile.yard import Told, Yard


def run(within: Within, modules: dict[str, str], directory: Path, grants: GrantSet) -> Told:
    """Runs the flow ``main`` of a program, beside a bystander."""

    async def life(yard: Yard) -> Any:
        async def hostile() -> Told:
            loaded = await yard.engine.load("//main.flow", TextSources(modules), Limits())
            return await yard.run(loaded, f"case{yard.count}", directory, grants, name="main")

        return await yard.beside(hostile(), directory)

    told = within(life)
    assert isinstance(told, Told)
    return told


def granted(directory: Path, *packages: tuple[str, str]) -> GrantSet:
    return parse_grants(["read=.", "write=."], [], str(directory), allow_for=packages)


@pytest.mark.parametrize("way", [pytest.param(way, id=name) for name, way in DENIED.items()])
def test_a_package_acts_with_its_own_authority_only(within: Within, way: Way, tmp_path: Path) -> None:
    told = run(within, program(way), tmp_path, granted(tmp_path, ("//lib.flow", "none")))
    assert told.verdict == "denied", told
    assert not (tmp_path / "out.txt").exists()
    assert "is not granted to //lib.flow: add --allow-for //lib.flow write=" in told.shown, told.shown


@pytest.mark.parametrize("way", [pytest.param(way, id=name) for name, way in ALLOWED.items()])
def test_what_a_package_has_no_hand_in_is_the_programs(within: Within, way: Way, tmp_path: Path) -> None:
    told = run(within, program(way), tmp_path, granted(tmp_path, ("//lib.flow", "none")))
    assert told.verdict == "ok", told
    assert (tmp_path / "out.txt").read_text() == "x"


def test_a_package_with_a_grant_may_use_it(within: Within, tmp_path: Path) -> None:
    told = run(within, program(DENIED["flow_of_the_root"]), tmp_path, granted(tmp_path, ("//lib.flow", "write=.")))
    assert told.verdict == "ok", told


def test_a_package_does_not_free_itself_by_detaching(within: Within, tmp_path: Path) -> None:
    """A root run of its own is the package's doing all the same."""
    library = 'def use(f):\n    actions = current_flow().actions\n    return actions.start(options(f, id = "loose"))\n'
    above = DENIED["flow_of_the_root"].above
    grants = granted(tmp_path, ("//lib.flow", "none"))

    async def life(yard: Yard) -> Any:
        async def hostile() -> Told:
            sources = TextSources(program(Way(library, "return lib(work)", above)))
            loaded = await yard.engine.load("//main.flow", sources, Limits())
            await yard.run(loaded, f"case{yard.count}", tmp_path, grants, name="main")
            # Nobody waits for a detached run, so its outcome is in the journal only.
            while (header := yard.lab.journal.header("loose")) is None or not header.is_finished:
                await asyncio.sleep(0.005)
            return yard.told(Outcome(header, yard.lab.journal.payload("loose", header.result)))

        return await yard.beside(hostile(), tmp_path)

    told = within(life)
    assert told.verdict == "denied", told
    assert "//lib.flow" in told.message
    assert not (tmp_path / "out.txt").exists()


WRITE = 'return fctx.actions.write("out.txt", "x")'
PAIR = {
    "//a.flow": f'load("./b.flow", "through")\n\ndef direct(fctx):\n    {WRITE}\n\n'
    "def by_b(fctx):\n    return through(fctx, direct)\n",
    "//b.flow": f"def through(fctx, f):\n    return f(fctx)\n\ndef direct(fctx):\n    {WRITE}\n",
}


@pytest.mark.parametrize(
    ("body", "denied"),
    [
        ("direct(fctx)", ""),
        ("by_b(fctx)", "//b.flow"),
        ("through(fctx, direct)", "//b.flow"),
        ("b_direct(fctx)", "//b.flow"),
    ],
    ids=["a", "a_calls_b_calls_a", "b_calls_a", "b"],
)
def test_a_package_gets_nothing_through_another_that_may(
    within: Within, body: str, denied: str, tmp_path: Path
) -> None:
    main = 'load("./a.flow", "by_b", "direct")\nload("./b.flow", "through", b_direct = "direct")\n\n'
    main += f"main = flow(lambda fctx: {body})\n"
    grants = granted(tmp_path, ("//a.flow", "write=."), ("//b.flow", "none"))
    told = run(within, {**PAIR, "//main.flow": main}, tmp_path, grants)
    assert told.verdict == ("denied" if denied else "ok"), told
    if denied:
        assert f"not granted to {denied}" in told.message
        assert "//a.flow" not in told.message


@pytest.mark.parametrize(
    ("resource", "is_allowed"),
    [
        ("api.github.com:443/GET", True),
        ("api.github.com:443/POST", False),
        ("api.github.com:8443/GET", False),
        ("api.github.com.evil.test:443/GET", False),
        ("evil-api.github.com:443/GET", False),
        ("a.corp.example:443/GET", True),
        ("corp.example:443/GET", False),
        ("evilcorp.example:443/GET", False),
        ("a.corp.example.evil.test:443/GET", False),
        ("127.0.0.1:443/GET", False),
    ],
)
def test_hosts_that_look_like_those_granted(resource: str, is_allowed: bool) -> None:
    grants = parse_grants(["net=api.github.com:443/GET", "net=*.corp.example"], [], "/")
    decision = decide(grants, Want("net", resource, "http.get"))
    assert isinstance(decision, Allowed if is_allowed else Denied), decision
    if isinstance(decision, Denied):
        assert "http.get" in decision.message
        assert decision.message.isprintable()


READS = {
    "/proc/self/environ": "no grant opens /proc",
    "/proc/self/mem": "no grant opens /proc",
    "/proc/../proc/self/maps": "no grant opens /proc",
    "/proc/{pid}/environ": "no grant opens /proc",
    "/dev/fd/0": "no grant opens /dev",
    "/dev/stdin": "no grant opens /dev",
    "/sys/kernel/uevent_seqnum": "no grant opens /sys",
    "{home}/journal/data.mdb": "Flowmetal's own",
    "{home}": "Flowmetal's own",
    "{base}/to_environ": "not granted",
    "{base}/to_home/data.mdb": "not granted",
}


def test_what_no_grant_opens(within: Within, tmp_path: Path) -> None:
    """54: the whole machine may be read, and these may not."""

    async def life(yard: Yard) -> Any:
        home = os.path.realpath(yard.lab.home)
        (tmp_path / "to_environ").symlink_to("/proc/self/environ")
        (tmp_path / "to_home").symlink_to(f"{home}/journal")
        names = [each.format(pid=os.getpid(), home=home, base=tmp_path) for each in READS]
        body = '[[r.ok, "" if r.ok else r.error.message] for r in [effects.read(p) for p in PATHS]]'
        text = f"PATHS = {names!r}\nmain = flow(lambda fctx: {body})\n"

        async def hostile() -> Told:
            loaded = await yard.engine.load("//main.flow", TextSources({"//main.flow": text}), Limits())
            grants = parse_grants(["read=/"], [], str(tmp_path))
            return await yard.run(loaded, f"case{yard.count}", tmp_path, grants, name="main")

        return await yard.beside(hostile(), tmp_path)

    told = within(life)
    assert told.verdict == "ok", told
    for (path, says), answer in zip(READS.items(), told.value, strict=True):
        ok, message = answer
        assert not ok, path
        assert says in message or "never allowed" in message or "denied" in message, (path, message)


WRITES = [
    ".git/hooks/pre-commit",
    "sub/.GIT/hooks/post-merge",
    "flowmetal.toml",
    "FlowMetal.TOML",
    "flowmetal.lock",
    "sub/../flowmetal.toml",
    "granted/../.git/config",
    "tool",
    "to_tool",
    "second_name_of_denied",
    "denied.txt",
    "sub/../denied.txt",
    "to_outside/x",
    "../outside/x",
    "/proc/self/oom_score_adj",
    "/dev/shm/x",
    "caf\u00e9\u0000",
]


def test_what_is_never_written(within: Within, tmp_path: Path) -> None:
    """55: what would give a flow more than it has.  Races are in ``tests/actions/test_beneath.py``."""
    base = tmp_path / "base"
    for name in ("base/sub", "base/granted", "base/.git/hooks", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (base / "tool").write_text("#!/bin/sh\n")
    (base / "tool").chmod(0o700)
    (base / "to_tool").symlink_to("tool")
    (base / "denied.txt").write_text("old")
    os.link(base / "denied.txt", base / "second_name_of_denied")
    (base / "to_outside").symlink_to("../outside")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    text = f"PATHS = {WRITES!r}\nmain = flow(lambda fctx: [effects.write(p, 'x').ok for p in PATHS])\n"
    text = text.replace("\\x00", "\\0")

    async def life(yard: Yard) -> Any:
        async def hostile() -> Told:
            loaded = await yard.engine.load("//main.flow", TextSources({"//main.flow": text}), Limits())
            allow = ["write=.", "read=.", f"exec={base}/tool"]
            grants = parse_grants(allow, [f"write={base}/denied.txt"], str(base))
            return await yard.run(loaded, f"case{yard.count}", base, grants, name="main")

        return await yard.beside(hostile(), tmp_path / "other")

    told = within(life)
    written = [path for path, ok in zip(WRITES, told.value, strict=True) if ok]
    assert written in ([], ["second_name_of_denied"]), told
    assert (base / "denied.txt").read_text() == "old"
    assert (base / "tool").read_text() == "#!/bin/sh\n"
    found = sorted(str(path) for path in tmp_path.rglob("*") if "other" not in path.parts)
    assert found == before


URLS = [
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1%25lo]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://0.0.0.0/",
    "http://user:pass@127.0.0.1/",
    "http://api.example@127.0.0.1/",
    "http://127.0.0.1\\@api.example/",
    "http://%31%32%37.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://a.example/\r\nHost: b",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "//127.0.0.1/",
    "",
]


def test_addresses_spelled_otherwise(within: Within, tmp_path: Path) -> None:
    """59: every public host is granted, and none of these is one; nothing is connected to."""
    text = f"URLS = {URLS!r}\n"
    answers = "['' if r.ok else r.error.message for r in [effects.http.get(u) for u in URLS]]"
    text += f"main = flow(lambda fctx: {answers})\n"

    async def life(yard: Yard) -> Any:
        async def hostile() -> Told:
            loaded = await yard.engine.load("//main.flow", TextSources({"//main.flow": text}), Limits())
            grants = parse_grants(["net=*:*"], [], str(tmp_path))
            return await yard.run(loaded, f"case{yard.count}", tmp_path, grants, name="main")

        return await yard.beside(hostile(), tmp_path)

    told = within(life)
    assert told.verdict == "ok", told
    for url, message in zip(URLS, told.value, strict=True):
        assert message.startswith("http.get: "), (url, message)
        assert "connect" not in message or "is not granted" in message or "denied" in message, (url, message)
