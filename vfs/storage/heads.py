"""The version records of volumes: which version is published, which is durable, and where its record is.

A record is in the head slot, in the catalog (the base), or in the history.  V2 of :mod:`vfs.storage.writer` defines the
sector that a commit writes to, and the records that must be wiped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import merge
from operator import attrgetter

from vfs.errors import CorruptionError
from vfs.format.layout import (
    COMMIT_SECTORS,
    HEAD_SECTORS,
    SECTOR_BYTES,
    SLOT_SHIFT,
    VERSION_RECORD_BYTES,
    Version,
    pack_version,
    unpack_head,
    unpack_version,
)
from vfs.registry import VolumeRow
from vfs.storage.device import write_at
from vfs.storage.pool import Pool

__all__ = [
    "current_head",
    "durable_version",
    "find_record",
    "free_sector",
    "head_of",
    "head_records",
    "make_durable",
    "newest_at",
    "newest_recorded",
    "published_version",
    "retained",
    "wipe_sector",
    "wipe_stale_record",
    "write_record",
    "write_sector",
]


_SECTOR_WORDS = SECTOR_BYTES // 8
_unpack = lru_cache(maxsize=1024)(unpack_version)


def published_version(pool: Pool, row: VolumeRow) -> int:
    """The number of the version that is a volume's head now."""
    return pool.volume(row).version


def durable_version(pool: Pool, row: VolumeRow) -> int:
    """The number of the newest version of a volume that is known to be on the device."""
    return pool.volume(row).durable


def make_durable(pool: Pool, rows: Iterable[VolumeRow]) -> None:
    """Sync the published versions of volumes to the device, and record them as durable.

    The caller holds the volume locks, so that no version is published between the sync and the record (R3).  Raises
    StoreFailedError.
    """
    behind = [record for record in map(pool.volume, rows) if record.durable < record.version]
    if behind:
        pool.sync()
        for record in behind:
            record.durable = record.version


# --- finding records --------------------------------------------------------------------------------------------------
def head_records(pool: Pool, row: VolumeRow) -> list[Version | None]:
    """The records in the head slot of a volume by sector: None where a sector has no complete record of this volume.

    Raises CorruptionError for a head slot past the end of the pool.
    """
    return unpack_head(pool.read_slot(row.head_slot), row.volume)


def find_record(pool: Pool, row: VolumeRow, version: int) -> Version | None:
    """The record of a version of a volume; None if neither head, base nor history has it."""
    if version == row.base.version:
        return row.base
    if (row.volume, version) in pool.lost:
        return None
    chosen = pool.chosen.get(row.volume)
    if chosen is not None and chosen.version == version:
        return chosen
    head = pool.read_slot(row.head_slot)
    words = head.cast("Q")
    for at in range(0, HEAD_SECTORS * _SECTOR_WORDS, _SECTOR_WORDS):
        if words[at + 2] == version and words[at + 1] == row.volume:
            record = _unpack(bytes(head[at << 3 : (at << 3) + VERSION_RECORD_BYTES]))
            if record is not None:
                return record
    if pool.volume(row).retained:
        return pool.history.find(row.volume, version)
    return None


def retained(pool: Pool, row: VolumeRow, last: int, first: int = 0) -> Iterator[Version]:
    """The past versions ``first`` to ``last`` that a volume retains and that have a record, ascending."""
    oldest = pool.volume(row).retained
    if not oldest:
        return
    first = max(oldest, first)
    words = pool.read_slot(row.head_slot).cast("Q")
    sectors = range(0, HEAD_SECTORS * _SECTOR_WORDS, _SECTOR_WORDS)
    elsewhere = {row.base.version, *(words[at + 2] for at in sectors if words[at + 1] == row.volume)}
    named = [find_record(pool, row, version) for version in sorted(elsewhere) if first <= version <= last]
    if len(named) > last - first:  # all of them: the history need not be read
        yield from filter(None, named)
        return
    recorded = (
        record
        for record in pool.history.between(row.volume, first, last)
        if record.version not in elsewhere and (row.volume, record.version) not in pool.lost
    )
    yield from merge(recorded, (record for record in named if record is not None), key=attrgetter("version"))


def head_of(pool: Pool, row: VolumeRow) -> Version:
    """The published version of a volume whose head cannot move (the caller holds its volume lock).

    Raises CorruptionError.
    """
    version = pool.volume(row).version
    record = find_record(pool, row, version)
    if record is None:
        raise no_record(row, version)
    return record


def current_head(pool: Pool, row: VolumeRow) -> Version:
    """The record of the published version of a volume that others may write to meanwhile.  Raises CorruptionError."""
    for _ in range(100):
        record = find_record(pool, row, published_version(pool, row))
        if record is not None:  # None: the head has moved twice since
            return record
    return head_of(pool, row)


def no_record(row: VolumeRow, version: int) -> CorruptionError:
    """The error for a version without a record."""
    return CorruptionError(f"head slot {row.head_slot} of volume {row.volume} has no record of version {version}")


def newest_at(pool: Pool, row: VolumeRow, time_ns: int, first: int, last: int) -> Version | None:
    """The newest version from ``first`` to ``last`` that was published at or before a time: retained, or the head."""
    head = find_record(pool, row, last)
    if head is not None and head.time_ns <= time_ns:
        return head
    keeps_past = pool.volume(row).retained
    record = pool.history.newest_at(row.volume, time_ns, first, last) if keeps_past else None
    if record is None and row.base.version == first and row.base.time_ns <= time_ns:
        return row.base
    return record


# --- the sectors of a head slot ---------------------------------------------------------------------------------------
def _recorded_versions(pool: Pool, row: VolumeRow) -> list[tuple[int, int]]:
    """(version, durable version) in each sector of the head, whole or torn; (-1, -1) in a sector of another volume."""
    longs = pool.read_slot(row.head_slot).cast("Q")
    sectors = range(0, COMMIT_SECTORS * _SECTOR_WORDS, _SECTOR_WORDS)
    return [(longs[at + 2], longs[at + 3]) if longs[at + 1] == row.volume else (-1, -1) for at in sectors]


def newest_recorded(pool: Pool, row: VolumeRow) -> int:
    """The newest version that a sector of the head slot names, whole or torn; -1 if there is none."""
    return max(_recorded_versions(pool, row))[0]


def free_sector(pool: Pool, row: VolumeRow, published: int, durable: int) -> int:
    """The head sector for the next version record (V2), under the volume lock; wipes stale records."""
    records = _recorded_versions(pool, row)
    if max(records)[0] > published:
        wipe_stale_record(pool, row, published)
        records = _recorded_versions(pool, row)
    protected = {published, durable}
    if not durable:
        protected.add(min((version for version, durable_at in records if version > 0 and not durable_at), default=0))
    return next(at for at, (version, _) in enumerate(records) if version not in protected)


def write_record(pool: Pool, row: VolumeRow, sector: int, record: Version) -> None:
    """Write a version record to a sector of the head slot.  Raises PoolFullError, OSError."""
    write_sector(pool, row, sector, pack_version(record))


def write_sector(pool: Pool, row: VolumeRow, sector: int, data: bytes) -> None:
    """Write a sector of the head slot.  Raises PoolFullError, OSError."""
    write_at(pool.pool_fd, [data], (row.head_slot << SLOT_SHIFT) + sector * SECTOR_BYTES)


def wipe_sector(pool: Pool, row: VolumeRow, sector: int) -> None:
    """Write zeros to a sector of the head slot.  Raises OSError."""
    write_sector(pool, row, sector, bytes(SECTOR_BYTES))


def wipe_stale_record(pool: Pool, row: VolumeRow, published: int) -> None:
    """Erase the records newer than the published version, left by dead writers, on the device too (V2).

    The slots they name will be reused, in a clone of the same version even with the same content.  The caller holds the
    volume lock.  Raises OSError, StoreFailedError.
    """
    versions = [version for version, _ in _recorded_versions(pool, row)]
    if pool.volume(row).retained and max(versions) > published:
        pool.history.erase_after(row.volume, published)
    for sector, version in enumerate(versions):
        if version > published:
            try:
                wipe_sector(pool, row, sector)
                pool.sync()
            except BaseException:
                pool.fail(f"wiping a version record of volume {row.volume} failed")
                raise
