"""The pages of lazy clones that the pool does not have yet: where they are, and the hook that fetches them.

The file ``remote`` of a store is sparse and has 16 bytes for each slot of the pool: the remote slot, the checksum of
the page and the number of the *place*, a document of the catalog that names a repository and one of its states.  An
entry counts only while the slot has nothing but zeros and a version names the page with the same checksum
(:class:`vfs.abc.Residence`): nothing has to clear it.

Invariants
    N1  The entries of a version are on the device before the version is published.
    N2  The bytes that are fetched match the checksum, or are not written.
    N3  Only slots that the caller has pinned are written, and the first eight bytes of a page last, at once: a page
        that does not begin with zeros is whole for every other reader, and one that does is compared with its checksum.
    N4  A page is evicted only if the entry of its slot has its checksum, and the state that the entry names is pinned
        and has the remote slot.  The evicting session pins a version that reaches the slot, so nobody reuses it.
    N5  Slots are cleared only while no other session pins a version of any volume that may reach them, and none can
        begin to (:func:`vfs.storage.volumes.halted`): readers use pages in place, where zeros would be a wrong page.
        A session that fetches is a reader.  Volumes share slots only along the lines of their bases, so these volumes
        are those that are connected with the evicted one by sources and clones, dead ones included.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import threading
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from clusterdb.core.opening import ABSENT_FILE
from clusterdb.errors import Error, RemoteDamagedError
from clusterdb.remote.objects import Counts
from clusterdb.remote.repository import Slots
from vfs.errors import CorruptionError
from vfs.failpoints import reach
from vfs.format.layout import SLOT_BYTES, SLOT_SHIFT, ZERO_SLOT, Version
from vfs.registry import VolumeState
from vfs.storage.device import sync, write_at
from vfs.storage.heads import head_of, retained
from vfs.storage.pool import Pool
from vfs.storage.slot_map import runs_of
from vfs.storage.walk import Reached, nodes
from vfs.store import sync_directory

__all__ = ["FILE", "AbsentPages", "elsewhere", "mend"]

FILE = ABSENT_FILE
_ENTRY = struct.Struct("<IIII")
_MARK_BYTES = 8


class AbsentPages:
    """Where the absent pages of a store are.  Implements :class:`vfs.abc.Residence`."""

    def __init__(self, pool: Pool, directory: Path, slots_of: Callable[[int], Slots]) -> None:
        """``slots_of`` returns the reader of a place."""
        self._pool = pool
        self._directory = directory
        mode = os.O_RDONLY if pool.read_only else os.O_RDWR | os.O_CREAT
        self._fd = os.open(directory / FILE, mode | os.O_CLOEXEC, 0o600)
        self._slots_of = slots_of
        self._readers: dict[int, Slots] = {}
        self._guard = threading.Lock()

    def record(self, slots: Sequence[int], remote: Sequence[int], crcs: Sequence[int], place: int) -> None:
        """Record where the pages of slots are; ``slots`` ascend."""
        start = 0
        for first, count in runs_of(slots):
            words = array("I", bytes(_ENTRY.size * count))
            words[0::4] = array("I", remote[start : start + count])
            words[1::4] = array("I", crcs[start : start + count])
            words[2::4] = array("I", [place]) * count
            self._write(words, first)
            start += count

    def record_stretch(self, slots: range, entries: array[int], place: int) -> None:
        """Record where the pages of contiguous slots are; ``entries`` are those of their leaves: slot and crc first."""
        entries[2::4] = array("I", [place]) * len(slots)
        entries[3::4] = array("I", bytes(4 * len(slots)))
        self._write(entries, slots.start)

    def _write(self, entries: array[int], first: int) -> None:
        """Write the entries of slots from ``first`` on.  Raises PoolFullError."""
        write_at(self._fd, [memoryview(entries).cast("B")], first * _ENTRY.size)

    def sync(self) -> None:
        """Sync the entries to the device, and the name of the file: another process may have created it (N1).

        Nothing of a store that is not durable is synced.
        """
        if self._pool.is_durable:
            sync(self._fd)
            sync_directory(self._directory)

    def place_of(self, slot: int) -> tuple[int, int]:
        """The place and the remote slot of the page of a slot; zeros if there is none."""
        remote, _, place, _ = self._entry(slot)
        return place, remote

    def _entry(self, slot: int) -> tuple[int, int, int, int]:
        entry = os.pread(self._fd, _ENTRY.size, slot * _ENTRY.size)
        return _ENTRY.unpack(entry) if len(entry) == _ENTRY.size else (0, 0, 0, 0)

    def require(self, slot: int, crc: int) -> None:
        """As :meth:`fetch`, for SQLite.  Raises CorruptionError, OSError."""
        if self._pool.read_only:
            raise OSError(
                errno.EIO, "a page is on object storage, and the store is open read-only: open it for writing"
            )
        try:
            damage = self._fetched(slot, crc)
        except Error as error:
            raise OSError(errno.EIO, f"a page is on object storage: {error}") from None
        if damage:
            raise CorruptionError(damage)

    def fetch(self, slot: int, crc: int) -> None:
        """Fetch the page of a slot (N2, N3).  Raises CorruptionError, RemoteError, RemoteDamagedError."""
        damage = self._fetched(slot, crc)
        if damage:
            raise RemoteDamagedError(damage)

    def _fetched(self, slot: int, crc: int) -> str:
        """Fetch the page of a slot; describes the damage if the bytes are not those of the page."""
        remote, expected, place, _ = self._entry(slot)
        if not remote or expected != crc:
            raise CorruptionError(f"slot {slot} does not have the content of its page, nor is that elsewhere")
        with self._guard:  # readers keep what they read
            if place not in self._readers:
                self._readers[place] = self._slots_of(place)
            reader = self._readers[place]
        try:
            page = reader.read_slot(remote)
        except RemoteDamagedError:
            self._slots_of(place)  # raises the reason, if the state has expired meanwhile
            raise
        if len(page) != SLOT_BYTES or zlib.crc32(page) != crc:
            return f"{reader.place_of(remote)} is damaged: a page of it (slot {remote}) fails its checksum"
        reach("fetch: page received")
        write_at(self._pool.pool_fd, [page[_MARK_BYTES:]], (slot << SLOT_SHIFT) + _MARK_BYTES)
        write_at(self._pool.pool_fd, [page[:_MARK_BYTES]], slot << SLOT_SHIFT)  # N3
        reach("fetch: page written")
        return ""

    def entries(self) -> memoryview:
        """All entries, as words: four for each slot up to the last one that has an entry."""
        size = os.fstat(self._fd).st_size // _ENTRY.size * _ENTRY.size
        return memoryview(os.pread(self._fd, size, 0)).cast("I")

    def evict(self, slots: list[int]) -> None:
        """Make the pages of slots, which ascend, absent again (N4 and N5 are the caller's)."""
        self._pool.clear(slots)

    def read_by(self, place: int, slots: Slots) -> None:
        """Use a reader that is open already, and has read what every query needs."""
        with self._guard:
            self._readers.setdefault(place, slots)

    def requests(self) -> Counts:
        """What was asked of the engines to read pages."""
        counts = Counts()
        for reader in self._readers.values():
            counts.add(reader.counts)
        return counts

    def close(self) -> None:
        """Close the file, and the readers."""
        for reader in self._readers.values():
            reader.close()
        os.close(self._fd)


def elsewhere(directory: Path) -> Callable[[int, int], bool]:
    """Whether a store that no other process has open has the place of a page, by its slot and its checksum."""
    with (directory / FILE).open("rb") as file:
        whole = os.fstat(file.fileno()).st_size // _ENTRY.size * _ENTRY.size
        words = memoryview(mmap.mmap(file.fileno(), whole, prot=mmap.PROT_READ) if whole else b"").cast("I")

    def is_elsewhere(slot: int, crc: int) -> bool:
        return 4 * slot + 4 <= len(words) and words[4 * slot] != 0 and words[4 * slot + 1] == crc

    return is_elsewhere


def mend(pool: Pool) -> None:
    """Forget the fetched pages that did not reach the device whole, after a boot: they are absent again (N2).

    A store that is open read-only cannot forget them: if there are any, every page is compared with its checksum from
    now on.  No other process has the store open.
    """
    entered: set[int] = set()

    def enter(at: Reached) -> bool:
        if at.entry.slot in entered:
            return False
        entered.add(at.entry.slot)
        return True

    for version in _versions(pool):
        for node in nodes(pool.read_slot, version, enter=enter, damaged=lambda at, error: None):
            if not node.at.level:
                for child in node.children():
                    slot, crc = child.entry.slot, child.entry.crc
                    page = pool.read_slot(slot)
                    if page != ZERO_SLOT and zlib.crc32(page) != crc and pool.is_elsewhere(slot, crc):
                        if pool.read_only:
                            pool.verify_reads = True
                        else:
                            pool.clear([slot])


def _versions(pool: Pool) -> Iterator[Version]:
    """All versions that are kept."""
    for row in pool.registry.volume_rows():
        if row.state != VolumeState.DEAD:
            with suppress(CorruptionError):  # damaged: nobody reads it
                head = head_of(pool, row)
                yield head
                yield from retained(pool, row, head.version - 1)
    for pin in pool.registry.all_pin_rows():
        yield pin.version
