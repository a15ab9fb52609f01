"""A difference as an SQL script that turns the first database into the second.

It follows https://sqlite.org/lang_altertable.html#otheralter : affected triggers, views and indexes are dropped first
and created last; an altered table is created anew under its name, and its unchanged rows are copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import apsw

from clusterdb.diff.tables import is_renamed, keys_match, quoted
from clusterdb.errors import NotSupportedError

if TYPE_CHECKING:
    from clusterdb.diff.compare import RowChange, SchemaChange, TableChanges
    from clusterdb.diff.tables import Entry, Schema, Table

__all__ = ["script"]

_LATE = ("index", "view", "trigger")
_VIRTUAL = "CREATE VIRTUAL"


def script(
    before: Schema, after: Schema, schema_changes: Sequence[SchemaChange], tables: Sequence[TableChanges]
) -> Iterator[str]:
    """The statements, without semicolons.  Raises NotSupportedError for an altered virtual table."""
    if not schema_changes and not tables:
        return
    changed = {f"{change.kind} {change.name.lower()}" for change in schema_changes}
    of_table = {table.name.lower(): table for table in tables}
    touched = {*of_table, *(change.name.lower() for change in schema_changes if change.kind in ("table", "view"))}

    def is_late(entry: Entry) -> bool:
        """Whether an entry must be dropped and created again, for itself or for its table."""
        if entry.kind not in _LATE or f"{entry.kind} {entry.name.lower()}" in changed:
            return entry.kind in _LATE
        is_of_rebuilt = f"table {entry.table.lower()}" in changed
        return entry.kind != "view" and entry.table.lower() in touched and (entry.kind == "trigger" or is_of_rebuilt)

    rebuilds = any(change.kind == "table" and change.before and change.after for change in schema_changes)
    yield "PRAGMA foreign_keys = OFF"
    if rebuilds:
        yield "PRAGMA legacy_alter_table = ON"  # references to an altered table stay as they are
    yield "BEGIN"
    for kind in reversed(_LATE):
        for entry in before.entries.values():
            if entry.kind == kind and is_late(entry):
                yield f"DROP {kind.upper()} {quoted(entry.name)}"
    for change in schema_changes:
        if change.kind == "table":
            yield from _table(before, after, change, of_table.get(change.name.lower()))
    for name, table in of_table.items():
        if name in after.tables and f"table {name}" not in changed:
            yield from _rows(before.tables.get(name), after.tables[name], table)
    for kind in _LATE:
        for entry in after.entries.values():
            if entry.kind == kind and is_late(entry):
                yield entry.sql
    for change in schema_changes:
        if change.kind == "pragma":
            yield f"PRAGMA {change.name} = {change.after}"
    yield "COMMIT"
    if rebuilds:
        yield "PRAGMA legacy_alter_table = OFF"


def _table(before: Schema, after: Schema, change: SchemaChange, rows: TableChanges | None) -> Iterator[str]:
    """A table that was created, dropped or altered, with its rows."""
    name = change.name.lower()
    old, new = before.tables.get(name), after.tables.get(name)
    changes = rows.changes if rows is not None else ()
    if any(sql and sql.upper().startswith(_VIRTUAL) for sql in (change.before, change.after)):
        if change.before and change.after:
            raise NotSupportedError(
                f"virtual table '{change.name}' was altered, which a script cannot express: drop and create it by hand"
            )
        yield change.after or f"DROP TABLE {quoted(change.name)}"
        return
    if (old or new) is not None and (old or new).is_shadow:  # type: ignore[union-attr]
        if new is not None and old is None:  # it was created with its virtual table
            yield f"DELETE FROM {quoted(change.name)}"
            yield from (_insert(new, row) for row in changes if row.new is not None)
        return
    kept = old is not None and new is not None and keys_match(old, new)
    aside = quoted(f"{change.name} (before)")
    if old is not None and new is not None and kept:
        yield from (_delete(old, row) for row in changes if row.old is not None)
        yield f"ALTER TABLE {quoted(change.name)} RENAME TO {aside}"
    elif old is not None:
        yield f"DROP TABLE {quoted(change.name)}"
    if new is None or change.after is None:
        return
    yield change.after
    if old is not None and kept:
        yield _copy_rows(old, new, aside)
        yield f"DROP TABLE {aside}"
    yield from (_insert(new, row) for row in changes if row.new is not None)


def _copy_rows(old: Table, new: Table, aside: str) -> str:
    """The statement that copies the rows of the renamed old table into the new columns."""
    by_lower_name = {name.lower(): name for name in old.columns}
    targets, sources = [], []
    if not new.key and old.rowid and new.rowid:
        targets.append(new.rowid)
        sources.append(old.rowid)
    for index, name in enumerate(new.columns):
        source = old.columns[index] if is_renamed(old, new) else by_lower_name.get(name.lower())
        targets.append(quoted(name))
        sources.append(quoted(source) if source is not None else _value(new.defaults[index]))
    return f"INSERT INTO {quoted(new.name)} ({', '.join(targets)}) SELECT {', '.join(sources)} FROM {aside}"


def _rows(old: Table | None, new: Table, table: TableChanges) -> Iterator[str]:
    """The rows of a table with the same definition; rows whose unique columns change are deleted and inserted again."""
    uniques = new.uniques | (old.uniques if old is not None else frozenset())
    replaced: list[RowChange] = []
    updated: list[RowChange] = []
    for row in table.changes:
        if row.kind == "delete":
            yield _delete(new, row)
        elif row.kind == "update":
            (replaced if _touches(uniques | set(new.key), _assigned(new, row)) else updated).append(row)
    yield from (_delete(new, row) for row in replaced)
    yield from (_update(new, row) for row in updated)
    yield from (_insert(new, row) for row in replaced)
    yield from (_insert(new, row) for row in table.changes if row.kind == "insert")


def _touches(uniques: frozenset[str], assigned: list[tuple[str, apsw.SQLiteValue]]) -> bool:
    """Whether an update changes a unique column, so that it could conflict with a row that is updated later."""
    return "*" in uniques or any(name in uniques for name, _ in assigned)


def _assigned(table: Table, change: RowChange) -> list[tuple[str, apsw.SQLiteValue]]:
    """The columns that an update changes, with the new values."""
    assert change.old is not None and change.new is not None
    return [
        (name, new)
        for name, old, new in zip(table.columns, change.old, change.new, strict=True)
        if old != new or type(old) is not type(new)
    ]


def _delete(table: Table, change: RowChange) -> str:
    return f"DELETE FROM {quoted(table.name)} WHERE {table.where([_value(value) for value in change.key])}"


def _update(table: Table, change: RowChange) -> str:
    assigned = ", ".join(f"{quoted(name)} = {_value(value)}" for name, value in _assigned(table, change))
    where = table.where([_value(value) for value in change.key])
    return f"UPDATE {quoted(table.name)} SET {assigned} WHERE {where}"


def _insert(table: Table, change: RowChange) -> str:
    assert change.new is not None
    names, values = [quoted(name) for name in table.columns], [_value(value) for value in change.new]
    if len(change.key) > len(table.key):
        names.insert(0, str(table.rowid))
        values.insert(0, _value(change.key[-1]))
    return f"INSERT INTO {quoted(table.name)} ({', '.join(names)}) VALUES ({', '.join(values)})"


def _value(value: apsw.SQLiteValue) -> str:
    return apsw.format_sql_value(value)
