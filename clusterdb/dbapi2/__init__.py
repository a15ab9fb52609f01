"""DB-API 2.0 (PEP 249) for clusters, with everything that CPython's ``sqlite3`` offers: a drop-in replacement.

    import clusterdb.dbapi2 as sqlite3
    connection = sqlite3.connect("prod")          # a cluster of the default store
    connection = sqlite3.connect(":memory:")      # an anonymous cluster
    connection = sqlite3.connect("./app.db")      # a plain file

Source of its semantics: https://docs.python.org/3/library/sqlite3.html (Python 3.13), which it follows on every
Python that clusterdb supports.
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable
from typing import Any

import apsw

from clusterdb.dbapi2.adapt import PrepareProtocol, adapt, adapters, converters, register_adapter, register_converter
from clusterdb.dbapi2.blob import Blob
from clusterdb.dbapi2.callbacks import enable_callback_tracebacks
from clusterdb.dbapi2.connection import Connection
from clusterdb.dbapi2.cursor import Cursor
from clusterdb.dbapi2.deprecated import positional_is_used, removed_in_3_14
from clusterdb.dbapi2.opening import Database
from clusterdb.dbapi2.row import Row
from clusterdb.dbapi2.splitting import SplitConnection, SplitCursor
from clusterdb.dbapi2.state import LEGACY_TRANSACTION_CONTROL, PARSE_COLNAMES, PARSE_DECLTYPES, PARSE_ENGINE_TYPES
from clusterdb.errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
)

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Blob",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "LEGACY_TRANSACTION_CONTROL",
    "NotSupportedError",
    "OperationalError",
    "PARSE_COLNAMES",
    "PARSE_DECLTYPES",
    "PARSE_ENGINE_TYPES",
    "PrepareProtocol",
    "ProgrammingError",
    "Row",
    "SplitConnection",
    "SplitCursor",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "adapt",
    "adapters",
    "apilevel",
    "complete_statement",
    "connect",
    "converters",
    "enable_callback_tracebacks",
    "paramstyle",
    "register_adapter",
    "register_converter",
    "sqlite_version",
    "sqlite_version_info",
    "threadsafety",
]

apilevel = "2.0"
paramstyle = "qmark"
threadsafety = 1  # threads may share the module, not connections: apsw refuses concurrent use
dbapi2 = sys.modules[__name__]  # as sqlite3.dbapi2, after ``import clusterdb.dbapi2 as sqlite3``
_VERSIONS = {"version": "2.6.0", "version_info": (2, 6, 0)}
sqlite_version = apsw.sqlite_lib_version()
sqlite_version_info = tuple(map(int, sqlite_version.split(".")))


class _TypeObject:
    """A type object of PEP 249.  A column of SQLite has values of any type: its type code, None, equals all of them."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<type object {self._name}>"

    def __eq__(self, other: object) -> bool:
        return other is None or other is self

    def __hash__(self) -> int:
        return hash(None)


STRING, BINARY, NUMBER, DATETIME, ROWID = map(_TypeObject, ("STRING", "BINARY", "NUMBER", "DATETIME", "ROWID"))

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = memoryview


def DateFromTicks(ticks: float) -> datetime.date:
    """The local date of a time in seconds since 1970."""
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """The local time of the day of a time in seconds since 1970."""
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """The local date and time of a time in seconds since 1970."""
    return Timestamp(*time.localtime(ticks)[:6])


def connect(
    database: Database, *arguments: Any, factory: Callable[..., Connection] = Connection, **options: Any
) -> Connection:
    """Open a connection: ``connect(database, timeout=5.0, detect_types=0, isolation_level="", check_same_thread=True,
    factory=Connection, cached_statements=128, uri=False, *, autocommit=LEGACY_TRANSACTION_CONTROL, store=None,
    endpoint="writer", create=False, mode=None, trusted=True, limits=None)``.

    ``database``: a cluster's name, in the default store (``$CLUSTERDB_STORE``, else ``.clusterdb`` in the current
    directory or the nearest one above) or in ``store=`` (a :class:`Store` or its path); a ``clusterdb:`` URI (``file:``
    too, with ``uri=True``) as ``clusterdb:prod?store=./s&endpoint=reader&mode=ro``; ``":memory:"`` for an anonymous
    cluster, which ``file:name?mode=memory&cache=shared`` shares within a process; the path of a plain SQLite file (any
    name with a slash or a dot); or a :class:`Cluster`.

    ``timeout``: seconds to wait for a lock.  ``detect_types``: PARSE_DECLTYPES, PARSE_COLNAMES, PARSE_ENGINE_TYPES
    (booleans as bool and exact numbers as Decimal on clusters of other engines).  ``endpoint``: as for
    :meth:`Cluster.connect`.  ``create``: create the cluster, and the store, if they do not exist.  ``mode``: ``"ro"``,
    ``"rw"``, ``"rwc"`` (as ``create=True``; the default for a plain file), ``"memory"``.
    ``trusted=False``: for untrusted SQL, within ``limits``, see :meth:`Cluster.connect`.
    ``check_same_thread``: with False several threads may use a connection, one at a time.  ``autocommit``,
    ``isolation_level``, ``factory``, ``cached_statements``: as for ``sqlite3.connect``.

    Raises OperationalError (ClusterNotFoundError suggests the nearest name, NotAStoreError, ...), ProgrammingError,
    InvalidArgumentError for options that contradict each other.
    """
    if arguments:
        positional_is_used("sqlite3.connect")
    if len(arguments) > 4:
        factory = arguments[4]
    return factory(database, *arguments, **options)


def complete_statement(statement: str, /) -> bool:
    """Whether a text is one or more complete statements, the last ended by a semicolon."""
    return bool(apsw.complete(statement))


def __getattr__(name: str) -> Any:
    """SQLite's constants; and ``version`` and ``version_info``, which ``sqlite3`` has until Python 3.13."""
    if name in _VERSIONS and sys.version_info < (3, 14):
        removed_in_3_14(name)
        return _VERSIONS[name]
    if name.startswith("SQLITE_") and hasattr(apsw, name):
        return getattr(apsw, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
