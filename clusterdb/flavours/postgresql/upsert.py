"""ON CONFLICT DO UPDATE fails for a row that the same statement has already inserted or updated."""

from __future__ import annotations

import apsw
from sqlglot import exp

from clusterdb.errors import ProgrammingError
from clusterdb.flavours.flavour import call
from clusterdb.flavours.registry import guarded
from clusterdb.flavours.trees import target_of

__all__ = ["Touched", "touch_once"]


def touch_once(tree: exp.Insert) -> None:
    """Have an INSERT ... ON CONFLICT DO UPDATE of several rows call :meth:`Touched.begin` before its first row and
    :meth:`Touched.untouched` before each update."""
    conflict, source = tree.args.get("conflict"), tree.expression
    if conflict is None or "UPDATE" not in conflict.args["action"].name.upper():
        return
    if isinstance(source, exp.Values) and len(source.expressions) < 2:
        return
    rows = exp.select("*").from_(exp.Subquery(this=source.copy())).limit(-1)  # one beginning, even for a UNION
    begins = exp.select(call("pg_begin")).subquery()
    tree.set("expression", exp.select("*").from_(rows.subquery("clusterdb_rows")).where(begins))
    target = target_of(tree)
    row = exp.column("_rowid_", table=target.alias_or_name, quoted=True)
    untouched: exp.Expression = call("pg_untouched", row, target.name.lower())
    where = conflict.args.get("where")
    if where is not None:  # not AND: SQLite does not evaluate the other operand of a false constant
        untouched = exp.Case().when(untouched, where.this)
    conflict.set("where", exp.Where(this=untouched))


class Touched:
    """The rows that the running statement has inserted or updated, as SQLite's preupdate hook reports them."""

    def __init__(self) -> None:
        self._rows: set[tuple[str, int]] | None = None

    def install(self, db: apsw.Connection) -> None:
        """Register the functions and the hook on a connection."""
        db.create_scalar_function("pg_begin", self.begin, 0, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]
        db.create_scalar_function("pg_untouched", guarded(self.untouched), 2, flags=apsw.SQLITE_INNOCUOUS)
        db.preupdate_hook(self.changed, id="clusterdb-upsert")  # type: ignore[attr-defined,unused-ignore]

    def begin(self) -> int:
        """Note that a statement begins; return 1."""
        self._rows = set()
        return 1

    def forget(self) -> None:
        """Note that the transaction has ended."""
        self._rows = None

    def changed(self, row: apsw.PreUpdate) -> None:
        """Note that SQLite is about to change a row: its preupdate hook."""
        if self._rows is not None and row.op != "DELETE":
            self._rows.add((row.table_name.lower(), row.rowid_new))

    def untouched(self, rowid: int, table: str) -> int:
        """Return 1.  Raises ProgrammingError for a row that the statement has already inserted or updated."""
        if self._rows is not None and (table, rowid) in self._rows:
            raise ProgrammingError("ON CONFLICT DO UPDATE command cannot affect row a second time")
        return 1
