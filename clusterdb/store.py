"""A store: a directory of clusters that share one page pool.

Every verb is: validate, plan, one catalog transaction, then tell the storage layer.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from clusterdb import sqlite
from clusterdb.catalog import Catalog, ClusterRow, volume_holder
from clusterdb.cluster import Cluster
from clusterdb.errors import (
    ClosedError,
    ClusterNotFoundError,
    CorruptStoreError,
    Error,
    ForkedStoreError,
    InvalidArgumentError,
    NotAStoreError,
    StoreBusyError,
    StoreFormatError,
    StoreFullError,
    StoreInUseError,
    StoreReadOnlyError,
    StoreUnreadableError,
    UnsupportedFileSystemError,
)
from clusterdb.names import check_name, suggestion
from vfs import errors as storage_errors
from vfs.check import CheckReport, check
from vfs.dump import slot_text, volume_text
from vfs.layout import HOLE, LOCK_BUILDER, SLOT_BYTES, Version, unpack_pool_header
from vfs.osio import is_read_only
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.sqlite_vfs import ClusterVFS
from vfs.store import POOL_FILES, PageStore, sync_directory
from vfs.sweep import SweepReport, shrink, sweep
from vfs.volume import Durability, Volume

__all__ = ["Store", "StoreStats", "Synchronous", "open", "repair"]

Synchronous = Literal["OFF", "NORMAL", "FULL"]
PAGE_SIZES = tuple(1 << shift for shift in range(9, 17))
_vfs_numbers = itertools.count(1)
_open_stores: weakref.WeakSet[Store] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store holds.  ``pool_bytes`` is what the pool file takes on the device, ``used_bytes`` what of it is in
    use by clusters, pins and open transactions."""

    path: str
    cluster_count: int
    pool_bytes: int
    used_bytes: int


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
) -> Store:
    """Open a store, creating it if it does not exist and ``create`` is true.

    ``path``: a directory; None for ``$CLUSTERDB_STORE``, else ``./.clusterdb``; ``":memory:"`` for a store in RAM that
    only this process sees.  ``synchronous`` is what connections start with, as SQLite's PRAGMA of that name.
    ``verify_reads`` checks every page against its checksum whenever this process reads it, and answers SQLITE_CORRUPT.
    ``read_only`` writes nothing at all, as is always so on a file system that is mounted read-only; nobody may have the
    store open for writing meanwhile.  What a boot makes necessary to rebuild is then rebuilt in memory.

    Raises NotAStoreError, StoreFormatError, StoreUnreadableError, UnsupportedFileSystemError, CorruptStoreError,
    StoreInUseError.
    """
    return Store(path, create=create, synchronous=synchronous, verify_reads=verify_reads, read_only=read_only)


def repair(path: str | os.PathLike[str] | None = None, *, progress: sqlite.Progress | None = None) -> CheckReport:
    """Rebuild what is derived in a store (allocation map, shared tables) and check everything.

    Nothing else may have the store open.  The report says what is lost: damaged clusters stay as they are.  Raises as
    :func:`open`.
    """
    with Store(path, create=False, synchronous="FULL", verify_reads=False, rebuilds=True) as store:
        store._require_writable()
        return store.check(progress)


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Storage and system errors as errors of a person's store."""
    try:
        yield
    except storage_errors.NotAPoolError as error:
        raise NotAStoreError(f"'{where}' is no clusterdb store: {error}") from error
    except storage_errors.FormatError as error:
        raise StoreFormatError(f"'{where}' cannot be opened: {error}; use the release that wrote it") from error
    except storage_errors.UnsupportedFileSystemError as error:
        raise UnsupportedFileSystemError(f"store '{where}': {error}") from error
    except storage_errors.CorruptionError as error:
        raise CorruptStoreError(f"store '{where}': {error}") from error
    except storage_errors.PoolFullError as error:
        raise StoreFullError(f"store '{where}': {error}") from error
    except Error:
        raise
    except storage_errors.RegistryBusyError as error:
        raise StoreBusyError(f"store '{where}': {error}") from error
    except storage_errors.StorageError as error:
        raise StoreInUseError(f"store '{where}': {error}") from error
    except OSError as error:
        raise StoreUnreadableError(f"store '{where}': {error.strerror or error}: {error.filename or ''}") from error


class Store:
    """An open store.  Close it, or use it in a ``with`` statement; threads may share it, forked processes may not."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        create: bool,
        synchronous: Synchronous,
        verify_reads: bool,
        read_only: bool = False,
        rebuilds: bool = False,
    ) -> None:
        if synchronous not in Durability.__members__:
            raise InvalidArgumentError(f"synchronous={synchronous!r}: use 'OFF', 'NORMAL' or 'FULL'")
        in_memory = path == ":memory:"
        self.path = ":memory:" if in_memory else str(Path(path) if path is not None else default_path())
        self._pid = os.getpid()
        self._closed = False
        directory = None if in_memory else Path(self.path)
        if directory is not None:
            read_only = _prepare_directory(directory, create=create and not read_only) or read_only
        elif read_only:
            raise InvalidArgumentError("read_only=True: a store in memory begins empty, open it for writing")
        self.read_only = read_only
        with _translated(self.path):
            self._pages = PageStore(directory, create=True, verify_reads=verify_reads, read_only=read_only)
            try:
                self._open_catalog(directory, rebuilds=rebuilds)
            except BaseException:
                self._pages.close()
                raise
        self._looked_up = threading.local()
        self._connections: weakref.WeakSet[sqlite.Connection] = weakref.WeakSet()
        self._vfs = ClusterVFS(f"clusterdb-{next(_vfs_numbers)}", self._pages, self._resolve, Durability[synchronous])
        _open_stores.add(self)
        if read_only:
            return
        try:
            self._tidy()
        except BaseException:
            self.close()
            raise

    def _open_catalog(self, directory: Path | None, *, rebuilds: bool) -> None:
        pages = self._pages
        with pages.opening():
            path = directory / "catalog.db" if directory is not None else None
            store_id = secrets.token_bytes(16)
            if pages.pool_size() and path is not None and not (path.exists() and path.stat().st_size):
                unpack_pool_header(pages.pool_header())  # a newer format says so itself
                raise CorruptStoreError(
                    f"store '{self.path}': catalog.db is missing or empty, but there is a page pool"
                )
            self._catalog = Catalog(path, store_id=store_id, read_only=self.read_only)
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

    def close(self) -> None:
        """Close the store and the connections that its clusters gave out.  Closing twice does no harm.

        Raises StoreInUseError if connections are open that were not made by ``Cluster.connect``.
        """
        if self._closed or os.getpid() != self._pid:
            return
        for connection in list(self._connections):
            connection.close()
        if len(self._vfs.files):
            names = ", ".join(sorted({file.name for file in self._vfs.files}))
            raise StoreInUseError(f"store '{self.path}': connections to {names} are still open: close them first")
        self._closed = True
        self._vfs.close()
        with _translated(self.path):
            self._pages.close()
        self._catalog.close()
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

    @property
    def vfs(self) -> str:
        """The name of the SQLite VFS of this store, for ``apsw.Connection(cluster_name, vfs=store.vfs)``."""
        return self._vfs.name

    def _resolve(self, name: str) -> VolumeRow:
        self._require_open()
        found: tuple[str, VolumeRow] | None = getattr(self._looked_up, "found", None)
        if found is not None and found[0] == name:
            return found[1]
        row = self._catalog.volume_of_cluster(name)
        if row is None:
            raise LookupError(self._unknown(name))
        return row

    def _unknown(self, name: str) -> str:
        known = [row.name for row in self._catalog.clusters()]
        return f"store '{self.path}' has no cluster '{name}'{suggestion(name, known)}"

    def _tidy(self) -> None:
        """Bury dead sessions, drop what their owners were building, and reclaim what nobody waits for any more."""
        with _translated(self.path), self._pages.session() as session:
            with suppress(StoreBusyError):  # whoever opens the store next does it
                if self._pages.reclaim.bury_all(session):
                    # somebody died, perhaps between the catalog and the volume table
                    with self._catalog.reclaiming(), session.pool_locked():
                        self._pages.tables.forget_unknown_volumes({row.volume for row in self._catalog.volume_rows()})
            for row in self._catalog.volume_rows():
                if row.state != VolumeState.BUILDING or not session.locks.try_lock(LOCK_BUILDER + row.table_index):
                    continue
                try:
                    current = self._catalog.volume_row(row.volume)  # built meanwhile?
                    if current is not None and current.state == VolumeState.BUILDING:
                        with suppress(StoreBusyError):
                            self._drop_volume(current, "being built", waits=False)
                finally:
                    session.locks.unlock(LOCK_BUILDER + row.table_index)
            self._pages.chores.tidy_all(session)
        if self._pages.has_leaks():
            with suppress(CorruptStoreError):  # a damaged cluster keeps nobody from the others
                self.reclaim()

    # --- clusters ---------------------------------------------------------------------------------------------------
    def clusters(self) -> list[Cluster]:
        """All clusters, by name."""
        self._require_open()
        return [Cluster(self, row.name, row.volume) for row in self._catalog.clusters()]

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name.  Raises ClusterNotFoundError, InvalidNameError."""
        self._require_open()
        row = self._catalog.cluster(check_name(name))
        if row is None:
            raise ClusterNotFoundError(self._unknown(name))
        return Cluster(self, row.name, row.volume)

    def create_cluster(
        self,
        name: str,
        *,
        from_file: str | os.PathLike[str] | None = None,
        page_size: int | None = None,
        progress: sqlite.Progress | None = None,
    ) -> Cluster:
        """Create a cluster, empty or with the content of a SQLite database file.

        ``from_file``: any SQLite 3 database, also one in use or in WAL mode; it is only read.  ``page_size`` in bytes
        (512 to 65536, a power of two) for an empty one; an import keeps the file's.  ``progress`` is called with
        (pages done, pages in all) during an import.

        Raises InvalidNameError, ClusterExistsError, InvalidArgumentError, NotADatabaseError, DatabaseDamagedError,
        StoreFullError; then no cluster is left behind.
        """
        self._require_writable()
        self._catalog.require_free(check_name(name))
        if page_size is not None and page_size not in PAGE_SIZES:
            raise InvalidArgumentError(f"page_size={page_size}: use a power of two from 512 to 65536 (bytes)")
        if page_size is not None and from_file is not None:
            raise InvalidArgumentError(
                "page_size and from_file exclude each other: an import keeps the file's page size"
            )
        if from_file is None and page_size is None:
            return self._create_empty(name)
        return self._create_filled(name, None if from_file is None else Path(from_file), page_size, progress)

    def _create_empty(self, name: str) -> Cluster:
        with self._new_volume(VolumeState.LIVE, name=name) as row:
            return Cluster(self, name, row.volume)

    @contextmanager
    def _new_volume(
        self,
        state: VolumeState,
        *,
        name: str | None = None,
        source: Volume | None = None,
        source_name: str | None = None,
    ) -> Iterator[VolumeRow]:
        """Add a volume, and with ``name`` the cluster of it, in one catalog transaction."""
        pages = self._pages
        with _translated(self.path), pages.session() as session:
            parent = source.row.volume if source is not None else None
            base = _base_of(source.version if source is not None else None)
            with pages.new_head_slot(session) as head_slot:
                row = VolumeRow(0, -1, head_slot, state, parent, base)
                try:
                    with self._catalog.transaction():
                        if source is not None:
                            self._require_live(source.row.volume, source_name or "")
                        row = row._replace(table_index=pages.tables.free_volume_row())
                        row = self._catalog.add_volume(row)
                        with session.pool_locked():
                            pages.tables.set_volume(
                                row.table_index, row.volume, base.version, base.version, base.version
                            )
                        if source is not None:
                            self._catalog.add_pin(source.row.volume, volume_holder(row.volume), source.version)
                        if name is not None:
                            self._catalog.add_cluster(name, row.volume, source_name)
                        if state == VolumeState.BUILDING:
                            session.locks.lock(LOCK_BUILDER + row.table_index)
                except BaseException:
                    known = self._catalog.is_uncertain or self._catalog.volume_row(row.volume) is not None
                    if not row.volume or not known:  # else it is, or may be, committed
                        if row.volume:
                            with session.pool_locked():
                                pages.tables.remove_volume(row.table_index, row.volume)
                        pages.slot_map.free([head_slot])
                    raise
            try:
                yield row
            finally:
                if state == VolumeState.BUILDING:
                    session.locks.unlock(LOCK_BUILDER + row.table_index)

    def _create_filled(
        self, name: str, path: Path | None, page_size: int | None, progress: sqlite.Progress | None
    ) -> Cluster:
        with self._new_volume(VolumeState.BUILDING) as row:
            try:
                with self._building(row) as connection:
                    if path is not None:
                        sqlite.copy_in(path, connection, progress)
                    else:
                        connection.execute(f"PRAGMA page_size = {page_size}; VACUUM").fetchall()
                with self._catalog.transaction():
                    self._catalog.set_volume_state(row.volume, VolumeState.LIVE)
                    self._catalog.add_cluster(name, row.volume, None)
            except BaseException:
                self._drop_volume(row, name)
                raise
            return Cluster(self, name, row.volume)

    @contextmanager
    def _building(self, row: VolumeRow) -> Iterator[sqlite.Connection]:
        """A connection to a volume that has no name yet, through a VFS that knows only that one."""
        vfs = ClusterVFS(f"{self.vfs}-building-{row.volume}", self._pages, lambda _: row, Durability.FULL)
        try:
            connection = sqlite.connect("building", vfs.name)
            try:
                yield connection
            finally:
                connection.close()
        finally:
            vfs.close()

    # --- verbs of a cluster -----------------------------------------------------------------------------------------
    def _clone(self, source: Cluster, name: str) -> Cluster:
        self._require_writable()
        check_name(name)
        with self._pinned(source) as pinned:  # until the clone's own pin is announced
            if self._pages.is_durable and pinned.durable < pinned.version.version:
                self._pages.sync()  # what the clone stands on must be as durable as the clone
            try:
                with self._new_volume(VolumeState.LIVE, name=name, source=pinned, source_name=source.name) as clone:
                    return Cluster(self, name, clone.volume)
            finally:  # also when interrupted: the pin may be committed
                self._pages.reclaim.announce_pins(pinned.session, pinned.row.table_index)

    @contextmanager
    def _pinned(self, cluster: Cluster) -> Iterator[Volume]:
        """The cluster's head, pinned.  Raises ClusterNotFoundError."""
        with _translated(self.path):
            try:
                with self._pages.pinned(self._volume_of(cluster)) as volume:
                    yield volume
            except storage_errors.VolumeDroppedError:
                raise self._deleted(cluster.name) from None

    def _volume_of(self, cluster: Cluster) -> VolumeRow:
        """The volume of a cluster.  Raises ClusterNotFoundError once the cluster is deleted."""
        self._require_open()
        return self._require_live(cluster.volume, cluster.name)

    def _require_live(self, volume: int, name: str) -> VolumeRow:
        row = self._catalog.volume_row(volume)
        if row is None or row.state not in IN_USE:
            raise self._deleted(name)
        return row

    def _connect(self, cluster: Cluster, *, read_only: bool) -> sqlite.Connection:
        self._require_open()
        found = self._catalog.named_volume(cluster.volume)
        if found is None:
            raise self._deleted(cluster.name)
        self._looked_up.found = found  # what _resolve would look up again
        try:
            connection = sqlite.connect(found[0], self.vfs, read_only=read_only)
        finally:
            self._looked_up.found = None
        self._connections.add(connection)
        return connection

    def _deleted(self, name: str) -> ClusterNotFoundError:
        return ClusterNotFoundError(f"cluster '{name}' was deleted from store '{self.path}'")

    def _row_of(self, cluster: Cluster) -> ClusterRow:
        """The cluster as the catalog has it now: another process may have renamed it."""
        self._require_open()
        row = self._catalog.cluster_of_volume(cluster.volume)
        if row is None:
            raise self._deleted(cluster.name)
        return row

    def _rename(self, cluster: Cluster, new_name: str) -> None:
        check_name(new_name)
        self._require_writable()
        with self._catalog.transaction():
            if not self._catalog.rename_cluster(cluster.volume, new_name):
                raise self._deleted(cluster.name)

    def _delete(self, cluster: Cluster) -> None:
        self._require_writable()
        self._drop_volume(self._volume_of(cluster), cluster.name)

    def _drop_volume(self, row: VolumeRow, name: str, *, waits: bool = True) -> None:
        with (
            _translated(self.path),
            self._pages.session() as session,
            self._pages.chores.dropping(session, row) as plan,
            self._catalog.transaction(waits=waits),
        ):
            self._require_live(row.volume, name)  # another process may have been first
            self._catalog.remove_cluster(row.volume)
            ancestors = self._catalog.drop_volume(row.volume)
            plan([row._replace(state=VolumeState.DROPPED), *ancestors])

    # --- statistics -------------------------------------------------------------------------------------------------
    def stats(self) -> StoreStats:
        """What the store holds."""
        self._require_open()
        return StoreStats(
            path=self.path,
            cluster_count=len(self._catalog.clusters()),
            pool_bytes=self._pages.allocated_bytes(),
            used_bytes=self._pages.slot_map.used_count() * SLOT_BYTES,
        )

    def check(self, progress: sqlite.Progress | None = None) -> CheckReport:
        """Walk everything that clusters reach and compare it with its checksums and the allocation map.

        ``progress`` is called with (slots checked, slots in use).  Check a store that nobody writes to meanwhile.
        """
        self._require_open()
        names = {row.volume: f"cluster '{row.name}'" for row in self._catalog.clusters()}
        with _translated(self.path):
            report = check(self._pages, progress, lambda volume: names.get(volume, f"dropped volume {volume}"))
            for volume, name in names.items():
                row = self._catalog.volume_row(volume)
                if (row is None or row.state != VolumeState.LIVE) and self._catalog.cluster_of_volume(volume):
                    report.problems.append(f"{name} has no volume in use")
            return report

    def dump(self, *, cluster: str | None = None, slot: int | None = None) -> str:
        """What the store holds, in words: of one cluster, of one slot of the pool, or of all clusters.

        Raises ClusterNotFoundError, CorruptStoreError (a slot past the end of the pool).
        """
        self._require_open()
        with _translated(self.path):
            if slot is not None:
                return "\n".join(slot_text(self._pages, slot))
            wanted = self.clusters() if cluster is None else [self.cluster(cluster)]
            lines: list[str] = []
            for each in wanted:
                lines += [f"cluster {each.name}", *volume_text(self._pages, self._volume_of(each))]
            return "\n".join(lines)

    def reclaim(self) -> SweepReport:
        """Bring back the slots that killed processes leaked, while others go on.

        Opening a store does it too, when a process has died in it.  Space of dropped clusters comes back without it.
        """
        self._require_writable()
        with _translated(self.path):
            return sweep(self._pages)

    def shrink(self) -> int:
        """Give the pool's free space back to the file system, while others go on; the bytes given back."""
        self._require_writable()
        with _translated(self.path):
            return shrink(self._pages)

    def _newest_shared(self, row: VolumeRow) -> int:
        """The version up to which somebody else can reach what a volume reaches."""
        newest = max((pin.version.version for pin in self._catalog.pin_rows(row.volume) if not pin.released), default=0)
        if newest:
            return newest
        while row.parent is not None:
            parent = self._catalog.volume_row(row.parent)
            pins = [pin for pin in self._catalog.pin_rows(row.parent) if not pin.released]
            if parent is None or parent.state == VolumeState.LIVE or len(pins) > 1:
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

    Raises NotAStoreError, StoreUnreadableError.
    """
    try:
        if not directory.exists():
            if not create:
                raise NotAStoreError(f"there is no store at '{directory}': create a cluster in it first")
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(directory.absolute().parent)
        elif not directory.is_dir():
            raise NotAStoreError(f"'{directory}' is no clusterdb store: it is a file, not a directory")
        elif not (directory / "locks").exists():
            names = {path.name for path in directory.iterdir()}
            # The pool's files alone are there if somebody else is creating the store just now.
            if names - set(POOL_FILES) and not {"pool", "catalog.db"} <= names:
                raise NotAStoreError(f"'{directory}' is no clusterdb store: it holds other files")
            if not create and not names:
                raise NotAStoreError(f"there is no store at '{directory}': the directory is empty")
        return is_read_only(directory)
    except OSError as error:
        raise StoreUnreadableError(f"store '{directory}' cannot be opened: {error.strerror}") from error


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
