"""Verification of a version: everything that it reaches matches its checksum."""

from __future__ import annotations

import zlib
from collections.abc import Collection

from vfs.errors import CorruptionError
from vfs.format.layout import Version
from vfs.storage.pool import Pool
from vfs.storage.walk import reached

__all__ = ["damage_in"]


def damage_in(pool: Pool, version: Version, durable: int, heads: Collection[int] = ()) -> str:
    """Describe the first damaged slot born after ``durable`` in a version; empty if all are intact.

    A page whose bytes are elsewhere is intact, whatever its slot has.

    ``heads``: head slots of volumes, which no page table may reach.
    """
    try:
        for at in reached(pool.read_slot, version, durable):
            if at.entry.slot in heads:
                return f"slot {at.entry.slot} is the head of a volume"
            slot, crc = at.entry.slot, at.entry.crc
            if at.level < 0 and zlib.crc32(pool.read_slot(slot)) != crc and not pool.is_elsewhere(slot, crc):
                return f"page {at.number} (slot {slot}) of version {version.version} fails its checksum"
    except CorruptionError as error:
        return str(error)
    return ""
