"""The schema cookie in the header of a database: moved when another volume takes the place of its cluster's."""

from __future__ import annotations

from vfs.abc import Durability
from vfs.registry import VolumeRow
from vfs.storage.pool import Pool
from vfs.storage.reader import Reader
from vfs.storage.volume import Volume
from vfs.storage.volumes import continue_epoch, pinned
from vfs.storage.writer import WriteTransaction

__all__ = ["continue_from", "move_cookie", "schema_cookie"]


_COOKIE_AT = 40
"""The offset of the schema cookie in page 1 (https://sqlite.org/fileformat2.html, section 1.3.9)."""


def schema_cookie(readable: Reader | WriteTransaction) -> int:
    """The schema cookie of a database that is not empty."""
    return int.from_bytes(bytes(readable.read(4, _COOKIE_AT)), "big")


def move_cookie(transaction: WriteTransaction, former: int, *, is_later: bool) -> None:
    """Move the schema cookie of a database that takes another's place past its cookie.

    ``is_later``: it is a later version of the same one, so equal cookies mean equal schemas.
    """
    own = schema_cookie(transaction)
    if own < former or (own == former and not is_later):
        transaction.write(((former + 1) & 0xFFFFFFFF).to_bytes(4, "big"), _COOKIE_AT)


def continue_from(pool: Pool, row: VolumeRow, former: VolumeRow) -> None:
    """Move the epoch, version and schema cookie of a volume that nobody has open yet past those of another volume.

    Connections follow a cluster from one volume to another; a changed cookie causes SQLite to read the schema and
    prepare its statements again.  An empty volume has no cookie.
    """
    continue_epoch(pool, row, former)
    with pinned(pool, former) as volume:
        above, head = schema_cookie(volume), volume.version.version
    with pool.session() as session:
        volume = Volume(pool, row, session, read_only=False)
        volume.pin()
        if not volume.size_bytes:
            return
        transaction = volume.begin_write(head + 1)
        try:
            cookie = (max(schema_cookie(transaction), above) + 1) & 0xFFFFFFFF
            transaction.write(cookie.to_bytes(4, "big"), _COOKIE_AT)
            transaction.publish(Durability.FULL)
        finally:
            transaction.end()
