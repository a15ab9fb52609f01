"""The context of the control plane: an open store, as its functions use it.

A verb takes a :class:`Context` and the rows or names that it works on; the facades :class:`clusterdb.store.Store` and
:class:`clusterdb.store.Cluster` only forward to verbs.  Every verb validates, plans, runs one catalog transaction, and
then changes storage.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Protocol

from clusterdb.access.command import hint
from clusterdb.access.sqlite import Connection
from clusterdb.access.translate import of_store
from clusterdb.catalog.catalog import Catalog
from clusterdb.catalog.rows import ClusterRow
from clusterdb.errors import (
    ClosedError,
    ClusterNotFoundError,
    ForkedStoreError,
    StoreBusyError,
    StoreReadOnlyError,
)
from clusterdb.rules.names import suggestion
from clusterdb.rules.settings import DEFAULTS, DURABLE_DEFAULTS, ClusterSettings
from clusterdb.rules.urls import is_url, plain_url
from vfs.abc import Copies, StoreVFS
from vfs.plane import DataPlane
from vfs.registry import IN_USE, VolumeRow
from vfs.store import PageStore

__all__ = ["ClusterRef", "Context"]


class ClusterRef(Protocol):
    """A handle on a cluster, as verbs need it: its id in the catalog, and its name when the handle was created."""

    @property
    def id(self) -> int: ...

    @property
    def name(self) -> str: ...


class SimulateNodes(Protocol):
    """See :func:`clusterdb.zones.verbs.simulate`."""

    def __call__(
        self,
        cluster: ClusterRef,
        node: int | None,
        percent: int,
        seconds: float,
        delays_ms: tuple[int, int] | None,
        /,
    ) -> None: ...


def _simulate_nothing(
    cluster: ClusterRef, node: int | None, percent: int, seconds: float, delays_ms: tuple[int, int] | None, /
) -> None:
    pass


class Context:
    """An open store.

    ``path`` is its directory or ``":memory:"``; ``pages`` its page pool, ``catalog`` its catalog, ``plane`` the data
    plane, and ``vfs`` the SQLite VFS that its connections use.  ``connections`` are the connections that clusters have
    opened; ``loans`` the resources lent to some of them until they are closed, by number.  ``local`` is per thread: the
    input of the name resolver in :mod:`clusterdb.clusters.connecting`.
    """

    vfs: StoreVFS

    def __init__(self, path: str, pages: PageStore, catalog: Catalog, plane: DataPlane, *, read_only: bool) -> None:
        self.path = path
        self.pages = pages
        self.catalog = catalog
        self.plane = plane
        self.read_only = read_only
        self.is_closed = False
        self.connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.loans: dict[int, ExitStack] = {}
        self.local = threading.local()
        self.copies_of: Callable[[ClusterRow], Copies | None] = lambda row: None
        """Keeps copies of what the writers of a cluster commit; set when the store is open."""
        self.end_copies: Callable[[ClusterRow], Callable[[], None]] = lambda row: lambda: None
        """Called in the catalog transaction that deletes a cluster with copies; what it returns, after that."""
        self.simulate_nodes: SimulateNodes = _simulate_nothing
        """Fails or delays requests to the storage nodes of a cluster that has zones; set when the store is open."""
        self.ends = ExitStack()
        """What ends before the store is closed."""
        self._errors = of_store(path)
        self._deferred: deque[Callable[[], None]] = deque()
        self._pid = os.getpid()

    @property
    def default_settings(self) -> ClusterSettings:
        """The settings of a new cluster, where none are given."""
        return DURABLE_DEFAULTS if self.pages.is_durable else DEFAULTS

    def freeze(self, path: str) -> None:
        """Refuse changes from now on, of a store that stands for what is at ``path``."""
        self.path, self.read_only = path, True
        self._errors = of_store(path)

    # --- state ------------------------------------------------------------------------------------------------------
    @property
    def is_usable(self) -> bool:
        """Whether the store is open, in this process."""
        return not self.is_closed and os.getpid() == self._pid

    @property
    def is_of_parent(self) -> bool:
        """Whether this process is a fork of the process that opened the store."""
        return os.getpid() != self._pid

    def require_open(self) -> None:
        """Check that the store can be used.  Raises ClosedError, ForkedStoreError."""
        if self.is_closed:
            raise ClosedError(f"store '{self.path}' is closed")
        if self.is_of_parent:
            raise ForkedStoreError(f"store '{self.path}' was opened before a fork: open it again in the child process")

    def require_writable(self) -> None:
        """Check that the store can be changed.  Raises ClosedError, ForkedStoreError, StoreReadOnlyError."""
        self.require_open()
        if self.read_only and is_url(self.path):
            raise StoreReadOnlyError(
                f"'{plain_url(self.path)}' is a repository, which is open read-only: clone the database to a store of "
                "your own, change it there, and push it"
            )
        if self.read_only:
            raise StoreReadOnlyError(
                f"store '{self.path}' is open read-only: open it for writing, or copy it to a writable directory"
            )
        self.run_deferred()

    def defer(self, work: Callable[[], None]) -> None:
        """Leave work to the next verb, for finalizers, which may run while locks are held."""
        self._deferred.append(work)

    def run_deferred(self) -> None:
        """Do the work that finalizers left."""
        while self._deferred:
            with suppress(IndexError):  # another thread took it
                self._deferred.popleft()()

    def errors(self) -> AbstractContextManager[None]:
        """A context manager that translates errors of storage, SQLite and the system to those of clusterdb."""
        return self._errors

    # --- looking up -------------------------------------------------------------------------------------------------
    def row_of(self, cluster: ClusterRef) -> ClusterRow:
        """The present catalog row of a cluster, which may have been renamed.  Raises ClusterNotFoundError."""
        self.require_open()
        row = self.catalog.clusters.get(cluster.id)
        if row is None:
            raise self.deleted(f"cluster '{cluster.name}'")
        return row

    def volume_of(self, cluster: ClusterRef) -> VolumeRow:
        """The volume of a cluster.  Raises ClusterNotFoundError once the cluster is deleted."""
        return self.require_in_use(self.row_of(cluster).volume, f"cluster '{cluster.name}'")

    def require_in_use(self, volume: int, text: str = "it") -> VolumeRow:
        """A volume that is in use; ``text`` names it in the error.  Raises ClusterNotFoundError."""
        row = self.catalog.volumes.volume_row(volume)
        if row is None or row.state not in IN_USE:
            raise self.deleted(text)
        return row

    def require_same(self, row: ClusterRow, volume: int) -> None:
        """Check that a cluster still has the same volume.  Raises StoreBusyError."""
        if row.volume != volume:
            raise StoreBusyError(f"cluster '{row.name}' was reset by another process meanwhile: try again")

    def deleted(self, subject: str) -> ClusterNotFoundError:
        """The error for a cluster, or a volume, that was deleted."""
        return ClusterNotFoundError(f"{subject} was deleted from store '{self.path}'")

    def hint(self, *arguments: str) -> str:
        """The command line, to paste, that runs a verb on this store."""
        return hint("--store", self.path if is_url(self.path) else os.path.abspath(self.path), *arguments)  # noqa: PTH100

    def no_cluster(self, name: str) -> str:
        """The message for an unknown name, with the nearest existing one."""
        names = [row.name for row in self.catalog.clusters.all()]
        return f"store '{self.path}' has no cluster '{name}'{suggestion(name, names)}"
