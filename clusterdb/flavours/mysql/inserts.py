"""What MySQL tells of the last statement that changed rows."""

from __future__ import annotations

from collections import deque
from typing import Any

import apsw

from clusterdb.flavours.flavour import guarded

__all__ = ["Inserts"]

_REMEMBERED = 1 << 16


class Inserts:
    """The numbers that a connection's inserts have made, and how many rows were changed to something else.

    A statement that wants a row numbered calls :meth:`numbered` for it; then SQLite tells :meth:`changed` of the row.
    """

    def __init__(self) -> None:
        self._last_id, self._waits, self._doubt = 0, False, -1
        self._counted: deque[bool] = deque(maxlen=_REMEMBERED)

    def numbered(self, value: Any = None, first: int = 1) -> Any:
        """What an AUTO_INCREMENT column is given: NULL and 0 ask for the next number.

        Of the rows of a statement the ``first`` is remembered.
        """
        if value not in (None, 0, "0"):
            return value
        if first == 1:
            self._waits = True
        return None

    def changed(self, row: Any) -> None:
        """SQLite is about to change a row."""
        self._counted.append(row.op != "UPDATE" or row.old != row.new)
        if self._waits and row.op == "INSERT":
            self._last_id, self._waits = row.rowid_new, False

    def last_id(self) -> int:
        """The first number that the last statement that numbered rows has made."""
        return self._last_id

    def doubtful(self, value: Any, total: int) -> Any:
        """A value of a statement that may replace rows, which MySQL counts twice; ``total`` were changed before."""
        self._doubt = total
        return value

    def row_count(self, changes: int, total: int) -> int:
        """How many rows the last statement changed.  Raises TypeError if only the server would know."""
        if changes and (self._doubt == total - changes or changes > len(self._counted)):
            raise TypeError("ROW_COUNT() of a statement that replaces rows counts them twice: ask the cursor")
        return sum(list(self._counted)[-changes:]) if changes else 0

    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions."""
        db.preupdate_hook(self.changed, id="clusterdb-inserts")  # type: ignore[attr-defined,unused-ignore]
        functions: dict[str, Any] = {"numbered": self.numbered, "last_insert_id": self.last_id}
        functions |= {"doubtful": self.doubtful, "row_count": self.row_count}
        for name, function in functions.items():
            db.create_scalar_function(f"my_{name}", guarded(function))
