"""Ways by which a package comes to act with what its caller may do: each a library and what the program does with it.

The program may write below its directory; ``//lib.flow`` may do nothing.  ``DENIED`` are ways that end in a denial that
names the library; ``ALLOWED`` are those in which no code of the library is at work when the effect is performed.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Way(NamedTuple):
    """``library`` is the text of ``lib.flow``, ``body`` the flow's; ``above`` stands before it, at top level."""

    library: str
    body: str
    above: str = ""


_WRITE: Final = 'actions.write("out.txt", "x")'
_USE: Final = f"def use(it):\n    return it.{_WRITE}\n"
_CALL: Final = "def use(f):\n    return f()\n"
_WORK: Final = f"def _work(fctx):\n    return fctx.{_WRITE}\n\nwork = flow(_work)\n"

_JOBS: Final = 'load("pkg.flowmetal.io/v1/jobs", "job", "workflow")\n\n'
_OUT: Final = "return Err(mine().error.cause)"
_JOB: Final = 'job(effects.write, args = ["out.txt", "x"])'

DENIED: Final = {
    # 50: the context handed over
    "argument": Way(_USE, "return lib(fctx)"),
    "keyword": Way("def use(**all):\n    return all['it']." + _WRITE, "return lib(it = fctx)"),
    "list": Way(f"def use(items):\n    return items[0].{_WRITE}\n", "return lib([fctx])"),
    "tuple": Way(f"def use(items):\n    return items[0].{_WRITE}\n", "return lib((fctx,))"),
    "dict": Way(f"def use(items):\n    return items['it'].{_WRITE}\n", 'return lib({"it": fctx})'),
    "struct": Way(f"def use(box):\n    return box.it.{_WRITE}\n", "return lib(struct(it = fctx))"),
    "record": Way(
        f"def use(box):\n    return box.it.{_WRITE}\n", "return lib(Box(it = fctx))", "Box = record(it = FlowContext)"
    ),
    "bound_effect": Way('def use(write):\n    return write("out.txt", "x")\n', "return lib(fctx.actions.write)"),
    "actions": Way('def use(actions):\n    return actions.write("out.txt", "x")\n', "return lib(fctx.actions)"),
    "started": Way(
        'def use(it):\n    return it.actions.wait(it.actions.run(it.actions.write, "out.txt", "x"))\n',
        "return lib(fctx)",
    ),
    "renamed": Way(
        'def use(it):\n    return options(it.actions.write, name = "read")("out.txt", "x")\n', "return lib(fctx)"
    ),
    # 50: taken rather than handed over
    "current_flow": Way(f"def use(_):\n    return current_flow().{_WRITE}\n", "return lib(1)"),
    "global": Way('def use(_):\n    return effects.write("out.txt", "x")\n', "return lib(1)"),
    "closure_of_the_library": Way(f"def use(it):\n    return lambda: it.{_WRITE}\n", "return lib(fctx)()"),
    "default_of_the_library": Way(
        f"def use(it):\n    def f(it = it):\n        return it.{_WRITE}\n    return f\n", "return lib(fctx)()"
    ),
    "returned_function": Way(
        'def _f():\n    return effects.write("out.txt", "x")\n\ndef use(_):\n    return _f\n', "return lib(1)()"
    ),
    "function_in_a_struct": Way(
        'def _f():\n    return effects.write("out.txt", "x")\n\ndef use(_):\n    return struct(run = _f)\n',
        "return lib(1).run()",
    ),
    "sort_key_of_the_library": Way(
        f"def use(it):\n    found = []\n    return found, lambda n: found.append(it.{_WRITE}) or n\n",
        "found, key = lib(fctx)\nsorted([1], key = key)\nreturn found[0]",
    ),
    "in_a_comprehension": Way(_USE, "return [lib(it) for it in [fctx]][0]"),
    "flow_of_the_library": Way(f"def _f(fctx):\n    return fctx.{_WRITE}\n\nuse = flow(_f)\n", "return lib()"),
    "flow_of_the_library_as_a_task": Way(
        f"def _f(fctx):\n    return fctx.{_WRITE}\n\nuse = flow(_f)\n",
        "return fctx.actions.wait(fctx.actions.run(lib))",
    ),
    "flow_made_of_a_function_of_the_library": Way(
        f"def use(fctx):\n    return fctx.{_WRITE}\n", "return mine()", "mine = flow(lib)"
    ),
    "should_retry": Way(
        'def use(found):\n    return lambda result: found.append(effects.write("out.txt", "x")) or False\n',
        'found = []\nretry(lambda: Err("no"), should_retry = lib(found))()\nreturn found[0]',
    ),
    "backoff": Way(
        'def use(found):\n    return lambda count: found.append(effects.write("out.txt", "x")) or 0\n',
        'found = []\nretry(lambda: Err("no"), limit = 2, backoff = lib(found))()\nreturn found[0]',
    ),
    "retry_of_the_librarys_lambda": Way(
        'def use(_):\n    return retry(lambda: effects.write("out.txt", "x"), limit = 1)\n', "return lib(1)()"
    ),
    # 50: code of the program, called by the library
    "lambda_of_the_root": Way(_CALL, f"return lib(lambda: fctx.{_WRITE})"),
    "default_of_the_root": Way(_CALL, f"return lib(lambda it = fctx: it.{_WRITE})"),
    "closure_of_the_root": Way(_CALL, f"def act():\n    return fctx.{_WRITE}\nreturn lib(act)"),
    "sort_key_called_by_the_library": Way(
        "def use(f):\n    found = []\n    sorted([1], key = lambda it: found.append(f()) or 1)\n    return found[0]\n",
        f"return lib(lambda: fctx.{_WRITE})",
    ),
    "sort_key_of_the_root": Way(
        "def use(f):\n    sorted([1], key = f)\n",
        f"found = []\nlib(lambda _: found.append(fctx.{_WRITE}) or 1)\nreturn found[0]",
    ),
    "flow_of_the_root": Way(_CALL, "return lib(work)", _WORK),
    "flow_of_the_root_as_a_task": Way(
        "def use(f):\n    actions = current_flow().actions\n    return actions.wait(actions.run(f))\n",
        "return lib(work)",
        _WORK,
    ),
    "flow_of_the_root_two_deep": Way(
        _CALL,
        "return lib(outer)",
        f'{_WORK}\ndef _outer(fctx):\n    fctx.actions.sleep("1ms")\n    return work()\n\nouter = flow(_outer)\n',
    ),
    "dependency": Way(
        "def use(f):\n    it = current_flow().actions\n    return it.wait(it.run(f[1], it.run(f[0])))\n",
        "return lib([first, then])",
        f"first = flow(lambda fctx: 1)\n\ndef _then(fctx, _):\n    return fctx.{_WRITE}\n\nthen = flow(_then)\n",
    ),
    "options": Way('def use(f):\n    return options(f, name = "innocent")()\n', "return lib(work)", _WORK),
    # 50: what it is to do is data that the library made
    "job": Way(f"{_JOBS}use = {_JOB}\n", _OUT, f'{_JOBS}mine = workflow({{"a": lib}})'),
    "job_of_a_macro": Way(f"{_JOBS}def use():\n    return {_JOB}\n", _OUT, f'{_JOBS}mine = workflow({{"a": lib()}})'),
    "workflow_of_a_macro": Way(f'{_JOBS}def use():\n    return workflow({{"a": {_JOB}}})\n', _OUT, "mine = lib()"),
    "workflow_of_a_macro_with_a_flow_of_the_root": Way(
        f'{_JOBS}def use(f):\n    return workflow({{"a": job(f, args = ["out.txt"])}})\n',
        _OUT,
        'mine = lib(flow(lambda fctx, path: fctx.actions.write(path, "x"), name = "work"))',
    ),
    "workflow_of_a_macro_with_a_function_of_the_root": Way(
        f'{_JOBS}def use(f):\n    return workflow({{"a": job(f, args = ["out.txt"])}})\n',
        _OUT,
        'mine = lib(lambda fctx, needs, path: fctx.actions.write(path, "x"))',
    ),
    "retry": Way("def use(f):\n    return retry(f, limit = 1)()\n", "return lib(work)", _WORK),
    "second_attempt": Way(
        "def use(f):\n    return options(f, retries = 1)()\n",
        "return lib(work)",
        f"def _work(fctx):\n    return fctx.{_WRITE} if fctx.attempt > 1 else fail('again')\n\nwork = flow(_work)\n",
    ),
}

ALLOWED: Final = {
    "data": Way('def use(_):\n    return ("out.txt", "x")\n', "return fctx.actions.write(*lib(1))"),
    "effect_given_back": Way(
        'def use(_):\n    return options(effects.write, name = "w")\n', 'return lib(1)("out.txt", "x")'
    ),
    "after_the_library": Way("def use(_):\n    return 1\n", f"lib(1)\nreturn fctx.{_WRITE}"),
    "flow_made_by_a_macro": Way(
        "def use(f):\n    return flow(f)\n", "return mine()", f"mine = lib(lambda fctx: fctx.{_WRITE})"
    ),
    "task_waited_for_by_the_library": Way(
        "def use(task):\n    return current_flow().actions.wait(task)\n",
        'return lib(fctx.actions.run(fctx.actions.write, "out.txt", "x"))',
    ),
}


def program(way: Way) -> dict[str, str]:
    """The files of a way."""
    body = "".join(f"    {line}\n" for line in way.body.splitlines())
    main = f'load("./lib.flow", lib = "use")\n\n{way.above}\n\ndef _main(fctx):\n{body}\nmain = flow(_main)\n'
    return {"//main.flow": main, "//lib.flow": way.library}
