"""The rows that differ between two databases, paired by their keys: the primary key, or else the rowid.

Every suspect row of one database is looked up in the other; it is changed if a value or its storage class differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import apsw

from clusterdb.diff.pages import Image, Row, Suspects, suspects
from clusterdb.diff.tables import Schema, Table, is_renamed, keys_match, quoted, schema_of
from clusterdb.errors import DataError, NotSupportedError

__all__ = ["RowChange", "SchemaChange", "Side", "TableChanges", "compare_schemas", "compare_tables"]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A schema entry that was created (``before`` is None), dropped (``after`` is None) or altered; both are SQL.

    ``kind``: table, index, view, trigger; or pragma, for a number in the database header.
    """

    kind: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that was inserted (``old`` is None), deleted (``new`` is None) or updated.

    ``key`` has the values of the table's key columns, ``old`` and ``new`` all stored values.  If the table was altered,
    ``old`` of an updated row has the columns of the altered table.
    """

    kind: Literal["insert", "update", "delete"]
    key: Row
    old: Row | None
    new: Row | None


@dataclass(frozen=True, slots=True)
class TableChanges:
    """The changed rows of one table: the deleted ones first, then the updated, then the inserted."""

    name: str
    columns: tuple[str, ...]
    key_columns: tuple[str, ...]
    changes: tuple[RowChange, ...]

    def count(self, kind: str) -> int:
        """The number of changes of a kind: insert, update or delete."""
        return sum(change.kind == kind for change in self.changes)


class Side:
    """One of the two databases: a connection to one version, and the pages of that version."""

    def __init__(self, db: apsw.Connection, image: Image) -> None:
        self.db = db
        self.db.execute("BEGIN")  # all reads in one transaction
        self.image = image
        self.schema: Schema = schema_of(db)

    def suspects(self, changed: set[int]) -> dict[str, Suspects] | None:
        """Where rows may differ, by the table's name in lower case; None if all rows may."""
        tables = self.schema.tables
        roots = {name: table.root for name, table in tables.items() if table.has_rowid}
        keyed = {name: (len(table.columns), len(table.key)) for name, table in tables.items() if not table.has_rowid}

        def exists(name: str, key: Row) -> bool:
            return _Rows(self.db, tables[name], tables[name]).find(key) is not None

        return suspects(self.image, changed, {**self.schema.internal_roots, **roots}, keyed, exists)


def compare_schemas(before: Schema, after: Schema) -> tuple[SchemaChange, ...]:
    """The schema entries that were created, dropped or altered, after the numbers in the header."""
    changes = [
        SchemaChange("pragma", name, str(before.header[name]), str(value))
        for name, value in after.header.items()
        if before.header[name] != value
    ]
    for name in sorted({**before.entries, **after.entries}):
        old, new = before.entries.get(name), after.entries.get(name)
        entry = new or old
        if entry is not None and (old is None or new is None or old.sql != new.sql):
            changes.append(SchemaChange(entry.kind, entry.name, old.sql if old else None, new.sql if new else None))
    return tuple(changes)


def compare_tables(before: Side, after: Side, changed: set[int] | None, chosen: set[str] | None) -> list[TableChanges]:
    """The changes of every table, or of the ``chosen`` ones (in lower case), that has changed rows.

    ``changed``: the numbers of the pages that differ; None if all may.  Raises NotSupportedError, DataError.
    """
    where = (None, None) if changed is None else (before.suspects(changed), after.suspects(changed))
    compared = []
    for name in sorted({**before.schema.tables, **after.schema.tables}):
        if chosen is not None and name not in chosen:
            continue
        old, new = before.schema.tables.get(name), after.schema.tables.get(name)
        table = new or old
        assert table is not None
        if old is not None and new is not None and keys_match(old, new):
            by_pages = _are_comparable_by_pages(old, new)
            suspects = [side.get(name, Suspects()) if by_pages and side is not None else None for side in where]
            changes = _paired(_Rows(before.db, old, new), _Rows(after.db, new, new), *suspects)
        else:  # created, dropped, or its key was altered, so that rows cannot be paired
            changes = [
                *(RowChange("delete", key, row, None) for key, row in _Rows(before.db, old, old).all()),
                *(RowChange("insert", key, None, row) for key, row in _Rows(after.db, new, new).all()),
            ]
        if changes:
            compared.append(TableChanges(table.name, table.columns, table.key or ("rowid",), tuple(changes)))
    return compared


def _are_comparable_by_pages(old: Table, new: Table) -> bool:
    """Whether rows on equal pages are equal: columns were at most added, or renamed in place."""
    only_added = new.columns[: len(old.columns)] == old.columns
    return old.root == new.root and old.has_rowid == new.has_rowid and (only_added or is_renamed(old, new))


class _Rows:
    """The rows of a table with their keys, in the columns of ``shape``."""

    def __init__(self, db: apsw.Connection, table: Table | None, shape: Table | None) -> None:
        self._db = db
        self._table = table
        if table is None or shape is None:
            return
        if not table.key and table.rowid is None:
            raise NotSupportedError(
                f"table '{table.name}' cannot be compared, as it has no primary key and its columns hide the rowid "
                "(rowid, _rowid_, oid): add a primary key"
            )
        self._key_indexes = [shape.columns.index(name) for name in shape.key]
        names = [quoted(name) for name in table.columns]
        self._select = f"SELECT {table.rowid or 'NULL'}, {', '.join(names)} FROM main.{quoted(table.name)}"
        self._by_key = f"{self._select} WHERE {table.where('?' * len(table.key))}" if table.key else ""
        self._by_rowid = f"{self._select} WHERE {table.rowid} = ?" if table.rowid else ""
        self._between = f"{self._select} WHERE {table.rowid} BETWEEN ? AND ?"
        self._shaped = _shaper(table, shape)

    def all(self) -> Iterator[tuple[Row, Row]]:
        """Every row."""
        if self._table is not None:
            yield from self._read(self._select, ())

    def suspect(self, where: Suspects | None) -> Iterator[tuple[Row, Row]]:
        """The rows that may differ; all rows for None."""
        if where is None:
            yield from self.all()
            return
        for ends in where.ranges:
            yield from self._read(self._between, ends)
        for key in dict.fromkeys(where.keys):
            yield from self._read(self._by_key, key)

    def find(self, key: Row) -> Row | None:
        """The row with a key."""
        by_rowid = not self._key_indexes or (None in key and self._by_rowid)
        sql, values = (self._by_rowid, key[-1:]) if by_rowid else (self._by_key, key)
        for row_key, row in self._read(sql, values):
            if not by_rowid or len(row_key) == len(key):
                return row
        return None

    def _read(self, sql: str, values: Row) -> Iterator[tuple[Row, Row]]:
        assert self._table is not None
        try:
            for rowid, *stored in self._db.execute(sql, values):
                row = self._shaped(stored)
                key = tuple([row[index] for index in self._key_indexes])
                if not key or None in key:  # SQLite allows NULL in keys, in several rows
                    key = (*key, rowid)
                yield key, row
        except UnicodeDecodeError as error:
            raise DataError(
                f"table '{self._table.name}' cannot be compared: it holds text that is not valid UTF-8 ({error})"
            ) from None


def _shaper(table: Table, shape: Table) -> Callable[[list[apsw.SQLiteValue]], Row]:
    """A function from a row of a table to the row that another definition of the table would show."""
    if table.columns == shape.columns or is_renamed(table, shape):
        return tuple
    indexes = {name.lower(): index for index, name in enumerate(table.columns)}
    sources = [
        (indexes.get(name.lower()), default) for name, default in zip(shape.columns, shape.defaults, strict=True)
    ]

    def shaped(row: list[apsw.SQLiteValue]) -> Row:
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
    """Whether all values and their storage classes are equal: 1 is not 1.0."""
    return old == new and [type(value) for value in old] == [type(value) for value in new]
