"""The backend: Django's own for SQLite, over :mod:`clusterdb.dbapi2`."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.sqlite3 import base, features
from django.db.backends.sqlite3._functions import register as register_functions
from django.db.backends.sqlite3.base import SQLiteCursorWrapper
from django.utils.asyncio import async_unsafe

from clusterdb import dbapi2
from clusterdb.dbapi2.opening import shared_store
from clusterdb.dbapi2.statements import Parameters
from clusterdb.django.creation import DatabaseCreation
from clusterdb.store import Cluster, Store

__all__ = ["DatabaseWrapper"]


def _register_types() -> None:
    """Register the adapters and converters that Django registers with ``sqlite3``."""
    dbapi2.register_converter("bool", b"1".__eq__)
    dbapi2.register_converter("date", base.decoder(base.parse_date))
    dbapi2.register_converter("time", base.decoder(base.parse_time))
    dbapi2.register_converter("datetime", base.decoder(base.parse_datetime))
    dbapi2.register_converter("timestamp", base.decoder(base.parse_datetime))
    dbapi2.register_adapter(decimal.Decimal, str)
    dbapi2.register_adapter(datetime.date, base.adapt_date)
    dbapi2.register_adapter(datetime.datetime, base.adapt_datetime)


class CursorWrapper(dbapi2.Cursor):
    """A cursor for Django's placeholders ``%s`` and ``%(name)s``."""

    convert_query = SQLiteCursorWrapper.convert_query

    def execute(self, query: str, params: Parameters | None = None) -> dbapi2.Cursor:
        """Run a statement."""
        if params is None:
            return super().execute(query)
        names = list(params) if isinstance(params, dict) else None
        return super().execute(self.convert_query(query, param_names=names), params)

    def executemany(self, query: str, param_list: Iterable[Parameters]) -> dbapi2.Cursor:
        """Run a statement for each of many parameters."""
        params = list(param_list)
        names = list(params[0]) if params and isinstance(params[0], dict) else None
        return super().executemany(self.convert_query(query, param_names=names), params)


class DatabaseFeatures(features.DatabaseFeatures):
    """SQLite's features; and test databases are visible to all threads and processes."""

    test_db_allows_multiple_connections = True
    can_alter_table_drop_column = True


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to a cluster."""

    Database = dbapi2
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures

    def get_connection_params(self) -> dict[str, Any]:
        """The arguments for :func:`clusterdb.connect`.  Raises ImproperlyConfigured."""
        name = self.settings_dict["NAME"]
        if not isinstance(name, str) or ("." in name and not name.startswith("file:")) or "/" in name.split("?")[0]:
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]['NAME'] = {str(name)!r}: use the name of a cluster, and OPTIONS['store'] "
                "for its store; for a plain file use the engine django.db.backends.sqlite3"
            )
        params: dict[str, Any] = super().get_connection_params()
        return params

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> dbapi2.Connection:
        """Connect."""
        _register_types()
        connection = dbapi2.connect(**conn_params)
        register_functions(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        for command in self.init_commands:
            if command.strip():
                connection.execute(command)
        return connection

    def create_cursor(self, name: str | None = None) -> CursorWrapper:
        """A cursor."""
        cursor: CursorWrapper = self.connection.cursor(factory=CursorWrapper)
        return cursor

    def is_usable(self) -> bool:
        """Whether the connection still works: it does not after a failover, for instance."""
        try:
            self.connection.execute("SELECT 1")
        except dbapi2.Error:
            return False
        return True

    @property
    def store(self) -> Store:
        """The store of the cluster."""
        store = self.settings_dict["OPTIONS"].get("store")
        if isinstance(store, Store):
            return store
        return shared_store(store, create=bool(self.settings_dict["OPTIONS"].get("create")))

    @property
    def cluster(self) -> Cluster:
        """The cluster.  Raises ClusterNotFoundError."""
        return self.store.cluster(self.settings_dict["NAME"])
