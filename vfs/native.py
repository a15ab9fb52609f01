"""The data plane in C: what it asks of Python, and its VFS.

The extension module ``vfs._native`` (sources in ``vfs/c``) serves reads and commits without the interpreter.  It works
on the same files and shared tables as the plane in Python, whose modules describe the invariants of both.  It calls the
objects of this module, its *owners*, where something is rare: growing the pool, reading durable pins, reclaim work
other than that of a commit's own slots, following a cluster, records that are in no head sector.

The module is a SQLite extension too: loading it once through a connection hands it the functions of apsw's SQLite,
whose symbols are hidden (https://sqlite.org/loadext.html).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import apsw

from vfs import errors, failpoints
from vfs.abc import Copies, Durability, Gate, Handle, Resolver, StoreVFS, Superseded, Target
from vfs.errors import StorageError
from vfs.format.layout import Entry, Version
from vfs.holds import is_busy
from vfs.interrupts import deliver, uninterrupted
from vfs.registry import VolumeRow
from vfs.sqlite.own_files import is_of_store
from vfs.sqlite.results import failed_commit, translated
from vfs.sqlite.vfs import ClusterVFS
from vfs.storage import device, writer
from vfs.storage.heads import find_record, newest_at, wipe_stale_record
from vfs.storage.pool import Pool
from vfs.storage.reader import Follow, successor
from vfs.storage.seals import seal
from vfs.storage.sessions import session_count_max

from vfs import _native  # isort: skip

__all__ = ["NativePlane", "NativeVFS", "plane"]

INTERFACE = 5
"""The number of the interface between this module and ``vfs/c/module.c``, which is compiled into ``vfs._native``."""

_KINDS: tuple[type[Exception], ...] = (
    RuntimeError,
    OSError,
    errors.PoolFullError,
    errors.CorruptionError,
    errors.StoreFailedError,
    errors.VolumeDroppedError,
    errors.WriterBusyError,
    errors.PastVersionGoneError,
    errors.ForkedError,
    errors.FencedError,
    errors.SnapshotMovedError,
    errors.RegistryBusyError,
    errors.ReadOnlyError,
    errors.TooManySessionsError,
    MemoryError,
    apsw.CantOpenError,
    StorageError,
    RuntimeError,
)
"""The exceptions for the kinds of errors, in the order of ``enum Kind`` in ``vfs/c/store.h``."""


_MMAP_BYTES = 0x7FFF0000
"""SQLite's upper limit (https://sqlite.org/mmap.html): pages beyond it are copied."""


# --- the store --------------------------------------------------------------------------------------------------------
class Companion:
    """A store as the plane in C has it open.  Implements :class:`vfs.storage.pool.Companion`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.native = _native.Store(
            pool.files(),
            is_durable=pool.is_durable,
            read_only=pool.read_only,
            verify_reads=pool.verify_reads,
            owner=self,
        )
        self.native.fail(pool.has_failed)
        pool.tables.swap = _native.swap

    # --- called by storage and reclaim ------------------------------------------------------------------------------
    def take_waiting(self, row: VolumeRow) -> list[Superseded]:
        """Hand over the superseded slots of a volume that wait to be freed (the caller holds its volume lock)."""
        waiting: list[Superseded] = self.native.take_waiting(row.volume)
        return waiting

    def add_waiting(self, row: VolumeRow, items: list[Superseded], durable: int) -> None:
        """Take superseded slots back (the caller holds the volume lock)."""
        if items:
            self.native.add_waiting(row.volume, items, durable)

    def waiting_count(self) -> int:
        """The number of superseded slots that wait."""
        return int(self.native.waiting_count())

    def waiting_volumes(self) -> list[int]:
        """The volumes with waiting slots."""
        volumes: list[int] = self.native.waiting_volumes()
        return volumes

    def forget_waiting(self) -> None:
        """Forget all waiting slots, which the caller has labelled as leaked."""
        self.native.forget_waiting()

    def unshared(self, versions: list[Version], born_after: int) -> list[Superseded]:
        """The slots born after ``born_after`` that each of the versions reaches, and the next one does not."""
        unshared: list[Superseded] = self.native.unshared(versions, born_after)
        return unshared

    def note_failure(self, reason: str) -> None:
        """Refuse writes from now on."""
        self.native.fail(reason)

    def forget_locks(self) -> None:
        """Close the descriptions whose locks belong to the parent, in the child of a fork."""
        self.native.forget_locks()

    def close_sessions(self) -> None:
        """Close the sessions that no handle uses."""
        self.native.close_sessions()

    def close(self) -> None:
        """Let go of the store in C, which ends with its last file."""
        del self.native

    # --- called by C ------------------------------------------------------------------------------------------------
    def grow(self, slot_count: int) -> None:
        """Add at least ``slot_count`` slots to the pool, under the pool lock."""
        self._pool.slot_map.grow(slot_count)

    def durable_pins(self, volume: int) -> list[int]:
        """The pinned versions of a volume, ascending."""
        return list(self._pool.registry.pinned_versions(volume))

    def bury(self, session_row: int) -> bool:
        """Bury a dead session, if that can be done now."""
        with self._pool.session() as session:
            return self._pool.reclaimer.bury(session, session_row)

    def require_resident(self, slot: int, crc: int) -> None:
        """Fetch a page that is not in the pool file."""
        self._pool.refresh_mapping()
        self._pool.require_resident(slot, crc)

    def failed(self, reason: str) -> None:
        """Refuse writes from now on, because the state of the device is unknown."""
        self._pool.fail(reason)

    @staticmethod
    def deliver_signals() -> None:
        """Call the handlers of signals that arrived while a lock is waited for."""
        deliver()


def companion_of(pool: Pool) -> Companion:
    """The store of a pool in C, opened when it is first needed."""
    if not isinstance(pool.companion, Companion):
        pool.companion = Companion(pool)
    return pool.companion


# --- handles ----------------------------------------------------------------------------------------------------------
class _Side:
    """The owner of a handle in C: the catalog's row of its volume, and what is done for it in Python."""

    def __init__(self, pool: Pool, row: VolumeRow, *, read_only: bool, follow: Follow | None) -> None:
        self.pool = pool
        self.row = row
        self._read_only = read_only
        self._follow = follow
        self._gate: Gate | None = None
        self._copies: Copies | None = None
        self._tend: Any = None

    def serve(self, target: Target) -> Gate | None:
        """Serve a file of a connection, which may have a gate."""
        self._gate = target.gate() if target.gate is not None else None
        self._tend = target.tend
        self._copies = target.copies
        return self._gate

    # --- reclaim ----------------------------------------------------------------------------------------------------
    @uninterrupted
    def before_write(self) -> None:
        """Do the work that waits for the volume's writer, who holds the volume lock."""
        with self.pool.session() as session:
            self.pool.reclaimer.before_write(session, self.row)

    @uninterrupted
    def on_close(self) -> None:
        """Reclaim the slots that a closing handle leaves, if the volume lock is free."""
        if is_busy():  # closed by the garbage collector: left to the volume's next user
            return
        with self.pool.session() as session:
            self.pool.reclaimer.on_close(session, self.row)

    # --- following, and records -------------------------------------------------------------------------------------
    def successor(self, epoch: int, follows: bool) -> VolumeRow | None:
        """The volume that the cluster has switched to: see :func:`vfs.storage.reader.successor`.

        ``follows``: the handle leaves its volume, of which it may have been the last reader.
        """
        row = successor(self.pool, self.row, epoch, read_only=self._read_only, follow=self._follow)
        if row is not None and follows:
            self.on_close()
            self.row = row
        return row

    def mend(self, page: int, slot: int, crc: int) -> None:
        """Put the bytes of a damaged page back, if there is a copy of them."""
        self.pool.mend(self.row.volume, page, slot, crc)

    def reread(self) -> VolumeRow | None:
        """The catalog's row of the volume, whose base has moved."""
        row = self.pool.registry.volume_row(self.row.volume)
        if row is not None:
            self.row = row
        return row

    def find_record(self, version: int) -> Version | None:
        """The record of a version that is neither in a head sector nor the base."""
        return find_record(self.pool, self.row, version)

    def newest_at(self, time_ns: int, first: int, last: int) -> Version | None:
        """The newest version of ``first`` to ``last`` that was published at or before a time."""
        return newest_at(self.pool, self.row, time_ns, first, last)

    # --- committing -------------------------------------------------------------------------------------------------
    def begins_publishing(self) -> int:
        """Note that this process writes to the volume; returns the row of the keeper's session."""
        self.pool.written[self.row.volume] = self.row
        return self.pool.keeper().row

    def seal(self) -> None:
        """Seal the newest durable version (K3)."""
        seal(self.pool, self.row, before_series=True)

    def wipe_stale_record(self, published: int) -> None:
        """Erase records newer than the published version (V2)."""
        wipe_stale_record(self.pool, self.row, published)

    def history_file(self) -> int:
        """The descriptor of the volume's history."""
        return self.pool.history.file(self.row)

    # --- the gate ---------------------------------------------------------------------------------------------------
    def gate_pin(self, handle: Handle) -> None:
        assert self._gate is not None
        self._gate.pin(handle)

    def gate_unpin(self, handle: Handle) -> None:
        assert self._gate is not None
        self._gate.unpin(handle)

    def gate_before_read(self, _handle: Handle) -> None:
        assert self._gate is not None
        self._gate.before_read()

    def gate_before_commit(self, _handle: Handle) -> None:
        assert self._gate is not None
        self._gate.before_commit()

    # --- copies -----------------------------------------------------------------------------------------------------
    def before_copies(self, durability: int) -> None:
        """Called before a transaction of a volume with copies is published."""
        assert self._copies is not None
        self._copies.before_commit(Durability(durability))

    def committed(self, durability: int) -> None:
        """Called when it was published."""
        assert self._copies is not None
        self._copies.committed(Durability(durability))

    def tend(self) -> None:
        """Called after many commits to a volume that retains its past."""
        self._tend()


# --- the VFS ----------------------------------------------------------------------------------------------------------
class _Opener:
    """The owner of a VFS in C: resolves the names that are opened."""

    def __init__(self, pool: Pool, resolve: Resolver) -> None:
        self._pool = pool
        self._resolve = resolve

    @uninterrupted
    def open(self, name: str, read_only: bool) -> tuple[Any, ...]:
        """What a name is: (volume, read-only, has a gate, gate row or -1, passive bytes or None, has copies, owner)."""
        _set_limits()
        target = self._resolve(name)
        side = _Side(self._pool, target.row, read_only=read_only or target.read_only, follow=target.follow)
        gate = side.serve(target)
        passive = gate.passive if gate is not None else None
        gate_row, gate_bytes = (-1, None) if passive is None else passive
        return (
            target.row,
            side.pool.read_only or target.read_only,
            gate is not None,
            gate_row,
            gate_bytes,
            target.copies is not None,
            side,
        )

    def require_foreign(self, path: str) -> None:
        """Raise CantOpenError for a file of a store."""
        if is_of_store(Path(path), self._pool.directory, self._pool.open_files()):
            raise apsw.CantOpenError(f"'{path}' is a file of a store: open a cluster by its name instead")


class NativeVFS:
    """A VFS over a store whose files are served by C.  Implements :class:`vfs.abc.StoreVFS`."""

    def __init__(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> None:
        self.name = name
        self.mmap_bytes = _MMAP_BYTES
        self._pool = pool
        self.folder = ClusterVFS.folder_of(pool, name)
        self.plain = ClusterVFS.plain_name()
        ClusterVFS.add_name(name)
        owner = _Opener(pool, resolve)
        store = companion_of(pool).native
        self._native = _native.VFS(store, name, self.plain, str(self.folder), int(durability), owner)

    def open_names(self) -> list[str]:
        """The names of the volumes that connections have open through it."""
        return sorted(set(self._native.open_names()))

    def open_count(self) -> int:
        """The number of open files."""
        return len(self._native.open_names())

    def orphan_files(self) -> None:
        """Do nothing: files notice a fork themselves."""

    def close(self) -> None:
        """Unregister the VFS; no file may be open."""
        self._native.close()
        ClusterVFS.remove_name(self.name)
        if self._pool.directory is None and self.folder.exists():
            self.folder.rmdir()


class MixedVFS(ClusterVFS):
    """A VFS whose files are served by both planes in turns: for tests of their coexistence in one process."""

    def __init__(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> None:
        self._turn = 0
        self._native = NativeVFS(f"{name}-c", pool, resolve, durability)
        super().__init__(name, pool, resolve, durability)

    def open_volume_file(self, volume_name: str, name: Any, flags: list[int]) -> Any:
        """Open every other file through the VFS in C."""
        self._turn += 1
        if self._turn % 2:
            return super().open_volume_file(volume_name, name, flags)
        return apsw.VFSFile(self._native.name, str(self._native.folder / volume_name), flags)

    def open_names(self) -> list[str]:
        return sorted({*super().open_names(), *self._native.open_names()})

    def open_count(self) -> int:
        return super().open_count() + self._native.open_count()

    def close(self) -> None:
        self._native.close()
        super().close()


# --- the plane --------------------------------------------------------------------------------------------------------
class NativePlane:
    """The data plane in C.  Implements :class:`vfs.plane.DataPlane`."""

    name = "c"

    def vfs(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> StoreVFS:
        """Register a :class:`NativeVFS`."""
        return NativeVFS(name, pool, resolve, durability)

    def mixed_vfs(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> StoreVFS:
        """Register a :class:`MixedVFS`."""
        return MixedVFS(name, pool, resolve, durability)

    def connect_plain(self, path: str) -> apsw.Connection:
        """Open a plain database, the frames of whose transactions are written to its log at once (``vfs/c/log.c``).

        A VFS that a program has made the default one is used as it is.
        """
        if ClusterVFS.plain_name() != _native.LOG_VFS_PLAIN:
            return ClusterVFS.connect_plain(path)
        name = _native.begin_log_vfs()
        try:
            ClusterVFS.add_name(name)
            connection = apsw.Connection(path, vfs=name)
        finally:
            _native.end_log_vfs()
        connection.execute("PRAGMA cache_spill = OFF")  # F1
        return connection

    def open_volume(
        self, pool: Pool, row: VolumeRow, *, read_only: bool = False, follow: Follow | None = None
    ) -> Handle:
        """Open a handle in C."""
        _set_limits()
        side = _Side(pool, row, read_only=read_only, follow=follow)
        handle: Handle = companion_of(pool).native.handle(row, read_only, side)
        return handle


def plane() -> NativePlane:
    """The plane, ready for use.

    Raises ImportError if the extension module was built from other sources, apsw.Error if SQLite cannot load it as an
    extension.
    """
    built = getattr(_native, "INTERFACE", 0)
    if built != INTERFACE:
        raise ImportError(
            f"vfs._native has interface {built}, and vfs/native.py needs {INTERFACE}: rebuild it by reinstalling "
            "clusterdb"
        )
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(_native.__file__, "sqlite3_clusterdbvfs_init")
    connection.close()
    _native.configure(
        make_version=_make_version,
        report_error=_report,
        reach_point=failpoints.reach,
        write_at=device.write_at,
        sync=device.sync,
        now_ns=_now_ns,
        error_classes=_KINDS,
    )
    failpoints.watch(lambda: _native.arm_points(bool(failpoints.armed)))
    device.CALLS.watch(lambda: _native.replace_calls(device.CALLS.are_replaced()))
    device.CALLS.watch(lambda: _native.replace_clock(device.CALLS.clocks_are_replaced()))
    return NativePlane()


def _set_limits() -> None:
    _native.set_limits(writer.STAGED_PAGES_MAX, session_count_max(), device.LOCK_PATIENCE_S)


def _now_ns(clock: int) -> int:
    return device.CALLS.time_ns() if clock == time.CLOCK_REALTIME else device.CALLS.clock_gettime_ns(clock)


def _make_version(*fields: Any) -> Version:
    return Version._make((*fields[:-1], Entry._make(fields[-1])))


def _report(name: str, error: BaseException, in_commit: bool) -> tuple[BaseException | None, int]:
    """The exception that apsw raises for an error of a cluster, None for a busy one, and the result code of SQLite."""
    if isinstance(error, apsw.Error):
        carrier: Any = error
    elif isinstance(error, LookupError):
        carrier = apsw.CantOpenError(str(error.args[0]))
    elif in_commit and not isinstance(error, errors.PoolFullError):
        carrier = failed_commit(error, name)
    elif isinstance(error, (StorageError, OSError, MemoryError)):
        carrier = translated(error, name)
    else:
        return error, apsw.SQLITE_ERROR
    if carrier is not error:
        carrier.__cause__ = error
    code = getattr(carrier, "extendedresult", None) or apsw.SQLITE_CANTOPEN
    is_expected = not in_commit and isinstance(error, (errors.WriterBusyError, errors.SnapshotMovedError))
    return None if is_expected else carrier, code
