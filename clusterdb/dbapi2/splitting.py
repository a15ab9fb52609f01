"""One connection to a whole cluster: statements that only read go to a reader, all others to the writer.

SQLite itself reports what a statement does, when it is prepared: a query that reads the database, calls no function
that depends on the connection, and runs outside of a transaction goes to a reader.  Nothing is guessed from the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apsw

from clusterdb.dbapi2 import callbacks
from clusterdb.dbapi2.connection import Connection
from clusterdb.dbapi2.cursor import Cursor
from clusterdb.dbapi2.opening import Database
from clusterdb.dbapi2.statements import Parameters, Plan
from clusterdb.errors import InstanceRestartedError, ProgrammingError

__all__ = ["SplitConnection", "SplitCursor"]

_READS = (apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE)
_OF_THE_CONNECTION = ("last_insert_rowid", "changes", "total_changes")
_CHANGE_COUNTER_AT = 24


class SplitConnection(Connection):
    """A connection that reads from readers: ``clusterdb.connect("prod", factory=SplitConnection)``.

    ``read_your_writes``: a query does not wait, but goes to the writer until the reader has reached the version that
    this connection committed last.  Without readers everything goes to the writer.
    """

    def __init__(self, database: Database, *arguments: Any, read_your_writes: bool = False, **options: Any) -> None:
        if options.get("endpoint", "writer") != "writer":
            raise ProgrammingError("a SplitConnection chooses endpoints itself: omit endpoint=")
        super().__init__(database, *arguments, **options)
        if self.cluster is None:
            raise ProgrammingError(f"{database!r} is a plain file, which has no readers: use the name of a cluster")
        self._reader: apsw.Connection | None = None
        self._prepared: list[Callable[[apsw.Connection], None]] = []
        self._reads_your_writes = read_your_writes
        self._databases: dict[str, frozenset[str | None]] = {}
        self._wrote = False
        self._version = 0
        self._may_have_others: bool | None = False

    def cursor(self, factory: Callable[[Any], Any] | None = None) -> Any:
        """A new cursor."""
        return super().cursor(SplitCursor if factory is None else factory)

    def close(self) -> None:
        """Close both connections."""
        reader = getattr(self, "_reader", None)
        super().close()
        if reader is not None:
            self._reader = None
            reader.close()

    # --- routing ------------------------------------------------------------------------------------------------------
    def reader_for(self, plan: Plan) -> apsw.Connection | None:
        """The connection to a reader that can run a statement; None: the writer has to."""
        if not plan.is_query or self._state.db.in_transaction or self._state.converts or not self._reads_only(plan):
            return None
        reader = self._live_reader()
        if self._reads_your_writes and not self._has_caught_up(reader):
            return None
        return reader

    def _reads_only(self, plan: Plan) -> bool:
        """Whether a statement only reads the main database, as SQLite reports to its authorizer when preparing it."""
        databases = self._databases.get(plan.sql)
        if databases is None:
            databases = self._databases[plan.sql] = self._databases_read(plan.sql)
        return databases <= {"main"} or (databases <= {"main", None} and not self._has_others())

    def _databases_read(self, sql: str) -> frozenset[str | None]:
        """The databases that a statement reads (None: not reported), and "temp" if it does more than read."""
        databases: set[str | None] = set()

        def authorizer(action: int, _: str | None, name: str | None, database: str | None, __: str | None) -> int:
            if action == apsw.SQLITE_READ:
                databases.add(database)
            elif action not in _READS or (action == apsw.SQLITE_FUNCTION and name in _OF_THE_CONNECTION):
                databases.add("temp")
            return apsw.SQLITE_OK

        db = self._state.db
        former, db.authorizer = db.authorizer, authorizer
        try:
            db.execute(sql, apsw._null_bindings, can_cache=False, explain=1).fetchall()  # type: ignore[attr-defined]
        finally:
            db.authorizer = former
        return frozenset(databases)

    def _has_others(self) -> bool:
        """Whether a table may be in another database than main; looked up after the writer has run a statement."""
        if self._may_have_others is None:
            db = self._state.db
            has_temporary = db.execute("SELECT 1 FROM temp.sqlite_schema").get is not None
            self._may_have_others = has_temporary or len(db.db_names()) > 2
        return self._may_have_others

    def _live_reader(self) -> apsw.Connection:
        """A connection to a reader that is running."""
        if self._reader is not None:
            try:
                self._reader.execute("SELECT 1").fetchall()
                return self._reader
            except (apsw.Error, InstanceRestartedError):
                self._reader.close()
                self._reader = None
        cluster, options = self.cluster, self._options
        assert cluster is not None
        self._reader = cluster.connect("reader", read_only=True, trusted=options.trusted, limits=options.limits)
        if self._state.session is not None:
            self._state.session.install(self._reader)
        for prepare in self._prepared:
            prepare(self._reader)
        return self._reader

    def note_write(self) -> None:
        """The writer runs a statement: it may commit, or create a temporary table."""
        self._wrote, self._may_have_others = True, None

    def _has_caught_up(self, reader: apsw.Connection) -> bool:
        """Whether the reader shows this connection's last commit; readers never go back."""
        if self._wrote:
            self._wrote, self._version = False, _version_of(self._state.db)
        return not self._version or _version_of(reader) >= self._version

    # --- functions and collations, for readers too --------------------------------------------------------------------
    def _prepare_readers(self, prepare: Callable[[apsw.Connection], None]) -> None:
        self._prepared.append(prepare)
        if self._reader is not None:
            prepare(self._reader)

    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, /, *, deterministic: bool = False
    ) -> None:
        """As :meth:`Connection.create_function`, for readers too."""
        super().create_function(name, narg, func, deterministic=deterministic)
        function = callbacks.function(func)
        self._prepare_readers(lambda db: db.create_scalar_function(name, function, narg, deterministic=deterministic))

    def create_aggregate(self, name: str, n_arg: int, aggregate_class: type | None, /) -> None:
        """As :meth:`Connection.create_aggregate`, for readers too."""
        super().create_aggregate(name, n_arg, aggregate_class)
        aggregate = callbacks.aggregate(aggregate_class)
        self._prepare_readers(lambda db: db.create_aggregate_function(name, aggregate, n_arg))

    def create_window_function(self, name: str, num_params: int, aggregate_class: type | None, /) -> None:
        """As :meth:`Connection.create_window_function`, for readers too."""
        super().create_window_function(name, num_params, aggregate_class)
        window = callbacks.window(aggregate_class)
        self._prepare_readers(lambda db: db.create_window_function(name, window, num_params))

    def create_collation(self, name: str, callable: Callable[[str, str], int] | None, /) -> None:
        """As :meth:`Connection.create_collation`, for readers too."""
        super().create_collation(name, callable)
        collation = callbacks.collation(callable)
        self._prepare_readers(lambda db: db.create_collation(name, collation))


class SplitCursor(Cursor):
    """A cursor of a :class:`SplitConnection`; ``endpoint``: where its last statement ran, "writer" or "reader"."""

    endpoint = "writer"

    def execute(self, sql: str, parameters: Parameters = (), /) -> Cursor:
        """Run one statement on a reader if it can, else on the writer; see :meth:`Cursor.execute`."""
        plan = self._planned(sql)
        connection = self.connection
        assert isinstance(connection, SplitConnection)
        reader = connection.reader_for(plan)
        if reader is None:
            self._go_to(self._state.db, "writer")
            if not plan.is_query:
                connection.note_write()
        else:
            self._go_to(reader, "reader")
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Cursor:
        """Run a statement for each of many parameters, on the writer."""
        self._to_the_writer()
        return super().executemany(sql, parameters)

    def executescript(self, script: str, /) -> Cursor:
        """Run several statements, on the writer."""
        self._to_the_writer()
        return super().executescript(script)

    def _to_the_writer(self) -> None:
        connection = self.connection
        assert isinstance(connection, SplitConnection)
        self._go_to(self._state.db, "writer")
        connection.note_write()

    def _go_to(self, db: apsw.Connection, endpoint: str) -> None:
        self.endpoint = endpoint
        if self._db is not db:
            self._cursor.close(True)
            self._db, self._cursor = db, db.cursor()
            self._run = self._cursor.execute


def _version_of(db: apsw.Connection) -> int:
    """The version that a connection outside of a transaction sees: it is the change counter of page 1."""
    db.execute("BEGIN")
    try:
        db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        _, data = db.read("main", 0, _CHANGE_COUNTER_AT, 4)
        return int.from_bytes(data, "big")
    finally:
        db.execute("ROLLBACK")
