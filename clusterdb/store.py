"""A store: a directory of clusters that share one page pool.

:class:`Store` and :class:`Cluster` are facades: each verb forwards to the function that implements it, with the store's
:class:`~clusterdb.core.context.Context`.  They import it when they are called, so that a command starts with what it
needs.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal

from clusterdb.cluster import ClusterVerbs
from clusterdb.clusters import tidying
from clusterdb.core import opening
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.opening import default_path
from clusterdb.errors import ClusterNotFoundError, InvalidArgumentError
from clusterdb.rules.names import check_name
from clusterdb.rules.points import BASE, Point
from clusterdb.rules.urls import is_url
from clusterdb.rules.zones import node_url, with_zones
from vfs.interrupts import uninterrupted

if TYPE_CHECKING:
    from clusterdb.access.copies import Progress
    from clusterdb.catalog.rows import ClusterRow
    from clusterdb.clusters.billing import Bill
    from clusterdb.clusters.figures import Event, StoreStats
    from clusterdb.clusters.metrics import Metric
    from clusterdb.diff import Diff
    from clusterdb.flavours.loaded import LoadedDump
    from clusterdb.past.snapshots import Snapshot
    from clusterdb.remote.objects import Counts
    from clusterdb.remote.visiting import Visit
    from vfs.abc import Copies, Residence, Target
    from vfs.reclaim.sweep import SweepReport
    from vfs.store import PageStore
    from vfs.tools.check import CheckReport

__all__ = ["Cluster", "Store", "Synchronous", "default_path", "open", "open_database", "repair"]

Synchronous = Literal["OFF", "NORMAL", "FULL"]


def open(
    path: str | os.PathLike[str] | None = None,
    *,
    create: bool = True,
    synchronous: Synchronous = "FULL",
    verify_reads: bool = False,
    read_only: bool = False,
    disposable: bool = False,
) -> Store:
    """Open a store, creating it if it does not exist and ``create`` is true.

    ``path``: a directory; None for ``$CLUSTERDB_STORE``, else ``.clusterdb`` in the current directory or the nearest
    one above that has it, up to the home directory; ``":memory:"`` for a store in RAM that only this process sees; the
    URL of a repository on object storage (``s3://BUCKET/PATH``, see :class:`clusterdb.remote.Remote`) to read its
    databases.
    ``synchronous`` is the initial value of SQLite's PRAGMA of that name for connections. ``verify_reads`` checks every
    page against its checksum whenever this process reads it, and raises SQLITE_CORRUPT. ``read_only`` writes nothing at
    all, which is the default on a file system that is mounted read-only; no process may have the store open for writing
    meanwhile.  Derived files of another boot are then rebuilt in memory. ``disposable`` is for data that you can
    rebuild: this process syncs nothing, with any ``synchronous``, and cloning and dropping take about half the time.
    Check such a store after a power failure before relying on it.

    A directory that other users can write to is refused; the directory of a new store is accessible to its owner only.

    The databases of a repository are clusters that cannot be changed, as they were when it was opened.  Pages are
    fetched when queries need them, to a temporary directory that is deleted when the store is closed.  Then RemoteError
    and its subclasses are raised as well.

    Raises NotAStoreError, StoreFormatError, StoreUnreadableError, StoreUnsafeError, UnsupportedFileSystemError,
    CorruptStoreError, StoreInUseError.
    """
    return Store(
        path,
        create=create,
        synchronous=synchronous,
        verify_reads=verify_reads,
        read_only=read_only,
        disposable=disposable,
    )


def open_database(url: str, at: Point | None = None, progress: Progress | None = None) -> tuple[Store, str]:
    """Open a database of a repository, now or at a point, as the only cluster of a store; and its name.

    As for a repository (:func:`open`), it cannot be changed, and nothing is left behind.
    """
    from clusterdb.remote.visiting import visit_database

    visit, name = visit_database(url, at)
    return Store(visit, create=True, synchronous="OFF", verify_reads=False, progress=progress), name


def repair(path: str | os.PathLike[str] | None = None, *, progress: Progress | None = None) -> CheckReport:
    """Rebuild the derived files of a store (allocation map, shared tables) and check everything.

    The store must not be open elsewhere.  The report describes the damage: damaged clusters are not changed.  Raises
    the errors of :func:`open`.
    """
    with Store(path, create=False, synchronous="FULL", verify_reads=False, rebuilds=True) as store:
        store.context.require_writable()
        return store.check(progress, repair=True)


def _resolve(context: Context, name: str) -> Target:
    """The volume that a name refers to, for the VFS.  Raises LookupError with a message for the user."""
    from clusterdb.clusters.connecting import resolve

    return resolve(context, name)


def _look_elsewhere(pages: PageStore) -> None:
    """Tell recovery which pages are on object storage, and not lost."""
    if pages.directory is not None and (pages.directory / opening.ABSENT_FILE).exists():
        from clusterdb.remote.absent import elsewhere

        pages.is_elsewhere = elsewhere(pages.directory)


def _mend(pages: PageStore) -> None:
    """Forget fetched pages that did not reach the device whole, after a boot."""
    if pages.directory is not None and (pages.directory / opening.ABSENT_FILE).exists():
        from clusterdb.remote.absent import mend

        mend(pages)


def _visit_of(path: str | os.PathLike[str] | Visit | None) -> Visit | None:
    """The visit of the repository at a URL; None for other paths."""
    if path is None:
        path = os.environ.get("CLUSTERDB_STORE")
    if isinstance(path, str):
        if not is_url(path):
            return None
        from clusterdb.remote.visiting import visit_repository

        return visit_repository(path)
    return None if path is None or isinstance(path, os.PathLike) else path


def _find_residence(context: weakref.ref[Context]) -> Residence | None:
    """The hook that fetches absent pages, if the store has any."""
    from clusterdb.remote.places import absent_pages_if_any

    present = context()
    return absent_pages_if_any(present) if present is not None else None


def _copies_of(context: weakref.ref[Context], row: ClusterRow) -> Copies | None:
    """What keeps the copies of a cluster that has zones."""
    from clusterdb.zones.verbs import copies_of

    present = context()
    return copies_of(present).of(row) if present is not None else None


def _end_copies(context: weakref.ref[Context], row: ClusterRow) -> Callable[[], None]:
    """Note that a cluster with copies is deleted; returns what deletes those that no other cluster needs."""
    from clusterdb.zones.ending import end_copies
    from clusterdb.zones.verbs import copies_of

    present = context()
    return end_copies(present, copies_of(present), row) if present is not None else lambda: None


def _find_copy(context: weakref.ref[Context], volume: int, page: int, crc: int) -> bytes | None:
    """The bytes of a page that a storage node has."""
    present = context()
    if present is None or not any(row.settings.zones for row in present.catalog.clusters.all()):
        return None
    from clusterdb.zones.mending import find_copy
    from clusterdb.zones.verbs import copies_of

    return find_copy(present, copies_of(present), volume, page, crc)


def _simulate_nodes(context: weakref.ref[Context], cluster: ClusterRef, *fault: Any) -> None:
    """Fail or delay requests to storage nodes."""
    from clusterdb.zones.verbs import simulate

    present = context()
    assert present is not None  # a connection of it asks for the fault
    simulate(present, cluster, *fault)


class Cluster(ClusterVerbs):
    """A handle on a cluster; cheap, keeps nothing open.  It stays valid when the cluster is renamed.

    ``store`` is its :class:`Store`; ``name`` the cluster's name when the handle was created, or last renamed it.
    """

    def __init__(self, store: Store, name: str, id: int) -> None:
        super().__init__(store.context, name, id)
        self.store = store

    def _handle(self, row: ClusterRow) -> Cluster:
        return Cluster(self.store, row.name, row.cluster)


class Store:
    """An open store.  Close it, or use it in a ``with`` statement; threads may share it, forked processes may not.

    ``path`` is its directory, ``":memory:"``, or the URL of a repository; ``read_only`` whether it is open read-only.
    All methods raise ClosedError when it is closed and ForkedStoreError in a forked process.  Methods that write raise
    StoreReadOnlyError if it is read-only, StoreBusyError if another process holds the catalog for 30 s, StoreFullError
    on a full disk.
    """

    context: Context

    def __init__(
        self,
        path: str | os.PathLike[str] | Visit | None,
        *,
        create: bool,
        synchronous: Synchronous,
        verify_reads: bool,
        read_only: bool = False,
        rebuilds: bool = False,
        disposable: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._visit = visit = _visit_of(path)
        if visit is not None:
            path, create, synchronous, read_only, disposable = visit.directory, True, "OFF", False, True
        options = opening.Options(
            create, synchronous, verify_reads, read_only, rebuilds, disposable, _look_elsewhere, _mend
        )
        assert path is None or isinstance(path, str | os.PathLike)
        self.context = context = opening.open_context(path, options)
        context.pages.find_residence = partial(_find_residence, weakref.ref(context))
        context.copies_of = partial(_copies_of, weakref.ref(context))
        context.end_copies = partial(_end_copies, weakref.ref(context))
        context.pages.find_copy = partial(_find_copy, weakref.ref(context))
        context.simulate_nodes = partial(_simulate_nodes, weakref.ref(context))
        opening.register(context, partial(_resolve, context), synchronous)
        if context.read_only:
            return
        try:
            with uninterrupted:
                tidying.tidy(context)
            if visit is not None:
                visit.fill(context, progress)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<clusterdb.Store {self.path}{' (closed)' if self.context.is_closed else ''}>"

    @property
    def path(self) -> str:
        """The store's directory, ``":memory:"``, or the URL of a repository."""
        return self.context.path

    @property
    def read_only(self) -> bool:
        """Whether the store is open read-only."""
        return self.context.read_only

    @property
    def upgraded_from(self) -> int | None:
        """The format that the store had before, if opening it has upgraded it to the format of this release."""
        return self.context.pages.upgraded_from

    @uninterrupted
    def close(self) -> None:
        """Close the store and the connections that its clusters have opened.  Closing twice is allowed.

        Raises StoreInUseError if connections are open that were not opened by ``Cluster.connect``.
        """
        opening.close(self.context)
        if self._visit is not None:
            self._visit.end()

    @property
    def vfs(self) -> str:
        """The name of the SQLite VFS of this store, for ``apsw.Connection(cluster_name, vfs=store.vfs)``."""
        return self.context.vfs.name

    # --- clusters ---------------------------------------------------------------------------------------------------
    def clusters(self) -> list[Cluster]:
        """All clusters, by name."""
        self.context.require_open()
        return [Cluster(self, row.name, row.cluster) for row in self.context.catalog.clusters.all()]

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name.  Raises ClusterNotFoundError, InvalidNameError."""
        self.context.require_open()
        row = self.context.catalog.clusters.named(check_name(name))
        if row is None:
            raise ClusterNotFoundError(self.context.no_cluster(name))
        return Cluster(self, row.name, row.cluster)

    @uninterrupted
    def create_cluster(
        self,
        name: str,
        *,
        from_file: str | os.PathLike[str] | None = None,
        page_size: int | None = None,
        check: bool = True,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Cluster:
        """Create a cluster, empty or with the content of a SQLite database file.

        ``from_file``: any SQLite 3 database, also in use or in WAL mode; it is only read.  Its pages are checked first
        (SQLite's ``PRAGMA quick_check``), unless ``check`` is False.  ``page_size`` of an empty cluster, in bytes (512
        to 65536, a power of two); an import keeps the file's.  ``progress`` is called with (pages done, pages in all)
        during an import.  ``settings``: those of :class:`ClusterSettings`.

        Raises InvalidNameError, UnknownEngineError, ClusterExistsError, InvalidArgumentError, NotADatabaseError,
        DatabaseDamagedError, ImportSourceError, StoreFullError; then no cluster is left behind.
        """
        from clusterdb.clusters import creating

        row = creating.create(
            self.context, name, from_file, page_size, with_zones(settings, self.path), check=check, progress=progress
        )
        return self._copied(row)

    def _copied(self, row: ClusterRow) -> Cluster:
        """A handle on a new cluster, whose nodes have what it has; without four of them it is deleted again."""
        cluster = Cluster(self, row.name, row.cluster)
        cluster.begin_copies()
        return cluster

    def lose_zone(self, zone: str) -> None:
        """Lose the storage nodes of a zone, of every cluster that has it: see :meth:`Cluster.lose_zone`."""
        for cluster in self._in_zone(zone):
            cluster.lose_zone(zone)

    def return_zone(self, zone: str) -> None:
        """Bring the storage nodes of a zone back: see :meth:`Cluster.return_node`."""
        for cluster in self._in_zone(zone):
            cluster.return_node(zone)

    def _in_zone(self, zone: str) -> list[Cluster]:
        clusters = [one for one in self.clusters() if zone in (name for name, *_ in one.settings.zones)]
        if not clusters:
            raise InvalidArgumentError(f"no cluster of store '{self.path}' has a zone '{zone}'")
        return clusters

    def import_dump(
        self,
        name: str,
        source: str | os.PathLike[str] | IO[bytes],
        *,
        engine: str | None = None,
        strict: bool = False,
        progress: Progress | None = None,
        **settings: Any,
    ) -> LoadedDump:
        """Create a cluster from a dump of mysqldump, mariadb-dump or pg_dump, and report what was skipped.

        ``source``: a path, ``"-"`` for standard input, or a binary stream; gzip is decompressed.  ``engine``:
        aurora-mysql or aurora-postgresql, unless the dump's first comment names it.  ``strict``: refuse statements
        without a counterpart, and rows with dangling references.  ``progress`` is called with (bytes read, bytes in
        all).  ``settings``: those of :class:`ClusterSettings`.

        Raises InvalidNameError, ClusterExistsError, InvalidArgumentError, NotADatabaseError, StoreFullError and, with
        the line, NotSupportedError and the errors of statements; then no cluster is left behind.
        """
        from clusterdb.clusters import creating

        arranged = with_zones(settings, self.path)
        loaded = creating.import_dump(
            self.context, name, source, arranged, engine=engine, strict=strict, progress=progress
        )
        self.cluster(name).begin_copies()
        return loaded

    def clone(
        self,
        url: str,
        name: str,
        *,
        at: Point | None = None,
        copy_type: str = "copy-on-write",
        progress: Progress | None = None,
        requests: Counts | None = None,
        **settings: Any,
    ) -> Cluster:
        """Create a cluster from a database of a repository on object storage, at once: pages come when they are read.

        ``url``: that of the repository, and the name of the database, as ``s3://BUCKET/PATH/NAME``.  ``at``: a version
        that was pushed, or a time.  ``copy_type="full-copy"`` copies all pages first, and so does a store in memory or
        on a tmpfs; ``progress`` is called with (pages copied, pages in all) then.  What was asked of the storage is
        added to ``requests``.  ``settings``: those of :class:`ClusterSettings`; the engine is that of the database.

        Raises RemoteNotFoundError, RemoteUnavailableError, RemoteDamagedError, RemoteError, InvalidRestoreTimeError,
        InvalidNameError, ClusterExistsError, InvalidArgumentError, StoreFullError; then no cluster is left behind.
        """
        from clusterdb.remote.fetching import clone_remote
        from clusterdb.remote.handle import Remote
        from clusterdb.remote.states import split_url, state_at

        place, source = split_url(url)
        repository = Remote(place).repository
        state = state_at(repository, source, at)
        row = clone_remote(
            self.context, repository, state, source, name, with_zones(settings, self.path), progress, copy_type
        )
        if requests is not None:
            requests.add(repository.objects.counts)
        return self._copied(row)

    def recover(
        self,
        nodes: Sequence[str],
        source: str | None = None,
        name: str | None = None,
        *,
        progress: Progress | None = None,
        **settings: Any,
    ) -> list[Cluster]:
        """Recover the clusters of a lost store from their storage nodes, of which three of six must be readable.

        ``nodes``: URLs or directories of nodes; the others are known to them.  ``source``: the name of one cluster, or
        of its log; ``name``: its name here.  ``progress`` is called with (batches read, batches in all).  ``settings``:
        those of :class:`ClusterSettings`; the engine is that of the cluster.

        A recovered cluster takes over the copies when four nodes can be reached: its former store, on whichever
        machine, is refused from then on.

        Raises QuorumError, RemoteNotFoundError, RemoteDamagedError, ClusterExistsError, InvalidArgumentError.
        """
        from clusterdb.zones.verbs import recover_clusters

        urls = [node_url(node) for node in nodes]
        rows = recover_clusters(self.context, urls, source, name, progress, settings)
        return [Cluster(self, row.name, row.cluster) for row in rows]

    # --- snapshots --------------------------------------------------------------------------------------------------
    def snapshots(self) -> list[Snapshot]:
        """All snapshots, by name; they stay when their cluster is deleted."""
        from clusterdb.past import snapshots

        return snapshots.all_snapshots(self.context)

    def snapshot(self, name: str) -> Snapshot:
        """The snapshot of that name.  Raises SnapshotNotFoundError, InvalidNameError."""
        from clusterdb.past import snapshots

        return snapshots.get(self.context, name)

    @uninterrupted
    def restore_snapshot(self, snapshot: str, name: str, **settings: Any) -> Cluster:
        """Create a cluster from a snapshot, in constant time; ``settings``: those of :class:`ClusterSettings`.

        Raises SnapshotNotFoundError, InvalidNameError, ClusterExistsError, InvalidArgumentError.
        """
        from clusterdb.clusters import cloning

        row = cloning.restore_snapshot(self.context, snapshot, name, with_zones(settings, self.path))
        return self._copied(row)

    @uninterrupted
    def copy_snapshot(self, snapshot: str, name: str) -> Snapshot:
        """Copy a snapshot: the copy keeps the same version, and stays when the first is deleted.

        Raises SnapshotNotFoundError, SnapshotExistsError, InvalidNameError.
        """
        from clusterdb.past import snapshots

        return snapshots.copy(self.context, snapshot, name)

    @uninterrupted
    def delete_snapshot(self, snapshot: str) -> None:
        """Delete a snapshot, and free the space that only it kept.  Raises SnapshotNotFoundError."""
        from clusterdb.past import snapshots

        snapshots.delete(self.context, snapshot)

    @uninterrupted
    def export_snapshot(
        self,
        snapshot: str,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """Write the database in a snapshot as a plain SQLite database file.

        Returns the same as :meth:`Cluster.export`.  Raises SnapshotNotFoundError, ExportTargetError.
        """
        from clusterdb.past import snapshots

        return snapshots.export(self.context, snapshot, Path(path), overwrite=overwrite, progress=progress)

    def diff(
        self,
        before: str | Cluster,
        after: str | Cluster | None = None,
        *,
        before_at: Point | None = None,
        after_at: Point | None = None,
        tables: Iterable[str] | None = None,
    ) -> Diff:
        """Compare two clusters, or points in their pasts: the changed definitions and rows.

        With one cluster: what changed in it since it was cloned (its point ``"base"``), or since ``before_at``.  The
        time depends on the size of the differences, not of the clusters, if one was cloned from the other.
        ``tables``: compare only these.  :mod:`clusterdb.diff` describes the use of SQLite's session extension and its
        rules for keys.

        Raises ClusterNotFoundError, InvalidRestoreTimeError, SnapshotNotFoundError, InvalidArgumentError, DataError,
        NotSupportedError.
        """
        from clusterdb.diff import clusters  # imports apsw's session extension only when it is needed

        if after is None:
            before_at = BASE if before_at is None else before_at
            after = before
        old, new = (self.cluster(side) if isinstance(side, str) else side for side in (before, after))
        return clusters.compare(self.context, old, new, before_at, after_at, tables)

    @uninterrupted
    def restore_to_point_in_time(
        self,
        source: str,
        name: str,
        *,
        restore_type: str = "full-copy",
        restore_to_time: datetime | None = None,
        use_latest_restorable_time: bool = False,
        **settings: Any,
    ) -> Cluster:
        """Restore a cluster as a new one, with the parameters and rules of Aurora's RestoreDBClusterToPointInTime.

        Either to a time or to the latest restorable time; ``"copy-on-write"`` shares the pages and accepts no time, as
        in Aurora, ``"full-copy"`` shares none.  :meth:`Cluster.clone` is the same without Aurora's restrictions.

        Raises InvalidArgumentError (Aurora: InvalidParameterCombination), and the errors of :meth:`Cluster.clone`.
        """
        from clusterdb.clusters import cloning

        cloning.require_restore_options(source, restore_type, restore_to_time, use_latest_restorable_time)
        arranged = with_zones(settings, self.path)
        row = cloning.clone(self.context, self.cluster(source), name, restore_to_time, restore_type, arranged)
        return self._copied(row)

    # --- figures ----------------------------------------------------------------------------------------------------
    def stats(self) -> StoreStats:
        """The size of the store."""
        from clusterdb.clusters import figures

        with self.context.errors():
            return figures.store_stats(self.context)

    def bills(self) -> list[Bill]:
        """A bill for every cluster and snapshot; the parts add up to the live bytes of the pool.

        Walks everything.  Commits, clones and drops meanwhile restart the walk; the last attempt blocks clones and
        drops.

        Raises CorruptStoreError, StoreBusyError.
        """
        from clusterdb.clusters import billing  # imports fractions

        self.context.require_open()
        with self.context.errors():
            return billing.bills(self.context)

    @uninterrupted
    def metrics(self) -> list[Metric]:
        """The present sizes, writes, connections and lags; :func:`clusterdb.metrics.prometheus` prints them.

        The storage nodes of clusters with zones are asked, all at once.
        """
        from clusterdb.clusters import metrics

        self.context.require_open()
        with self.context.errors():
            samples = metrics.metrics(self.context)
            if any(row.settings.zones for row in self.context.catalog.clusters.all()):
                from clusterdb.zones.verbs import node_metrics

                samples += node_metrics(self.context)
            return samples

    def events(self, source: str | None = None) -> list[Event]:
        """The events of clusters, instances and snapshots (or of the ``source`` with that name), oldest first."""
        from clusterdb.clusters import figures

        return figures.events(self.context, source)

    # --- care -------------------------------------------------------------------------------------------------------
    @uninterrupted
    def expire(self) -> list[str]:
        """Delete the clusters whose time to live or idle time is over, and return their names.

        Protected clusters and clusters with open connections stay.  Past versions that the settings of the others do
        not retain any more are removed.  Opening a store does this too; so does a busy writer for its own cluster.
        """
        from clusterdb.clusters import expiring

        with self.context.errors():
            return expiring.expire(self.context)

    @uninterrupted
    def check(self, progress: Progress | None = None, *, repair: bool = False) -> CheckReport:
        """Walk everything that clusters reach, and compare it with its checksums and the allocation map.

        ``repair``: put the bytes of damaged pages back that the storage nodes of a cluster have.
        ``progress`` is called with (slots checked, slots in use).  Check a store that nobody writes to meanwhile.
        """
        from clusterdb.clusters import care

        if repair:
            self.context.require_writable()
        return care.check(self.context, progress, repair=repair)

    def dump(self, *, cluster: str | None = None, slot: int | None = None) -> str:
        """Describe the content of a cluster, of a slot of the pool, or of all clusters.

        Raises ClusterNotFoundError, CorruptStoreError (a slot past the end of the pool).
        """
        from clusterdb.clusters import care

        self.context.require_open()
        chosen = self.clusters() if cluster is None else [self.cluster(cluster)]
        return care.dump(self.context, map(self.context.row_of, chosen), slot)

    @uninterrupted
    def reclaim(self) -> SweepReport:
        """Free the slots that killed processes leaked, while other processes continue.

        Opening a store does this too, if a process has died in it.  Space of dropped clusters is freed without it.
        """
        from clusterdb.clusters import care

        return care.reclaim(self.context)

    @uninterrupted
    def shrink(self) -> int:
        """Return the pool's free space to the file system, while other processes continue; returns the bytes freed."""
        from clusterdb.clusters import care

        return care.shrink(self.context)
