"""AUTO_INCREMENT numbers, LAST_INSERT_ID() and ROW_COUNT().

Source: "AUTO_INCREMENT Handling in InnoDB" in MySQL's Reference Manual: a number is not used again after its row was
rolled back, until TRUNCATE empties the table.
"""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import suppress

import apsw

from clusterdb.errors import OperationalError
from clusterdb.flavours.functions import Implementation, SqlValue
from clusterdb.flavours.registry import guarded

__all__ = ["Inserts"]


_CHANGES_MAX = 1 << 16
"""ROW_COUNT() knows the last changes only: no more than these."""


class Inserts:
    """The numbers that a connection has assigned, and which of its changes left a row as it was.

    A statement calls :meth:`numbered` for each row to number; SQLite then calls :meth:`changed` with the row.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = weakref.ref(db)
        self._changes_before_replacing = -1
        """The number of changes before the latest statement that can replace rows."""
        self._last_id = 0
        self._first_number: tuple[int, int] | None = None
        """The first number of the latest statement, and the number of changes before it."""
        self._awaited = ""
        """The table whose next row gets the number to remember."""
        self.keeps_zero = False
        """Whether zero is stored as it is: the SQL mode NO_AUTO_VALUE_ON_ZERO."""
        self._used: dict[str, int] = {}
        """The greatest number of this transaction, by table in lower case."""
        self._lost: dict[str, int] = {}
        """The greatest number that was rolled back, by table: SQLite would assign it again."""
        self._counted: deque[bool] = deque(maxlen=_CHANGES_MAX)

    def numbered(self, table: str, value: SqlValue = None, first: int = 1) -> SqlValue:
        """The value to store in the AUTO_INCREMENT column of ``table``, in lower case; None for SQLite's next number.

        ``value``: the statement's value; NULL and 0 request the next number.  ``first``: 1 for the statement's first
        row.  Raises OperationalError if there is no greater number.
        """
        self._used.setdefault(table, 0)
        if first == 1:
            self._last_id, self._first_number, self._awaited = self.last_id(), None, ""
        if value is not None and (self.keeps_zero or not _is_zero(value)):
            return value
        if self._first_number is None:
            self._awaited = table
        return self._after_lost(table) if table in self._lost else None

    def _after_lost(self, table: str) -> int | None:
        """The next number, if SQLite would assign one that was rolled back."""
        lost = self._lost[table]
        if max(self._last_numbers(table).values(), default=0) >= lost:
            del self._lost[table]
            return None
        if lost >= 2**63 - 1:
            raise OperationalError("Failed to read auto-increment value from storage engine")
        self._lost[table] = lost + 1
        return lost + 1

    def _last_numbers(self, table: str) -> dict[str, int]:
        """SQLite's counters for a table, by schema."""
        db = self._connection()
        counters: dict[str, int] = {}
        for schema in ("temp", "main"):
            with suppress(apsw.SQLError):  # no table of the schema has AUTOINCREMENT
                query = f"SELECT seq FROM {schema}.sqlite_sequence WHERE name = ? COLLATE NOCASE"
                counters.update((schema, int(seq)) for (seq,) in db.execute(query, (table,)))
        return counters

    def restart(self, table: str) -> int:
        """Restart numbering at 1, as TRUNCATE does; return 1."""
        self.forget(table)
        db = self._connection()
        for schema in self._last_numbers(table):
            db.execute(f"UPDATE {schema}.sqlite_sequence SET seq = 0 WHERE name = ? COLLATE NOCASE", (table,))
        return 1

    def undo(self) -> int:
        """Note that the transaction was rolled back to a savepoint; return 1."""
        self.rolled_back()
        return 1

    def committed(self) -> None:
        """Note that the transaction was committed with its numbers."""
        self._used.clear()

    def rolled_back(self) -> None:
        """Note that the transaction was rolled back with its numbers."""
        for table, number in self._used.items():
            self._lost[table] = max(number, self._lost.get(table, 0))
        self._used.clear()

    def changed(self, row: apsw.PreUpdate) -> None:
        """Note that SQLite is about to change a row: its preupdate hook."""
        self._counted.append(row.op != "UPDATE" or row.old != row.new)
        if row.op != "INSERT":
            return
        table = row.table_name.lower() if self._used else ""
        if self._awaited and table == self._awaited:
            self._first_number, self._awaited = (row.rowid_new, self._changes()), ""
        if table in self._used:
            self._used[table] = max(row.rowid_new, self._used[table])

    def last_id(self) -> int:
        """LAST_INSERT_ID(): the first number of the last completed statement that numbered rows."""
        if self._first_number is not None and self._changes() != self._first_number[1]:
            self._last_id, self._first_number = self._first_number[0], None
        return self._last_id

    def _changes(self) -> int:
        """The number of rows changed by completed statements."""
        return self._connection().total_changes()

    def _connection(self) -> apsw.Connection:
        db = self._db()
        assert db is not None  # the caller runs on it
        return db

    def forget(self, table: str) -> int:
        """Forget the numbers of a table that was created, dropped or renamed; return 1."""
        self._lost.pop(table, None)
        self._used.pop(table, None)
        return 1

    def doubtful(self, value: SqlValue, total: int) -> SqlValue:
        """Return ``value``, and note that its statement can replace rows; ``total``: the changes before it."""
        self._changes_before_replacing = total
        return value

    def row_count(self, changes: int, total: int) -> int:
        """ROW_COUNT() after ``changes`` of ``total`` changes.  Raises TypeError if some may have replaced rows."""
        if changes and (self._changes_before_replacing == total - changes or changes > len(self._counted)):
            raise TypeError(
                "ROW_COUNT() is not supported after a statement that can replace rows: use the cursor's rowcount"
            )
        return sum(list(self._counted)[-changes:]) if changes else 0

    def watch(self, db: apsw.Connection) -> None:
        """Follow a connection's changes, commits and rollbacks through SQLite's hooks."""
        db.preupdate_hook(self.changed, id="clusterdb-inserts")  # type: ignore[attr-defined,unused-ignore]
        db.set_commit_hook(lambda: bool(self.committed()), id="clusterdb")  # type: ignore[func-returns-value]
        db.set_rollback_hook(self.rolled_back, id="clusterdb")

    def install(self, db: apsw.Connection) -> None:
        """Register the functions on a connection."""
        functions: dict[str, Implementation] = {"numbered": self.numbered, "last_insert_id": self.last_id}
        functions |= {"doubtful": self.doubtful, "row_count": self.row_count}
        functions |= {"restart": self.restart, "undo": self.undo, "forget": self.forget}
        for name, function in functions.items():
            db.create_scalar_function(f"my_{name}", guarded(function), flags=apsw.SQLITE_INNOCUOUS)


def _is_zero(value: SqlValue) -> bool:
    """Whether a value is zero, as a number or as text."""
    try:
        return float(value) == 0  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
