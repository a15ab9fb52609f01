"""The indexes of a table as SQLite's schema has them: their names and statements, read and written again."""

from __future__ import annotations

import re

import apsw

from clusterdb.errors import OperationalError
from clusterdb.flavours.tables import quoted

__all__ = ["index_statement", "indexes_of"]

_NAME = r"""(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|\w+)"""
_INDEX = re.compile(
    rf"CREATE\s+(?P<unique>UNIQUE\s+)?INDEX\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}\s+ON\s+(?P<table>{_NAME})\s*(?=\()",
    re.IGNORECASE,
)


def indexes_of(db: apsw.Connection, schema: str, table: str) -> dict[str, str]:
    """The statements that created a table's indexes, by the indexes' names, in the order of creation.

    ``schema`` is ``main`` or ``temp``.  Indexes that implement PRIMARY KEY and UNIQUE constraints have no statement and
    are left out.
    """
    query = (
        f"SELECT name, sql FROM {schema}.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL "
        "AND tbl_name = ? COLLATE NOCASE ORDER BY rowid"
    )
    return {str(name): str(sql) for name, sql in db.execute(query, (table,)).fetchall()}


def index_statement(sql: str, name: str, *, table: str = "", schema: str = "") -> str:
    """The statement ``sql`` that created an index, for an index of the same columns under another name.

    ``table``: the table to index, unless it is the same.  ``schema``: ``main`` or ``temp``; empty for the table's own.
    Raises OperationalError if the statement cannot be read.
    """
    match = _INDEX.match(sql)
    if match is None:
        raise OperationalError(f"cannot read the definition of an index: {sql}")
    word = "CREATE UNIQUE INDEX" if match["unique"] else "CREATE INDEX"
    prefix = f"{schema}." if schema else ""
    return f"{word} {prefix}{quoted(name)} ON {quoted(table) if table else match['table']} {sql[match.end() :]}"
