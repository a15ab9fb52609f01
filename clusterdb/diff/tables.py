"""The schema of a database: tables, columns, keys, and the other entries that have SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apsw

__all__ = ["Entry", "Schema", "Table", "is_renamed", "keys_match", "quoted", "schema_of"]

_HEADER = ("user_version", "application_id")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with rows of its own.

    ``columns``: the stored columns, in order; ``defaults``: their values in rows that are older than the column.
    ``key``: the columns of the primary key; ``collations``: for each, the collation of the key's index if it is not the
    column's own.  ``rowid``: a name of the rowid; None if columns hide all names, empty for a WITHOUT ROWID table.
    ``uniques``: the columns of other unique indexes; ``*`` if one is on an expression.
    """

    name: str
    root: int
    columns: tuple[str, ...]
    defaults: tuple[apsw.SQLiteValue, ...]
    key: tuple[str, ...]
    collations: tuple[str | None, ...]
    rowid: str | None
    is_shadow: bool
    uniques: frozenset[str]

    @property
    def has_rowid(self) -> bool:
        """Whether it is not a WITHOUT ROWID table."""
        return self.rowid != ""

    def where(self, values: Sequence[str]) -> str:
        """The condition that selects a key, given as SQL of its values.

        With one value more than the key has columns, the last is a rowid and alone decides.
        """
        if len(values) > len(self.key):
            return f"{self.rowid} = {values[-1]}"
        return " AND ".join(
            f"{quoted(name)} = {value}" + (f" COLLATE {quoted(collation)}" if collation else "")
            for name, collation, value in zip(self.key, self.collations, values, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of ``sqlite_schema``: a table, an index, a view or a trigger, with the table that it belongs to."""

    kind: str
    name: str
    table: str
    sql: str


@dataclass(frozen=True)
class Schema:
    """Entries and tables by name in lower case, the roots of SQLite's own tables, and numbers in the header."""

    entries: dict[str, Entry]
    tables: dict[str, Table]
    internal_roots: dict[str, int]
    header: dict[str, int]


def quoted(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def is_renamed(old: Table, new: Table) -> bool:
    """Whether two definitions have the same columns, possibly under other names."""
    return old.root == new.root and len(old.columns) == len(new.columns)


def keys_match(old: Table, new: Table) -> bool:
    """Whether two definitions have the same key."""
    if is_renamed(old, new):
        return [old.columns.index(name) for name in old.key] == [new.columns.index(name) for name in new.key]
    return [name.lower() for name in old.key] == [name.lower() for name in new.key]


def schema_of(db: apsw.Connection) -> Schema:
    """The schema of a database."""
    sql = (
        "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema WHERE type IN ('table','index','view','trigger')"
    )
    listed = {row[1]: row for row in _rows(db, "PRAGMA main.table_list")}
    entries: dict[str, Entry] = {}
    tables: dict[str, Table] = {}
    internal = {"sqlite_schema": 1}
    for kind, name, table, root, definition in _rows(db, sql):
        is_internal = name.lower().startswith("sqlite_")
        if is_internal and kind == "table":
            internal[name] = root
        if is_internal or definition is None:
            continue
        entries[f"{kind} {name.lower()}"] = Entry(kind, name, table, definition)
        if kind == "table" and name in listed:
            _, _, table_kind, _, without_rowid, *_ = listed[name]
            if table_kind in ("table", "shadow"):
                is_shadow = table_kind == "shadow"
                tables[name.lower()] = _table(db, name, root, is_shadow=is_shadow, without_rowid=bool(without_rowid))
    return Schema(entries, tables, internal, {name: db.pragma(name) for name in _HEADER})


def _rows(db: apsw.Connection, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query on SQLite's own tables and pragmas, whose columns have the types that SQLite documents."""
    return db.execute(sql).fetchall()


class _Column(NamedTuple):
    """A row of ``PRAGMA table_xinfo``."""

    number: int
    name: str
    type: str
    is_not_null: int
    default: str | None
    key_position: int  # 1 for the first column of the primary key; 0 for others
    hidden: int  # 0 for a stored column


def _table(db: apsw.Connection, name: str, root: int, *, is_shadow: bool, without_rowid: bool) -> Table:
    columns = [_Column(*row) for row in _rows(db, f"PRAGMA main.table_xinfo({quoted(name)})")]
    stored = [column for column in columns if not column.hidden]
    key = sorted((column for column in stored if column.key_position), key=lambda column: column.key_position)
    names = {column.name.lower() for column in columns}
    rowid = next((alias for alias in ("rowid", "_rowid_", "oid") if alias not in names), None)
    collations, uniques = _indexes(db, name)
    if not without_rowid and len(key) == 1 and not collations:  # an INTEGER PRIMARY KEY: the rowid under another name
        rowid = quoted(key[0].name)
    return Table(
        name=name,
        root=root,
        columns=tuple(column.name for column in stored),
        defaults=tuple(_default(db, column.default) for column in stored),
        key=tuple(column.name for column in key),
        collations=tuple(_other_collation(db, name, column.name, collations.get(column.name)) for column in key),
        rowid="" if without_rowid else rowid,
        is_shadow=is_shadow,
        uniques=frozenset(uniques),
    )


def _other_collation(db: apsw.Connection, table: str, column: str, collation: str | None) -> str | None:
    """The collation of a column in the key's index, if it is not the column's own."""
    if collation is None or collation == db.column_metadata("main", table, column)[1]:
        return None
    return collation


def _indexes(db: apsw.Connection, name: str) -> tuple[dict[str, str], set[str]]:
    """The collations of the primary key's columns, and the columns of other unique indexes."""
    collations: dict[str, str] = {}
    uniques: set[str] = set()
    for _, index, is_unique, origin, *_ in _rows(db, f"PRAGMA main.index_list({quoted(name)})"):
        if not is_unique:
            continue
        for _, _, column, _, collation, is_key in _rows(db, f"PRAGMA main.index_xinfo({quoted(index)})"):
            if not is_key:
                continue
            if origin == "pk":
                collations[column] = collation
            elif column is None:  # an expression, on any column
                uniques.add("*")
            else:
                uniques.add(column)
    return collations, uniques


def _default(db: apsw.Connection, text: str | None) -> apsw.SQLiteValue:
    """The value of a constant default; None without a default, and for the current time."""
    if text is None or text.upper() in ("CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"):
        return None
    try:
        return db.execute(f"SELECT {text}").fetchall()[0][0]
    except apsw.SQLError:
        return None
