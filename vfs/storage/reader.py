"""The reading half of a handle: pins a version of a volume, and reads it.

States of a handle, and what it owns in each
    unpinned     nothing
    pinned       one version: its root cannot be reclaimed

Invariants
    V1  The version word names a version whose record is in a head sector, or the volume's base.

:mod:`vfs.storage.writer` has the third state, a write transaction.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial

from vfs.errors import (
    CorruptionError,
    FencedError,
    PastVersionGoneError,
    RegistryBusyError,
    SnapshotMovedError,
    VolumeDroppedError,
)
from vfs.format import locks
from vfs.format.layout import SLOT_BYTES, SLOT_SHIFT, ZERO_SLOT, Entry, Version
from vfs.format.page_one import COUNTED_BYTES, with_counter
from vfs.format.shared import DAMAGED, DROPPED, FLAGS, HALTED, MOVED, VolumeRecord
from vfs.interrupts import uninterrupted
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.storage.device import wait_until
from vfs.storage.heads import find_record, newest_at, no_record
from vfs.storage.page_table import Dirty
from vfs.storage.pool import Pool
from vfs.storage.sessions import Session
from vfs.storage.walk import find_leaf, verify_path

__all__ = ["Follow", "Reader", "read_pages", "successor"]

Follow = Callable[[], VolumeRow | None]
"""Finds the volume that a cluster has switched to, after a reset or a backtrack."""

_FENCED = "the connection was terminated by a failover, a crash or a stop: open a new connection"
_NOT_LOADED = -1
TEND_SLOTS = 1024
"""A retained past is tended whenever the volume has written this number of slots."""
"""The version of a handle that has loaded none: no word of the volume table can have it, damaged or not."""
_NO_LEAF = memoryview(bytes(SLOT_BYTES)).cast("I")


def read_pages(page_at: Callable[[int], bytes], size_bytes: int, amount: int, offset: int) -> bytes:
    """Read bytes ``offset`` to ``offset + amount`` from whole pages, cut at ``size_bytes``."""
    end = min(offset + amount, size_bytes)
    if end <= offset:
        return b""
    first, last = offset >> SLOT_SHIFT, (end - 1) >> SLOT_SHIFT
    joined = b"".join([page_at(page) for page in range(first, last + 1)])
    begin = offset - (first << SLOT_SHIFT)
    return joined[begin : begin + end - offset]


def successor(pool: Pool, row: VolumeRow, epoch: int, *, read_only: bool, follow: Follow | None) -> VolumeRow | None:
    """The volume that the cluster of a handle has switched to, since the handle's row of the volume table has changed.

    ``row`` and ``epoch`` are those of the handle.  None if its row is as before: the volume was halted, or a process
    died while dropping or moving it.  Raises VolumeDroppedError, CorruptionError, FencedError.
    """
    shared, own_id = pool.volume(row), expected_id(row)
    word, registry = shared.id, pool.registry
    if word == own_id:
        return None  # it was halted when the handle looked
    if word == own_id | DAMAGED:
        raise CorruptionError(f"recovery found no intact version: {pool.damage_of(row)}")
    if word in (own_id | DROPPED, own_id | MOVED):
        with registry.reclaiming(waits=True):  # a process that drops or moves it holds the catalog until it is done
            present = registry.volume_row(row.volume)
            is_in_use = present is not None and present.state in IN_USE and expected_id(present) == own_id
            if is_in_use and shared.id == word:
                shared.id = own_id  # S6
                return None
    if word == own_id | HALTED:
        wait_until(partial(_is_over, pool, shared, own_id), locks.volume(row.table_index))
        return None
    is_ours = word & ~FLAGS == row.volume
    if is_ours and shared.epoch != epoch and not read_only:
        raise FencedError(_FENCED)
    following = follow() if follow is not None else None
    if following is None or following.volume == row.volume:
        raise VolumeDroppedError("it was dropped")
    return following


def _is_over(pool: Pool, shared: VolumeRecord, own_id: int) -> bool:
    """Whether a volume is not halted any more: who halts it holds the catalog until it is done, or has died."""
    if shared.id == own_id | HALTED:
        try:
            with pool.registry.reclaiming():
                if shared.id == own_id | HALTED:
                    shared.id = own_id
        except RegistryBusyError:
            return False
    return True


def expected_id(row: VolumeRow) -> int:
    """The id word of a volume in the volume table, with the flag that it has when a handle is opened."""
    return row.volume | (MOVED if row.state == VolumeState.PAST else 0)


class Reader:
    """An open volume, for reading.  Not thread-safe: one handle per connection, as in SQLite."""

    def __init__(
        self,
        pool: Pool,
        row: VolumeRow,
        session: Session,
        *,
        read_only: bool,
        follow: Follow | None = None,
    ) -> None:
        self.pool = pool
        self.read_only = read_only
        self.session = session
        self.move_count = 0
        self._follow = follow
        self._verifies = pool.verify_reads
        self._bytes = pool.pool_bytes
        self._words = pool.pool_words
        self._slot_count = len(self._bytes) >> SLOT_SHIFT
        self._leaves: dict[int, memoryview] = {}
        self._take(row)

    def _take(self, row: VolumeRow) -> None:
        if row.head_slot >= self.pool.slot_map.slot_count:
            raise CorruptionError(f"its head slot {row.head_slot} is past the end of the pool")
        self.row = row
        self.session.attach(row.table_index)
        self.shared = self.pool.tables.volume(row.table_index)
        self._id = expected_id(row)
        self.epoch = self.shared.epoch
        self.version: Version = row.base._replace(version=_NOT_LOADED)
        self.size_bytes = 0
        self.recent_nodes: dict[Entry, Dirty] = {}
        self._is_tend_due = False
        self._leaves.clear()

    # --- pinning ----------------------------------------------------------------------------------------------------
    def pin(self) -> None:
        """Pin the head: reads return that version until :meth:`unpin`.

        Raises VolumeDroppedError, CorruptionError.
        """
        session = self.session
        while True:
            shared = self.shared  # a different record after following the cluster
            version = shared.version
            session.pin(version)
            if shared.version != version:
                continue  # the head moved in between: the slots of the pinned version may be free already (S1)
            if shared.id != self._id:
                session.unpin()
                self._follow_or_refuse()
                continue
            if shared.epoch != self.epoch and not self.read_only:
                session.unpin()
                raise FencedError(_FENCED)
            if version == self.version.version:
                return
            if self._load(version):
                return

    def _follow_or_refuse(self) -> None:
        """Follow the cluster, since the row does not name its volume any more, or raise the reason for a refusal."""
        row = self._successor()
        if row is not None:
            with uninterrupted:
                self.pool.reclaimer.on_close(self.session, self.row)  # this may have been its last reader
            epoch = self.epoch
            self._take(row)
            self.epoch = epoch  # the epochs of a cluster continue from volume to volume: a fenced handle stays fenced
            self.move_count += 1

    def _successor(self) -> VolumeRow | None:
        """The volume that the cluster has switched to: see :func:`successor`."""
        return successor(self.pool, self.row, self.epoch, read_only=self.read_only, follow=self._follow)

    def require_present(self) -> None:
        """Check that the volume is still the handle's.

        Raises VolumeDroppedError or CorruptionError if the volume is gone, FencedError after a failover,
        SnapshotMovedError if the cluster has switched to another volume.
        """
        if self.shared.id != self._id and self._successor() is not None:
            raise SnapshotMovedError("the cluster was reset or backtracked since this transaction began to read")
        if self.shared.epoch != self.epoch and not self.read_only:
            raise FencedError(_FENCED)

    def _load(self, version: int) -> bool:
        """Look up the record of the pinned version; False if the head has moved and a commit has overwritten it."""
        self.refresh_mapping()
        record = find_record(self.pool, self.row, version)
        if record is None:
            if self.shared.version != version:
                return False
            self.session.unpin()
            raise no_record(self.row, version)
        self.adopt(record)
        return True

    def adopt(self, version: Version) -> None:
        """Switch reads to this version."""
        self.version = version
        self.size_bytes = version.size_bytes
        self._leaves.clear()

    def pin_past(self, version: int) -> None:
        """Pin a version that the volume retains, or its head.

        Raises PastVersionGoneError, VolumeDroppedError, CorruptionError.
        """
        while True:
            self.session.pin(version)
            oldest, head = self.shared.retained, self.shared.version
            if self.shared.id == self._id:
                break
            self.session.unpin()
            if self._successor() is not None:
                raise VolumeDroppedError("it was dropped")
        if version != head and not 0 < oldest <= version <= head:  # H3
            self.session.unpin()
            raise PastVersionGoneError(f"version {version} is no longer retained, or not yet published")
        record = find_record(self.pool, self.row, version)
        if record is None:
            self.session.unpin()
            raise PastVersionGoneError(f"the record of version {version} was lost in a power failure")
        self.refresh_mapping()
        self.adopt(record)

    def pin_as_of(self, time_ns: int) -> None:
        """Pin the version that was the head at a time, but never a version older than the last one pinned.

        Pins the oldest retained version if all of them are younger.  Raises the errors of :meth:`pin`.
        """
        while True:
            if self.shared.id != self._id or not self.keeps_past:
                return self.pin()  # follows the cluster, or raises the reason for a refusal
            head, oldest = self.shared.version, self.shared.retained
            least = max(oldest, self.version.version)
            record = newest_at(self.pool, self.row, time_ns, least, head)
            try:
                return self.pin_past(record.version if record is not None else least)
            except PastVersionGoneError:
                self.version = self.version._replace(version=_NOT_LOADED)  # it expired meanwhile
            except VolumeDroppedError:
                return self.pin()  # the cluster has switched to another volume meanwhile

    def unpin(self) -> None:
        """Release the pinned version."""
        self.session.unpin()

    def count_written(self, slot_count: int) -> None:
        """Count the slots that a commit has written; every ``TEND_SLOTS`` of them, a retained past has to be tended."""
        before = self.shared.written
        self.shared.written = before + slot_count
        self._is_tend_due |= self.keeps_past and before // TEND_SLOTS != (before + slot_count) // TEND_SLOTS

    def take_tend_due(self) -> bool:
        """Whether the retained past has to be tended, since it has grown by some megabytes; True once."""
        is_due, self._is_tend_due = self._is_tend_due, False
        return is_due

    @property
    def keeps_past(self) -> bool:
        """Whether past versions of the volume are retained."""
        return bool(self.shared.retained)

    def count_read(self, read_count: int) -> None:
        """Add to the counter of the volume's reads."""
        self.shared.read += read_count

    def refresh_mapping(self) -> None:
        """Switch to the store's present mapping of the pool."""
        self.pool.refresh_mapping()
        if self._bytes is not self.pool.pool_bytes:
            self._bytes = self.pool.pool_bytes
            self._words = self.pool.pool_words
            self._slot_count = len(self._bytes) >> SLOT_SHIFT
            self._leaves.clear()

    # --- reading ----------------------------------------------------------------------------------------------------
    def read(self, amount: int, offset: int) -> bytes | memoryview:
        """Read up to ``amount`` bytes of the pinned version from ``offset``; fewer only at the end of the volume."""
        within = offset & 4095
        if within + amount <= 4096 and offset + amount <= self.size_bytes and offset >= COUNTED_BYTES:
            slot = self.slot_of(offset >> 12)
            if slot:
                at = (slot << 12) + within
                return self._bytes[at : at + amount]
        return self._read_across(amount, offset)

    def slot_of(self, page: int) -> int:
        """The slot of a page of the pinned version; 0 for a hole."""
        leaf = self._leaves.get(page >> 8)
        if leaf is None:
            leaf = self._load_leaf(page >> 8)
        slot: int = leaf[(page & 255) << 2]
        if slot >= self._slot_count:
            raise CorruptionError(f"page {page} names slot {slot}, past the end of the pool ({self._slot_count} slots)")
        if slot and not self._words[slot << 10]:  # it begins as an absent page does
            self.pool.require_resident(slot, leaf[((page & 255) << 2) + 1])
        crc = leaf[((page & 255) << 2) + 1]
        is_damaged = self._verifies and slot and zlib.crc32(self.pool.read_slot(slot)) != crc
        if is_damaged and not self.pool.mend(self.row.volume, page, slot, crc):
            raise CorruptionError(f"page {page} (slot {slot}) of version {self.version.version} fails its checksum")
        return slot

    def _load_leaf(self, leaf_number: int) -> memoryview:
        if self._verifies:
            verify_path(self.pool.read_slot, self.version, leaf_number)
        try:
            slot = find_leaf(self._words, self.version.root.slot, self.version.depth, leaf_number)
            leaf = self._words[slot << 10 : (slot + 1) << 10] if slot else _NO_LEAF
        except IndexError:
            leaf = _NO_LEAF[:0]
        if len(leaf) != 1024:
            raise CorruptionError(
                f"the page table of version {self.version.version} leads past the end of the pool "
                f"at pages {leaf_number << 8}..{(leaf_number << 8) + 255}"
            )
        self._leaves[leaf_number] = leaf
        return leaf

    def _read_across(self, amount: int, offset: int) -> bytes:
        return read_pages(self.page, self.size_bytes, amount, offset)

    def page(self, page: int) -> bytes:
        """The 4096 bytes of a page; zeros for a hole."""
        slot = self.slot_of(page)
        data = bytes(self._bytes[slot << 12 : (slot + 1) << 12]) if slot else ZERO_SLOT
        return data if page else with_counter(data, self.version.version)
