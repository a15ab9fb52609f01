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
import os
import sys
import time
from typing import Any

import apsw

from clusterdb.dbapi2.adapt import PrepareProtocol, adapt, adapters, converters, register_adapter, register_converter
from clusterdb.dbapi2.blob import Blob
from clusterdb.dbapi2.callbacks import enable_callback_tracebacks
from clusterdb.dbapi2.connection import LEGACY_TRANSACTION_CONTROL, PARSE_COLNAMES, PARSE_DECLTYPES, Connection
from clusterdb.dbapi2.cursor import Cursor
from clusterdb.dbapi2.deprecated import positional_is_used, removed_in_3_14
from clusterdb.dbapi2.row import Row
from clusterdb.dbapi2.splitting import SplitConnection, SplitCursor
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
from clusterdb.store import Cluster

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
threadsafety = 1  # threads may share the module, not connections: apsw refuses what two do at once
dbapi2 = sys.modules[__name__]  # as sqlite3.dbapi2, for who writes ``import clusterdb.dbapi2 as sqlite3``
_VERSIONS = {"version": "2.6.0", "version_info": (2, 6, 0)}
sqlite_version = apsw.sqlite_lib_version()
sqlite_version_info = tuple(map(int, sqlite_version.split(".")))


class _TypeObject:
    """PEP 249's type objects.  A column of SQLite has values of any type: its type code, None, equals them all."""

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
    """A date of seconds since 1970."""
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """A time of the day of seconds since 1970."""
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """A date and time of seconds since 1970."""
    return Timestamp(*time.localtime(ticks)[:6])


def connect(
    database: str | bytes | os.PathLike[str] | Cluster, *arguments: Any, factory: Any = Connection, **options: Any
) -> Connection:
    """A connection: ``connect(database, timeout=5.0, detect_types=0, isolation_level="", check_same_thread=True,
    factory=Connection, cached_statements=128, uri=False, *, autocommit=LEGACY_TRANSACTION_CONTROL, store=None,
    endpoint="writer", create=False, mode=None, trusted=True, limits=None)``.

    ``database``: a cluster's name, in the default store (``$CLUSTERDB_STORE``, else ``./.clusterdb``) or in ``store=``
    (a :class:`Store` or its path); a ``clusterdb:`` URI (``file:`` too, with ``uri=True``) as
    ``clusterdb:prod?store=./s&endpoint=reader&mode=ro``; ``":memory:"`` for an anonymous cluster, which
    ``file:name?mode=memory&cache=shared`` shares within a process; a path (whatever has a slash or a dot in it) of a
    plain SQLite file; or a :class:`Cluster`.

    ``timeout``: seconds to wait for a lock.  ``detect_types``: PARSE_DECLTYPES, PARSE_COLNAMES.  ``endpoint``: as for
    :meth:`Cluster.connect`.  ``create``: make the cluster, and the store, if there is none.  ``mode``: ``"ro"``,
    ``"rw"``, ``"rwc"`` (as ``create=True``; what a plain file is opened with by default), ``"memory"``.
    ``trusted=False``: SQL of others runs here, within ``limits``, see :meth:`Cluster.connect`.
    ``check_same_thread``: with False several threads may use a connection, one at a time.  ``autocommit``,
    ``isolation_level``, ``factory``, ``cached_statements``: as for ``sqlite3.connect``.

    Raises OperationalError (ClusterNotFoundError names the nearest cluster, NotAStoreError, ...), ProgrammingError,
    InvalidArgumentError for options that make no sense.
    """
    if arguments:
        positional_is_used("sqlite3.connect")
    if len(arguments) > 4:
        factory = arguments[4]
    made: Connection = factory(database, *arguments, **options)
    return made


def complete_statement(statement: str, /) -> bool:
    """Whether a text is one or more whole statements, the last ended by a semicolon."""
    return bool(apsw.complete(statement))


def __getattr__(name: str) -> Any:
    """The SQLITE_ constants; ``version`` and ``version_info``, which ``sqlite3`` has until Python 3.13."""
    if name in _VERSIONS and sys.version_info < (3, 14):
        removed_in_3_14(name)
        return _VERSIONS[name]
    if name.startswith("SQLITE_") and hasattr(apsw, name):
        return getattr(apsw, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
