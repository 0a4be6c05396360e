"""Questions of runs, asked on the terminal while the runs go on.

One question is on the screen at a time, and its answer is one line, which the terminal itself edits; the loop only
looks when the line is there.  So nothing waits for a person but the action that asked: Ctrl-C, log lines and answers
that come from elsewhere are seen to as ever.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections import deque
from collections.abc import Callable
from typing import Final

from flowmetal.cli.questions import DECISIONS, INTERRUPTED, Question
from flowmetal.cli.text import printable
from flowmetal.errors import did_you_mean

_LINE_BYTES: Final = 65_536
_CLEAR: Final = "\r\x1b[2K"


class Prompts:
    """Asks on the terminal that is stdin and stderr; used within the running event loop.

    Args:
        answer: gives a run the answer; False if it waits for none any more.
        named: how a question begins: with the name of who asks.
        before: called before a question is put on the screen.
        otherwise: told of a question that cannot be asked here (any more).
    """

    def __init__(
        self,
        answer: Callable[[str, int, str], bool],
        named: Callable[[str], str],
        before: Callable[[], None],
        otherwise: Callable[[Question], None],
    ) -> None:
        self._answer = answer
        self._named = named
        self._before = before
        self._otherwise = otherwise
        self._waiting: deque[Question] = deque()
        self._asked: Question | None = None
        self._read = b""
        self._terminal = sys.stdin.fileno()
        self._is_over = False

    @property
    def is_asking(self) -> bool:
        """Whether a question is on the screen."""
        return self._asked is not None

    def ask(self, question: Question) -> None:
        """Puts a question to the others; asked twice, it is one."""
        if question in self._waiting or question == self._asked:
            return
        if self._is_over:
            self._otherwise(question)
            return
        self._waiting.append(question)
        if self._asked is None:
            self._next()

    def over(self, run_id: str, number: int) -> None:
        """An action has its result, with number 0 a run: its questions are no more."""

        def is_of(question: Question) -> bool:
            return question.run_id == run_id and number in (0, question.number)

        self._waiting = deque(each for each in self._waiting if not is_of(each))
        if self._asked is not None and is_of(self._asked):
            self._put("  (no answer is needed any more)\n")
            self._next()

    def print_above(self, text: str) -> None:
        """Prints lines, and the question below them again."""
        self._put(f"{_CLEAR}{text}\n{self._text()}")

    def close(self) -> None:
        """Asks nothing any more."""
        if self._asked is not None:
            self._put("\n")
        self._leave()
        self._waiting.clear()
        self._is_over = True

    # -- one question ----------------------------------------------------------------------------------

    def _next(self) -> None:
        self._leave()
        if not self._waiting:
            return
        if not self._is_ours():
            self._give_up()
            return
        self._asked = self._waiting.popleft()
        self._before()
        # What was typed before the question was there is no answer to it.
        termios.tcflush(self._terminal, termios.TCIFLUSH)
        self._put(self._text())
        asyncio.get_running_loop().add_reader(self._terminal, self._readable)

    def _text(self) -> str:
        question = self._asked
        if question is None:
            return ""
        name = self._named(question.run_id)
        # One line, for only one can be taken back.
        return f"? {printable(f'{name}{question.words}').rstrip()} "

    def _is_ours(self) -> bool:
        """Whether this process may read from the terminal: one in the background would be stopped for it."""
        try:
            return os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:
            return False

    def _readable(self) -> None:
        try:
            data = os.read(self._terminal, _LINE_BYTES)
        except OSError:
            data = b""
        if not data:  # Ctrl-D, or a terminal that is gone
            self._put("\n")
            self._give_up()
            return
        self._read += data
        line, end, self._read = self._read.partition(b"\n")
        if not end:
            self._read = line
            return
        self._take(line.decode("utf-8", "replace"))

    def _take(self, text: str) -> None:
        question = self._asked
        if question is None:
            return
        if question.reason == INTERRUPTED:
            text = text.strip().lower()
            if text not in DECISIONS:
                self._put(f"write {' or '.join(DECISIONS)}{did_you_mean(text, DECISIONS)}\n{self._text()}")
                return
        self._leave()  # its result, which comes at once, is no surprise
        self._answer(question.run_id, question.number, text)
        self._next()

    def _give_up(self) -> None:
        left = [*([self._asked] if self._asked is not None else []), *self._waiting]
        self._leave()
        self._waiting.clear()
        self._is_over = True
        for question in left:
            self._otherwise(question)

    def _leave(self) -> None:
        if self._asked is not None:
            asyncio.get_running_loop().remove_reader(self._terminal)
        self._asked = None
        self._read = b""

    def _put(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
