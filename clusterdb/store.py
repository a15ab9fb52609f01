"""A store: a directory of clusters that share one page pool.

Every verb is: validate, plan, one catalog transaction, then tell the storage layer.
"""

from __future__ import annotations

import itertools
import os
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, ParamSpec

from clusterdb import backups, billing, copies, instances, metrics, sqlite, status
from clusterdb.catalog import Catalog, ClusterRow, InstanceRow, volume_holder
from clusterdb.cluster import Cluster
from clusterdb.copies import Progress
from clusterdb.errors import (
    CloneLimitError,
    ClosedError,
    ClusterNotFoundError,
    ClusterStateError,
    CorruptStoreError,
    Error,
    ForkedStoreError,
    InvalidArgumentError,
    InvalidRestoreTimeError,
    NotAStoreError,
    StoreBusyError,
    StoreInUseError,
    StoreReadOnlyError,
    StoreUnreadableError,
    StoreUnsafeError,
)
from clusterdb.names import check_name, suggestion
from clusterdb.points import Point
from clusterdb.settings import ClusterSettings
from clusterdb.translate import UNNAMED, of_store
from vfs import errors as storage_errors
from vfs import expiry
from vfs.check import CheckReport, check
from vfs.dump import slot_text, volume_text
from vfs.holds import Holds
from vfs.instances import InstanceView
from vfs.interrupts import uninterrupted
from vfs.layout import HOLE, LOCK_BUILDER, SLOT_BYTES, Version, unpack_pool_header
from vfs.osio import is_read_only
from vfs.registry import IN_USE, Target, VolumeRow, VolumeState
from vfs.sqlite_vfs import ClusterVFS
from vfs.store import POOL_FILES, PageStore, sync_directory
from vfs.sweep import SweepReport, shrink, sweep
from vfs.volume import Durability, Volume

if TYPE_CHECKING:
    from clusterdb.diff import Diff
    from clusterdb.flavours.loaded import LoadedDump

__all__ = ["Store", "StoreStats", "Synchronous", "open", "repair"]

Synchronous = Literal["OFF", "NORMAL", "FULL"]
_P = ParamSpec("_P")
PAGE_SIZES = tuple(1 << shift for shift in range(9, 17))
_vfs_numbers = itertools.count(1)
_loan_numbers = itertools.count(1)
_open_stores: weakref.WeakSet[Store] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store holds.  ``pool_bytes`` is what the pool file takes on the device, ``used_bytes`` what of it is in
    use by clusters, pins and open transactions."""

    path: str
    cluster_count: int
    pool_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class _Through:
    """The instance that a connection was made through, and its cluster."""

    cluster: int
    view: InstanceView
    is_writer: bool


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a cluster, an instance or a snapshot (``kind``), named ``source``; times are UTC."""

    time: datetime
    kind: str
    source: str
    category: str
    message: str


def default_path() -> Path:
    """``$CLUSTERDB_STORE``, else ``./.clusterdb``."""
    return Path(os.environ.get("CLUSTERDB_STORE") or ".clusterdb")


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

    ``path``: a directory; None for ``$CLUSTERDB_STORE``, else ``./.clusterdb``; ``":memory:"`` for a store in RAM that
    only this process sees.  ``synchronous`` is what connections start with, as SQLite's PRAGMA of that name.
    ``verify_reads`` checks every page against its checksum whenever this process reads it, and answers SQLITE_CORRUPT.
    ``read_only`` writes nothing at all, as is always so on a file system that is mounted read-only; nobody may have the
    store open for writing meanwhile.  What a boot makes necessary to rebuild is then rebuilt in memory.
    ``disposable`` is for what can be made again: this process syncs nothing, whatever ``synchronous`` says, and clones
    and drops cost a half.  Check such a store after a power failure before you believe it.

    A directory that other users can write to is refused; that of a new store is its owner's alone.

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


def repair(path: str | os.PathLike[str] | None = None, *, progress: Progress | None = None) -> CheckReport:
    """Rebuild what is derived in a store (allocation map, shared tables) and check everything.

    Nothing else may have the store open.  The report says what is lost: damaged clusters stay as they are.  Raises as
    :func:`open`.
    """
    with Store(path, create=False, synchronous="FULL", verify_reads=False, rebuilds=True) as store:
        store._require_writable()
        return store.check(progress)


def _closed_if_interrupted(connect: Callable[_P, sqlite.Connection]) -> Callable[_P, sqlite.Connection]:
    """Let signal handlers wait, and close the connection if one of them raises before the caller has it."""

    @wraps(connect)
    def connect_whole(*arguments: _P.args, **named: _P.kwargs) -> sqlite.Connection:
        connection: sqlite.Connection | None = None
        try:
            with uninterrupted:
                connection = connect(*arguments, **named)
            return connection  # noqa: RET504  # leaving the body may raise
        except BaseException:
            if connection is not None:
                connection.close()
            raise

    return connect_whole


class Store:
    """An open store.  Close it, or use it in a ``with`` statement; threads may share it, forked processes may not.

    ``path`` is its directory, or ``":memory:"``; ``read_only`` whether it is open for reading only.  Everything raises
    ClosedError when it is closed and ForkedStoreError in a forked process; what writes, StoreReadOnlyError if it is
    read-only, StoreBusyError if another process holds up the catalog for 30 s, StoreFullError if the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        create: bool,
        synchronous: Synchronous,
        verify_reads: bool,
        read_only: bool = False,
        rebuilds: bool = False,
        disposable: bool = False,
    ) -> None:
        if synchronous not in Durability.__members__:
            raise InvalidArgumentError(f"synchronous={synchronous!r}: use 'OFF', 'NORMAL' or 'FULL'")
        in_memory = path is not None and os.fspath(path) == ":memory:"
        self.path = ":memory:" if in_memory else str(Path(path) if path is not None else default_path())
        self._pid = os.getpid()
        self._closed = False
        directory = None if in_memory else Path(self.path)
        if directory is not None:
            read_only = _prepare_directory(directory, create=create and not read_only) or read_only
        elif read_only:
            raise InvalidArgumentError("read_only=True: a store in memory begins empty, open it for writing")
        self.read_only = read_only
        with of_store(self.path):
            self._pages = PageStore(directory, create=True, verify_reads=verify_reads, read_only=read_only)
            try:
                self._open_catalog(directory, rebuilds=rebuilds, disposable=disposable)
            except BaseException:
                self._pages.close()
                raise
        if disposable:
            self._pages.is_durable = False  # its files are made: from here on it is about syncs only
        self._looked_up = threading.local()
        self._connections: weakref.WeakSet[sqlite.Connection] = weakref.WeakSet()
        self._loans: dict[int, ExitStack] = {}
        self._collected: deque[int] = deque()
        self._vfs = ClusterVFS(f"clusterdb-{next(_vfs_numbers)}", self._pages, self._resolve, Durability[synchronous])
        _open_stores.add(self)
        if read_only:
            return
        try:
            self._tidy()
        except BaseException:
            self.close()
            raise

    def _open_catalog(self, directory: Path | None, *, rebuilds: bool, disposable: bool) -> None:
        pages = self._pages
        with pages.opening():
            pages.look_at_content()
            path = directory / "catalog.db" if directory is not None else None
            store_id = os.urandom(16)
            if pages.pool_size() and path is not None and not (path.exists() and path.stat().st_size):
                unpack_pool_header(pages.pool_header())  # a newer format says so itself
                raise CorruptStoreError(
                    f"store '{self.path}': catalog.db is missing or empty, but there is a page pool"
                )
            self._catalog = Catalog(path, store_id=store_id, read_only=self.read_only, disposable=disposable)
            try:
                pages.start(self._catalog, self._catalog.store_id, rebuilds=rebuilds)
            except BaseException:
                self._catalog.close()
                raise

    # --- opening and closing ----------------------------------------------------------------------------------------
    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<clusterdb.Store {self.path}{' (closed)' if self._closed else ''}>"

    @uninterrupted
    def close(self) -> None:
        """Close the store and the connections that its clusters gave out.  Closing twice does no harm.

        Raises StoreInUseError if connections are open that were not made by ``Cluster.connect``.
        """
        if self._closed or os.getpid() != self._pid:
            return
        for connection in list(self._connections):
            connection.close()
        self._take_back()
        if len(self._vfs.files):
            names = ", ".join(sorted({file.name for file in self._vfs.files}))
            raise StoreInUseError(f"store '{self.path}': connections to {names} are still open: close them first")
        self._closed = True
        self._vfs.close()
        with of_store(self.path):
            try:
                self._pages.finish()
            finally:
                try:
                    self._catalog.close()  # before the stamp: it may write to its files
                finally:
                    self._pages.close()
        _open_stores.discard(self)

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError(f"store '{self.path}' is closed")
        if os.getpid() != self._pid:
            raise ForkedStoreError(f"store '{self.path}' was opened before a fork: open it again in the child process")

    def _require_writable(self) -> None:
        self._require_open()
        if self.read_only:
            raise StoreReadOnlyError(
                f"store '{self.path}' is open for reading only: copy it to where it can be written"
            )
        self._take_back()

    @property
    def vfs(self) -> str:
        """The name of the SQLite VFS of this store, for ``apsw.Connection(cluster_name, vfs=store.vfs)``."""
        return self._vfs.name

    def _resolve(self, name: str) -> Target:
        """What a name stands for, for the VFS.  Raises LookupError."""
        self._require_open()
        found: tuple[str, Target] | None = getattr(self._looked_up, "found", None)
        if found is not None and found[0] == name:
            return found[1]
        row = self._catalog.cluster(name)
        target = self._target(row) if row is not None else None
        if row is None or target is None:
            raise LookupError(self._unknown(name))
        try:
            status.after(row.name, row.status, "connect to")
        except ClusterStateError as error:
            raise LookupError(str(error)) from None
        through: _Through | None = getattr(self._looked_up, "through", None)
        if through is not None and through.cluster == row.cluster:  # ATTACH, through an instance of that cluster
            return target._replace(instance=through.view, read_only=not through.is_writer)
        return target

    def _target(self, row: ClusterRow) -> Target | None:
        volume = self._catalog.volume_row(row.volume)
        if volume is None:
            return None
        return Target(volume, lambda: self._catalog.volume_of(row.cluster), lambda: backups.expire(self, row.cluster))

    def _unknown(self, name: str) -> str:
        known = [row.name for row in self._catalog.clusters()]
        return f"store '{self.path}' has no cluster '{name}'{suggestion(name, known)}"

    @uninterrupted
    def _tidy(self) -> None:
        """Bury dead sessions, drop what their owners were building, and reclaim what nobody waits for any more."""
        with of_store(self.path), self._pages.session() as session:
            with suppress(StoreBusyError):  # whoever opens the store next does it
                if self._pages.reclaim.bury_all(session):
                    # somebody died, perhaps between the catalog and the volume table
                    with self._catalog.reclaiming(), session.pool_locked():
                        self._pages.tables.forget_unknown_volumes({row.volume for row in self._catalog.volume_rows()})
                    expiry.agree_on_past(self._pages, session)
            for row in self._catalog.volumes_in(VolumeState.BUILDING):
                hold = session.locks.try_lock(LOCK_BUILDER + row.table_index)
                if hold is None:
                    continue
                with hold:
                    current = self._catalog.volume_row(row.volume)  # built meanwhile?
                    if current is not None and current.state == VolumeState.BUILDING:
                        with suppress(StoreBusyError):
                            self._drop_volume(current, waits=False)
            self._pages.chores.tidy_all(session)
        self._drop_orphans()
        self.expire()
        if self._pages.has_leaks():
            with suppress(CorruptStoreError):  # a damaged cluster keeps nobody from the others
                self.reclaim()

    def _drop_orphans(self) -> None:
        """Drop volumes that no cluster has any more: who deleted or reset it died, or was interrupted, in between."""
        for row in self._catalog.orphans():
            with suppress(StoreBusyError, ClusterNotFoundError):
                self._drop_volume(row, lambda volume=row.volume: self._require_orphan(volume), waits=False)  # type: ignore[misc]

    def _require_orphan(self, volume: int) -> None:
        if self._catalog.is_owned(volume):
            raise StoreBusyError(f"volume {volume} belongs to a cluster")

    # --- clusters ---------------------------------------------------------------------------------------------------
    def clusters(self) -> list[Cluster]:
        """All clusters, by name."""
        self._require_open()
        return [Cluster(self, row.name, row.cluster) for row in self._catalog.clusters()]

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name.  Raises ClusterNotFoundError, InvalidNameError."""
        self._require_open()
        row = self._catalog.cluster(check_name(name))
        if row is None:
            raise ClusterNotFoundError(self._unknown(name))
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

        ``from_file``: any SQLite 3 database, also one in use or in WAL mode; it is only read.  Its pages are checked
        first (SQLite's ``PRAGMA quick_check``), unless ``check`` is False.  ``page_size`` in bytes
        (512 to 65536, a power of two) for an empty one; an import keeps the file's.  ``progress`` is called with
        (pages done, pages in all) during an import.  ``settings``: those of :class:`ClusterSettings`.

        Raises InvalidNameError, UnknownEngineError, ClusterExistsError, InvalidArgumentError, NotADatabaseError,
        DatabaseDamagedError, ImportSourceError, StoreFullError; then no cluster is left behind.
        """
        self._require_writable()
        self._catalog.require_free(check_name(name))
        wanted = ClusterSettings().changed(settings)
        if page_size is not None and page_size not in PAGE_SIZES:
            raise InvalidArgumentError(f"page_size={page_size}: use a power of two from 512 to 65536 (bytes)")
        if page_size is not None and from_file is not None:
            raise InvalidArgumentError(
                "page_size and from_file exclude each other: an import keeps the file's page size"
            )
        if from_file is None and page_size is None:
            cluster = self._create_empty(name, wanted)
        else:

            def fill(connection: sqlite.Connection) -> None:
                if from_file is not None:
                    copies.copy_in(Path(from_file), connection, progress, check=check)
                else:
                    connection.execute(f"PRAGMA page_size = {page_size}; VACUUM").fetchall()

            cluster = self._create_filled(name, fill, wanted, None)
        if wanted.keeps_past_ns:
            backups.keep_past(self, cluster.id)
        return cluster

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
        """Create a cluster with what a dump of mysqldump, mariadb-dump or pg_dump has, and tell what was skipped.

        ``source``: a path, ``"-"`` for standard input, or a binary stream; gzip is undone.  ``engine``: aurora-mysql or
        aurora-postgresql, unless the dump's first comment tells.  ``strict``: refuse what has no counterpart, and rows
        that refer to nothing.  ``progress`` is called with (bytes read, bytes in all).  ``settings``: those of
        :class:`ClusterSettings`.

        Raises InvalidNameError, ClusterExistsError, InvalidArgumentError, NotADatabaseError, StoreFullError and, with
        the line, NotSupportedError and what statements raise; then no cluster is left behind.
        """
        from clusterdb.flavours.dumps import Dump

        self._require_writable()
        self._catalog.require_free(check_name(name))
        loaded: list[LoadedDump] = []
        with Dump(source, engine=engine, progress=progress) as dump:
            wanted = ClusterSettings().changed({**settings, "engine": dump.engine})
            cluster = self._create_filled(
                name, lambda connection: loaded.append(dump.load(connection, strict=strict)), wanted, None
            )
        if wanted.keeps_past_ns:
            backups.keep_past(self, cluster.id)
        return loaded[0]

    def _create_empty(self, name: str, settings: ClusterSettings) -> Cluster:
        def add(row: VolumeRow) -> ClusterRow:
            self._catalog.add_event("cluster", name, "creation", f"cluster '{name}' created")
            return self._catalog.add_cluster(name, row.volume, settings)

        with self._new_volume(VolumeState.LIVE, add=add) as (_, cluster):
            assert cluster is not None
            return Cluster(self, name, cluster.cluster)

    @contextmanager
    def _new_volume(
        self,
        state: VolumeState,
        *,
        source: Version | None = None,
        source_text: str = "",
        is_pinned: bool = False,
        add: Callable[[VolumeRow], ClusterRow] | None = None,
    ) -> Iterator[tuple[VolumeRow, ClusterRow | None]]:
        """Add a volume, a clone of a version that somebody keeps, or empty; ``add`` is part of the transaction.

        ``is_pinned``: the caller has the version pinned; else a durable pin, still there in the transaction, keeps it.
        """
        pages = self._pages
        with of_store(self.path), pages.session() as session, Holds() as holds:
            parent = source.volume if source is not None else None
            base = _base_of(source)
            with pages.new_head_slot(session) as head_slot:
                row, cluster = VolumeRow(0, -1, head_slot, state, parent, base), None
                try:
                    with self._catalog.transaction():
                        if source is not None:
                            self._require_kept(source, source_text, is_pinned=is_pinned)
                        row = row._replace(table_index=pages.tables.free_volume_row())
                        row = self._catalog.add_volume(row)
                        with session.pool_locked():
                            pages.tables.set_volume(
                                row.table_index, row.volume, base.version, base.version, base.version
                            )
                        if source is not None:
                            self._catalog.add_pin(source.volume, volume_holder(row.volume), source)
                        if add is not None:
                            cluster = add(row)
                        if state == VolumeState.BUILDING:
                            holds.add(session.locks.lock(LOCK_BUILDER + row.table_index))
                except BaseException:
                    known = self._catalog.is_uncertain or self._catalog.volume_row(row.volume) is not None
                    if not row.volume or not known:  # else it is, or may be, committed
                        if row.volume:
                            with session.pool_locked():
                                pages.tables.remove_volume(row.table_index, row.volume)
                        pages.slot_map.free([head_slot])
                    raise
            yield row, cluster

    def _create_filled(
        self, name: str, fill: Callable[[sqlite.Connection], None], settings: ClusterSettings, source: ClusterRow | None
    ) -> Cluster:
        """A new cluster that nobody sees before it is full."""
        with self._new_volume(VolumeState.BUILDING) as (row, _):
            try:
                with self._building(row) as connection:
                    fill(connection)
                with self._catalog.transaction():
                    self._catalog.set_volume_state(row.volume, VolumeState.LIVE)
                    cluster = self._catalog.add_cluster(name, row.volume, settings, source)
                    told = f"copied from '{source.name}'" if source is not None else "created"
                    self._catalog.add_event("cluster", name, "creation", f"cluster '{name}' {told}")
            except BaseException:
                self._drop_volume(row)
                raise
            return Cluster(self, name, cluster.cluster)

    def _copy_found(self, found: backups.Found, source: ClusterRow, name: str, settings: ClusterSettings) -> Cluster:
        """A new cluster with all pages of a version for itself."""
        with self._lent(found) as (_, pages):
            return self._create_filled(name, lambda target: copies.copy(pages, target, None), settings, source)

    @contextmanager
    def _lent(self, found: backups.Found, *, read_only: bool = False) -> Iterator[tuple[VolumeRow, sqlite.Connection]]:
        """A version as a volume without a name, while it is needed, and a connection to it."""
        self._require_writable()
        with self._clone_volume(found, VolumeState.BUILDING) as (row, _):
            try:
                with self._building(row, read_only=read_only) as connection:
                    yield row, connection
            finally:
                self._drop_volume(row)

    @contextmanager
    def _building(self, row: VolumeRow, *, read_only: bool = False) -> Iterator[sqlite.Connection]:
        """A connection to a volume that has no name yet, through a VFS that knows only that one."""
        vfs = self._vfs_of(row)
        try:
            with of_store(self.path):
                connection = sqlite.connect(UNNAMED, vfs.name, read_only=read_only)
                try:
                    yield connection
                finally:
                    connection.close()
        finally:
            vfs.close()

    def _vfs_of(self, row: VolumeRow) -> ClusterVFS:
        """A VFS that knows only a volume that has no name."""
        return ClusterVFS(
            f"{self.vfs}-building-{row.volume}", self._pages, lambda _: Target(row, lambda: None), Durability.FULL
        )

    # --- snapshots --------------------------------------------------------------------------------------------------
    def snapshots(self) -> list[backups.Snapshot]:
        """All snapshots, by name; they stay when their cluster is deleted."""
        return backups.listed(self)

    def snapshot(self, name: str) -> backups.Snapshot:
        """The snapshot of that name.  Raises SnapshotNotFoundError, InvalidNameError."""
        return backups.get(self, name)

    @uninterrupted
    def restore_snapshot(self, snapshot: str, name: str, **settings: Any) -> Cluster:
        """A new cluster with what a snapshot shows, in constant time; ``settings`` of :class:`ClusterSettings`.

        Raises SnapshotNotFoundError, InvalidNameError, ClusterExistsError, InvalidArgumentError.
        """
        return backups.restore(self, snapshot, name, settings)

    @uninterrupted
    def copy_snapshot(self, snapshot: str, name: str) -> backups.Snapshot:
        """A second snapshot of the same version, which stays when the first is deleted.

        Raises SnapshotNotFoundError, SnapshotExistsError, InvalidNameError.
        """
        return backups.copy(self, snapshot, name)

    @uninterrupted
    def delete_snapshot(self, snapshot: str) -> None:
        """Delete a snapshot; what only it kept is free.  Raises SnapshotNotFoundError."""
        backups.remove(self, snapshot)

    @uninterrupted
    def export_snapshot(
        self,
        snapshot: str,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """Write what a snapshot shows as a plain SQLite database file.

        Returns what :meth:`Cluster.export` returns.  Raises SnapshotNotFoundError, ExportTargetError.
        """
        return backups.export(self, snapshot, Path(path), overwrite=overwrite, progress=progress)

    def diff(
        self,
        before: str | Cluster,
        after: str | Cluster,
        *,
        before_at: Point | None = None,
        after_at: Point | None = None,
        tables: Iterable[str] | None = None,
    ) -> Diff:
        """What made of one cluster, or a point in its past, what another is: definitions and rows.

        The time follows what differs, not how large the two are, as long as they come from one another.  ``tables``:
        compare these only.  SQLite's session extension and its key rules are in :mod:`clusterdb.diff`.

        Raises ClusterNotFoundError, InvalidRestoreTimeError, SnapshotNotFoundError, InvalidArgumentError, DataError,
        NotSupportedError.
        """
        from clusterdb.diff import clusters

        old, new = (self.cluster(each) if isinstance(each, str) else each for each in (before, after))
        return clusters.compare(self, old, new, before_at, after_at, tables)

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
        """A new cluster as another was, with the parameters and rules of Aurora's RestoreDBClusterToPointInTime.

        Either a time or the latest restorable time; ``"copy-on-write"`` shares the pages and takes no time, as Aurora
        knows it, ``"full-copy"`` shares none.  :meth:`Cluster.clone` is the same without Aurora's restrictions.

        Raises InvalidArgumentError (Aurora: InvalidParameterCombination), and what :meth:`Cluster.clone` raises.
        """
        if not isinstance(restore_to_time, datetime | None) or not isinstance(use_latest_restorable_time, bool):
            raise InvalidArgumentError("restore_to_time: use a datetime; use_latest_restorable_time: use True or False")
        if (restore_to_time is None) != use_latest_restorable_time:
            raise InvalidArgumentError(
                f"cluster '{source}': give either restore_to_time or use_latest_restorable_time=True"
            )
        if restore_type == "copy-on-write" and restore_to_time is not None:
            raise InvalidArgumentError(
                f"cluster '{source}': restore_to_time cannot be specified with restore_type='copy-on-write': use the "
                "latest restorable time, or Cluster.clone(at=...), which has no such limit"
            )
        return self._clone(self.cluster(source), name, restore_to_time, restore_type, settings)

    # --- verbs of a cluster -----------------------------------------------------------------------------------------
    @uninterrupted
    def _clone(
        self, source: Cluster, name: str, at: Point | None, copy_type: str, settings: Mapping[str, Any]
    ) -> Cluster:
        self._require_writable()
        if copy_type not in ("copy-on-write", "full-copy"):
            raise InvalidArgumentError(f"copy_type={copy_type!r}: use 'copy-on-write' or 'full-copy'")
        row = self._row_of(source)
        status.after(row.name, row.status, "clone")
        wanted = row.settings.inherited().changed(settings)
        self._catalog.require_free(check_name(name))
        found = backups.find(self, row, at)
        origin = row if backups.is_of(self, row, found) else None
        try:
            if copy_type == "full-copy":
                raise CloneLimitError
            cluster = self._clone_found(found, origin, name, wanted, f"cloned from {found.text}")
        except CloneLimitError:
            cluster = self._copy_found(found, row, name, wanted)
        if wanted.keeps_past_ns:
            backups.keep_past(self, cluster.id)
        return cluster

    def _has_all_clones(self, row: ClusterRow) -> bool:
        """Whether the group of a cluster has as many clones as its limit allows (beside the first)."""
        limit = row.settings.clone_limit
        if limit is None:
            return False
        return self._catalog.clone_count(row.clone_group) > limit

    def _clone_found(
        self, found: backups.Found, source: ClusterRow | None, name: str, settings: ClusterSettings, how: str
    ) -> Cluster:
        """A new cluster with a version of a volume."""

        def add(row: VolumeRow) -> ClusterRow:
            if source is not None and self._has_all_clones(source):
                raise CloneLimitError(f"the group of cluster '{source.name}' has as many clones as it may have")
            self._catalog.add_event("cluster", name, "creation", f"cluster '{name}' {how}")
            return self._catalog.add_cluster(name, row.volume, settings, source)

        with self._clone_volume(found, VolumeState.LIVE, add) as (_, cluster):
            assert cluster is not None
            return Cluster(self, name, cluster.cluster)

    @contextmanager
    def _clone_volume(
        self, found: backups.Found, state: VolumeState, add: Callable[[VolumeRow], ClusterRow] | None = None
    ) -> Iterator[tuple[VolumeRow, ClusterRow | None]]:
        """A new volume that begins with a version of another."""
        if found.record is not None:  # a snapshot's pin keeps it
            with self._new_volume(state, source=found.record, source_text=found.text, add=add) as made:
                self._announce(found.volume)
                yield made
            return
        with (
            self._lasting(found) as source,
            self._new_volume(state, source=source, source_text=found.text, is_pinned=True, add=add) as made,
        ):
            yield made

    @contextmanager
    def _lasting(self, found: backups.Found) -> Iterator[Version]:
        """A version, pinned until a durable pin on it, added meanwhile, is announced."""
        with self._pinned_volume(found.volume, found.version, found.text) as pinned:
            if self._pages.is_durable and pinned.durable < pinned.version.version:
                self._pages.sync()  # what a durable pin stands on must be as durable
            try:
                yield pinned.version._replace(volume=found.volume.volume)
            finally:  # also when interrupted: the pin may be committed
                self._pages.reclaim.announce_pins(pinned.session, pinned.row.table_index)

    def _announce(self, volume: VolumeRow) -> None:
        with self._pages.session() as session:
            self._pages.reclaim.announce_pins(session, volume.table_index)

    def _pinned(self, cluster: Cluster) -> AbstractContextManager[Volume]:
        """The cluster's head, pinned.  Raises ClusterNotFoundError."""
        return self._pinned_row(self._row_of(cluster))

    def _pinned_row(self, row: ClusterRow) -> AbstractContextManager[Volume]:
        text = f"cluster '{row.name}'"
        return self._pinned_volume(self._require_in_use(row.volume, text), None, text)

    @contextmanager
    def _pinned_volume(self, volume: VolumeRow, version: int | None, text: str) -> Iterator[Volume]:
        """A volume's head, or a version that it retains, pinned; ``text`` is what errors call it.

        Raises ClusterNotFoundError, InvalidRestoreTimeError.
        """
        with of_store(self.path):
            try:
                with self._pages.pinned(volume, version) as pinned:
                    yield pinned
            except storage_errors.VolumeDroppedError:
                raise self._deleted(text) from None
            except storage_errors.PastVersionGoneError as error:
                raise InvalidRestoreTimeError(f"{text} in store '{self.path}': {error}") from None

    def _volume_of(self, cluster: Cluster) -> VolumeRow:
        """The volume of a cluster.  Raises ClusterNotFoundError once the cluster is deleted."""
        return self._require_in_use(self._row_of(cluster).volume, f"cluster '{cluster.name}'")

    def _require_in_use(self, volume: int, text: str = "it") -> VolumeRow:
        row = self._catalog.volume_row(volume)
        if row is None or row.state not in IN_USE:
            raise self._deleted(text)
        return row

    def _require_known(self, volume: int) -> VolumeRow:
        row = self._catalog.volume_row(volume)
        if row is None:
            raise CorruptStoreError(f"store '{self.path}': a snapshot is of volume {volume}, which there is not")
        return row

    def _require_kept(self, source: Version, text: str, *, is_pinned: bool) -> None:
        """A version that is about to be pinned is one that the caller holds in a volume in use, or a pin keeps it.

        In the catalog transaction that adds the pin: else the version's slots could be free already (R1 of reclaim.py).
        """
        row = self._catalog.volume_row(source.volume)
        if is_pinned and row is not None and row.state in IN_USE:
            return
        if row is None or not self._catalog.is_pinned(source.volume, source.version):
            raise self._deleted(text)

    def _kept_ns(self, row: ClusterRow) -> int:
        """How long past versions of a cluster are kept, in nanoseconds."""
        return max(row.settings.keeps_past_ns, instances.lag_kept_ns(self._catalog.instances(row.cluster)))

    def _errors(self) -> AbstractContextManager[None]:
        return of_store(self.path)

    def _deleted(self, what: str) -> ClusterNotFoundError:
        return ClusterNotFoundError(f"{what} was deleted from store '{self.path}'")

    @_closed_if_interrupted
    def _connect(
        self, cluster: Cluster, endpoint: str, *, read_only: bool, cached_statements: int = 100
    ) -> sqlite.Connection:
        while True:
            row = self._row_of(cluster)
            status.after(row.name, row.status, "connect to")
            instance = instances.choose(self, row, endpoint)
            connection = self._connect_to(cluster, row, instance, cached_statements, read_only=read_only)
            now = self._catalog.cluster_row(row.cluster)
            is_right = now is not None and now.status == row.status
            if is_right and instance is not None:
                is_right = instances.require(self, row, instance.name).is_writer == instance.is_writer
            if is_right:
                return connection
            connection.close()  # it was stopped, or failed over, in between

    @_closed_if_interrupted
    def _connect_past(self, cluster: Cluster, at: Point) -> sqlite.Connection:
        """A connection that reads a version of the past, which is lent until it is closed."""
        found = backups.find(self, self._row_of(cluster), at)
        self._require_writable()
        with ExitStack() as lent:
            row, _ = lent.enter_context(self._clone_volume(found, VolumeState.BUILDING))
            lent.callback(self._give_back, row)
            vfs = self._vfs_of(row)
            lent.callback(vfs.close)
            with of_store(self.path):
                connection = sqlite.connect(UNNAMED, vfs.name, read_only=True)
            # Neither holds the other, so the collector takes the connection alone.
            number = next(_loan_numbers)
            self._loans[number] = lent.pop_all()
            connection.when_closed = partial(self._end_loan, number)
            connection.when_collected = partial(self._collected.append, number)
        self._connections.add(connection)
        return connection

    def _give_back(self, row: VolumeRow) -> None:
        """Drop a volume that was lent."""
        with suppress(ClusterNotFoundError):  # another process has dropped it meanwhile
            self._drop_volume(row)

    def _end_loan(self, number: int) -> None:
        """What was lent to a connection comes back."""
        loan = self._loans.pop(number, None)
        if loan is not None:
            loan.close()

    def _take_back(self) -> None:
        """The same for connections that were collected, and not closed."""
        while self._collected:
            with suppress(IndexError):  # another thread was faster
                self._end_loan(self._collected.popleft())

    def _connect_to(
        self,
        cluster: Cluster,
        row: ClusterRow,
        instance: InstanceRow | None,
        cached_statements: int,
        *,
        read_only: bool,
    ) -> sqlite.Connection:
        target = self._target(row)
        if target is None:
            raise self._deleted(f"cluster '{cluster.name}'")
        kind, view = sqlite.Connection, None
        if instance is not None:
            kind, view = sqlite.InstanceConnection, instances.view(self, instance)
            target = target._replace(instance=view, read_only=not instance.is_writer)
        if row.settings.idle_s is not None:
            self._note_use(row.cluster)
        self._looked_up.found = (row.name, target)  # what _resolve would look up again
        try:
            with of_store(self.path):
                connection = sqlite.connect(
                    row.name,
                    self.vfs,
                    read_only=read_only or target.read_only,
                    kind=kind,
                    cached_statements=cached_statements,
                )
        finally:
            self._looked_up.found = None
        if instance is not None and view is not None and isinstance(connection, sqlite.InstanceConnection):
            instances.prepare(self, cluster, instance, view, connection)
            connection.executing = lambda: self._executing(_Through(row.cluster, view, instance.is_writer))
        if row.settings.idle_s is not None and not self.read_only:
            connection.when_closed = lambda: self._note_use(row.cluster)
        self._connections.add(connection)
        return connection

    def _note_use(self, cluster: int) -> None:
        """A cluster that is deleted when nobody uses it is in use."""
        with suppress(Error), self._catalog.transaction():
            self._catalog.set_used(cluster, time.time_ns())

    @contextmanager
    def _executing(self, through: _Through) -> Iterator[None]:
        """What is opened meanwhile in this thread is opened through an instance."""
        before = getattr(self._looked_up, "through", None)
        self._looked_up.through = through
        try:
            yield
        finally:
            self._looked_up.through = before

    def _row_of(self, cluster: Cluster) -> ClusterRow:
        """The cluster as the catalog has it now: another process may have renamed it.  Raises ClusterNotFoundError."""
        self._require_open()
        row = self._catalog.cluster_row(cluster.id)
        if row is None:
            raise self._deleted(f"cluster '{cluster.name}'")
        return row

    @uninterrupted
    def _rename(self, cluster: Cluster, new_name: str) -> None:
        check_name(new_name)
        self._require_writable()
        with self._catalog.transaction():
            former = self._row_of(cluster).name
            if former != new_name:
                self._catalog.rename_cluster(cluster.id, new_name)
                self._catalog.add_event("cluster", new_name, "configuration change", f"renamed from '{former}'")

    @uninterrupted
    def _modify(self, cluster: Cluster, changes: Mapping[str, Any]) -> ClusterSettings:
        self._require_writable()
        with self._catalog.transaction():
            row = self._row_of(cluster)
            settings = row.settings.changed(changes)
            if settings.engine != row.settings.engine:
                raise InvalidArgumentError(f"cluster '{row.name}': the engine of a cluster cannot be changed")
            if not changes:
                return settings
            self._catalog.set_settings(row.cluster, settings)
            if "idle_s" in changes:
                self._catalog.set_used(row.cluster, time.time_ns())
            told = ", ".join(f"{name} = {value!r}" for name, value in sorted(changes.items()))
            self._catalog.add_event("cluster", row.name, "configuration change", f"set {told}")
        backups.keep_past(self, cluster.id)
        return settings

    @uninterrupted
    def _change_status(self, cluster: Cluster, verb: str) -> None:
        self._require_writable()
        volume = self._volume_of(cluster)
        with of_store(self.path), self._pages.fencing(volume) as fence, self._catalog.transaction():
            row = self._row_of(cluster)
            self._require_same(row, volume)
            self._catalog.set_status(row.cluster, status.after(row.name, row.status, verb))
            self._catalog.add_event("cluster", row.name, "notification", f"cluster '{row.name}': {verb}")
            if verb == "stop":
                fence()
                instances.restart_all(self, row)
        if verb == "stop":
            instances.restart_all(self, row)  # who has connected meanwhile

    def _require_same(self, row: ClusterRow, volume: VolumeRow) -> None:
        """A cluster still has the volume that it had.  Raises StoreBusyError."""
        if row.volume != volume.volume:
            raise StoreBusyError(f"cluster '{row.name}' was reset by another process meanwhile: try again")

    @uninterrupted
    def _delete(self, cluster: Cluster) -> None:
        self._require_writable()
        row = self._row_of(cluster)
        backups.delete(self, row)

    @uninterrupted
    def _drop_volume(self, row: VolumeRow, change: Callable[[], None] = lambda: None, *, waits: bool = True) -> None:
        """Drop a volume, and make a change to the catalog in the same transaction, before."""
        with (
            of_store(self.path),
            self._pages.session() as session,
            self._pages.chores.dropping(session, row) as plan,
            self._catalog.transaction(waits=waits),
        ):
            change()  # another process may have been first
            self._require_in_use(row.volume)
            ancestors = self._catalog.drop_volume(row.volume)
            plan([self._require_known(row.volume), *ancestors])

    # --- statistics -------------------------------------------------------------------------------------------------
    def stats(self) -> StoreStats:
        """What the store holds."""
        self._require_open()
        with of_store(self.path):
            return StoreStats(
                path=self.path,
                cluster_count=self._catalog.cluster_count(),
                pool_bytes=self._pages.allocated_bytes(),
                used_bytes=self._pages.slot_map.used_count() * SLOT_BYTES,
            )

    def bills(self) -> list[billing.Bill]:
        """What every cluster and snapshot pays for; the parts add up to the live bytes of the pool.

        A walk of everything; clones and drops beside it make it begin again, and wait for it if they go on.

        Raises CorruptStoreError, StoreBusyError.
        """
        self._require_open()
        with of_store(self.path):
            return billing.bills(self)

    @uninterrupted
    def metrics(self) -> list[metrics.Metric]:
        """Sizes, writes, connections and lags of all clusters now; :func:`clusterdb.metrics.prometheus` prints them."""
        self._require_open()
        with of_store(self.path):
            return metrics.metrics(self)

    def events(self, source: str | None = None) -> list[Event]:
        """What has happened to clusters, instances and snapshots (or to the one of that name), oldest first."""
        self._require_open()
        return [
            Event(
                datetime.fromtimestamp(row.time_ns / 1e9, tz=timezone.utc),
                row.kind,
                row.source,
                row.category,
                row.message,
            )
            for row in self._catalog.events()
            if source is None or row.source == source
        ]

    @uninterrupted
    def expire(self) -> list[str]:
        """Delete the clusters whose time to live or idle time is over; their names.

        Protected ones and those with open connections stay.  The others give up what their settings keep of the past no
        longer.  Opening a store does it too; a busy writer gives up its cluster's past as it goes.
        """
        self._require_writable()
        gone = []
        with of_store(self.path):
            for row in self._catalog.clusters_with_past(backups.may_expire):
                if backups.is_expired(self, row):
                    with suppress(ClusterNotFoundError, ClusterStateError, StoreBusyError):
                        backups.delete(self, row, only_expired=True)
                        gone.append(row.name)
                    continue
                backups.keep_past(self, row.cluster)  # whoever changed the settings may have died
                if self._kept_ns(row) or self._catalog.pasts(row.cluster):
                    backups.expire(self, row.cluster)
        return gone

    @uninterrupted
    def check(self, progress: Progress | None = None) -> CheckReport:
        """Walk everything that clusters reach and compare it with its checksums and the allocation map.

        ``progress`` is called with (slots checked, slots in use).  Check a store that nobody writes to meanwhile.
        """
        self._require_open()
        names = {row.volume: f"cluster '{row.name}'" for row in self._catalog.clusters()}
        with of_store(self.path):
            report = check(self._pages, progress, lambda volume: names.get(volume, f"dropped volume {volume}"))
            for volume, name in names.items():
                row = self._catalog.volume_row(volume)
                if row is None or row.state != VolumeState.LIVE:
                    report.problems.append(f"{name} has no volume in use")
            return report

    def dump(self, *, cluster: str | None = None, slot: int | None = None) -> str:
        """What the store holds, in words: of one cluster, of one slot of the pool, or of all clusters.

        Raises ClusterNotFoundError, CorruptStoreError (a slot past the end of the pool).
        """
        self._require_open()
        with of_store(self.path):
            if slot is not None:
                return "\n".join(slot_text(self._pages, slot))
            wanted = self.clusters() if cluster is None else [self.cluster(cluster)]
            lines: list[str] = []
            for each in wanted:
                lines += [f"cluster {each.name}", *volume_text(self._pages, self._volume_of(each))]
            return "\n".join(lines)

    @uninterrupted
    def reclaim(self) -> SweepReport:
        """Bring back the slots that killed processes leaked, while others go on.

        Opening a store does it too, when a process has died in it.  Space of dropped clusters comes back without it.
        """
        self._require_writable()
        with of_store(self.path):
            return sweep(self._pages)

    @uninterrupted
    def shrink(self) -> int:
        """Give the pool's free space back to the file system, while others go on; the bytes given back."""
        self._require_writable()
        with of_store(self.path):
            return shrink(self._pages)

    def _newest_shared(self, row: VolumeRow) -> int:
        """The version up to which somebody else can reach what a volume reaches."""
        newest = self._catalog.newest_pinned(row.volume)
        if newest:
            return newest
        while row.parent is not None:
            parent = self._catalog.volume_row(row.parent)
            if parent is None or parent.state == VolumeState.LIVE or self._catalog.is_shared(row.parent):
                return row.base.version
            row = parent  # a dropped source that only this lineage still stands on
        return 0


def _base_of(source: Version | None) -> Version:
    """The first version of a new volume (its id still open): the source's, or an empty one."""
    if source is not None:
        return source._replace(volume=0, durable=source.version, own_count=0)
    return Version(0, 1, 1, 0, 0, 0, time.time_ns(), HOLE)


def _prepare_directory(directory: Path, *, create: bool) -> bool:
    """See that a directory is a store, or can become one; whether it can only be read.

    Raises NotAStoreError, StoreUnreadableError, StoreUnsafeError.
    """
    try:
        if not directory.exists():
            if not create:
                raise NotAStoreError(f"there is no store at '{directory}': create a cluster in it first")
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(directory.absolute().parent)
            _require_private(directory, is_new=True)
        elif not directory.is_dir():
            raise NotAStoreError(f"'{directory}' is no clusterdb store: it is a file, not a directory")
        elif not (directory / "locks").exists():
            names = {path.name for path in directory.iterdir()}
            # The pool's files alone are there if somebody else is creating the store just now.
            if names - set(POOL_FILES) and not {"pool", "catalog.db"} <= names:
                raise NotAStoreError(f"'{directory}' is no clusterdb store: it holds other files")
            if not create and not names:
                raise NotAStoreError(f"there is no store at '{directory}': the directory is empty")
            _require_private(directory, is_new=not names)
        else:
            _require_private(directory, is_new=False)
        return is_read_only(directory)
    except OSError as error:
        raise StoreUnreadableError(f"store '{directory}' cannot be opened: {error.strerror}") from error


def _require_private(directory: Path, *, is_new: bool) -> None:
    """See that only its owner can put files into a store's directory, as PostgreSQL does with its own.

    Who can write there can put other files in the place of the store's.  The mode of an empty directory that is about
    to become a store is set right.  Raises StoreUnsafeError.
    """
    status = directory.stat()
    if is_read_only(directory):
        return
    if status.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise StoreUnsafeError(
            f"store '{directory}' belongs to another user (uid {status.st_uid}), who could replace its files: use a "
            "directory of your own"
        )
    if not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    if is_new and status.st_uid == os.geteuid():
        directory.chmod(0o700)
        return
    raise StoreUnsafeError(
        f"other users can write to the directory of store '{directory}' (mode {stat.S_IMODE(status.st_mode):04o}), and "
        f"replace its files: run chmod go-w '{directory}'"
    )


def _before_fork() -> None:
    _forking.extend(store for store in _open_stores if store._pid == os.getpid())
    for store in _forking:
        store._catalog.before_fork()


def _after_fork() -> None:
    for store in _forking:
        store._catalog.after_fork()
    _forking.clear()


def _after_fork_in_child() -> None:
    for store in _forking:
        store._vfs.forget_files()
        store._pages.forget_locks()
    _after_fork()


_forking: list[Store] = []
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
