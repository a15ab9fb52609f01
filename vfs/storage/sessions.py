"""The shared tables: one row per volume with its version word, one row per session with its pin.

A *session* is one handle's presence in the store, for the life of a connection.  It owns a row of the session table
and, through its own open file description, the lock byte of that row; a row counts only while that byte is held.

Invariants
    S1  A reader stores its pin first and then checks that the head word still has that version; if not, it tries again.
    S2  A writer publishes first and then reads the pins.  With S1: of a reader and a writer, one sees the other.
    S3  The pin of a dead session is dismissed only before durable pins are read again, and after the catalog was
        sealed: a session that died while it created a clone may have committed the clone's pin, or half of it.
    S4  The version word and the epoch of a volume change only under its volume lock.  Its id word gets a flag when the
        volume is dropped and changes for good when the row is given to another volume: a handle compares it at every
        pin.
    S5  A row of the volume table is given to a volume under the catalog's write lock only, if it is free, and taken
        from one under the pool lock only, if it is still that volume's: so neither step undoes another one.  The number
        of a volume whose transaction failed is given again: its row is taken from it under both locks, unless the
        catalog has a volume with that number in that row by now.
    S6  The flag of a volume whose dropping or moving process has died is cleared in a catalog transaction only, which
        seals the catalog at its beginning if a process has died in its commit: otherwise that commit could take effect
        later, and take away what handles commit to the volume meanwhile.
    The locks of a volume have L1 to L4 of :mod:`vfs.format.locks`.

All words are aligned 64-bit stores and loads.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from vfs.errors import TooManySessionsError, TooManyVolumesError
from vfs.format import locks
from vfs.format.shared import (
    FLAGS,
    GATE_ROWS,
    GATE_TABLE_BYTE,
    LABELS,
    ROW_BYTES,
    ROW_WORDS,
    SESSION_ROWS,
    SESSION_TABLE_BYTE,
    VOLUME_ROWS,
    VOLUME_TABLE_BYTE,
    ReadersHeader,
    Record,
    SessionRecord,
    VolumeRecord,
)
from vfs.holds import Hold
from vfs.interrupts import are_deferred
from vfs.storage.device import LockFile, Mapping, PlainLock, open_again, wait_until
from vfs.storage.fences import fence
from vfs.storage.slot_map import SlotMap

__all__ = ["Session", "SharedTables", "session_count_max"]

_SPARE_SLOTS = 32
"""The most slots that a session reserves in addition to those it needs now; the number doubles with every time."""

_RUN_PAUSE = 64
"""Commits that do not look for a run of slots for all that they write, after there was none."""


_VOLUME_TABLE = VOLUME_TABLE_BYTE // 8
_SESSION_TABLE = SESSION_TABLE_BYTE // 8
_ID = _VOLUME_TABLE + VolumeRecord.word("id")
_OWNER, _VOLUME, _PIN = (SessionRecord.word(name) for name in ("owner", "volume", "pin"))
_LOCK = _VOLUME_TABLE + VolumeRecord.word("lock")
_R = TypeVar("_R", bound=Record)
Swap = Callable[[memoryview, int, int, int], bool]
"""Replace the word at an index if it has the expected value, and tell whether it had."""


def session_count_max() -> int:
    """The number of sessions that a store can have."""
    return SESSION_ROWS


class SharedTables:
    """The file ``readers``, mapped: the volume table, the session table and the gate table."""

    def __init__(self, fd: int) -> None:
        self._mapping = Mapping(fd, writable=True)
        self.words = self._mapping.bytes.cast("Q")
        self.swap: Swap | None = None
        """Replaces a word of ``words`` in one step, in a process that has the plane in C."""
        self._volumes: dict[int, VolumeRecord] = {}
        self.header = ReadersHeader.at(self._mapping.bytes, 0)

    def make_private(self) -> None:
        """Store nothing in the file any more, in the child of a fork: locks, pins and marks there are the parent's."""
        self._mapping.make_private()

    def close(self) -> None:
        """Unmap the file, unless a view of it is still in use."""
        self._volumes.clear()
        self.header = ReadersHeader()  # detached: a view would keep the file mapped
        with suppress(BufferError):
            self.words.release()
        self._mapping.close()

    def session_high(self) -> int:
        """The first session row from which on no row was ever used."""
        return min(self.header.session_high, SESSION_ROWS)

    # --- volume rows ------------------------------------------------------------------------------------------------
    def volume(self, index: int) -> VolumeRecord:
        """A row of the volume table."""
        record = self._volumes.get(index)
        if record is None:
            record = VolumeRecord.at(self._mapping.bytes, VOLUME_TABLE_BYTE + index * ROW_BYTES)
            self._volumes[index] = record
        return record

    def _volume_ids(self) -> list[int]:
        """The id, with its flags, of every row of the volume table."""
        return self.words[_VOLUME_TABLE + VolumeRecord.word("id") : _SESSION_TABLE : ROW_WORDS].tolist()

    def free_volume_row(self, but: Container[int] = ()) -> int:
        """The index of a free row, and none of ``but`` (it stays free while the caller holds the catalog's write lock).

        Raises TooManyVolumesError.
        """
        hint, words = self.header.volume_hint, self.words
        if hint < VOLUME_ROWS and not words[_ID + hint * ROW_WORDS] and hint not in but:
            self.header.volume_hint = hint + 1
            return hint
        for step in range(VOLUME_ROWS):
            index = (hint + step) % VOLUME_ROWS
            if not words[_ID + index * ROW_WORDS] and index not in but:
                self.header.volume_hint = index + 1
                return index
        raise TooManyVolumesError(f"the store already has {VOLUME_ROWS} volumes: drop some first")

    def set_volume(self, index: int, volume: int, version: int, durable: int, base: int, retained: int = 0) -> None:
        """Fill a free row (S5: the caller holds the catalog's write lock); ``volume`` includes its flags."""
        record = self.volume(index)
        record.version = version
        record.durable = durable
        record.pins = 0
        record.cleanup = 0
        record.base = base
        record.retained = retained
        record.written = record.read = 0
        record.plain_writer = 0  # a writer that remains of the row's former volume publishes nothing
        record.id = volume

    def remove_volume(self, index: int, volume: int) -> None:
        """Free the row of a volume, unless another volume has it by now (S5: the caller holds the pool lock)."""
        record = self.volume(index)
        if record.id & ~FLAGS == volume:
            record.id = 0
            if index < self.header.volume_hint:
                self.header.volume_hint = index

    def forget_unknown_volumes(self, volumes: dict[int, int]) -> None:
        """Free the rows of volumes that the catalog does not have; ``volumes``: those that it has, by their rows.

        The caller holds the catalog's write lock, so that nobody is adding one, and the pool lock (S5).
        """
        for index, word in enumerate(self._volume_ids()):
            volume = word & ~FLAGS
            if volume and volume != volumes.get(index):
                self.remove_volume(index, volume)

    # --- session rows -----------------------------------------------------------------------------------------------
    def session(self, row: int) -> SessionRecord:
        """A row of the session table."""
        return SessionRecord.at(self._mapping.bytes, SESSION_TABLE_BYTE + row * ROW_BYTES)

    def sessions(self) -> list[tuple[int, SessionRecord]]:
        """(row, a copy of its record) for every row in use, dead ones included."""
        high = self.session_high()
        table = bytearray(self._mapping.bytes[SESSION_TABLE_BYTE : SESSION_TABLE_BYTE + high * ROW_BYTES])
        records = ((row, SessionRecord.from_buffer(table, row * ROW_BYTES)) for row in range(high))
        return [(row, record) for row, record in records if record.owner]

    def owners(self) -> list[int]:
        """The owner of every session row that was ever used, 0 for a free row."""
        high = self.session_high()
        return self.words[_SESSION_TABLE + _OWNER : _SESSION_TABLE + high * ROW_WORDS : ROW_WORDS].tolist()

    def pins_of(self, index: int) -> list[tuple[int, int]]:
        """(row, pinned version) of every session that reads the volume with this index now."""
        high = self.session_high()
        end = _SESSION_TABLE + high * ROW_WORDS
        volumes = self.words[_SESSION_TABLE + _VOLUME : end : ROW_WORDS].tolist()
        wanted = index + 1
        pins = []
        for row, volume in enumerate(volumes):
            if volume == wanted:
                pin = self.words[_SESSION_TABLE + row * ROW_WORDS + _PIN]
                if pin:
                    pins.append((row, pin))
        return pins

    # --- gate rows --------------------------------------------------------------------------------------------------
    def gate(self, row: int, kind: type[_R]) -> _R:
        """A row of the gate table, with the fields that the layer above defines (16 words at most)."""
        if not 0 <= row < GATE_ROWS:
            raise ValueError(f"BUG: the gate table has no row {row}")
        return kind.at(self._mapping.bytes, GATE_TABLE_BYTE + row * ROW_BYTES)


class _Labelling:
    """The body of :meth:`Session.labelling` in which signal handlers are deferred."""

    __slots__ = ("_record",)

    def __init__(self, record: SessionRecord) -> None:
        self._record = record

    def __enter__(self) -> None:
        self._record.publishing = LABELS
        fence()  # before the epoch is read

    def __exit__(self, *_error: object) -> None:
        self._record.publishing = 0


class Session:
    """A row of the session table, the lock that protects it, and the slots reserved through it."""

    def __init__(self, tables: SharedTables, slot_map: SlotMap, lock_fd: int) -> None:
        """Take a row.  Raises TooManySessionsError."""
        self.tables = tables
        self.slot_map = slot_map
        self.locks = LockFile(open_again(lock_fd))
        self._reserved: list[int] = []  # ascending
        self._reserved_run: list[int] = []
        self._spare_slots = 0  # reserved beyond need, the last time
        self._run_near = 0  # the first slot of the last run: the next one is looked for before it
        self._run_pause = 0  # commits that do not look for one, because there was none
        self.head_slots: list[int] = []
        """Zeroed slots for the heads of new volumes, kept until the session is closed (see Pool.take_head_slot)."""
        self._pid = os.getpid()
        self._pool_lock = PlainLock(self.locks, locks.POOL)
        self._locked: set[int] = set()
        self.volume_index = -1
        try:
            self.row, self.record = self._take_row()
        except BaseException:
            self.locks.close()
            raise
        self._labelling = _Labelling(self.record)

    def _take_row(self) -> tuple[int, SessionRecord]:
        header = self.tables.header
        with self.locks.lock(locks.POOL):
            owners = self.tables.owners()
            given_back = (row for row, owner in enumerate(owners) if not owner)
            for row in itertools.chain(given_back, range(len(owners), SESSION_ROWS)):
                if self.locks.keep(locks.session(row)):
                    record = self.tables.session(row)
                    record.volume = record.pin = record.publishing = record.heads = 0
                    record.generation += 1
                    record.owner = self._pid
                    if row >= len(owners):
                        header.session_high = row + 1
                    return row, record
        raise TooManySessionsError(f"{SESSION_ROWS} connections are open on this store")

    # --- pins -------------------------------------------------------------------------------------------------------
    def attach(self, volume_index: int) -> None:
        """Register that this session reads (and may write) the volume in that row of the volume table."""
        self.volume_index = volume_index
        self.record.volume = volume_index + 1

    def detach(self) -> None:
        """Register that this session no longer reads a volume."""
        self.unpin()
        self.record.volume = 0

    def pin(self, version: int) -> None:
        """Pin a version; the caller must then check that the head still has it (S1)."""
        self.record.pin = version
        fence()

    def unpin(self) -> None:
        self.record.pin = 0

    def pool_locked(self) -> Hold | PlainLock:
        """The pool lock, for the body of a ``with``.  Raises RegistryBusyError."""
        return self._pool_lock if are_deferred() else self.locks.lock(locks.POOL)

    # --- the locks of a volume --------------------------------------------------------------------------------------
    def try_volume(self, index: int) -> Hold | None:
        """Take the lock of the volume in that row of the volume table; None if any session has it, this one too."""
        if index in self._locked:
            return None
        shared = self.tables.volume(index)
        if self.tables.swap is not None and not shared.plain:
            hold = self._try_word(index, shared, self.tables.swap)
            if hold is not None:
                return hold
            if not shared.plain and self._is_alive(shared.lock):
                return None
        hold = self.locks.try_lock(locks.volume(index), partial(self._locked.discard, index))
        if hold is not None:
            if self._has_word(index):
                hold.close()
                return None
            self._locked.add(index)
        return hold

    def _try_word(self, index: int, shared: VolumeRecord, swap: Swap) -> Hold | None:
        """Take the lock word of a volume, if it is free and nobody locks the byte (L2)."""
        word = _LOCK + index * ROW_WORDS
        token = locks.token(self.row, self.record.generation)
        hold: Hold | None = None
        try:
            hold = Hold(partial(self._locked.discard, index), partial(swap, self.tables.words, word, token, 0))
            if swap(self.tables.words, word, 0, token):
                if not shared.plain:
                    self._locked.add(index)
                    return hold
                hold.close()
        except BaseException:
            if hold is not None:
                hold.close()
            raise
        return None

    def volume_locked(self, index: int) -> Hold:
        """Take the lock of a volume, waiting until it is free.  Raises RegistryBusyError."""
        assert index not in self._locked, "BUG: a session waits for its own volume lock"
        hold = self.locks.lock(locks.volume(index), partial(self._locked.discard, index))
        self._wait_for_word(index, hold)
        self._locked.add(index)
        return hold

    def publishing(self, index: int, version: int) -> Hold:
        """Take the lock of a volume to publish a version; a sweep waits for it (as for :meth:`labelling`).

        Raises RegistryBusyError.
        """
        hold = self.locks.lock(locks.volume(index), partial(setattr, self.record, "publishing", 0))
        self._wait_for_word(index, hold)
        self.record.publishing = version
        fence()  # before the epoch is read
        return hold

    def _has_word(self, index: int) -> bool:
        """Whether another session has the word of a volume's lock, whose byte this session has (L2)."""
        shared = self.tables.volume(index)
        shared.plain = 1
        fence()
        return self._is_alive(shared.lock)

    def _wait_for_word(self, index: int, hold: Hold) -> None:
        """Wait until nobody has the lock word of a volume; close the hold if that does not come to an end."""
        try:
            wait_until(lambda: not self._has_word(index), locks.volume(index))
        except BaseException:
            hold.close()
            raise

    def _is_alive(self, word: int) -> bool:
        """Whether a lock word names another session that lives (L1)."""
        row = locks.row_of(word)
        if not 0 <= row < SESSION_ROWS or row == self.row:
            return False
        token = locks.token(row, self.tables.session(row).generation, locks.epoch_of(word))
        return token == word and self.locks.is_held_by_other(locks.session(row))

    def is_volume_locked_by_other(self, index: int) -> bool:
        """Whether another session has the lock of that volume."""
        return self.locks.is_held_by_other(locks.volume(index)) or self._is_alive(self.tables.volume(index).lock)

    def try_writer(self, index: int, epoch: int) -> Hold | None:
        """Become the writer of a volume in that epoch; None if another session is."""
        hold = self.locks.try_lock(locks.writer(index, epoch))
        if hold is not None:
            shared = self.tables.volume(index)
            shared.plain_writer = 1  # L4
            fence()
            if self._is_written_by_word(shared.writer, epoch):
                hold.close()
                return None
        return hold

    def is_written_by_other(self, index: int, epoch: int) -> bool:
        """Whether another session is the writer of that volume."""
        word = self.tables.volume(index).writer
        return self.locks.is_held_by_other(locks.writer(index, epoch)) or self._is_written_by_word(word, epoch)

    def _is_written_by_word(self, word: int, epoch: int) -> bool:
        return locks.epoch_of(word) == locks.epoch_of(locks.token(0, 0, epoch)) and self._is_alive(word)

    def labelling(self) -> Hold | _Labelling:
        """Announce that slots named by a version or a catalog row are labelled live; a sweep waits for the end."""
        if are_deferred():
            return self._labelling
        hold = Hold(partial(setattr, self.record, "publishing", 0))
        self.record.publishing = LABELS
        fence()  # before the epoch is read
        return hold

    @staticmethod
    def pause() -> None:
        """Sleep for a moment, while other sessions proceed."""
        time.sleep(0.001)

    def is_dead(self, row: int) -> bool:
        """Whether the owner of another row is dead."""
        return row != self.row and not self.locks.is_held_by_other(locks.session(row))

    # --- slots ------------------------------------------------------------------------------------------------------
    def take_slots(self, count: int, *, as_run: bool = False) -> list[int]:
        """Take ``count`` reserved slots, in ascending order; with ``as_run``, contiguous ones if possible.

        Raises PoolFullError; then no slot is taken.
        """
        reserved = self._reserved_run if as_run else self._reserved
        if count > len(reserved):
            with self.pool_locked():
                if as_run:  # a new run, rather than the end of one and the beginning of another
                    self.slot_map.free(reserved)
                    reserved.clear()
                    reserved += self.slot_map.reserve_run(self.row, count, _SPARE_SLOTS, self._run_near)
                else:
                    self._spare_slots = min(max(count, 2 * self._spare_slots), _SPARE_SLOTS)
                    reserved += self.slot_map.reserve(self.row, count - len(reserved) + self._spare_slots)
            reserved.sort()
            if as_run:
                self._run_near = reserved[0]
        slots = reserved[:count]
        del reserved[:count]
        return slots

    def prepare_run(self, count: int) -> bool:
        """Whether the next ``count`` slots that are taken as a run are contiguous.

        Looks for such slots where that costs little; after there were none, not before some more commits.
        """
        reserved = self._reserved_run
        if count <= len(reserved) and reserved[count - 1] - reserved[0] == count - 1:
            return True
        if self._run_pause:
            self._run_pause -= 1
            return False
        with self.pool_locked():
            self.slot_map.free(reserved)
            reserved.clear()
            reserved += self.slot_map.reserve_near_run(self.row, count, _SPARE_SLOTS, self._run_near)
        if reserved:
            self._run_near = reserved[0]
        else:
            self._run_pause = _RUN_PAUSE
        return bool(reserved)

    def take_stretch(self, count: int) -> range:
        """Take ``count`` contiguous slots: many, for which a list would take long.  Raises PoolFullError."""
        with self.pool_locked():
            return self.slot_map.reserve_stretch(self.row, count)

    def give_back(self, slots: Sequence[int]) -> None:
        """Free slots of this process that no version reaches."""
        self.slot_map.free(slots)

    def release_slots(self) -> None:
        """Free the slots kept for the next transaction."""
        self._spare_slots = self._run_near = self._run_pause = 0
        for reserved in (self._reserved, self._reserved_run):
            if reserved:
                self.slot_map.free(reserved)
                reserved.clear()

    def release_head_slots(self) -> None:
        """Free the slots kept for the heads of new volumes."""
        slots = self.head_slots[:]
        self.head_slots.clear()
        self.record.heads = 0
        self.slot_map.free(slots)

    def close(self) -> None:
        """Release row, lock and unused slots."""
        if self.locks.fd < 0:
            return
        if os.getpid() == self._pid:
            self.release_slots()
            self.release_head_slots()
            self.record.pin = self.record.volume = 0
            self.record.owner = 0
        self.record = SessionRecord()  # detached: a view would keep the tables mapped
        self._labelling = _Labelling(self.record)
        self.locks.close()
