"""The rows that differ between two databases, paired by their keys: the primary key, or the rowid where there is none.

Every suspect row of the one is looked up in the other; only what differs in value or in storage class is a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import apsw

from clusterdb.diff.pages import Image, Suspects, suspects
from clusterdb.diff.tables import Schema, Table, is_renamed, keys_match, quoted, schema_of
from clusterdb.errors import DataError, NotSupportedError

__all__ = ["RowChange", "SchemaChange", "Side", "TableChanges", "compare_schemas", "compare_tables"]

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Something that was created (``before`` is None), dropped (``after`` is None) or altered; both are SQL.

    ``kind``: table, index, view, trigger, or pragma for a number in the database's header.
    """

    kind: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that was inserted (``old`` is None), deleted (``new`` is None) or updated.

    ``key`` are the values of the table's key columns, ``old`` and ``new`` all its stored values.  An updated row of a
    table that was altered has in ``old`` what the altered table would show of it.
    """

    kind: Literal["insert", "update", "delete"]
    key: Row
    old: Row | None
    new: Row | None


@dataclass(frozen=True, slots=True)
class TableChanges:
    """The changes in the rows of one table, deleted ones first, then updated ones, then inserted ones."""

    name: str
    columns: tuple[str, ...]
    key_columns: tuple[str, ...]
    changes: tuple[RowChange, ...]

    def count(self, kind: str) -> int:
        """How many rows were changed in one way: insert, update or delete."""
        return sum(change.kind == kind for change in self.changes)


class Side:
    """One of the two databases: a connection that sees one version, and that version's pages."""

    def __init__(self, db: apsw.Connection, image: Image) -> None:
        self.db = db
        self.db.execute("BEGIN")  # one transaction for all that is read
        self.image = image
        self.schema: Schema = schema_of(db)

    def suspects(self, changed: set[int]) -> dict[str, Suspects] | None:
        """Where rows may differ, by table's name in lower case; None if everywhere."""
        tables = self.schema.tables
        roots = {name: table.root for name, table in tables.items() if table.has_rowid}
        keyed = {name: (len(table.columns), len(table.key)) for name, table in tables.items() if not table.has_rowid}

        def exists(name: str, key: Row) -> bool:
            return _Rows(self.db, tables[name], tables[name]).find(key) is not None

        return suspects(self.image, changed, {**self.schema.internal_roots, **roots}, keyed, exists)


def compare_schemas(before: Schema, after: Schema) -> tuple[SchemaChange, ...]:
    """What was created, dropped and altered, the header's numbers first."""
    found = [
        SchemaChange("pragma", name, str(before.header[name]), str(value))
        for name, value in after.header.items()
        if before.header[name] != value
    ]
    for name in sorted({**before.entries, **after.entries}):
        old, new = before.entries.get(name), after.entries.get(name)
        entry = new or old
        if entry is not None and (old is None or new is None or old.sql != new.sql):
            found.append(SchemaChange(entry.kind, entry.name, old.sql if old else None, new.sql if new else None))
    return tuple(found)


def compare_tables(before: Side, after: Side, changed: set[int] | None, chosen: set[str] | None) -> list[TableChanges]:
    """The changes in every table, or in the ``chosen`` ones (in lower case), that has any.

    ``changed`` are the pages that differ, None if they may all.  Raises NotSupportedError, DataError.
    """
    where = (None, None) if changed is None else (before.suspects(changed), after.suspects(changed))
    found = []
    for name in sorted({**before.schema.tables, **after.schema.tables}):
        if chosen is not None and name not in chosen:
            continue
        old, new = before.schema.tables.get(name), after.schema.tables.get(name)
        table = new or old
        assert table is not None
        if old is not None and new is not None and keys_match(old, new):
            pages_tell = _pages_tell(old, new)
            suspects = [each.get(name, Suspects()) if pages_tell and each is not None else None for each in where]
            changes = _paired(_Rows(before.db, old, new), _Rows(after.db, new, new), *suspects)
        else:  # created, dropped, or nothing tells which row became which
            changes = [
                *(RowChange("delete", key, row, None) for key, row in _Rows(before.db, old, old).all()),
                *(RowChange("insert", key, None, row) for key, row in _Rows(after.db, new, new).all()),
            ]
        if changes:
            found.append(TableChanges(table.name, table.columns, table.key or ("rowid",), tuple(changes)))
    return found


def _pages_tell(old: Table, new: Table) -> bool:
    """Whether rows on equal pages are equal rows: columns may only have been added, or been renamed in place."""
    only_added = new.columns[: len(old.columns)] == old.columns
    return old.root == new.root and old.has_rowid == new.has_rowid and (only_added or is_renamed(old, new))


class _Rows:
    """The rows of a table, each with its key, as they look with the columns of ``shape``."""

    def __init__(self, db: apsw.Connection, table: Table | None, shape: Table | None) -> None:
        self._db = db
        self._table = table
        if table is None or shape is None:
            return
        if not table.key and table.rowid is None:
            raise NotSupportedError(
                f"table '{table.name}' cannot be compared: it has no primary key, and columns of its own are called "
                "rowid, _rowid_ and oid"
            )
        self._key_at = [shape.columns.index(name) for name in shape.key]
        names = [quoted(name) for name in table.columns]
        self._select = f"SELECT {table.rowid or 'NULL'}, {', '.join(names)} FROM main.{quoted(table.name)}"
        self._by_key = f"{self._select} WHERE {table.where('?' * len(table.key))}" if table.key else ""
        self._by_rowid = f"{self._select} WHERE {table.rowid} = ?" if table.rowid else ""
        self._between = f"{self._select} WHERE {table.rowid} BETWEEN ? AND ?"
        self._shaped = _shaper(table, shape)

    def all(self) -> Iterator[tuple[Row, Row]]:
        """Every row."""
        if self._table is not None:
            yield from self._told(self._select, ())

    def suspect(self, where: Suspects | None) -> Iterator[tuple[Row, Row]]:
        """The rows that may differ; all of them if it is not known where."""
        if where is None:
            yield from self.all()
            return
        for ends in where.ranges:
            yield from self._told(self._between, ends)
        for key in dict.fromkeys(where.keys):
            yield from self._told(self._by_key, key)

    def find(self, key: Row) -> Row | None:
        """The row with a key."""
        by_rowid = not self._key_at or (None in key and self._by_rowid)
        sql, values = (self._by_rowid, key[-1:]) if by_rowid else (self._by_key, key)
        for found, row in self._told(sql, values):
            if not by_rowid or len(found) == len(key):
                return row
        return None

    def _told(self, sql: str, values: Row) -> Iterator[tuple[Row, Row]]:
        assert self._table is not None
        try:
            for rowid, *stored in self._db.execute(sql, values):
                row = self._shaped(stored)
                key = tuple([row[at] for at in self._key_at])
                if not key or None in key:  # SQLite lets keys be NULL, of several rows even
                    key = (*key, rowid)
                yield key, row
        except UnicodeDecodeError as error:
            raise DataError(
                f"table '{self._table.name}' cannot be compared: it holds text that is no valid UTF-8 ({error})"
            ) from None


def _shaper(table: Table, shape: Table) -> Callable[[list[Any]], Row]:
    """From a table's row to what another definition of the table would show of it."""
    if table.columns == shape.columns or is_renamed(table, shape):
        return tuple
    at = {name.lower(): index for index, name in enumerate(table.columns)}
    sources = [(at.get(name.lower()), default) for name, default in zip(shape.columns, shape.defaults, strict=True)]

    def shaped(row: list[Any]) -> Row:
        return tuple([default if index is None else row[index] for index, default in sources])

    return shaped


def _paired(before: _Rows, after: _Rows, old_where: Suspects | None, new_where: Suspects | None) -> list[RowChange]:
    deleted, updated, inserted = [], [], []
    for key, old in before.suspect(old_where):
        new = after.find(key)
        if new is None:
            deleted.append(RowChange("delete", key, old, None))
        elif not _same(old, new):
            updated.append(RowChange("update", key, old, new))
    for key, new in after.suspect(new_where):
        if before.find(key) is None:
            inserted.append(RowChange("insert", key, None, new))
    return [*deleted, *updated, *inserted]


def _same(old: Row, new: Row) -> bool:
    """Whether values and their storage classes are the same: 1 is not 1.0."""
    return old == new and [type(value) for value in old] == [type(value) for value in new]
