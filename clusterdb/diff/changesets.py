"""Changesets of SQLite's session extension (https://sqlite.org/sessionintro.html): changed rows to apply elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import apsw

from clusterdb.diff.tables import Schema, keys_match, quoted, schema_of
from clusterdb.errors import ChangesetConflictError, InvalidArgumentError, NotSupportedError

if TYPE_CHECKING:
    from clusterdb.diff.compare import TableChanges
    from clusterdb.diff.tables import Table

__all__ = ["Applied", "OnConflict", "applied", "changeset_of"]

OnConflict = Literal["abort", "skip", "replace"]
_ROWID = "_rowid_"  # how SQLite names the key of a table without one
_REASONS = {
    apsw.SQLITE_CHANGESET_DATA: "the row has other values than before the change",
    apsw.SQLITE_CHANGESET_NOTFOUND: "the row does not exist",
    apsw.SQLITE_CHANGESET_CONFLICT: "a row with this key exists already",
    apsw.SQLITE_CHANGESET_CONSTRAINT: "a constraint would be violated",
    apsw.SQLITE_CHANGESET_FOREIGN_KEY: "a foreign key would refer to a missing row",
}
_REPLACEABLE = (apsw.SQLITE_CHANGESET_DATA, apsw.SQLITE_CHANGESET_CONFLICT)


@dataclass(frozen=True, slots=True)
class Applied:
    """The number of row changes that were applied, and of those that were skipped because of conflicts."""

    applied_count: int
    skipped_count: int


def changeset_of(before: Schema, after: Schema, tables: Sequence[TableChanges]) -> bytes:
    """The row changes as a changeset.

    Raises NotSupportedError if a table with changes has other columns or another key in the two, or a key has a NULL.
    """
    db = apsw.Connection(":memory:")
    try:
        session = apsw.Session(db, "main")
        for changes in tables:
            table = _same_in_both(before, after, changes)
            _create(db, table)
            session.attach(table.name)
            _replay(db, session, table, changes)
        return session.changeset()
    finally:
        db.close()


def _same_in_both(before: Schema, after: Schema, changes: TableChanges) -> Table:
    old, new = before.tables.get(changes.name.lower()), after.tables.get(changes.name.lower())
    if old is None or new is None or old.columns != new.columns or not keys_match(old, new):
        raise NotSupportedError(
            f"table '{changes.name}' has other columns or another key in the two: use the SQL script"
        )
    if new.key and any(len(change.key) > len(new.key) for change in changes.changes):
        raise NotSupportedError(f"table '{changes.name}' has a changed row with a NULL in its key: use the SQL script")
    if not new.key and _ROWID in map(str.lower, new.columns):
        raise NotSupportedError(
            f"table '{changes.name}' has a column '{_ROWID}' and no key, so a changeset cannot identify its rows: use "
            "the SQL script"
        )
    return new


def _create(db: apsw.Connection, table: Table) -> None:
    """Create a table with the same columns, without types and constraints.

    A rowid that is the key is its first column, as with SQLITE_SESSION_OBJCONFIG_ROWID.  That option itself is not
    used: with it a session (SQLite 3.54) records a row twice if its hash table grows between the old and the new row.
    """
    columns = [quoted(name) for name in table.columns]
    if table.key:
        columns.append(f"PRIMARY KEY ({', '.join(map(quoted, table.key))})")
    else:
        columns.insert(0, f"{_ROWID} INTEGER PRIMARY KEY")
    db.execute(f"CREATE TABLE {quoted(table.name)} ({', '.join(columns)})")


def _replay(db: apsw.Connection, session: apsw.Session, table: Table, changes: TableChanges) -> None:
    """Insert the old rows while the session is disabled, then make the changes while it records."""
    names = [*([] if table.key else [_ROWID]), *map(quoted, table.columns)]
    insert = f"INSERT INTO {quoted(table.name)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    delete = f"DELETE FROM {quoted(table.name)} WHERE {_where(table)}"
    update = f"UPDATE {quoted(table.name)} SET {', '.join(f'{name} = ?' for name in names)} WHERE {_where(table)}"
    key_indexes = [table.columns.index(name) for name in table.key]
    for change in changes.changes:
        rowid = () if table.key else change.key
        key = rowid or tuple([(change.old or change.new or ())[index] for index in key_indexes])
        if change.old is not None:
            session.enabled = False
            db.execute(insert, (*rowid, *change.old))
            session.enabled = True
        if change.old is None:
            db.execute(insert, (*rowid, *(change.new or ())))
        elif change.new is None:
            db.execute(delete, key)
        else:
            db.execute(update, (*rowid, *change.new, *key))


def _where(table: Table) -> str:
    return " AND ".join(f"{quoted(name)} = ?" for name in table.key) or f"{_ROWID} = ?"


def applied(db: apsw.Connection, changeset: bytes, on_conflict: OnConflict, text: str) -> Applied:
    """Apply a changeset in one transaction, without triggers: it has their effects already.

    ``text`` names the cluster in errors.  Raises ChangesetConflictError, or InvalidArgumentError if it is not a
    changeset or does not fit the tables; then nothing is changed.
    """
    conflicts = _Conflicts(on_conflict)
    before = db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1)
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    try:
        with db:
            change_count = _checked_count(db, changeset, text)
            apsw.Changeset.apply(changeset, db, filter_change=_deletes, conflict=conflicts.decide)
            conflicts.is_last = True  # deletions go first: a key may return in another case
            apsw.Changeset.apply(
                changeset, db, filter_change=lambda change: not _deletes(change), conflict=conflicts.decide
            )
    except apsw.AbortError:
        raise ChangesetConflictError(
            f"{text}: {conflicts.refused or 'the changeset conflicts'}; nothing was applied: use on_conflict='skip' "
            "or on_conflict='replace' to apply the other changes"
        ) from None
    finally:
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, before)
    return Applied(change_count - conflicts.skipped_count, conflicts.skipped_count)


def _deletes(change: apsw.TableChange) -> bool:
    return change.op == "DELETE"


@dataclass
class _Conflicts:
    """Decides about conflicting changes by the policy, and counts them."""

    policy: OnConflict
    is_last: bool = False
    skipped_count: int = 0
    refused: str = ""

    def decide(self, reason: int, change: apsw.TableChange) -> int:
        is_foreign_key = reason == apsw.SQLITE_CHANGESET_FOREIGN_KEY
        if is_foreign_key and not self.is_last:
            return apsw.SQLITE_CHANGESET_OMIT  # later rows may satisfy it; if not, the last pass reports it
        if self.policy == "replace" and reason in _REPLACEABLE:
            return apsw.SQLITE_CHANGESET_REPLACE
        if self.policy == "abort" or is_foreign_key:
            self.refused = _conflict_text(reason, change)
            return apsw.SQLITE_CHANGESET_ABORT
        self.skipped_count += 1
        return apsw.SQLITE_CHANGESET_OMIT


def _checked_count(db: apsw.Connection, changeset: bytes, text: str) -> int:
    """The number of changes, all of them in tables that fit: SQLite skips others without an error."""
    tables = schema_of(db).tables
    change_count = 0
    try:
        for change in apsw.Changeset.iter(changeset):
            change_count += 1
            table = tables.get(change.name.lower())
            if table is None:
                raise InvalidArgumentError(f"{text} has no table '{change.name}': the changeset is for another schema")
            hidden = 0 if table.key else 1
            key = {table.columns.index(name) for name in table.key} or {0}
            if change.column_count != len(table.columns) + hidden or change.pk_columns != key:
                raise InvalidArgumentError(f"{text}: table '{change.name}' has other columns than the changeset")
    except apsw.Error as error:
        raise InvalidArgumentError(f"{text}: not a changeset ({error})") from None
    return change_count


def _conflict_text(reason: int, change: apsw.TableChange) -> str:
    if reason == apsw.SQLITE_CHANGESET_FOREIGN_KEY:
        return _REASONS[reason]
    values = (change.new if change.op == "INSERT" else change.old) or ()
    key = ", ".join(apsw.format_sql_value(values[index]) for index in sorted(change.pk_columns))
    return f"{change.op} in table '{change.name}', key {key}: {_REASONS.get(reason, f'reason {reason}')}"
