"""apsw's shell on a cluster of a store: the cluster in use, the prompt, and how SQL runs.

:class:`InUse` holds what belongs to the cluster in use and is replaced as a whole: by ``.use`` and ``.open NAME``, by
``.close`` and ``.open FILE`` (then no cluster is in use), and when a connection was cut off by a failover, a crash or a
stop (then by one through the same endpoint; the statement that failed is not repeated).  The variables that SET changes
in a cluster of another engine belong to its :class:`EngineSession`, so they end with it.

The shell's methods work on ``self.db``: the connection to the cluster in use, or to a plain database.  In a cluster of
another engine statements are translated one by one, each with the steps of its translation.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import apsw
import apsw.shell

from clusterdb.access.sqlite import InstanceConnection
from clusterdb.errors import Error, InstanceRestartedError, StoreReadOnlyError
from clusterdb.shell.output import Output
from clusterdb.views.text import time_text
from vfs import errors as storage_errors

if TYPE_CHECKING:
    from clusterdb.flavours import EngineSession, Flavour
    from clusterdb.rules.points import Point
    from clusterdb.store import Cluster, Store

__all__ = ["InUse", "Session"]

_CUT_OFF_ERRORS = (InstanceRestartedError, storage_errors.FencedError, storage_errors.DisconnectedError)


@dataclass(slots=True)
class InUse:
    """The cluster in use: through an endpoint, or at a point in its past (``at``)."""

    cluster: Cluster
    endpoint: str
    at: Point | None
    engine_session: EngineSession | None
    """None if the engine is SQLite."""
    preamble: str = ""
    """A prefix of the next statement that decides where it ends: MySQL's DELIMITER."""


class Session(Output):
    """apsw's shell on a cluster of a store."""

    def __init__(
        self,
        store: Store,
        *,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        read_only: bool = False,
    ) -> None:
        self.store = store
        self.read_only = read_only
        self.in_use: InUse | None = None
        super().__init__(
            stdin=stdin or sys.stdin or io.StringIO(),  # Python's are None if they were closed when it started
            stdout=stdout or sys.stdout or Path(os.devnull).open("w"),
            stderr=stderr or sys.stderr or Path(os.devnull).open("w"),
        )
        self._prompt = self._moreprompt = ""  # instead of apsw's own
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            self.command_colour(["off"])

    # --- the cluster in use -----------------------------------------------------------------------------------------
    @property
    def db(self) -> apsw.Connection:
        """The connection to the cluster in use.  Raises Shell.Error if no cluster is in use."""
        if self._db is None:
            names = [cluster.name for cluster in self.store.clusters()]
            hint = f".use NAME (clusters: {', '.join(names)})" if names else "the store is empty: .create NAME"
            raise self.Error(f"no cluster in use: {hint}")
        return self._db

    @db.setter
    def db(self, connection_and_name: tuple[apsw.Connection | None, str | None]) -> None:
        Output.db.fset(self, connection_and_name)  # type: ignore[misc]

    def use(self, cluster: Cluster, endpoint: str = "writer", at: Point | None = None) -> None:
        """Use a cluster.  Raises what :meth:`Cluster.connect` raises; the former cluster is then still in use."""
        if isinstance(at, timedelta):
            at = datetime.now(timezone.utc) - at  # a fixed time, for all later statements
        connection = cluster.connect(endpoint, read_only=self.read_only, at=at)
        engine_session = None
        engine = cluster.settings.engine
        if engine != "sqlite":
            from clusterdb.flavours import session_of

            engine_session = session_of(engine, connection)
        self.db = connection, cluster.name
        self.in_use = InUse(cluster, endpoint, at, engine_session)

    def leave(self) -> None:
        """Use no cluster."""
        self.discard_once()
        self.db = None, None
        self.in_use = None

    @property
    def flavour(self) -> Flavour | None:
        """The SQL of the cluster in use; None for SQLite's."""
        session = self.in_use.engine_session if self.in_use is not None else None
        return session.flavour if session is not None else None

    def require_in_use(self) -> InUse:
        """The cluster in use.  Raises Shell.Error if no cluster is in use."""
        if self.in_use is None and self.db:  # else the property has raised the error that lists the clusters
            raise self.Error(f"'{self.dbfilename or ':memory:'}' is a plain database, not a cluster: .use NAME")
        assert self.in_use is not None
        return self.in_use

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        try:
            return self._db is not None and self._db.in_transaction
        except apsw.ConnectionClosedError:
            return False

    def require_no_transaction(self, verb: str) -> None:
        """Raises Shell.Error if a transaction is open."""
        if self.in_transaction:
            raise self.Error(f"{self.described()} has an open transaction: COMMIT or ROLLBACK it before you {verb}")

    # --- prompts ----------------------------------------------------------------------------------------------------
    def described(self) -> str:
        """The cluster in use, with its point in time or its instance; else the plain database, else ``clusterdb``."""
        in_use = self.in_use
        if in_use is None:
            return Path(self.dbfilename or ":memory:").name if self._db is not None else "clusterdb"
        if in_use.at is not None:
            return f"{in_use.cluster.name}@{time_text(in_use.at) if isinstance(in_use.at, datetime) else in_use.at}"
        if not isinstance(self._db, InstanceConnection) or not self._db.instance_name:
            return in_use.cluster.name
        try:
            roles = {instance.name: instance.role for instance in in_use.cluster.instances()}
        except Error:  # the cluster was deleted: the next statement reports it
            roles = {}
        name = self._db.instance_name
        return f"{in_use.cluster.name} ({roles.get(name, 'instance')} {name})"

    @property
    def prompt(self) -> str:
        """The cluster, its instance, and an asterisk in a transaction; or the text that ``.prompt`` set."""
        return self._prompt or f"{self.described()}{'*' if self.in_transaction else ''}> "

    @prompt.setter
    def prompt(self, text: str) -> None:
        self._prompt = text

    @property
    def moreprompt(self) -> str:
        """The prompt of a statement's further lines, as wide as the first."""
        return self._moreprompt or "-> ".rjust(len(self.prompt))

    @moreprompt.setter
    def moreprompt(self, text: str) -> None:
        self._moreprompt = text

    # --- SQL --------------------------------------------------------------------------------------------------------
    def process_sql(
        self,
        sql: str,
        bindings: apsw.Bindings | None = None,
        internal: bool = False,
        summary: tuple[str, str] | None = None,
    ) -> None:
        """Run statements; those of another engine are translated one by one, each with its steps."""
        session = self.in_use.engine_session if self.in_use is not None else None
        try:
            if internal or session is None:
                self._process_statement(sql, bindings, internal, summary)
                return
            splitter = session.flavour.splitter()
            for statement in splitter.cut(sql):
                self._process_translated(session, statement.text, bindings, summary)
                splitter.obey(session.flavour)
        except (Error, apsw.Error) as error:
            if _comes_from(error, apsw.ReadOnlyError):
                try:
                    self.store.context.require_writable()
                except StoreReadOnlyError as reason:  # says what to do
                    raise self.Error(str(reason)) from None
            if not _comes_from(error, *_CUT_OFF_ERRORS):
                raise
            raise self._reconnected(error) from None

    def _process_statement(
        self, sql: str, bindings: apsw.Bindings | None, internal: bool, summary: tuple[str, str] | None
    ) -> None:
        if isinstance(self.db, InstanceConnection):  # ALTER SYSTEM is replaced: SQLite does not have it
            sql = self.db.before_statement(sql)
        if internal or not self.wants_footers:
            super().process_sql(sql, bindings, internal, summary)
            return
        while sql.strip():
            details = super()._query_details(sql, self.bindings if bindings is None else bindings)
            query = details.query if details.exception is None and details.query else sql
            with self.footer(query):
                super().process_sql(query, bindings, internal, summary)
            sql = sql[len(query) :]

    def _process_translated(
        self, session: EngineSession, sql: str, bindings: apsw.Bindings | None, summary: tuple[str, str] | None
    ) -> None:
        db = self.db
        if isinstance(db, InstanceConnection) and db.before_statement(sql) != sql:
            self._process_statement(sql, bindings, False, summary)
            return
        process = super().process_sql
        with self.footer(sql) if self.wants_footers else nullcontext() as counted:

            def answer(text: str) -> None:
                process(text, bindings, False, summary)
                if counted is not None:
                    counted.changed = db.changes()

            session.execute(session.translate(sql, session.schema()), answer)

    def _query_details(self, sql: str, bindings: apsw.Bindings | None) -> apsw.shell.Shell._qd:
        """apsw's details of the next statement; it shows the place of an error only in SQL exactly as typed."""
        details = super()._query_details(sql, bindings)
        if details.exception is not None and _comes_from(details.exception, *_CUT_OFF_ERRORS):
            raise details.exception
        if details.error_text and (self.flavour is not None or not self.interactive):
            raise self.Error(details.error_text) from details.exception
        return details

    def _reconnected(self, error: BaseException) -> Output.Error:
        """Connect again after the connection was cut off; the error to raise."""
        message = str(error).partition(": open a new connection")[0]
        if self.in_use is None:
            return self.Error(message)
        try:
            self.use(self.in_use.cluster, self.in_use.endpoint, self.in_use.at)
        except Error as why:
            self.leave()
            return self.Error(f"{message}; cannot connect again: {why}")
        return self.Error(f"{message}; connected again, to {self.described()}: run the statement again")


def _comes_from(error: BaseException | None, *kinds: type[BaseException]) -> bool:
    """Whether an error, or one that it was raised from, is of one of these kinds."""
    while error is not None and not isinstance(error, kinds):
        error = error.__cause__
    return error is not None
