"""Scripts: where statements begin and end, in a text that may be longer than memory.

A :class:`Splitter` is fed a text as it comes, and gives the statements that are whole.  It holds no more than the
statement it is in, and looks at each character once.  Quoted texts, comments and what an engine's client takes for one
statement are never cut; what follows ``COPY ... FROM stdin`` belongs to that statement.  No grammar is needed, so a
statement that is refused later ends where it ends.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, Protocol

__all__ = ["Quoting", "Splitter", "Statement"]


class Statement(NamedTuple):
    """A statement, without the delimiter that ends it, and the line that it begins in."""

    text: str
    line: int


class Quoting(Protocol):
    """How an engine quotes texts."""

    @property
    def has_escapes(self) -> bool:
        """Whether a backslash in a text is more than itself."""


class Splitter(ABC):
    """Cuts the text of a script into statements.

    ``whole_copies``: a statement that data follows has all of it; without that, long data comes as several statements.
    """

    blank: re.Pattern[str]
    """Blanks and comments, which do not begin a statement."""

    def __init__(self, *, whole_copies: bool = True) -> None:
        self._whole_copies = whole_copies
        self._held: list[str] = []
        """What came since the last end of a line: half a token may be at its end."""
        self._text = ""
        self._begin = 0
        """Where the statement begins, or the data of COPY."""
        self._at = 0
        """Where to look next: all before that is known."""
        self._line = 1
        self._counted = 0
        """Where the line ``_line`` is."""
        self._has_begun = False

    def feed(self, text: str) -> Iterator[Statement]:
        """The statements that end in ``text``, which continues what was fed before, each cut when it is asked for."""
        end = text.rfind("\n") + 1
        if not end:
            self._held.append(text)
            return iter(())
        whole = "".join([*self._held, text[:end]])
        self._held = [text[end:]]
        return self._more(whole, last=False)

    def finish(self) -> Iterator[Statement]:
        """The statements that the end of the script ends; the last one may lack its delimiter."""
        whole, self._held = "".join(self._held), []
        return self._more(whole, last=True)

    def cut(self, script: str) -> Iterator[Statement]:
        """The statements of a whole script."""
        yield from self.feed(script)
        yield from self.finish()

    def obey(self, flavour: Quoting) -> None:  # noqa: B027 - most engines have the same rules in all flavours
        """Continue with the rules of the flavour that a statement has switched to."""

    @property
    def is_between(self) -> bool:
        """Whether nothing but blanks and comments was fed since the last statement."""
        return not self._has_begun and not self._text[self._begin :].strip() and not "".join(self._held).strip()

    @property
    def preamble(self) -> str:
        """What a script begins with to be cut as this one is from here on."""
        return ""

    def _more(self, text: str, *, last: bool) -> Iterator[Statement]:
        self._count_lines()
        self._text = self._text[self._begin :] + text
        self._at -= self._begin
        self._begin = self._counted = 0
        return self._statements(last)

    def _statements(self, last: bool) -> Iterator[Statement]:
        statements: list[Statement] = []
        while self._step(statements, last):
            yield from statements
            statements.clear()
        yield from statements

    def _step(self, statements: list[Statement], last: bool) -> bool:
        """Come to the end of a statement or of what begins none; False if that needs more text."""
        if self._has_begun:
            return self._go_on(statements, last)
        blank = self.blank.match(self._text, self._at)
        assert blank is not None  # it may be empty
        self._begin = self._at = blank.end()
        self._has_begun = self._at < len(self._text)
        return self._has_begun

    @abstractmethod
    def _go_on(self, statements: list[Statement], last: bool) -> bool:
        """The same inside of a statement."""

    def _take(self, statements: list[Statement], text: str, end: int) -> None:
        """Give a statement; the next one begins at ``end``."""
        if text.strip():
            self._count_lines()
            statements.append(Statement(text, self._line))
        self._begin = self._at = end
        self._has_begun = False

    def _count_lines(self) -> None:
        """Know which line the statement begins in."""
        self._line += self._text.count("\n", self._counted, self._begin)
        self._counted = self._begin
