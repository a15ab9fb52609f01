"""DROP and TRUNCATE: they respect dependent objects and leave the rows of other tables alone.

SQLite's DROP TABLE first deletes the rows, and with them those that refer to them with ON DELETE CASCADE: dependent
foreign keys are dropped before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import apsw

from clusterdb.errors import ProgrammingError
from clusterdb.flavours.flavour import Step
from clusterdb.flavours.postgresql.dependents import dependent, drop_references, referring, views_reading
from clusterdb.flavours.rebuild import foreign_keys, set_foreign_keys
from clusterdb.flavours.tables import quoted

if TYPE_CHECKING:
    from clusterdb.flavours.session import EngineSession

__all__ = ["dropping", "truncating"]


def dropping(kind: str, names: list[str], *, cascade: bool, must_exist: bool) -> Step:
    """The step of DROP TABLE or DROP VIEW; with ``cascade`` also drops dependent views and foreign keys.

    ``kind``: TABLE or VIEW.  The step raises ProgrammingError.
    """

    def drop(session: EngineSession) -> None:
        db = session.db
        doomed = {name.lower() for name in names}
        for name in names:
            if must_exist and not _exists(db, name):
                raise ProgrammingError(f'{kind.lower()} "{name}" does not exist')
        for name in names:
            _drop_views(db, kind, name, doomed, cascade=cascade)
            if kind == "TABLE":
                others = [child for child in referring(db, name) if child.lower() not in doomed]
                if others and not cascade:
                    raise dependent(f"table {name}", f"a foreign key of table {others[0]}")
                drop_references(db, f"table {name}", name, None, is_key=True, exact=False, cascade=True)
        for name in names:
            db.execute(f"DROP {kind} IF EXISTS {quoted(name)}")

    return drop


def _exists(db: apsw.Connection, name: str) -> bool:
    query = (
        "SELECT 1 FROM (SELECT name FROM sqlite_schema UNION ALL SELECT name FROM sqlite_temp_schema) "
        "WHERE name = ? COLLATE NOCASE"
    )
    return db.execute(query, (name,)).get is not None


def _drop_views(db: apsw.Connection, kind: str, name: str, doomed: set[str], *, cascade: bool) -> None:
    """Drop the views that read a table or view, except for those in ``doomed``.

    Raises ProgrammingError without ``cascade`` if there are any.
    """
    for view in views_reading(db, name):
        if view.lower() in doomed:
            continue
        if not cascade:
            raise dependent(f"{kind.lower()} {name}", f"view {view}")
        db.execute(f"DROP VIEW IF EXISTS {quoted(view)}")


def truncating(names: list[str], restarts: Mapping[str, list[str]], *, cascade: bool) -> Step:
    """The step of TRUNCATE; with ``cascade`` also truncates the tables that refer to the named ones.

    ``restarts``: the statements that restart a table's sequences, by the table's name in lower case.  The step raises
    ProgrammingError.
    """

    def truncate(session: EngineSession) -> None:
        db = session.db
        doomed = list(names)
        for name in doomed:
            for child in referring(db, name):
                if child.lower() in (table.lower() for table in doomed):
                    continue
                if not cascade:
                    raise ProgrammingError(
                        f'cannot truncate a table referenced in a foreign key constraint: table "{child}" references '
                        f'"{name}": truncate both, or use TRUNCATE ... CASCADE'
                    )
                doomed.append(child)
        enforced = foreign_keys(db)
        set_foreign_keys(db, False)
        try:
            for name in doomed:
                db.execute(f"DELETE FROM {quoted(name)}")
                for sql in restarts.get(name.lower(), ()):
                    db.execute(sql).fetchall()
        finally:
            set_foreign_keys(db, enforced)

    return truncate
