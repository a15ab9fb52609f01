"""A volume as one handle sees it: pinned for reading, or in a write transaction.

States of a handle, and what each owns
    Volume, unpinned     nothing
    Volume, pinned       one version: its root cannot be reclaimed
    WriteTransaction     the volume's writer lock, staged pages, reserved slots; goes on after publish(), ends in end()

Two locks.  The *writer lock* is held for a transaction, and excludes other writers.  The *volume lock* is held for
moments: who publishes, frees slots, or drops has it, and the head stands still for everybody else.  An *epoch* of the
volume has its own writer lock: when a failover begins a new one, whoever wrote in the old is fenced, and keeps nobody
waiting.

Commit: WriteTransaction.publish() is one straight function; the names in its comments are the crash points.

Invariants
    V1  The version word names a version whose record stands in a head sector, or the volume's base.
    V2  Neither the published record nor the one of the newest durable version is ever overwritten: a new record goes
        to a sector that holds neither.  While nothing is durable (synchronous=OFF), the oldest record that says so,
        which was synced, takes the place of the latter: it warns recovery of older records that say otherwise, whose
        sectors may not have been overwritten on the device.  A record newer than the version word, left by a dead
        writer, is wiped before another record is written, and by a sweep before it frees what that one wrote.
    V3  A slot written by a transaction is reserved by its session until the transaction is published or given up.
    V4  What a transaction supersedes is only remembered here; reclaim.py decides when it is free.
    V5  A transaction is published under the volume lock, and only in the epoch in which its handle was opened.  The
        epoch moves under the volume lock too: so nothing is published by two writers on one version.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from operator import itemgetter
from typing import TYPE_CHECKING

from vfs.clean_close import seal
from vfs.errors import (
    CorruptionError,
    FencedError,
    PastVersionGoneError,
    PoolFullError,
    ReadOnlyError,
    SnapshotMovedError,
    StorageError,
    VolumeDroppedError,
    WriterBusyError,
)
from vfs.failpoints import reach
from vfs.holds import Hold, is_busy
from vfs.interrupts import uninterrupted
from vfs.layout import (
    COMMIT_SECTORS,
    DAMAGED,
    DROPPED,
    FLAGS,
    HEAD_SECTORS,
    MOVED,
    SECTOR_BYTES,
    SLOT_BYTES,
    SLOT_SHIFT,
    V_BASE,
    V_CHORES,
    V_DURABLE,
    V_EPOCH,
    V_ID,
    V_READ,
    V_RETAINED,
    V_VERSION,
    V_WRITTEN,
    WORD_MAX,
    ZERO_SLOT,
    Entry,
    Version,
    pack_version,
    page_count_of,
    unpack_version,
)
from vfs.osio import Buffer, write_at
from vfs.reclaim import FOREVER, Superseded
from vfs.registry import VolumeRow, VolumeState
from vfs.sessions import Session
from vfs.table import Dirty, Editor, find_leaf, verify_path

if TYPE_CHECKING:
    from vfs.store import PageStore

__all__ = ["Durability", "Volume", "WriteTransaction", "head_records", "read_pages"]

STAGED_PAGES_MAX = 2048
"""Pages a transaction stages in memory (8 MiB) before it writes them to unpublished slots."""


class Durability(IntEnum):
    """What a commit promises, with SQLite's numbers for ``PRAGMA synchronous``."""

    OFF = 0
    NORMAL = 1
    FULL = 2


class Volume:
    """An open volume.  Not thread-safe: one handle per connection, as in SQLite."""

    def __init__(
        self,
        store: PageStore,
        row: VolumeRow,
        session: Session,
        *,
        read_only: bool,
        follow: Callable[[], VolumeRow | None] | None = None,
    ) -> None:
        """``follow`` finds the volume that its cluster has gone over to, if it was reset or went back."""
        self.store = store
        self.read_only = read_only
        self.session = session
        self.move_count = 0
        self._follow = follow
        self._words = store.tables.words
        self._verifies = store.verify_reads
        self._pool = store.pool_bytes
        self._pool_words = store.pool_words
        self._pool_slots = len(self._pool) >> SLOT_SHIFT
        self._leaves: dict[int, memoryview] = {}
        self._take(row)

    def _take(self, row: VolumeRow) -> None:
        if row.head_slot >= self.store.slot_map.slot_count:
            raise CorruptionError(f"its head slot {row.head_slot} lies past the end of the pool")
        self.row = row
        self.session.attach(row.table_index)
        self._row_at = self.store.tables.volume_at(row.table_index)
        self._word_at = self._row_at + V_VERSION
        self._id_at = self._row_at + V_ID
        self._epoch_at = self._row_at + V_EPOCH
        self._id = row.volume | (MOVED if row.state == VolumeState.PAST else 0)
        self._epoch: int = self._words[self._epoch_at]
        self.version: Version = row.base._replace(version=0)  # no version looked at yet
        self.size_bytes = 0
        self.recent_nodes: dict[Entry, Dirty] = {}
        self._leaves.clear()

    # --- pinning ----------------------------------------------------------------------------------------------------
    def pin(self) -> None:
        """Pin the head: what is read from here on is that version, until :meth:`unpin`.

        Raises VolumeDroppedError, CorruptionError.
        """
        words, session = self._words, self.session
        while True:
            word_at = self._word_at  # another one when we have followed the cluster
            version = words[word_at]
            session.pin(version)
            if words[word_at] != version:
                continue  # the head moved in between: what we pinned may be gone already (S1)
            if words[self._id_at] != self._id:
                session.unpin()
                self._refuse()
                continue
            if words[self._epoch_at] != self._epoch and not self.read_only:
                session.unpin()
                raise FencedError(_FENCED)
            if version == self.version.version:
                return
            if self._load(version):
                return

    def _refuse(self) -> None:
        """The row is not ours any more: follow the cluster, or say why that cannot be."""
        row = self._successor()
        if row is not None:
            with uninterrupted:
                self.store.reclaim.on_close(self)  # perhaps we were its last reader
            epoch = self._epoch
            self._take(row)
            self._epoch = epoch  # a cluster's epochs go on from volume to volume: who was fenced stays so
            self.move_count += 1

    def _successor(self) -> VolumeRow | None:
        """The volume that the cluster has gone over to; None if a process died in the middle of dropping or moving.

        Raises VolumeDroppedError, CorruptionError, FencedError.
        """
        word = self._words[self._id_at]
        if word == self._id | DAMAGED:
            raise CorruptionError(f"recovery found no version of it whole: {self.store.damage_of(self.row)}")
        if word in (self._id | DROPPED, self._id | MOVED):
            with self.store.registry.reclaiming(waits=True):  # who is at it holds the catalog until it is done
                row = self.store.registry.volume_row(self.row.volume)
                is_live = row is not None and row.state == VolumeState.LIVE
                if is_live and self._words[self._id_at] == word:
                    self._words[self._id_at] = self._id
                    return None
        is_ours = word & ~FLAGS == self.row.volume
        if is_ours and self._words[self._epoch_at] != self._epoch and not self.read_only:
            raise FencedError(_FENCED)
        row = self._follow() if self._follow is not None else None
        if row is None or row.volume == self.row.volume:
            raise VolumeDroppedError("it was dropped")
        return row

    def _load(self, version: int) -> bool:
        """Look up the record of the pinned version; False if the head has moved on and overwritten it."""
        self.refresh_mapping()
        record = self.store.find_record(self.row, version)
        if record is None:
            if self._words[self._word_at] != version:
                return False
            self.session.unpin()
            raise CorruptionError(
                f"head slot {self.row.head_slot} of volume {self.row.volume} has no record of version {version}"
            )
        self.adopt(record)
        return True

    def adopt(self, version: Version) -> None:
        """Read from this version from now on."""
        self.version = version
        self.size_bytes = version.size_bytes
        self._leaves.clear()

    def pin_past(self, version: int) -> None:
        """Pin a version that the volume retains, or its head.

        Raises PastVersionGoneError, VolumeDroppedError, CorruptionError.
        """
        self.session.pin(version)
        oldest, head = self._words[self._row_at + V_RETAINED], self._words[self._word_at]
        if self._words[self._id_at] != self._id:
            self.session.unpin()
            self._successor()
            raise VolumeDroppedError("it was dropped")
        if version != head and not 0 < oldest <= version <= head:  # H3
            self.session.unpin()
            raise PastVersionGoneError(f"version {version} is not retained any more, or not yet")
        record = self.store.find_record(self.row, version)
        if record is None:
            self.session.unpin()
            raise PastVersionGoneError(f"the record of version {version} was lost when power failed")
        self.refresh_mapping()
        self.adopt(record)

    def pin_as_of(self, time_ns: int) -> None:
        """Pin the version that was the head at a time, but never one older than the last one pinned.

        The oldest one that is retained, if even that is younger.  Raises as :meth:`pin`.
        """
        while True:
            if self._words[self._id_at] != self._id or not self.keeps_past:
                return self.pin()  # follows the cluster, or says why it cannot be
            head, oldest = self._words[self._word_at], self._words[self._row_at + V_RETAINED]
            least = max(oldest, self.version.version)
            found = self.store.newest_at(self.row, time_ns, least, head)
            try:
                return self.pin_past(found.version if found is not None else least)
            except PastVersionGoneError:
                self.version = self.version._replace(version=0)  # it was given up meanwhile
            except VolumeDroppedError:
                return self.pin()  # the cluster has gone over to another volume meanwhile

    def unpin(self) -> None:
        """Let go of the pinned version."""
        self.session.unpin()

    def refresh_mapping(self) -> None:
        """Take over the store's present mapping of the pool."""
        self.store.refresh_mapping()
        if self._pool is not self.store.pool_bytes:
            self._pool = self.store.pool_bytes
            self._pool_words = self.store.pool_words
            self._pool_slots = len(self._pool) >> SLOT_SHIFT
            self._leaves.clear()

    # --- reading ----------------------------------------------------------------------------------------------------
    def read(self, amount: int, offset: int) -> bytes | memoryview:
        """Up to ``amount`` bytes of the pinned version from ``offset`` on; fewer only at the end of the volume."""
        within = offset & 4095
        if within + amount <= 4096 and offset + amount <= self.size_bytes:
            slot = self.slot_of(offset >> 12)
            if slot:
                at = (slot << 12) + within
                return self._pool[at : at + amount]
        return self._read_across(amount, offset)

    def slot_of(self, page: int) -> int:
        """The slot of a page of the pinned version; 0 for a hole."""
        leaf = self._leaves.get(page >> 8)
        if leaf is None:
            leaf = self._load_leaf(page >> 8)
        slot: int = leaf[(page & 255) << 2]
        if slot >= self._pool_slots:
            raise CorruptionError(f"page {page} names slot {slot}, past the end of the pool ({self._pool_slots} slots)")
        if self._verifies and slot and zlib.crc32(self.store.read_slot(slot)) != leaf[((page & 255) << 2) + 1]:
            raise CorruptionError(f"page {page} (slot {slot}) of version {self.version.version} fails its checksum")
        return slot

    def _load_leaf(self, leaf_number: int) -> memoryview:
        if self._verifies:
            verify_path(self.store.read_slot, self.version, leaf_number)
        try:
            slot = find_leaf(self._pool_words, self.version.root.slot, self.version.depth, leaf_number)
            leaf = self._pool_words[slot << 10 : (slot + 1) << 10] if slot else _NO_LEAF
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
        return bytes(self._pool[slot << 12 : (slot + 1) << 12]) if slot else ZERO_SLOT

    # --- writing ----------------------------------------------------------------------------------------------------
    def begin_write(self, least_version: int = 0) -> WriteTransaction:
        """Become the volume's writer, on top of the pinned version; the new one has ``least_version`` at least.

        Raises ReadOnlyError, StoreFailedError, WriterBusyError, SnapshotMovedError, VolumeDroppedError, FencedError.
        """
        if self.read_only:
            raise ReadOnlyError("it is open for reading only")
        self.store.require_writable()
        hold = self.session.try_writer(self.row.table_index, self._epoch)
        if hold is None:
            raise WriterBusyError("another connection is writing to it")
        try:
            if self.session.is_volume_locked_by_other(self.row.table_index):
                raise WriterBusyError("another process reclaims its space")  # before anything is staged in vain
            self.require_present()
            if self._words[self._word_at] != self.version.version:
                raise SnapshotMovedError("another connection has committed since this transaction began to read")
            self.before_write()
            return WriteTransaction(self, hold, least_version)
        except BaseException:
            hold.close()
            raise

    def before_write(self) -> None:
        """Do the chores of a writer, if there are any (the caller has its writer lock)."""
        if self.has_chores or self.store.reclaim.is_worth_draining(self.row):
            with uninterrupted, self.session.volume_locked(self.row.table_index):
                self.store.reclaim.before_write(self)

    def look_at_base(self) -> None:
        """See what the volume stands on by now (the caller has the volume lock)."""
        if self._words[self._row_at + V_BASE] != self.row.base.version:
            row = self.store.registry.volume_row(self.row.volume)
            if row is None:
                raise VolumeDroppedError("it was dropped")
            self.row = row

    def is_being_written(self) -> bool:
        """Whether some other handle is the writer now."""
        return self.session.is_written_by_other(self.row.table_index, self._epoch)

    def close(self) -> None:
        """Let go of everything; what this process superseded is reclaimed as far as readers allow."""
        if self.session.locks.fd >= 0:
            self.unpin()
            try:
                if is_busy():  # the collector closes it: whoever is next at the volume tidies up
                    self.store.chores.request(self.row)
                else:
                    self.store.reclaim.on_close(self)
            finally:
                self.session.close()
                self.store.sessions.discard(self.session)

    # --- words of the volume's row, for the writer ------------------------------------------------------------------
    @property
    def durable(self) -> int:
        """The newest version of the volume known to be on the device."""
        return self._words[self._row_at + V_DURABLE]

    @durable.setter
    def durable(self, version: int) -> None:
        self._words[self._row_at + V_DURABLE] = version

    @property
    def keeps_past(self) -> bool:
        """Whether past versions of the volume are retained."""
        return bool(self._words[self._row_at + V_RETAINED])

    @property
    def has_chores(self) -> bool:
        """Whether somebody left reclaim work for the writer."""
        return bool(self._words[self._row_at + V_CHORES])

    def wipe_left_record(self, session: Session) -> bool:
        """Wipe a dead writer's record; False if there may be one, but another session has the volume lock."""
        if max(self._recorded_versions())[0] <= self.version.version:
            return True
        hold = session.try_volume(self.row.table_index)
        if hold is None:
            return False
        with hold:
            if self._words[self._word_at] == self.version.version:  # else a writer was here, and has wiped it
                self.wipe_stale_record()
        return True

    def wipe_stale_record(self) -> None:
        """Make the record of a writer that died before it published none, on the device too (V2).

        The slots it names will be used by others; in a clone of the same version even with the same content.
        """
        published = self.version.version
        versions = [version for version, _ in self._recorded_versions()]
        if self.keeps_past and max(versions) > published:
            self.store.history.erase_after(self.row.volume, published)
        for sector, version in enumerate(versions):
            if version > published:
                at = (self.row.head_slot << SLOT_SHIFT) + sector * SECTOR_BYTES
                try:
                    write_at(self.store.pool_fd, [bytes(SECTOR_BYTES)], at)
                    self.store.sync()
                except BaseException:
                    self.store.fail(f"wiping a version record of volume {self.row.volume} failed")
                    raise

    def _recorded_versions(self) -> list[tuple[int, int]]:
        """(version, durable version) that the head's sectors name, whole or not; (-1, -1) for another volume's."""
        longs, at = self.store.pool_longs, self.row.head_slot << (SLOT_SHIFT - 3)
        sectors = [at + sector * (SECTOR_BYTES >> 3) for sector in range(COMMIT_SECTORS)]
        return [(longs[at + 2], longs[at + 3]) if longs[at + 1] == self.row.volume else (-1, -1) for at in sectors]

    def free_sector(self, published: int, durable: int) -> int:
        """The head sector that the next version record goes to (V2), under the volume lock; a stale one is wiped."""
        records = self._recorded_versions()
        if max(records)[0] > published:
            self.wipe_stale_record()
            records = self._recorded_versions()
        kept = {published, durable}
        if not durable:
            kept.add(min((version for version, known in records if version > 0 and not known), default=0))
        return next(at for at, (version, _) in enumerate(records) if version not in kept)

    def is_at(self, version: int) -> bool:
        """Whether that is the published version."""
        return self._words[self._word_at] == version

    def move_head(self, version: int) -> None:
        """Publish: from now on this is the version that readers pin (S4)."""
        self._words[self._word_at] = version

    def count_read(self, read_count: int) -> None:
        """Note how many reads a transaction has made."""
        at = self._row_at + V_READ
        self._words[at] = (self._words[at] + read_count) & WORD_MAX

    def count_written(self, slot_count: int) -> None:
        """Note how much a commit has written."""
        at = self._row_at + V_WRITTEN
        self._words[at] = (self._words[at] + slot_count) & WORD_MAX

    def require_present(self) -> None:
        """Raises VolumeDroppedError or CorruptionError if the volume is none any more, FencedError after a failover,
        SnapshotMovedError if the cluster has gone over to another volume."""
        if self._words[self._id_at] != self._id and self._successor() is not None:
            raise SnapshotMovedError("the cluster was reset or went back since this transaction began to read")
        if self._words[self._epoch_at] != self._epoch and not self.read_only:
            raise FencedError(_FENCED)


_FENCED = "the connection was cut off by a failover, a crash or a stop: open a new connection"
_NO_LEAF = memoryview(bytes(SLOT_BYTES)).cast("I")


def read_pages(page_at: Callable[[int], bytes], size_bytes: int, amount: int, offset: int) -> bytes:
    """Bytes ``offset`` to ``offset + amount`` put together from whole pages, cut at ``size_bytes``."""
    end = min(offset + amount, size_bytes)
    if end <= offset:
        return b""
    first, last = offset >> SLOT_SHIFT, (end - 1) >> SLOT_SHIFT
    joined = b"".join([page_at(page) for page in range(first, last + 1)])
    begin = offset - (first << SLOT_SHIFT)
    return joined[begin : begin + end - offset]


class WriteTransaction:
    """The one writer of a volume, from its lock to end()."""

    def __init__(self, volume: Volume, writer_lock: Hold, least_version: int = 0) -> None:
        self._volume = volume
        self._writer_lock = writer_lock
        self._store = volume.store
        self._session = volume.session
        self._begin(least_version)

    def _begin(self, least_version: int = 0) -> None:
        """Start from the volume's present version, with nothing changed."""
        self.base = self._volume.version
        self.new_version = max(self.base.version + 1, least_version)
        self.size_bytes = self.base.size_bytes
        self._inherited_count = self.base.page_count  # pages from here on are not the base's
        self._editor = Editor(self._store.read_slot, self.base, self.new_version, self._volume.recent_nodes)
        self._staged: dict[int, bytes] = {}
        self._taken: list[int] = []  # every slot this transaction got and may have written
        self._is_over = False  # published: what is read is still right, the next write begins anew

    def _begin_again(self) -> None:
        """Write on after a publication, as under ``locking_mode=EXCLUSIVE``."""
        self._volume.before_write()
        self._begin()

    # --- reading ----------------------------------------------------------------------------------------------------
    def read(self, amount: int, offset: int) -> bytes | memoryview:
        """As :meth:`Volume.read`, on what this transaction has made of the volume so far."""
        within = offset & 4095
        if within + amount <= 4096 and offset + amount <= self.size_bytes:
            page = offset >> 12
            data = self._staged.get(page)
            if data is not None:
                return data if amount == 4096 else data[within : within + amount]
            slot = self._slot_of(page)
            if slot:
                at = (slot << 12) + within
                return self._store.pool_bytes[at : at + amount]
        return read_pages(self._page, self.size_bytes, amount, offset)

    def _page(self, page: int) -> bytes:
        data = self._staged.get(page)
        return self._stored(page) if data is None else data

    def _stored(self, page: int) -> bytes:
        """A page as it is in the pool (of the base, or written ahead by this transaction)."""
        slot = self._slot_of(page)
        return self._store.pool_mmap[slot << 12 : (slot + 1) << 12] if slot else ZERO_SLOT

    def _slot_of(self, page: int) -> int:
        leaf = self._editor.dirty[0].get(page >> 8)
        if leaf is not None:
            slot: int = leaf.words[(page & 255) << 2]
            return slot
        return self._volume.slot_of(page) if page < self._inherited_count else 0

    # --- staging ----------------------------------------------------------------------------------------------------
    def write(self, data: bytes, offset: int) -> None:
        """Stage bytes at ``offset``, extending the volume as needed."""
        if self._is_over:
            self._begin_again()
        if len(data) == 4096 and not offset & 4095:
            self._stage(offset >> 12, data)
        else:
            self._write_across(data, offset)
        end = offset + len(data)
        if end > self.size_bytes:
            self.size_bytes = end

    def _stage(self, page: int, data: bytes) -> None:
        if (page << 12) < self.size_bytes and self._stored(page) == data:
            self._staged.pop(page, None)  # back to what is stored: shares it again
            return
        self._staged[page] = data
        if len(self._staged) >= STAGED_PAGES_MAX:
            self._write_ahead()

    def _write_across(self, data: bytes, offset: int) -> None:
        done = 0
        while done < len(data):
            page, within = (offset + done) >> SLOT_SHIFT, (offset + done) & (SLOT_BYTES - 1)
            part = data[done : done + SLOT_BYTES - within]
            if len(part) < SLOT_BYTES:
                old = self._page(page)
                part_page = old[:within] + part + old[within + len(part) :]
            else:
                part_page = part
            self._stage(page, bytes(part_page))
            done += len(part)

    def truncate(self, size_bytes: int) -> None:
        """Cut (or extend with zeros) to ``size_bytes``."""
        if self._is_over:
            self._begin_again()
        if size_bytes < self.size_bytes:
            page_count = page_count_of(size_bytes)
            for page in [page for page in self._staged if page >= page_count]:
                del self._staged[page]
            self._editor.truncate(page_count)
            self._inherited_count = min(self._inherited_count, page_count)
            within = size_bytes & (SLOT_BYTES - 1)
            self.size_bytes = size_bytes
            if within:
                kept = self._page(page_count - 1)[:within]
                self._stage(page_count - 1, kept + bytes(SLOT_BYTES - within))
        self.size_bytes = size_bytes

    # --- placing ----------------------------------------------------------------------------------------------------
    def _write_ahead(self) -> None:
        """Move the staged pages to unpublished slots, so that a transaction can be larger than memory."""
        self._editor.grow(page_count_of(max(self.size_bytes, (max(self._staged) + 1) << SLOT_SHIFT)))
        self._write_slots(self._place_pages(sorted(self._staged)))
        self._staged.clear()

    def _take(self, count: int, *, as_run: bool = False) -> list[int]:
        """Slots for pages, or as one run for what every commit changes: nodes, and the page beside them."""
        slots = self._session.take_slots(count, as_run=as_run)
        self._taken += slots
        if slots and slots[-1] >= len(self._store.pool_bytes) >> SLOT_SHIFT:
            self._volume.refresh_mapping()
        return slots

    def _place_pages(self, pages: list[int], slots: list[int] | None = None) -> list[tuple[int, Buffer]]:
        """Give staged pages slots (from the end of ``slots``, or new ones) and enter them; the writes to make."""
        editor, own = self._editor, self.new_version
        leaves = [editor.leaf(page >> 8) for page in pages]
        placed = [  # written ahead: nobody has seen it, so the slot can take the page again
            leaf.words[(page & 255) << 2] if leaf.longs[((page & 255) << 1) + 1] == own else 0
            for page, leaf in zip(pages, leaves, strict=True)
        ]
        missing = placed.count(0)
        fresh = iter(self._take(missing) if slots is None else [slots.pop() for _ in range(missing)])
        writes: list[tuple[int, Buffer]] = []
        for page, slot in zip(pages, placed, strict=True):
            data = self._staged[page]
            slot = slot or next(fresh)
            editor.set_page(page, slot, zlib.crc32(data))
            writes.append((slot, data))
        return writes

    def _write_slots(self, writes: list[tuple[int, Buffer]]) -> None:
        """Write (slot, bytes) pairs, contiguous runs in one call each."""
        writes.sort(key=itemgetter(0))
        fd = self._store.pool_fd
        start = 0
        for at in range(1, len(writes) + 1):
            if at == len(writes) or writes[at][0] != writes[at - 1][0] + 1:
                write_at(fd, [data for _, data in writes[start:at]], writes[start][0] << SLOT_SHIFT)
                start = at

    # --- ending -----------------------------------------------------------------------------------------------------
    def is_unchanged(self) -> bool:
        """Whether publishing would make no difference."""
        return self._is_over or (
            not self._staged and self._editor.is_unchanged() and self.size_bytes == self.base.size_bytes
        )

    def publish(self, durability: Durability) -> Version:
        """Make this transaction the volume's newest version, and return that.

        The transaction goes on as one without changes on top of it.  Raises PoolFullError or OSError with nothing
        published and everything staged forgotten, StoreFailedError if what reached the device is unknown,
        VolumeDroppedError, CorruptionError.
        """
        if self.is_unchanged():
            return self._volume.version
        self._store.require_writable()
        self._store.keeper()  # now, while it can fail without harm
        index = self._volume.row.table_index
        with self._session.publishing(index, self.new_version):
            self._volume.require_present()
            self._volume.look_at_base()
            return self._publish(durability)

    def _publish(self, durability: Durability) -> Version:
        volume, store = self._volume, self._store
        durable = volume.durable
        try:
            store.written[volume.row.volume] = volume.row
            # staged pages and copied nodes -> free slots; version record -> a free head sector
            root = self._write_pages()
            reach("commit: pages written")
            record = self._record(root, durable if durability else 0)
            if store.is_durable and durability == Durability.OFF and durable:
                seal(store, volume.row)  # K3
            self._write_record(record, durable)
            reach("commit: record written")
            if store.is_durable and (durability == Durability.FULL or _is_first_of_kind(durability, durable)):
                store.sync()  # the one fdatasync: pages, nodes and record
                durable = self.new_version
                reach("commit: synced")
            volume.refresh_mapping()
            if volume.keeps_past:
                store.history.append(volume.row.volume, record)  # H1: before the head moves
                reach("commit: past recorded")
        except BaseException:
            self._give_up(may_be_recorded=True)
            raise
        # publish
        waits = store.is_durable and durability != Durability.OFF
        self._move_head(record, durable if durability else 0, durable if waits else FOREVER)
        return record

    def _move_head(self, record: Version, durable: int, waits_for: int) -> None:
        """The record stands: label, keep, move the head.  Interrupted anywhere, this may leak slots, but frees none."""
        volume, store, session = self._volume, self._store, self._session
        discarded, taken, self._taken = self._editor.discarded, self._taken, []
        superseded: list[Superseded] = []
        try:
            live = set(taken).difference(discarded) if discarded else taken
            session.slot_map.label_live(live)  # before the word moves (M2)
            superseded = store.reclaim.keep_superseded(volume.row, self.new_version, self._editor.superseded)
            reach("commit: slots labelled")
            volume.move_head(self.new_version)
            reach("commit: published")
            volume.adopt(record)
            volume.count_written(len(taken))
            session.pin(self.new_version)
            volume.recent_nodes = self._editor.published()
            volume.durable = durable
            session.give_back(discarded)
        except BaseException:
            store.slot_map.note_leaks()
            if not volume.is_at(self.new_version):
                session.slot_map.label_live([slot for slot, _, _ in superseded])
                superseded = []
            raise
        finally:
            store.reclaim.enqueue(volume.row, superseded, waits_for)
            self._is_over = True

    def _write_pages(self) -> Entry:
        """Place and write staged pages and edited nodes; the root.

        What every commit changes (the first page, and the nodes above) takes slots that lie together, apart from other
        pages: it is superseded together soon, and leaves a run behind.
        """
        editor = self._editor
        editor.grow(page_count_of(self.size_bytes))
        pages = sorted(self._staged)
        for page in pages:
            editor.leaf(page >> 8)
        first = pages[:1] if pages[:1] == [0] else []
        run = self._take(editor.node_count() + len(first), as_run=True)
        writes = self._place_pages(pages[len(first) :]) + self._place_pages(first, run)

        def place(node: bytearray) -> int:
            slot = run.pop()
            writes.append((slot, node))
            return slot

        root = editor.seal(place)
        self._editor.discarded += run  # page 0 may have been written ahead and have its slot
        reach("commit: before pages are written")
        self._write_slots(writes)
        return root

    def _record(self, root: Entry, durable: int) -> Version:
        """The version record; ``durable`` 0 says that what older records name may be used by others by now."""
        volume, editor, base = self._volume, self._editor, self.base
        foreign = volume.row.base.version
        new_count = editor.added_count + len(editor.superseded)
        return Version(
            volume=volume.row.volume,
            version=self.new_version,
            durable=durable,
            size_bytes=self.size_bytes,
            slot_count=base.slot_count + editor.added_count,
            own_count=base.own_count + new_count - len([1 for _, birth in editor.superseded if birth > foreign]),
            time_ns=max(volume.store.clock.tick_ns(), base.time_ns + 1),
            root=root,
        )

    def _write_record(self, record: Version, durable: int) -> None:
        row = self._volume.row
        sector = self._volume.free_sector(self.base.version, durable)
        at = (row.head_slot << SLOT_SHIFT) + sector * SECTOR_BYTES
        try:
            write_at(self._store.pool_fd, [pack_version(record)], at)
        except PoolFullError:
            raise  # nothing was written
        except OSError:  # who is only interrupted gives up, and wipes what may be there
            self._store.fail(f"writing a version record of volume {row.volume} failed")  # it may be there
            raise

    def _give_up(self, *, may_be_recorded: bool = False) -> None:
        """Forget everything staged and begin again from the base.

        ``may_be_recorded``: there may be a version record (the caller has the volume lock).
        """
        taken, self._taken = self._taken, []
        self._begin()
        if may_be_recorded and taken and not self._store.has_failed:
            with suppress(OSError, StorageError):  # the store has failed then, which every later write is told
                self._volume.wipe_stale_record()  # before others use what it names (V2)
        if taken:
            if self._store.has_failed:
                self._store.reclaim.leak(self._session, taken)  # a record on the device may reach them
            else:
                self._session.give_back(taken)

    def end(self) -> None:
        """Roll back what is not published and give up the writer lock."""
        try:
            if self._taken:
                self._give_up()
        finally:
            self._writer_lock.close()


def _is_first_of_kind(durability: Durability, durable: int) -> bool:
    """Whether a commit that need not be durable must be, since the kind of record changes with it.

    Before slots are reused that an older record still reaches (OFF), a record that warns of it must be on the device;
    and once there was one, nothing is durable until something is made so.
    """
    return durable != 0 if durability == Durability.OFF else durable == 0


def head_records(head: memoryview, volume: int) -> list[Version | None]:
    """The records of a head slot by sector: None where a sector has no whole record of this volume."""
    records = []
    for sector in range(HEAD_SECTORS):
        record = unpack_version(head[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES])
        records.append(record if record is not None and record.volume == volume else None)
    return records
