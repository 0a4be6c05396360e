"""How deep the syntax tree of a text is, estimated from above by its tokens alone.

The parser and the compiler have no limit on nesting and end the process when their native stack does.  Each construct
adds what it was measured to cost of a thread's stack, in units of one binary operator, of which 398 in a row fit into
1 MiB.
"""

from __future__ import annotations

from typing import Final

from flowmetal.errors import LanguageError
from flowmetal.language.drawing import draw

MAX_INDENT: Final = 200
MAX_DEPTH: Final = 200
"""Units of a syntax tree's depth: half of what was measured to fit."""

_BRACKET, _LAMBDA, _BLOCK, _BRANCH = 3, 4, 3, 2
_BINARY_WORDS: Final = frozenset({"and", "or", "in", "for"})
_RIGHT_WORDS: Final = frozenset({"if", "else"})


class Walk:
    """Takes the tokens of a text one after the other.

    ``deep`` is the depth of the expression read so far at this level of brackets, ``pending`` the part of it that
    what follows will be below, ``floor`` what the open brackets and blocks around it cost.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.line = 1
        self.brackets: list[tuple[str, int, int, int, int, int, bool]] = []
        self.blocks: list[tuple[int, int]] = []
        self.indent = 0
        self.floor = self.deep = self.widest = self.pending = 0
        self.at_line_start = True
        self.after_operand = False
        self.in_parameters = False
        self.is_torn = False

    def error(self, what: str, remedy: str) -> LanguageError:
        """An error at the line that was reached."""
        return LanguageError(what, place=f"{self.label}:{self.line}", remedy=remedy)

    def add(self, cost: int, *, right: bool = False) -> None:
        """Makes the expression deeper; ``right``: what follows is below this."""
        self.deep += cost
        if right:
            self.pending += cost
        if self.floor + self.deep > MAX_DEPTH:
            raise self.error(
                "nested or chained too deep for the interpreter (about "
                f"{MAX_DEPTH} operators, {MAX_DEPTH // _BRACKET} brackets or blocks)",
                "give a part of it a name of its own, or use a loop or a function",
            )

    def open(self, token: str) -> None:
        """A bracket opens; right after an operand it is a call or an index."""
        if self.after_operand:
            self.add(1)
        state = (token, self.line, self.floor, self.deep, self.widest, self.pending, self.in_parameters)
        self.brackets.append(state)
        self.floor += self.pending
        self.deep = self.widest = self.pending = 0
        self.in_parameters = self.after_operand = self.at_line_start = False
        self.floor += _BRACKET
        self.add(0)

    def close(self, _token: str) -> None:
        """A bracket closes, and what was in it becomes an operand."""
        if self.brackets:
            inner = max(self.widest, self.deep) + _BRACKET
            _, _, self.floor, self.deep, self.widest, self.pending, self.in_parameters = self.brackets.pop()
            self.deep = max(self.deep, self.pending + inner)
        self.operand()

    def operand(self, _token: str = "") -> None:
        """A name, a number, a text or a closed bracket."""
        self.after_operand = True
        self.at_line_start = False

    def string(self, token: str) -> None:
        """A text, of one line or several."""
        self.line += token.count("\n")
        body = token.lstrip("rRbBfF")
        quote = body[:3] if body[:3] in ('"""', "'''") else body[:1]
        if len(body) < 2 * len(quote) or not body.endswith(quote):
            self.is_torn = True  # the parser says that it does not end; brackets cannot be told any more
        self.operand()

    def word(self, token: str) -> None:
        """A name or a word of the language."""
        if self.at_line_start and not self.brackets:
            self.statement(token)
        elif token == "lambda":
            self.add(_LAMBDA, right=True)
            self.in_parameters = True
            self.after_operand = False
        elif token == "not":
            self.prefix()
        elif token in _RIGHT_WORDS:
            self.add(1, right=True)
            self.after_operand = False
        elif token in _BINARY_WORDS:
            self.add(1)
            self.after_operand = False
        else:
            self.operand()
        self.at_line_start = False

    def statement(self, token: str) -> None:
        """The first word of a statement: blocks end by indentation, and some words open one."""
        cost = _BLOCK if token in ("def", "for", "if") else 0
        while self.blocks and self.blocks[-1][0] >= self.indent:
            indent, above = self.blocks.pop()
            if indent == self.indent and token in ("elif", "else"):
                cost = above + _BRANCH
        if cost:
            self.blocks.append((self.indent, cost))
        self.floor = sum(cost for _, cost in self.blocks)
        self.after_operand = token not in ("if", "elif", "return", "for", "not", "lambda")
        self.add(_LAMBDA if token == "lambda" else int(token == "not"), right=True)
        self.in_parameters = token == "lambda"

    def operator(self, token: str) -> None:
        """A run of operator characters."""
        if self.after_operand or token not in "+-~":
            self.add(1)
            self.after_operand = False
        else:
            self.prefix()
        self.at_line_start = False

    def prefix(self) -> None:
        """An operator before its operand."""
        self.add(1, right=True)
        self.after_operand = False

    def other(self, token: str) -> None:
        """Any other character."""
        self.at_line_start = False
        if token == ".":
            self.add(1)
        elif token in ",;:":
            self.after_operand = False
            if token == ":" and self.in_parameters:
                self.in_parameters = False
            elif token == ";" or (token == "," and not self.in_parameters):
                self.fresh()

    def fresh(self) -> None:
        """A new expression begins at the same level."""
        self.widest = max(self.widest, self.deep)
        self.deep = self.pending = 0

    def end(self, text: str) -> None:
        """The text ends: a bracket still open is named where it stands, not where the parser gives up."""
        if self.brackets and not self.is_torn:
            bracket, line = self.brackets[-1][:2]
            raise LanguageError(
                f"`{bracket}` is not closed", place=f"{self.label}:{line}", excerpt=draw(text, line), remedy="close it"
            )

    def newline(self, indent: int, is_blank: bool) -> None:
        """A line ends; ``is_blank`` tells whether nothing but a comment is on the next."""
        self.line += 1
        if self.brackets or is_blank:
            return
        if indent > MAX_INDENT:
            raise self.error(f"indented deeper than {MAX_INDENT} columns", "move the inner part into a function")
        self.indent = indent
        self.at_line_start = True
        self.after_operand = self.in_parameters = False
        self.deep = self.widest = self.pending = 0


STEPS: Final = {
    "open": Walk.open,
    "close": Walk.close,
    "number": Walk.operand,
    "operator": Walk.operator,
    "other": Walk.other,
}
"""What takes a token of each kind of the scan that needs no look around it."""
