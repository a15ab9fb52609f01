"""Texts of SQL: the statements of a script, the named parameters in it, and what a statement risks.

These functions know where texts, names, and comments begin and end, but no grammar.  They decide what a form asks,
never what SQL means.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from clusterdb.flavours import flavour_of

__all__ = ["parameters", "risks", "statements"]

_COMMENT = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
_QUOTED = r"'(?:[^']|'')*(?:'|\Z)|\"(?:[^\"]|\"\")*(?:\"|\Z)|`[^`]*(?:`|\Z)|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)"
_ESCAPED = r"'(?:[^'\\]|\\.|'')*(?:'|\Z)|\"(?:[^\"\\]|\\.|\"\")*(?:\"|\Z)|`[^`]*(?:`|\Z)"
_REST = r"(?P<parameter>(?<![\w:\])]):(?:[A-Za-z_]\w*|\d+))|::|(?P<word>[A-Za-z_]\w*)|(?P<open>\()|(?P<close>\))"
_TOKENS = re.compile(f"{_COMMENT}|{_QUOTED}|{_REST}", re.DOTALL)
_MYSQL_TOKENS = re.compile(f"{_COMMENT}|#[^\n]*|{_ESCAPED}|{_REST}", re.DOTALL)


def _tokens(sql: str, engine: str) -> Iterator[re.Match[str]]:
    return (_MYSQL_TOKENS if engine == "aurora-mysql" else _TOKENS).finditer(sql)


def statements(sql: str, engine: str) -> list[str]:
    """The statements of a script, as the engine's client cuts them; comments alone are not a statement."""
    if engine != "sqlite":
        cut = [statement.text for statement in flavour_of(engine).splitter().cut(sql)]
    else:
        cut = list(_sqlite_statements(sql))
    return [text.strip() for text in cut if any(match["word"] for match in _tokens(text, engine))]


def _sqlite_statements(sql: str) -> Iterator[str]:
    begin = 0
    for match in re.finditer(";", sql):
        if sqlite3.complete_statement(sql[begin : match.end()]):
            yield sql[begin : match.end()]
            begin = match.end()
    yield sql[begin:]


def parameters(sql: str, engine: str) -> list[str]:
    """The names of parameters ``:name``, in order, outside of texts and comments; ``::type`` is a cast."""
    names = (match["parameter"] for match in _tokens(sql, engine))
    return list(dict.fromkeys(name[1:] for name in names if name))


def risks(sql: str, engine: str) -> list[str]:
    """What the statements of a script would change as a whole: rows without WHERE, and what is dropped."""
    return [risk for text in statements(sql, engine) for risk in _risks(text, engine)]


def _risks(statement: str, engine: str) -> Iterator[str]:
    words: list[str] = []
    depth = 0
    for match in _tokens(statement, engine):
        depth += bool(match["open"]) - bool(match["close"])
        if match["word"] and depth == 0:
            words.append(match["word"].upper())
    if not words:
        return
    verb = words[0]
    if verb == "WITH":
        verb = next((word for word in words if word in ("UPDATE", "DELETE", "INSERT", "SELECT")), verb)
    if verb in ("UPDATE", "DELETE") and "WHERE" not in words and "LIMIT" not in words:
        yield f"{verb} without WHERE changes every row of the table"
    elif verb == "DROP":
        yield f"DROP {words[1] if len(words) > 1 else ''} removes it with all that it holds".replace("  ", " ")
    elif verb == "TRUNCATE":
        yield "TRUNCATE removes every row of the table"
    elif verb == "ALTER" and "DROP" in words:
        yield "ALTER with DROP removes a part of the table with its values"
