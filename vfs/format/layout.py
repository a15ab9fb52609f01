"""The durable bytes of a store: sizes, records, pack and unpack.

All integers are little-endian and naturally aligned, so that another data plane can map the same files.  The format
section of ``vfs/DESIGN.md`` explains them; this module and its neighbours :mod:`vfs.format.shared` (files shared by the
processes of one boot) and :mod:`vfs.format.locks` define them.

The file ``pool`` is an array of slots of 4096 bytes.  Slot 0 is the pool header.  A slot holds a page, a page-table
node or a head.

Page-table entry (16 bytes): child slot (u32), crc32 of the child (u32), birth (u64).  A node is 256 entries.

Head slot: ``HEAD_SECTORS`` sectors of 512 bytes, one :class:`Version` record each, the last one for a seal.  A sector
is the unit that a device writes atomically at worst, and each record has its own crc.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from vfs.errors import CorruptionError, FormatError, NotAPoolError

FORMAT = 2
"""Format of a store.  A store of an older format, from OLDEST_FORMAT on, is upgraded when it is opened for writing."""
OLDEST_FORMAT = 1
"""Format 1 stores a change counter in the first page (page_one.py), and has no copy of its header."""

SLOT_BYTES = 4096
SLOT_SHIFT = 12
SECTOR_BYTES = 512
FANOUT = 256
FANOUT_SHIFT = 8
ENTRY_BYTES = 16
WORDS_PER_ENTRY = ENTRY_BYTES // 4
SLOT_COUNT_MAX = 1 << 31
DEPTH_MAX = 4
ZERO_SLOT = bytes(SLOT_BYTES)
ZERO_CRC = zlib.crc32(ZERO_SLOT)

# --- pool header (slot 0) -------------------------------------------------------------------------------------------
POOL_HEADER_SLOT = 0
_POOL_HEADER = struct.Struct("<8sII16sI")
_POOL_MAGIC = b"clstpool"


class PoolHeader(NamedTuple):
    """The content of slot 0: the 16-byte identity of the store, and its format.

    ``is_whole`` is false if one of the two copies is missing: an upgrade was interrupted.
    """

    store_id: bytes
    format: int
    is_whole: bool


def pack_header_sector(store_id: bytes, format: int = FORMAT) -> bytes:
    """The header of the store with this identity, padded to a sector; slot 0 begins with two copies of it."""
    body = _POOL_HEADER.pack(_POOL_MAGIC, format, SLOT_BYTES, store_id, 0)[:-4]
    return (body + zlib.crc32(body).to_bytes(4, "little")).ljust(SECTOR_BYTES, b"\0")


def pack_pool_header(store_id: bytes) -> bytes:
    """The bytes of slot 0 for the store with this 16-byte identity."""
    return (2 * pack_header_sector(store_id)).ljust(SLOT_BYTES, b"\0")


def unpack_pool_header(data: bytes) -> PoolHeader:
    """The header in slot 0: that in its first sector, or its copy in the second if the first is damaged.

    Raises NotAPoolError, FormatError if it is a pool of another format, CorruptionError if it is damaged.
    """
    second = data[SECTOR_BYTES : 2 * SECTOR_BYTES]
    try:
        store_id, version = _unpack_header_sector(data[:SECTOR_BYTES])
    except (FormatError, CorruptionError):
        if _has_checksum(data) or not _has_checksum(second):
            raise
        return PoolHeader(*_unpack_header_sector(second), is_whole=False)
    is_whole = version < FORMAT or second == data[:SECTOR_BYTES]
    return PoolHeader(store_id, version, is_whole)


def _has_checksum(sector: bytes) -> bool:
    """Whether a sector has a header of this layout, of any format."""
    body, crc = sector[: _POOL_HEADER.size - 4], sector[_POOL_HEADER.size - 4 : _POOL_HEADER.size]
    return body[:8] == _POOL_MAGIC and zlib.crc32(body).to_bytes(4, "little") == crc


def _unpack_header_sector(sector: bytes) -> tuple[bytes, int]:
    if len(sector) < _POOL_HEADER.size or sector[:8] != _POOL_MAGIC:
        raise NotAPoolError("the file 'pool' is not a page pool: it has another header")
    _, version, slot_bytes, store_id, _ = _POOL_HEADER.unpack_from(sector)
    if not OLDEST_FORMAT <= version <= FORMAT:
        raise FormatError(f"the store has format {version}; this release reads formats {OLDEST_FORMAT} to {FORMAT}")
    if not _has_checksum(sector) or slot_bytes != SLOT_BYTES:
        raise CorruptionError("slot 0 (pool header) fails its checksum")
    return bytes(store_id), version


# --- page table -----------------------------------------------------------------------------------------------------
class Entry(NamedTuple):
    """A page-table entry: the slot of a child, its crc32, and the version it was born in.  Slot 0 is a hole."""

    slot: int
    crc: int
    birth: int


HOLE = Entry(0, 0, 0)
_ENTRY = struct.Struct("<IIQ")


def unpack_entry(node: bytes | bytearray | memoryview, index: int) -> Entry:
    """Entry ``index`` (0..255) of a node."""
    return Entry(*_ENTRY.unpack_from(node, index * ENTRY_BYTES))


def pack_entry(node: bytearray, index: int, entry: Entry) -> None:
    """Set entry ``index`` (0..255) of a node."""
    _ENTRY.pack_into(node, index * ENTRY_BYTES, *entry)


def unpack_entries(node: bytes | memoryview) -> list[tuple[int, Entry]]:
    """(index, entry) of every entry of a node that is not a hole."""
    return [(index, Entry(*fields)) for index, fields in enumerate(_ENTRY.iter_unpack(node)) if fields[0]]


def page_count_of(size_bytes: int) -> int:
    """The number of pages (of 4096 bytes) that a volume of ``size_bytes`` spans."""
    return (size_bytes + SLOT_BYTES - 1) >> SLOT_SHIFT


def depth_of(page_count: int) -> int:
    """The number of levels of the page table of ``page_count`` pages: 0 if it is empty, 1 if the root is a leaf."""
    depth = 0
    reach = 1
    while reach < page_count or (depth == 0 and page_count):
        depth += 1
        reach <<= FANOUT_SHIFT
    return depth


# --- heads ----------------------------------------------------------------------------------------------------------
class Version(NamedTuple):
    """An immutable version of a volume: the record in a head sector, a clone's base and a pin.

    ``slot_count`` counts the slots its tree reaches (pages and nodes), ``own_count`` those of them born in this volume.
    In the record of a base ``own_count`` counts the slots that the volume has absorbed: the sum is its own slots.
    ``durable`` is the newest version of the volume known to be on the device when the record was written.
    """

    volume: int
    version: int
    durable: int
    size_bytes: int
    slot_count: int
    own_count: int
    time_ns: int
    root: Entry

    @property
    def page_count(self) -> int:
        return page_count_of(self.size_bytes)

    @property
    def depth(self) -> int:
        return depth_of(page_count_of(self.size_bytes))


VERSION_MAX = 1 << 55
"""No volume gets so far, and the place of a version in a history (128 bytes each) is an offset of a file."""
HEAD_SECTORS = 4
COMMIT_SECTORS = 3
"""Commits write to the first three in turn."""
SEAL_SECTOR = 3
"""Holds the record of a version that was on the device when it was written, and names itself durable (seals.py)."""
_VERSION = struct.Struct("<8sQQQQQqQIIQ")
_VERSION_MAGIC = b"clsthead"
VERSION_RECORD_BYTES = _VERSION.size + 4


def pack_version(v: Version) -> bytes:
    """The record of a version, padded to a sector."""
    body = _VERSION.pack(
        _VERSION_MAGIC, v.volume, v.version, v.durable, v.size_bytes, v.slot_count, v.own_count, v.time_ns, *v.root
    )
    return (body + zlib.crc32(body).to_bytes(4, "little")).ljust(SECTOR_BYTES, b"\0")


_SERIES_MARK_BYTE = 96
_SERIES_MARK = b"clstoffs"


def pack_seal(v: Version, *, begins_series: bool) -> bytes:
    """The record that seals a version; ``begins_series``: marked as the seal before a series of commits under OFF."""
    data = pack_version(v._replace(durable=v.version))
    end = _SERIES_MARK_BYTE + len(_SERIES_MARK)
    return data[:_SERIES_MARK_BYTE] + _SERIES_MARK + data[end:] if begins_series else data


def begins_series(sector: bytes | memoryview) -> bool:
    """Whether the record in a sector is the seal before a series of commits under OFF (K3 of seals.py)."""
    return sector[_SERIES_MARK_BYTE : _SERIES_MARK_BYTE + len(_SERIES_MARK)] == _SERIES_MARK


def unpack_version(sector: bytes | memoryview) -> Version | None:
    """The version recorded in a sector, or None if the sector has no complete record of a possible version."""
    if len(sector) < VERSION_RECORD_BYTES:
        return None
    magic, volume, version, durable, size, slots, own, time_ns, root, root_crc, birth = _VERSION.unpack_from(sector)
    if magic != _VERSION_MAGIC:
        return None
    if zlib.crc32(sector[: _VERSION.size]) != int.from_bytes(sector[_VERSION.size : VERSION_RECORD_BYTES], "little"):
        return None
    if page_count_of(size) > SLOT_COUNT_MAX or slots > SLOT_COUNT_MAX or version > VERSION_MAX:
        return None
    return Version(volume, version, durable, size, slots, own, time_ns, Entry(root, root_crc, birth))


HISTORY_RECORD_BYTES = 128
_WRITTEN_BYTE = 88
_WRITTEN = struct.Struct("<QI")


def pack_history(v: Version, written: int) -> bytes:
    """The record of a version in a history: that of :func:`pack_version`, then the slots written (u64) and a crc32.

    ``written`` counts the slots that the volume has written up to this version, pages and nodes.
    """
    body = pack_version(v)[:VERSION_RECORD_BYTES].ljust(_WRITTEN_BYTE, b"\0") + written.to_bytes(8, "little")
    return (body + zlib.crc32(body).to_bytes(4, "little")).ljust(HISTORY_RECORD_BYTES, b"\0")


def unpack_written(record: bytes) -> int | None:
    """The slots written that a record of a history states; None if it does not, or is damaged."""
    if len(record) < _WRITTEN_BYTE + _WRITTEN.size:
        return None
    written, crc = _WRITTEN.unpack_from(record, _WRITTEN_BYTE)
    return int(written) if zlib.crc32(record[: _WRITTEN_BYTE + 8]) == crc else None


def unpack_head(head: bytes | memoryview, volume: int) -> list[Version | None]:
    """The records of a head slot by sector: None where a sector has no complete record of this volume."""
    records = [unpack_version(head[at * SECTOR_BYTES : (at + 1) * SECTOR_BYTES]) for at in range(HEAD_SECTORS)]
    return [record if record is not None and record.volume == volume else None for record in records]
