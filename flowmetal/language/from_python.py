"""Coming from Python: what the language lacks with what to write instead, and what looks alike but differs.

These tables are also the page "coming from Python" of docs/language.md; a test compares the two.
"""

from __future__ import annotations

from typing import Final

KEYWORD_HINTS: Final = {
    "while": "write `for _ in forever():` and leave it with `break`",
    "try": "call a flow and look at its Result: `r = step()`, `if is_err(r): …`",
    "except": "call a flow and look at its Result: `r = step()`, `if is_err(r): …`",
    "finally": "call the cleanup after looking at the Result: a flow's call never raises",
    "raise": 'write `fail("message")`, or return `Err("message")`',
    "import": 'write `load("./file.flow", "name")`; the outside world is reached by `fctx.actions`',
    "from": 'write `load("./file.flow", "name")`',
    "class": "use `record(name = str, …)` or `struct(…)` for data, and functions for behaviour",
    "is": "write `==` or `!=`, also for None",
    "with": "there is nothing to close: actions manage what they open",
    "del": "write `items.pop(key)`",
    "global": "return the value, or keep it in a list or dict",
    "nonlocal": "return the value, or keep it in a list or dict",
    "assert": 'write `if not condition: fail("message")`',
    "yield": "build and return a list",
    "async": "start flows side by side with `fctx.actions.run(f, …)` and `fctx.actions.wait([…])`",
    "await": "write `fctx.actions.wait(task)`",
}
"""Reserved words."""

_OUTSIDE: Final = "the outside world is reached by `fctx.actions`"

NAME_HINTS: Final = {
    "set": "use a dict with the items as keys",
    "frozenset": "use a dict with the items as keys",
    "bytes": "bytes are not a type of the language; texts are Unicode",
    "open": "write `fctx.actions.read(path)` or `fctx.actions.write(path, text)`",
    "open_file": "write `fctx.actions.read(path)`",
    "input": 'declare an argument, `args = {"name": args.string()}`, or ask a person: `fctx.actions.input(question)`',
    "isnan": "a NaN is the one float that `x - x == 0.0` is False for",
    "pow": "multiply in a loop; there is no `**`",
    "divmod": "write `a // b` and `a % b`",
    "iter": "loops work on lists, dicts, tuples and ranges",
    "next": "loops work on lists, dicts, tuples and ranges",
    "format": 'write `format_number(x, decimals)` or `"{}".format(x)`',
    "super": "use functions and `struct(…)`",
    "object": "use `struct(…)` or a dict",
    "property": "use functions and `struct(…)`",
    "Exception": 'errors are values: `Err("message")`',
    "ValueError": 'errors are values: `Err("message")`, or `fail("message")`',
    "datetime": "write `fctx.actions.now()` and the helpers of `time`",
    "os": _OUTSIDE,
    "sys": _OUTSIDE,
    "subprocess": "write `fctx.actions.exec([program, …])`",
    "requests": "write `fctx.actions.http.get(url)`",
    "math": "use `round`, `int(x)`, `abs`, `//` and `%`",
    "re": "use the methods of strings: `split`, `partition`, `find`, `replace`, `startswith`",
    "true": "write `True`",
    "false": "write `False`",
    "null": "write `None`",
    "nil": "write `None`",
    "Optional": "write `int | None`",
    "Union": "write `int | str`",
    "List": "write `list[int]`",
    "Dict": "write `dict[str, int]`",
    "Tuple": "write `(int, str)`",
    "Any": "write `typing.Any`",
    "Callable": "write `typing.Callable`",
    "string": "write `str`",
    "integer": "write `int`",
    "boolean": "write `bool`",
    "globals": "name the value",
    "locals": "name the value",
    "eval": "text is never run",
    "exec": "text is never run; a program is, by `fctx.actions.exec([program, …])`",
    "fctx": "it is the first parameter of an implementation; elsewhere below one, write `current_flow()`",
}
"""Names that Python has and the language has not."""

ACTION_NAMES: Final = frozenset(
    [
        *("append", "call", "copy", "digest", "env", "exec", "glob", "http", "input", "list_dir", "make_dir", "read"),
        *("read_csv", "read_json", "receive", "remove", "secret", "signal", "stat", "state", "write", "write_csv"),
        "write_json",
    ]
)
"""What the context of a flow has and the language has not by its bare name."""

ATTRIBUTE_HINTS: Final = {
    "zfill": 'write `pad_left(text, width, "0")`',
    "rjust": "write `pad_left(text, width)`",
    "ljust": "write `pad_right(text, width)`",
    "center": "write `pad_left` and `pad_right`",
    "encode": "bytes are not a type of the language; effects take text",
    "decode": "bytes are not a type of the language; effects give text",
    "format_map": "write `text.format(**d)`",
    "isnumeric": "write `text.isdigit()`",
    "isdecimal": "write `text.isdigit()`",
    "casefold": "write `text.lower()`",
    "sort": "write `xs = sorted(xs)`",
    "reverse": "write `xs = reversed(xs)`",
    "copy": "write `list(xs)` or `dict(d)`",
    "count": "write `len([x for x in xs if x == wanted])`",
    "push": "write `xs.append(x)`",
    "contains": "write `part in text`",
    "includes": "write `part in text`",
    "trim": "write `text.strip()`",
    "length": "write `len(x)`",
    "size": "write `len(x)`",
    "add": "write `xs.append(x)`, or `d[x] = True` for a dict that serves as a set",
    "has_key": "write `key in d`",
    "iteritems": "write `d.items()`",
    "fromkeys": "write `{key: value for key in keys}`",
    "loads": "write `json.decode(text)`",
    "dumps": "write `json.encode(value)`",
    "dump": "write `json.encode(value)`",
    "print": "write `print(…)`, or `fctx.actions.log(message, name = value)` for fields",
    "sleep": "write `fctx.actions.sleep(duration)`",
    "time": "write `fctx.actions.now()`",
    "str": "write `args.string()`",
    "dictionary": "write `args.dict()`",
    "number": "write `args.float()`",
    "integer": "write `args.int()`",
    "boolean": "write `args.bool()`",
    "now": "write `fctx.actions.now()`",
    "__dict__": "write `dir(x)` and `getattr(x, name)`",
    "_replace": "write the record again with the changed field",
}
"""Attributes and methods that Python has and the language has not."""

FORMS: Final = {
    "step() + 1": "a Result's value is `unwrap(result)`, or `.value`; a Task's is `unwrap(fctx.actions.wait(task))`",
    "a < b < c": "comparisons do not chain: write `a < b and b < c`",
    "a = b = 1": "assignments do not chain: write one line for each name",
    "n := 3": "an assignment is a line of its own",
    "if x = 1": "an assignment is a line of its own; a comparison is `==`",
    "x ** 2": "there is no `**`: multiply, or loop",
    "{**a, **b}": "write `a | b` to merge dicts",
    "[*xs, 1]": "write `xs + [1]`",
    "a, *b = xs": "write `a, b = xs[0], xs[1:]`, with slices",
    "{1, 2}": "there are no sets: use a dict with the items as keys",
    "f(x for x in xs)": "write a list, with square brackets: `[… for … in …]`",
    "@flow": "there are no decorators: write `f = flow(_f)` below the function",
    '"a" "b"': "texts are joined by `+`",
    'b"a"': 'only plain, raw (r"…") and f-strings exist; bytes are not a type of the language',
    'f"{x.y}"': "f-strings take bare names only: give the expression a name first",
    'f"{x:.2f}"': "write `format_number(x, 2)`",
    '"{:.2f}".format(x)': "write `format_number(x, 2)`",
    '"{:,}".format(x)': 'write `format_number(x, 0, ",")`',
    '"{:d}".format(x)': 'write `"{}".format(x)`',
    '"%.2f" % x': "write `format_number(x, 2)`",
    '"{:>5}".format(x)': "write `pad_left(text, width)` or `pad_right(text, width)`",
    '"%5d" % x': "write `pad_left(text, width)` or `pad_right(text, width)`",
    "x++": "write `x += 1`",
    "a && b": "write `and`",
    "a || b": "write `or`",
    "!a": "write `not`",
    "else if": "write `elif`",
    "1_000": "numbers are written without underscores",
    "x if c": "a conditional expression needs its `else`",
    "for … else": "set a name before `break`, and look at it after the loop",
    "def f(x: 'int')": "annotations are not quoted: the type must be defined above",
    "a tab": "indent with spaces",
    "isinstance(x, (int, str))": "write `isinstance(x, int) or isinstance(x, str)`",
}
"""Forms of text that Python has and the language has not; the values are advice."""

DIFFERENCES: Final = {
    "str(123456789.123)": "shows seven digits from 1e6 on; `json.encode(x)` shows all, `format_number(x, n)` n",
    "isinstance(x, (int, str))": "is False: a type is one type, write `or`",
    "xs.append(x) of a module's list": "works while the module loads only; what a module holds is frozen then",
    "True + 1": "is an error: a bool is not a number; write `int(flag)`",
    "type(x)": 'is a text: `type(x) == "int"`',
    "for c in text": "is an error: write `for c in text.elems()`",
    "{'a': 1, 'a': 2}": "is an error: a key may be written once",
    "a name used above its definition": "is an error at module level; in a function, set it before the call",
    "a list changed while it is looped over": "is an error: loop over `list(xs)`",
}
"""What is written alike and does something else."""
