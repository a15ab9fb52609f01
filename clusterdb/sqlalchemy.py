"""SQLAlchemy dialect ``sqlite+clusterdb``: pysqlite's, over :mod:`clusterdb.dbapi2`.

    create_engine("sqlite+clusterdb:///prod?store=./store")
    create_engine("sqlite+clusterdb:///prod?endpoint=reader")     # reads only, through the readers
    create_engine("sqlite+clusterdb://")                          # an anonymous cluster

The database is a cluster's name; ``store``, ``endpoint``, ``create`` and ``mode`` are as for :func:`clusterdb.connect`,
``timeout``, ``isolation_level``, ``detect_types``, ``check_same_thread`` and ``cached_statements`` as for
``sqlite3.connect``.
Connections are pooled; after a failover, or when the cluster was deleted, the pool opens new ones.

Savepoints belong to the transaction around them: ``begin_nested()`` begins a transaction first if none is open yet,
which ``sqlite3`` and SQLAlchemy's own SQLite dialect do not do.  Apart from that a transaction begins with the first
statement that writes, as in ``sqlite3``; ``connect_args={"autocommit": False}`` begins it with the first statement of
any kind, also before Python 3.12.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, cast

import apsw
from sqlalchemy import pool, util
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import ConnectArgsType, DBAPIConnection
from sqlalchemy.exc import ArgumentError

from clusterdb import dbapi2, errors

__all__ = ["ClusterDialect"]

_OPTIONS: dict[str, type] = {
    "store": str,
    "endpoint": str,
    "mode": str,
    "create": bool,
    "timeout": float,
    "isolation_level": str,
    "detect_types": int,
    "check_same_thread": bool,
    "cached_statements": int,
}
_GONE = (errors.InstanceRestartedError, errors.ClusterNotFoundError, errors.ClosedError, errors.ForkedStoreError)
_GONE_CODES = (apsw.SQLITE_READONLY_DBMOVED, apsw.SQLITE_IOERR_DELETE_NOENT)


class ClusterDialect(SQLiteDialect_pysqlite):
    """The dialect; see the module."""

    driver = "clusterdb"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """The DB-API module."""
        return dbapi2

    @classmethod
    def load_provisioning(cls) -> None:
        """Prepare databases for SQLAlchemy's test suite as its own SQLite dialects do."""
        SQLiteDialect_pysqlite.load_provisioning()  # type: ignore[no-untyped-call]

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """A queue for clusters; one connection per thread for an anonymous one, which is gone with its connection."""
        return pool.SingletonThreadPool if _is_anonymous(url) else pool.QueuePool

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        """The arguments for :func:`clusterdb.connect`.  Raises ArgumentError."""
        if url.username or url.password or url.host or url.port:
            raise ArgumentError(f"'{url}': use sqlite+clusterdb:///CLUSTER?store=PATH, without a host")
        unknown = sorted(set(url.query) - set(_OPTIONS))
        if unknown:
            raise ArgumentError(f"unknown option '{unknown[0]}' in '{url}': use {', '.join(_OPTIONS)}")
        options: dict[str, Any] = dict(url.query)
        for name, kind in _OPTIONS.items():
            util.coerce_kw_type(options, name, kind)
        options.setdefault("check_same_thread", _is_anonymous(url))
        return [url.database or ":memory:"], options

    def connect(self, *cargs: Any, **cparams: Any) -> DBAPIConnection:
        """Connect.  Raises NotSupportedError for a cluster whose SQL is not SQLite's."""
        connection = super().connect(*cargs, **cparams)
        cluster = cast(dbapi2.Connection, connection).cluster
        if cluster is not None and cluster.settings.engine != "sqlite":
            connection.close()
            raise dbapi2.NotSupportedError(
                f"cluster '{cluster.name}' has the engine {cluster.settings.engine}: sqlite+clusterdb needs a cluster "
                "with the engine sqlite; use clusterdb.connect() for this one"
            )
        return connection

    def do_savepoint(self, connection: Connection, name: str) -> None:
        """Set a savepoint in a transaction, which is begun first if none is open.

        Otherwise the savepoint would be the transaction, and its release the commit.
        """
        driver = cast(dbapi2.Connection, connection.connection.dbapi_connection)
        if _is_between_transactions(driver):
            connection.exec_driver_sql(f"BEGIN {driver.isolation_level}".rstrip())
        super().do_savepoint(connection, name)  # type: ignore[no-untyped-call]

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether the pool has to replace its connections."""
        if isinstance(e, _GONE) or getattr(e, "sqlite_errorcode", 0) in _GONE_CODES:
            return True
        return super().is_disconnect(e, connection, cursor)


def _is_anonymous(url: URL) -> bool:
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _is_between_transactions(driver: dbapi2.Connection) -> bool:
    """Whether no transaction is open, and one begins before the next statement that writes."""
    try:
        is_legacy = driver.autocommit == dbapi2.LEGACY_TRANSACTION_CONTROL and driver.isolation_level is not None
        return is_legacy and not driver.in_transaction
    except dbapi2.Error:
        return False  # the next statement reports the error
