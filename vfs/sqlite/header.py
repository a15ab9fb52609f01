"""What storage changes in the header of a database, which is in page 1.

The change counter (bytes 24-27 and 92-95, https://sqlite.org/fileformat2.html#file_change_counter) is kept equal to the
volume's version in what is stored, so that whatever version a connection sees next, its cache can tell.
"""

from __future__ import annotations

from vfs.abc import Durability, Transaction
from vfs.registry import VolumeRow
from vfs.storage.pool import Pool
from vfs.storage.volume import Volume
from vfs.storage.volumes import continue_epoch, pinned

__all__ = ["continue_from", "stamp"]


def stamp(transaction: Transaction) -> None:
    """Make page 1 say what we promise of it: the change counter, and a rollback-journal file format."""
    header = bytes(transaction.read(100, 0))
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        return
    counter = (transaction.new_version & 0xFFFFFFFF).to_bytes(4, "big")
    if header[24:28] != counter or header[92:96] != counter:
        transaction.write(counter + header[28:92] + counter, 24)
    if header[18:20] != b"\1\1":  # copied from a database in WAL mode
        transaction.write(b"\1\1", 18)


_COOKIE_AT = 40
"""Of the schema cookie in page 1 (https://sqlite.org/fileformat2.html, section 1.3.9)."""


def continue_from(pool: Pool, row: VolumeRow, former: VolumeRow) -> None:
    """Let a volume that nobody has open yet continue where another is now: epoch, versions and schema cookie.

    Connections follow a cluster from one volume to another; by the cookie SQLite notices that it must read the schema
    and prepare its statements again.  An empty volume has none.
    """
    continue_epoch(pool, row, former)
    with pinned(pool, former) as volume:
        above, head = int.from_bytes(bytes(volume.read(4, _COOKIE_AT)), "big"), volume.version.version
    with pool.session() as session:
        volume = Volume(pool, row, session, read_only=False)
        volume.pin()
        if not volume.size_bytes:
            return
        transaction = volume.begin_write(head + 1)
        try:
            own = int.from_bytes(bytes(transaction.read(4, _COOKIE_AT)), "big")
            cookie = (max(own, above) + 1) & 0xFFFFFFFF
            transaction.write(cookie.to_bytes(4, "big"), _COOKIE_AT)
            stamp(transaction)
            transaction.publish(Durability.FULL)
        finally:
            transaction.end()
