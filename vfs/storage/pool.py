"""One open page pool: its files and mappings, its sessions, and its syncs.

:class:`Pool` is the context of the storage room: its functions take a pool and a catalog row.  :mod:`vfs.store` opens a
pool and sets the parts that the rooms above provide: the registry, reclaim, and the miss hook.
"""

from __future__ import annotations

import os
import threading
import weakref
import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Protocol

from vfs.abc import Residence, Superseded
from vfs.errors import CorruptionError, PoolFullError, StoreFailedError, TooManySessionsError
from vfs.format.layout import POOL_HEADER_SLOT, SLOT_BYTES, SLOT_SHIFT, ZERO_SLOT, Version
from vfs.format.shared import KEEPS_SUPERSEDED, VolumeRecord
from vfs.registry import Registry, VolumeRow
from vfs.storage.clock import Clock
from vfs.storage.device import Mapping, file_system_of, punch_hole, sync, write_at
from vfs.storage.history import History
from vfs.storage.sessions import Session, SharedTables
from vfs.storage.slot_map import SlotMap, runs_of

__all__ = ["Companion", "Lent", "Pool", "Reclaimer"]

_IDLE_SESSIONS_MAX = 4
_IDLE_HANDLES_MAX = 8
_HEAD_SLOTS = 8
"""Head slots that are reserved and filled with zeros together."""


class Companion(Protocol):
    """The part of another data plane that acts on a pool in this process.

    It has sessions of its own, and slots that its commits have superseded.  Reclaim takes these over, under the volume
    lock, before it frees slots of the volume itself.
    """

    def take_waiting(self, row: VolumeRow) -> list[Superseded]:
        """Hand over the superseded slots of a volume that wait to be freed (the caller holds its volume lock)."""

    def add_waiting(self, row: VolumeRow, items: list[Superseded], durable: int) -> None:
        """Take superseded slots back; those of a version that recovery may fall back to wait for a sync (R3)."""

    def waiting_count(self) -> int:
        """The number of superseded slots that wait."""

    def waiting_volumes(self) -> list[int]:
        """The volumes with waiting slots."""

    def forget_waiting(self) -> None:
        """Forget all waiting slots, which the caller has labelled as leaked."""

    def unshared(self, versions: list[Version], born_after: int) -> list[Superseded]:
        """As :func:`vfs.storage.walk.only_in`, for each of the versions but the last, and the next one.

        The death of a slot is the number of that next version.  Raises CorruptionError.
        """

    def note_failure(self, reason: str) -> None:
        """Refuse writes from now on."""

    def forget_locks(self) -> None:
        """Close the descriptions whose locks belong to the parent, in the child of a fork."""

    def close_sessions(self) -> None:
        """Close the sessions that no handle uses."""

    def close(self) -> None:
        """Unmap the files, which no handle uses."""


class Reclaimer(Protocol):
    """The functions of reclaim that storage calls; the rules R1 to R9 are in :mod:`vfs.reclaim.queue`."""

    def is_worth_draining(self, row: VolumeRow) -> bool:
        """Whether this process has enough slots of the volume to free, or has slots that readers held before."""

    def keep_superseded(self, row: VolumeRow, death: int, slots: list[tuple[int, int]]) -> list[Superseded]:
        """Keep the (slot, birth) pairs that version ``death``, about to be published, no longer reaches (R8)."""

    def enqueue(self, row: VolumeRow, items: list[Superseded], durable: int) -> None:
        """Queue kept slots (the caller holds the volume lock)."""

    def leak(self, session: Session, slots: list[int]) -> None:
        """Leave slots to the next sweep."""

    def bury(self, session: Session, row: int) -> bool:
        """Clear the row of a dead session, if that can be done now."""

    def before_write(self, session: Session, row: VolumeRow) -> None:
        """Do the work that waits for a writer (the caller is the writer, and holds the volume lock)."""

    def on_close(self, session: Session, row: VolumeRow) -> None:
        """Reclaim the slots that a closing handle leaves, if the volume lock is free."""

    def request(self, row: VolumeRow) -> None:
        """Leave work to the volume's next writer."""


class Pool:
    """The page pool and its tables, opened by one process.

    ``directory`` is None for a pool in anonymous memory, for this process only.  A pool that is not ``is_durable`` is
    never synced.  A ``read_only`` pool has its derived files in anonymous memory too, and writes nothing: ``chosen``
    holds the heads that recovery chose for it, ``lost`` the past versions that recovery found damaged.  ``written``
    holds the volumes that this process has committed to.
    """

    pool_fd: int
    slot_map: SlotMap
    tables: SharedTables
    clock: Clock
    registry: Registry
    reclaimer: Reclaimer
    damage_of: Callable[[VolumeRow], str]
    """Describes the damage that recovery found in a volume."""

    def __init__(self, directory: Path | None, *, verify_reads: bool, read_only: bool) -> None:
        self.directory = directory
        self.verify_reads = verify_reads
        self.read_only = read_only
        self.is_durable = directory is not None and not read_only
        self.companion: Companion | None = None
        self.residence: Residence | None = None
        self.find_residence: Callable[[], Residence | None] = lambda: None
        self.find_copy: Callable[[int, int, int], bytes | None] = lambda volume, page, crc: None
        """Returns the bytes of a page, by volume, number and checksum, if they are kept elsewhere too."""
        self.is_elsewhere: Callable[[int, int], bool] = lambda slot, crc: False
        """Whether the bytes of a page are elsewhere, by its slot and its checksum: for recovery, which fetches none."""
        self.chosen: dict[int, Version] = {}
        self.lost: set[tuple[int, int]] = set()
        self.written: dict[int, VolumeRow] = {}
        self.has_failed = ""
        self.sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self.history = History(directory, is_durable=self.is_durable, read_only=read_only, has_volume=self._has_volume)
        self._idle_sessions: list[Session] = []
        self._idle_handles: list[Session] = []
        self._keeper: Session | None = None
        self._keeper_guard = threading.Lock()
        self._files: dict[str, int] = {}

    @cached_property
    def may_have_holes(self) -> bool:
        """Whether a hole of the pool file can be read without allocating it: not in memory, nor on a tmpfs."""
        return self.directory is not None and file_system_of(self.directory) not in ("tmpfs", "ramfs")

    def files(self) -> tuple[int, int, int, int]:
        """The descriptors of ``pool``, ``map``, ``readers`` and ``locks``."""
        pool, shared_map, readers, lock_file = (self._files[name] for name in ("pool", "map", "readers", "locks"))
        return pool, shared_map, readers, lock_file

    def open_files(self) -> list[int]:
        """The descriptors of the pool's files, by which the files can be recognised."""
        return [*self._files.values(), *self.history.open_files()]

    def size_bytes(self) -> int:
        """The size of the pool file; 0 in a store that is being created."""
        return os.fstat(self.pool_fd).st_size

    def header(self) -> bytes:
        """Slot 0."""
        return os.pread(self.pool_fd, SLOT_BYTES, POOL_HEADER_SLOT)

    def allocated_bytes(self) -> int:
        """The bytes that the pool file occupies on its device (holes occupy none)."""
        return os.fstat(self.pool_fd).st_blocks * 512

    def has_leaks(self) -> bool:
        """Whether a process died and left slots that only a sweep finds, or died in a sweep."""
        return bool(self.slot_map.header.leaks or self.slot_map.header.sweeping)

    def _has_volume(self, volume: int) -> bool:
        return self.registry.volume_row(volume) is not None

    def volume(self, row: VolumeRow) -> VolumeRecord:
        """The shared record of a volume."""
        return self.tables.volume(row.table_index)

    # --- slots ------------------------------------------------------------------------------------------------------
    def _attach(self) -> None:
        """Map the files."""
        self._pool_mapping = Mapping(self.pool_fd, writable=False)
        self.slot_map = SlotMap(self._files["map"], self.pool_fd, is_durable=self.is_durable)
        self.tables = SharedTables(self._files["readers"])
        self.clock = Clock(self.tables)
        self._take_views()

    def _take_views(self) -> None:
        mapped = self._pool_mapping.bytes
        whole_slots = mapped[: len(mapped) >> SLOT_SHIFT << SLOT_SHIFT]
        self.pool_mmap = self._pool_mapping.mmap
        self.pool_words = whole_slots.cast("I")
        self.pool_bytes = whole_slots  # last: handles detect new views by comparing this attribute

    def refresh_mapping(self) -> None:
        """Map the pool at its present length."""
        if self.slot_map.slot_count << SLOT_SHIFT > len(self.pool_bytes):
            self._pool_mapping.renew()
            self._take_views()

    def read_slot(self, slot: int) -> memoryview:
        """The bytes of a slot.  Raises CorruptionError for a slot past the end of the pool."""
        at = slot << SLOT_SHIFT
        if at + SLOT_BYTES > len(self.pool_bytes):
            self.refresh_mapping()
            if at + SLOT_BYTES > len(self.pool_bytes):
                raise CorruptionError(f"slot {slot} is past the end of the pool")
        return self.pool_bytes[at : at + SLOT_BYTES]

    def clear(self, slots: list[int]) -> None:
        """Fill reserved slots, in ascending order, with zeros."""
        for first, count in runs_of(slots):
            if self.may_have_holes:
                punch_hole(self.pool_fd, first << SLOT_SHIFT, count << SLOT_SHIFT)
            else:
                write_at(self.pool_fd, [ZERO_SLOT] * count, first << SLOT_SHIFT)

    def clear_stretch(self, slots: range) -> None:
        """As :meth:`clear`, for contiguous slots of a pool that may have holes."""
        punch_hole(self.pool_fd, slots.start << SLOT_SHIFT, len(slots) << SLOT_SHIFT)

    def read_page(self, slot: int, crc: int) -> memoryview:
        """The bytes of the slot of a page, fetched if the pool file lacks them; they are not compared with ``crc``.

        The caller pins a version that reaches it.  Raises CorruptionError for a slot past the end of the pool, and the
        errors of the miss hook.
        """
        data = self.read_slot(slot)
        self.require_resident(slot, crc)
        return data

    def require_resident(self, slot: int, crc: int) -> None:
        """Fetch a page that is not in the pool file (:class:`vfs.abc.Residence`).

        Raises CorruptionError if it cannot be elsewhere, and the errors of the miss hook.
        """
        at = slot << SLOT_SHIFT
        if self.pool_words[at >> 2] or zlib.crc32(self.pool_bytes[at : at + SLOT_BYTES]) == crc:
            return
        if self.residence is None:
            self.residence = self.find_residence()
        if self.residence is not None:
            self.residence.require(slot, crc)

    def mend(self, volume: int, page: int, slot: int, crc: int) -> bool:
        """Put the bytes of a damaged page of a volume back, if a copy has them; returns whether they are there now.

        ``crc``: the checksum that an intact entry has for them, which no other bytes get past.
        """
        data = self.find_copy(volume, page, crc) if not self.read_only else None
        if data is None or zlib.crc32(data) != crc:
            return False
        write_at(self.pool_fd, [data], slot << SLOT_SHIFT)
        return True

    # --- durability -------------------------------------------------------------------------------------------------
    def sync(self) -> None:
        """Sync everything written to the pool to the device.

        Raises StoreFailedError; after that the store accepts no writes until it is reopened.
        """
        if not self.is_durable:
            return
        self.require_writable()  # another sync would not write the pages that a failed sync lost
        slot_count = self.slot_map.slot_count
        try:
            sync(self.pool_fd)
        except OSError as error:
            self.fail(f"fdatasync of the page pool failed ({error.strerror})")
            raise StoreFailedError(self.has_failed) from error
        header = self.slot_map.header
        header.synced = max(header.synced, slot_count)

    def fail(self, reason: str) -> None:
        """Refuse writes from now on, because the state of the device is unknown."""
        self.has_failed = f"{reason}; writes are refused until the store is reopened"
        if self.companion is not None:
            self.companion.note_failure(self.has_failed)

    def require_writable(self) -> None:
        """Raise StoreFailedError after :meth:`fail`."""
        if self.has_failed:
            raise StoreFailedError(self.has_failed)

    # --- sessions ---------------------------------------------------------------------------------------------------
    def open_session(self) -> Session:
        """Open a session.  Raises TooManySessionsError."""
        try:
            session = self._new_session()
        except TooManySessionsError:
            self._close_idle()
            session = self._new_session()
        self.sessions.add(session)
        return session

    def _new_session(self) -> Session:
        return Session(self.tables, self.slot_map, self._files["locks"])

    def _close_idle(self) -> None:
        """Close the idle sessions, for their rows."""
        for idle in (self._idle_sessions, self._idle_handles):
            while idle:
                idle.pop().close()

    def keeper(self) -> Session:
        """The session under which this process keeps superseded slots until they can be freed."""
        with self._keeper_guard:
            if self._keeper is None:
                self._keeper = self.open_session()
                self._keeper.record.publishing = KEEPS_SUPERSEDED
            return self._keeper

    def session(self) -> Lent:
        """Lend a session to the body of a ``with``."""
        return Lent(self)

    def borrow(self) -> Session:
        """A session for one operation, to be given back; a few idle ones are kept.  Raises TooManySessionsError."""
        try:
            return self._idle_sessions.pop()
        except IndexError:
            return self.open_session()

    def give_back(self, session: Session) -> None:
        """Take back a session from :meth:`borrow`."""
        self._keep_idle(session, self._idle_sessions, _IDLE_SESSIONS_MAX)

    def borrow_for_handle(self) -> Session:
        """A session for a handle: its row, lock and descriptor may have served other handles of this process.

        Raises TooManySessionsError.
        """
        try:
            return self._idle_handles.pop()
        except IndexError:
            return self.open_session()

    def give_back_of_handle(self, session: Session) -> None:
        """Take back a session from :meth:`borrow_for_handle`."""
        self._keep_idle(session, self._idle_handles, _IDLE_HANDLES_MAX)

    def _keep_idle(self, session: Session, idle: list[Session], count_max: int) -> None:
        session.detach()
        session.release_slots()
        if len(idle) < count_max:
            idle.append(session)
        else:
            session.close()
            self.sessions.discard(session)

    # --- head slots -------------------------------------------------------------------------------------------------
    def take_head_slot(self, session: Session) -> int:
        """Take a slot for the head of a new volume.  Raises PoolFullError, OSError, StoreFailedError.

        It is reserved by the session, was filled with zeros (M5: a commit reads it through the mapping, where a hole of
        the pool would be a SIGBUS on a full tmpfs), and is in the pool file on the device: the catalog must not name a
        slot that a power failure removes with the pool's new length.
        """
        if not session.head_slots:
            slots = self._reserve_head_slots(session)
            try:
                for first, count in runs_of(slots):
                    write_at(self.pool_fd, [ZERO_SLOT * count], first << SLOT_SHIFT)
                if self.is_durable and slots[-1] >= self.slot_map.header.synced:
                    self.sync()
            except BaseException:
                session.give_back(slots)
                raise
            session.head_slots += reversed(slots)
        slot = session.head_slots.pop()
        session.record.heads = len(session.head_slots)
        return slot

    def _reserve_head_slots(self, session: Session) -> list[int]:
        with session.pool_locked():
            try:
                return self.slot_map.reserve(session.row, _HEAD_SLOTS)
            except PoolFullError:
                return self.slot_map.reserve(session.row, 1)

    def head_slot_count(self) -> int:
        """The number of slots that sessions keep for the heads of new volumes: reserved, but not in use."""
        return sum(record.heads for _, record in self.tables.sessions())

    def release_head_slots(self) -> None:
        """Free the slots that idle sessions keep for the heads of new volumes."""
        taken = [self.borrow() for _ in range(len(self._idle_sessions))]  # so that no thread uses them meanwhile
        for session in taken:
            session.release_head_slots()
            self.give_back(session)


class Lent:
    """A session that is lent to the body of a ``with``."""

    __slots__ = ("_pool", "_session")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __enter__(self) -> Session:
        self._session = self._pool.borrow()
        return self._session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.give_back(self._session)
