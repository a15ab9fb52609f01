"""Cursors: PEP 249's, with the semantics of CPython's ``sqlite3``.

A query is read one row ahead, as ``sqlite3`` does: when the last row has been given, the statement is over and holds no
lock and no version any more.  What writes and answers (``RETURNING``) is run to its end at once.  Rows pass from apsw
to the caller through C iterators only, unless somebody has asked for a row factory, a text factory or converters.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import apsw

from clusterdb.dbapi2.adapt import PLAIN
from clusterdb.dbapi2.convert import converted
from clusterdb.dbapi2.row import Row
from clusterdb.dbapi2.statements import Description, Plan, bound, described
from clusterdb.dbapi2.translate import translated, undecodable
from clusterdb.errors import DataError, ProgrammingError

if TYPE_CHECKING:
    from clusterdb.dbapi2.connection import Connection

__all__ = ["Cursor"]

_END = (None,)
_first = itemgetter(0)


def _ahead(cursor: apsw.Cursor) -> Iterator[Any]:
    """The rows of a cursor: before one is given, the next one is read."""
    return map(_first, pairwise(chain(cursor, _END)))


def _nobody() -> int:
    return 0


class _Busy:
    """Whether code that the caller gave (a converter, an iterator of parameters) is at work inside of a cursor."""

    def __init__(self) -> None:
        self.is_busy = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.is_busy = True
        try:
            yield
        finally:
            self.is_busy = False

    def require_none(self) -> None:
        if self.is_busy:
            raise ProgrammingError("Recursive use of cursors not allowed.")


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
    _plans: dict[str, Plan] = {}  # noqa: RUF012 - empty for ever: what is not ready has no plans
    _plan: Plan | None = None
    _rows: Iterator[Any] | None = None
    _description: Description | None = None
    _ident: Callable[[], int] = staticmethod(_nobody)
    _thread = 0
    _busy: _Busy | None = None
    _iterating: weakref.ref[Generator[Any, None, None]] | None = None

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
        self.rowcount = -1
        self.lastrowid = None

    @property
    def connection(self) -> Connection:
        """The connection that the cursor is of."""
        self._check()
        assert self._connection is not None
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
        plan = self._plans.get(sql)
        if plan is None or self._thread != self._ident():
            plan = self._planned(sql)
        if type(parameters) is tuple:
            for value in parameters:
                if type(value) not in PLAIN:
                    parameters = self._bound(plan, parameters)
                    break
        else:
            parameters = self._bound(plan, parameters)
        self._plan = plan
        self._rows = self._description = None
        self.rowcount = -1
        connection: Connection = self._connection  # type: ignore[assignment]
        try:
            if plan.is_dml:
                db = self._db
                if connection._begin_sql is not None and not db.in_transaction:
                    db.execute(connection._begin_sql)
                self._run(plan.sql, parameters)
                if plan.has_columns:
                    self._take_all(plan)
                self.rowcount = db.changes()
                if plan.is_insert:
                    self.lastrowid = db.last_insert_rowid()
            elif plan.is_query and not connection._converts:
                self._run(plan.sql, parameters)
            else:
                self._answer(plan, parameters)
        except Exception as error:
            self._rows = iter(())
            raise self._failure(error, plan, parameters) from error.__cause__
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run one INSERT, UPDATE, DELETE or REPLACE for each of many ``parameters``.

        Raises the errors of PEP 249; what was done before the error stays done, in the open transaction.
        """
        plan = self._planned(sql)
        connection = self._check()
        if not plan.is_dml:
            raise ProgrammingError("executemany() can only execute DML statements.")
        rows = iter(parameters)
        self._plan, self._rows, self._description, self.rowcount = plan, iter(()), None, 0
        values: Any = ()
        try:
            if connection._begin_sql is not None and not self._db.in_transaction:
                self._db.execute(connection._begin_sql)
            run, changes, text = self._run, self._db.changes, plan.sql
            for values in self._taken(rows):
                if type(values) is not tuple or not PLAIN.issuperset(map(type, values)):
                    values = self._bound(plan, values)
                run(text, values)
                if plan.has_columns:
                    self._cursor.fetchall()
                self.rowcount += changes()
        except Exception as error:
            self.rowcount = -1
            raise self._failure(error, plan, values) from error.__cause__
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
        if len(script.encode()) > self._db.limit(apsw.SQLITE_LIMIT_SQL_LENGTH):
            raise DataError("query string is too large")
        self._plan, self._rows, self._description = None, iter(()), None
        try:
            for _ in self._cursor.execute(connection._translated_script(script)):
                pass
        except Exception as error:
            raise translated(error) from error.__cause__
        return self

    def setinputsizes(self, sizes: Any, /) -> None:
        """PEP 249 asks for it; does nothing."""

    def setoutputsize(self, size: Any, column: Any = None, /) -> None:
        """PEP 249 asks for it; does nothing."""

    def _planned(self, sql: str) -> Plan:
        connection = self._check()
        if not isinstance(sql, str):
            raise TypeError(f"execute() argument 1 must be str, not {type(sql).__name__}")
        return connection._planned(sql)

    def _bound(self, plan: Plan, parameters: Any) -> tuple[Any, ...]:
        values = bound(plan, parameters)
        assert self._connection is not None
        self._connection._check()  # an adapter may have closed it
        return values

    def _taken(self, rows: Iterator[Any]) -> Iterator[Any]:
        """Rows of parameters; who makes them may not use the cursor."""
        assert self._busy is not None
        while True:
            with self._busy():
                values = next(rows, _END)
            if values is _END:
                return
            yield values

    def _failure(self, error: Exception, plan: Plan, parameters: Any) -> Exception:
        if isinstance(error, apsw.BindingsError):
            bound(plan, parameters)  # says it as sqlite3 does
        if isinstance(error, UnicodeDecodeError) and plan.columns:
            return undecodable(error, plan.columns[0][0] if len(plan.columns) == 1 else "?")
        return translated(error)

    # --- rows -------------------------------------------------------------------------------------------------------
    def _answer(self, plan: Plan, parameters: Any) -> None:
        """Run a statement that is no query, or whose rows are to be converted."""
        connection = self._check()
        if plan.is_query or (plan.has_columns and connection._converts):
            assert self._busy is not None
            self._rows = converted(connection, self._cursor, plan, parameters, self._busy)
            self._description = self._cut(plan.columns)
            return
        self._run(plan.sql, parameters)
        if plan.has_columns:
            self._take_all(plan)

    def _take_all(self, plan: Plan) -> None:
        connection = self._connection
        assert connection is not None
        self._description = self._columns_now(plan) or self._cut(plan.columns)
        self._rows = iter(self._cursor.fetchall())

    def _columns_now(self, plan: Plan) -> Description | None:
        """The columns of the running statement, which may differ from when it was planned; None if it is over."""
        try:
            columns = self._cursor.description
        except apsw.ExecutionCompleteError:
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
        if self._description is None and self._plan is not None and self._plan.has_columns and self._run is not None:
            self._description = self._seen_columns(self._plan)
        return self._description

    def _seen_columns(self, plan: Plan) -> Description:
        """What the columns are called now: the schema may have changed since the statement was planned."""
        assert self._connection is not None
        return self._columns_now(plan) or self._cut(self._connection._replanned(plan).columns)

    def _seen(self) -> bool:
        """Make ready to read the rows of the running query; whether there is one."""
        if self._plan is None or not self._plan.has_columns:
            self._rows = iter(())
            return False
        if self._description is None:
            self._description = self._seen_columns(self._plan)
        return True

    def _ready(self) -> Iterator[Any]:
        """The rows that are left, read one ahead."""
        self._check()
        if self._rows is None and self._seen():
            self._rows = _ahead(self._cursor)
        assert self._rows is not None
        return self._rows

    def fetchone(self) -> Any:
        """The next row; None if there is no other."""
        rows = self._rows
        if rows is None or self._thread != self._ident() or self._connection._opened is None or self._busy.is_busy:  # type: ignore[union-attr]
            rows = self._ready()
        try:
            for row in rows:
                return row if self.row_factory is None else self._made(row)
        except Exception as error:
            raise self._fetch_failure(error) from error.__cause__
        return None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next ``size`` rows (by default :attr:`arraysize`), as far as there are so many."""
        rows = self._ready()
        wanted = self.arraysize if size is None else size
        try:
            return self._all_made(islice(rows, wanted if wanted >= 0 else None))
        except Exception as error:
            raise self._fetch_failure(error) from error.__cause__

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        self._check()
        try:
            if self._rows is None and self._seen():
                rows = self._cursor.fetchall()
                self._rows = iter(())
                return rows if self.row_factory is None else self._all_made(rows)
            assert self._rows is not None
            return self._all_made(self._rows)
        except Exception as error:
            raise self._fetch_failure(error) from error.__cause__

    def __iter__(self) -> Iterator[Any]:
        self._check()
        given = self._iterating() if self._iterating is not None else None
        if given is None or inspect.getgeneratorstate(given) == inspect.GEN_CLOSED:
            given = self._given()
            self._iterating = weakref.ref(given)  # who iterates twice shares the rows
        return given

    def _given(self) -> Generator[Any, None, None]:
        """The rows that are left; read ahead only when the caller stops before the end."""
        reads = self._rows is None and self._seen()
        if reads:
            self._rows = self._cursor
        try:
            if self.row_factory is None:
                yield from self._rows  # type: ignore[misc]
            else:
                for row in self._rows:  # type: ignore[union-attr]
                    yield self._made(row)
        except GeneratorExit:
            if reads and self._rows is self._cursor and self._run is not None:
                self._read_ahead()
            raise
        except Exception as error:
            raise self._fetch_failure(error) from error.__cause__

    def _read_ahead(self) -> None:
        with suppress(apsw.Error, UnicodeDecodeError):  # whoever goes on reading is told
            self._rows = _ahead(self._cursor)
            for row in self._rows:
                self._rows = chain((row,), self._rows)
                break

    def __next__(self) -> Any:
        rows = self._ready()
        try:
            for row in rows:
                return row if self.row_factory is None else self._made(row)
        except Exception as error:
            raise self._fetch_failure(error) from error.__cause__
        raise StopIteration

    def _made(self, row: tuple[Any, ...]) -> Any:
        factory = self.row_factory
        if factory is Row:
            return Row.of(self._names(), row)
        return factory(self, row) if factory is not None else row

    def _all_made(self, rows: Iterable[Any]) -> list[Any]:
        if self.row_factory is None:
            return list(rows)
        if self.row_factory is Row:
            names = self._names()
            return [Row.of(names, row) for row in rows]
        factory = self.row_factory
        return [factory(self, row) for row in rows]

    def _names(self) -> tuple[str, ...]:
        return tuple(column[0] for column in self.description or ())

    def _fetch_failure(self, error: Exception) -> Exception:
        self._rows = iter(())
        if self._plan is not None:
            return self._failure(error, self._plan, ())
        return translated(error)
