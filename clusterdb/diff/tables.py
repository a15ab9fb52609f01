"""What a database consists of, as far as two can differ in it: tables, columns, keys, and what else has SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

__all__ = ["Entry", "Schema", "Table", "is_renamed", "keys_match", "quoted", "schema_of"]

_HEADER = ("user_version", "application_id")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with rows of its own.

    ``columns`` are the stored ones, in order; ``defaults`` what rows that are older than a column show in it.  ``key``
    are the columns of the primary key, and ``collations`` how its index compares them where a column's own way is
    another.  ``rowid`` is what the rowid goes by: None if nothing does, empty in a WITHOUT ROWID table.  ``uniques``
    are columns that other unique indexes need, ``*`` if one is of expressions.
    """

    name: str
    root: int
    columns: tuple[str, ...]
    defaults: tuple[Any, ...]
    key: tuple[str, ...]
    collations: tuple[str | None, ...]
    rowid: str | None
    is_shadow: bool
    uniques: frozenset[str]

    @property
    def has_rowid(self) -> bool:
        """Whether it is not WITHOUT ROWID."""
        return self.rowid != ""

    def where(self, values: Sequence[str]) -> str:
        """The condition that the key has values; a value more than it has columns is a rowid, and all that counts."""
        if len(values) > len(self.key):
            return f"{self.rowid} = {values[-1]}"
        return " AND ".join(
            f"{quoted(name)} = {value}" + (f" COLLATE {quoted(collation)}" if collation else "")
            for name, collation, value in zip(self.key, self.collations, values, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line of ``sqlite_schema`` says: a table, an index, a view or a trigger, on a table."""

    kind: str
    name: str
    table: str
    sql: str


@dataclass(frozen=True)
class Schema:
    """Everything that has a name, by name in lower case, and the header's numbers."""

    entries: dict[str, Entry]
    tables: dict[str, Table]
    internal_roots: dict[str, int]
    header: dict[str, int]


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def is_renamed(old: Table, new: Table) -> bool:
    """Whether the columns are the same ones, perhaps under new names."""
    return old.root == new.root and len(old.columns) == len(new.columns)


def keys_match(old: Table, new: Table) -> bool:
    """Whether the rows of the two are known by the same thing."""
    if is_renamed(old, new):
        return [old.columns.index(name) for name in old.key] == [new.columns.index(name) for name in new.key]
    return [name.lower() for name in old.key] == [name.lower() for name in new.key]


def schema_of(db: apsw.Connection) -> Schema:
    """The schema of a database."""
    listed: list[Any] = db.execute(
        "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema WHERE type IN ('table','index','view','trigger')"
    ).fetchall()
    kinds: dict[Any, Any] = {row[1]: row for row in db.execute("PRAGMA main.table_list").fetchall()}
    entries: dict[str, Entry] = {}
    tables: dict[str, Table] = {}
    internal = {"sqlite_schema": 1}
    for kind, name, table, root, sql in listed:
        is_internal = name.lower().startswith("sqlite_")
        if is_internal and kind == "table":
            internal[name] = root
        if is_internal or sql is None:
            continue
        entries[f"{kind} {name.lower()}"] = Entry(kind, name, table, sql)
        if kind == "table" and kinds.get(name, "?" * 5)[2] in ("table", "shadow"):
            tables[name.lower()] = _table(db, name, root, kinds[name][2] == "shadow", without_rowid=kinds[name][4])
    return Schema(entries, tables, internal, {name: db.pragma(name) for name in _HEADER})


def _table(db: apsw.Connection, name: str, root: int, is_shadow: bool, *, without_rowid: bool) -> Table:
    columns: list[Any] = db.execute(f"PRAGMA main.table_xinfo({quoted(name)})").fetchall()
    stored = [column for column in columns if not column[6]]
    key = [column for column in sorted(stored, key=lambda column: column[5]) if column[5]]
    names = {column[1].lower() for column in columns}
    rowid = next((alias for alias in ("rowid", "_rowid_", "oid") if alias not in names), None)
    collations, uniques = _indexes(db, name)
    if not without_rowid and len(key) == 1 and not collations:  # the rowid itself, under its own name
        rowid = quoted(key[0][1])
    return Table(
        name=name,
        root=root,
        columns=tuple(column[1] for column in stored),
        defaults=tuple(_default(db, column[4]) for column in stored),
        key=tuple(column[1] for column in key),
        collations=tuple(_other_collation(db, name, column[1], collations.get(column[1])) for column in key),
        rowid="" if without_rowid else rowid,
        is_shadow=is_shadow,
        uniques=frozenset(uniques),
    )


def _other_collation(db: apsw.Connection, table: str, column: str, collation: str | None) -> str | None:
    """The collation of a column in the index of the key, if the column's own is another."""
    if collation is None or collation == db.column_metadata("main", table, column)[1]:
        return None
    return collation


def _indexes(db: apsw.Connection, name: str) -> tuple[dict[str, str], set[str]]:
    """The collations of the primary key's columns, and the columns that other unique indexes need."""
    collations: dict[str, str] = {}
    uniques: set[str] = set()
    indexes: list[Any] = db.execute(f"PRAGMA main.index_list({quoted(name)})").fetchall()
    for _, index, is_unique, origin, *_ in indexes:
        if not is_unique:
            continue
        columns: list[Any] = db.execute(f"PRAGMA main.index_xinfo({quoted(index)})").fetchall()
        for _, _, column, _, collation, is_key in columns:
            if not is_key:
                continue
            if origin == "pk":
                collations[column] = collation
            elif column is None:  # an expression, of any of them
                uniques.add("*")
            else:
                uniques.add(column)
    return collations, uniques


def _default(db: apsw.Connection, text: str | None) -> Any:
    """The value of a constant default; None where there is none, or one that changes."""
    if text is None or text.upper() in ("CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"):
        return None
    try:
        return db.execute(f"SELECT {text}").fetchall()[0][0]
    except apsw.SQLError:
        return None
