"""The dependents of a table, its columns and keys: views, and foreign keys of other tables."""

from __future__ import annotations

import apsw
import apsw.ext

from clusterdb.errors import ProgrammingError
from clusterdb.flavours.postgresql.clauses import Clause, Table
from clusterdb.flavours.rebuild import definition_of, rebuild
from clusterdb.flavours.tables import quoted

__all__ = ["dependent", "drop_references", "drop_views", "referring", "require_no_view", "views_reading"]


def views_reading(db: apsw.Connection, table: str, column: str | None = None) -> list[str]:
    """The views that read ``column``, or any column, of a table or view; also through other views."""
    views: list[str] = []
    for schema in ("main", "temp"):
        names = db.execute(f"SELECT name FROM {schema}.sqlite_schema WHERE type = 'view'").fetchall()
        for (name,) in names:
            try:
                info = apsw.ext.query_info(db, f"SELECT * FROM {schema}.{quoted(str(name))}", actions=True)
            except apsw.SQLError:  # a broken view reads nothing
                continue
            reads = [action for action in info.actions or () if action.action == apsw.SQLITE_READ]
            reads = [action for action in reads if _is(action.table_name, table) and not _is(str(name), table)]
            if any(column is None or _is(action.column_name, column) for action in reads):
                views.append(str(name))
    return views


def _is(name: str | None, wanted: str) -> bool:
    return name is not None and name.lower() == wanted.lower()


def require_no_view(db: apsw.Connection, table: str, column: str) -> None:
    """Raise ProgrammingError if a view reads a column, whose type is to change."""
    views = views_reading(db, table, column)
    if views:
        raise ProgrammingError(
            f'cannot alter type of a column used by a view or rule: view {views[0]} depends on column "{column}": '
            "drop the view first"
        )


def drop_views(db: apsw.Connection, table: str, column: str, *, cascade: bool) -> None:
    """Drop the views that read a column.  Raises ProgrammingError without ``cascade`` if there are any."""
    for view in views_reading(db, table, column):
        if not cascade:
            raise dependent(f"column {column} of table {table}", f"view {view}")
        db.execute(f"DROP VIEW {quoted(view)}")


def dependent(subject: str, dependent: str) -> ProgrammingError:
    """The error for an object that cannot be dropped because another depends on it."""
    return ProgrammingError(
        f"cannot drop {subject} because other objects depend on it: drop {dependent} first, or use DROP ... CASCADE"
    )


# --- foreign keys -----------------------------------------------------------------------------------------------------
def referring(db: apsw.Connection, table: str) -> list[str]:
    """The other tables that have a foreign key to a table."""
    query = (
        "SELECT DISTINCT m.name FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f "
        "WHERE m.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE AND m.name <> ?1 COLLATE NOCASE"
    )
    return [str(name) for (name,) in db.execute(query, (table,)).fetchall()]


def drop_references(
    db: apsw.Connection,
    subject: str,
    table: str,
    columns: list[str] | None,
    *,
    is_key: bool,
    exact: bool,
    cascade: bool,
) -> None:
    """Drop the foreign keys by which other tables refer to columns of a table.

    ``columns``: those that a foreign key must refer to, all of them and no others if ``exact``, else at least one; None
    for any columns.  ``is_key``: they are the primary key, to which foreign keys without columns refer.  ``subject``:
    what is being dropped, for messages.  Raises ProgrammingError without ``cascade`` if there are such keys.
    """
    for name in referring(db, table):
        child = Table.of(definition_of(db, name))
        doomed = [
            clause
            for _, clause, _ in child.named()
            if clause.kind in ("REFERENCES", "FOREIGN KEY") and _refers(clause, table, columns, is_key, exact)
        ]
        if not doomed:
            continue
        if not cascade:
            raise dependent(subject, f"a foreign key of table {name}")
        child.without(doomed)
        rebuild(db, name, child.sql)


def _refers(clause: Clause, table: str, columns: list[str] | None, is_key: bool, exact: bool) -> bool:
    """Whether a foreign key refers to columns of a table; see :func:`drop_references`."""
    parent, referred = clause.target
    if parent != table.lower():
        return False
    if not referred or columns is None:
        return is_key or columns is None
    return set(referred) == set(columns) if exact else bool(set(referred) & set(columns))
