"""What one connection has set, in a cluster of another engine, and how its statements run.

A session has the flavour that its next statement is written in (a SQL mode can change it), and runs translations:
texts of SQLite's, and steps in Python where SQL is not enough.  It is kept by whoever has the connection.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import apsw

from clusterdb.flavours.schema import NOTHING, Known, Schema

if TYPE_CHECKING:
    from clusterdb.flavours.flavour import Flavour, Translation
    from clusterdb.flavours.types import Kind

__all__ = ["EngineSession", "Step", "run", "steps", "together"]

Step = Callable[["EngineSession"], None]
"""What takes more than a statement of SQLite's."""


class EngineSession:
    """The session of a connection; the connection's functions are bound to it.

    ``autocommit``: whether a statement outside of a transaction is one of its own; if not, it begins one.
    ``has_locks``: whether tables are locked by MySQL's LOCK TABLES, whose end commits.
    """

    def __init__(self, flavour: Flavour, db: apsw.Connection) -> None:
        self.flavour = flavour
        self.autocommit = True
        self.has_locks = False
        self._db = weakref.ref(db)
        self._seen = Known()
        self.install(db)

    @property
    def db(self) -> apsw.Connection:
        """The connection."""
        db = self._db()
        assert db is not None  # whoever has the session has the connection
        return db

    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions of the engine: the session's own one, or one that reads for it."""
        self.flavour.install(db)

    def translate(self, sql: str, schema: Schema = NOTHING) -> Translation:
        """A statement for SQLite, where these tables are.  Raises NotSupportedError, which quotes what was tried."""
        return self.flavour.translate(sql, schema)

    def kinds(self, sql: str) -> tuple[Kind | None, ...]:
        """The kinds of the columns that a query returns, in order; None for one that is not known.

        Empty if their number is not known: another statement, or columns of the same name.
        """
        return self.flavour.kinds(sql, self.schema())

    def begin(self, translation: Translation) -> None:
        """Begin a transaction for a statement, if it wants one and the session does not commit by itself."""
        if translation.begins and not self.autocommit and not self.db.in_transaction:
            self.db.execute("BEGIN")

    def scripts(self, script: str) -> Iterator[str]:
        """For each statement of a script what SQLite is to run, by the schema and the settings as they are then.

        Raises NotSupportedError.
        """
        splitter = self.flavour.splitter()
        for statement in splitter.cut(script):
            yield from steps(self.translate(statement.text, self.schema()), self)
            splitter.obey(self.flavour)  # what is left may end elsewhere, by the new rules

    def schema(self) -> Schema:
        """The tables as they are now."""
        self._seen.refresh(self.db, self.flavour)
        return self._seen.schema


def steps(translation: Translation, session: EngineSession) -> Iterator[str]:
    """What answers, for the caller to run; what runs with it is run here, before it and when the caller comes back."""
    db = session.db
    if translation.ends and not db.in_transaction:
        return
    if translation.commits and db.in_transaction:
        db.execute("COMMIT")
    session.begin(translation)
    for step in translation.before:
        run(step, session)
    yield translation.sql
    for step in translation.after:
        run(step, session)


def run(step: object, session: EngineSession) -> None:
    """Run a step of a translation.  Raises what it raises."""
    if callable(step):
        step(session)
    else:
        session.db.execute(str(step)).fetchall()


def together(parts: Iterable[object], failed: str = "") -> Callable[[EngineSession], None]:
    """Steps of which all are done, or none; ``failed`` is run after a failure has undone them."""
    all_parts = tuple(parts)

    def run_all(session: EngineSession) -> None:
        db = session.db
        db.execute("SAVEPOINT clusterdb_together")
        try:
            for part in all_parts:
                run(part, session)
            db.execute("RELEASE clusterdb_together")
        except BaseException:
            with suppress(apsw.SQLError):  # the error has rolled back the whole transaction already
                db.execute(f"ROLLBACK TO clusterdb_together; {failed}; RELEASE clusterdb_together").fetchall()
            raise

    return run_all
