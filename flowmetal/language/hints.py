"""Advice for those who come from Python: each form the language lacks, with what to write instead.

The tables are also the page "coming from Python" of docs/language.md (``FORMS`` and ``DIFFERENCES`` are rows of its own making); a
test compares the two.
"""

from __future__ import annotations

import re
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
    "input": 'declare an argument: `flow(…, args = {"name": args.string()})`',
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
    "subprocess": _OUTSIDE,
    "requests": _OUTSIDE,
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
    "Tuple": "write `tuple[int, str]`",
    "Any": "write `typing.Any`",
    "Callable": "write `typing.Callable`",
    "string": "write `str`",
    "integer": "write `int`",
    "boolean": "write `bool`",
    "globals": "name the value",
    "locals": "name the value",
    "eval": "text is never run",
    "exec": "text is never run",
    "fctx": "it is the first parameter of an implementation; elsewhere below one, write `current_flow()`",
}
"""Names that Python has and the language has not."""

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
    "add": "write `xs.append(x)`, or `d[x] = True` for a dict that serves as a set",
    "has_key": "write `key in d`",
    "iteritems": "write `d.items()`",
    "fromkeys": "write `{key: value for key in keys}`",
    "loads": "write `json.decode(text)`",
    "dumps": "write `json.encode(value)`",
    "load": "write `json.decode(text)`",
    "dump": "write `json.encode(value)`",
    "sleep": "write `fctx.actions.sleep(duration)`",
    "time": "write `fctx.actions.now()`",
    "str": "write `args.string()`",
    "dictionary": "write `args.dict()`",
    "number": "write `args.float()`",
    "__dict__": "write `dir(x)` and `getattr(x, name)`",
    "_replace": "write the record again with the changed field",
}
"""Attributes and methods that Python has and the language has not."""

FORMS: Final = {
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
    "str(123456789.123)": "shows seven digits from 1e8 on; `json.encode(x)` shows all of them, `format_number(x, n)` as many as you want",
    "isinstance(x, (int, str))": "is False: a type is one type, write `or`",
    "xs.append(x) of a module's list": "works while the module loads only; what a module holds is frozen then",
    "True + 1": "is an error: a bool is not a number; write `int(flag)`",
    "type(x)": 'is a text: `type(x) == "int"`',
    "for c in text": "is an error: write `for c in text.elems()`",
    "{'a': 1, 'a': 2}": "is an error: a key may be written once",
    "a name used above its definition": "is an error at module level; within a function the name must be set before the function is called",
    "a list changed while it is looped over": "is an error: loop over `list(xs)`",
}
"""What is written alike and does something else."""

_Hint = tuple[re.Pattern[str], str]


def _rules(*rules: tuple[str, str]) -> list[_Hint]:
    return [(re.compile(pattern), hint) for pattern, hint in rules]


_MESSAGE_HINTS: Final = _rules(
    (r"Unsupported format character: '\.'|Invalid character '\.' inside replacement field", FORMS['"%.2f" % x']),
    (r"Unsupported format character: '[0-9+-]'|^Key `[^`]?[<>^0-9]", FORMS['"%5d" % x']),
    (r"Unsupported format character", 'write `"{}".format(x)`, or `format_number(x, decimals)`'),
    (r"Not a valid identifier: `\w+:[^`]*[0-9.]", FORMS['f"{x:.2f}"']),
    (r"Not a valid identifier: `", FORMS['f"{x.y}"']),
    (r"Found .*`(name|id|detach|retries|timeout)`.* extra named parameter", "settings of a start are given by `options(f, name = …)`"),
    (r"call stack overflow|Starlark call stack", "recursion is limited to about 200 calls: use a loop"),
    (r"mutates an iterable|during iteration|borrowed for iteration", "loop over a copy: `for x in list(xs):`"),
    (r"^Key `.*` (was not found|not found in dictionary)", "write `d.get(key)` for a key that may be missing"),
    (r"Operation `\+` not supported for types `(string` and `(int|float|bool|NoneType)|(int|float|bool|NoneType)` and `string)`",
     "make both of them texts: `str(x)`"),
    (r"Operation `[^`]*` not supported for types? `bool`|and `bool`$", "a bool is not a number: write `int(flag)`"),
    (r"Operation `(compare|cmp\(\)|[<>]=?)` not supported", "values are compared with values of their own type"),
    (r"Operation `\(iter\)` not supported on type `string`", "write `text.elems()` to loop over characters"),
    (r"Operation `\(iter\)` not supported on type `int`", "write `range(n)`"),
    (r"Operation `\.\w+=` not supported", "a struct is not changed: make another one, or use a dict"),
    (r"Operation `call\(\)` not supported on type", "only functions are called: is a name shadowed, or a comma missing?"),
    (r"of type `int` does not match the type annotation `float`", "write `1.0` or `float(x)`, or annotate `int | float`"),
    (r"String literals are not allowed in type expressions|string.*type expression", FORMS["def f(x: 'int')"]),
    (r"Cannot parse `.*` as an integer|is not a valid number", "look before: `text.isdigit()`"),
    (r"Integer overflow|unpacking value for parameter `a\d` of type `int", "the number is too large here; for a loop without end write `forever()`"),
    (r"`load` must only occur at the top of a module", "write the load at the top level of the file"),
    (r"`load` statement requires at least two arguments", 'name what you want of it: `load("./file.flow", "name")`'),
    (r"Module symbol `\w+` is not exported",
     "names that begin with an underscore are private, and what a module loaded it does not hand on: there, write "
     '`load("…", _x = "x")` and `x = _x`'),
    (r"invalid input `@`", FORMS["@flow"]),
    (r"invalid input `!`", FORMS["!a"]),
    (r"Record instance cannot be created if record type is not assigned", "give the record type a name first: `Point = record(x = int)`"),
    (r"cannot be used outside of a `def`", "it belongs into a function"),
    (r"Unpacked \d+ values but expected", "the number of names and values must be the same"),
)  # fmt: skip

# Looked at with the line of the program: what stands where the parser stopped says more than what it expected.
_LINE_HINTS: Final = _rules(
    (r"unexpected.*⏎.*\w\s*⇨?:⇨?=", FORMS["n := 3"]),
    (r"unexpected symbol '\*\*'.*⏎.*[{,]\s*⇨\*\*", FORMS["{**a, **b}"]),
    (r"unexpected symbol '\*\*'", FORMS["x ** 2"]),
    (r"unexpected symbol '\*'.*⏎.*[\[(,]\s*⇨\*[^=]*[\])]", FORMS["[*xs, 1]"]),
    (r"unexpected symbol '\*'", FORMS["a, *b = xs"]),
    (r"unexpected symbol '(<|>|<=|>=|==|!=)'", FORMS["a < b < c"]),
    (r"unexpected symbol '='.*⏎\s*(if|elif|for|return)\b", FORMS["if x = 1"]),
    (r"unexpected symbol '=' here.*⏎.*=.*⇨=", FORMS["a = b = 1"]),
    (r"unexpected symbol '&'.*⏎.*&⇨&|unexpected symbol '&'.*⏎.*⇨&&", FORMS["a && b"]),
    (r"unexpected symbol '\|'.*⏎.*\|⇨\||unexpected symbol '\|'.*⏎.*⇨\|\|", FORMS["a || b"]),
    (r"unexpected.*⏎.*(\+\+|--)", FORMS["x++"]),
    (r"unexpected keyword 'if'.*⏎\s*else ⇨if", FORMS["else if"]),
    (r"unexpected keyword 'else'.*⏎\s*⇨else\s*:", FORMS["for … else"]),
    (r"unexpected keyword 'for'.*⏎.*\{[^}]*⇨for", FORMS["{1, 2}"]),
    (r"unexpected keyword 'for'", FORMS["f(x for x in xs)"]),
    (r"unexpected symbol '[,}]' here, expected one of \":\"", FORMS["{1, 2}"]),
    (r"unexpected string literal.*⏎.*\b[bB]⇨", FORMS['b"a"']),
    (r"unexpected string literal.*⏎.*[\"']\s*⇨", FORMS['"a" "b"']),
    (r"unexpected identifier '_\d", FORMS["1_000"]),
    (r"expected one of \"else\"", FORMS["x if c"]),
    (r"unexpected new line here, expected one of .*\":\"", "a `:` is missing at the end of the line"),
    (r"expected one of .*\"INDENT\"", "the block below a `:` is indented"),
    (r"unexpected new indentation block", "nothing above opens a block: take the indentation away"),
    (r"unfinished string literal", "a text ends on its own line; one of several lines is written in three quotes"),
)

_KEYWORD: Final = re.compile(r"cannot use reserved keyword `(\w+)`")
_UNKNOWN: Final = re.compile(r"Variable `(\w+)` not found")
_ATTRIBUTE: Final = re.compile(r"Object of type `(\w+)` has no attribute `(\w+)`")
_SUGGESTION: Final = re.compile(r", did you mean `\w+`\?$")


def hint_for(message: str, line: str = "", column: int = 0) -> str:
    """Advice on an interpreter's message, or the empty string.

    ``line`` is the line of the program at which it was reported, ``column`` where in it, counted from 1.
    """
    named = _named_hint(message)
    if named:
        return named
    for pattern, hint in _MESSAGE_HINTS:
        if pattern.search(message):
            return hint
    if "unexpected" in message or "unfinished" in message:
        at = max(0, column - 1)
        marked = f"{message} ⏎{line[:at]}⇨{line[at:]}"
        for pattern, hint in _LINE_HINTS:
            if pattern.search(marked):
                return hint
    return ""


def without_guess(message: str) -> str:
    """The message without the interpreter's guess at a name, where advice of our own is better."""
    return _SUGGESTION.sub("", message) if _named_hint(message) else message


def _named_hint(message: str) -> str:
    keyword = _KEYWORD.search(message)
    if keyword:
        word = keyword.group(1)
        return KEYWORD_HINTS.get(word, f"`{word}` is a reserved word: choose another name")
    unknown = _UNKNOWN.search(message)
    if unknown:
        return NAME_HINTS.get(unknown.group(1), "")
    attribute = _ATTRIBUTE.search(message)
    if attribute:
        return ATTRIBUTE_HINTS.get(attribute.group(2), "")
    return ""
