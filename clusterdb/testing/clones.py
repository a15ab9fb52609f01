"""A clone for a test: a handle with what tests want of it."""

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
    """A clone of a template.  What it gave out is closed, and it is dropped, when its fixture ends.

    ``cluster`` is the :class:`clusterdb.Cluster` (its ``connect()`` gives an apsw connection), ``template`` the one
    that it was cloned from, ``store`` their store, ``label`` what a person knows it by.
    """

    def __init__(self, cluster: Cluster, template: Cluster, label: str = "") -> None:
        self.cluster = cluster
        self.template = template
        self.label = label
        self.is_kept = False
        self._connections: list[dbapi2.Connection] = []
        self._engines: list[Any] = []
        self._snapshots: list[str] = []

    def __repr__(self) -> str:
        return f"<clusterdb.testing.Clone '{self.name}' of '{self.template.name}' in {self.store.path}>"

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.name

    @property
    def store(self) -> Store:
        """The store that it is in."""
        return self.cluster.store

    @property
    def url(self) -> str:
        """What :func:`clusterdb.connect` opens it by, in child processes too if the store is on disk."""
        return url_of(self.cluster)

    @property
    def sqlalchemy_url(self) -> str:
        """What SQLAlchemy's ``create_engine`` opens it by, in child processes too if the store is on disk."""
        return sqlalchemy_url_of(self.cluster)

    def connect(self, **options: Any) -> dbapi2.Connection:
        """A DB-API connection; ``options`` of :func:`clusterdb.connect`.  Any thread may use it, one at a time."""
        connection = dbapi2.connect(self.cluster, **{"check_same_thread": False, **options})
        self._connections.append(connection)
        return connection

    def reader(self, **options: Any) -> dbapi2.Connection:
        """A DB-API connection through the reader endpoint, which cannot write."""
        return self.connect(**{"endpoint": "reader", "mode": "ro", **options})

    def engine(self, **options: Any) -> Engine:
        """An SQLAlchemy engine; ``options`` of ``sqlalchemy.create_engine``."""
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.sqlalchemy_url, **options)
        self._engines.append(engine)
        return engine

    def snapshot(self) -> str:
        """Keep the present state to come back to with :meth:`restore`; the name of the snapshot."""
        name = f"{self.name}-{len(self._snapshots)}"
        self.cluster.snapshot(name)
        self._snapshots.append(name)
        return name

    def restore(self, snapshot: str | None = None) -> None:
        """Go back to a snapshot: the last one, or without any to what the template is.  Connections stay open."""
        self.cluster.reset(snapshot or (self._snapshots[-1] if self._snapshots else None))

    def diff(self) -> Diff:
        """What the test has changed: the template beside the clone."""
        return self.store.diff(self.template, self.cluster)

    def close(self) -> None:
        """Close the connections and engines that it gave out."""
        while self._engines:
            self._engines.pop().dispose()
        while self._connections:
            with suppress(Error):  # what a test left behind in it is of no concern any more
                self._connections.pop().close()

    def drop(self) -> None:
        """Close, and delete snapshots and cluster, unless the test did it."""
        self.close()
        while self._snapshots:
            with suppress(SnapshotNotFoundError):
                self.store.delete_snapshot(self._snapshots.pop())
        with suppress(ClusterNotFoundError):
            try:
                self.cluster.delete()
            except DeletionProtectedError:  # the test's doing
                self.cluster.modify(deletion_protection=False)
                self.cluster.delete()
