"""The shared tables: one row per volume with its head word, one row per session with its pin.

A *session* is one handle's presence in the store, for the life of a connection.  It owns a row of the session table
and, through its own open file description, the lock byte of that row; a row counts only while that byte is held.

Invariants
    S1  A reader stores its pin first and then looks whether the head word still has that version; else it tries again.
    S2  A writer publishes first and then reads the pins.  With S1: of a reader and a writer, one sees the other.
    S3  The pin of a dead session is dismissed only before durable pins are read again, and after the catalog was
        sealed: a session that died while it made a clone may have committed the clone's pin, or half of it.
    S4  The version word and the epoch of a volume change only under its volume lock.  Its id word gets a flag when the
        volume is dropped and changes for good when the row is given to another volume: a handle compares it at every
        pin.
    S5  A volume's row is given to another volume, and taken from one, under the pool lock only.

All words are aligned 64-bit stores and loads.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from operator import setitem

from vfs.errors import TooManySessionsError, TooManyVolumesError
from vfs.holds import Hold
from vfs.layout import (
    FLAGS,
    LABELS,
    LOCK_POOL,
    LOCK_SESSION,
    LOCK_VOLUME,
    LOCK_WRITER,
    ROW_WORDS,
    S_OWNER,
    S_PIN,
    S_PUBLISHING,
    S_VOLUME,
    SESSION_HIGH_AT,
    SESSION_ROWS,
    SESSION_TABLE_AT,
    V_BASE,
    V_CHORES,
    V_DURABLE,
    V_ID,
    V_PINS,
    V_READ,
    V_RETAINED,
    V_VERSION,
    V_WRITTEN,
    VOLUME_HINT_AT,
    VOLUME_ROWS,
    VOLUME_TABLE_AT,
    WRITER_EPOCHS,
)
from vfs.osio import LockFile, Mapping, open_again
from vfs.slots import SlotMap

__all__ = ["Session", "SharedTables"]

_SPARE_SLOTS = 32
"""Slots a session reserves beyond what it needs now."""


def _writer_lock(index: int, epoch: int) -> int:
    return LOCK_WRITER + epoch % WRITER_EPOCHS * VOLUME_ROWS + index


class SharedTables:
    """The file ``readers``, mapped."""

    def __init__(self, fd: int) -> None:
        self._mapping = Mapping(fd, writable=True)
        self.words = self._mapping.bytes.cast("Q")

    def close(self) -> None:
        """Unmap the file, if nobody looks at it any more."""
        with suppress(BufferError):
            self.words.release()
        self._mapping.close()

    def session_high(self) -> int:
        """Session rows from here on were never used."""
        return min(self.words[SESSION_HIGH_AT], SESSION_ROWS)

    # --- volume rows ------------------------------------------------------------------------------------------------
    def volume_at(self, index: int) -> int:
        """Word offset of a volume's row."""
        return VOLUME_TABLE_AT + index * ROW_WORDS

    def free_volume_row(self) -> int:
        """The index of a free row (nobody takes it while the caller holds the catalog's write lock).

        Raises TooManyVolumesError.
        """
        words = self.words
        hint = words[VOLUME_HINT_AT]
        for step in range(VOLUME_ROWS):
            index = (hint + step) % VOLUME_ROWS
            if words[self.volume_at(index) + V_ID] == 0:
                words[VOLUME_HINT_AT] = index + 1
                return index
        raise TooManyVolumesError(f"the store has {VOLUME_ROWS} volumes already; drop some first")

    def set_volume(self, index: int, volume: int, version: int, durable: int, base: int, retained: int = 0) -> None:
        """Fill a row; ``volume`` with its flags."""
        at = self.volume_at(index)
        words = self.words
        words[at + V_VERSION] = version
        words[at + V_DURABLE] = durable
        words[at + V_PINS] = 0
        words[at + V_CHORES] = 0
        words[at + V_BASE] = base
        words[at + V_RETAINED] = retained
        words[at + V_WRITTEN] = words[at + V_READ] = 0
        words[at + V_ID] = volume

    def remove_volume(self, index: int, volume: int) -> None:
        """Free the row of a volume, unless it is another's by now (S5: the caller holds the pool lock)."""
        at = self.volume_at(index)
        if self.words[at + V_ID] & ~FLAGS == volume:
            self.words[at + V_ID] = 0
            if index < self.words[VOLUME_HINT_AT]:
                self.words[VOLUME_HINT_AT] = index

    def forget_unknown_volumes(self, known: set[int]) -> None:
        """Free the rows of volumes that the catalog does not know.

        The caller holds the catalog's write lock, so that nobody is adding one, and the pool lock (S5).
        """
        ids = self.words[VOLUME_TABLE_AT + V_ID : SESSION_TABLE_AT : ROW_WORDS].tolist()
        for index, word in enumerate(ids):
            volume = word & ~FLAGS
            if volume and volume not in known:
                self.remove_volume(index, volume)

    # --- session rows -----------------------------------------------------------------------------------------------
    def session_at(self, row: int) -> int:
        """Word offset of a session's row."""
        return SESSION_TABLE_AT + row * ROW_WORDS

    def session_rows(self) -> Iterator[tuple[int, list[int]]]:
        """(row, its words) for every row in use, dead ones included."""
        high = self.session_high()
        table = self.words[SESSION_TABLE_AT : SESSION_TABLE_AT + high * ROW_WORDS].tolist()
        for row in range(high):
            if table[row * ROW_WORDS + S_OWNER]:
                yield row, table[row * ROW_WORDS : (row + 1) * ROW_WORDS]

    def pins_of(self, index: int) -> list[tuple[int, int]]:
        """(row, pinned version) of every session that reads the volume with this index now."""
        high = self.session_high()
        end = SESSION_TABLE_AT + high * ROW_WORDS
        volumes = self.words[SESSION_TABLE_AT + S_VOLUME : end : ROW_WORDS].tolist()
        wanted = index + 1
        pins = []
        for row, volume in enumerate(volumes):
            if volume == wanted:
                pin = self.words[SESSION_TABLE_AT + row * ROW_WORDS + S_PIN]
                if pin:
                    pins.append((row, pin))
        return pins


class Session:
    """A row of the session table, the lock that keeps it, and the slots reserved through it."""

    def __init__(self, tables: SharedTables, slot_map: SlotMap, lock_fd: int) -> None:
        """Take a row.  Raises TooManySessionsError."""
        self.tables = tables
        self.slot_map = slot_map
        self.locks = LockFile(open_again(lock_fd))
        self._reserved: list[int] = []  # ascending
        self._reserved_run: list[int] = []
        self._pid = os.getpid()
        self._fence = threading.Lock()
        self._locked: set[int] = set()
        self.volume_index = -1
        try:
            self.row = self._take_row()
        except BaseException:
            self.locks.close()
            raise
        self.at = tables.session_at(self.row)

    def _take_row(self) -> int:
        words = self.tables.words
        with self.locks.lock(LOCK_POOL):
            high = self.tables.session_high()
            owners = words[SESSION_TABLE_AT : SESSION_TABLE_AT + high * ROW_WORDS : ROW_WORDS].tolist()
            given_back = (row for row, owner in enumerate(owners) if not owner)
            for row in itertools.chain(given_back, range(high, SESSION_ROWS)):
                if self.locks.keep(LOCK_SESSION + row):
                    at = self.tables.session_at(row)
                    words[at + S_VOLUME] = words[at + S_PIN] = words[at + S_PUBLISHING] = 0
                    words[at + S_OWNER] = self._pid
                    if row >= high:
                        words[SESSION_HIGH_AT] = row + 1
                    return row
        raise TooManySessionsError(f"{SESSION_ROWS} connections are open on this store")

    # --- pins -------------------------------------------------------------------------------------------------------
    def attach(self, volume_index: int) -> None:
        """This session reads (and may write) the volume in that row of the volume table."""
        self.volume_index = volume_index
        self.tables.words[self.at + S_VOLUME] = volume_index + 1

    def detach(self) -> None:
        """This session reads no volume any more."""
        self.unpin()
        self.tables.words[self.at + S_VOLUME] = 0

    def pin(self, version: int) -> None:
        """Pin a version; the caller must then look whether the head still has it (S1)."""
        self.tables.words[self.at + S_PIN] = version
        self.fence()

    def fence(self) -> None:
        """A store may be delayed past a later load; taking a lock is a full fence on the processors we know."""
        with self._fence:
            pass

    def unpin(self) -> None:
        self.tables.words[self.at + S_PIN] = 0

    def pool_locked(self) -> Hold:
        """Hold the pool lock.  Raises RegistryBusyError."""
        return self.locks.lock(LOCK_POOL)

    # --- the locks of a volume --------------------------------------------------------------------------------------
    def try_volume(self, index: int) -> Hold | None:
        """Take the lock of the volume in that row of the volume table; None if somebody has it, this session too."""
        if index in self._locked:
            return None
        hold = self.locks.try_lock(LOCK_VOLUME + index, partial(self._locked.discard, index))
        if hold is not None:
            self._locked.add(index)
        return hold

    def volume_locked(self, index: int) -> Hold:
        """Hold the lock of a volume, waiting for whoever has it.  Raises RegistryBusyError."""
        assert index not in self._locked, "BUG: a session waits for its own volume lock"
        hold = self.locks.lock(LOCK_VOLUME + index, partial(self._locked.discard, index))
        self._locked.add(index)
        return hold

    def publishing(self, index: int, version: int) -> Hold:
        """Hold the lock of a volume while a version of it is published; a sweep waits for it (as :meth:`labelling`).

        Raises RegistryBusyError.
        """
        at = self.at + S_PUBLISHING
        hold = self.locks.lock(LOCK_VOLUME + index, partial(setitem, self.tables.words, at, 0))
        self.tables.words[at] = version
        self.fence()  # before the epoch is read
        return hold

    def is_volume_locked_by_other(self, index: int) -> bool:
        """Whether some other session has the lock of that volume."""
        return self.locks.is_held_by_other(LOCK_VOLUME + index)

    def try_writer(self, index: int, epoch: int) -> Hold | None:
        """Become the writer of a volume in that epoch; None if somebody else is."""
        return self.locks.try_lock(_writer_lock(index, epoch))

    def is_written_by_other(self, index: int, epoch: int) -> bool:
        """Whether some other session is the writer of that volume."""
        return self.locks.is_held_by_other(_writer_lock(index, epoch))

    def labelling(self) -> Hold:
        """In the body slots are labelled live that a version or a catalog row names; a sweep waits for it."""
        at = self.at + S_PUBLISHING
        hold = Hold(partial(setitem, self.tables.words, at, 0))
        self.tables.words[at] = LABELS
        self.fence()  # before the epoch is read
        return hold

    @staticmethod
    def pause() -> None:
        """Let others get on."""
        time.sleep(0.001)

    def is_dead(self, row: int) -> bool:
        """Whether the owner of another row is gone."""
        return row != self.row and not self.locks.is_held_by_other(LOCK_SESSION + row)

    # --- slots ------------------------------------------------------------------------------------------------------
    def take_slots(self, count: int, *, as_run: bool = False) -> list[int]:
        """``count`` reserved slots in ascending order, as one run if that is asked for and can be had.

        Raises PoolFullError; then nothing is taken.
        """
        reserved = self._reserved_run if as_run else self._reserved
        if count > len(reserved):
            with self.pool_locked():
                if as_run:  # a new run, rather than the rest of one and the beginning of another
                    self.slot_map.free(reserved)
                    reserved.clear()
                    reserved += self.slot_map.reserve_run(self.row, count, _SPARE_SLOTS)
                else:
                    reserved += self.slot_map.reserve(self.row, count - len(reserved) + min(count, _SPARE_SLOTS))
            reserved.sort()
        taken = reserved[:count]
        del reserved[:count]
        return taken

    def give_back(self, slots: list[int]) -> None:
        """Slots of this process that no version reaches are free."""
        self.slot_map.free(slots)

    def release_slots(self) -> None:
        """Free the slots kept for the next transaction."""
        for reserved in (self._reserved, self._reserved_run):
            self.slot_map.free(reserved)
            reserved.clear()

    def close(self) -> None:
        """Give back row, lock and unused slots."""
        if self.locks.fd < 0:
            return
        if os.getpid() == self._pid:
            self.release_slots()
            words = self.tables.words
            words[self.at + S_PIN] = words[self.at + S_VOLUME] = 0
            words[self.at + S_OWNER] = 0
        self.locks.close()
