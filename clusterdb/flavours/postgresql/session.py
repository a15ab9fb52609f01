"""A session with PostgreSQL's SQL: the time of its transaction, its sequences, and the rows that a statement changes.

Each connection of a session, also one that only reads for it, has these by itself: they follow its transactions.
"""

from __future__ import annotations

import weakref

import apsw

from clusterdb.flavours.postgresql.assign import given
from clusterdb.flavours.postgresql.cursors import Cursors, HasCursors
from clusterdb.flavours.postgresql.sequences import Sequences
from clusterdb.flavours.postgresql.upsert import Touched
from clusterdb.flavours.postgresql.values import moment, moment_text
from clusterdb.flavours.registry import guarded

__all__ = ["PostgreSQLSession"]


class PostgreSQLSession(HasCursors):
    """The session of a connection; ``cursors`` are those of its SQL."""

    def install(self, db: apsw.Connection) -> None:
        """The functions of the flavour, and those that follow the transactions of the connection."""
        super().install(db)
        clock, touched, sequences, cursors = _Clock(db), Touched(), Sequences(db), Cursors(db)
        if db is self.db:
            self.cursors = cursors
        clock.install(db)
        touched.install(db)
        sequences.install(db)
        cursors.install(db)
        db.create_scalar_function("pg_given", guarded(given), 1, flags=apsw.SQLITE_INNOCUOUS)

        def committed() -> bool:
            clock.forget()
            touched.forget()
            sequences.committed()
            cursors.committed()
            return False

        def rolled_back() -> None:
            clock.forget()
            touched.forget()
            sequences.rolled_back()
            cursors.rolled_back()

        db.set_commit_hook(committed, id="clusterdb")
        db.set_rollback_hook(rolled_back, id="clusterdb")


class _Clock:
    """The time at which a transaction began: that of the first statement in it that asked."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = weakref.ref(db)
        self._began: str | None = None

    def install(self, db: apsw.Connection) -> None:
        """Register the functions with a connection."""
        db.create_scalar_function("pg_now", self.now, 1, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]
        db.create_scalar_function("pg_forget", self.forget, 0, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]

    def now(self, statement: str) -> str:
        """The time of the transaction, or of the statement outside of one, whose time is given as SQLite writes it."""
        db = self._db()
        at = moment_text(moment(statement))
        if db is None or not db.in_transaction:
            self._began = None
            return at
        if self._began is None:
            self._began = at
        return self._began

    def forget(self) -> None:
        """End the transaction."""
        self._began = None
