"""``flowmetal signal`` and ``flowmetal query``: to runs that are driven, that nobody drives, and that are over."""

from __future__ import annotations

import signal

import pytest

from tests.cli.conftest import Cli, Here, until

TALKING = """
def _talk(fctx):
    fctx.actions.expose("stage", "waits")
    first = unwrap(fctx.actions.receive("word"))
    fctx.actions.expose("stage", {"got": first})
    fctx.actions.expose("last", "second\\x1b[31m")
    return [first, unwrap(fctx.actions.receive("word"))]

talk = flow(_talk)
"""


@pytest.fixture
def talking(cli: Cli) -> Cli:
    cli.file("talk.flow", TALKING)
    return cli


def test_a_run_is_told_and_asked_killed_and_resumed(talking: Cli, here: Here) -> None:
    process = talking.start("run", "talk.flow:talk", "--id", "t1", "--json")
    until(lambda: "t1" in here("ps", "--json").out and here("query", "t1", "--json").json == {"stage": "waits"})
    until(lambda: here("ps", "--json").lines[0]["status"] == "waiting")
    assert here("ps", "--json").lines[0]["waits_for"] == "a message `word`"
    assert "flowmetal signal t1 word JSON" in here("explain", "t1").out
    assert here("query", "t1", "stage").out == "waits\n"

    sent = here("signal", "t1", "word", '{"n": [1, null, "é"]}')
    assert (sent.code, sent.out, sent.err) == (0, "", "")
    until(lambda: "last" in here("query", "t1", "--json").json)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    misspelt = here("signal", "t1", "wrod", "0")
    assert misspelt.err.startswith("t1 waits for `word`, not `wrod`; it is kept until t1 receives `wrod`\n")
    assert "  it has not received the messages that it was sent as wrod\n" in here("explain", "t1").out
    kept = here("signal", "t1", "word", "2")
    assert (kept.code, kept.err) == (0, "nobody drives t1 now; it is kept until: flowmetal resume t1\n")
    assert here("signal", "t1", "other", "--quiet").err == ""
    assert here("pause", "t1", "--quiet").code == 0
    assert here("signal", "t1", "wrod").err.startswith("t1 waits for `word`, not `wrod`; ")
    assert here("resume", "t1", "--leave", "--quiet").code == 0
    assert "unread         4 messages: wrod, word, other\n" in here("show", "t1").out
    assert here("show", "t1", "--json").json["unread_messages"] == 4
    assert here("query", "t1", "stage", "--json").json == {"got": {"n": [1, None, "é"]}}
    assert here("query", "t1", "stage").out == '{"got": {"n": [1, null, "é"]}}\n'
    assert here("query", "t1").out == 'stage  {"got": {"n": [1, null, "é"]}}\nlast   "second\\u001b[31m"\n'

    assert here("resume", "t1", "--json").json["result"] == [{"n": [1, None, "é"]}, 2]
    log = here("log", "t1").out
    assert 'message word: {"n": [1, None, "é"]}\n' in log
    assert 'expose stage = "waits"  [talk.flow:3]\n' in log
    assert "message other: None" in log
    messages = [event for event in here("log", "t1", "--json").lines if event["kind"] == "signal"]
    assert [(event["name"], event["value"]) for event in messages] == [
        ("word", {"n": [1, None, "é"]}),
        ("wrod", 0),
        ("word", 2),
        ("other", None),
        ("wrod", None),
    ]
    assert here("query", "t1", "last").out == "second\\x1b[31m\n"
    assert talking("verify").code == 0


def test_the_message_of_a_child(talking: Cli, here: Here) -> None:
    talking.file("two.flow", TALKING + "\nmain = flow(lambda fctx: talk())\n")
    process = talking.start("run", "two.flow:main", "--id", "t2")
    until(lambda: 'a message: "word"' in here("explain", "t2").out)
    note = "t2.1 waits for `word`, and not t2: each run has messages of its own; it is kept until t2 receives `word`\n"
    assert here("signal", "t2", "word").err == note
    process.kill()
    process.communicate()


def test_what_is_wrong_is_named(talking: Cli, here: Here) -> None:
    talking.file("quick.flow", "def _quick(fctx):\n    return 1\n\nquick = flow(_quick)\n")
    assert here("run", "quick.flow:quick", "--id", "over").code == 0
    talking.file("bad.json", '{"k":\n  oops}')
    talking.file("large.json", '"' + "x" * 300_000 + '"')
    cases = [
        (("signal", "ovre", "word"), "there is no run `ovre`", "did you mean `over`?"),
        (("signal", "over", "word"), "the run `over` has finished (ok); it takes no messages", ""),
        (("signal", "over", "a b"), "a message cannot be called 'a b'", "a name is 1 to 200 of letters"),
        (
            ("signal", "over", "word", "{oops}"),
            "the value is not JSON",
            "names and texts have double quotes, and all of it single",
        ),
        (("signal", "over", "word", "{'by': 'A'}"), "the value is not JSON", """double quotes: '{"by": "A"}'"""),
        (("signal", "over", "word", "it's"), "the value is not JSON", "'\"it'\"'\"'s\"'"),
        (("signal", "over", "word", "True"), "the value is not JSON", "in JSON it is true"),
        (("signal", "over", "word", "1", "--json-file", "bad.json"), "the value is given twice", ""),
        (("signal", "over", "word", "--json-file", "bad.json"), "--json-file bad.json is not JSON", "bad.json:2:3"),
        (("signal", "over", "word", "--json-file", "none.json"), "--json-file none.json cannot be read: No such", ""),
        (("signal", "no/run", "word"), "no/run", ""),
        (("query", "ovre"), "there is no run `ovre`", ""),
        (("query", "over", "stage"), "`over` does not expose `stage`", "it exposes nothing"),
    ]
    for argv, *parts in cases:
        done = here(*argv)
        assert (done.code, done.out) == (2, ""), argv
        for part in ["error: ", *parts]:
            assert part in done.err, (argv, done.err)
    assert here("query", "over").err == "over exposes nothing\n"


def test_a_message_that_is_too_large(talking: Cli, here: Here) -> None:
    process = talking.start("run", "talk.flow:talk", "--id", "t1")
    until(lambda: "t1" in here("ps", "--json").out)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    talking.file("large.json", '"' + "x" * 300_000 + '"')
    done = here("signal", "t1", "word", "--json-file", "large.json")
    assert done.code == 3
    assert "error: the message is 300,005 bytes encoded; the limit `message_bytes` is 256KiB" in done.err
    assert "help: write large data to a file and send its path" in done.err
    assert talking("verify").code == 0


def test_a_person_is_not_a_message(cli: Cli, here: Here) -> None:
    cli.file("ask.flow", 'main = flow(lambda fctx: fctx.actions.input("Go?"))\n')
    process = cli.start("run", "ask.flow:main", "--id", "a1")
    until(lambda: "flowmetal answer a1" in here("explain", "a1").out)
    note = "a1 asks a person, and takes no message for that: flowmetal answer a1 ANSWER --action 1\n"
    assert here("signal", "a1", "go").err == note
    process.kill()
    process.communicate()
