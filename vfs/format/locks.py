"""Locks: byte offsets in the file ``locks``, and words of shared memory that spare the calls of the system.

Each offset identifies a lock, and no byte is ever written.  The data plane in C takes the two locks of a volume by
words of its row, which it swaps in one step.  Python has no such step, and locks bytes; where the plane in C runs, it
lends its own for volume locks that are not waited for.

Invariants
    L1  A lock word is 0 or a *token*: the session row of its owner plus one, the generation of that row, and the epoch
        of a writer.  The owner is dead if the row has another generation or its lock byte is free: a session that
        proves this may replace the word in one step.  A session lets go of its words before it gives up its row.
    L2  A session that takes the byte of a volume sets ``plain`` and then looks at ``lock``; one that takes the word
        ``lock`` looks at ``plain`` afterwards.  One sees the other (as in S2).  The one that has the byte waits until
        the word is free, or its owner dead; the one that has the word lets go of it, and proceeds by L3.
    L3  ``plain`` is cleared only by a session in C that has the byte, so that nobody in Python has it.  Such a session
        takes the word before it unlocks the byte.
    L4  ``plain_writer`` is set before Python looks at ``writer``, and stays set as long as the row has the volume: from
        then on, the writers of all planes lock the byte of their epoch, and look at ``writer`` afterwards.  A token of
        an earlier epoch excludes nobody: its writer is fenced (V5).
"""

from __future__ import annotations

from vfs.format.shared import VOLUME_ROWS

__all__ = [
    "BUILDER",
    "OPEN",
    "POOL",
    "STORE",
    "SWEEP",
    "builder",
    "epoch_of",
    "row_of",
    "session",
    "token",
    "volume",
    "writer",
]

OPEN = 0
"""Held while a store is created, opened, rebuilt or closed."""
POOL = 1
"""Guards reserving slots, growing the pool, and assigning rows of the shared tables."""
STORE = 2
"""Held shared by every open store; exclusively by the process that rebuilds its derived files."""
SWEEP = 3

_VOLUME = 0x10000
_SESSION = 0x20000
BUILDER = 0x30000
_WRITER = 0x40000
_WRITER_EPOCHS = 1 << 40
"""Limits the epoch in an offset, since offsets of locks are 63 bits wide."""


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


# --- lock words -------------------------------------------------------------------------------------------------------
_ROW_BITS, _GENERATION_BITS, _EPOCH_BITS = 14, 24, 26


def token(row: int, generation: int, epoch: int = 0) -> int:
    """The value of a lock word whose owner is the session of that row and generation, the writer of that epoch."""
    low = generation % (1 << _GENERATION_BITS) << _ROW_BITS
    return row + 1 | low | epoch % (1 << _EPOCH_BITS) << _ROW_BITS + _GENERATION_BITS


def row_of(word: int) -> int:
    """The session row that a token names; -1 or a row that does not exist in a damaged word."""
    return word % (1 << _ROW_BITS) - 1


def epoch_of(word: int) -> int:
    """The epoch of a token, modulo 2**26."""
    return word >> _ROW_BITS + _GENERATION_BITS
