"""Byte offsets in the file ``locks``: each is the name of a lock, and no byte is ever written."""

from __future__ import annotations

from vfs.format.shared import VOLUME_ROWS

__all__ = ["BUILDER", "OPEN", "POOL", "STORE", "SWEEP", "builder", "session", "volume", "writer"]

OPEN = 0
"""Held while a store is created, opened, rebuilt or closed."""
POOL = 1
"""Guards reserving slots, growing the pool, and giving away rows of the shared tables."""
STORE = 2
"""Held shared by every open store; exclusively by the process that rebuilds its derived files."""
SWEEP = 3

_VOLUME = 0x10000
_SESSION = 0x20000
BUILDER = 0x30000
_WRITER = 0x40000
_WRITER_EPOCHS = 1 << 40
"""Offsets of locks are 63 bits wide."""


def volume(index: int) -> int:
    """The volume lock of the volume in that row of the volume table."""
    return _VOLUME + index


def session(row: int) -> int:
    """Held by the owner of that row of the session table for as long as it lives."""
    return _SESSION + row


def builder(index: int) -> int:
    """Held by the process that fills the volume in that row, until the volume is live."""
    return BUILDER + index


def writer(index: int, epoch: int) -> int:
    """The writer lock of a volume: one for each epoch, so that a fenced writer cannot block its successor."""
    return _WRITER + epoch % _WRITER_EPOCHS * VOLUME_ROWS + index
