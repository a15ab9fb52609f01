"""Connections: PEP 249's, with everything that CPython's ``sqlite3`` has, over a connection of apsw's."""

from __future__ import annotations

import inspect
import math
import os
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from threading import get_ident
from typing import Any, ParamSpec, TypeVar

import apsw

from clusterdb import errors
from clusterdb.access.translate import translating
from clusterdb.access.untrusted import Limits
from clusterdb.dbapi2 import callbacks
from clusterdb.dbapi2.adapt import Buffer, bytes_of
from clusterdb.dbapi2.base import BaseConnection, checked_autocommit, checked_level
from clusterdb.dbapi2.blob import Blob, release
from clusterdb.dbapi2.cursor import Cursor
from clusterdb.dbapi2.deprecated import becoming_keyword_only, becoming_positional
from clusterdb.dbapi2.dump import iterdump
from clusterdb.dbapi2.opening import Database, Mode, Opened, OpenOptions, StoreLike, close_collected, open_database
from clusterdb.dbapi2.state import LEGACY_TRANSACTION_CONTROL, ConnectionState
from clusterdb.dbapi2.statements import Parameters, Plan
from clusterdb.errors import ProgrammingError

__all__ = ["Connection"]

P = ParamSpec("P")
R = TypeVar("R")


def _has_signature(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A method whose arguments, positional only, are shown with these names."""

    def decorated(method: Callable[P, R]) -> Callable[P, R]:
        parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
        method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return method

    return decorated


def _close_unclosed(opened: Opened, pid: int) -> None:
    """Close the database of a connection that was garbage-collected, unless another process opened it."""
    if os.getpid() == pid:
        close_collected(opened)


class Connection(BaseConnection):
    """A connection to a cluster; :func:`clusterdb.connect` opens one.

    ``row_factory``: makes the rows of cursors that are created from now on; None for tuples, or :class:`Row`.
    """

    _close_database: Callable[[], object] | None = None
    """Also called when nobody closes the connection; None if no database was ever open."""

    @becoming_keyword_only
    def __init__(
        self,
        database: Database,
        timeout: float = 5.0,
        detect_types: int = 0,
        isolation_level: str | None = "",
        check_same_thread: bool = True,
        factory: Callable[..., Connection] | None = None,  # connect() has used it
        cached_statements: int = 128,
        uri: bool = False,
        *,
        autocommit: bool | int = LEGACY_TRANSACTION_CONTROL,
        store: StoreLike | None = None,
        endpoint: str = "writer",
        create: bool = False,
        mode: Mode | None = None,
        trusted: bool = True,
        limits: Limits | None = None,
    ) -> None:
        state = self._begin_opening()
        sys.audit("clusterdb.connect", database)
        level, autocommit = checked_level(isolation_level), checked_autocommit(autocommit)
        timeout_ms = _milliseconds(timeout)
        self._options = OpenOptions(
            uri=uri,
            store=store,
            endpoint=endpoint,
            create=create,
            mode=mode,
            cached_statements=cached_statements,
            trusted=trusted,
            limits=limits,
        )
        state.adopt(self._open(database), detect_types, is_bound_to_thread=check_same_thread)
        self._blobs: weakref.WeakSet[Blob] = weakref.WeakSet()
        self.row_factory = None
        state.db.set_busy_timeout(timeout_ms)
        state.set_autocommit(autocommit, level)
        state.is_initialized = True
        if autocommit is False:
            state.db.execute("BEGIN")

    def _begin_opening(self) -> ConnectionState:
        """The connection's own state, closed; if it is initialized again, its cursors keep it."""
        if "_state" not in self.__dict__:
            self._state = ConnectionState()
        self._state.begin_opening()
        return self._state

    def _open(self, database: Database) -> Opened:
        with translating():
            opened = open_database(database, self._options)
        self._close_database = weakref.finalize(self, _close_unclosed, opened, os.getpid())
        return opened

    def __repr__(self) -> str:
        opened = self._state.opened
        target = "closed" if opened is None else opened.cluster or opened.db.filename
        return f"<clusterdb.Connection to {target!r}>"

    def __del__(self) -> None:
        if self._state.opened is not None and sys.version_info >= (3, 13):
            warnings.warn(f"unclosed database in {self!r}", ResourceWarning, source=self, stacklevel=2)

    def close(self) -> None:
        """Close it; uncommitted changes are rolled back.  Closing twice is allowed."""
        state = self._state
        if state.thread != get_ident():
            state.check()
        if not state.is_initialized and state.opened is None and self._close_database is None:
            raise ProgrammingError("Base Connection.__init__ not called.")
        if state.release() is None:
            return
        state.forget_plans()
        if state.autocommit is False:
            with suppress(apsw.Error):  # closing rolls back too: this is for trace callbacks
                state.end("ROLLBACK")
        state.db = None  # type: ignore[assignment]
        for blob in list(self._blobs):
            release(blob)
        assert self._close_database is not None
        with translating():
            self._close_database()

    # --- cursors ----------------------------------------------------------------------------------------------------
    def cursor(self, factory: Callable[[Any], Any] = Cursor) -> Any:
        """A new cursor; ``factory`` makes it of the connection."""
        self._state.check()
        cursor = factory(self)
        if not issubclass(type(cursor), Cursor):
            raise TypeError(f"factory must return a cursor, not {type(cursor).__name__}")
        if self.row_factory is not None:
            cursor.row_factory = self.row_factory
        return cursor

    def execute(self, sql: str, parameters: Parameters = (), /) -> Cursor:
        """Run one statement with a new cursor, and return that; see :meth:`Cursor.execute`."""
        return self.cursor().execute(sql, parameters)  # type: ignore[no-any-return]

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Cursor:
        """Run a statement for each of many parameters with a new cursor, and return that."""
        return self.cursor().executemany(sql, parameters)  # type: ignore[no-any-return]

    def executescript(self, script: str, /) -> Cursor:
        """Run several statements with a new cursor, and return that; see :meth:`Cursor.executescript`."""
        return self.cursor().executescript(script)  # type: ignore[no-any-return]

    @_has_signature("self", "sql")
    def __call__(self, *arguments: str) -> Plan:  # the number of arguments is checked after the connection
        """The prepared statement, as in CPython's ``sqlite3``: it shows whether the text can be prepared."""
        self._state.check()
        (sql,) = arguments
        if not isinstance(sql, str):
            raise TypeError(f"argument 1 must be str, not {type(sql).__name__}")
        return self._state.planned(sql)

    # --- callbacks --------------------------------------------------------------------------------------------------
    @becoming_positional("name", "narg", "func")
    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """Create a function of SQL; ``narg`` -1: any number of arguments; ``func`` None: remove it."""
        self._state.check()
        with callbacks.creating():
            self._state.db.create_scalar_function(name, callbacks.function(func), narg, deterministic=deterministic)

    @becoming_positional("name", "n_arg", "aggregate_class")
    def create_aggregate(self, name: str, n_arg: int, aggregate_class: type | None) -> None:
        """Create an aggregate function from a class with ``step`` and ``finalize``."""
        self._state.check()
        with callbacks.creating():
            self._state.db.create_aggregate_function(name, callbacks.aggregate(aggregate_class), n_arg)

    def create_window_function(self, name: str, num_params: int, aggregate_class: type | None, /) -> None:
        """Create a window function from a class with ``step``, ``inverse``, ``value`` and ``finalize``."""
        self._state.check()
        with callbacks.creating(ProgrammingError):
            self._state.db.create_window_function(name, callbacks.window(aggregate_class), num_params)

    def create_collation(self, name: str, callable: Callable[[str, str], int] | None, /) -> None:
        """Create a collation from a function that compares two texts; None: remove it."""
        self._state.check()
        if callable is not None and not hasattr(callable, "__call__"):  # noqa: B004
            raise TypeError("parameter must be callable")
        with translating():
            self._state.db.create_collation(name, callbacks.collation(callable))

    @becoming_positional("authorizer_callback")
    def set_authorizer(self, authorizer_callback: Callable[..., int] | None) -> None:
        """Call a function before each access; it returns SQLITE_OK, SQLITE_DENY or SQLITE_IGNORE."""
        self._state.check()
        self._state.forget_plans()
        self._state.db.set_authorizer(callbacks.authorizer(authorizer_callback))

    @becoming_positional("progress_handler")
    def set_progress_handler(self, progress_handler: Callable[[], object] | None, n: int) -> None:
        """Call a function every ``n`` instructions; the statement is interrupted if it returns something true."""
        self._state.check()
        self._state.db.set_progress_handler(callbacks.progress(progress_handler), n)

    @becoming_positional("trace_callback")
    def set_trace_callback(self, trace_callback: Callable[[str], object] | None) -> None:
        """Call a function with every statement that runs, with its parameters filled in."""
        self._state.check()
        callbacks.set_trace(self._state.db, trace_callback)

    # --- blobs, copies ----------------------------------------------------------------------------------------------
    def blobopen(self, table: str, column: str, row: int, /, *, readonly: bool = False, name: str = "main") -> Blob:
        """Open a blob to read and write parts of it.  Raises OperationalError."""
        self._state.check()
        with translating():
            blob = Blob(self, self._state.db.blob_open(name, table, column, row, not readonly))
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

        It waits ``sleep`` seconds when a database is locked.  ``progress`` is called after each step with (status,
        remaining pages, pages in all).  Raises OperationalError.
        """
        self._state.check()
        if not isinstance(target, Connection):
            raise TypeError(f"backup() argument 1 must be a Connection, not {type(target).__name__}")
        target._state.check_open()
        if target is self:
            raise ValueError("target cannot be the same connection instance")
        if progress is not None and not callable(progress):
            raise TypeError("progress argument must be a callable")
        with translating():
            if name != "main" and name not in self._state.db.db_names():
                raise errors.OperationalError(f"unknown database {name}")
            with target._state.db.backup("main", self._state.db, name) as backup:
                while not backup.done:
                    status = callbacks.step(backup, pages if pages else -1)
                    if progress is not None:
                        progress(status, backup.remaining, backup.page_count)
                    if status in (apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED):
                        time.sleep(sleep)

    def iterdump(self, *, filter: str | None = None) -> Iterator[str]:
        """The statements that recreate the database; only for names that are LIKE ``filter``."""
        self._state.check_open()
        return iterdump(self, filter)

    def serialize(self, *, name: str = "main") -> bytes:
        """The database as the bytes of a file."""
        self._state.check()
        with translating():
            if name not in self._state.db.db_names():
                raise errors.OperationalError("unable to serialize '%s'" % name)  # noqa: UP031
            return self._state.db.serialize(name) or b""

    def deserialize(self, data: Buffer, /, *, name: str = "main") -> None:
        """Switch to a database in memory with these bytes; the cluster is not changed."""
        self._state.check()
        contents = bytes_of(data)
        with translating():
            if name not in self._state.db.db_names():
                raise errors.OperationalError(f"not an error: there is no database '{name}'")
            self._state.forget_plans()
            self._state.db.deserialize(name, contents)

    # --- limits, settings, extensions ---------------------------------------------------------------------------------
    def getlimit(self, category: int, /) -> int:
        """A limit of the connection, by ``SQLITE_LIMIT_...``."""
        return self.setlimit(category, -1)

    def setlimit(self, category: int, limit: int, /) -> int:
        """Set a limit, and return the former one."""
        self._state.check()
        if category not in callbacks.LIMITS:
            raise ProgrammingError("'category' is out of bounds")
        return self._state.db.limit(category, limit)

    def getconfig(self, op: int, /) -> bool:
        """Whether a setting of the connection is on, by ``SQLITE_DBCONFIG_...``."""
        self._state.check()
        return bool(self._configured(op, -1))

    def setconfig(self, op: int, enable: bool = True, /) -> None:
        """Switch a setting of the connection on or off.  Raises OperationalError."""
        self._state.check()
        if bool(self._configured(op, int(enable))) != bool(enable):
            raise errors.OperationalError("Unable to set config")

    def _configured(self, op: int, value: int) -> int:
        if op not in callbacks.CONFIGURATIONS:
            raise ValueError(f"unknown config 'op': {op}")
        with translating():
            return self._state.db.config(op, value)

    def enable_load_extension(self, enable: bool, /) -> None:
        """Allow or forbid loading of extensions."""
        self._state.check()
        with translating():
            self._state.db.enable_load_extension(bool(enable))

    def load_extension(self, name: str, /, *, entrypoint: str | None = None) -> None:
        """Load an extension.  Raises OperationalError."""
        self._state.check()
        with translating():
            self._state.db.load_extension(name, entrypoint)


def _milliseconds(timeout: float) -> int:
    """A timeout in SQLite's unit.  Raises TypeError for another type, ValueError for NaN."""
    if math.isnan(timeout):
        raise ValueError("timeout must be a number of seconds, not NaN")
    return int(max(0.0, min(float(timeout) * 1000, 2.0**31 - 1)))
