"""DROP and TRUNCATE, which in PostgreSQL mind what depends on a table and leave the rows of others alone.

SQLite's DROP TABLE deletes the rows first, and so those of other tables with ON DELETE CASCADE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import apsw

from clusterdb.errors import ProgrammingError
from clusterdb.flavours.flavour import Step
from clusterdb.flavours.postgresql.dependents import drop_references, referring, views_reading
from clusterdb.flavours.rebuild import foreign_keys, set_foreign_keys
from clusterdb.flavours.session import EngineSession
from clusterdb.flavours.tables import quoted

if TYPE_CHECKING:
    from clusterdb.flavours.session import EngineSession

__all__ = ["dropping", "truncating"]


def dropping(kind: str, names: list[str], *, cascade: bool, must_exist: bool) -> Step:
    """DROP TABLE, DROP VIEW; with ``cascade`` also the views that read them, and the foreign keys to them."""

    def drop(session: EngineSession) -> None:
        db = session.db
        going = {name.lower() for name in names}
        for name in names:
            if must_exist and not _exists(db, name):
                raise ProgrammingError(f'{kind.lower()} "{name}" does not exist')
        for name in names:
            _drop_views(db, kind, name, going, cascade=cascade)
            if kind == "TABLE":
                others = [child for child in referring(db, name) if child.lower() not in going]
                if others and not cascade:
                    raise ProgrammingError(
                        f"cannot drop table {name} because a foreign key of table {others[0]} depends on it: drop that "
                        "first, or use DROP ... CASCADE"
                    )
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


def _drop_views(db: apsw.Connection, kind: str, name: str, going: set[str], *, cascade: bool) -> None:
    """Drop the views that read a table or a view.  Raises ProgrammingError if there are such, unless they are to go."""
    for view in views_reading(db, name):
        if view.lower() in going:
            continue
        if not cascade:
            raise ProgrammingError(
                f"cannot drop {kind.lower()} {name} because view {view} depends on it: drop that first, or use "
                "DROP ... CASCADE"
            )
        db.execute(f"DROP VIEW IF EXISTS {quoted(view)}")


def truncating(names: list[str], restarts: Mapping[str, list[str]], *, cascade: bool) -> Step:
    """TRUNCATE; with ``cascade`` also the tables that refer to them.

    ``restarts`` has by table the statements after which its numbers begin again.
    """

    def truncate(session: EngineSession) -> None:
        db = session.db
        going = list(names)
        for name in going:
            for child in referring(db, name):
                if child.lower() in (each.lower() for each in going):
                    continue
                if not cascade:
                    raise ProgrammingError(
                        f"cannot truncate a table referenced in a foreign key constraint: {child} refers to {name}: "
                        "truncate both, or use TRUNCATE ... CASCADE"
                    )
                going.append(child)
        enforced = foreign_keys(db)
        set_foreign_keys(db, False)
        try:
            for name in going:
                db.execute(f"DELETE FROM {quoted(name)}")
                for sql in restarts.get(name.lower(), ()):
                    db.execute(sql).fetchall()
        finally:
            set_foreign_keys(db, enforced)

    return truncate
