"""Cursors: PEP 249's, with the semantics of CPython's ``sqlite3``.

A query is read one row ahead, as ``sqlite3`` does: when the last row has been given, the statement is over and holds no
lock and no version any more.  What writes and answers (``RETURNING``) is run to its end at once.  Rows pass from apsw
to the caller through C iterators only, unless somebody has asked for a row factory, a text factory or converters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice, pairwise
from operator import itemgetter
from types import GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import apsw

from clusterdb.dbapi2.adapt import PLAIN
from clusterdb.dbapi2.convert import columns_of, converted, run
from clusterdb.dbapi2.row import Row
from clusterdb.dbapi2.statements import Description, Plan, bound, described, require_said
from clusterdb.errors import DatabaseError, DataError, ProgrammingError
from clusterdb.translate import translated, undecodable

if TYPE_CHECKING:
    from clusterdb.dbapi2.connection import Connection
    from clusterdb.flavours import Translation

__all__ = ["Cursor"]

_END = (None,)
_first = itemgetter(0)


def _ahead(cursor: apsw.Cursor) -> Iterator[Any]:
    """The rows of a cursor: before one is given, the next one is read."""
    return map(_first, pairwise(chain(cursor, _END)))


def _nobody() -> int:
    return 0


class _Busy:
    """While it is entered, code that the caller gave (a converter, an adapter, an iterator of parameters) is at work
    inside of a cursor, which refuses to be used.  It knows what that code has raised: this is not translated."""

    def __init__(self) -> None:
        self.is_busy = False
        self._raised: Exception | None = None

    def __enter__(self) -> None:
        self.is_busy = True

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_busy = False
        self._raised = value if isinstance(value, Exception) else None

    def require_none(self) -> None:
        if self.is_busy:
            raise ProgrammingError("Recursive use of cursors not allowed.")

    def note(self, error: Exception) -> None:
        """The caller's code has raised it while nobody was kept out."""
        self._raised = error

    def has_raised(self, error: Exception) -> bool:
        """Whether it is an error of the caller's code; asked once."""
        raised, self._raised = self._raised, None
        return raised is error


class Cursor:
    """A cursor of a :class:`Connection`; ``connection.cursor()`` makes one."""

    arraysize = 1
    """How many rows :meth:`fetchmany` gives unless told otherwise."""
    row_factory: Callable[[Any, tuple[Any, ...]], Any] | None = None
    """Makes what is given of (cursor, row); None for tuples."""
    rowcount = -1
    """How many rows the last INSERT, UPDATE, DELETE or REPLACE has changed; -1 for other statements."""
    lastrowid: int | None = None
    """The row id that the last INSERT or REPLACE has given."""

    _connection: Connection | None = None
    _db: apsw.Connection
    _cursor: apsw.Cursor
    _plans: dict[str, Plan] = {}  # noqa: RUF012 - empty for ever: what is not ready has no plans
    _plan: Plan | None = None
    _rows: Iterator[Any] | None = None
    _description: Description | None = None
    _ident: Callable[[], int] = staticmethod(_nobody)
    _thread = 0
    _busy: _Busy | None = None

    def __init__(self, connection: Connection, /) -> None:
        from clusterdb.dbapi2.connection import Connection

        if not isinstance(connection, Connection):
            raise TypeError(f"Cursor() argument 1 must be Connection, not {type(connection).__name__}")
        connection._check()
        if self._busy is not None:
            self._busy.require_none()
        self._busy = _Busy()
        self._connection = connection
        self._db = connection._db
        self._cursor = connection._db.cursor()
        self._run = self._cursor.execute
        self._plans = connection._plans
        self._ident, self._thread = connection._ident, connection._thread
        self._rows = self._plan = self._description = None
        self.row_factory = self.lastrowid = None  # read for every row: an instance's attributes are found faster
        self.rowcount = -1

    @property
    def connection(self) -> Connection:
        """The connection that the cursor is of, also when either is closed."""
        if self._connection is None:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        return self._connection

    def _check(self) -> Connection:
        if self._connection is None:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        self._connection._check()
        if self._run is None:
            raise ProgrammingError("Cannot operate on a closed cursor.")
        assert self._busy is not None
        self._busy.require_none()
        return self._connection

    def close(self) -> None:
        """Close the cursor; nothing can be done with it any more."""
        if self._connection is None:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        self._connection._check()
        assert self._busy is not None
        self._busy.require_none()
        self._cursor.close(True)
        self._plans, self._rows, self._run = {}, None, None  # type: ignore[assignment]

    # --- executing --------------------------------------------------------------------------------------------------
    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Run one statement; ``parameters`` are a sequence for ``?``, a mapping for ``:name``.

        Raises the errors of PEP 249.
        """
        try:
            plan = self._plans.get(sql)
        except TypeError:  # not hashable: no text
            plan = None
        if plan is None or self._thread != self._ident() or self._busy.is_busy:  # type: ignore[union-attr]
            plan = self._planned(sql)
        self._plan = plan
        self._rows = self._description = None
        self.rowcount = -1
        connection: Connection = self._connection  # type: ignore[assignment]
        try:
            if plan.begins:
                connection._begin_unless_autocommit()
            if plan.writes and connection._begin_sql is not None and not self._db.in_transaction:
                self._db.execute(connection._begin_sql)
            if type(parameters) is tuple and not plan.is_named:
                for value in parameters:
                    if type(value) not in PLAIN:
                        parameters = self._bound(plan, parameters)
                        break
            else:
                parameters = self._bound(plan, parameters)
            if plan.is_dml:
                self._run(plan.sql, parameters)
                if plan.has_columns:
                    self._take_all(plan)
                db = self._db
                self.rowcount = db.changes()
                if plan.is_insert:
                    self.lastrowid = db.last_insert_rowid()
            elif plan.is_query and not connection._converts:
                self._run(plan.sql, parameters)
            else:
                self._answer(plan, parameters)
        except Exception as error:
            self._plan = self._description = None
            self._fail(error, plan, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run one statement that writes for each of many ``parameters``.

        Raises the errors of PEP 249; what was done before the error stays done, in the open transaction.
        """
        plan = self._planned(sql)
        connection = self._check()
        if plan.is_readonly:
            self._forget_rows()
            raise ProgrammingError("executemany() can only execute DML statements.")
        rows = iter(parameters)
        self._plan, self._rows, self._description = plan, iter(()), None
        self.rowcount = 0 if plan.is_dml else -1
        values: Any = ()
        try:
            if plan.begins:
                connection._begin_unless_autocommit()
            if plan.writes and connection._begin_sql is not None and not self._db.in_transaction:
                self._db.execute(connection._begin_sql)
            run, changes, text = self._run, self._db.changes, plan.sql
            for values in self._taken(rows):
                if plan.is_named or type(values) is not tuple or not PLAIN.issuperset(map(type, values)):
                    values = self._bound(plan, values)
                run(text, values)
                if plan.has_columns:
                    self._cursor.fetchall()
                if plan.is_dml:
                    self.rowcount += changes()
        except Exception as error:
            self._plan, self.rowcount = None, -1
            self._fail(error, plan, values)
        return self

    def executescript(self, script: str, /) -> Cursor:
        """Run several statements; an open transaction is committed first (unless ``autocommit`` is False).

        Raises the errors of PEP 249.
        """
        connection = self._check()
        if not isinstance(script, str):
            raise TypeError(f"executescript() argument must be str, not {type(script).__name__}")
        if "\0" in script:
            raise ValueError("embedded null character")
        connection._before_script()
        if connection._session is None and len(script.encode()) > self._db.limit(apsw.SQLITE_LIMIT_SQL_LENGTH):
            raise DataError("query string is too large")
        self._plan, self._rows, self._description = None, iter(()), None
        try:
            connection._execute_script(script, lambda text: deque(self._cursor.execute(text), maxlen=0))
        except Exception as error:
            self._fail(error)
        return self

    def setinputsizes(self, sizes: Any, /) -> None:
        """PEP 249 asks for it; does nothing."""

    def setoutputsize(self, size: Any, column: Any = None, /) -> None:
        """PEP 249 asks for it; does nothing."""

    def _planned(self, sql: str) -> Plan:
        connection = self._check()
        if not isinstance(sql, str):
            raise TypeError(f"execute() argument 1 must be str, not {type(sql).__name__}")
        try:
            return connection._planned(sql)
        except Exception:
            self._forget_rows()
            raise

    def _forget_rows(self) -> None:
        """There is no statement: the cursor answers nothing."""
        self._plan = self._description = None
        self.rowcount = -1
        self._end()

    def _end(self) -> None:
        """Give up what is being read: it holds nothing any more."""
        self._rows = iter(())
        with suppress(apsw.Error):  # it is in use, or closed
            self._cursor.close(True)
            self._cursor = self._db.cursor()
            self._run = self._cursor.execute

    def _bound(self, plan: Plan, parameters: Any) -> tuple[Any, ...]:
        assert self._busy is not None and self._connection is not None
        with self._busy:
            values = bound(plan, parameters)
        self._connection._check()  # an adapter may have closed it
        return values

    def _taken(self, rows: Iterator[Any]) -> Iterator[Any]:
        """Rows of parameters; who makes them may not use the cursor."""
        assert self._busy is not None
        while True:
            with self._busy:
                values = next(rows, _END)
            if values is _END:
                return
            yield values

    def _fail(self, error: Exception, plan: Plan | None = None, parameters: Any = ()) -> NoReturn:
        """End the statement, and raise what an error of apsw's is to the caller; one of her own code as it is."""
        assert self._busy is not None and self._connection is not None
        self._end()
        try:
            if self._busy.has_raised(error):
                raise error
            if isinstance(error, apsw.CursorClosedError):
                self._connection._check()  # who closed the connection closed the cursor
            if plan is not None and isinstance(error, apsw.BindingsError):
                bound(plan, parameters)  # says it as sqlite3 does
            if plan is not None and isinstance(error, UnicodeDecodeError) and plan.columns:
                raise undecodable(error, plan.columns[0][0] if len(plan.columns) == 1 else "?") from None
            raise translated(error) from error.__cause__
        finally:
            del error  # it would hold this frame, and the frame it: a cycle, for the collector to end the query

    # --- rows -------------------------------------------------------------------------------------------------------
    def _answer(self, plan: Plan, parameters: Any) -> None:
        """Run a statement that is no query, or whose rows are to be converted."""
        connection = self._check()
        if plan.steps is not None:
            self._run_steps(plan.steps, parameters)
            return
        if plan.is_query:
            is_raw = run(connection, self._cursor, plan, parameters)
            self._convert(plan, _ahead(self._cursor), is_raw)
            return
        self._run(plan.sql, parameters)
        if plan.has_columns:
            self._take_all(plan)

    def _run_steps(self, made: Translation, parameters: Any) -> None:
        """Run a statement of another engine that takes several of SQLite's."""
        connection = self._connection
        assert connection is not None and connection._session is not None
        try:
            connection._session.execute(made, lambda text: self._db.execute(text, parameters).fetchall())
        except apsw.SQLError as error:
            require_said(error, made)
            raise
        connection._follow_session()

    def _take_all(self, plan: Plan) -> None:
        connection = self._connection
        assert connection is not None
        self._description = self._columns_now(plan) or self._cut(plan.columns)
        rows = self._cursor.fetchall()
        self._rows = iter(rows)
        if connection._converts:
            self._convert(plan, self._rows)

    def _convert(self, plan: Plan, rows: Iterator[tuple[Any, ...]], is_raw: bool = False) -> None:
        """Let the rows of a statement that has been run be converted, by its columns as they are now."""
        connection = self._connection
        assert connection is not None and self._busy is not None
        now = connection._replanned(plan)
        self._rows = converted(connection, rows, columns_of(connection, now), is_raw, self._busy)
        self._description = self._cut(now.columns)

    def _columns_now(self, plan: Plan) -> Description | None:
        """The columns of the running statement, which may differ from when it was planned; None if it is over."""
        try:
            columns = self._cursor.description
        except (apsw.ExecutionCompleteError, apsw.CursorClosedError):
            return None
        return self._cut(plan.columns if columns == plan.raw_columns else described(columns))

    def _cut(self, description: Description) -> Description:
        """Names without the types in brackets, if those are looked for."""
        if self._connection is None or not self._connection._detects_names:
            return description
        return described([(column[0].split(" [")[0].rstrip() or column[0],) for column in description])

    @property
    def description(self) -> Description | None:
        """The columns of the last statement, each the name and six times None; None if it answers nothing."""
        if self._description is None and self._plan is not None and self._plan.has_columns:
            self._description = self._seen_columns(self._plan)
        return self._description

    def _seen_columns(self, plan: Plan) -> Description:
        """What the columns are called now: the schema may have changed since the statement was planned."""
        assert self._connection is not None
        columns = self._columns_now(plan)
        if columns is None and self._connection._opened is not None:
            with suppress(DatabaseError):  # the table is gone, or the store closed: they keep their names
                columns = self._cut(self._connection._replanned(plan).columns)
        return self._cut(plan.columns) if columns is None else columns

    def _seen(self) -> bool:
        """Make ready to read the rows of the running query; whether there is one."""
        if self._plan is None or not self._plan.has_columns:
            self._rows = iter(())
            return False
        if self._description is None:
            self._description = self._seen_columns(self._plan)
        return True

    def _ready(self) -> Iterator[Any]:
        """The rows that are left, read one ahead; converted if a text factory was set after they were asked for."""
        connection = self._check()
        if self._rows is None and self._seen():
            self._rows = _ahead(self._cursor)
        assert self._rows is not None and self._busy is not None
        if not connection._is_plain and type(self._rows) is not GeneratorType:
            columns = [(name, None) for name in self._names()]
            self._rows = converted(connection, self._rows, columns, False, self._busy)
        return self._rows

    def fetchone(self) -> Any:
        """The next row; None if there is no other."""
        rows = self._rows
        if rows is None or self._thread != self._ident() or not self._connection._is_plain or self._busy.is_busy:  # type: ignore[union-attr]
            rows = self._ready()
        try:
            for row in rows:
                return row if self.row_factory is None else self._made(row)
        except Exception as error:
            self._fail(error, self._plan)
        self._check()
        return None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next ``size`` rows (by default :attr:`arraysize`), as far as there are so many.

        As in ``sqlite3``, all that are left if ``size`` is 0 or less.
        """
        rows = self._ready()
        wanted = self.arraysize if size is None else size
        try:
            return self._all_made(islice(rows, wanted if wanted > 0 else None))
        except Exception as error:
            self._fail(error, self._plan)

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        connection = self._check()
        try:
            if self._rows is None and connection._is_plain and self._seen():
                rows = self._cursor.fetchall()
                self._rows = iter(())
                return rows if self.row_factory is None else self._all_made(rows)
            return self._all_made(self._ready())
        except Exception as error:
            self._fail(error, self._plan)

    def __iter__(self) -> Iterator[Any]:
        return self._given()

    def _given(self) -> Iterator[Any]:
        """The rows that are left; those of the new statement, if another is executed meanwhile."""
        rows = self._ready()
        connection, thread, ident = self._connection, self._thread, self._ident
        assert connection is not None
        while True:
            is_converted = type(rows) is GeneratorType
            try:
                for row in rows:
                    yield row if self.row_factory is None else self._made(row)
                    if self._rows is not rows or thread != ident():
                        break
                    if not connection._is_plain and (connection._opened is None or not is_converted):
                        break
                else:
                    self._check()
                    return
            except Exception as error:
                self._fail(error, self._plan)
            rows = self._ready()

    def __next__(self) -> Any:
        rows = self._ready()
        try:
            for row in rows:
                return row if self.row_factory is None else self._made(row)
        except Exception as error:
            self._fail(error, self._plan)
        raise StopIteration

    def _made(self, row: tuple[Any, ...]) -> Any:
        factory = self.row_factory
        if factory is Row:
            return Row.of(self._names(), row)
        if factory is None:
            return row
        try:
            return factory(self, row)
        except Exception as error:
            assert self._busy is not None
            self._busy.note(error)
            raise

    def _all_made(self, rows: Iterable[Any]) -> list[Any]:
        if self.row_factory is None:
            return list(rows)
        if self.row_factory is Row:
            names = self._names()
            return [Row.of(names, row) for row in rows]
        return [self._made(row) for row in rows]

    def _names(self) -> tuple[str, ...]:
        return tuple(column[0] for column in self.description or ())
