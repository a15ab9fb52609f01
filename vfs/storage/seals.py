"""Seals and stamps: the marks of a clean close, by which the next process that opens the store trusts its files.

Invariants
    K1  Derived files are trusted while a process has the store open.  Otherwise they are trusted only if the process
        that closed the store last stamped them, and the files that hold the content (the pool, the catalog and its log)
        are unchanged since: the same inode, size and times.  Every process that may change the content removes the
        stamp when it opens the store.  A reader without Python (vfs/c/standalone) leaves it in place: it changes
        nothing that the stamp covers, so its death does not matter.
        Therefore files that were copied over the content, and the files left by a killed process, lead to a rebuild.
    K2  A *seal* is a second record of a version that is on the device, and names that version as durable itself.
        Recovery does not choose a version older than a sealed one: whatever fails its checksum in a sealed version was
        damaged since, and is reported.  A clean close notes the sealed version in the catalog, too: so a head slot that
        has lost all its records is not mistaken for that of a volume which was never written to.  Seals have a sector
        of their own.  The seal of a close is not synced: without it recovery knows as much as before.  In a disposable
        store, where nothing is known to be on the device, the seal names the version that was published when the store
        was closed.  Only a volume that is in use has a head slot to write to.
    K3  The first commit under synchronous=OFF seals the newest durable version, with the same sync: slots of it may be
        used from then on, and no record of the series names that version.  Where a past is retained, its slots are
        used only when it expires; versions older than the sealed one expire without another sync.  The seal is marked
        for that: the commits of a disposable store state that nothing is durable, too, but sync no seal.
        The first commit of a volume needs neither the seal nor the sync if its base is the newest durable version.  No
        slot of the base is ever reused: a commit frees no slot born at or before the base (R5), which is empty, or held
        by a pin on the source.  No older record claims anything else.  Recovery therefore accepts the base although a
        record states that nothing is durable, as long as nothing names a later version as durable: a record, a seal, a
        pin, or the retained past (``choose_head``).  A later durable version that is not named has a record of its own
        that is whole, and preferred: the first synced commit after OFF keeps its record until another version is
        durable (V2), and the next series of OFF begins with a seal.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vfs.errors import RegistryBusyError
from vfs.format.layout import SEAL_SECTOR, SECTOR_BYTES, begins_series, pack_seal
from vfs.format.shared import HALTED, MOVED, WORD_MAX
from vfs.registry import VolumeRow
from vfs.storage.heads import durable_version, find_record, head_records, published_version, write_sector
from vfs.storage.pool import Pool
from vfs.storage.sessions import Session

__all__ = ["content_stamp", "seal", "seal_written", "version_before_series"]

_LOG = "catalog.db-wal"
_CONTENT = ("pool", "catalog.db", _LOG)


def content_stamp(directory: Path) -> int:
    """64 bits that identify the present state of the files that hold a store's content; never 0.

    Computed from ``stat(2)``: a program that copies a file over another cannot choose its change time.  That of the log
    is left out, because SQLite sets the owner of a log that root opens, also to read.  Readers without Python compute
    the stamp too (``vfs/c/standalone/opening.c``).
    """
    stamp = 0
    for name in _CONTENT:
        try:
            stat = (directory / name).stat(follow_symlinks=False)
        except FileNotFoundError:
            stamp = _mixed(stamp)
        else:
            changed_ns = 0 if name == _LOG else stat.st_ctime_ns
            for number in (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, changed_ns):
                stamp = _mixed(stamp ^ number & WORD_MAX)
    return stamp | 1


def _mixed(number: int) -> int:
    """Mix the bits of a word: the finalizer of SplitMix64, with its increment."""
    number = number + 0x9E3779B97F4A7C15 & WORD_MAX
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & WORD_MAX
    number = (number ^ number >> 27) * 0x94D049BB133111EB & WORD_MAX
    return number ^ number >> 31


def seal_written(pool: Pool, session: Session) -> None:
    """Seal the heads that this process has written, where no other process is writing.

    Raises OSError, StorageError.
    """
    sealed: dict[int, int] = {}
    for row in list(pool.written.values()):
        hold = session.try_volume(row.table_index)
        if hold is not None:
            with hold:
                if pool.volume(row).id & ~(MOVED | HALTED) == row.volume:  # not dropped: its slot may be another's
                    version = seal(pool, row)
                    if version:  # otherwise the version noted last is still the newest durable one
                        sealed[row.volume] = version
    pool.written.clear()
    if sealed:
        with suppress(RegistryBusyError), pool.registry.reclaiming():
            pool.registry.note_sealed(sealed)


def version_before_series(pool: Pool, row: VolumeRow) -> int:
    """The version that was sealed before the running series of commits under OFF; 0 if none was, or none runs.

    It is on the device, and so is the seal (K3).  The caller holds the volume lock.
    """
    if durable_version(pool, row):
        return 0
    record = head_records(pool, row)[SEAL_SECTOR]
    sector = pool.read_slot(row.head_slot)[SEAL_SECTOR * SECTOR_BYTES : (SEAL_SECTOR + 1) * SECTOR_BYTES]
    return record.version if record is not None and begins_series(sector) else 0


def seal(pool: Pool, row: VolumeRow, *, before_series: bool = False) -> int:
    """Seal the newest version of a volume that is on the device, and return it; 0 if it is not known.

    ``before_series``: the caller syncs the seal with the first commit of a series under OFF, and marks it so: the seal
    of a close may name what only a disposable store has.  The caller holds the volume lock.

    Raises PoolFullError, OSError, CorruptionError.
    """
    if pool.directory is None:
        return 0
    version = durable_version(pool, row) if pool.is_durable else published_version(pool, row)
    record = find_record(pool, row, version)
    if record is None:
        return 0
    write_sector(pool, row, SEAL_SECTOR, pack_seal(record, begins_series=before_series))
    return record.version
