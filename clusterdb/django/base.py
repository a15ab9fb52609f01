"""The backend: Django's own for SQLite, over :mod:`clusterdb.dbapi2`."""

from __future__ import annotations

import datetime
import decimal
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.sqlite3 import base, features
from django.db.backends.sqlite3._functions import register as register_functions
from django.db.backends.sqlite3.base import SQLiteCursorWrapper
from django.utils.asyncio import async_unsafe

from clusterdb import dbapi2
from clusterdb.access.command import hint
from clusterdb.dbapi2.opening import shared_store
from clusterdb.dbapi2.statements import Parameters
from clusterdb.django.client import DatabaseClient
from clusterdb.django.creation import DatabaseCreation, require_engine
from clusterdb.errors import ClusterNotFoundError, InvalidNameError, NotAStoreError
from clusterdb.rules.names import check_name
from clusterdb.store import Cluster, Store, default_path

__all__ = ["DatabaseWrapper"]

_USUAL_STEMS = ("db", "database")
"""Names of files that are of no use as names of clusters."""
_USUAL_NAME = "site"


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


def _name_for(path: str) -> str:
    """A name for the cluster that a file is imported to."""
    stem = Path(path).stem
    try:
        return check_name(stem) if stem not in _USUAL_STEMS else _USUAL_NAME
    except InvalidNameError:
        return _USUAL_NAME


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
    client_class = DatabaseClient
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures

    def get_connection_params(self) -> dict[str, Any]:
        """The arguments for :func:`clusterdb.connect`.  Raises ImproperlyConfigured."""
        self.require_name()
        params: dict[str, Any] = super().get_connection_params()
        return params

    def require_name(self) -> None:
        """Raises ImproperlyConfigured if NAME cannot be the name of a cluster."""
        name = self.settings_dict["NAME"]
        if not name:
            return  # reported by Django's own backend
        if not isinstance(name, str) or ("." in name and not name.startswith("file:")) or "/" in name.split("?")[0]:
            cluster = _name_for(str(name))
            raise ImproperlyConfigured(
                f"{self._name_setting} is a path, not the name of a cluster: import the file with "
                f"`{self.import_command(str(name), cluster)}` and use the name {cluster!r}, or use the engine "
                "django.db.backends.sqlite3"
            )
        if ":" not in name:
            try:
                check_name(name)
            except InvalidNameError as error:
                raise ImproperlyConfigured(f"{self._name_setting}: {error}") from None

    @property
    def _name_setting(self) -> str:
        """NAME as an error names it."""
        return f"DATABASES[{self.alias!r}]['NAME'] = {str(self.settings_dict['NAME'])!r}"

    def import_command(self, file: str, cluster: str) -> str:
        """The command that imports a file to the store."""
        options = ["--store", str(self._store_path)] if self._store_path is not None else []
        return hint(*options, "import", file, cluster)

    @property
    def _store_path(self) -> str | os.PathLike[str] | None:
        """The path of the store; None for the default store."""
        store: Store | str | os.PathLike[str] | None = self.settings_dict["OPTIONS"].get("store")
        return store.path if isinstance(store, Store) else store

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Add to the error about a missing cluster or store how to create it."""
        try:
            yield
        except (ClusterNotFoundError, NotAStoreError) as error:
            is_occupied = isinstance(error, NotAStoreError) and Path(self._store_path or default_path()).exists()
            if self.is_in_memory_db() or is_occupied:
                raise
            text = str(error) if str(error).endswith("?") else f"{error}."
            command = self.import_command("db.sqlite3", self.settings_dict["NAME"])
            raise type(error)(
                f"{self._name_setting}: {text} To create the cluster: `{command}`, or OPTIONS['create'] = True for an "
                "empty one"
            ) from None

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> dbapi2.Connection:
        """Connect.  Raises ImproperlyConfigured for a cluster whose SQL is not SQLite's."""
        _register_types()
        with self._explaining():
            connection = dbapi2.connect(**conn_params)
        if connection.cluster is not None:
            try:
                require_engine(connection.cluster, self._name_setting)
            except ImproperlyConfigured:
                connection.close()
                raise
        register_functions(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        for command in getattr(self, "init_commands", ()):  # Django 5.0 has none
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
        """The store of the cluster.  Raises NotAStoreError."""
        store = self.settings_dict["OPTIONS"].get("store")
        if isinstance(store, Store):
            return store
        with self._explaining():
            return shared_store(store, create=bool(self.settings_dict["OPTIONS"].get("create")))

    @property
    def cluster(self) -> Cluster:
        """The cluster.  Raises ClusterNotFoundError."""
        return self.store.cluster(self.settings_dict["NAME"])
