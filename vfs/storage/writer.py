"""The write transaction of a volume: stages pages, publishes them as a version, and ends.

A transaction owns the volume's writer lock, staged pages and reserved slots; it continues after ``publish()``, and ends
in ``end()``.

Two locks.  The *writer lock* is held for a transaction, and excludes other writers.  The *volume lock* is held for
moments: a session holds it to publish, to free slots, or to drop, and the head cannot move meanwhile.  Every *epoch* of
the volume has its own writer lock: when a failover begins a new epoch, the handles that wrote in the old one are
fenced, and block nobody.

Commit: WriteTransaction.publish() is one straight function; the names given to ``reach`` are its crash points.

Invariants
    V2  Neither the published record nor the one of the newest durable version is ever overwritten: a new record goes
        to a sector that holds neither.  While nothing is durable (synchronous=OFF), the oldest record that states this,
        which was synced, takes the place of the latter: it warns recovery of older records that state otherwise, whose
        sectors may not have been overwritten on the device.  A record newer than the version word, left by a dead
        writer, is wiped before another record is written, and by a sweep before it frees the slots which that writer
        wrote.
    V3  A slot written by a transaction is reserved by its session until the transaction is published or abandoned.
    V4  Superseded slots are only remembered here; :mod:`vfs.reclaim.queue` decides when they are free.
    V5  A transaction is published under the volume lock, and only in the epoch in which its handle was opened.  The
        epoch moves under the volume lock too: therefore two writers never publish on top of the same version.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter

from vfs.abc import FOREVER, Durability, Superseded
from vfs.errors import PoolFullError, StorageError, VolumeDroppedError
from vfs.failpoints import reach
from vfs.format.layout import SLOT_BYTES, SLOT_SHIFT, ZERO_SLOT, Entry, Version, page_count_of
from vfs.format.page_one import COUNTED_BYTES, moves_counter, with_counter, without_counter
from vfs.holds import Hold
from vfs.interrupts import uninterrupted
from vfs.storage.device import Buffer, write_at
from vfs.storage.heads import free_sector, wipe_stale_record, write_record
from vfs.storage.page_table import Editor
from vfs.storage.reader import Reader, read_pages
from vfs.storage.seals import seal

__all__ = ["WriteTransaction"]

STAGED_PAGES_MAX = 2048
"""Pages that a transaction stages in memory (8 MiB) before it writes them to unpublished slots."""

SYNCED_RUN_SLOTS = 8
"""Pages and nodes of a commit that are written to one place of the device, if it is synced."""


class WriteTransaction:
    """The only writer of a volume, from taking the writer lock to end()."""

    def __init__(self, volume: Reader, writer_lock: Hold, least_version: int = 0) -> None:
        self._volume = volume
        self._writer_lock = writer_lock
        self._pool = volume.pool
        self._session = volume.session
        self._begin(least_version)

    def _begin(self, least_version: int = 0) -> None:
        """Start from the volume's present version, without changes."""
        self.base = self._volume.version
        self.new_version = max(self.base.version + 1, least_version)
        self.size_bytes = self.base.size_bytes
        self._inherited_count = self.base.page_count  # pages from this number on are not the base's
        self._editor = Editor(self._pool.read_slot, self.base, self.new_version, self._volume.recent_nodes)
        self._staged: dict[int, bytes] = {}
        self._taken: list[int] = []  # every slot that this transaction took and may have written
        self._stretches: list[range] = []  # and these
        self._counter_moved = False  # by SQLite: then a version must be published (page_one.py)
        self._is_over = False  # published: reads remain valid, the next write begins again

    def _begin_again(self) -> None:
        """Begin the next transaction after a publication, as under ``locking_mode=EXCLUSIVE``."""
        before_write(self._volume)
        self._begin()

    # --- reading ----------------------------------------------------------------------------------------------------
    def read(self, amount: int, offset: int) -> bytes | memoryview:
        """Read as :meth:`Volume.read` does, including the changes of this transaction."""
        within = offset & 4095
        if within + amount <= 4096 and offset + amount <= self.size_bytes and offset >= COUNTED_BYTES:
            page = offset >> 12
            data = self._staged.get(page)
            if data is not None:
                return data if amount == 4096 else data[within : within + amount]
            slot = self._slot_of(page)
            if slot:
                at = (slot << 12) + within
                return self._pool.pool_bytes[at : at + amount]
        return read_pages(self._page, self.size_bytes, amount, offset)

    def _page(self, page: int) -> bytes:
        data = self._staged.get(page)
        if data is None:
            data = self._stored(page)
        return data if page else with_counter(data, self._volume.version.version)

    def _stored(self, page: int) -> bytes:
        """The content of a page in the pool (of the base, or written ahead by this transaction)."""
        slot = self._slot_of(page)
        return self._pool.pool_mmap[slot << 12 : (slot + 1) << 12] if slot else ZERO_SLOT

    def _slot_of(self, page: int) -> int:
        leaf = self._editor.dirty[0].get(page >> 8)
        if leaf is not None:
            slot: int = leaf.words[(page & 255) << 2]
            if slot and not self._pool.pool_words[slot << 10]:
                self._pool.require_resident(slot, leaf.words[((page & 255) << 2) + 1])
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
        if not page:
            self._counter_moved |= moves_counter(data, self._volume.version.version)
            data = without_counter(data)
        if (page << 12) < self.size_bytes and self._is_stored(page, data):
            self._staged.pop(page, None)  # equal to the stored page: shares its slot again
            return
        self._staged[page] = data
        if len(self._staged) >= STAGED_PAGES_MAX:
            self._write_ahead()

    def _is_stored(self, page: int, data: bytes) -> bool:
        stored = self._stored(page)
        return stored == data or (not page and without_counter(stored) == data)  # stored with a counter in format 1

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
        """Truncate (or extend with zeros) to ``size_bytes``."""
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
                remainder = self._page(page_count - 1)[:within]
                self._stage(page_count - 1, remainder + bytes(SLOT_BYTES - within))
        self.size_bytes = size_bytes

    # --- pages that are elsewhere -----------------------------------------------------------------------------------
    def name_absent(self, pages: Sequence[int], crcs: Sequence[int]) -> list[int]:
        """Name pages by their checksums, whose bytes are elsewhere (:class:`vfs.abc.Residence`).

        ``pages`` ascend.  Returns their slots, which have only zeros.  Raises PoolFullError.
        """
        editor = self._editor
        editor.grow(page_count_of(max(self.size_bytes, (pages[-1] + 1) << SLOT_SHIFT)))
        slots = self._take(len(pages))
        self._pool.clear(slots)
        for page, slot, crc in zip(pages, slots, crcs, strict=True):
            editor.leaf(page >> 8)
            editor.set_page(page, slot, crc)
            self._staged.pop(page, None)
        return slots

    def name_absent_leaves(
        self, table: array[int], numbers: Sequence[int], holes: Sequence[int], page_count: int
    ) -> range:
        """As :meth:`name_absent`, for all pages of an empty volume.

        ``table``: the leaves ``numbers`` as somebody else has them, one after the other, as words: the slot of a page
        there is replaced by the one here.  ``holes``: the entries, counted from the first one, that name no page.
        Returns the slots, in the order of the pages.  Raises PoolFullError.
        """
        editor = self._editor
        editor.grow(page_count)
        slots = self._session.take_stretch(len(table) // 4 - len(holes))
        self._stretches.append(slots)
        if slots.stop > len(self._pool.pool_bytes) >> SLOT_SHIFT:
            self._volume.refresh_mapping()
        self._pool.clear_stretch(slots)
        named = array("I", slots)
        for hole in holes:  # ascending
            named.insert(hole, 0)
        table[0::4] = named
        table[2::4] = array("I", [self.new_version & 0xFFFFFFFF]) * len(named)
        table[3::4] = array("I", [self.new_version >> 32]) * len(named)
        for hole in holes:
            table[4 * hole : 4 * hole + 4] = array("I", bytes(16))
        data = memoryview(table).cast("B")
        for at, number in enumerate(numbers):
            editor.leaf(number).data[:] = data[at << SLOT_SHIFT : (at + 1) << SLOT_SHIFT]
        editor.added_count += len(slots)
        return slots

    # --- placing ----------------------------------------------------------------------------------------------------
    def _write_ahead(self) -> None:
        """Move the staged pages to unpublished slots, so that a transaction can be larger than memory."""
        self._editor.grow(page_count_of(max(self.size_bytes, (max(self._staged) + 1) << SLOT_SHIFT)))
        self._write_slots(self._place_pages(sorted(self._staged)))
        self._staged.clear()

    def _take(self, count: int, *, as_run: bool = False) -> list[int]:
        """Take slots for pages, or one run for the nodes and the page that every commit changes."""
        slots = self._session.take_slots(count, as_run=as_run)
        self._taken += slots
        if slots and slots[-1] >= len(self._pool.pool_bytes) >> SLOT_SHIFT:
            self._volume.refresh_mapping()
        return slots

    def _place_pages(self, pages: list[int], slots: list[int] | None = None) -> list[tuple[int, Buffer]]:
        """Assign slots (from the end of ``slots``, or new ones) to staged pages; return the writes to do."""
        editor, own = self._editor, self.new_version
        leaves = [editor.leaf(page >> 8) for page in pages]
        placed = [  # written ahead: no reader can reach the slot, so it can hold the page again
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
        fd = self._pool.pool_fd
        start = 0
        for at in range(1, len(writes) + 1):
            if at == len(writes) or writes[at][0] != writes[at - 1][0] + 1:
                write_at(fd, [data for _, data in writes[start:at]], writes[start][0] << SLOT_SHIFT)
                start = at

    # --- ending -----------------------------------------------------------------------------------------------------
    def is_unchanged(self) -> bool:
        """Whether publishing would change nothing."""
        return self._is_over or (
            not self._staged
            and not self._counter_moved
            and self._editor.is_unchanged()
            and self.size_bytes == self.base.size_bytes
        )

    def publish(self, durability: Durability) -> Version:
        """Publish this transaction as the volume's newest version, and return that version.

        The transaction continues on top of it, without changes.  Raises PoolFullError or OSError with nothing published
        and everything staged discarded, StoreFailedError if the state of the device is unknown, VolumeDroppedError,
        CorruptionError.
        """
        if self.is_unchanged():
            return self._volume.version
        self._pool.require_writable()
        self._pool.keeper()  # now, while it can fail without harm
        index = self._volume.row.table_index
        with self._session.publishing(index, self.new_version):
            self._volume.require_present()
            self._look_at_base()
            return self._publish(durability)

    def _publish(self, durability: Durability) -> Version:
        volume, pool = self._volume, self._pool
        durable = volume.shared.durable
        try:
            pool.written[volume.row.volume] = volume.row
            # staged pages and copied nodes -> free slots; version record -> a free head sector
            root = self._write_pages(is_synced=pool.is_durable and durability == Durability.FULL)
            reach("commit: pages written")
            record = self._record(root, durable if durability else 0)
            changes_kind = _is_first_of_kind(durability, durable) and not self._falls_back_to_base(durability, durable)
            if pool.is_durable and durability == Durability.OFF and changes_kind:
                seal(pool, volume.row, before_series=True)  # K3
            self._write_record(record, durable)
            reach("commit: record written")
            if pool.is_durable and (durability == Durability.FULL or changes_kind):
                pool.sync()  # the one fdatasync: pages, nodes and record
                durable = self.new_version
                reach("commit: synced")
            volume.refresh_mapping()
            if volume.keeps_past:
                written = volume.shared.written + len(self._taken)
                pool.history.append(volume.row, record, written)  # H1: before the head moves
                reach("commit: past recorded")
        except BaseException:
            self._give_up(may_be_recorded=True)
            raise
        # publish
        waits = pool.is_durable and durability != Durability.OFF
        self._move_head(record, durable if durability else 0, durable if waits else FOREVER)
        return record

    def _falls_back_to_base(self, durability: Durability, durable: int) -> bool:
        """Whether this is the first commit of a volume, under OFF: recovery may fall back to the base (K3)."""
        return durability == Durability.OFF and self.base.version == self._volume.row.base.version == durable

    def _move_head(self, record: Version, durable: int, waits_for: int) -> None:
        """Label slots, keep superseded ones, move the head; an interruption may leak slots, but never frees any."""
        volume, pool, session = self._volume, self._pool, self._session
        discarded, slots, self._taken = self._editor.discarded, self._taken, []
        stretches, self._stretches = self._stretches, []
        superseded: list[Superseded] = []
        try:
            live = set(slots).difference(discarded) if discarded else slots
            session.slot_map.label_live(live)  # before the word moves (M2)
            for stretch in stretches:
                session.slot_map.label_live(stretch)
            superseded = pool.reclaimer.keep_superseded(volume.row, self.new_version, self._editor.superseded)
            reach("commit: slots labelled")
            volume.shared.version = self.new_version  # readers pin it from now on (S4)
            reach("commit: published")
            volume.adopt(record)
            volume.count_written(len(slots) + sum(map(len, stretches)))
            session.pin(self.new_version)
            volume.recent_nodes = self._editor.published()
            volume.shared.durable = durable
            session.give_back(discarded)
        except BaseException:
            pool.slot_map.note_leaks()
            if volume.shared.version != self.new_version:
                session.slot_map.label_live([slot for slot, _, _ in superseded])
                superseded = []
            raise
        finally:
            pool.reclaimer.enqueue(volume.row, superseded, waits_for)
            self._is_over = True

    def _write_pages(self, *, is_synced: bool) -> Entry:
        """Place and write staged pages and edited nodes, and return the root.

        If the commit waits for the device and is small, all of its slots are adjacent, since a sync of one place takes
        less time than a sync of two.  Otherwise the slots of the first page and the nodes, which every commit changes,
        are adjacent and apart from other pages: the next commit supersedes all of them, which leaves a free run.
        """
        editor = self._editor
        editor.grow(page_count_of(self.size_bytes))
        pages = sorted(self._staged)
        for page in pages:
            editor.leaf(page >> 8)
        node_count = editor.node_count()
        slot_count = node_count + len(pages)
        if is_synced and 0 < slot_count <= SYNCED_RUN_SLOTS and self._session.prepare_run(slot_count):
            first = pages
        else:
            first = pages[:1] if pages[:1] == [0] else []
        run = self._take(node_count + len(first), as_run=True)
        writes = self._place_pages(pages[len(first) :]) + self._place_pages(first, run)

        def place(node: bytearray) -> int:
            slot = run.pop()
            writes.append((slot, node))
            return slot

        root = editor.seal(place)
        self._editor.discarded += run  # not empty if page 0 was written ahead and has a slot already
        reach("commit: before pages are written")
        self._write_slots(writes)
        return root

    def _record(self, root: Entry, durable: int) -> Version:
        """The version record; ``durable`` 0 states that slots named by older records may have been reused by now."""
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
            time_ns=max(volume.pool.clock.tick_ns(), base.time_ns + 1),
            root=root,
        )

    def _write_record(self, record: Version, durable: int) -> None:
        row = self._volume.row
        sector = free_sector(self._pool, row, self.base.version, durable)
        try:
            write_record(self._pool, row, sector, record)
        except PoolFullError:
            raise  # nothing was written
        except OSError:  # (a writer that is only interrupted abandons the transaction, and wipes the record)
            self._pool.fail(f"writing a version record of volume {row.volume} failed")  # it may be on the device
            raise

    def _give_up(self, *, may_be_recorded: bool = False) -> None:
        """Discard everything staged and begin again from the base.

        ``may_be_recorded``: there may be a version record (the caller holds the volume lock).
        """
        slots = [*self._taken, *chain(*self._stretches)]
        self._taken = []
        self._begin()
        if may_be_recorded and slots and not self._pool.has_failed:
            with suppress(OSError, StorageError):  # then the store has failed, which every later write reports
                wipe_stale_record(self._pool, self._volume.row, self.base.version)  # before its slots are reused (V2)
        if slots:
            if self._pool.has_failed:
                self._pool.reclaimer.leak(self._session, slots)  # a record on the device may reach them
            else:
                self._session.give_back(slots)

    def _look_at_base(self) -> None:
        """Reread the catalog row if the volume's base has moved (the caller holds the volume lock)."""
        volume = self._volume
        if volume.shared.base != volume.row.base.version:
            row = self._pool.registry.volume_row(volume.row.volume)
            if row is None:
                raise VolumeDroppedError("it was dropped")
            volume.row = row

    def end(self) -> None:
        """Roll back unpublished changes and release the writer lock."""
        try:
            if self._taken or self._stretches:
                self._give_up()
        finally:
            self._writer_lock.close()


def _is_first_of_kind(durability: Durability, durable: int) -> bool:
    """Whether a commit must be synced although its setting does not require it, because the kind of record changes.

    Before slots are reused that an older record still reaches (OFF), a record that warns of this must be on the device;
    and after such a record, no version is durable until one has been synced.
    """
    return durable != 0 if durability == Durability.OFF else durable == 0


def before_write(volume: Reader) -> None:
    """Do the reclaim work that waits for a writer, if there is any (the caller holds the writer lock)."""
    reclaimer = volume.pool.reclaimer
    if volume.shared.cleanup or reclaimer.is_worth_draining(volume.row):
        with uninterrupted, volume.session.volume_locked(volume.row.table_index):
            reclaimer.before_write(volume.session, volume.row)
