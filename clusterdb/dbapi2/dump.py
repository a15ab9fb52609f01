"""A database as the statements that recreate it."""

from __future__ import annotations

from collections.abc import Iterator

from clusterdb.dbapi2.base import BaseConnection
from clusterdb.dbapi2.cursor import Cursor
from clusterdb.errors import OperationalError

__all__ = ["iterdump"]


def iterdump(connection: BaseConnection, like: str | None) -> Iterator[str]:
    """The statements, as SQLite's shell and CPython's ``sqlite3`` write them: tables with their rows, then the rest."""
    cursor = Cursor(connection)
    only, values = ("AND name LIKE ?", (like,)) if like is not None else ("", ())
    if _breaks_foreign_keys(cursor):
        yield "PRAGMA foreign_keys=OFF;"
    yield "BEGIN TRANSACTION;"
    tables = cursor.execute(
        f"SELECT name, type, sql FROM sqlite_master WHERE sql NOT NULL AND type = 'table' {only} ORDER BY name", values
    ).fetchall()
    sequences: list[str] = []
    writable = False
    for name, _, sql in tables:
        if name == "sqlite_sequence":
            sequences = ['DELETE FROM "sqlite_sequence";', *_rows(cursor, name)]
        elif name == "sqlite_stat1":
            yield 'ANALYZE "sqlite_master";'
            yield from _rows(cursor, name)
        elif name.startswith("sqlite_"):
            continue
        elif sql.upper().startswith("CREATE VIRTUAL TABLE"):
            if not writable:
                writable = True
                yield "PRAGMA writable_schema=ON;"
            yield (
                "INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql)"
                f"VALUES('table',{_text(name)},{_text(name)},0,{_text(sql)});"
            )
        else:
            yield f"{sql};"
            yield from _rows(cursor, name)
    others = cursor.execute(
        f"SELECT sql FROM sqlite_master WHERE sql NOT NULL AND type IN ('index', 'trigger', 'view') {only}", values
    ).fetchall()
    for (sql,) in others:
        yield f"{sql};"
    if writable:
        yield "PRAGMA writable_schema=OFF;"
    yield from sequences
    yield "COMMIT;"


def _breaks_foreign_keys(cursor: Cursor) -> bool:
    try:
        return bool(cursor.execute("PRAGMA foreign_key_check").fetchall())
    except OperationalError:  # the parent of a key has no unique index: such a key is never checked
        return False


def _rows(cursor: Cursor, table: str) -> Iterator[str]:
    """The rows of a table as INSERT statements; SQLite quotes the values."""
    name = _identifier(table)
    columns = [row[1] for row in cursor.execute(f"PRAGMA table_info({name})").fetchall()]
    values = " || ',' || ".join(f"quote({_identifier(column)})" for column in columns)
    for (text,) in Cursor(cursor.connection).execute(f"SELECT {values} FROM {name}"):
        yield f"INSERT INTO {name} VALUES({text});"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
