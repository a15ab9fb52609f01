"""CREATE TABLE's options and LIKE, CREATE INDEX, and CREATE VIEW's check option, which are parsed here from text.

Of a table's options only AUTO_INCREMENT and COLLATE have an effect; those for storage, including PARTITION BY, do not
change rows and are dropped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot.tokens import Token  # type: ignore[attr-defined]

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Translation, Unsupported
from clusterdb.flavours.mysql.tables import like

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.base import MySQLBase

__all__ = ["create_index", "create_table", "create_view", "ended", "without_options"]

_NAME = r"(?:`(?:[^`]|``)++`|\"[^\"]++\"|[\w$]++)"
_HEAD = (
    r"\s*+CREATE\s++(?:OR\s++REPLACE\s++)?(TEMPORARY\s++)?TABLE\s++(IF\s++NOT\s++EXISTS\s++)?"
    rf"((?:{_NAME}\s*+\.\s*+)?{_NAME})\s*+"
)
_LIKE = re.compile(rf"{_HEAD}\(?\s*+LIKE\s++((?:{_NAME}\s*+\.\s*+)?{_NAME})\s*+\)?", re.IGNORECASE)
_COLUMNS = re.compile(rf"{_HEAD}\((?!\s*+(?:SELECT|WITH|LIKE)\b)", re.IGNORECASE)
_INDEX = re.compile(
    rf"\s*+CREATE\s++(?:(UNIQUE|FULLTEXT|SPATIAL)\s++)?INDEX\s++({_NAME})\s++(USING\s++\w++\s++)?ON\s++"
    rf"((?:{_NAME}\s*+\.\s*+)?{_NAME})\s*+(?=\()",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?:ALGORITHM|LOCK)=?\w++", re.IGNORECASE)


def ended(sql: str) -> str:
    """A statement without surrounding white space and without its semicolon."""
    return sql.strip().removesuffix(";").rstrip()


def without_options(sql: str) -> str:
    """A statement without the ALGORITHM and LOCK options at its end."""
    text = ended(sql)
    while True:
        words = text.rsplit(None, 3)
        counts = (count for count in (1, 2, 3) if _OPTION.fullmatch("".join(words[-count:])))
        count = next(counts, 0)
        if not count or count == len(words):
            return text
        text = text.rsplit(None, count)[0]


def create_table(flavour: MySQLBase, sql: str, context: Context) -> Translation | None:
    """CREATE TABLE with columns, or LIKE another table; None for other statements.  Raises Unsupported."""
    match = _LIKE.fullmatch(ended(sql))
    if match is not None:
        return like(match)
    if _COLUMNS.match(sql) is None:
        return None
    tokens = flavour.dialect().tokenize(sql)
    depth = end = 0
    for end, token in enumerate(tokens):  # noqa: B007 - the place of the closing parenthesis
        depth += (token.text == "(") - (token.text == ")")
        if token.text == ")" and not depth:
            break
    else:
        return None
    options = _options(tokens[end + 1 :])
    return flavour.translated_by_grammar(" ".join([sql[: tokens[end].end + 1], *options]), context)


def _options(tokens: list[Token]) -> list[str]:
    """The options that have an effect.  Raises Unsupported for options that change what the table contains."""
    words = [token.text for token in tokens]
    kept = []
    for at, word in enumerate(map(str.upper, words)):
        value = next((word for word in words[at + 1 :] if word != "="), "")
        if word.startswith("PARTITION"):
            break
        if word in ("SELECT", "AS", "IGNORE", "REPLACE", "VALUES", "TABLE") and (not at or words[at - 1] != "="):
            raise Unsupported("CREATE TABLE with both columns and a query")
        if word.startswith(("WITH SYSTEM", "SYSTEM")) or (word == "WITH" and value.upper() == "SYSTEM"):
            raise Unsupported("WITH SYSTEM VERSIONING")
        if word == "UNION":
            raise Unsupported("a table with ENGINE=MERGE")
        if word in ("AUTO_INCREMENT", "COLLATE"):
            kept.append(f"{word}={value}")
        if word in ("CHARSET", "CHARACTER SET") and value.lower() == "binary":
            raise Unsupported("a table with the character set binary")
    return kept


def create_index(flavour: MySQLBase, sql: str, context: Context) -> Translation | None:
    """CREATE INDEX, translated as ALTER TABLE ... ADD INDEX; None for other statements."""
    match = _INDEX.match(sql)
    if match is None:
        return None
    kind, name, using, table = match.groups(default="")
    rest = without_options(sql[match.end() :])
    return flavour.translated(f"ALTER TABLE {table} ADD {kind} INDEX {name} {using} {rest}", context)


def create_view(flavour: MySQLBase, sql: str, context: Context) -> Translation | None:
    """CREATE VIEW ... WITH CHECK OPTION without the option, since views are read-only; None for other statements."""
    text = ended(sql)
    last = [word.upper() for word in text.rsplit(None, 4)[1:]]
    for words in (
        ["WITH", "CASCADED", "CHECK", "OPTION"],
        ["WITH", "LOCAL", "CHECK", "OPTION"],
        ["WITH", "CHECK", "OPTION"],
    ):
        if last[-len(words) :] == words and re.match(r"CREATE\b", text, re.IGNORECASE):
            return flavour.translated_by_grammar(text.rsplit(None, len(words))[0], context)
    return None
