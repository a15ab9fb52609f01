"""Seals and stamps: what a clean close leaves behind, and what the next process to open the store believes.

Invariants
    K1  Derived files are believed while somebody has the store open.  Else they are believed only if whoever closed it
        last stamped them, and the files that hold the content (the pool, the catalog and its log) are those of then:
        the same inode, size and times.  The stamp is taken away by the next to open the store.  So files that were
        copied over the content, and whatever a killed process left, lead to a rebuild.
    K2  A *seal* is a second record of a version that is on the device, which says of itself that it is durable.
        Recovery does not go back behind a sealed version: what does not check out in it was damaged since, and is
        reported.  A clean close notes in the catalog, too, which version it sealed: so that a head slot that has lost
        all its records is not taken for that of a volume which nobody has written to.  Seals have a sector of their
        own.  That of a close is not synced: without it recovery knows as much as before.  In a disposable store, where
        nothing is known to be on the device, it is of what was there when the store was closed.  Only a volume that is
        in use has a head slot to write to.
    K3  The first commit under synchronous=OFF seals the newest durable version, with the same sync: slots of it may be
        used from then on, and no record of the series says which version that was.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from vfs.errors import RegistryBusyError
from vfs.format.layout import SEAL_SECTOR
from vfs.format.shared import MOVED
from vfs.registry import VolumeRow
from vfs.storage.heads import durable_version, find_record, published_version, write_record
from vfs.storage.pool import Pool
from vfs.storage.sessions import Session

__all__ = ["content_stamp", "seal", "seal_written"]

_CONTENT = ("pool", "catalog.db", "catalog.db-wal")


def content_stamp(directory: Path) -> int:
    """64 bits that tell the present state of the files that hold a store's content; never 0.

    By ``stat(2)``: whoever copies a file over another cannot choose its change time.
    """
    found: list[object] = []
    for name in _CONTENT:
        try:
            stat = (directory / name).stat(follow_symlinks=False)
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    digest = hashlib.blake2b(repr(found).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1


def seal_written(pool: Pool, session: Session) -> None:
    """Seal the heads that this process has written, where no other process is writing.

    Raises OSError, StorageError.
    """
    sealed: dict[int, int] = {}
    for row in list(pool.written.values()):
        hold = session.try_volume(row.table_index)
        if hold is not None:
            with hold:
                if pool.volume(row).id in (row.volume, row.volume | MOVED):  # not dropped: its slot may be another's
                    sealed[row.volume] = seal(pool, row)
    pool.written.clear()
    if sealed:
        with suppress(RegistryBusyError), pool.registry.reclaiming():
            pool.registry.note_sealed(sealed)


def seal(pool: Pool, row: VolumeRow) -> int:
    """Seal the newest version of a volume that is on the device, and return it.  The caller has the volume lock.

    Raises PoolFullError, OSError, CorruptionError.
    """
    if pool.directory is None:
        return 0
    version = durable_version(pool, row) if pool.is_durable else published_version(pool, row)
    record = find_record(pool, row, version)
    if record is None:
        return 0
    write_record(pool, row, SEAL_SECTOR, record._replace(durable=record.version))
    return record.version
