"""What a program is given, what comes of it, and what is said when it does not start."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.actions.exec import VALUE_BYTES
from flowmetal.actions.output import Capture, share
from flowmetal.permissions import parse_grants
from flowmetal.settings import Limits
from flowmetal.values import Wire
from tests.actions.bench import KEY, Bench, open_files

PATH, ITS_KEY = "PATH=/usr/bin:/bin\n", f"FLOWMETAL_IDEMPOTENCY_KEY={KEY}\n"
TOKEN = "tok-0123456789-secret"
SECRET = {"secret": ["TOKEN", "00000000"]}


@pytest.fixture
def bench(base: Path) -> Bench:
    """A shell and a few programs may be run."""
    allow = ["exec=sh", "exec=cat", "exec=env", "secret=TOKEN@exec:sh", "secret=TOKEN@exec:cat"]
    return Bench(base, parse_grants(allow, [], str(base)), {"TOKEN": TOKEN})


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


# -- what a program is given ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "more", "expected"),
    [
        (["sh", "-c", "echo out; echo err >&2"], {}, (0, "out\n", "err\n")),
        (["sh", "-c", 'printf "%s|" "$@"', "x", "a b", "", "$HOME;*"], {}, (0, "a b||$HOME;*|", "")),
        (["sh", "-c", "exit 7"], {"ok_codes": [0, 7]}, (7, "", "")),
        (["cat"], {}, (0, "", "")),
        (["cat"], {"stdin": "ü\0\n"}, (0, "ü\0\n", "")),
        (["cat"], {"stdin": ["a=", SECRET, "\n"]}, (0, f"a={TOKEN}\n", "")),
        (["cat"], {"stdin": SECRET}, (0, TOKEN, "")),
        (["env"], {}, (0, PATH + ITS_KEY, "")),
        (["env"], {"env": {"dict": ["A", "b c", "X_1", "ü=="]}}, (0, f"{PATH}A=b c\nX_1=ü==\n{ITS_KEY}", "")),
        (["sh", "-c", 'echo "$T"'], {"env": {"dict": ["T", SECRET]}}, (0, f"{TOKEN}\n", "")),
        (["sh", "-c", r"printf 'a\377b'"], {}, (0, "a\ufffdb", "")),
    ],
)
def test_what_goes_in_and_what_comes_out(
    bench: Bench, argv: list[Wire], more: dict[str, Wire], expected: tuple[int, str, str]
) -> None:
    code, stdout, stderr = expected
    found = bench("exec", argv, **more)
    assert found == {"code": code, "stdout": stdout, "stderr": stderr, "truncated": False}


def test_a_program_that_does_not_read_on_is_not_waited_for(bench: Bench) -> None:
    assert bench("exec", ["sh", "-c", "head -c 3"], stdin="x" * 1_000_000)["stdout"] == "xxx"


def test_a_program_dies_of_a_closed_pipe_as_usual(bench: Bench) -> None:
    """Python ignores SIGPIPE; what it starts must not."""
    assert bench("exec", ["sh", "-c", "(while :; do echo x; done) | head -n 1"])["stdout"] == "x\n"


def test_a_program_has_the_three_usual_descriptors(bench: Bench) -> None:
    text = "for fd in 0 1 2 3 4 5 6 7 8 9; do (true <&$fd) 2>/dev/null && printf '%s ' $fd; done; true"
    assert bench("exec", ["sh", "-c", text])["stdout"] == "0 1 2 "
    if os.path.isdir("/proc/self/fd"):
        listed = bench.granted("exec=ls")("exec", ["ls", "/proc/self/fd"], stdin="x")["stdout"].split()
        assert listed[:3] == ["0", "1", "2"]
        assert len(listed) == 4, "and the one that lists them"


def test_variables_of_our_own_are_handed_on_by_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOR_ALL", "value")
    monkeypatch.delenv("UNSET", raising=False)
    failure = bench.failure("exec", ["env"], inherit_env=["FOR_ALL"])
    assert (failure.kind, failure.message) == (
        "denied",
        "exec: reading the variable FOR_ALL is not granted: add --allow env=FOR_ALL",
    )
    wider = bench.granted("exec=env", "env=FOR_ALL", "env=UNSET")
    assert wider("exec", ["env"], inherit_env=["FOR_ALL", "UNSET"])["stdout"] == f"{PATH}FOR_ALL=value\n{ITS_KEY}"


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PATH", "PYTHONPATH", "GIT_SSH_COMMAND", "IFS"]
)
@pytest.mark.parametrize("way", ["env", "inherit_env"])
def test_a_variable_that_runs_code_is_given_to_no_program(bench: Bench, name: str, way: str) -> None:
    allowed = replace(bench, grants=parse_grants(["exec=env", "env=*"], [], str(bench.base)))
    value: Wire = {"dict": [name, "x"]} if way == "env" else [name]
    failure = allowed.failure("exec", ["env"], **{way: value})
    assert failure.kind == "denied"
    assert f"the variable {name} is never given to a program" in failure.message


@pytest.mark.parametrize(
    ("argv", "more", "message"),
    [
        ([], {}, "argv is empty"),
        ([""], {}, "argv[0] names no program"),
        (["sh", 5], {}, "argv[1] is a value of type int, not a text"),
        (["sh", "a\0b"], {}, "argv[1] holds a NUL"),
        (["sh", SECRET], {}, "argv[1] is a secret, and arguments can be seen by everybody"),
        (["sh", [SECRET]], {}, "argv[1] is a secret"),
        (["sh"], {"env": {"dict": ["A", 1]}}, "A in env is a value of type int"),
        (["sh"], {"env": {"dict": [1, "A"]}}, "a name in env is a value of type int"),
        (["sh"], {"env": {"dict": ["A B", "x"]}}, "`A B` is not the name of a variable"),
        (["sh"], {"env": {"dict": ["A", "\0"]}}, "A in env holds a NUL"),
        (["sh"], {"env": {"dict": ["A", ""]}, "inherit_env": ["A"]}, "A stands both in env and in inherit_env"),
        (["sh"], {"inherit_env": [1]}, "an item of inherit_env is a value of type int"),
        (["sh"], {"stdin": 1}, "stdin is a text, a secret or a list of them"),
        (["sh"], {"ok_codes": []}, "ok_codes is a list"),
        (["sh"], {"ok_codes": [True]}, "ok_codes is a list"),
        (["sh"], {"ok_codes": [256]}, "ok_codes is a list"),
        (["sh"], {"cwd": ""}, "the cwd is empty"),
        (["sh"], {"stdout_to": "out/"}, "ends with a slash"),
        ("sh -c true", {}, "takes a list as `argv`"),
        (["sh"], {"shell": True}, "has no argument `shell`"),
    ],
)
def test_arguments_that_cannot_be(bench: Bench, argv: Wire, more: dict[str, Wire], message: str) -> None:
    failure = bench.failure("exec", argv, **more)
    assert failure.kind == "error"
    assert message in failure.message


def test_more_than_a_mebibyte_is_not_handed_over(bench: Bench) -> None:
    failure = bench.failure("exec", ["cat"], stdin=["x" * 600_000] * 2)
    assert failure.kind == "limit"
    assert "1,200,000 bytes" in failure.message


def test_a_directory_to_work_in(bench: Bench, base: Path) -> None:
    (base / "in").mkdir()
    (base / "out").mkdir()
    (base / "in" / "file").touch()
    (base / "in" / "away").symlink_to(base / "out")
    wider = bench.granted("exec=sh", "read=in")
    assert wider("exec", ["sh", "-c", "pwd"])["stdout"] == f"{base}\n"
    assert wider("exec", ["sh", "-c", "pwd"], cwd="in")["stdout"] == f"{base}/in\n"
    assert f"add --allow read={base}/out" in wider.failure("exec", ["sh", "-c", "pwd"], cwd="out").message
    assert "leads out of the grant" in wider.failure("exec", ["sh", "-c", "pwd"], cwd="in/away").message
    assert "cannot run in `in/file`: not a directory" in wider.failure("exec", ["sh"], cwd="in/file").message
    assert "cannot run in `in/no`: no such file" in wider.failure("exec", ["sh"], cwd="in/no").message


# -- which program -------------------------------------------------------------------------------------


def test_what_is_granted_is_started_and_nothing_else(bench: Bench, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{base}:{os.environ['PATH']}")
    found = bench("exec", ["sh", "-c", "echo real"])
    script(base / "sh", "#!/bin/cat\n")
    assert bench("exec", ["sh", "-c", "echo real"]) == found, "the search path is looked at once, when it is granted"
    assert bench.failure("exec", ["./sh"]).message == (
        f"exec: running {base}/sh is not granted: add --allow exec={base}/sh"
    )
    assert bench.failure("exec", ["ls"]).kind == "denied"


def test_a_program_by_its_path(bench: Bench, base: Path) -> None:
    script(base / "tool", '#!/bin/sh\necho "$0 $1"\n')
    assert bench.granted("exec=./tool")("exec", ["./tool", "x"])["stdout"] == f"{base}/tool x\n"
    assert bench.granted("exec=*")("exec", ["./tool", "x"])["stdout"] == f"{base}/tool x\n"
    assert bench.granted("exec=*", deny=("exec=./tool",)).failure("exec", ["./tool"]).kind == "denied"
    (base / "other").symlink_to("tool")
    assert "is denied" in bench.granted("exec=*", deny=("exec=./tool",)).failure("exec", ["./other"]).message
    failure = bench.granted("exec=*").failure("exec", ["no-such-program-here"])
    assert failure.message == "cannot run `no-such-program-here`: it is not on the search path"


def test_a_digest_is_of_the_file_that_is_started(bench: Bench, base: Path) -> None:
    for name, text in (("tool", b"#!/bin/sh\necho $1\n"), ("binary", Path(os.path.realpath("/bin/echo")).read_bytes())):
        (base / name).write_bytes(text)
        (base / name).chmod(0o755)
        digest = hashlib.sha256(text).hexdigest()
        one = bench.granted(f"exec=./{name}@sha256:{digest}")
        assert one("exec", [f"./{name}", "x"])["stdout"] == "x\n"
        with (base / name).open("ab") as file:
            file.write(b"\n")
        changed = hashlib.sha256(text + b"\n").hexdigest()
        failure = one.failure("exec", [f"./{name}", "x"])
        assert failure.kind == "denied"
        assert (
            failure.message
            == f"cannot run `./{name}`: the SHA-256 of {base}/{name} is {changed}, and another was granted"
        )


def not_there(path: Path) -> None:
    path.unlink()


def no_right(path: Path) -> None:
    path.chmod(0o644)


def no_program(path: Path) -> None:
    path.write_text("just a text\n", encoding="utf-8")


def no_interpreter(path: Path) -> None:
    path.write_text("#!/no/such/interpreter\n", encoding="utf-8")


def a_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (not_there, "effect", "cannot run `./tool`: {base}/tool is not there any more"),
        (no_right, "effect", "cannot run `./tool`: it may not be executed"),
        (no_program, "effect", "cannot run `./tool`: it is no program for this machine"),
        (no_interpreter, "effect", "cannot run `./tool`: what it needs to start is not there"),
        (a_link, "denied", "cannot run `./tool`: {base}/tool leads to {base}/moved now, which it did not"),
    ],
)
def test_what_does_not_start_says_why(bench: Bench, base: Path, spoil: object, kind: str, message: str) -> None:
    one = (script(base / "tool", "#!/bin/sh\n"), bench.granted("exec=./tool"))[1]
    spoil(base / "tool")  # type: ignore[operator]
    failure = one.failure("exec", ["./tool"])
    assert failure.kind == kind
    assert failure.message.startswith(message.format(base=base))


def test_arguments_longer_than_the_system_takes(bench: Bench) -> None:
    assert "its arguments and variables are longer" in bench.failure("exec", ["cat", *["x" * 100_000] * 40]).message


def test_a_secret_goes_to_the_program_it_is_for(bench: Bench, base: Path) -> None:
    one = bench.granted("exec=env", "secret=TOKEN@exec:cat")
    failure = one.failure("exec", ["env"], env={"dict": ["T", SECRET]})
    assert failure.kind == "denied"
    assert "add --allow secret=TOKEN@exec:env" in failure.message
    # Two grants of one name that mean two files: the secret is not for the one that is started.
    script(base / "tool", "#!/bin/sh\n")
    (base / "sub").mkdir()
    script(base / "sub" / "tool", "#!/bin/sh\n")
    first = parse_grants(["exec=tool"], [], str(base), which=lambda name: str(base / name))
    second = parse_grants(["secret=TOKEN@exec:tool"], [], str(base), which=lambda name: str(base / "sub" / name))
    failure = replace(bench, grants=first.widen(second)).failure("exec", ["tool"], stdin=SECRET)
    assert failure.kind == "denied"
    assert f"the secret TOKEN is for {base}/sub/tool, and the program is {base}/tool" in failure.message


# -- what comes of it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "code", "signal_name"),
    [
        ("echo one >&2; echo 'two\033[1m' >&2; echo >&2; exit 3", "`sh` ended with code 3: two\\x1b[1m", 3, ""),
        ("exit 255", "`sh` ended with code 255", 255, ""),
        ("kill -9 $$", "`sh` was ended by SIGKILL", None, "SIGKILL"),
        ("kill -s SEGV $$", "`sh` was ended by SIGSEGV", None, "SIGSEGV"),
    ],
)
def test_an_end_that_is_no_good(bench: Bench, text: str, message: str, code: int | None, signal_name: str) -> None:
    failure = bench.failure("exec", ["sh", "-c", f"echo out; {text}"])
    assert (failure.kind, failure.message) == ("effect", message)
    details = bench.details("exec", ["sh", "-c", f"echo out; {text}"])
    assert (details["code"], details["signal"], details["stdout"]) == (code, signal_name, "out\n")
    assert details.get("may_have_run") == (True if signal_name else None)


@pytest.mark.parametrize(
    ("out", "err", "cut"),
    [
        (2_000_000, 0, (True, False)),
        (2_000_000, 2_000_000, (True, True)),
        (2_000_000, 1_000, (True, False)),
        (100, 2_000_000, (False, True)),
        (490_000, 490_000, (False, False)),
    ],
)
def test_both_streams_get_their_share_of_a_value(bench: Bench, out: int, err: int, cut: tuple[bool, bool]) -> None:
    text = f"head -c {out} /dev/zero | tr '\\0' o; head -c {err} /dev/zero | tr '\\0' e >&2"
    found = bench("exec", ["sh", "-c", text])
    for stream, size, is_cut in (("stdout", out, cut[0]), ("stderr", err, cut[1])):
        printed = found[stream]
        assert ("bytes are left out …]" in printed) == is_cut
        assert len(printed) == size or is_cut
        assert not is_cut or len(printed) >= VALUE_BYTES // 2 - 100
    assert found["truncated"] == any(cut)


def test_output_without_end_is_read_and_dropped(bench: Bench) -> None:
    """300 MB go by while the program runs on; what is kept begins and ends as the output does."""
    more = replace(bench, limits=Limits(exec_output_bytes=1_000))
    found = more("exec", ["sh", "-c", "echo first; head -c 300000000 /dev/zero; echo; echo last"])
    assert found["stdout"].startswith("first\n\0")
    assert found["stdout"].endswith("\nlast\n")
    assert "bytes are left out" in found["stdout"]
    assert len(found["stdout"]) < 1_200
    assert found["truncated"] is True


def test_bytes_that_are_no_text_fit_too(bench: Bench) -> None:
    found = bench("exec", ["sh", "-c", "head -c 900000 /dev/zero | tr '\\0' '\\377'"])
    assert found["truncated"] is True
    assert found["stdout"].startswith("\ufffd")


def test_nothing_stays_open(bench: Bench) -> None:
    bench("exec", ["cat"], stdin="x")
    before = sorted(open_files())
    bench("exec", ["sh", "-c", "echo"], stdin="x")
    bench.failure("exec", ["sh", "-c", "exit 1"], stdin="x")
    bench.failure("exec", ["cat", "x" * 3_000_000], stdin="x")
    assert sorted(open_files()) == before


# -- into a file ---------------------------------------------------------------------------------------


def test_output_goes_to_a_file(bench: Bench, base: Path) -> None:
    one = bench.granted("exec=sh", "write=.")
    text = "head -c 5000000 /dev/zero; echo warned >&2"
    found = one("exec", ["sh", "-c", text], stdout_to="dump")
    assert found == {"code": 0, "stdout": "", "stderr": "warned\n", "truncated": False}
    assert (base / "dump").stat().st_size == 5_000_000
    (base / "dump").chmod(0o600)
    one("exec", ["sh", "-c", "echo new"], stdout_to="dump")
    assert (base / "dump").read_text() == "new\n"
    assert stat.S_IMODE((base / "dump").stat().st_mode) == 0o600


def test_a_file_is_replaced_only_by_the_output_of_a_good_end(bench: Bench, base: Path) -> None:
    (base / "dump").write_text("old")
    one = bench.granted("exec=sh", "write=.")
    assert one.failure("exec", ["sh", "-c", "echo half; exit 1"], stdout_to="dump").kind == "effect"
    less = replace(one, limits=Limits(exec_file_bytes=10_000))
    failure = less.failure("exec", ["sh", "-c", "while :; do echo much; done"], stdout_to="dump")
    assert failure.kind == "limit"
    assert "printed more than 10,000 bytes, the limit exec_file_bytes" in failure.message
    failure = one.failure("exec", ["sh", "-c", "while :; do echo much; done"], stdout_to="no/dump")
    assert f"the directory {base}/no does not exist" in failure.message
    assert one.failure("exec", ["sh", "-c", "echo"], stdout_to=".git/hooks/x").kind == "denied"
    assert bench.failure("exec", ["sh", "-c", "echo"], stdout_to="dump").kind == "denied"
    assert (base / "dump").read_text() == "old"
    assert os.listdir(base) == ["dump"]


# -- what is kept of a stream --------------------------------------------------------------------------


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.just(TOKEN.encode())), max_size=30),
    st.integers(0, 120),
    st.integers(0, 120),
)
def test_no_secret_is_cut_in_two(chunks: list[bytes], limit: int, shown: int) -> None:
    capture = Capture(limit, [TOKEN])
    for chunk in chunks:
        capture.feed(chunk)
    whole = b"".join(chunks)
    text, is_cut = capture.text(shown)
    tail = capture.tail(shown)
    assert capture.size == len(whole)
    if not is_cut:
        assert text == whole.decode("utf-8", "replace")
    for part in (text, tail):
        rest = part.replace(TOKEN, "")
        halves = [TOKEN[:-1], TOKEN[1:], TOKEN[:10], TOKEN[-10:]]
        assert not any(half in rest for half in halves if whole.count(half.encode()) == whole.count(TOKEN.encode()))


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_shares_are_fair(total: int, first: int, second: int) -> None:
    shares = share(total, first, second)
    assert sum(shares) <= total
    for needs, has in zip((first, second), shares, strict=True):
        assert has >= min(needs, total // 2)


def test_the_guard_needs_nothing_but_the_standard_library() -> None:
    """It is started without the paths of installed packages."""
    text = (Path(sys.modules["flowmetal.actions.exec"].__file__ or "").parent / "guard.py").read_text(encoding="utf-8")
    assert "flowmetal." not in text
