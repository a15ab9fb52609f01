"""Where MySQL's statements end, as the client ``mysql`` has it.

``DELIMITER`` changes what ends them.  The text of executable comments, ``/*!40101 ... */``, is part of the statement
for servers of that version and later; ``/*M! ... */`` is for MariaDB alone, a comment like others.  A text with the
introducer ``_binary`` stands for bytes, which a dump has as they are: they become ``x'...'``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from clusterdb.flavours.rows import Grammar
from clusterdb.flavours.scripts import Quoting, Splitter, Statement

__all__ = ["MySQLSplitter", "literals"]

_VERSION = 80099
"""Executable comments for later servers are comments."""
_DELIMITER = re.compile(r"delimiter\s++(\S++)[^\n]*+", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)|''", re.DOTALL)
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}


@lru_cache(maxsize=16)
def _tokens(delimiter: str, *, has_escapes: bool) -> re.Pattern[str]:
    """What may hold a delimiter, and the delimiter."""
    inside = r"[^Q\\]++|\\.?" if has_escapes else "[^Q]++"
    text, quoted = inside.replace("Q", "'"), inside.replace("Q", '"')
    return re.compile(
        rf"""(?P<binary>\b_binary\s*+)?'(?:{text}|'')*+(?:'|(?P<open_text>\Z))
        | "(?:{quoted})*+(?:"|(?P<open_quoted>\Z))
        | `[^`]*+(?:`|(?P<open_name>\Z))
        | --(?=\s)[^\n]*+ | \#[^\n]*+
        | (?P<executable>/\*!(?P<version>\d{{5,6}}|))
        | (?P<comment>/\*)
        | (?P<closed>\*/)
        | (?P<end>{re.escape(delimiter)})""",
        re.VERBOSE | re.DOTALL | re.IGNORECASE,
    )


def _unescaped(text: str) -> str:
    """The inside of a text in single quotes as the text that it stands for."""
    if "\\" not in text and "''" not in text:
        return text
    return _ESCAPED.sub(lambda match: "'" if match[1] is None else _ESCAPES.get(match[1], match[1]), text)


_NAME = "(?:`[^`]++`|[A-Za-z_][A-Za-z_0-9$]*+)"
_HEAD = re.compile(
    rf"\s*+INSERT\s+INTO\s+(?P<table>{_NAME})\s*+(?P<columns>\((?:\s*+{_NAME}\s*+,?+)*+\s*+\))?\s*+VALUES(?=\s*+\()",
    re.IGNORECASE,
)


@lru_cache(maxsize=2)
def literals(*, has_escapes: bool) -> Grammar:
    """How an INSERT of literals is written."""
    inside = r"(?:[^'\\]++|\\.|'')*+" if has_escapes else "(?:[^']++|'')*+"
    value = re.compile(
        rf"""\s*+(?:'(?P<text>{inside})'
        | (?P<number>-?[0-9]++(?:\.[0-9]++)?+(?:e[+-]?[0-9]++)?+)
        | (?P<word>NULL|TRUE|FALSE)
        | (?:x'|0x(?=(?-i:[0-9a-fA-F]{{2}})++\s*[,)]))(?P<hex>(?:[0-9a-f]{{2}})*+)'?+
        )\s*+[,)]""",
        re.VERBOSE | re.DOTALL | re.IGNORECASE,
    )
    return Grammar(_HEAD, value, _unescaped if has_escapes else lambda text: text.replace("''", "'"))


class MySQLSplitter(Splitter):
    """Cuts a script for MySQL."""

    blank = re.compile(r"(?:\s++|--(?=\s)[^\n]*+|\#[^\n]*+|/\*(?!!)(?:[^*]++|\*(?!/))*+\*/)*+")

    def __init__(self, *, whole_copies: bool = True) -> None:
        super().__init__(whole_copies=whole_copies)
        self._delimiter, self._has_escapes = ";", True
        self._parts: list[str] = []
        """What the statement consists of, up to ``_copied``."""
        self._copied = 0
        self._is_executable = False
        """Whether an executable comment is open."""
        self._opened = 0, ""
        """Which part stands for the beginning of the last executable comment, and what it was."""

    @property
    def preamble(self) -> str:
        """A command that sets the delimiter, unless it is the one that a script begins with."""
        return "" if self._delimiter == ";" else f"DELIMITER {self._delimiter}\n"

    def obey(self, flavour: Quoting) -> None:
        """Continue with the SQL modes of a flavour."""
        self._has_escapes = flavour.has_escapes

    def _more(self, text: str, *, last: bool) -> Iterator[Statement]:
        self._copied -= self._begin
        return super()._more(text, last=last)

    def _go_on(self, statements: list[Statement], last: bool) -> bool:
        text = self._text
        if self._at == self._begin and not self._parts:
            self._copied = self._begin
            changed = _DELIMITER.match(text, self._at)
            if changed is not None:
                self._delimiter = changed[1]
                self._take(statements, "", changed.end())
                return True
        search = _tokens(self._delimiter, has_escapes=self._has_escapes).search
        while (token := search(text, self._at)) is not None:
            kind = token.lastgroup
            if kind is None:
                self._at = token.end()
            elif kind == "end" and not self._is_executable:
                self._copy(token.start(), token.end())
                self._give(statements, token.end())
                return True
            elif kind.startswith("open"):
                if not last:
                    self._at = token.start()
                    return False
                self._at = token.end()
            elif not self._pass(token, last):
                return False
        self._at = len(text)
        if last:
            self._copy(self._at, self._at)
            self._give(statements, self._at)
        return False

    def _pass(self, token: re.Match[str], last: bool) -> bool:
        """Come behind a token that changes the statement; False if more text is needed for that."""
        kind, end = token.lastgroup, token.end()
        if kind == "binary":
            inside = token[0][len(token["binary"]) + 1 : -1]
            value = (_unescaped(inside) if self._has_escapes else inside.replace("''", "'")).encode(
                "utf-8", "surrogateescape"
            )
            self._copy(token.start(), end, f"x'{value.hex()}'")
        elif kind in ("executable", "version") and int(token["version"] or 0) <= _VERSION:
            self._copy(token.start(), end, "" if self._text[end : end + 1].isspace() else " ")
            self._is_executable, self._opened = True, (len(self._parts) - 1, token[0])
        elif kind == "closed":
            if not self._is_executable:
                self._at = token.start() + 1  # an asterisk, and perhaps a comment
                return True
            self._copy(token.start(), end, "" if self._text[token.start() - 1].isspace() else " ")
            self._is_executable = False
        elif kind in ("executable", "version", "comment"):
            closed = self._text.find("*/", end)
            if closed < 0 and not last:
                self._at = token.start()
                return False
            self._copy(token.start(), closed + 2 if closed >= 0 else len(self._text), " ")
        self._at = max(self._at, end)
        return True

    def _copy(self, until: int, end: int, instead: str = "") -> None:
        """What lies before ``until`` is part of the statement; what follows up to ``end`` is replaced."""
        self._parts += [self._text[self._copied : until], instead]
        self._copied = self._at = end

    def _give(self, statements: list[Statement], end: int) -> None:
        if self._is_executable:  # it has no end: the statement is refused as it is
            place, opened = self._opened
            self._parts[place] = opened
        whole, self._parts, self._is_executable = "".join(self._parts), [], False
        self._take(statements, whole.lstrip(), end)
