"""Cursors: PEP 249's, with the semantics of CPython's ``sqlite3``.

A query is read one row ahead, as in ``sqlite3``: when the last row has been returned, the statement is over and holds
neither a lock nor a version.  A statement that writes and returns rows (``RETURNING``) is run to its end at once.  Rows
pass from apsw to the caller through C iterators only, unless there are a row factory, a text factory or converters.

Two paths are short, because most calls take them:

- ``execute()`` runs *plain* statements.  For one that the connection has run before (``ConnectionState.plain``) it
  looks at the thread, begins a transaction if needed, and checks the types of the values.  ``_execute_any()`` runs all
  other statements.
- A loop over a query of which nothing has been read (``_looped()``) is a generator that looks only at the rows.  What
  would have to interrupt it ends it first (``end_loop()``): any other use of the cursor, a row factory and a text
  factory.  The loop then continues in ``_remaining()``, which looks at all of that for every row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice, pairwise
from operator import itemgetter
from threading import get_ident
from types import GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import ref

import apsw

from clusterdb.access.translate import translated, undecodable
from clusterdb.dbapi2.adapt import PLAIN
from clusterdb.dbapi2.base import BaseConnection, BaseCursor, RowFactory, state_of
from clusterdb.dbapi2.columns import Column, typed_columns
from clusterdb.dbapi2.convert import conversions_of, converted, loaded, run
from clusterdb.dbapi2.row import Row
from clusterdb.dbapi2.state import ConnectionState, Loop, end_loop
from clusterdb.dbapi2.statements import Description, Parameters, Plan, bound, described, raise_if_unsupported
from clusterdb.errors import DatabaseError, DataError, ProgrammingError

if TYPE_CHECKING:
    from clusterdb.flavours import Translation

__all__ = ["Cursor"]

_END = (None,)
_UNCHECKED_ROWS = 255
_NO_PLANS: dict[str, Plan] = {}
"""Always empty."""
_first = itemgetter(0)


def _ahead(rows: Iterable[Any]) -> Iterator[Any]:
    """The same rows: before one is returned, the next one is read."""
    return map(_first, pairwise(chain(rows, _END)))


class _Busy:
    """Entered while the caller's code (a converter, an adapter, an iterator of parameters) runs inside of a cursor.

    The cursor refuses to be used meanwhile.  The exception that this code has raised is remembered: it is raised as it
    is, not translated.  ``user``: the thread that may use the cursor now; None meanwhile.
    """

    __slots__ = ("_raised", "_thread", "user")

    def __init__(self, thread: int) -> None:
        self._thread = thread
        self.user: int | None = thread
        self._raised: Exception | None = None

    def __enter__(self) -> None:
        self.user = None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.user = self._thread
        self._raised = value if isinstance(value, Exception) else None

    def require_none(self) -> None:
        if self.user is None:
            raise ProgrammingError("Recursive use of cursors not allowed.")

    def note(self, error: Exception) -> None:
        """Remember an exception of the caller's code that ran while the cursor could be used."""
        self._raised = error

    def has_raised(self, error: Exception) -> bool:
        """Whether the caller's code has raised this exception; asked once."""
        raised, self._raised = self._raised, None
        return raised is error


class Cursor(BaseCursor):
    """A cursor of a :class:`Connection`; ``connection.cursor()`` creates one."""

    arraysize = 1
    """The number of rows that :meth:`fetchmany` returns by default."""
    rowcount = -1
    """The number of rows that the last INSERT, UPDATE, DELETE or REPLACE has changed; -1 for other statements."""
    lastrowid: int | None = None
    """The row id of the last row that INSERT or REPLACE has inserted."""

    _connection: BaseConnection | None = None
    _state: ConnectionState
    _db: apsw.Connection
    _cursor: apsw.Cursor
    _row_factory: RowFactory | None = None
    _plans = _NO_PLANS
    _loop: Loop | None = None
    _plan: Plan | None = None
    _rows: Iterator[Any] | None = None
    """None: the statement has been executed, and nothing has been read."""
    _description: Description | None = None
    """Set with the rows."""
    _busy: _Busy | None = None

    def __init__(self, connection: BaseConnection, /) -> None:
        if not isinstance(connection, BaseConnection):
            raise TypeError(f"Cursor() argument 1 must be Connection, not {type(connection).__name__}")
        state = state_of(connection)
        state.check()
        if self._busy is not None:
            self._check_unused()
        self._busy = _Busy(state.thread)
        self._connection, self._state = connection, state
        self._db = state.db
        self._cursor = state.db.cursor()
        self._run = self._cursor.execute
        self._is_autocommit, self._changes, self._last_id = state.is_autocommit, state.changes, state.last_id
        self._plans = state.plain
        self._rows = self._plan = self._description = None
        self._row_factory = self.lastrowid = None  # read for every row: an instance's attributes are found faster
        self.rowcount = -1

    @property
    def connection(self) -> BaseConnection:
        """The :class:`Connection` of the cursor, also when either is closed."""
        if self._connection is None:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        return self._connection

    def _check(self) -> ConnectionState:
        if self._connection is None:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        self._state.check()
        if self._run is None:
            raise ProgrammingError("Cannot operate on a closed cursor.")
        self._check_unused()
        return self._state

    def _check_unused(self) -> None:
        """End the loop over the rows; raises ProgrammingError if the cursor is running something."""
        assert self._busy is not None
        self._busy.require_none()
        if self._loop is not None:
            end_loop(self._loop)
            if self._loop is not None:
                raise ProgrammingError("Recursive use of cursors not allowed.")

    def close(self) -> None:
        """Close the cursor; it cannot be used afterwards."""
        if self._connection is None:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        self._state.check()
        self._check_unused()
        self._cursor.close(True)
        self._plans, self._rows, self._run = _NO_PLANS, None, None  # type: ignore[assignment]

    # --- executing --------------------------------------------------------------------------------------------------
    def execute(self, sql: str, parameters: Parameters = (), /) -> Cursor:
        """Run one statement; ``parameters`` is a sequence for ``?``, a mapping for ``:name``.

        Raises the errors of PEP 249.
        """
        try:
            plan = self._plans[sql]
        except (KeyError, TypeError):  # new, or not plain; not hashable, so not a str
            plan = None
        if plan is None or self._busy.user != get_ident():  # type: ignore[union-attr]
            plan = self._planned(sql)
            if not plan.is_plain or self._state.converts:
                return self._execute_any(plan, parameters)
        self._plan = plan
        self._rows = None
        try:
            if plan.may_begin:
                call: Callable[[], int] = self._is_autocommit  # called faster by a local name than as an attribute
                if call():
                    self._state.begin_before(plan)
            if type(parameters) is not tuple:
                parameters = self._bound(plan, parameters)
            elif plan.count == 1 and parameters:
                if type(parameters[0]) not in PLAIN:
                    parameters = self._bound(plan, parameters)
            else:
                for value in parameters:
                    if type(value) not in PLAIN:
                        parameters = self._bound(plan, parameters)
                        break
            run = self._run
            run(plan.sql, parameters)
            if plan.is_insert:
                call = self._changes
                self.rowcount = call()
                call = self._last_id
                self.lastrowid = call()
            elif plan.is_dml:
                call = self._changes
                self.rowcount = call()
            else:
                self.rowcount = -1
        except Exception as error:
            self._fail_to_execute(error, plan, parameters)
        return self

    def _execute_any(self, plan: Plan, parameters: Parameters) -> Cursor:
        """Run a statement that is not plain, or whose rows are converted."""
        self._plan = plan
        self._rows = None
        self.rowcount = -1
        if plan.changes_schema:
            self._state.schema_changes()
        elif plan.rolls_back:
            self._state.rolls_back()
        try:
            if plan.may_begin and not self._db.in_transaction:
                self._state.begin_before(plan)
            if plan.is_named or type(parameters) is not tuple or not PLAIN.issuperset(map(type, parameters)):
                parameters = self._bound(plan, parameters)
            self._run_any(plan, parameters)
        except Exception as error:
            self._fail_to_execute(error, plan, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Cursor:
        """Run a statement that writes, for each of many ``parameters``.

        Raises the errors of PEP 249; changes before the error stay in the open transaction.
        """
        plan = self._planned(sql)
        state = self._check()
        if plan.is_readonly:
            self._forget_rows()
            raise ProgrammingError("executemany() can only execute DML statements.")
        rows = iter(parameters)
        if plan.changes_schema:
            state.schema_changes()
        self._end()  # also if there is no row of parameters
        self._plan, self._rows, self._description = plan, iter(()), None
        self.rowcount = 0 if plan.is_dml else -1
        values: Any = ()
        try:
            if plan.may_begin and not self._db.in_transaction:
                state.begin_before(plan)
            run, changes, text = self._run, self._db.changes, plan.sql
            for values in self._checked(rows):
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
        state = self._check()
        if not isinstance(script, str):
            raise TypeError(f"executescript() argument must be str, not {type(script).__name__}")
        if "\0" in script:
            raise ValueError("embedded null character")
        state.before_script()
        state.schema_changes()
        if state.session is None and len(script.encode()) > self._db.limit(apsw.SQLITE_LIMIT_SQL_LENGTH):
            raise DataError("query string is too large")
        self._plan, self._rows, self._description = None, iter(()), None
        try:
            state.execute_script(script, lambda text: deque(self._cursor.execute(text), maxlen=0))
        except Exception as error:
            self._fail(error)
        return self

    def setinputsizes(self, sizes: object, /) -> None:
        """Required by PEP 249; does nothing."""

    def setoutputsize(self, size: object, column: object = None, /) -> None:
        """Required by PEP 249; does nothing."""

    def _planned(self, sql: str) -> Plan:
        state = self._check()
        if not isinstance(sql, str):
            raise TypeError(f"execute() argument 1 must be str, not {type(sql).__name__}")
        try:
            return state.planned(sql)
        except Exception:
            self._forget_rows()
            raise

    def _forget_rows(self) -> None:
        """Forget the last statement: the cursor has no columns and no rows."""
        self._plan = self._description = None
        self.rowcount = -1
        self._end()

    def _end(self) -> None:
        """End the statement that is being read, so that it holds nothing."""
        self._rows = iter(())
        with suppress(apsw.Error):  # in use, or closed
            self._cursor.close(True)
            self._cursor = self._db.cursor()
            self._run = self._cursor.execute

    def _bound(self, plan: Plan, parameters: object) -> tuple[apsw.SQLiteValue, ...]:
        assert self._busy is not None
        with self._busy:
            values = bound(plan, parameters)
        self._state.check()  # an adapter may have closed it
        return values

    def _checked(self, rows: Iterator[Any]) -> Iterator[Any]:
        """The parameters of each row; the iterator that yields them may not use the cursor."""
        assert self._busy is not None
        while True:
            with self._busy:
                values = next(rows, _END)
            if values is _END:
                return
            yield values

    def _fail_to_execute(self, error: Exception, plan: Plan, parameters: object) -> NoReturn:
        self._plan = self._description = None
        self.rowcount = -1
        try:
            self._fail(error, plan, parameters)
        finally:
            del error  # as in _fail()

    def _fail(self, error: Exception, plan: Plan | None = None, parameters: object = ()) -> NoReturn:
        """End the statement, and raise the public error for one of apsw's; one of the caller's code as it is."""
        assert self._busy is not None
        self._end()
        self._state.failed()
        try:
            if self._busy.has_raised(error):
                raise error
            if isinstance(error, apsw.CursorClosedError):
                self._state.check()  # perhaps because the connection was closed
            if plan is not None and isinstance(error, apsw.BindingsError):
                bound(plan, parameters)  # raises it with the text of sqlite3
            if plan is not None and isinstance(error, UnicodeDecodeError) and plan.columns:
                raise undecodable(error, plan.columns[0][0] if len(plan.columns) == 1 else "?") from None
            raise self._state.coded(translated(error), plan, parameters) from error.__cause__
        finally:
            del error  # else the frame and the error hold each other, and the query lives until they are collected

    @property
    def row_factory(self) -> RowFactory | None:
        """Makes a row of (cursor, tuple); None for tuples."""
        return self._row_factory

    @row_factory.setter
    def row_factory(self, factory: RowFactory | None) -> None:
        self._row_factory = factory
        if self._loop is not None:
            end_loop(self._loop)

    # --- rows -------------------------------------------------------------------------------------------------------
    def _run_any(self, plan: Plan, parameters: Any) -> None:
        """Run a statement that takes several steps, or whose rows are converted or have to be read at once."""
        state = self._check()
        if plan.steps is not None:
            self._run_steps(plan.steps, parameters)
            return
        if plan.is_query and state.converts:
            is_raw = run(state, self._cursor, plan, parameters)
            self._convert(plan, _ahead(self._cursor), is_raw)
            self._load(plan)
            return
        self._run(plan.sql, parameters)
        if plan.has_columns and not plan.is_query:
            self._take_all(plan)
        elif plan.loaders:
            self._description = self._columns_now(plan) or self._cut(plan.columns)
            self._rows = _ahead(self._cursor)
            self._load(plan)
        if plan.is_dml:
            self.rowcount = self._db.changes()
            if plan.is_insert:
                self.lastrowid = self._db.last_insert_rowid()

    def _run_steps(self, translation: Translation, parameters: Any) -> None:
        """Run a statement of another engine that takes several of SQLite's."""
        session = self._state.session
        assert session is not None
        try:
            session.execute(translation, lambda text: self._db.execute(text, parameters).fetchall())
        except apsw.SQLError as error:
            raise_if_unsupported(error, translation)
            raise
        self._state.follow_session()

    def _take_all(self, plan: Plan) -> None:
        self._description = self._columns_now(plan) or self._cut(plan.columns)
        rows = self._cursor.fetchall()
        self._rows = iter(rows)
        if self._state.converts:
            self._convert(plan, self._rows)
        self._load(plan)

    def _load(self, plan: Plan) -> None:
        """Make the values of the engine's types of those in the rows."""
        if plan.loaders:
            assert self._rows is not None
            self._rows = loaded(self._rows, plan.loaders)

    def _convert(self, plan: Plan, rows: Iterator[tuple[Any, ...]], is_raw: bool = False) -> None:
        """Convert the rows of a statement that has been run, by its columns as they are now."""
        assert self._busy is not None
        now = self._state.replanned(plan)
        self._rows = converted(self._state, rows, conversions_of(self._state, now), is_raw, self._busy)
        self._description = self._cut(now.columns)

    def _columns_now(self, plan: Plan) -> Description | None:
        """The columns of the running statement, which may differ from when it was planned; None if it is over."""
        try:
            columns = self._cursor.description
        except (apsw.ExecutionCompleteError, apsw.CursorClosedError):
            return None
        return self._cut(plan.columns if columns == plan.raw_columns else described(column[0] for column in columns))

    def _cut(self, description: Description) -> Description:
        """Names without the types in brackets, if PARSE_COLNAMES is set."""
        if not self._state.detects_names:
            return description
        return described(column[0].split(" [")[0].rstrip() or column[0] for column in description)

    @property
    def description(self) -> Description | None:
        """For each column of the last statement its name and six times None; None if it returned none."""
        if self._rows is not None or self._loop is not None:
            return self._description
        return self._seen_columns(self._plan) if self._plan is not None and self._plan.has_columns else None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the last statement with their types; empty if it returned none.

        Not part of PEP 249.  It prepares the statement again, so it costs nothing unless it is read.
        """
        state = self._check()
        names = self._names()
        return typed_columns(state, self._plan, names) if self._plan is not None and names else ()

    def _seen_columns(self, plan: Plan) -> Description:
        """The names of the columns that the statement was run with.

        The schema may have changed since it was planned.  A statement without rows is over and does not say with
        which columns it was run: it is planned again, unless this connection has changed the schema meanwhile.
        """
        columns = self._columns_now(plan)
        if columns is None and self._state.opened is not None and plan.generation == self._state.generation:
            with suppress(DatabaseError):  # the table was dropped, or the store closed: they keep their names
                columns = self._cut(self._state.replanned(plan).columns)
        return self._cut(plan.columns) if columns is None else columns

    def _seen(self) -> bool:
        """Prepare to read the rows of the running query, and return whether there is one."""
        self._description = self.description
        if self._description is None:
            self._rows = iter(())
        return self._description is not None

    def _ready(self) -> Iterator[Any]:
        """The remaining rows, read one ahead; converted if a text factory was set after the query was executed."""
        state = self._check()
        if self._rows is None and self._seen():
            self._rows = _ahead(self._cursor)
        assert self._rows is not None and self._busy is not None
        if not state.is_plain and type(self._rows) is not GeneratorType:
            columns = [(name, None) for name in self._names()]
            self._rows = converted(state, self._rows, columns, False, self._busy)
        return self._rows

    def fetchone(self) -> Any:
        """The next row; None after the last."""
        rows = self._rows
        if rows is None or self._busy.user != get_ident() or not self._state.is_plain:  # type: ignore[union-attr]
            rows = self._ready()
        try:
            for row in rows:
                return row if self._row_factory is None else self._made(row)
        except Exception as error:
            self._fail(error, self._plan)
        self._check()
        return None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Up to ``size`` rows (by default :attr:`arraysize`).

        As in ``sqlite3``, all remaining rows if ``size`` is 0 or less.
        """
        rows = self._ready()
        row_count = self.arraysize if size is None else size
        try:
            return self._all_made(islice(rows, row_count if row_count > 0 else None))
        except Exception as error:
            self._fail(error, self._plan)

    def fetchall(self) -> list[Any]:
        """All remaining rows."""
        state = self._check()
        try:
            if self._rows is None and state.is_plain and self._seen():
                rows = self._cursor.fetchall()
                self._rows = iter(())
                return rows if self._row_factory is None else self._all_made(rows)
            return self._all_made(self._ready())
        except Exception as error:
            self._fail(error, self._plan)

    def __iter__(self) -> Iterator[Any]:
        is_unread = self._plan is not None and self._rows is None and self._loop is None and self._run is not None
        if is_unread and self._row_factory is None and self._state.is_plain and self._state.thread == get_ident():
            return self._begun_loop()
        return self._remaining()

    def _begun_loop(self) -> Iterator[Any]:
        """The rows of a query of which nothing has been read, for a loop."""
        self._seen()
        rows = self._looped()
        next(rows)
        self._loop = ref(rows)
        self._state.loops.add(self._loop)
        self._plans = _NO_PLANS  # execute() ends the loop
        return rows

    def _looped(self) -> Generator[Any, bool | None, None]:
        """First None, then the rows.  The loop looks at nothing else: whatever it has to know sends it True.

        Only the thread is looked at now and then: after 1, 2, 4, ... rows, later after every 256.
        """
        cursor, thread, count = self._cursor, self._state.thread, 0
        row: Any = None
        following: Any = _END
        try:
            is_ended = (yield None) is not None
            if not is_ended:
                row = following = next(cursor, None)
            while not (row is None or is_ended or thread != get_ident()):
                for following in islice(cursor, count):
                    if (yield row) is not None:
                        row, is_ended = following, True
                        break
                    row = following
                else:
                    following = next(cursor, None)
                    is_ended = (yield row) is not None
                    row = following
                count = min(2 * count + 1, _UNCHECKED_ROWS)
        except GeneratorExit:
            self._leave_loop(cursor, following)
            raise
        except BaseException as error:
            self._leave_loop(cursor, None)
            if isinstance(error, Exception):
                self._fail(error, self._plan)
            raise
        self._leave_loop(cursor, row if following is not _END else _END)
        if is_ended:
            yield None  # to the sender
        yield from self._remaining()

    def _leave_loop(self, cursor: apsw.Cursor, row: tuple[Any, ...] | None) -> None:
        """Continue without the loop from a row that was read ahead: None after the last, ``_END`` before the first."""
        assert self._loop is not None
        self._state.loops.discard(self._loop)
        self._loop, self._plans = None, self._state.plain
        if row is not _END:
            self._rows = iter(()) if row is None else _ahead(chain((row,), cursor))

    def _remaining(self) -> Iterator[Any]:
        """The remaining rows; those of the new statement, if another is executed meanwhile."""
        rows = self._ready()
        state, thread = self._state, self._state.thread
        while True:
            is_converted = type(rows) is GeneratorType
            try:
                for row in rows:
                    yield row if self._row_factory is None else self._made(row)
                    if self._rows is not rows or thread != get_ident():
                        break
                    if not state.is_plain and (state.opened is None or not is_converted):
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
                return row if self._row_factory is None else self._made(row)
        except Exception as error:
            self._fail(error, self._plan)
        raise StopIteration

    def _made(self, row: tuple[Any, ...]) -> Any:
        factory = self._row_factory
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
        if self._row_factory is None:
            return list(rows)
        if self._row_factory is Row:
            names = self._names()
            return [Row.of(names, row) for row in rows]
        return [self._made(row) for row in rows]

    def _names(self) -> tuple[str, ...]:
        return tuple(column[0] for column in self.description or ())
