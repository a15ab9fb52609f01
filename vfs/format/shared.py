"""The derived files ``map`` and ``readers``: memory shared by the processes of one boot, as named records.

``map``      a 4096-byte header (:class:`MapHeader`), then one 16-bit state per slot.
``readers``  a 4096-byte header (:class:`ReadersHeader`), the volume table, the session table, the gate table.

Both are rebuilt from heads and pins.  A record is a ``ctypes.Structure`` over the mapped bytes: reading or assigning a
field is one aligned 64-bit load or store, done in C, and a value wraps at 2**64.
"""

from __future__ import annotations

import ctypes
from typing import ClassVar, Self

__all__ = [
    "DAMAGED",
    "DROPPED",
    "FLAGS",
    "FREE",
    "GATE_ROWS",
    "GATE_TABLE_BYTE",
    "HALTED",
    "KEEPS_SUPERSEDED",
    "LABELS",
    "LIVE",
    "LIVE_EVEN",
    "LIVE_ODD",
    "MAP_HEADER_BYTES",
    "MAP_MAGIC",
    "MOVED",
    "READERS_BYTES",
    "READERS_HEADER_BYTES",
    "READERS_MAGIC",
    "RESERVED",
    "ROW_BYTES",
    "ROW_WORDS",
    "SESSION_ROWS",
    "SESSION_TABLE_BYTE",
    "VOLUME_ROWS",
    "VOLUME_TABLE_BYTE",
    "MapHeader",
    "ReadersHeader",
    "Record",
    "SessionRecord",
    "VolumeRecord",
    "WORD_MAX",
    "words_of",
]

WORD_MAX = (1 << 64) - 1
_WORD = ctypes.c_uint64
_Fields = list[tuple[str, type[ctypes.c_uint64]]]


def words_of(*names: str) -> _Fields:
    """The ``_fields_`` of a record that consists of 64-bit words."""
    return [(name, _WORD) for name in names]


class Record(ctypes.LittleEndianStructure):
    """Base of the records; their fields are unsigned 64-bit words."""

    __slots__ = ()
    _fields_: ClassVar[_Fields] = []

    @classmethod
    def at(cls, memory: memoryview, byte: int) -> Self:
        """The record at a byte offset of a mapping."""
        return cls.from_buffer(memory, byte)

    @classmethod
    def word(cls, name: str) -> int:
        """The index of a field among the words of its record."""
        return int(getattr(cls, name).offset) // 8


# --- map ------------------------------------------------------------------------------------------------------------
MAP_HEADER_BYTES = 4096
MAP_MAGIC = int.from_bytes(b"clstmap2", "little")


class MapHeader(Record):
    """The header of the allocation map.

    ``magic`` to ``inode`` identify the boot and the pool that the map belongs to.  ``slot_count``: slots of the pool;
    ``hint``: no slot below it is free, unless it was freed since; ``epoch``: the sweep epoch, whose parity is the
    label of new live slots; ``leaks``: nonzero if a sweep would free slots; ``sweeping``: a sweep is running, or
    died; ``synced``: slots below it are in the pool file on the device; ``closed``: the stamp of a clean close (K1).
    """

    __slots__ = ()
    magic: int
    boot_low: int
    boot_high: int
    device: int
    inode: int
    slot_count: int
    hint: int
    epoch: int
    leaks: int
    sweeping: int
    synced: int
    closed: int
    _fields_ = words_of(
        *("magic", "boot_low", "boot_high", "device", "inode"),
        *("slot_count", "hint", "epoch", "leaks", "sweeping", "synced", "closed"),
    )

    def identity(self) -> list[int]:
        """The words that identify the boot and the pool that the map belongs to."""
        return [self.magic, self.boot_low, self.boot_high, self.device, self.inode]


FREE = 0
LIVE_EVEN, LIVE_ODD = 0x0101, 0x0202
LIVE = (LIVE_EVEN, LIVE_ODD)
RESERVED = 0x0400
"""State of a slot that session row r has reserved or will free: ``RESERVED + r``.

Only FREE has a zero high byte, and the live states have no zero byte at all: a search for zeros finds only whole free
slots, and skips live slots quickly."""

# --- readers --------------------------------------------------------------------------------------------------------
READERS_HEADER_BYTES = 4096
READERS_MAGIC = int.from_bytes(b"clstrdr3", "little")


class ReadersHeader(Record):
    """The header of the shared tables.

    ``session_high``: session rows from here on were never used; ``volume_hint``: where to search for a free volume row;
    ``clock_offset``: nanoseconds, see :mod:`vfs.storage.clock`; ``catalog_begun`` and ``catalog_settled``: numbers of
    the catalog's transactions, and ``tended_ns``: when all clusters were last tended, which the layer above moves.
    """

    __slots__ = ()
    magic: int
    session_high: int
    volume_hint: int
    clock_offset: int
    catalog_begun: int
    catalog_settled: int
    tended_ns: int
    _fields_ = words_of(
        *("magic", "session_high", "volume_hint", "clock_offset", "catalog_begun", "catalog_settled", "tended_ns")
    )


ROW_WORDS = 16
ROW_BYTES = 8 * ROW_WORDS
VOLUME_ROWS = 32768
SESSION_ROWS = 8192
GATE_ROWS = 4096
VOLUME_TABLE_BYTE = READERS_HEADER_BYTES
SESSION_TABLE_BYTE = VOLUME_TABLE_BYTE + VOLUME_ROWS * ROW_BYTES
GATE_TABLE_BYTE = SESSION_TABLE_BYTE + SESSION_ROWS * ROW_BYTES
"""Rows whose fields the layer above defines, for gates (:class:`vfs.abc.Gate`) that act in all processes at once."""
READERS_BYTES = GATE_TABLE_BYTE + GATE_ROWS * ROW_BYTES


class VolumeRecord(Record):
    """A row of the volume table.

    ``id``: the volume, with flags; ``version``: the published version; ``durable``: the newest version known to be on
    the device; ``pins``: a random value that changes whenever a durable pin may have come or gone (R9); ``cleanup``:
    nonzero if reclaim work waits for a writer; ``base``: the version of the volume's base; ``epoch``: see V5;
    ``retained``: the oldest retained version, 0 if none; ``written`` and ``read``: counters of slots and reads;
    ``lock``, ``plain``, ``writer`` and ``plain_writer``: see :mod:`vfs.format.locks`.
    """

    __slots__ = ()
    id: int
    version: int
    durable: int
    pins: int
    cleanup: int
    base: int
    epoch: int
    retained: int
    written: int
    read: int
    lock: int
    plain: int
    writer: int
    plain_writer: int
    _fields_ = words_of(
        *("id", "version", "durable", "pins", "cleanup", "base", "epoch", "retained", "written", "read"),
        *("lock", "plain", "writer", "plain_writer"),
    )


DROPPED = 1 << 63
"""Set in a volume's id once the volume is dropped: no id is as high, and handles compare ids."""
DAMAGED = 1 << 62
"""Set in a volume's id when recovery found no intact version of it."""
MOVED = 1 << 61
"""Set in a volume's id when its cluster has switched to another volume."""
HALTED = 1 << 60
"""Set in a volume's id while nobody may begin to read it: see :func:`vfs.storage.volumes.halted`."""
FLAGS = DROPPED | DAMAGED | MOVED | HALTED


class SessionRecord(Record):
    """A row of the session table.

    ``owner``: the process id; ``volume``: row of the volume that it reads, plus one; ``pin``: the pinned version;
    ``publishing``: the version being published, or one of the markers below; ``heads``: the number of slots that it has
    reserved for the heads of new volumes; ``generation``: the number of sessions that have had the row.
    """

    __slots__ = ()
    owner: int
    volume: int
    pin: int
    publishing: int
    heads: int
    generation: int
    _fields_ = words_of("owner", "volume", "pin", "publishing", "heads", "generation")


KEEPS_SUPERSEDED = WORD_MAX
"""In ``publishing``: the slots this session has reserved may still be read by others (see R8)."""
LABELS = WORD_MAX - 1
"""In ``publishing``: this session labels slots live outside of a commit."""
