"""The numbers of new rows, and what MySQL tells of the last statement that changed rows.

Source: "AUTO_INCREMENT Handling in InnoDB" in MySQL's Reference Manual: a number that was given is not given again when
its row is rolled back, until the table is emptied by TRUNCATE.
"""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import suppress
from typing import Any

import apsw

from clusterdb.errors import OperationalError
from clusterdb.flavours.registry import guarded

__all__ = ["Inserts"]


_REMEMBERED = 1 << 16


class Inserts:
    """The numbers that a connection's inserts have made, and how many rows were changed to something else.

    A statement that wants a row numbered calls :meth:`numbered` for it; then SQLite tells :meth:`changed` of the row.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = weakref.ref(db)
        self._doubt = -1
        self._last_id = 0
        self._made: tuple[int, int] | None = None
        """The first number that the latest statement has made, and how many changes there were before it."""
        self._waits = ""
        """The table whose next row gets a number that is to be remembered."""
        self.keeps_zero = False
        """Whether a zero is a number as others are, by the SQL mode NO_AUTO_VALUE_ON_ZERO."""
        self._used: dict[str, int] = {}
        """The greatest number of this transaction in each table, in lower case, that numbers its rows."""
        self._lost: dict[str, int] = {}
        """The same of those that were rolled back: SQLite would give them again."""
        self._counted: deque[bool] = deque(maxlen=_REMEMBERED)

    def numbered(self, table: str, value: Any = None, first: int = 1) -> Any:
        """What an AUTO_INCREMENT column of a table, named in lower case, is given: NULL and 0 ask for the next number.

        The first that a statement makes is remembered; ``first`` is 1 for the first of its rows.
        """
        self._used.setdefault(table, 0)
        if first == 1:
            self._last_id, self._made, self._waits = self.last_id(), None, ""
        if value is not None and (self.keeps_zero or not _is_zero(value)):
            return value
        if self._made is None:
            self._waits = table
        return self._after_lost(table) if table in self._lost else None

    def _after_lost(self, table: str) -> int | None:
        """The next number, if SQLite would give one that was lost."""
        lost = self._lost[table]
        if max(self._last_numbers(table).values(), default=0) >= lost:
            del self._lost[table]
            return None
        if lost >= 2**63 - 1:
            raise OperationalError("Failed to read auto-increment value from storage engine")
        self._lost[table] = lost + 1
        return lost + 1

    def _last_numbers(self, table: str) -> dict[str, int]:
        """What SQLite's counter for a table is, in each schema that has one."""
        db = self._connection()
        found: dict[str, int] = {}
        for schema in ("temp", "main"):
            with suppress(apsw.SQLError):  # no table numbers its rows
                query = f"SELECT seq FROM {schema}.sqlite_sequence WHERE name = ? COLLATE NOCASE"
                found.update((schema, int(seq)) for (seq,) in db.execute(query, (table,)))
        return found

    def restart(self, table: str) -> int:
        """Numbering begins again."""
        self.forget(table)
        db = self._connection()
        for schema in self._last_numbers(table):
            db.execute(f"UPDATE {schema}.sqlite_sequence SET seq = 0 WHERE name = ? COLLATE NOCASE", (table,))
        return 1

    def undo(self) -> int:
        """The transaction goes back to a savepoint."""
        self.rolled_back()
        return 1

    def committed(self) -> None:
        """The transaction's numbers last."""
        self._used.clear()

    def rolled_back(self) -> None:
        """The transaction's numbers are lost."""
        for table, number in self._used.items():
            self._lost[table] = max(number, self._lost.get(table, 0))
        self._used.clear()

    def changed(self, row: Any) -> None:
        """SQLite is about to change a row."""
        self._counted.append(row.op != "UPDATE" or row.old != row.new)
        if row.op != "INSERT":
            return
        table = row.table_name.lower() if self._used else ""
        if self._waits and table == self._waits:
            self._made, self._waits = (row.rowid_new, self._changes()), ""
        if table in self._used:
            self._used[table] = max(row.rowid_new, self._used[table])

    def last_id(self) -> int:
        """The first number that the last statement that numbered rows has made; not yet that of the running one."""
        if self._made is not None and self._changes() != self._made[1]:
            self._last_id, self._made = self._made[0], None
        return self._last_id

    def _changes(self) -> int:
        """How many rows were changed by the statements that are over."""
        return self._connection().total_changes()

    def _connection(self) -> apsw.Connection:
        db = self._db()
        assert db is not None  # it calls
        return db

    def forget(self, table: str) -> int:
        """A table was made, or dropped: nothing of another of its name counts."""
        self._lost.pop(table, None)
        self._used.pop(table, None)
        return 1

    def doubtful(self, value: Any, total: int) -> Any:
        """A value of a statement that may replace rows, which MySQL counts twice; ``total`` were changed before."""
        self._doubt = total
        return value

    def row_count(self, changes: int, total: int) -> int:
        """How many rows the last statement changed.  Raises TypeError if only the server would know."""
        if changes and (self._doubt == total - changes or changes > len(self._counted)):
            raise TypeError("ROW_COUNT() of a statement that replaces rows counts them twice: ask the cursor")
        return sum(list(self._counted)[-changes:]) if changes else 0

    def watch(self, db: apsw.Connection) -> None:
        """See the rows that a connection changes, and the ends of its transactions."""
        db.preupdate_hook(self.changed, id="clusterdb-inserts")  # type: ignore[attr-defined,unused-ignore]
        db.set_commit_hook(lambda: bool(self.committed()), id="clusterdb")  # type: ignore[func-returns-value]
        db.set_rollback_hook(self.rolled_back, id="clusterdb")

    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions."""
        functions: dict[str, Any] = {"numbered": self.numbered, "last_insert_id": self.last_id}
        functions |= {"doubtful": self.doubtful, "row_count": self.row_count}
        functions |= {"restart": self.restart, "undo": self.undo, "forget": self.forget}
        for name, function in functions.items():
            db.create_scalar_function(f"my_{name}", guarded(function), flags=apsw.SQLITE_INNOCUOUS)


def _is_zero(value: Any) -> bool:
    """Whether it is a zero, also as a text."""
    try:
        return float(value) == 0
    except (TypeError, ValueError):
        return False
