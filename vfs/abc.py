"""The contract of a data plane: the interfaces between SQLite and storage, and between storage and the layers above.

A *data plane* serves the pages of an open store to SQLite: handles that pin versions and read, transactions that write
and publish, and the VFS over them.  :mod:`vfs.plane` chooses an implementation (``CLUSTERDB_IMPL``); all of them work
on the same files at once, and one suite of contract tests runs on each.

The storage room in turn calls reclaim only through :class:`vfs.storage.pool.Reclaimer`, and does not use gates.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, Protocol

from vfs.format.layout import Version
from vfs.registry import VolumeRow

__all__ = [
    "FOREVER",
    "Durability",
    "Gate",
    "Handle",
    "Residence",
    "Resolver",
    "StoreVFS",
    "Superseded",
    "Target",
    "Transaction",
]

FOREVER = 1 << 62
"""The death of slots that no later version supersedes."""

Superseded = tuple[int, int, int]
"""A superseded slot: (slot, birth, death)."""


class Durability(IntEnum):
    """The durability of a commit, with SQLite's numbers for ``PRAGMA synchronous``."""

    OFF = 0
    NORMAL = 1
    FULL = 2


class Transaction(Protocol):
    """A write transaction: the only writer of a volume."""

    @property
    def size_bytes(self) -> int:
        """The size of the volume as this transaction leaves it."""

    @property
    def new_version(self) -> int:
        """The number of the version that it would publish."""

    def read(self, amount: int, offset: int) -> bytes | memoryview:
        """Read up to ``amount`` bytes from ``offset``, including the changes of this transaction."""

    def write(self, data: bytes, offset: int) -> None:
        """Stage bytes at ``offset``, extending the volume as needed."""

    def truncate(self, size_bytes: int) -> None:
        """Truncate, or extend with zeros, to ``size_bytes``."""

    def is_unchanged(self) -> bool:
        """Whether publishing would change nothing."""

    def publish(self, durability: Durability) -> Version:
        """Publish this transaction as the newest version of its volume, and continue on top of it."""

    def end(self) -> None:
        """Roll back unpublished changes, and release the writer lock."""


class Handle(Protocol):
    """The volume of a connection: pinned for reading, or with a transaction."""

    @property
    def size_bytes(self) -> int:
        """The size of the pinned version."""

    @property
    def move_count(self) -> int:
        """The number of times that the handle has followed its cluster to another volume."""

    def take_tend_due(self) -> bool:
        """Whether the retained past has to be tended, since it has grown by some megabytes; True once."""

    def pin(self) -> None:
        """Pin the head: reads return that version until :meth:`unpin`."""

    def pin_as_of(self, time_ns: int) -> None:
        """Pin the version that was the head at a time, but never a version older than the last one pinned."""

    def unpin(self) -> None:
        """Release the pinned version."""

    def read(self, amount: int, offset: int) -> bytes | memoryview:
        """Read up to ``amount`` bytes of the pinned version from ``offset``; fewer only at the end of the volume."""

    def count_read(self, read_count: int) -> None:
        """Add to the volume's counter of reads."""

    def begin_write(self) -> Transaction:
        """Become the volume's writer, based on the pinned version."""

    def is_being_written(self) -> bool:
        """Whether another handle is the writer now."""

    def close(self) -> None:
        """Release everything."""

    def abandon(self) -> None:
        """Close descriptors only, in the child of a fork, since the parent owns the locks and pins."""


class Gate(Protocol):
    """Controls the access of SQLite to the volume of an open file.

    A gate decides which version a transaction sees, and may delay or refuse it.  Every method may raise a StorageError,
    which SQLite receives as its result code.
    """

    @property
    def passive(self) -> tuple[int, bytes] | None:
        """A row of the gate table, and its bytes while the gate does nothing; None if it has no such state.

        A plane need not call the gate while the row has these bytes, unless :meth:`unpin` has left a version pinned.
        """

    def pin(self, volume: Handle) -> None:
        """Pin the version that a transaction sees, as it begins."""

    def unpin(self, volume: Handle) -> None:
        """Release the version at the end of a transaction."""

    def before_read(self) -> None:
        """Called before SQLite reads."""

    def before_commit(self) -> None:
        """Called before a transaction is published."""


class Copies(Protocol):
    """Keeps copies of a volume elsewhere, for the writer of an open file, which holds the writer lock.

    Every method may raise any error: SQLite receives SQLITE_IOERR from the commit, and the caller the error.
    """

    def before_commit(self, durability: Durability) -> None:
        """Called before a transaction is published; an error leaves nothing changed."""

    def committed(self, durability: Durability) -> None:
        """Called when a transaction was published, before the commit returns; an error leaves it published."""


class Residence(Protocol):
    """The miss hook: provides the bytes of pages that are not in the pool file.

    A page is absent if its slot begins with zeros in the pool file, and its checksum is not that of the slot.  So
    nothing marks an absent page: it is present from the moment that its bytes are written, the first ones last and at
    once, and so is a slot that is reused.  Nodes and heads are never absent.
    """

    def require(self, slot: int, crc: int) -> None:
        """Write the bytes of a page to its slot, if they are elsewhere; ``crc`` is the checksum that they must have.

        Called before a page that may be absent is read; the caller has pinned a version that reaches it.  Raises
        StorageError or OSError if the bytes are not available.
        """

    def close(self) -> None:
        """Release everything: the store is closed."""


class Target(NamedTuple):
    """The volume that a name refers to, and functions for the files opened under that name.

    ``follow`` finds the volume that replaces it; ``tend`` is called when a volume that retains its past
    has written some megabytes; ``gate`` creates the gate of an open file; ``copies`` keeps copies of what it commits.
    """

    row: VolumeRow
    follow: Callable[[], VolumeRow | None]
    tend: Callable[[], None] = lambda: None
    gate: Callable[[], Gate] | None = None
    read_only: bool = False
    copies: Copies | None = None


Resolver = Callable[[str], Target]
"""Name -> volume.  Raises LookupError with a message for the user if no volume has that name."""


class StoreVFS(Protocol):
    """A SQLite VFS over one store, registered until it is closed."""

    @property
    def name(self) -> str:
        """The name it is registered under."""

    @property
    def mmap_bytes(self) -> int:
        """The ``PRAGMA mmap_size`` with which connections read fastest: 0 if its files are not mapped."""

    def open_names(self) -> list[str]:
        """The names of the volumes that connections have open through it."""

    def open_count(self) -> int:
        """The number of files that connections have open through it."""

    def orphan_files(self) -> None:
        """Disable every open file in the child of a fork, since the parent owns its locks and pins."""

    def close(self) -> None:
        """Unregister the VFS; no file may be open."""
