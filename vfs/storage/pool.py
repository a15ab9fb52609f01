"""One open page pool: its files and mappings, its sessions, and whether what is written reaches the device.

:class:`Pool` is the context of the storage room: its functions take a pool and a catalog row.  The assembly in
:mod:`vfs.store` opens one and sets what the rooms above provide: the registry, reclaim, and the miss hook.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from vfs.abc import Residence, Superseded
from vfs.errors import CorruptionError, StoreFailedError
from vfs.format.layout import POOL_HEADER_SLOT, SLOT_BYTES, SLOT_SHIFT, Version
from vfs.format.shared import KEEPS_SUPERSEDED, VolumeRecord
from vfs.registry import Registry, VolumeRow
from vfs.storage.clock import Clock
from vfs.storage.device import Mapping, sync
from vfs.storage.history import History
from vfs.storage.sessions import Session, SharedTables
from vfs.storage.slot_map import SlotMap

__all__ = ["Pool", "Reclaimer"]

_IDLE_SESSIONS_MAX = 4


class Reclaimer(Protocol):
    """What storage asks of reclaim; the rules R1 to R9 are in :mod:`vfs.reclaim.queue`."""

    def is_worth_draining(self, row: VolumeRow) -> bool:
        """Whether this process has enough to free in the volume, or had to leave some to readers."""

    def keep_superseded(self, row: VolumeRow, death: int, slots: list[tuple[int, int]]) -> list[Superseded]:
        """Version ``death``, about to be published, no longer reaches these (slot, birth): keep those to free (R8)."""

    def enqueue(self, row: VolumeRow, items: list[Superseded], durable: int) -> None:
        """Queue slots that are kept (the caller holds the volume lock)."""

    def leak(self, session: Session, slots: list[int]) -> None:
        """Leave slots to the next sweep."""

    def before_write(self, session: Session, row: VolumeRow) -> None:
        """Do the work that waits for a writer (the caller is the writer, and has the volume lock)."""

    def on_close(self, session: Session, row: VolumeRow) -> None:
        """A handle closes: reclaim what it leaves, if the volume lock can be had."""

    def request(self, row: VolumeRow) -> None:
        """Leave work to the volume's next writer."""


class Pool:
    """The page pool and its tables, as one process has them open.

    ``directory`` is None for a pool in anonymous memory, for this process only.  A pool that is not ``is_durable`` is
    never synced.  One that is ``read_only`` has its derived files in anonymous memory too, and writes nothing:
    ``chosen`` has the heads that recovery chose for it, ``lost`` the past versions that recovery found
    damaged.  ``written`` are the volumes that this process has committed to.
    """

    pool_fd: int
    slot_map: SlotMap
    tables: SharedTables
    clock: Clock
    registry: Registry
    reclaimer: Reclaimer
    damage_of: Callable[[VolumeRow], str]
    """What recovery found damaged in a volume, in words."""

    def __init__(self, directory: Path | None, *, verify_reads: bool, read_only: bool) -> None:
        self.directory = directory
        self.verify_reads = verify_reads
        self.read_only = read_only
        self.is_durable = directory is not None and not read_only
        self.residence: Residence | None = None
        self.chosen: dict[int, Version] = {}
        self.lost: set[tuple[int, int]] = set()
        self.written: dict[int, VolumeRow] = {}
        self.has_failed = ""
        self.sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self.history = History(directory, is_durable=self.is_durable, read_only=read_only)
        self._idle_sessions: list[Session] = []
        self._keeper: Session | None = None
        self._keeper_guard = threading.Lock()
        self._files: dict[str, int] = {}

    def open_files(self) -> list[int]:
        """The descriptors of its files, by which they can be recognised."""
        return [*self._files.values(), *self.history.open_files()]

    def size_bytes(self) -> int:
        """Bytes of the pool file; 0 in a store that is being created."""
        return os.fstat(self.pool_fd).st_size

    def header(self) -> bytes:
        """Slot 0."""
        return os.pread(self.pool_fd, SLOT_BYTES, POOL_HEADER_SLOT)

    def allocated_bytes(self) -> int:
        """The bytes that the pool file takes on its device (holes take none)."""
        return os.fstat(self.pool_fd).st_blocks * 512

    def has_leaks(self) -> bool:
        """Whether a process died and left slots that only a sweep finds, or died in a sweep."""
        return bool(self.slot_map.header.leaks or self.slot_map.header.sweeping)

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
        whole = mapped[: len(mapped) >> SLOT_SHIFT << SLOT_SHIFT]
        self.pool_mmap = self._pool_mapping.mmap
        self.pool_words = whole.cast("I")
        self.pool_longs = whole.cast("Q")
        self.pool_bytes = whole  # last: handles compare this one to see that there are new views

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
        if self.residence is not None:
            self.require_resident(slot)
        return self.pool_bytes[at : at + SLOT_BYTES]

    def require_resident(self, slot: int) -> None:
        """Fetch a slot that is not in the pool file, if there is a miss hook.  Raises what that raises."""
        if self.residence is not None and not self.residence.is_resident(slot):
            self.residence.fetch(slot)

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
        header.synced = max(header.synced, slot_count)

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
                self._keeper.record.publishing = KEEPS_SUPERSEDED
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
