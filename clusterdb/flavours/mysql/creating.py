"""CREATE TABLE as far as it is no matter of columns: what follows the bracket, and other forms of it.

Of the options of a table only its numbering and its collation matter here; how a server keeps a table, PARTITION BY
too, changes no rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import NotSaid, Translation
from clusterdb.flavours.mysql.tables import like

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.flavour import MySQLFlavour

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
    """A statement without blanks around it and without a semicolon."""
    return sql.strip().removesuffix(";").rstrip()


def without_options(sql: str) -> str:
    """A statement without ALGORITHM and LOCK behind it."""
    text = ended(sql)
    while True:
        words = text.rsplit(None, 3)
        counts = (count for count in (1, 2, 3) if _OPTION.fullmatch("".join(words[-count:])))
        count = next(counts, 0)
        if not count or count == len(words):
            return text
        text = text.rsplit(None, count)[0]


def create_table(flavour: MySQLFlavour, sql: str, context: Context) -> Translation | None:
    """CREATE TABLE of columns, or LIKE another one; None for other statements.  Raises NotSaid."""
    copied = _LIKE.fullmatch(ended(sql))
    if copied is not None:
        return like(flavour, copied)
    if _COLUMNS.match(sql) is None:
        return None
    tokens = flavour.dialect().tokenize(sql)
    depth = end = 0
    for end, token in enumerate(tokens):  # noqa: B007 - where the bracket is closed
        depth += (token.text == "(") - (token.text == ")")
        if token.text == ")" and not depth:
            break
    else:
        return None
    options = _options(tokens[end + 1 :])
    return flavour.parsed_and_said(" ".join([sql[: tokens[end].end + 1], *options]), context)


def _options(tokens: list[Any]) -> list[str]:
    """The options that matter.  Raises NotSaid for what is more than an option."""
    words = [token.text for token in tokens]
    kept = []
    for at, word in enumerate(map(str.upper, words)):
        value = next((each for each in words[at + 1 :] if each != "="), "")
        if word.startswith("PARTITION"):
            break
        if word in ("SELECT", "AS", "IGNORE", "REPLACE", "VALUES", "TABLE") and (not at or words[at - 1] != "="):
            raise NotSaid("CREATE TABLE of columns and a query")
        if word.startswith(("WITH SYSTEM", "SYSTEM")) or (word == "WITH" and value.upper() == "SYSTEM"):
            raise NotSaid("WITH SYSTEM VERSIONING")
        if word == "UNION":
            raise NotSaid("a table of the engine MERGE")
        if word in ("AUTO_INCREMENT", "COLLATE"):
            kept.append(f"{word}={value}")
        if word in ("CHARSET", "CHARACTER SET") and value.lower() == "binary":
            raise NotSaid("a table of the character set binary")
    return kept


def create_index(flavour: MySQLFlavour, sql: str, context: Context) -> Translation | None:
    """CREATE INDEX as ALTER TABLE ... ADD INDEX, which it is; None for other statements."""
    found = _INDEX.match(sql)
    if found is None:
        return None
    kind, name, using, table = found.groups(default="")
    rest = without_options(sql[found.end() :])
    return flavour.translated(f"ALTER TABLE {table} ADD {kind} INDEX {name} {using} {rest}", context)


def create_view(flavour: MySQLFlavour, sql: str, context: Context) -> Translation | None:
    """CREATE VIEW ... WITH CHECK OPTION: views are not written to; None for other statements."""
    text = ended(sql)
    last = [word.upper() for word in text.rsplit(None, 4)[1:]]
    for words in (
        ["WITH", "CASCADED", "CHECK", "OPTION"],
        ["WITH", "LOCAL", "CHECK", "OPTION"],
        ["WITH", "CHECK", "OPTION"],
    ):
        if last[-len(words) :] == words and re.match(r"CREATE\b", text, re.IGNORECASE):
            return flavour.parsed_and_said(text.rsplit(None, len(words))[0], context)
    return None
