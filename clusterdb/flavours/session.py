"""What one connection has set, in a cluster of another engine, and how its statements run.

A session has the flavour that its next statement is written in (a SQL mode can change it), and runs translations:
texts of SQLite's, and steps in Python where SQL is not enough.  The owner of the connection keeps it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw

from clusterdb.flavours.schema import NOTHING, Known, Schema

if TYPE_CHECKING:
    from clusterdb.flavours.context import Step
    from clusterdb.flavours.described import Loader, ResultColumn
    from clusterdb.flavours.failures import Words
    from clusterdb.flavours.flavour import Flavour, Translation
    from clusterdb.flavours.functions import SqlValue
    from clusterdb.flavours.types import Kind

__all__ = ["Answer", "EngineSession", "Plan", "plan", "run", "together"]


Answer = Callable[[str], object]
"""Runs a statement of SQLite's, and does with its rows what the caller wants."""


@dataclass(frozen=True)
class Plan:
    """What runs for a statement: all that is ``before`` the statement that answers, this one, and all ``after`` it.

    An empty plan does nothing.
    """

    before: tuple[str | Step, ...] = ()
    answer: str = ""
    after: tuple[str | Step, ...] = ()


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

    def result_columns(
        self,
        kinds: Sequence[Kind | None],
        declared: Sequence[str | None],
        origins: Sequence[tuple[str | None, str | None, str | None]],
    ) -> list[ResultColumn]:
        """The types of result columns with these kinds, and with the declarations and names of columns of tables."""
        from clusterdb.flavours.described import described

        return [
            described(self.flavour, kind, type_ or "", origin, self.schema())
            for kind, type_, origin in zip(kinds, declared, origins, strict=True)
        ]

    def loaders(self, sql: str, declared: Sequence[str | None], *, typed: bool) -> tuple[Loader | None, ...]:
        """What makes Python's values of those that a query returns; empty if all are as SQLite has them.

        ``typed``: booleans are bool, exact numbers Decimal.
        """
        if not typed and not self.flavour.may_load(sql, self.schema()):
            return ()
        kinds = self.kinds(sql)
        if len(kinds) != len(declared):
            kinds = (None,) * len(declared)
        loaders = tuple(
            self.flavour.loader(kind, type_ or "", typed=typed) for kind, type_ in zip(kinds, declared, strict=True)
        )
        return loaders if any(loaders) else ()

    def words(
        self, error: Exception, source: str, sql: str = "", values: Mapping[str, SqlValue] | None = None
    ) -> Words | None:
        """The engine's words for an error of a statement; None if its message has them already.

        ``source``: the statement in the engine's SQL; ``sql``: what SQLite ran, with its parameters by name.
        """
        from sqlglot.errors import SqlglotError

        from clusterdb.flavours.failures import Failure

        code = getattr(error, "sqlite_errorcode", 0)
        with suppress(apsw.Error, SqlglotError):  # the schema cannot be read, as of a closed connection
            failure = Failure(self.db, self.schema(), str(error), code, source, sql, values or {})
            return self.flavour.words(failure)
        return None

    def execute(self, translation: Translation, answer: Answer) -> None:
        """Run a translation; ``answer`` runs the statement whose rows are its result.

        Raises what the statements and steps raise.
        """
        planned = plan(translation, in_transaction=self.db.in_transaction, autocommit=self.autocommit)
        for step in planned.before:
            run(step, self)
        if planned.answer:
            answer(planned.answer)
        for step in planned.after:
            run(step, self)

    def execute_script(self, script: str, answer: Answer) -> None:
        """Run the statements of a script, each by the schema and the settings that those before it have left.

        Raises NotSupportedError, and as :meth:`execute`.
        """
        splitter = self.flavour.splitter()
        for statement in splitter.cut(script):
            self.execute(self.translate(statement.text, self.schema()), answer)
            splitter.obey(self.flavour)  # the rest may be cut by other rules now

    def schema(self) -> Schema:
        """The tables as they are now."""
        self._seen.refresh(self.db, self.flavour)
        return self._seen.schema


def plan(translation: Translation, *, in_transaction: bool, autocommit: bool) -> Plan:
    """The plan of a translation, for a connection that is in a transaction or not."""
    if translation.ends and not in_transaction:
        return Plan()
    commits = translation.commits and in_transaction
    begins = translation.begins and not autocommit and (commits or not in_transaction)
    first = (*(["COMMIT"] if commits else []), *(["BEGIN"] if begins else []))
    return Plan((*first, *translation.before), translation.sql, translation.after)


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
