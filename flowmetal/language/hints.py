"""Advice for those who come from Python: each form the language lacks, with what to write instead.

The table is also the page "coming from Python" of docs/language.md; a test compares the two.
"""

from __future__ import annotations

import re
from typing import Final

KEYWORD_HINTS: Final = {
    "while": "write `for _ in forever():` and leave it with `break`",
    "try": "call a flow and look at its Result: `r = step()`, `if is_err(r): …`",
    "except": "call a flow and look at its Result: `r = step()`, `if is_err(r): …`",
    "finally": "call the cleanup after looking at the Result: a flow's call never raises",
    "raise": "write `fail(\"message\")`, or return `Err(\"message\")`",
    "import": "write `load(\"./file.flow\", \"name\")`; the outside world is reached by `fctx.actions`",
    "from": "write `load(\"./file.flow\", \"name\")`",
    "class": "use `record(name = str, …)` or `struct(…)` for data, and functions for behaviour",
    "is": "write `==`, also for None",
    "with": "there is nothing to close: actions manage what they open",
    "del": "write `items.pop(key)`",
    "global": "return the value, or keep it in a list or dict",
    "nonlocal": "return the value, or keep it in a list or dict",
    "assert": "write `if not condition: fail(\"message\")`",
    "yield": "build and return a list",
    "async": "start flows side by side with `fctx.actions.run(f, …)` and `fctx.actions.wait([…])`",
    "await": "write `fctx.actions.wait(task)`",
}

NAME_HINTS: Final = {
    "set": "use a dict with the items as keys",
    "open": "write `fctx.actions.read(path)` or `fctx.actions.write(path, text)`",
    "input": "declare an argument: `flow(…, args = {\"name\": args.string()})`",
    "isnan": "a NaN is the one float that `x - x == 0.0` is False for",
    "pow": "multiply in a loop; there is no `**`",
    "divmod": "write `a // b` and `a % b`",
    "open_file": "write `fctx.actions.read(path)`",
    "iter": "loops work on lists, dicts, tuples and ranges",
    "next": "loops work on lists, dicts, tuples and ranges",
    "format": "write `format_number(x, decimals)` or `\"{}\".format(x)`",
    "Exception": "errors are values: `Err(\"message\")`",
    "datetime": "write `fctx.actions.now()` and the helpers of `time`",
    "os": "the outside world is reached by `fctx.actions`",
    "requests": "the outside world is reached by `fctx.actions`",
}

_MESSAGE_HINTS: Final = [
    (re.compile(r"unexpected symbol '\*\*'"), "there is no `**`: multiply, or loop"),
    (re.compile(r"unexpected symbol '(<|>|<=|>=|==|!=)'"), "comparisons do not chain: write `a < b and b < c`"),
    (re.compile(r"unexpected symbol '=' here, expected one of \"\\n\", \"\)\""), "assignments do not chain: write one line for each name"),
    (re.compile(r"(Unsupported format character: '\.'|Invalid character '\.' inside replacement field)"), "write `format_number(x, 2)`"),
    (re.compile(r"Unsupported format character"), "write `\"{}\".format(x)`, or `format_number(x, decimals)`"),
    (re.compile(r"Not a valid identifier: `"), "f-strings take bare names only: give the expression a name first"),
    (re.compile(r"tabs are not allowed"), "indent with spaces"),
    (re.compile(r"call stack overflow"), "recursion is limited to about 200 calls: use a loop"),
    (re.compile(r"mutates an iterable"), "loop over a copy: `for x in list(xs):`"),
    (re.compile(r"unexpected string literal"), "only plain, raw (r\"…\") and f-strings exist; bytes are not a type of the language"),
    (re.compile(r"expected one of \"else\""), "a conditional expression needs its `else`"),
]

_KEYWORD: Final = re.compile(r"cannot use reserved keyword `(\w+)`")
_UNKNOWN: Final = re.compile(r"Variable `(\w+)` not found")


def hint_for(message: str) -> str:
    """Advice on an interpreter's message, or the empty string."""
    keyword = _KEYWORD.search(message)
    if keyword:
        word = keyword.group(1)
        return KEYWORD_HINTS.get(word, f"`{word}` is a reserved word: choose another name")
    unknown = _UNKNOWN.search(message)
    if unknown and unknown.group(1) in NAME_HINTS:
        return NAME_HINTS[unknown.group(1)]
    for pattern, hint in _MESSAGE_HINTS:
        if pattern.search(message):
            return hint
    return ""
