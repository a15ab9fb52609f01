"""One store as one process has it open: files, mappings, sessions, and the volumes in it.

Opening, in order: directory and files; then, under the open lock, the catalog (by the layer above) and, if the derived
files are not of this boot, this very pool and its present content (K1 of clean_close.py), their rebuild (recovery.py).
Every open store holds the store lock shared, so that a rebuild, which wants it exclusively, never pulls the tables from
under anybody.  Closing, in order: what can be reclaimed, sessions; the catalog (by the layer above); the stamp, files.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vfs import layout, osio
from vfs.chores import Chores
from vfs.clean_close import content_stamp, seal_written
from vfs.clock import Clock
from vfs.errors import (
    CorruptionError,
    NotAPoolError,
    StoreFailedError,
    StoreInUseError,
    UnsupportedFileSystemError,
)
from vfs.failpoints import reach
from vfs.history import History
from vfs.holds import Hold
from vfs.layout import (
    KEEPS_SUPERSEDED,
    LIVE_EVEN,
    LOCK_OPEN,
    LOCK_POOL,
    LOCK_SESSION,
    LOCK_STORE,
    MOVED,
    POOL_HEADER_SLOT,
    S_PUBLISHING,
    S_VOLUME,
    SLOT_BYTES,
    SLOT_SHIFT,
    V_DURABLE,
    V_EPOCH,
    V_ID,
    V_READ,
    V_RETAINED,
    V_VERSION,
    V_WRITTEN,
    ZERO_SLOT,
    Version,
)
from vfs.osio import CALLS, LockFile, Mapping, boot_id, open_again, sync, write_at
from vfs.reclaim import Reclaim
from vfs.registry import Registry, VolumeRow, VolumeState
from vfs.sessions import Session, SharedTables
from vfs.slots import SlotMap
from vfs.volume import Volume, head_records

__all__ = ["POOL_FILES", "PageStore", "sync_directory"]

POOL_FILES = ("locks", "pool", "map", "readers")
_FIRST_SLOTS = 64
_REMOTE_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "virtiofs"}
)
_IDLE_SESSIONS_MAX = 4


class PageStore:
    """The page pool and its tables.

    ``directory`` None keeps everything in anonymous memory, for this process only.  A store that is not durable
    never syncs.  One that is read-only has its derived files in anonymous memory too, and writes nothing.
    """

    registry: Registry

    def __init__(
        self, directory: Path | None, *, create: bool, verify_reads: bool = False, read_only: bool = False
    ) -> None:
        """Open the files.  Raises UnsupportedFileSystemError, NotAPoolError, StoreInUseError, OSError.

        ``verify_reads``: every page is checked against its crc whenever it is read.  ``read_only``: nobody else may
        write meanwhile.
        """
        if directory is not None and not read_only:
            _require_locks_hold(directory)
        self.directory = directory
        self.verify_reads = verify_reads
        self.read_only = read_only
        self.is_durable = directory is not None and not read_only
        self.chosen: dict[int, Version] = {}  # heads that recovery has chosen, but could not write
        self.lost: set[tuple[int, int]] = set()  # past versions that recovery found damaged, but could not erase
        self.has_failed = ""
        self.written: dict[int, VolumeRow] = {}  # volumes that this process has committed to
        self._is_alone = False
        self._found_stamp = 0
        self._is_attached = False
        self.sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._idle_sessions: list[Session] = []
        self._keeper: Session | None = None
        self._keeper_guard = threading.Lock()
        self.history = History(directory, is_durable=self.is_durable, read_only=read_only)
        self._files: dict[str, int] = {}
        self._locks: LockFile | None = None
        try:
            for name in POOL_FILES:
                if read_only:
                    self._files[name] = _open_read_only(directory, name)
                else:
                    self._files[name] = _open_file(directory, name, create=create or name != "pool")
            self.pool_fd = self._files["pool"]
            self._locks = LockFile(open_again(self._files["locks"]))
        except BaseException:
            self.close()
            raise

    # --- opening ----------------------------------------------------------------------------------------------------
    def opening(self) -> Hold:
        """Hold the open lock: nobody else creates, opens or rebuilds the store meanwhile."""
        assert self._locks is not None
        return self._locks.lock(LOCK_OPEN)

    def look_at_content(self) -> None:
        """See whether anybody has the store open, and how its files are (the caller holds the open lock).

        Before the catalog is opened, which may change its files.
        """
        assert self._locks is not None
        self._is_alone = self._locks.keep(LOCK_STORE)  # exclusively, until start() shares it
        if self._is_alone and self.directory is not None and not self.read_only:
            self._found_stamp = content_stamp(self.directory)

    def open_files(self) -> list[int]:
        """The descriptors of its files, for who wants to recognise them."""
        return [*self._files.values(), *self.history.open_files()]

    def pool_size(self) -> int:
        """Bytes of the pool file; 0 in a store that is being created."""
        return os.fstat(self.pool_fd).st_size

    def pool_header(self) -> bytes:
        """Slot 0."""
        return os.pread(self.pool_fd, SLOT_BYTES, POOL_HEADER_SLOT)

    def allocated_bytes(self) -> int:
        """What the pool file takes on its device (holes take nothing)."""
        return os.fstat(self.pool_fd).st_blocks * 512

    def has_leaks(self) -> bool:
        """Whether somebody died and left slots that only a sweep finds, or died in a sweep."""
        return bool(self.slot_map.header[layout.MAP_LEAKS_AT] or self.slot_map.header[layout.MAP_SWEEPING_AT])

    def start(self, registry: Registry, store_id: bytes, *, rebuilds: bool = False) -> None:
        """Make the store ready for use, rebuilding what is derived where need be (the caller holds the open lock).

        ``rebuilds``: in any case.

        Raises FormatError, CorruptionError, StoreInUseError, OSError.
        """
        from vfs.recovery import rebuild

        assert self._locks is not None
        self.registry = registry
        if self.pool_size() <= SLOT_BYTES and not registry.volume_rows() and not self.read_only:
            self._create_pool(store_id)  # or its creation was cut short
        if self.pool_size() == 0:
            raise CorruptionError("the page pool is empty, but the catalog has volumes in it")
        if layout.unpack_pool_header(self.pool_header()) != store_id:
            raise CorruptionError("catalog.db and pool are not of the same store")
        if rebuilds or not self._derived_files_are_valid():
            if not self._is_alone:
                raise StoreInUseError(
                    "its files 'map' and 'readers' must be rebuilt, but other processes have it open: close those first"
                )
            self._create_derived_files()
            self._attach()
            rebuild(self)
            self._mark_derived_files_valid()
        else:
            self._attach()
        if self._is_alone:
            self.slot_map.header[layout.MAP_CLOSED_AT] = 0  # K1
        self._locks.keep(LOCK_STORE, shared=True)

    def _create_pool(self, store_id: bytes) -> None:
        write_at(self.pool_fd, [layout.pack_pool_header(store_id)], 0)
        if self.is_durable:
            sync(self.pool_fd)
            sync_directory(self.directory or Path())

    def _identity(self) -> list[int]:
        boot = boot_id()
        stat = os.fstat(self.pool_fd)
        return [
            layout.MAP_MAGIC,
            int.from_bytes(boot[:8], "little"),
            int.from_bytes(boot[8:], "little"),
            stat.st_dev,
            stat.st_ino,
        ]

    def _derived_files_are_valid(self) -> bool:
        assert self._locks is not None
        with self._locks.lock(LOCK_POOL):  # or the pool might grow or shrink while we look
            return self._derived_files_look_valid()

    def _derived_files_look_valid(self) -> bool:
        map_header = os.pread(self._files["map"], layout.MAP_HEADER_BYTES, 0)
        readers_header = os.pread(self._files["readers"], layout.READERS_HEADER_BYTES, 0)
        if len(map_header) < layout.MAP_HEADER_BYTES or len(readers_header) < layout.READERS_HEADER_BYTES:
            return False
        words = memoryview(map_header).cast("Q")
        slot_count = words[layout.MAP_SLOT_COUNT_AT]
        is_of_content = not self._is_alone or words[layout.MAP_CLOSED_AT] == self._found_stamp
        return (
            is_of_content
            and words[: layout.MAP_INODE_AT + 1].tolist() == self._identity()
            and memoryview(readers_header).cast("Q")[layout.READERS_MAGIC_AT] == layout.READERS_MAGIC
            and os.fstat(self._files["readers"]).st_size == layout.READERS_BYTES
            and os.fstat(self._files["map"]).st_size >= layout.MAP_HEADER_BYTES + 2 * slot_count
            and os.fstat(self.pool_fd).st_size >= slot_count << SLOT_SHIFT
        )

    def _create_derived_files(self) -> None:
        """Empty tables, sized for the pool as it is; not yet marked valid."""
        slot_count = max(_FIRST_SLOTS, self.pool_size() >> SLOT_SHIFT)
        if not self.read_only:
            CALLS.ftruncate(self.pool_fd, slot_count << SLOT_SHIFT)
        for name, size in (
            ("map", layout.MAP_HEADER_BYTES + 2 * slot_count),
            ("readers", layout.READERS_BYTES),
        ):
            CALLS.ftruncate(self._files[name], 0)
            CALLS.ftruncate(self._files[name], size)
            if self.is_durable:  # a full disk must show here, not as SIGBUS when the mapping is written to
                CALLS.allocate(self._files[name], 0, size)
        os.pwrite(self._files["map"], slot_count.to_bytes(8, "little"), 8 * layout.MAP_SLOT_COUNT_AT)
        os.pwrite(self._files["map"], LIVE_EVEN.to_bytes(2, "little"), layout.MAP_HEADER_BYTES)

    def _mark_derived_files_valid(self) -> None:
        self.tables.words[layout.READERS_MAGIC_AT] = layout.READERS_MAGIC
        for at, word in reversed(list(enumerate(self._identity()))):  # the magic last
            self.slot_map.header[at] = word

    def _attach(self) -> None:
        self._pool_mapping = Mapping(self.pool_fd, writable=False)
        self.slot_map = SlotMap(self._files["map"], self.pool_fd, is_durable=self.is_durable)
        self.tables = SharedTables(self._files["readers"])
        self.clock = Clock(self.tables)
        self._take_views()
        self.reclaim = Reclaim(self)
        self.chores = Chores(self)
        self._is_attached = True

    def _take_views(self) -> None:
        mapped = self._pool_mapping.bytes
        whole = mapped[: len(mapped) >> SLOT_SHIFT << SLOT_SHIFT]
        self.pool_mmap = self._pool_mapping.mmap
        self.pool_words = whole.cast("I")
        self.pool_longs = whole.cast("Q")
        self.pool_bytes = whole  # last: handles take this one for the sign that there are new views

    # --- slots ------------------------------------------------------------------------------------------------------
    def refresh_mapping(self) -> None:
        """Map the pool as far as it reaches now."""
        if self.slot_map.slot_count << SLOT_SHIFT > len(self.pool_bytes):
            self._pool_mapping.renew()
            self._take_views()

    def read_slot(self, slot: int) -> memoryview:
        """The bytes of a slot.  Raises CorruptionError for a slot past the end of the pool."""
        at = slot << SLOT_SHIFT
        if at + SLOT_BYTES > len(self.pool_bytes):
            self.refresh_mapping()
            if at + SLOT_BYTES > len(self.pool_bytes):
                raise CorruptionError(f"slot {slot} lies past the end of the pool")
        return self.pool_bytes[at : at + SLOT_BYTES]

    # --- heads ------------------------------------------------------------------------------------------------------
    def head_records(self, row: VolumeRow) -> list[Version | None]:
        """The records in the head slot of a volume, by sector.  Raises CorruptionError."""
        return head_records(self.read_slot(row.head_slot), row.volume)

    def find_record(self, row: VolumeRow, version: int) -> Version | None:
        """The record of one version of a volume, if its head, its base or its history has it."""
        if version == row.base.version:
            return row.base
        if (row.volume, version) in self.lost:
            return None
        chosen = self.chosen.get(row.volume)
        if chosen is not None and chosen.version == version:
            return chosen
        for record in self.head_records(row):
            if record is not None and record.version == version:
                return record
        if self.tables.words[self.tables.volume_at(row.table_index) + V_RETAINED]:
            return self.history.find(row.volume, version)
        return None

    def retained(self, row: VolumeRow, last: int, first: int = 0) -> Iterator[Version]:
        """The past versions ``first`` to ``last`` that a volume keeps, ascending, as far as their records are there."""
        oldest = self.tables.words[self.tables.volume_at(row.table_index) + V_RETAINED]
        for version in range(max(oldest, first), last + 1) if oldest else ():
            record = self.find_record(row, version)
            if record is not None:
                yield record

    def head_of(self, row: VolumeRow) -> Version:
        """The published version of a volume whose head cannot move (the caller holds its volume lock).

        Raises CorruptionError.
        """
        version = self.tables.words[self.tables.volume_at(row.table_index) + V_VERSION]
        record = self.find_record(row, version)
        if record is None:
            raise CorruptionError(
                f"head slot {row.head_slot} of volume {row.volume} has no record of version {version}"
            )
        return record

    def current_head(self, row: VolumeRow) -> Version:
        """The record of the published version of a volume that others may be writing to.  Raises CorruptionError."""
        for _ in range(100):
            record = self.find_record(row, self.published_version(row))
            if record is not None:  # else the head has moved twice since
                return record
        return self.head_of(row)

    def damage_of(self, row: VolumeRow) -> str:
        """What recovery found damaged in a volume, in words."""
        from vfs.recovery import damage_of

        return damage_of(self, row)

    def published_version(self, row: VolumeRow) -> int:
        """The number of the version that is a volume's head now."""
        return self.tables.words[self.tables.volume_at(row.table_index) + V_VERSION]

    def durable_version(self, row: VolumeRow) -> int:
        """The number of the newest version of a volume that is known to be on the device."""
        return self.tables.words[self.tables.volume_at(row.table_index) + V_DURABLE]

    def written_count(self, row: VolumeRow) -> int:
        """Slots that commits of a volume have written since the tables were rebuilt."""
        return self.tables.words[self.tables.volume_at(row.table_index) + V_WRITTEN]

    def read_count(self, row: VolumeRow) -> int:
        """Reads that SQLite has made of a volume since the tables were rebuilt."""
        return self.tables.words[self.tables.volume_at(row.table_index) + V_READ]

    def reader_count(self, row: VolumeRow) -> int:
        """Handles that live processes have open on a volume, to read or write."""
        with self.session() as session:
            return sum(
                fields[S_VOLUME] == row.table_index + 1
                for at, fields in self.tables.session_rows()
                if at != session.row and session.locks.is_held_by_other(LOCK_SESSION + at)
            )

    def newest_at(self, row: VolumeRow, time_ns: int, first: int, last: int) -> Version | None:
        """The newest version of ``first`` to ``last`` that was published at or before a time; retained, or the head."""
        head = self.find_record(row, last)
        if head is not None and head.time_ns <= time_ns:
            return head
        keeps_past = self.tables.words[self.tables.volume_at(row.table_index) + V_RETAINED]
        found = self.history.newest_at(row.volume, time_ns, first, last) if keeps_past else None
        if found is None and row.base.version == first and row.base.time_ns <= time_ns:
            return row.base
        return found

    @contextmanager
    def moving(self, row: VolumeRow) -> Iterator[None]:
        """The body commits that a volume's cluster goes over to another; handles are told to follow.

        Whoever is publishing is waited for; what is acknowledged is in the volume's past.  Raises RegistryBusyError.
        """
        at = self.tables.volume_at(row.table_index) + V_ID
        with self.session() as session, session.volume_locked(row.table_index):
            self.tables.words[at] = row.volume | MOVED  # before the catalog says so; Volume._successor undoes it
            reach("move: handles told")
            try:
                yield
            except BaseException:
                current = self.registry.volume_row(row.volume)
                if current is not None and current.state == VolumeState.LIVE:
                    self.tables.words[at] = row.volume
                raise
            reach("move: committed")

    @contextmanager
    def fencing(self, row: VolumeRow) -> Iterator[Callable[[], None]]:
        """The body commits that others write to a volume from now on; it calls what this yields just before.

        That begins a new epoch: handles that could write until then publish nothing any more (V5 of volume.py); their
        locks keep nobody waiting, their next use is a FencedError.  The end begins another one, for handles that were
        opened in between.
        """
        at = self.tables.volume_at(row.table_index) + V_EPOCH

        def begin_epoch() -> None:
            self.tables.words[at] = (self.tables.words[at] + 1) & layout.WORD_MAX

        with self.session() as session, session.volume_locked(row.table_index):
            yield begin_epoch
            begin_epoch()

    def fence_writers(self, row: VolumeRow) -> None:
        """Begin a new epoch of a volume: who could write to it until now cannot any more."""
        with self.fencing(row):
            pass

    def remove_unowned_histories(self) -> None:
        """Remove the histories that killed processes, or a power failure, left of volumes that are gone (H5)."""
        files = self.history.volumes()  # before the catalog is asked: a volume is in it before it gets a file
        if files:
            known = {row.volume for row in self.registry.volume_rows()}
            for volume in files:
                if volume not in known:
                    self.history.remove(volume)

    # --- durability -------------------------------------------------------------------------------------------------
    def sync(self) -> None:
        """Bring everything written to the pool to the device.

        Raises StoreFailedError; then the store takes no more writes until it is reopened.
        """
        if not self.is_durable:
            return
        self.require_writable()  # what a failed sync lost, the next one will not bring back
        slot_count = self.slot_map.slot_count
        try:
            sync(self.pool_fd)
        except OSError as error:
            self.fail(f"fdatasync of the page pool failed ({error.strerror})")
            raise StoreFailedError(self.has_failed) from error
        header = self.slot_map.header
        header[layout.MAP_SYNCED_AT] = max(header[layout.MAP_SYNCED_AT], slot_count)

    def make_durable(self, rows: Iterable[VolumeRow]) -> None:
        """Bring the published versions of volumes to the device, and note that they are there.

        The caller holds the volume locks, so that no version is published between the sync and the note (R3 of
        reclaim.py).  Raises StoreFailedError.
        """
        words = self.tables.words
        behind = [
            at
            for at in (self.tables.volume_at(row.table_index) for row in rows)
            if words[at + V_DURABLE] < words[at + V_VERSION]
        ]
        if behind:
            self.sync()
            for at in behind:
                words[at + V_DURABLE] = words[at + V_VERSION]

    def fail(self, reason: str) -> None:
        """Refuse writes from now on: what is on the device is unknown."""
        self.has_failed = f"{reason}; writes are refused until the store is reopened"

    def require_writable(self) -> None:
        """Raises StoreFailedError after :meth:`fail`."""
        if self.has_failed:
            raise StoreFailedError(self.has_failed)

    # --- sessions ---------------------------------------------------------------------------------------------------
    def open_session(self) -> Session:
        """A new session.  Raises TooManySessionsError."""
        session = Session(self.tables, self.slot_map, self._files["locks"])
        self.sessions.add(session)
        return session

    def keeper(self) -> Session:
        """The session in whose name this process keeps superseded slots until they can be freed."""
        with self._keeper_guard:
            if self._keeper is None:
                self._keeper = self.open_session()
                self.tables.words[self._keeper.at + S_PUBLISHING] = KEEPS_SUPERSEDED
            return self._keeper

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session for one piece of work; a few are kept for the next."""
        try:
            session = self._idle_sessions.pop()
        except IndexError:
            session = self.open_session()
        try:
            yield session
        finally:
            session.detach()
            session.release_slots()
            if len(self._idle_sessions) < _IDLE_SESSIONS_MAX:
                self._idle_sessions.append(session)
            else:
                session.close()

    def open_volume(
        self, row: VolumeRow, *, read_only: bool = False, follow: Callable[[], VolumeRow | None] | None = None
    ) -> Volume:
        """A handle on a volume, with a session of its own; ``follow`` as of :class:`Volume`."""
        session = self.open_session()
        try:
            return Volume(self, row, session, read_only=read_only, follow=follow)
        except BaseException:
            session.close()
            raise

    @contextmanager
    def pinned(self, row: VolumeRow, version: int | None = None) -> Iterator[Volume]:
        """A volume's head, or a past version, pinned for one piece of work.

        Raises VolumeDroppedError, CorruptionError, PastVersionGoneError.
        """
        with self.session() as session:
            volume = Volume(self, row, session, read_only=True)
            if version is None:
                volume.pin()
            else:
                volume.pin_past(version)
            yield volume

    def forget_locks(self) -> None:
        """In the child of a fork: let go of the descriptions whose locks are the parent's."""
        for session in list(self.sessions):
            session.locks.close()
        if self._locks is not None:
            self._locks.close()

    # --- volumes ----------------------------------------------------------------------------------------------------
    @contextmanager
    def new_head_slot(self, session: Session) -> Iterator[int]:
        """A slot for the head of a new volume; the body commits the catalog row that names it, or frees the slot.

        It is written once, with zeros: a commit looks into it through the mapping, where a hole of the pool would be a
        SIGBUS on a full tmpfs (M5 of slots.py).
        """
        (slot,) = session.take_slots(1)
        try:
            write_at(self.pool_fd, [ZERO_SLOT], slot << SLOT_SHIFT)
        except BaseException:
            session.give_back([slot])
            raise
        if self.is_durable and slot >= self.slot_map.header[layout.MAP_SYNCED_AT]:
            self.sync()  # the catalog must not name a slot that a power loss takes with the pool's new length
        with session.labelling():
            self.slot_map.label_live([slot])  # before the catalog names it
            reach("volume: head slot taken")
            yield slot

    def finish(self) -> None:
        """Reclaim what can be reclaimed, seal what was written, and end all sessions.  Then comes :meth:`close`."""
        try:
            if self._keeper is not None:
                if not self.has_failed and self.reclaim.waiting_count():
                    with self.session() as session:
                        self.chores.tidy_all(session, sync=True)
                self.reclaim.abandon(self._keeper)
            if self.written and not self.has_failed and not self.read_only:
                with self.session() as session:
                    seal_written(self, session)
        finally:
            for session in list(self.sessions):
                session.close()

    def close(self) -> None:
        """Stamp the derived files if nobody else has the store open (K1), and close the files."""
        try:
            self._stamp()
        finally:
            for session in list(self.sessions):
                session.close()
            if self._locks is not None:
                self._locks.close()
            for fd in self._files.values():
                os.close(fd)
            self._files = {}
            self.history.close()
            self._detach()

    def _stamp(self) -> None:
        """Say that the derived files belong to the content as it is, if they do."""
        if self._locks is None or not self._is_attached or self.directory is None or self.read_only or self.has_failed:
            return
        hold = self._locks.try_lock(LOCK_OPEN)
        if hold is None:
            return  # somebody is opening the store, and will close it
        with hold:
            if self._locks.keep(LOCK_STORE):
                self.slot_map.header[layout.MAP_CLOSED_AT] = content_stamp(self.directory)

    def _detach(self) -> None:
        """Unmap the files now, rather than when the collector comes by."""
        if self._is_attached:
            self._is_attached = False
            for view in (self.pool_words, self.pool_longs, self.pool_bytes):
                with suppress(BufferError):  # somebody looks at a page
                    view.release()
            self._pool_mapping.close()
            self.slot_map.close()
            self.tables.close()


def _open_file(directory: Path | None, name: str, *, create: bool) -> int:
    if directory is None:
        return os.memfd_create(f"clusterdb-{name}", os.MFD_CLOEXEC)
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    try:
        return os.open(directory / name, flags, 0o600)
    except FileNotFoundError:
        raise NotAPoolError(f"{directory} is no store: it has no file '{name}'") from None


def _open_read_only(directory: Path | None, name: str) -> int:
    """The pool; for what is derived, anonymous memory.  Raises NotAPoolError, StoreInUseError if somebody writes."""
    assert directory is not None, "BUG: a store in memory cannot be read-only"
    if name == "pool":
        try:
            return os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NotAPoolError(f"{directory} is no store: it has no file 'pool'") from None
    if name == "locks" and (directory / name).exists():
        locks = LockFile(os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        try:
            if locks.is_held_by_other(LOCK_STORE):
                raise StoreInUseError("other processes have it open for writing: open it as they do")
        finally:
            locks.close()
    return os.memfd_create(f"clusterdb-{name}", os.MFD_CLOEXEC)


def _require_locks_hold(directory: Path) -> None:
    found = osio.file_system_of(directory)
    if found in _REMOTE_FILE_SYSTEMS:
        raise UnsupportedFileSystemError(
            f"it lies on a {found} file system, where locks and shared memory do not hold between machines: "
            "use a local one"
        )


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
