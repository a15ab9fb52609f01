"""Connections: PEP 249's, with everything that CPython's ``sqlite3`` has, over a connection of apsw's."""

from __future__ import annotations

import inspect
import math
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import apsw

from clusterdb import errors
from clusterdb.cluster import Cluster
from clusterdb.dbapi2 import callbacks
from clusterdb.dbapi2.adapt import bytes_of
from clusterdb.dbapi2.blob import Blob
from clusterdb.dbapi2.cursor import Cursor
from clusterdb.dbapi2.deprecated import becoming_keyword_only, becoming_positional
from clusterdb.dbapi2.dump import iterdump
from clusterdb.dbapi2.opening import Mode, Opened, close_collected, opened
from clusterdb.dbapi2.statements import Plan, plan_of, plan_of_translation, require_said
from clusterdb.errors import ProgrammingError
from clusterdb.store import Store
from clusterdb.translate import translated, translating
from clusterdb.untrusted import Limits

if TYPE_CHECKING:
    from clusterdb.flavours import EngineSession

__all__ = ["LEGACY_TRANSACTION_CONTROL", "PARSE_COLNAMES", "PARSE_DECLTYPES", "Connection"]

PARSE_DECLTYPES, PARSE_COLNAMES = 1, 2
LEGACY_TRANSACTION_CONTROL = -1
F = TypeVar("F", bound=Callable[..., Any])
_ISOLATION_LEVELS = ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")
_PLANS_MAX = 1024
_SHORT = 1000
"""Texts of so many letters need not be looked at whether they are too long."""


def _nobody() -> int:
    return 0


def _has_signature(*names: str) -> Callable[[F], F]:
    """A method whose arguments, positional only, are shown as these."""

    def decorated(method: F) -> F:
        parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
        method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return method

    return decorated


def _let_go(opened: Opened, pid: int) -> None:
    """Close what nobody closed."""
    if os.getpid() == pid:
        close_collected(opened)


class Connection:
    """A connection to a cluster; :func:`clusterdb.connect` makes one.

    ``row_factory``: what rows are given as, for cursors made from now on; None for tuples, or :class:`Row`.
    """

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    _opened: Opened | None = None
    _db: apsw.Connection = None  # type: ignore[assignment]
    _thread = 0
    _ident: Callable[[], int] = staticmethod(_nobody)
    _is_initialized = False
    _autocommit: bool | int = LEGACY_TRANSACTION_CONTROL
    _is_plain = False
    """Whether it is open, and gives texts as str: what reads rows need not ask anything else."""

    @becoming_keyword_only
    def __init__(
        self,
        database: str | bytes | os.PathLike[str] | Cluster,
        timeout: float = 5.0,
        detect_types: int = 0,
        isolation_level: str | None = "",
        check_same_thread: bool = True,
        factory: Callable[..., Any] | None = None,  # connect() has looked at it
        cached_statements: int = 128,
        uri: bool = False,
        *,
        autocommit: bool | int = LEGACY_TRANSACTION_CONTROL,
        store: Store | str | os.PathLike[str] | None = None,
        endpoint: str = "writer",
        create: bool = False,
        mode: Mode | None = None,
        trusted: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self._is_initialized = self._is_plain = False
        self._opened = None  # if it is initialized again, cursors keep what they have
        sys.audit("clusterdb.connect", database)
        level = _checked_level(isolation_level)
        _check_autocommit(autocommit)
        timeout_ms = _milliseconds(timeout)
        with translating():
            self._opened = opened(
                database,
                uri=uri,
                store=store,
                endpoint=endpoint,
                create=create,
                mode=mode,
                cached_statements=cached_statements,
                trusted=trusted,
                limits=limits,
            )
        self._finalizer = weakref.finalize(self, _let_go, self._opened, os.getpid())
        self._db = self._opened.db
        self._trusted, self._limits = trusted, limits
        self._session = _session_for(self._opened)
        if self._session is not None:
            from clusterdb.flavours.schema import Known

            self._schema = Known()
        self._plans: dict[str, Plan] = {}
        self._detects_declared = bool(detect_types & PARSE_DECLTYPES)
        self._detects_names = bool(detect_types & PARSE_COLNAMES)
        self._cursors: weakref.WeakSet[Cursor] = weakref.WeakSet()
        self._blobs: weakref.WeakSet[Blob] = weakref.WeakSet()
        if check_same_thread:
            self._thread, self._ident = threading.get_ident(), threading.get_ident
        self.row_factory: Callable[[Any, tuple[Any, ...]], Any] | None = None
        self.text_factory = str
        self._db.set_busy_timeout(timeout_ms)
        self._isolation_level = level
        self._autocommit = autocommit
        self._begin_sql = self._chosen_begin()
        self._tell_session()
        self._is_initialized = True
        if autocommit is False:
            self._db.execute("BEGIN")

    def __repr__(self) -> str:
        what = "closed" if self._opened is None else self._opened.cluster or self._db.filename
        return f"<clusterdb.Connection to {what!r}>"

    def __del__(self) -> None:
        if self._opened is not None and sys.version_info >= (3, 13):
            warnings.warn(f"unclosed database in {self!r}", ResourceWarning, source=self, stacklevel=2)

    def _check(self) -> None:
        """Raises ProgrammingError unless it is open, and this is its thread."""
        if self._thread != self._ident():
            raise ProgrammingError(
                "SQLite objects created in a thread can only be used in that same thread. The object was created in "
                f"thread id {self._thread} and this is thread id {threading.get_ident()}."
            )
        self._check_open()

    def _check_open(self) -> None:
        """Raises ProgrammingError unless it is open; for what ``sqlite3`` allows in any thread."""
        if not self._is_initialized:
            raise ProgrammingError("Base Connection.__init__ not called.")
        if self._opened is None:
            raise ProgrammingError("Cannot operate on a closed database.")
        try:
            self._db.in_transaction  # noqa: B018 - fails if the store has closed it
        except apsw.ConnectionClosedError as error:
            raise translated(error) from None

    # --- what it is connected to ------------------------------------------------------------------------------------
    @property
    def cluster(self) -> Cluster | None:
        """The cluster; None for a plain file."""
        self._check()
        return self._opened.cluster if self._opened is not None else None

    @property
    def apsw(self) -> apsw.Connection:
        """The connection underneath: all of SQLite, see https://rogerbinns.github.io/apsw/connection.html."""
        self._check()
        return self._db

    @property
    def text_factory(self) -> Any:
        """What makes of the bytes of a text what is given: ``str``, ``bytes``, or a function.

        It counts from the next row on, of statements that are being read too; those that were run when it was ``str``
        know their texts only if they are valid.
        """
        return self._text_factory

    @text_factory.setter
    def text_factory(self, factory: Callable[[bytes], Any]) -> None:
        self._text_factory = factory
        self._converts = factory is not str or self._detects_names or self._detects_declared
        self._is_plain = factory is str and self._opened is not None

    # --- cursors ----------------------------------------------------------------------------------------------------
    def cursor(self, factory: Callable[[Connection], Any] = Cursor) -> Any:
        """A new cursor."""
        self._check()
        cursor = factory(self)
        if not issubclass(type(cursor), Cursor):
            raise TypeError(f"factory must return a cursor, not {type(cursor).__name__}")
        if self.row_factory is not None:
            cursor.row_factory = self.row_factory
        return cursor

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """:meth:`Cursor.execute` of a new cursor, which it gives."""
        return self.cursor().execute(sql, parameters)  # type: ignore[no-any-return]

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """:meth:`Cursor.executemany` of a new cursor, which it gives."""
        return self.cursor().executemany(sql, parameters)  # type: ignore[no-any-return]

    def executescript(self, script: str, /) -> Cursor:
        """:meth:`Cursor.executescript` of a new cursor, which it gives."""
        return self.cursor().executescript(script)  # type: ignore[no-any-return]

    @_has_signature("self", "sql")
    def __call__(self, *arguments: str) -> Plan:  # a closed connection says so first
        """The prepared statement, for what CPython's ``sqlite3`` offers it: to learn whether it can be prepared."""
        self._check()
        (sql,) = arguments
        if not isinstance(sql, str):
            raise TypeError(f"argument 1 must be str, not {type(sql).__name__}")
        return self._planned(sql)

    def _planned(self, sql: str) -> Plan:
        if self._session is not None:
            return self._planned_of_flavour(self._session, sql)
        plan = self._plans.get(sql)
        if plan is None:
            with translating():
                plan = plan_of(self._db, sql)
            if len(self._plans) >= _PLANS_MAX:
                self._plans.clear()
            self._plans[sql] = plan
        return plan

    def _planned_of_flavour(self, session: EngineSession, sql: str) -> Plan:
        """The plan of a statement in another engine's words, as long as the schema is what it was made for."""
        if len(sql) > _SHORT and len(sql.encode()) > self._db.limit(apsw.SQLITE_LIMIT_SQL_LENGTH):
            raise errors.DataError("query string is too large")
        with translating():
            self._schema.refresh(self._db, session.flavour)
            plan = self._schema.plans.get(sql)
            if plan is None:
                plan = self._plan_of_flavour(session, sql)
                if len(self._schema.plans) >= _PLANS_MAX:
                    self._schema.plans.clear()
                self._schema.plans[sql] = plan
        return plan

    def _replanned(self, plan: Plan) -> Plan:
        """The plan as the schema is now."""
        with translating():
            return plan_of(self._db, plan.sql)

    def _plan_of_flavour(self, session: EngineSession, sql: str) -> Plan:
        """The plan of a statement in another engine's words.  Raises NotSupportedError."""
        made = session.translate(sql, self._schema.schema)
        try:
            return plan_of_translation(self._db, made)
        except apsw.SQLError as error:
            require_said(error, made, sql)
            raise

    def _begin_unless_autocommit(self) -> None:
        """Begin a transaction, where another engine's SET autocommit has said that statements do not commit."""
        if not self._db.in_transaction and self._session is not None and not self._session.autocommit:
            self._db.execute("BEGIN")

    def _follow_session(self) -> None:
        """Let statements commit, or not, as another engine's SET autocommit has said."""
        assert self._session is not None
        if self._session.autocommit is (self._autocommit is False):
            self._autocommit = self._session.autocommit
            self._begin_sql = None

    def _tell_session(self) -> None:
        if self._session is not None:
            self._session.autocommit = self._autocommit is not False

    def _execute_script(self, script: str, run: Callable[[str], object]) -> None:
        """Have a script run, with what SQLite is to run for it."""
        if self._session is None:
            run(script)
        else:
            self._session.execute_script(script, run)

    # --- transactions -----------------------------------------------------------------------------------------------
    @property
    def isolation_level(self) -> str | None:
        """What a transaction is begun with before a writing statement: "", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"; None:
        none is begun."""
        self._check_open()
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self._isolation_level = _checked_level(level)
        self._begin_sql = self._chosen_begin()
        if level is None:
            self.commit()

    @property
    def autocommit(self) -> bool | int:
        """True: SQLite's autocommit; False: always in a transaction (PEP 249); LEGACY_TRANSACTION_CONTROL: as
        ``isolation_level`` says."""
        self._check()
        return self._autocommit

    @autocommit.setter
    def autocommit(self, autocommit: bool | int) -> None:
        self._check()
        _check_autocommit(autocommit)
        if autocommit is True:
            self._end("COMMIT")
        elif autocommit is False and not self._db.in_transaction:
            with translating():
                self._db.execute("BEGIN")
        self._autocommit = autocommit
        self._begin_sql = self._chosen_begin()
        self._tell_session()

    def _chosen_begin(self) -> str | None:
        if self._autocommit is True or self._autocommit is False or self._isolation_level is None:
            return None
        return f"BEGIN {self._isolation_level}"

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        self._check_open()
        return self._db.in_transaction

    @property
    def total_changes(self) -> int:
        """Rows changed since the connection was made."""
        self._check_open()
        return self._db.total_changes()

    def commit(self) -> None:
        """Commit the open transaction, if there is one.  Raises OperationalError."""
        self._check()
        if self._autocommit is not True:
            self._end("COMMIT")
            self._begin_again()

    def rollback(self) -> None:
        """Undo the open transaction, if there is one.  Raises OperationalError."""
        self._check()
        if self._autocommit is not True:
            self._end("ROLLBACK")
            self._begin_again()

    def _end(self, how: str) -> None:
        if self._db.in_transaction:
            with translating():
                self._db.execute(how)

    def _begin_again(self) -> None:
        if self._autocommit is False:
            with translating():
                self._db.execute("BEGIN")

    def _before_script(self) -> None:
        if self._autocommit == LEGACY_TRANSACTION_CONTROL and self._autocommit is not False:
            self._end("COMMIT")

    def __enter__(self) -> Connection:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """Commit, or undo after an exception; it stays open."""
        if kind is not None:
            self.rollback()
            return False
        try:
            self.commit()
        except BaseException:
            if self.in_transaction:
                self.rollback()
            raise
        return False

    def close(self) -> None:
        """Close it; what is not committed is undone.  Closing twice does no harm."""
        if self._thread != self._ident():
            self._check()
        if not self._is_initialized and self._opened is None and not hasattr(self, "_finalizer"):
            raise ProgrammingError("Base Connection.__init__ not called.")
        was, self._opened, self._is_plain = self._opened, None, False
        if was is None:
            return
        self._plans.clear()
        if self._autocommit is False:
            with suppress(apsw.Error):  # closing undoes it too: this is for who watches
                self._end("ROLLBACK")
        self._db = None  # type: ignore[assignment]
        for blob in list(self._blobs):
            blob._forget()
        with translating():
            self._finalizer()

    def interrupt(self) -> None:
        """Let running statements fail, from any thread."""
        if self._opened is None:
            self._check()
        with translating():
            self._db.interrupt()

    # --- callbacks --------------------------------------------------------------------------------------------------
    @becoming_positional("name", "narg", "func")
    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """Make a function of SQL; ``narg`` -1 for any number of arguments, None as ``func`` to remove it."""
        self._check()
        with callbacks.creating():
            self._db.create_scalar_function(name, callbacks.function(func), narg, deterministic=deterministic)

    @becoming_positional("name", "n_arg", "aggregate_class")
    def create_aggregate(self, name: str, n_arg: int, aggregate_class: type[Any] | None) -> None:
        """Make an aggregate function of a class with ``step`` and ``finalize``."""
        self._check()
        with callbacks.creating():
            self._db.create_aggregate_function(name, callbacks.aggregate(aggregate_class), n_arg)

    def create_window_function(self, name: str, num_params: int, aggregate_class: type[Any] | None, /) -> None:
        """Make a window function of a class with ``step``, ``inverse``, ``value`` and ``finalize``."""
        self._check()
        with callbacks.creating(ProgrammingError):
            self._db.create_window_function(name, callbacks.window(aggregate_class), num_params)

    def create_collation(self, name: str, callable: Callable[[str, str], int] | None, /) -> None:
        """Make a collation of a function of two texts; None to remove it."""
        self._check()
        if callable is not None and not hasattr(callable, "__call__"):  # noqa: B004
            raise TypeError("parameter must be callable")
        with translating():
            self._db.create_collation(name, callbacks.collation(callable))

    @becoming_positional("authorizer_callback")
    def set_authorizer(self, authorizer_callback: Callable[..., int] | None) -> None:
        """Ask a function before anything is touched: SQLITE_OK, SQLITE_DENY or SQLITE_IGNORE."""
        self._check()
        self._plans.clear()
        self._db.set_authorizer(callbacks.authorizer(authorizer_callback))

    @becoming_positional("progress_handler")
    def set_progress_handler(self, progress_handler: Callable[[], object] | None, n: int) -> None:
        """Call a function every ``n`` instructions; the statement is interrupted if it answers something true."""
        self._check()
        self._db.set_progress_handler(callbacks.progress(progress_handler), n)

    @becoming_positional("trace_callback")
    def set_trace_callback(self, trace_callback: Callable[[str], object] | None) -> None:
        """Call a function with every statement that runs, its parameters filled in."""
        self._check()
        callbacks.set_trace(self._db, trace_callback)

    # --- blobs, copies ----------------------------------------------------------------------------------------------
    def blobopen(self, table: str, column: str, row: int, /, *, readonly: bool = False, name: str = "main") -> Blob:
        """Open a blob to be read and written in parts.  Raises OperationalError."""
        self._check()
        with translating():
            blob = Blob(self, self._db.blob_open(name, table, column, row, not readonly))
        self._blobs.add(blob)
        return blob

    def backup(
        self,
        target: Connection,
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], object] | None = None,
        name: str = "main",
        sleep: float = 0.250,
    ) -> None:
        """Copy the database ``name`` to another connection's, ``pages`` at a time.

        It waits ``sleep`` seconds in between.  ``progress`` is called with (status, remaining pages, pages in all).
        Raises OperationalError.
        """
        self._check()
        if not isinstance(target, Connection):
            raise TypeError(f"backup() argument 1 must be a Connection, not {type(target).__name__}")
        target._check_open()
        if target is self:
            raise ValueError("target cannot be the same connection instance")
        if progress is not None and not callable(progress):
            raise TypeError("progress argument must be a callable")
        with translating():
            if name != "main" and name not in self._db.db_names():
                raise errors.OperationalError(f"unknown database {name}")
            with target._db.backup("main", self._db, name) as backup:
                while not backup.done:
                    status = callbacks.step(backup, pages if pages else -1)
                    if progress is not None:
                        progress(status, backup.remaining, backup.page_count)
                    if status in (apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED):
                        time.sleep(sleep)

    def iterdump(self, *, filter: str | None = None) -> Iterator[str]:
        """The statements that make the database; only of tables whose name is LIKE ``filter``."""
        self._check_open()
        return iterdump(self, filter)

    def serialize(self, *, name: str = "main") -> bytes:
        """The database as the bytes of a file."""
        self._check()
        with translating():
            if name not in self._db.db_names():
                raise errors.OperationalError("unable to serialize '%s'" % name)  # noqa: UP031
            return self._db.serialize(name) or b""

    def deserialize(self, data: Any, /, *, name: str = "main") -> None:
        """Go over to a database in memory that has these bytes; the cluster stays as it is."""
        self._check()
        contents = bytes_of(data)
        with translating():
            if name not in self._db.db_names():
                raise errors.OperationalError(f"not an error: there is no database '{name}'")
            self._plans.clear()
            self._db.deserialize(name, contents)

    # --- the rest ---------------------------------------------------------------------------------------------------
    def getlimit(self, category: int, /) -> int:
        """A limit of the connection, by ``SQLITE_LIMIT_...``."""
        return self.setlimit(category, -1)

    def setlimit(self, category: int, limit: int, /) -> int:
        """Set a limit; the former one."""
        self._check()
        if category not in callbacks.LIMITS:
            raise ProgrammingError("'category' is out of bounds")
        return self._db.limit(category, limit)

    def getconfig(self, op: int, /) -> bool:
        """Whether a setting of the connection is on, by ``SQLITE_DBCONFIG_...``."""
        self._check()
        return bool(self._configured(op, -1))

    def setconfig(self, op: int, enable: bool = True, /) -> None:
        """Set a setting of the connection."""
        self._check()
        if bool(self._configured(op, int(enable))) != bool(enable):
            raise errors.OperationalError("Unable to set config")

    def _configured(self, op: int, value: int) -> int:
        if op not in callbacks.CONFIGURATIONS:
            raise ValueError(f"unknown config 'op': {op}")
        with translating():
            return self._db.config(op, value)

    def enable_load_extension(self, enable: bool, /) -> None:
        """Allow, or forbid, extensions to be loaded."""
        self._check()
        with translating():
            self._db.enable_load_extension(bool(enable))

    def load_extension(self, name: str, /, *, entrypoint: str | None = None) -> None:
        """Load an extension.  Raises OperationalError."""
        self._check()
        with translating():
            self._db.load_extension(name, entrypoint)

    def _is_utf8(self) -> bool:
        return bool(self._db.pragma("encoding") == "UTF-8")


def _milliseconds(timeout: float) -> int:
    """A timeout as SQLite wants it.  Raises TypeError for what is no number, ValueError for NaN."""
    if math.isnan(timeout):
        raise ValueError("timeout must be a number of seconds, not NaN")
    return int(max(0.0, min(float(timeout) * 1000, 2.0**31 - 1)))


def _session_for(opened: Opened) -> EngineSession | None:
    """What translates for a cluster of another engine; a connection to it gets the engine's functions."""
    if opened.engine == "sqlite":
        return None
    from clusterdb.flavours import session_of

    return session_of(opened.engine, opened.db)


def _checked_level(level: object) -> str | None:
    if level is None:
        return None
    if not isinstance(level, str):
        raise TypeError("isolation_level must be str or None")
    if str.upper(level) not in _ISOLATION_LEVELS:
        raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'")
    return str.upper(level)


def _check_autocommit(autocommit: object) -> None:
    if not isinstance(autocommit, bool) and autocommit != LEGACY_TRANSACTION_CONTROL:
        raise ValueError("autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL")
