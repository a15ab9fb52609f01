"""The clone of a test: connections, engines, snapshots, and their removal."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clusterdb import dbapi2
from clusterdb.errors import ClusterNotFoundError, DeletionProtectedError, Error, SnapshotNotFoundError
from clusterdb.store import Cluster, Store
from clusterdb.testing.seeds import sqlalchemy_url_of, url_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clusterdb.diff import Diff

__all__ = ["Clone"]


class Clone:
    """A clone of a template.  When its fixture ends, its connections and engines are closed, and it is dropped.

    ``cluster``: the :class:`clusterdb.Cluster` (its ``connect()`` returns an apsw connection).  ``template``: the
    cluster that it was cloned from.  ``store``: the store of both.  ``label``: the name of its fixture.
    """

    def __init__(self, cluster: Cluster, template: Cluster, label: str = "") -> None:
        self.cluster = cluster
        self.template = template
        self.label = label
        self.is_kept = False
        self._connections: list[dbapi2.Connection] = []
        self._engines: list[Engine] = []
        self._snapshots: list[str] = []

    def __repr__(self) -> str:
        return f"<clusterdb.testing.Clone '{self.name}' of '{self.template.name}' in {self.store.path}>"

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.name

    @property
    def store(self) -> Store:
        """The store of the cluster."""
        return self.cluster.store

    @property
    def url(self) -> str:
        """The URL for :func:`clusterdb.connect`; it works in child processes too if the store is on disk."""
        return url_of(self.cluster)

    @property
    def sqlalchemy_url(self) -> str:
        """The URL for SQLAlchemy's ``create_engine``; it works in child processes too if the store is on disk."""
        return sqlalchemy_url_of(self.cluster)

    def connect(self, **options: Any) -> dbapi2.Connection:
        """A DB-API connection; ``options`` as for :func:`clusterdb.connect`.  Any thread may use it, one at a time."""
        connection = dbapi2.connect(self.cluster, **{"check_same_thread": False, **options})
        self._connections.append(connection)
        return connection

    def reader(self, **options: Any) -> dbapi2.Connection:
        """A read-only DB-API connection through the reader endpoint."""
        return self.connect(**{"endpoint": "reader", "mode": "ro", **options})

    def engine(self, **options: Any) -> Engine:
        """An SQLAlchemy engine; ``options`` as for ``sqlalchemy.create_engine``."""
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.sqlalchemy_url, **options)
        self._engines.append(engine)
        return engine

    def snapshot(self) -> str:
        """Take a snapshot of the present state, for :meth:`restore`; the name of the snapshot."""
        name = f"{self.name}-{len(self._snapshots)}"
        self.cluster.snapshot(name)
        self._snapshots.append(name)
        return name

    def restore(self, snapshot: str | None = None) -> None:
        """Reset to a snapshot: by default the last one, or the template if none was taken.  Connections stay open."""
        self.cluster.reset(snapshot or (self._snapshots[-1] if self._snapshots else None))

    def diff(self) -> Diff:
        """The changes of the test: the difference from the template to the clone."""
        return self.store.diff(self.template, self.cluster)

    def close(self) -> None:
        """Close the connections and engines that it has returned."""
        while self._engines:
            self._engines.pop().dispose()
        while self._connections:
            with suppress(Error):  # an open transaction of the test, for example
                self._connections.pop().close()

    def drop(self) -> None:
        """Close, and delete the snapshots and the cluster if the test has not."""
        self.close()
        while self._snapshots:
            with suppress(SnapshotNotFoundError):
                self.store.delete_snapshot(self._snapshots.pop())
        with suppress(ClusterNotFoundError):
            try:
                self.cluster.delete()
            except DeletionProtectedError:  # set by the test
                self.cluster.modify(deletion_protection=False)
                self.cluster.delete()
