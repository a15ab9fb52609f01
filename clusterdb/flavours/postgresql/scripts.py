r"""Where PostgreSQL's statements end, as ``psql`` has it.

A line that begins with a backslash where a statement could is a command of psql's.  The lines that follow ``COPY ...
FROM stdin;``, up to ``\.``, are that statement's data.  A rule's and a routine's statements belong to it, too.
"""

from __future__ import annotations

import re

from clusterdb.flavours.rows import Grammar
from clusterdb.flavours.scripts import Splitter, Statement

__all__ = ["COPY", "LITERALS", "PostgreSQLSplitter"]

_NAME = r'(?:"(?:[^"]|"")++"|[^\W\d]\w*+)'
_NAMES = rf"\((?:\s*+{_NAME}\s*+,?+)*+\s*+\)"
COPY = re.compile(
    rf"COPY\s+(?P<table>{_NAME}(?:\.{_NAME})?)\s*+(?P<columns>{_NAMES})?\s*+FROM\s+STDIN\b(?P<options>[^;]*)",
    re.IGNORECASE,
)
"""A statement that data follows."""
_COPIED_ONCE = re.compile(r"\b(?:CSV|HEADER)\b", re.IGNORECASE)
"""What of COPY's options makes its lines depend on those before."""
_DATA_END = re.compile(r"^\\\.\r?(?:\n|\Z)", re.MULTILINE)
_DATA_MAX = 1 << 20
_TOKENS = re.compile(
    r"""(?<![\w$])[eE]'(?:[^'\\]++|\\.?)*+(?:'|(?P<open_escaped>\Z))
    | '[^']*+(?:'|(?P<open_text>\Z))
    | "[^"]*+(?:"|(?P<open_name>\Z))
    | (?<![\w$])(?P<dollar>\$(?:[^\W\d]\w*+)?\$)
    | --[^\n]*+
    | (?P<comment>/\*)
    | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_COMPOUND = re.compile(r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:RULE|FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_ATOMIC = re.compile(r"\bBEGIN\s+ATOMIC\b", re.IGNORECASE)
_WORDS = re.compile(
    r"""'[^']*+'|"[^"]*+"|\$(\w*)\$.*?\$\1\$|--[^\n]*+|/\*.*?\*/|\b(?P<word>BEGIN|CASE|END)\b|(?P<paren>[()])""",
    re.I | re.DOTALL,
)


LITERALS = Grammar(
    re.compile(
        rf"\s*+INSERT\s+INTO\s+(?P<table>{_NAME}(?:\.{_NAME})?)\s*+(?P<columns>{_NAMES})?\s*+"
        r"(?P<overriding>OVERRIDING\s+SYSTEM\s+VALUE\s+)?VALUES(?=\s*+\()",
        re.IGNORECASE,
    ),
    re.compile(
        r"""\s*+(?:'(?P<text>(?:[^']++|'')*+)'
        | (?P<number>-?[0-9]++(?:\.[0-9]++)?+(?:e[+-]?[0-9]++)?+)
        | (?P<word>NULL|TRUE|FALSE)
        )\s*+[,)]""",
        re.VERBOSE | re.DOTALL | re.IGNORECASE,
    ),
    lambda inside: inside.replace("''", "'"),
)


class PostgreSQLSplitter(Splitter):
    """Cuts a script for PostgreSQL."""

    blank = re.compile(r"(?:\s++|--[^\n]*+|/\*(?:[^*/]++|\*(?!/)|/(?!\*))*+\*/)*+")

    def __init__(self, *, whole_copies: bool = True) -> None:
        super().__init__(whole_copies=whole_copies)
        self._copy, self._copy_line = "", 0
        """The COPY that data follows, and where it is."""
        self._is_cut = False
        """Whether a part of its data was given."""

    @property
    def is_between(self) -> bool:
        """Whether nothing but blanks and comments was fed since the last statement."""
        return not self._copy and super().is_between

    def _step(self, statements: list[Statement], last: bool) -> bool:
        return self._take_data(statements, last) if self._copy else super()._step(statements, last)

    def _go_on(self, statements: list[Statement], last: bool) -> bool:
        text = self._text
        if text.startswith("\\", self._begin):
            end = text.find("\n", self._begin)
            self._take(statements, text[self._begin : end if end >= 0 else len(text)].rstrip(), end + 1 or len(text))
            return True
        while (token := _TOKENS.search(text, self._at)) is not None:
            kind, end = token.lastgroup, token.end()
            if kind is None:
                self._at = end
                continue
            if kind == "end":
                self._at = end
                statement = text[self._begin : token.start()]
                if COPY.match(statement):
                    self._begin_data(statement)
                    return True
                if _COMPOUND.match(statement) and not _is_whole(statement):
                    continue
                self._take(statements, statement, end)
                return True
            if kind == "dollar":
                end = text.find(token[0], end) + len(token[0])
                is_open = end < len(token[0])
            elif kind == "comment":
                end = _comment_end(text, end)
                is_open = end < 0
            else:
                is_open = True
            if is_open and not last:
                self._at = token.start()
                return False
            self._at = len(text) if is_open else end
        self._at = len(text)
        if last:
            self._take(statements, text[self._begin :], len(text))
        return False

    # --- the data of COPY -------------------------------------------------------------------------------------------
    def _begin_data(self, statement: str) -> None:
        """What follows the line of a COPY is its data."""
        self._count_lines()
        self._copy, self._copy_line, self._is_cut = statement, self._line, False
        end = self._text.find("\n", self._at)
        self._begin = self._at = end + 1 or len(self._text)

    def _take_data(self, statements: list[Statement], last: bool) -> bool:
        end = _DATA_END.search(self._text, self._at)
        if end is not None:
            self._give_data(statements, end.start(), end.end())
            self._copy, self._has_begun = "", False
            return True
        self._at = len(self._text)
        if last:
            self._give_data(statements, self._at, self._at)
            self._copy, self._has_begun = "", False
        elif self._at - self._begin > _DATA_MAX and not self._whole_copies and not _COPIED_ONCE.search(self._copy):
            self._give_data(statements, self._at, self._at)
            self._is_cut = True
        return False

    def _give_data(self, statements: list[Statement], until: int, end: int) -> None:
        data = self._text[self._begin : until]
        if data and not data.endswith("\n"):
            data += "\n"
        if data or not self._is_cut:
            statements.append(Statement(f"{self._copy};\n{data}\\.\n", self._copy_line))
        self._count_lines()
        self._begin = self._at = end


def _comment_end(text: str, at: int) -> int:
    """Where a comment ends that ``at`` is inside of, as they nest; -1 if it does not."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return -1


def _is_whole(statement: str) -> bool:
    """Whether no parenthesis and no body of statements is open."""
    has_body, depth, parens = _ATOMIC.search(statement) is not None, 0, 0
    for word in _WORDS.finditer(statement):
        if word["paren"]:
            parens += 1 if word["paren"] == "(" else -1
        elif word["word"] and has_body:
            depth += -1 if word["word"].upper() == "END" else 1
    return parens <= 0 and depth <= 0
