"""Small flows made by chance out of a grammar, whose results no order of arrival can change.

A flow is a list of *steps*, each of which adds what it saw to what the flow gives.  Every effect leaves a line that no
other leaves, so that the lines of an undisturbed run are known by name and number.  A step whose Result is Err is done
anew by a further attempt at its flow, so what it leaves and whom it tells names the attempt.
"""

from __future__ import annotations

import random
from typing import Final

_HEAD: Final = """
load("pkg.flowmetal.io/v1/recovery", "finally_", "recover", "saga", "step")

def note(a, line):
    unwrap(a.append("log.txt", line + "\\n"))

def _leaf(fctx, line):
    note(fctx.actions, line)
    return line

leaf = flow(_leaf)
undo = flow(lambda fctx, line: leaf("undo " + line))

def _nap(fctx, line):
    fctx.actions.sleep("2ms")
    note(fctx.actions, line)
    return line

nap = flow(_nap)

def _bad(fctx, line):
    note(fctx.actions, "%s try %d" % (line, fctx.attempt))
    fail(line)

bad = flow(_bad)

def _told(fctx, failure, run):
    note(fctx.actions, "%s told after %d" % (failure.message, run.attempts))

told = flow(_told)

def _telling(fctx, boss, word, line):
    note(fctx.actions, line)
    unwrap(leaf(line + " leaf"))
    unwrap(fctx.actions.signal(boss, word, "over"))

telling = flow(_telling, retries = 1)

def _stuck(fctx, boss, word, line, depth):
    a = fctx.actions
    a.defer(nap, [line + " clean"], grace = "60s")
    a.defer(telling, [boss, word + "-over", line + " tells"], grace = "60s")
    if depth:
        stuck(boss, word, line + " below", depth - 1)
    unwrap(a.signal(boss, word, "stuck"))
    a.receive("never")

stuck = flow(_stuck)

def _echo(fctx, boss, word, line, count):
    a = fctx.actions
    unwrap(a.signal(boss, word, fctx.run_id))
    for _ in range(count):
        number = unwrap(a.receive("work"))
        note(a, "%s echo %d" % (line, number))
        unwrap(a.signal(boss, word + "-back", number))
    return count

echo = flow(_echo)

def _lives(fctx, line, left = 0, seen = []):
    a = fctx.actions
    if not left:
        return seen
    now = "%s life %d" % (line, left)
    a.defer(leaf, [now + " over"])
    unwrap(a.signal(fctx.run_id, "carry", left))
    a.run(nap, now)
    if left < 3:
        seen = seen + [unwrap(a.receive("carry"))]
    unwrap(leaf(now + " leaf"))
    a.expose("left", left)
    a.continue_as_new(line = line, left = left - 1, seen = seen)

lives = flow(_lives)

def _adder(fctx, name, line):
    a = fctx.actions
    for _ in forever():
        seen = unwrap(a.state.get(name))
        if a.state.set(name, (seen.value or 0) + 1, expected_version = seen.version).ok:
            return leaf(line).ok

adder = flow(_adder)
"""

# In each, `t` is a name of the step, `e` and `w` are names for this attempt only; CALLEE is a flow of a lower level and
# COUNT 1, 2 or 3.
_STEPS: Final = {
    "called": "out.append(unwrap(CALLEE(t)))",
    "beside": """
tasks = [a.run(CALLEE, "%s-%d" % (t, n)) for n in range(COUNT)]
tasks.append(a.run(effects.append, "log.txt", t + " beside\\n"))
out.append([it.ok for it in a.wait(tasks)])
""",
    "slept": """
a.sleep("COUNTms")
note(a, t)
""",
    "cancelled": """
task = a.run(stuck, me, w, e, COUNT - 1)
out.append(unwrap(a.receive(w)))
a.cancel(task)
out.append(a.wait(task).error.kind)
out.append([unwrap(a.receive(w + "-over")) for _ in range(COUNT)])
""",
    "raced": """
out.append(unwrap(race([a.run(stuck, me, w, e, 0), a.run(a.receive, w)])))
out.append(unwrap(a.receive(w + "-over")))
""",
    "echoed": """
task = a.run(echo, me, w, e, COUNT)
them = unwrap(a.receive(w))
[unwrap(a.signal(them, "work", n)) for n in range(COUNT)]
out.append([unwrap(a.receive(w + "-back")) for _ in range(COUNT)])
out.append(unwrap(a.wait(task)))
""",
    "to itself": """
[unwrap(a.signal(me, w, n)) for n in range(3)]
out.append([unwrap(it) for it in a.wait([a.run(a.receive, w) for _ in range(COUNT)])])
out.append(a.receive(w + "-never", timeout = "3ms").error.kind)
""",
    "shared": """
name = t.replace(" ", "_").replace("@", "_")
out.append([unwrap(it) for it in a.wait([a.run(adder, name, "%s add %d" % (t, n)) for n in range(COUNT)])])
out.append(unwrap(a.state.get(name)).value)
""",
    "once": """
tasks = [a.run(options(CALLEE, idempotency_key = t), t) for _ in range(COUNT + 1)]
out.append([unwrap(it) for it in a.wait(tasks)])
out.append(unwrap(options(CALLEE, idempotency_key = t)(t)) == out[-1][0])
""",
    "lived": "out.append(unwrap(lives(t, COUNT + 1)))",
    "limited": "out.append(unwrap(options(CALLEE, max_parallel = COUNT)(t)))",
    "undone": """
book = saga([step(lambda: leaf(e + " one"), undo), step(lambda: nap(e + " two"), undo), step(lambda: bad(e))])
result = book()
out.append([result.error.cause.message, result.error.details])
""",
    "finished": """
out.append(unwrap(finally_(CALLEE, undo)(e)))
out.append(finally_(bad, undo)(e + " bad").error.message)
""",
    "failed": """
out.append(options(bad, retries = COUNT - 1, retry_delay = "1ms", on_failure = told)(e).error.message)
out.append(unwrap(recover(lambda: bad(e + " other"), lambda failure: Ok(failure.message))()))
""",
}


def program(seed: str) -> str:
    """The text of a program made by chance; the same for the same seed."""
    chooser = random.Random(seed)
    texts: list[str] = []
    lower = ["nap"]
    at = 0
    for level, count in enumerate((2, 2, 1)):
        names = [f"f{level}_{n}" for n in range(count)]
        for name in names:
            kinds = chooser.choices(list(_STEPS), k=chooser.randint(2, 3)) + ["called"] * (level > 0)
            lines = []
            for kind in kinds:
                at += 1
                lines += [f't = "%s.{at}" % tag', f'w = "w{at}-%d" % fctx.attempt', 'e = "%s@%d" % (t, fctx.attempt)']
                text = _STEPS[kind].replace("CALLEE", chooser.choice(lower))
                lines += text.replace("COUNT", str(chooser.randint(1, 3))).strip().split("\n")
            settings = ""
            if level < 2 and chooser.random() < 0.35:
                lines.append('fail("again") if fctx.attempt < 2 else None')
                settings = ', retries = 1, retry_delay = "1ms"'
            if chooser.random() < 0.3:
                settings += f", max_parallel = {chooser.randint(1, 3)}"
            lines = ["a = fctx.actions", "me = fctx.run_id", "out = []", *lines, "return out"]
            body = "\n".join(f"    {line}" for line in lines)
            texts.append(f"def _{name}(fctx, tag):\n{body}\n\n{name} = flow(_{name}{settings})\n")
        lower = names
    return _HEAD + "\n" + "\n".join(texts) + f'\nif __name__ == "__flow__":\n    print(unwrap({lower[0]}("m")))\n'
