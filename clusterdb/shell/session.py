"""apsw's shell on a cluster of a store: which one is in use, what the prompt shows, how its SQL runs.

A session has a *cluster in use*, reached through an *endpoint*, or a point in its past, or none; or, by ``.open FILE``,
a plain database.  All that apsw's shell does on ``self.db`` it does there.  In a cluster of another engine statements
are translated one by one, each with the steps that it takes.  A connection that a failover, a crash or a stop cut off
is replaced by one through the same endpoint; the statement that noticed is not repeated.
"""

from __future__ import annotations

import io
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import apsw
import apsw.shell

from clusterdb.errors import Error, InstanceRestartedError
from clusterdb.listings import local
from clusterdb.sqlite import InstanceConnection
from vfs import errors as storage_errors

if TYPE_CHECKING:
    from clusterdb.cluster import Cluster
    from clusterdb.flavours import EngineSession, Flavour
    from clusterdb.points import Point
    from clusterdb.store import Store

__all__ = ["Session"]

_ENDS = (InstanceRestartedError, storage_errors.FencedError, storage_errors.InstanceRestartedError)


class Session(apsw.shell.Shell):
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
        self.cluster: Cluster | None = None
        self.endpoint = "writer"
        self.at: Point | None = None
        self.spoken: EngineSession | None = None
        self.preamble = ""
        """What the next statement has to begin with to end where it is to: MySQL's DELIMITER."""
        self.read_only = read_only
        super().__init__(
            stdin=stdin or sys.stdin or io.StringIO(),  # Python has none if they were closed when it began
            stdout=stdout or sys.stdout or Path(os.devnull).open("w"),
            stderr=stderr or sys.stderr or Path(os.devnull).open("w"),
        )
        self._prompt = self._moreprompt = ""  # apsw's own are none of ours
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            self.command_colour(["off"])

    # --- the cluster in use -----------------------------------------------------------------------------------------
    @property
    def db(self) -> apsw.Connection:
        """The connection to the cluster in use.  Raises Shell.Error if there is none."""
        if self._db is None:
            names = [cluster.name for cluster in self.store.clusters()]
            hint = f".use NAME (clusters: {', '.join(names)})" if names else "the store has none yet: .create NAME"
            raise self.Error(f"no cluster in use: {hint}")
        return self._db

    @db.setter
    def db(self, opened: tuple[apsw.Connection | None, str | None]) -> None:
        apsw.shell.Shell.db.fset(self, opened)  # type: ignore[misc]

    def use(self, cluster: Cluster, endpoint: str = "writer", at: Point | None = None) -> None:
        """Go over to a cluster.  Raises what :meth:`Cluster.connect` raises; then nothing has changed."""
        if isinstance(at, timedelta):
            at = datetime.now(timezone.utc) - at  # a moment that stays where it is
        connection = cluster.connect(endpoint, read_only=self.read_only, at=at)
        spoken = None
        engine = cluster.settings.engine
        if engine != "sqlite":
            from clusterdb.flavours import session_of

            spoken = session_of(engine, connection)
        self.db = connection, cluster.name
        self.cluster, self.endpoint, self.at, self.spoken = cluster, endpoint, at, spoken
        self.preamble = ""

    @property
    def flavour(self) -> Flavour | None:
        """The SQL of the cluster in use; None for SQLite's."""
        return self.spoken.flavour if self.spoken is not None else None

    def leave(self) -> None:
        """Use no cluster."""
        self.db = None, None
        self.cluster = self.at = self.spoken = None

    def in_use(self) -> Cluster:
        """The cluster in use.  Raises Shell.Error if there is none."""
        if self.cluster is None and self.db:  # says which clusters there are
            raise self.Error(f"'{self.dbfilename or ':memory:'}' is no cluster: .use NAME")
        assert self.cluster is not None
        return self.cluster

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open here."""
        try:
            return self._db is not None and self._db.in_transaction
        except apsw.ConnectionClosedError:
            return False

    def require_no_transaction(self, what: str) -> None:
        """Raises Shell.Error if a transaction is open here."""
        if self.in_transaction:
            raise self.Error(f"{self.described()} has an open transaction: COMMIT or ROLLBACK it before you {what}")

    # --- prompts ----------------------------------------------------------------------------------------------------
    def described(self) -> str:
        """What is in use, in words: the cluster, and through which instance if it has some."""
        if self.cluster is None:
            return Path(self.dbfilename or ":memory:").name if self._db is not None else "clusterdb"
        if self.at is not None:
            return f"{self.cluster.name}@{local(self.at) if isinstance(self.at, datetime) else self.at}"
        if not isinstance(self._db, InstanceConnection):
            return self.cluster.name
        try:
            roles = {each.name: each.role for each in self.cluster.instances()}
        except Error:  # deleted meanwhile: the next statement says so
            roles = {}
        name = self._db.instance_name
        return f"{self.cluster.name} ({roles.get(name, 'instance')} {name})"

    @property
    def prompt(self) -> str:
        """The cluster, its instance, and an asterisk in a transaction; or what ``.prompt`` set."""
        return self._prompt or f"{self.described()}{'*' if self.in_transaction else ''}> "

    @prompt.setter
    def prompt(self, text: str) -> None:
        self._prompt = text

    @property
    def moreprompt(self) -> str:
        """What stands before the other lines of a statement, as wide as the prompt."""
        return self._moreprompt or "-> ".rjust(len(self.prompt))

    @moreprompt.setter
    def moreprompt(self, text: str) -> None:
        self._moreprompt = text

    # --- SQL --------------------------------------------------------------------------------------------------------
    def process_sql(self, sql: str, bindings: Any = None, internal: bool = False, summary: Any = None) -> None:
        """Run statements: of another engine one by one, each with the steps that it takes."""
        try:
            if internal or self.spoken is None:
                self._process_statement(sql, bindings, internal, summary)
                return
            splitter = self.spoken.flavour.splitter()
            for statement in splitter.cut(sql):
                self._process_translated(self.spoken, statement.text, bindings, summary)
                splitter.obey(self.spoken.flavour)
        except (Error, apsw.Error) as error:
            if not _is_cut_off(error):
                raise
            raise self._reconnected(error) from None

    def _process_statement(self, sql: str, bindings: Any, internal: bool, summary: Any) -> None:
        if isinstance(self.db, InstanceConnection):  # ALTER SYSTEM is not SQLite's: apsw shall see what it stands for
            sql = self.db.before_statement(sql)
        super().process_sql(sql, bindings, internal, summary)

    def _process_translated(self, spoken: EngineSession, sql: str, bindings: Any, summary: Any) -> None:
        db = self.db
        if isinstance(db, InstanceConnection) and db.before_statement(sql) != sql:
            self._process_statement(sql, bindings, False, summary)
            return
        process = super().process_sql
        spoken.execute(spoken.translate(sql, spoken.schema()), lambda text: process(text, bindings, False, summary))

    def _query_details(self, sql: str, bindings: Any) -> Any:
        """What apsw knows of the next statement; it points at errors only in what a person typed just so."""
        details = super()._query_details(sql, bindings)
        if details.exception is not None and _is_cut_off(details.exception):
            raise details.exception
        if details.error_text and (self.flavour is not None or not self.interactive):
            raise self.Error(details.error_text) from details.exception
        return details

    def _reconnected(self, error: BaseException) -> apsw.shell.Shell.Error:
        """What to tell after the connection was cut off, when there is a new one."""
        text = str(error).partition(": open a new connection")[0]
        if self.cluster is None:
            return self.Error(text)
        try:
            self.use(self.cluster, self.endpoint, self.at)
        except Error as why:
            self.leave()
            return self.Error(f"{text}, and there is no other: {why}")
        return self.Error(f"{text}; connected again, to {self.described()}: run the statement again")


def _is_cut_off(error: BaseException | None) -> bool:
    """Whether a connection has come to its end by a failover, a crash or a stop."""
    while error is not None and not isinstance(error, _ENDS):
        error = error.__cause__
    return error is not None
