"""What a worker can still do when it has locked itself in, and what becomes of one that cannot."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgpack
import pytest

from flowmetal.engine.checking import check_file
from flowmetal.engine.launching import MINIMUM_LEVEL_VARIABLE, Launched, launch, minimum_level
from flowmetal.engine.process import WorkerProcess
from flowmetal.errors import InternalError, UsageError
from flowmetal.settings import MIB, Limits
from flowmetal.testing.harness import MAIN, Lab, TextSources, in_loop, value_of
from flowmetal.testing.workers import Tapped, WorkerTap
from flowmetal.worker.landlock import landlock_abi, rights_by_kind
from flowmetal.worker.level import Confinement
from tests.worker.confined import ATTEMPTS, Targets

CHECKOUT = Path(__file__).parents[2]
ABI = landlock_abi()[0] if sys.platform == "linux" else 0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and calls what Linux has")
LANDLOCK = pytest.mark.skipif(ABI == 0, reason="the kernel has no Landlock")

CREATE_RULESET, RESTRICT_SELF = 444, 446
FLOW = 'if __name__ == "__flow__":\n    print(uuid(), random(), now())\n    sleep("1ms")\n'

NEEDS_A_DESCRIPTOR = ("read", "list", "write", "pipe", "tcp connect", "tcp bind", "udp", "unix path", "unix abstract")
NEEDS_A_NAME = ("mkdir", "rmdir", "symlink", "mkfifo", "unlink", "rename", "truncate", "execute")
STILL_DONE = ("stat", "chmod", "fork", "thread", "random")


def by_landlock(abi: int) -> dict[str, str]:
    """What Landlock of a version makes of each attempt that needs a descriptor, a name or a process."""
    since = {"tcp connect": 4, "tcp bind": 4, "udp": 10, "unix path": 9, "unix abstract": 6, "truncate": 3, "signal": 6}
    refused = {"signal": "EPERM", "unix abstract": "EPERM"}
    never = ("pipe",)
    return {
        name: "done" if name in never or abi < since.get(name, 1) else refused.get(name, "EACCES")
        for name in (*NEEDS_A_DESCRIPTOR, *NEEDS_A_NAME, "signal")
    }


EXPECTED: dict[str, dict[str, str]] = {
    "free": dict.fromkeys(ATTEMPTS, "done"),
    "descriptors": {
        **dict.fromkeys(NEEDS_A_DESCRIPTOR, "EMFILE"),
        # A program starts and finds no library; one without libraries would run.
        **dict.fromkeys(set(NEEDS_A_NAME) - {"execute"}, "done"),
        **dict.fromkeys(("signal", *STILL_DONE), "done"),
    },
    "landlock": {**by_landlock(ABI), **dict.fromkeys(STILL_DONE, "done")},
    "worker": {
        **by_landlock(ABI),
        **dict.fromkeys(NEEDS_A_DESCRIPTOR, "EMFILE"),
        **dict.fromkeys(STILL_DONE, "done"),
    },
}


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Targets]:
    with ExitStack() as stack:
        tcp, udp, path, abstract = (
            stack.enter_context(socket.socket(family, kind))
            for family, kind in (
                (socket.AF_INET, socket.SOCK_STREAM),
                (socket.AF_INET, socket.SOCK_DGRAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
            )
        )
        directory = tmp_path / "directory"
        (directory / "empty").mkdir(parents=True)
        (directory / "file").touch()
        (directory / "other").touch()
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        monkeypatch.chdir(directory)  # the path of a socket must be short
        path.bind("s")
        name = f"flowmetal-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        for each in (tcp, path, abstract):
            each.listen(16)
        ports = tcp.getsockname()[1], udp.getsockname()[1]
        yield Targets(str(directory), *ports, "s", name, os.getpid())


@contextmanager
def confined(how: str, targets: Targets) -> Iterator[tuple[int, dict[str, Any]]]:
    """A process that is locked in and alive: its pid and what it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.worker.confined", how, json.dumps(asdict(targets))],
        cwd=targets.directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.pid, json.loads(process.stdout.readline())
    finally:
        process.communicate("\n")


@LINUX
@pytest.mark.parametrize("how", EXPECTED)
def test_what_is_refused(how: str, targets: Targets) -> None:
    """Each means for itself, so that one does not hide that the other fails; and that without them all is done."""
    if how == "landlock" and not ABI:
        pytest.skip("the kernel has no Landlock")
    with confined(how, targets) as (_, said):
        came = said["came"]
    assert {name: came[name] for name in EXPECTED[how]} == EXPECTED[how]
    if how == "worker":
        assert "not allowed" in came["more descriptors"]
        assert said["state"] == {
            **({"level": "L1", "reason": ""} if ABI else {"level": "L0", "reason": landlock_abi()[1]}),
            "landlock_abi": ABI,
            "pdeathsig": "SIGKILL",
            "dumpable": 0,
            "no_new_privs": 1,
        }


@LINUX
def test_a_root_users_worker_has_no_capabilities(targets: Targets) -> None:
    with confined("worker", targets) as (pid, _):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    held = {line.split()[0]: int(line.split()[1], 16) for line in lines if line.startswith(("CapEff", "CapPrm"))}
    assert held == {"CapEff:": 0, "CapPrm:": 0}


@LINUX
@pytest.mark.parametrize(("how", "expected"), [("free nobody", "done"), ("worker nobody", "EACCES")])
def test_others_of_the_same_person_cannot_look_into_it(how: str, expected: str, targets: Targets) -> None:
    with confined(how, targets) as (pid, _):
        looked = subprocess.run(
            [sys.executable, "-m", "tests.worker.confined", "look", str(pid)],
            cwd=CHECKOUT,
            capture_output=True,
            check=True,
        )
    assert json.loads(looked.stdout) == dict.fromkeys(("environ", "maps", "fd"), expected)


# -- rights and words --------------------------------------------------------------------------------------


def test_every_right_of_a_version_and_none_of_a_later_one() -> None:
    """As the kernel's header counts them: files, network, scopes."""
    counts = {1: (13, 0, 0), 2: (14, 0, 0), 3: (15, 0, 0), 4: (15, 2, 0), 5: (16, 2, 0), 6: (16, 2, 2), 8: (16, 2, 2)}
    counts |= {9: (17, 2, 2), 10: (17, 4, 2), 11: (17, 4, 2)}
    for abi, expected in counts.items():
        masks = [sum(mask for since, mask in table.items() if since <= abi) for table in rights_by_kind()]
        assert tuple(mask.bit_count() for mask in masks) == expected, abi
        assert all(mask & (mask + 1) == 0 for mask in masks), abi


GREETINGS: dict[str, tuple[str, int, str]] = {
    "no_level": ("", 7, ""),
    "higher": ("L9", 7, ""),
    "without_landlock": ("L1", 0, ""),
    "landlock_unused": ("L0", 7, ""),
    "no_version": ("L1", 2**40, ""),
}


@pytest.mark.parametrize("case", GREETINGS)
def test_a_greeting_that_is_none(case: str) -> None:
    assert Confinement.of_greeting(*GREETINGS[case]) is None


def test_what_a_level_means() -> None:
    low, old, new = Confinement("L0", 0, "no Landlock"), Confinement("L1", 2), Confinement("L1", 7)
    assert low.is_below("L1")
    assert not old.is_below("L1")
    assert "removing and renaming files" in low.left_open
    assert "truncating files (Landlock 3), signals to your processes (Landlock 6)" in old.left_open
    assert "Landlock" not in new.left_open


# -- real workers ------------------------------------------------------------------------------------------


def greetings_of(lab: Lab) -> list[Confinement | None]:
    """What each worker said that a run of ``FLOW`` needed."""
    tap = WorkerTap()
    workers: list[WorkerProcess] = []

    def spawn(limits: Limits, on_messages: Any, on_end: Any, /) -> WorkerProcess:
        workers.append(Tapped(limits, on_messages, on_end, tap))
        return workers[-1]

    lab.spawn = spawn
    assert value_of(lab.run(FLOW)) is None
    return [worker.confinement for worker in workers]


@LANDLOCK
def test_a_worker_says_how_far_it_is_confined(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MINIMUM_LEVEL_VARIABLE, "L1")
    assert greetings_of(lab) == [Confinement("L1", ABI)]


def filter_calls(monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
    """Workers come up under a kernel in which a system call fails."""
    real = subprocess.Popen

    def popen(command: list[str], **options: Any) -> Any:
        before = [sys.executable, str(Path(__file__).with_name("filtered.py")), str(number), str(code)]
        return real([*before, *command], **options)

    monkeypatch.setattr(subprocess, "Popen", popen)


LESSER: dict[str, tuple[int, str]] = {
    "old": (errno.ENOSYS, "Linux 5.13"),
    "off": (errno.EOPNOTSUPP, "switched off"),
    "filtered": (errno.EPERM, "container"),
}


@LINUX
@pytest.mark.parametrize("case", LESSER)
def test_a_worker_of_a_lesser_kernel_works_and_says_so(lab: Lab, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, words = LESSER[case]
    filter_calls(monkeypatch, CREATE_RULESET, code)
    (said,) = greetings_of(lab)
    assert said is not None
    assert (said.level, said.landlock_abi) == ("L0", 0)
    assert words in said.reason


@LINUX
@pytest.mark.parametrize("what", ["run", "check"])
def test_a_worker_below_the_minimum_is_refused(lab: Lab, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filter_calls(monkeypatch, CREATE_RULESET, errno.ENOSYS)
    monkeypatch.setenv(MINIMUM_LEVEL_VARIABLE, "L1")
    lab.spawn = tap = WorkerTap()
    wanted = r"confined to L0 only, and FLOWMETAL_MIN_SANDBOX asks for L1: this kernel has no Landlock"

    def check() -> None:
        asyncio.run(check_file(MAIN, TextSources({MAIN: FLOW}), Limits()))

    with pytest.raises(UsageError, match=wanted) as caught:
        lab.run(FLOW) if what == "run" else check()
    assert "flowmetal doctor" in caught.value.remedy
    assert len(tap.pids) == (what == "run"), "another worker would not do better"


@LANDLOCK
@pytest.mark.parametrize(("number", "name"), [(RESTRICT_SELF, "landlock_restrict_self"), (126, "capset")])
def test_what_the_system_has_and_refuses_is_named(
    lab: Lab, number: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "capset" and os.uname().machine != "x86_64":
        pytest.skip("the number of capset is another on this machine")
    filter_calls(monkeypatch, number, errno.E2BIG)
    lab.spawn = tap = WorkerTap()
    with pytest.raises(InternalError, match=f"it could not lock itself in: {name}: Argument list too long") as caught:
        lab.run(FLOW)
    assert "security module" in caught.value.remedy
    assert len(tap.pids) == 1, "another worker would not do better"


@pytest.mark.parametrize("text", ["L2", "l1", "high"])
def test_a_minimum_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MINIMUM_LEVEL_VARIABLE, text)
    with pytest.raises(UsageError, match=f"FLOWMETAL_MIN_SANDBOX is '{text}'") as caught:
        launch(Limits())
    assert "L0, L1" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "L0"])
def test_the_lowest_level_is_the_minimum(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MINIMUM_LEVEL_VARIABLE, text)
    assert minimum_level() == "L0"


# -- workers that are none ---------------------------------------------------------------------------------


def ending(
    talk: Callable[[socket.socket], None], limits: Limits, program: str, **options: Any
) -> tuple[str, list[Any]]:
    """Why the engine ended a process that is no worker, whose end of the socket is ours; and what it took from it."""

    async def life() -> tuple[str, list[Any]]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        assert process.stdin is not None
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        taken: list[Any] = []
        with process.stdin, theirs:
            WorkerProcess(
                limits,
                lambda _, messages: taken.extend(messages),
                lambda _, reason: ended.set_result(reason),
                Launched(limits, "L0", process, ours),
                **options,
            )
            talk(theirs)
            return await asyncio.wait_for(ended, 30), taken

    return in_loop(life)


WAITS = "import sys; sys.stdin.read()"
TALKS: dict[str, tuple[list[list[Any]], str]] = {
    "no_greeting": ([["need", ["//x.flow"]]], "need where a greeting was due"),
    "two": ([["hello", {}, "L0", 0, ""], ["hello", {}, "L1", 7, ""]], "hello where a greeting was over"),
    "no_level": ([["hello", {}, "L9", 7, ""]], "a level of confinement that is none"),
    "no_number": ([["hello", {}, "L1", "7", ""]], "field 3 is not int"),
    "short": ([["hello", {}]], "with 1 fields, not 4"),
}


@pytest.mark.parametrize("case", TALKS)
def test_who_greets_otherwise_is_no_worker(case: str) -> None:
    messages, words = TALKS[case]
    body = msgpack.packb(messages)
    reason, taken = ending(lambda end: end.sendall(struct.pack(">I", len(body)) + body), Limits(), WAITS)
    assert reason.startswith("it sent ")
    assert words in reason
    assert taken == []


@LINUX
def test_memory_that_the_system_does_not_limit_is_watched() -> None:
    """As on macOS, where nobody has tried it: only what the process holds is read in another way there."""
    limits = Limits(address_space_bytes=64 * MIB)
    hoards = f"held = bytearray({128 * MIB}); held[::4096] = b'x' * len(held[::4096]); {WAITS}"

    def held(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()

    reason, _ = ending(lambda _: None, limits, hoards, memory_of=held)
    assert reason == "it took more than 67,108,864 bytes of memory"
