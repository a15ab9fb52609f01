"""MySQL's statements for which no grammar is needed, or which sqlglot's has not, by their first word."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, SAVEPOINT, Translation, Unsupported, call
from clusterdb.flavours.mysql.alter import convert_table, rename_tables
from clusterdb.flavours.mysql.creating import create_index, create_table, create_view, ended, without_options
from clusterdb.flavours.mysql.tables import unquoted
from clusterdb.flavours.rebuild import split

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.base import MySQLBase
    from clusterdb.flavours.session import EngineSession

__all__ = ["special"]

Handler = Callable[["MySQLBase", str, Context], Translation | None]
Answer = Callable[["MySQLBase", re.Match[str], Context], Translation | None]

_WORD = re.compile(r"\s*([A-Za-z]+)")
_NAME = r"(?:`(?:[^`]|``)++`|\"(?:[^\"]|\"\")++\"|\w++)"
_SIMPLE = rf"(?:{_NAME}\.)?{_NAME}"


def special(flavour: MySQLBase, sql: str, context: Context) -> Translation | None:
    """What becomes of a statement that needs no grammar; None for others.  Raises Unsupported."""
    word = _WORD.match(sql)
    handler = _HANDLERS.get(word[1].upper()) if word is not None else None
    return handler(flavour, sql, context) if handler is not None else None


def _matching(pattern: str, answer: Answer) -> Handler:
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)

    def handler(flavour: MySQLBase, sql: str, context: Context) -> Translation | None:
        match = compiled.fullmatch(ended(sql))
        return answer(flavour, match, context) if match is not None else None

    return handler


def _without_options(pattern: str, answer: Answer) -> Handler:
    handler = _matching(pattern, answer)
    return lambda flavour, sql, context: handler(flavour, without_options(sql), context)


def _first(*handlers: Handler) -> Handler:
    """The answer of the first that has one."""

    def handler(flavour: MySQLBase, sql: str, context: Context) -> Translation | None:
        return next(
            (result for result in (node(flavour, sql, context) for node in handlers) if result is not None), None
        )

    return handler


def _savepoint(flavour: MySQLBase, sql: str, context: Context) -> Translation | None:
    return flavour.savepoint(sql.replace("`", '"')) if SAVEPOINT.fullmatch(sql) else None


def _replace(flavour: MySQLBase, sql: str, context: Context) -> Translation | None:
    """REPLACE [INTO]: an INSERT whose rows take the place of others."""
    head = re.match(r"\s*REPLACE\s+(?:LOW_PRIORITY\s+|DELAYED\s+)?(?:INTO\b)?", sql, re.IGNORECASE)
    assert head is not None
    result = flavour.translated("INSERT INTO " + sql[head.end() :], replace(context, is_replacing=True))
    return Translation(re.sub(r"^INSERT", "INSERT OR REPLACE", result.sql), result.before, result.after, begins=True)


def _lock(session: EngineSession) -> None:
    session.has_locks = True


def _unlock(session: EngineSession) -> None:
    """The end of LOCK TABLES ends the transaction."""
    if session.has_locks and session.db.in_transaction:
        session.db.execute("COMMIT")
    session.has_locks = False


def _explained(flavour: MySQLBase, match: re.Match[str], context: Context) -> Translation:
    return Translation("EXPLAIN QUERY PLAN " + flavour.translated(match[1], context).sql)


def _renamed(flavour: MySQLBase, match: re.Match[str], context: Context) -> Translation:
    """RENAME TABLE a TO b, c TO d."""
    pairs = [
        re.fullmatch(rf"\s*({_SIMPLE})\s+TO\s+({_SIMPLE})\s*", node, re.IGNORECASE) for node in match[1].split(",")
    ]
    named = [(unquoted(pair[1]), unquoted(pair[2])) for pair in pairs if pair is not None]
    if len(named) < len(pairs):
        raise Unsupported("such a RENAME TABLE")
    return rename_tables(flavour, named)


def _renamed_as(flavour: MySQLBase, match: re.Match[str], context: Context) -> Translation:
    return flavour.translated(f"{match[1]}RENAME TO {match[2]}", context)


def _checked(flavour: MySQLBase, match: re.Match[str], context: Context) -> Translation:
    return flavour.translated(f"{match[1]}ADD CONSTRAINT CHECK {match[2]}", context)


def _columns(flavour: MySQLBase, match: re.Match[str], context: Context) -> Translation | None:
    """ADD (a INT, b INT): a column, or a key, is added for each part."""
    parts, tail = split(f"({match[2]})")
    return None if tail else flavour.translated(f"{match[1]}{', '.join(f'ADD {part}' for part in parts)}", context)


def _transaction(flavour: MySQLBase, match: re.Match[str], context: Context) -> Translation:
    """SET TRANSACTION: any level of isolation is kept; that of the next transaction only is not shown."""
    queries = []
    for characteristic in match[2].split(","):
        text = " ".join(characteristic.upper().split())
        level = re.fullmatch(r"ISOLATION LEVEL (READ UNCOMMITTED|READ COMMITTED|REPEATABLE READ|SERIALIZABLE)", text)
        if level is not None and (match[1] or "").upper() != "GLOBAL":
            if match[1]:
                name = level[1].replace(" ", "-")
                queries.append(flavour.text(exp.select(call("my_assign", "transaction_isolation", name))))
        elif text != "READ WRITE":
            raise Unsupported(f"SET {match[1] or ''} TRANSACTION {text}".replace("  ", " "))
    return Translation(IDLE, tuple(queries))


def _started(flavour: MySQLBase, match: re.Match[str], context: Context) -> Translation:
    """START TRANSACTION, in any mode: one that is to read only may write."""
    return Translation("BEGIN", commits=True)


def _chained(flavour: MySQLBase, match: re.Match[str], context: Context) -> Translation:
    chains = bool(re.search(r"(?<!NO )CHAIN", re.sub(r"\s+", " ", match[2].upper())))
    if re.search(r"(?<!NO )RELEASE", re.sub(r"\s+", " ", match[2].upper())):
        raise Unsupported(f"{match[1].upper()} ... RELEASE")
    return Translation(match[1].upper(), after=("BEGIN",) if chains else (), ends=True)


def _nothing(*_: object) -> Translation:
    return Translation(IDLE, commits=True)


_HANDLERS: dict[str, Handler] = {
    "SAVEPOINT": _savepoint,
    "RELEASE": _savepoint,
    "ROLLBACK": _first(
        _savepoint, _matching(r"\s*+(ROLLBACK)(?:\s++WORK)?(\s++(?:AND|NO|RELEASE)\b[\w\s]*)", _chained)
    ),
    "COMMIT": _matching(r"\s*+(COMMIT)(?:\s++WORK)?(\s++(?:AND|NO|RELEASE)\b[\w\s]*)", _chained),
    "REPLACE": _replace,
    "LOCK": _matching(
        r"\s*+LOCK\s++(?:TABLES?|INSTANCE\s++FOR\s++BACKUP)\b.*",
        lambda flavour, match, context: Translation(IDLE, (_lock,), commits=True),
    ),
    "UNLOCK": _matching(
        r"\s*+UNLOCK\s++(?:TABLES?|INSTANCE)", lambda flavour, match, context: Translation(IDLE, (_unlock,))
    ),
    "OPTIMIZE": _matching(
        r"\s*+OPTIMIZE\s++TABLE\s++[\w`, .]+", lambda flavour, match, context: Translation("ANALYZE")
    ),
    "ANALYZE": _matching(r"\s*+ANALYZE\s++TABLE\s++[\w`, .]+", lambda flavour, match, context: Translation("ANALYZE")),
    "EXPLAIN": _matching(r"\s*+EXPLAIN\s++((?:SELECT|UPDATE|DELETE|INSERT|WITH)\b.*)", _explained),
    "CREATE": _first(create_table, create_index, create_view),
    "RENAME": _matching(r"\s*+RENAME\s++TABLES?\s++(.+)", _renamed),
    "DROP": _without_options(
        rf"\s*+DROP\s++INDEX\s++(IF\s++EXISTS\s++)?({_NAME})\s++ON\s++({_SIMPLE})",
        lambda flavour, match, context: flavour.translated(
            f"ALTER TABLE {match[3]} DROP INDEX {match[1] or ''}{match[2]}", context
        ),
    ),
    "SET": _matching(r"\s*+SET\s++(?:(SESSION|LOCAL|GLOBAL)\s++)?TRANSACTION\s++(.*)", _transaction),
    "SHOW": _matching(
        r"\s*+SHOW\s++VOLUME\s++STATUS",
        lambda flavour, match, context: Translation(
            'SELECT column1 AS "Variable_name", CAST(my_storage_nodes() AS TEXT) AS "Value" '
            "FROM (VALUES ('Disks'), ('Nodes'))"
        ),
    ),
    "START": _matching(r"\s*+START\s++TRANSACTION\b(.*)", _started),
    "ALTER": _first(
        _matching(rf"\s*+ALTER\s++TABLE\s++{_SIMPLE}\s++(?:DISABLE|ENABLE)\s++KEYS", _nothing),
        _matching(
            rf"\s*+ALTER\s++TABLE\s++({_SIMPLE})\s++CONVERT\s++TO\s++(?:CHARACTER\s++SET|CHARSET)\s++\S+"
            r"(?:\s++COLLATE\s*+=?\s*+(\w+))?",
            lambda flavour, match, context: convert_table(flavour, unquoted(match[1]), match[2] or ""),
        ),
        _matching(rf"(\s*+ALTER\s++TABLE\s++{_SIMPLE}\s++)RENAME\s++AS\s++(.*)", _renamed_as),
        _matching(rf"(\s*+ALTER\s++TABLE\s++{_SIMPLE}\s++)ADD\s++CHECK\s*+(\(.*)", _checked),
        _matching(rf"(\s*+ALTER\s++TABLE\s++{_SIMPLE}\s++)ADD\s++(?:COLUMN\s++)?\((.*)\)", _columns),
    ),
}
