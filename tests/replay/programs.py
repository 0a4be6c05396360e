"""Small programs made by Hypothesis: flows that compute, record, act, sleep, call, start, wait, cancel and fail.

What such a program gives does not depend on chance, time or order, so that the same program run twice has the same
result and effects; but chance and time go into the arguments of its actions, so that a replay which got them wrong
would be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

MAX_FLOWS = 5


@dataclass(frozen=True)
class Source:
    """The text of a program."""

    text: str

    def __repr__(self) -> str:
        return f"Source(\n{self.text})"


HEADER = """
def _nap(fctx, milliseconds, value):
    fctx.actions.sleep(milliseconds / 1000.0)
    return value

def _forever(fctx):
    fctx.actions.sleep("1h")

def _echo(fctx, *args):
    return list(args)

def _refuse(fctx, text):
    fail(text, code = len(text))

nap, endless, echo, refuse = [flow(f) for f in [_nap, _forever, _echo, _refuse]]
"""


@st.composite
def statements(draw: st.DrawFn, depth: int, index: int) -> list[str]:
    """Lines of one flow's body, which append to ``out``."""
    count = draw(st.integers(1, 5))
    lines: list[str] = []
    for at in range(count):
        lines += draw(statement(depth, f"{index}.{at}"))
    return lines


def statement(depth: int, label: str) -> st.SearchStrategy[list[str]]:
    number = st.integers(-5, 5)
    milliseconds = st.integers(0, 5)
    simple = st.one_of(
        number.map(lambda n: [f"out.append(len(out) * {n} + {n})"]),
        st.just(["chance = actions.random()", "out.append(chance < 1.0)"]),
        st.just(["out.append(len(actions.now()))", "out.append(len(actions.uuid()))"]),
        st.just([f'out.append(len(unwrap(echo(actions.random(), actions.now(), "{label}"))))']),
        st.just([f'unwrap(actions.append("log.txt", "{label} %s\\n" % mark))']),
        milliseconds.map(lambda ms: [f"actions.sleep({ms} / 1000.0)"]),
        st.just([f'print("{label}", out)', f'actions.log("{label}", size = len(out))']),
        st.just(["out.append(unwrap(nap(1, len(out))))"]),
        st.just(['out.append(refuse("x").error.details)']),
        st.just(["out.append([unwrap(r) for r in actions.wait([actions.run(nap, 2, i) for i in range(3)])])"]),
        st.just(["t = actions.run(echo, actions.run(nap, 1, 5), 6)", "out.append(unwrap(actions.wait(t)))"]),
        st.just(["out.append(unwrap(echo(actions.run(nap, 1, 5), actions.random()))[0])"]),
        st.just(
            [
                "i, r = actions.wait_any([actions.run(endless), actions.run(nap, 1, 3)])",
                "out.append((i, unwrap(r)))",
                "open += 1",
            ]
        ),
        st.just(
            [
                "t = actions.run(endless)",
                'late = actions.wait(t, timeout = "3ms")',
                "out.append(late.error.kind)",
                "actions.cancel(t)",
                "out.append(actions.wait(t).error.kind)",
            ]
        ),
        st.just(
            [
                "t = actions.run(nap, 500, 1)",
                "actions.cancel(t)",
                "actions.cancel(t)",
                "out.append(actions.wait(t).error.kind)",
            ]
        ),
        st.just(
            [
                f't = actions.run(effects.append, "log.txt", "{label} task %s\\n" % mark)',
                "out.append(actions.wait(t).ok)",
            ]
        ),
        st.just(
            [
                'tasks = [actions.run(nap, 1, 1), actions.run(refuse, "y")]',
                "out.append([r.ok for r in actions.wait(tasks, timeout = 30)])",
            ]
        ),
        st.just(['out.append(actions.wait(actions.run(echo, actions.run(refuse, "z"))).error.kind)']),
        st.just(["actions.run(nap, 1, 1)"]),
        st.just(['out.append(actions.read("no such file").error.kind)']),
        st.just(['out.append(retry(refuse, limit = 2, backoff = lambda count: 0.001)("again").ok)']),
    )
    if depth == 0:
        return simple
    below = f"level{depth - 1}"
    calls = st.one_of(
        st.just([f'r = {below}(mark + "a")', "out.append(r.value if r.ok else r.error.message)"]),
        st.just([f'r = actions.wait(actions.run({below}, mark + "b"))', "out.append(r.ok)"]),
        st.just([f'out.append(unwrap({below}(mark + "c")))']),
        st.just([f'out.append([r.ok for r in actions.wait([actions.run({below}, mark + x) for x in ["d", "e"]])])']),
    )
    return st.one_of(simple, simple, calls)


ENDINGS = st.sampled_from(
    [
        "return out",
        "return out",
        "return Ok(len(out))",
        'fail("end of " + mark, size = len(out))',
        'return Err("err " + mark)',
        "return out[1000]",
        "return struct(out = out, mark = mark)",
        "unwrap(refuse(mark))",
    ]
)


@st.composite
def programs(draw: st.DrawFn) -> Source:
    """A program: flows that call the ones below them, and a script that calls the last."""
    levels = draw(st.integers(1, MAX_FLOWS))
    text = HEADER
    for depth in range(levels):
        body = draw(statements(depth, depth))
        ending = draw(ENDINGS) if depth < levels - 1 else draw(st.sampled_from(["return out", 'fail("top")']))
        lines = [
            "actions, out, open = fctx.actions, [], 0",
            *body,
            *(['fail("open tasks")'] if any("open += 1" in it for it in body) else []),
            ending,
        ]
        inner = "\n".join(f"    {line}" for line in lines)
        text += f"\ndef _level{depth}(fctx, mark):\n{inner}\n\nlevel{depth} = flow(_level{depth})\n"
    text += f'\nif __name__ == "__flow__":\n    level{levels - 1}("m")\n    print("over")\n'
    return Source(text)
