"""A segment of a log: entries that follow each other, in one file of a directory.

    block 0      what the file is, a nonce, a byte that stops its writer, and the nonce again if the segment was cut
    block 1 ...  records: a head with the position and the length of an entry, and the entry, which ends with its crc32

A record begins at a multiple of 4096 bytes.  Behind the last one every sector is full of the nonce; this is on the
device before an entry is written over it, so that its sync has no metadata to write, and a sector tells whether it was.

Invariants
    Q10  Only the handle that created a segment extends it, one record after the other, and writes the next one when the
         last one is on the device; after a sync that has failed it writes nothing more.  Room is on the device before a
         record is written there, is added behind it, and a block of it follows each record.  So only the last record
         can be torn, which has a sector that was not written; anything else that is wrong, or ends earlier, is damage.
    Q11  An entry counts as created when it is on the device and the segment was not stopped after that.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clusterdb.errors import RemoteDamagedError
from vfs.failpoints import reach
from vfs.format.layout import SLOT_BYTES

__all__ = ["CALLS", "ENTRY_BYTES_MAX", "ENTRY_MAGIC", "Calls", "Record", "Segment", "Writer", "segment_bytes"]

BLOCK_BYTES = SLOT_BYTES
ENTRY_BYTES_MAX = 1 << 20
"""A longer entry is an object of its own."""
_FIRST_BYTES, _GROWTH_BYTES_MAX, _BYTES_MAX = 32 << 10, 1 << 20, 16 << 20
"""The size of a segment at first, by how much it grows at most, and when another one follows it."""
_AHEAD_BYTES_MAX = 512 << 10
"""It grows before it has less room than this, and than half of its size."""
ENTRY_MAGIC = b"clusterdb-entry 1 "
_MAGIC = b"clusterdb-entry 2 segment\n"  # releases that know no segments refuse it as a newer format
_NONCE_AT, _STOP_AT, _CUT_AT = 64, 512, 1024
_NONCE_BYTES = 16
_SECTOR_BYTES = 512
"""What a device writes whole, or not at all."""
_HEAD = struct.Struct("<8sQI")
_CRC = struct.Struct("<I")
_HEAD_BYTES = _HEAD.size + _CRC.size
_RECORD = b"\x89record\n"


@dataclass(slots=True)
class Calls:
    """The calls that change a segment, so that a recorder or a fault injector can replace them."""

    write_at: Callable[[int, bytes, int], int] = os.pwrite
    sync: Callable[[int], None] = os.fdatasync
    truncate: Callable[[int, int], None] = os.ftruncate


CALLS = Calls()


class Record(NamedTuple):
    """Where an entry is in a segment, in bytes."""

    offset: int
    length: int


def segment_bytes(position: int, data: bytes) -> bytes:
    """A new segment with an entry, and room for others."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    content = _MAGIC.ljust(_NONCE_AT, b"\0") + nonce + _CRC.pack(zlib.crc32(nonce))
    content = content.ljust(BLOCK_BYTES, b"\0") + _record(position, data, nonce)
    return content + _room(nonce, max(_FIRST_BYTES, _aligned(len(content)) + BLOCK_BYTES) - len(content))


def _record(position: int, data: bytes, nonce: bytes) -> bytes:
    """A record up to the end of its last sector."""
    head = _HEAD.pack(_RECORD, position, len(data))
    record = head + _CRC.pack(zlib.crc32(head + nonce)) + data
    return record.ljust(_aligned(len(record), _SECTOR_BYTES), b"\0")


def _room(nonce: bytes, size_bytes: int) -> bytes:
    """Sectors that were not written: their number of bytes is a multiple of the nonce's."""
    return nonce * (size_bytes // _NONCE_BYTES)


def _aligned(size_bytes: int, unit: int = BLOCK_BYTES) -> int:
    return -(-size_bytes // unit) * unit


def _stop(fd: int) -> None:
    _write_all(fd, b"\1", _STOP_AT)


class Writer:
    """The handle of who created a segment at a path (Q10).

    :ivar last: the position of its last entry
    :ivar is_broken: whether it must not be used any more, since a sync has failed (see fsync(2))
    """

    def __init__(self, path: Path, first: int) -> None:
        self.first, self.is_broken = first, False
        self._segment = Segment(str(path), first)
        self._growing, self._is_closed = threading.Lock(), False
        with ExitStack() as stack:
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            stack.callback(os.close, self.fd)
            self._room_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # which has errors of its own
            stack.callback(os.close, self._room_fd)
            self.last = self._segment.last(self.fd)
            self._end = _aligned(self._segment.end_bytes)
            self._size = os.fstat(self.fd).st_size
            self._files = stack.pop_all()

    def has_room(self, length: int) -> bool:
        """Whether there is room for an entry, and a block behind it."""
        return _aligned(self._end + _HEAD_BYTES + length) + BLOCK_BYTES <= self._size

    def grow(self, length: int) -> bool:
        """Add room for an entry, if there is none; False if the segment is closed, or long enough.  Raises OSError."""
        while not self.has_room(length):
            if self._is_closed or self._end >= _BYTES_MAX:
                return False
            self._add_room()
        return True

    def grow_ahead(self) -> None:
        """Add room before it is needed, from another thread."""
        with suppress(OSError):  # it is broken now, or the device is full: the next entry meets that
            if self.wants_room:
                self._add_room()

    def _add_room(self) -> None:
        try:
            with self._growing:
                if not self._is_closed:
                    more = min(self._size, _GROWTH_BYTES_MAX)
                    _write_all(self._room_fd, _room(self._segment.nonce, more), self._size)
                    try:
                        CALLS.sync(self._room_fd)
                    except OSError:
                        self.is_broken = True
                        raise
                    self._size += more
        finally:
            if self._is_closed:
                self.close()  # which has found it growing

    @property
    def is_growing(self) -> bool:
        """Whether room is added now."""
        return self._growing.locked()

    @property
    def wants_room(self) -> bool:
        """Whether it should grow before it has to, and does not do so yet."""
        room = self._size - self._end
        return room < min(self._size // 2, _AHEAD_BYTES_MAX) and self._end < _BYTES_MAX and not self.is_growing

    def write(self, data: bytes) -> Record:
        """Write the next entry, for which there is room, without syncing it; the bytes that a sync has to cover."""
        record = _record(self.last + 1, data, self._segment.nonce)
        _write_all(self.fd, record, self._end)
        reach("segment: written")
        return Record(self._end, len(record))

    def written(self, record: Record) -> bool:
        """Count the entry that was written and synced; False if the segment was stopped before (Q11)."""
        reach("segment: synced")
        if self.is_stopped:
            return False
        self.last, self._end = self.last + 1, _aligned(record.offset + record.length)
        return True

    def stop(self) -> None:
        """Stop itself, since what it has written behind its last entry may be there, or not.  Raises OSError."""
        self.is_broken = True
        _stop(self.fd)

    @property
    def is_stopped(self) -> bool:
        """Whether somebody else continues the log, or has deleted the segment."""
        return self.is_broken or os.pread(self.fd, 1, _STOP_AT) != b"\0" or self.is_deleted

    @property
    def is_deleted(self) -> bool:
        """Whether the file was deleted."""
        return not os.fstat(self.fd).st_nlink

    def close(self) -> None:
        """Close the files; waits for nothing: what adds room now closes them then."""
        self._is_closed = True
        if self._growing.acquire(blocking=False):
            try:
                self._files.close()
            finally:
                self._growing.release()


class Segment:
    """The records of a segment, as far as it has been read; ``where`` names it in errors.

    All methods raise RemoteDamagedError, OSError.
    """

    def __init__(self, where: str, first: int) -> None:
        self._where, self._first = where, first
        self._records: list[Record] = []
        self.nonce = b""

    @property
    def end_bytes(self) -> int:
        """Where the last record ends."""
        return sum(self._records[-1]) if self._records else BLOCK_BYTES

    @staticmethod
    def is_one(fd: int, where: str) -> bool:
        """Whether a file is a segment; else it is an entry.  Raises RemoteDamagedError if it is neither."""
        magic = os.pread(fd, len(_MAGIC), 0)
        if magic != _MAGIC and not magic.startswith(ENTRY_MAGIC):
            raise RemoteDamagedError(f"{where} is damaged at byte 0, or of a newer release")
        return magic == _MAGIC

    def records(self, fd: int) -> list[Record]:
        """The records, which have the positions from the first one on, without one that is torn."""
        if not self.nonce:
            self.nonce = self._checked_nonce(os.pread(fd, BLOCK_BYTES, 0))
        while self._read_on(fd):
            pass
        if self.is_cut(fd):
            del self._records[1:]
        if not self._records:  # a segment is created with one
            raise RemoteDamagedError(f"{self._where} is damaged at byte {BLOCK_BYTES}")
        return self._records

    def _checked_nonce(self, block: bytes) -> bytes:
        nonce = block[_NONCE_AT : _NONCE_AT + _NONCE_BYTES]
        if block[_NONCE_AT + _NONCE_BYTES :][: _CRC.size] != _CRC.pack(zlib.crc32(nonce)):
            raise RemoteDamagedError(f"{self._where} is damaged at byte {_NONCE_AT}")
        return nonce

    def last(self, fd: int) -> int:
        """The position of the last record."""
        return self._first + len(self.records(fd)) - 1

    def record_of(self, fd: int, position: int) -> Record | None:
        """The record of a position; None if there is none."""
        index = position - self._first
        records = self._records if index < len(self._records) else self.records(fd)
        return records[index] if index < len(records) else None

    def part(self, fd: int, position: int, start: int, length: int | None) -> bytes | None:
        """A part of the entry at a position; a length of None: all from the start on.  None if there is no entry."""
        record = self.record_of(fd, position)
        if record is None or (position > self._first and self.is_cut(fd)):
            return None
        left = max(0, record.length - start)
        wanted = left if length is None else min(left, length)
        data = os.pread(fd, wanted, record.offset + start)
        if len(data) == wanted:
            return data
        if self.is_cut(fd):
            return None
        raise RemoteDamagedError(f"{self._where} is damaged at byte {record.offset + start + len(data)}: it ends there")

    def is_cut(self, fd: int) -> bool:
        """Whether it has no records any more but the first one."""
        return os.pread(fd, _NONCE_BYTES, _CUT_AT) == self.nonce

    def cut(self, fd: int) -> None:
        """Free the space of all records but the first one, whatever its writer adds late."""
        first = self.records(fd)[0]
        _write_all(fd, self.nonce, _CUT_AT)
        CALLS.sync(fd)
        CALLS.truncate(fd, first.offset + first.length)

    def stop(self, fd: int) -> int:
        """Stop the writer, and put what it has written on the device; the position of the last entry (Q11)."""
        _stop(fd)
        CALLS.sync(fd)  # so that a writer on another machine sees it
        reach("segment: stopped")
        if not self._write_last_again(fd):
            _stop(fd)  # when the write that has begun has ended, since the kernel does one after the other
            self._write_last_again(fd)
        CALLS.sync(fd)
        return self._first + len(self._records) - 1

    def _write_last_again(self, fd: int) -> bool:
        """Write the last record once more: its writer has perhaps not synced it, or in vain; False if it is not whole.

        What is known of it is forgotten before: it may have been read from memory only.
        """
        del self._records[-1:]
        offset, length = self.records(fd)[-1]
        start = offset - _HEAD_BYTES
        record = os.pread(fd, _aligned(_HEAD_BYTES + length, _SECTOR_BYTES), start)
        if not _is_whole(record[: _HEAD_BYTES + length]):
            return False
        _write_all(fd, record, start)
        return True

    def _read_on(self, fd: int) -> bool:
        """Read the next record; False if there is none.  The writer may be writing it."""
        offset = _aligned(self.end_bytes)
        head = os.pread(fd, _HEAD_BYTES, offset)
        length = self._length(head, self._first + len(self._records))
        if length is not None:
            record = head + os.pread(fd, length, offset + _HEAD_BYTES)
            if not (_is_whole(record) or self._is_written(record) or self._has_more(fd, offset)):
                return False
            self._records.append(Record(offset + _HEAD_BYTES, length))  # a wrong one is met by who reads it
            return True
        is_room = head == _room(self.nonce, _SECTOR_BYTES)[:_HEAD_BYTES]
        if is_room and not self._has_more(fd, offset):
            return False
        if os.pread(fd, _HEAD_BYTES, offset) != head:
            return True  # it was being written
        if self._records and self.is_cut(fd):
            return False
        raise RemoteDamagedError(f"{self._where} is damaged at byte {offset}")

    def _length(self, head: bytes, position: int | None) -> int | None:
        """The length of the entry that a head is of; None if it is no head of this position, or of any at all."""
        if len(head) < _HEAD_BYTES or not head.startswith(_RECORD):
            return None
        if _CRC.unpack_from(head, _HEAD.size)[0] != zlib.crc32(head[: _HEAD.size] + self.nonce):
            return None
        _, at, length = _HEAD.unpack_from(head)
        return int(length) if position in (None, at) else None

    def _is_written(self, record: bytes) -> bool:
        """Whether every sector of a record was written (Q10)."""
        room = _room(self.nonce, _SECTOR_BYTES)
        sectors = (record[at : at + _SECTOR_BYTES] for at in range(0, len(record), _SECTOR_BYTES))
        return not any(room.startswith(sector) for sector in sectors)

    def _has_more(self, fd: int, offset: int) -> bool:
        """Whether a record begins behind one that is wrong, or missing: then that one is not torn, but damaged."""
        rest = os.pread(fd, max(0, os.fstat(fd).st_size - offset), offset)  # 4 MiB at most, but for damage
        at = rest.find(_RECORD, 1)
        while at >= 0:
            if not at % BLOCK_BYTES and self._length(rest[at : at + _HEAD_BYTES], None) is not None:
                return True
            at = rest.find(_RECORD, at + 1)
        return False


def _is_whole(record: bytes) -> bool:
    crc: int = _CRC.unpack(record[-_CRC.size :])[0]
    return zlib.crc32(memoryview(record)[_HEAD_BYTES : -_CRC.size]) == crc


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = CALLS.write_at(fd, bytes(view) if len(view) < len(data) else data, offset)
        view, offset = view[written:], offset + written
