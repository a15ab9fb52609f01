"""A hash of what a database says, whatever its page size, free pages or order of insertion into the schema.

In the manner of SQLite's own tool (https://sqlite.org/dbhash.html): databases with the same content have the same hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import apsw

import clusterdb

__all__ = ["content", "dbhash", "hash_of"]


def hash_of(cluster: clusterdb.Cluster) -> str:
    """The hash of a cluster's database."""
    with closing(cluster.connect()) as connection:
        return dbhash(connection)


def dbhash(connection: apsw.Connection, schema: str = "main") -> str:
    """The hash of one database of a connection, taken in one read transaction."""
    digest = hashlib.sha256()
    with connection:
        for line in content(connection, schema):
            digest.update(line.encode())
            digest.update(b"\n")
    return digest.hexdigest()


def content(connection: apsw.Connection, schema: str = "main") -> Iterator[str]:
    """The lines that :func:`dbhash` hashes: header values, the schema by name, then every table's rows in key order."""
    for pragma in ("user_version", "application_id", "encoding"):
        yield f"{pragma} {connection.pragma(pragma, schema=schema)}"
    entries: list[tuple[Any, ...]] = connection.execute(
        f'SELECT type, name, tbl_name, sql FROM "{schema}".sqlite_schema ORDER BY type, name'
    ).fetchall()
    for entry in entries:
        yield f"schema {entry!r}"
    for kind, name, _, sql in entries:
        if kind == "table" and not sql.upper().startswith("CREATE VIRTUAL"):  # its shadow tables are listed too
            yield f"table {name!r}"
            yield from _rows(connection, schema, name)


def _rows(connection: apsw.Connection, schema: str, table: str) -> Iterator[str]:
    order = _key(connection, schema, table)
    for row in connection.execute(f"SELECT * FROM {_quoted(schema)}.{_quoted(table)} NOT INDEXED ORDER BY {order}"):
        yield repr(row)  # 1, 1.0, '1' and b'1' read differently


def _key(connection: apsw.Connection, schema: str, table: str) -> str:
    columns: list[tuple[Any, ...]] = connection.execute(
        "SELECT name, pk FROM pragma_table_info(?, ?)", (table, schema)
    ).fetchall()
    names = {name.lower() for name, _ in columns}
    without_rowid = connection.execute(
        "SELECT wr FROM pragma_table_list WHERE schema = ? AND name = ?", (schema, table)
    ).get
    if without_rowid:
        return ", ".join(_quoted(name) for name, pk in sorted(columns, key=lambda column: column[1]) if pk)
    return next(alias for alias in ("rowid", "_rowid_", "oid") if alias not in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
