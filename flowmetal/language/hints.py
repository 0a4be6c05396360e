"""Advice on an interpreter's messages: the row of the tables in ``from_python`` that belongs to one, or else."""

from __future__ import annotations

import re
from typing import Final

from flowmetal.language.from_python import ACTION_NAMES, ATTRIBUTE_HINTS, FORMS, KEYWORD_HINTS, NAME_HINTS

CONTEXT_FIELDS: Final = ("actions", "args", "run_id", "attempt", "idempotency_key", "started_at")
"""What the flow context holds, besides what is to come."""

_MESSAGE_HINTS: Final = (
    (r"Operation `\.\w+=` not supported", "a struct is not changed: make another one, or use a dict"),
    (r"types? (`\w+` and )?`record`|actual `record ", FORMS["step() + 1"]),
    (r"Unsupported format character: '\.'|Invalid character '\.' inside replacement field", FORMS['"%.2f" % x']),
    (r"Invalid character ',' inside replacement field", FORMS['"{:,}".format(x)']),
    # The key of a dict that is a text stands in quotes, and the field of a format does not.
    (r"^Key `[^`\"]*:[ds]?` was not found", FORMS['"{:d}".format(x)']),
    (r"Unsupported format character: '[0-9+-]'|^Key `[^`\"]*:[^`\"]*` was not found", FORMS['"{:>5}".format(x)']),
    (r"^Key `(?!(None|True|False)`)[A-Za-z_]\w*` was not found", "the text has a field that `format` is not given"),
    (r"Unsupported format character", 'write `"{}".format(x)`, or `format_number(x, decimals)`'),
    (r"Not a valid identifier: `\w+:[^`]*[0-9.]", FORMS['f"{x:.2f}"']),
    (r"Not a valid identifier: `", FORMS['f"{x.y}"']),
    (r"Found .*`(name|id|parent_close|idempotency_key|retr(ies|y_delay|y_on)|backoff|max_(retry_delay|parallel)"
     r"|jitter|(schedule_)?timeout|give_up_on|on_failure)`.* extra named parameter",
     "settings of a start are given by `options(f, name = …)`"),
    (r"call stack overflow|Starlark call stack", "recursion is limited: use a loop"),
    (r"mutates an iterable|during iteration|borrowed for iteration", "loop over a copy: `for x in list(xs):`"),
    (r"^Key `.*` (was not found|not found in dictionary)", "write `d.get(key)` for a key that may be missing"),
    (r"Operation `\+` not supported for types `(string` and `(int|float|bool|N)|(int|float|bool|N)\w*` and `string)",
     "make both of them texts: `str(x)`"),
    (r"Operation `[^`]*` not supported for types? `bool`|and `bool`$", "a bool is not a number: write `int(flag)`"),
    (r"Operation `(compare|cmp\(\)|[<>]=?)` not supported", "values are compared with values of their own type"),
    (r"Operation `\(iter\)` not supported on type `string`", "write `text.elems()` to loop over characters"),
    (r"Operation `\(iter\)` not supported on type `int`", "write `range(n)`"),
    (r"Operation `call\(\)` not supported on type",
     "only functions are called: is a name shadowed, or a comma missing?"),
    (r"of type `int` does not match the type annotation `float`",
     "write `1.0` or `float(x)`, or annotate `int | float`"),
    (r"String literals are not allowed in type expressions|string.*type expression", FORMS["def f(x: 'int')"]),
    (r"Cannot parse `.*` as an integer|is not a valid number", "look before: `text.isdigit()`"),
    (r"Integer overflow|unpacking value for parameter `a\d` of type `int",
     "the number is too large here; for a loop without end write `forever()`"),
    (r"`load` must only occur at the top of a module", "write the load at the top level of the file"),
    (r"`load` statement requires at least two arguments", 'name what you want of it: `load("./file.flow", "name")`'),
    (r"Module symbol `\w+` is not exported",
     "names that begin with an underscore are private, and what a module loaded it does not hand on: there, write "
     '`load("…", _x = "x")` and `x = _x`'),
    (r"invalid input `@`", FORMS["@flow"]),
    (r"invalid input `!`", FORMS["!a"]),
    (r"Record instance cannot be created if record type is not assigned",
     "give the record type a name first: `Point = record(x = int)`"),
    (r"cannot be used outside of a `def`", "it belongs into a function"),
    (r"Unpacked \d+ values but expected", "the number of names and values must be the same"),
)  # fmt: skip

# Looked at with the line of the program: what stands where the parser stopped says more than what it expected.
_LINE_HINTS: Final = (
    (r"unexpected symbol '[,)]'.*⏎load\(.*\w⇨[,)]", 'quote the names: `load("./file.flow", "name")`'),
    (r"unexpected symbol '\*'.*⏎load\(", 'each name is listed: `load("./file.flow", "one", "two")`'),
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
_ATTRIBUTE_OF_TYPE: Final = re.compile(r"The attribute `(\w+)` is not available on the type `")
_SUGGESTION: Final = re.compile(r", did you mean `(\w+)`\?$")
_OF_RESULT_OR_TASK: Final = frozenset({"ok", "value", "error", "id", "name"})
_OF_ANY_RECORD: Final = frozenset({"_replace", "__dict__"})


def hint_for(message: str, line: str = "", column: int = 0) -> str:
    """Advice on an interpreter's message, or the empty string.

    ``line`` is the line of the program at which it was reported, ``column`` where in it, counted from 1.
    """
    attribute = _ATTRIBUTE.search(message)
    if attribute and re.search(rf"\bfctx\.{attribute.group(2)}\b", line):
        return f"of `fctx` there are: {', '.join(CONTEXT_FIELDS)}; effects and tasks are in `fctx.actions`"
    named = _named_hint(message)
    if named:
        return named
    guess = _SUGGESTION.search(message)
    if attribute and guess and guess.group(1) not in _OF_RESULT_OR_TASK:
        return ""
    for pattern, hint in _MESSAGE_HINTS:
        if re.search(pattern, message):
            return hint
    if "unexpected" in message or "unfinished" in message:
        at = max(0, column - 1)
        marked = f"{message} ⏎{line[:at]}⇨{line[at:]}"
        for pattern, hint in _LINE_HINTS:
            if re.search(pattern, marked):
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
        name = unknown.group(1)
        return NAME_HINTS.get(name, f"write `fctx.actions.{name}`" if name in ACTION_NAMES else "")
    attribute = _ATTRIBUTE.search(message)
    if attribute and (attribute.group(1) != "record" or attribute.group(2) in _OF_ANY_RECORD):
        return ATTRIBUTE_HINTS.get(attribute.group(2), "")
    of_type = _ATTRIBUTE_OF_TYPE.search(message)
    return ATTRIBUTE_HINTS.get(of_type.group(1), "") if of_type else ""
