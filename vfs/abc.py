"""The contract of a data plane: what SQLite's boundary asks of storage, and what storage asks of the layers above.

A *data plane* serves the pages of an open store to SQLite: handles that pin versions and read, transactions that write
and publish, and the VFS over them.  :mod:`vfs.plane` chooses an implementation (``CLUSTERDB_IMPL``); all of them work
on the same files at once, and one suite of contract tests runs on each.

The storage room in turn reaches reclaim only through :class:`vfs.storage.pool.Reclaimer`, and knows no gate.
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
"""The death of slots that nothing comes after."""

Superseded = tuple[int, int, int]
"""A superseded slot: (slot, birth, death)."""


class Durability(IntEnum):
    """What a commit promises, with SQLite's numbers for ``PRAGMA synchronous``."""

    OFF = 0
    NORMAL = 1
    FULL = 2


class Transaction(Protocol):
    """The one writer of a volume."""

    @property
    def size_bytes(self) -> int:
        """The size of the volume as this transaction leaves it."""

    @property
    def new_version(self) -> int:
        """The number of the version that it would publish."""

    def read(self, amount: int, offset: int) -> bytes | memoryview:
        """Up to ``amount`` bytes from ``offset``, with what was written so far."""

    def write(self, data: bytes, offset: int) -> None:
        """Stage bytes at ``offset``, extending the volume as needed."""

    def truncate(self, size_bytes: int) -> None:
        """Cut, or extend with zeros, to ``size_bytes``."""

    def is_unchanged(self) -> bool:
        """Whether publishing would make no difference."""

    def publish(self, durability: Durability) -> Version:
        """Make this transaction the newest version of its volume, and continue on top of it."""

    def end(self) -> None:
        """Roll back what is not published, and release the writer lock."""


class Handle(Protocol):
    """One connection's volume: pinned for reading, or with a transaction."""

    @property
    def size_bytes(self) -> int:
        """The size of the pinned version."""

    @property
    def move_count(self) -> int:
        """How often the handle has followed its cluster to another volume."""

    @property
    def keeps_past(self) -> bool:
        """Whether past versions of the volume are retained."""

    def pin(self) -> None:
        """Pin the head: reads show that version until :meth:`unpin`."""

    def pin_as_of(self, time_ns: int) -> None:
        """Pin the version that was the head at a time, but never one older than the last one pinned."""

    def unpin(self) -> None:
        """Release the pinned version."""

    def read(self, amount: int, offset: int) -> bytes | memoryview:
        """Up to ``amount`` bytes of the pinned version from ``offset`` on; fewer only at the end of the volume."""

    def count_read(self, read_count: int) -> None:
        """Add to the volume's counter of reads."""

    def begin_write(self) -> Transaction:
        """Become the volume's writer, on top of the pinned version."""

    def is_being_written(self) -> bool:
        """Whether another handle is the writer now."""

    def close(self) -> None:
        """Release everything."""

    def abandon(self) -> None:
        """In the child of a fork: close descriptors only, since the locks and pins are the parent's."""


class Gate(Protocol):
    """Stands between SQLite and the volume of one open file: it decides which version a transaction sees, and may
    delay or refuse it.  Every method may raise a StorageError, which SQLite receives as its result code."""

    def pin(self, volume: Handle) -> None:
        """A transaction begins: pin the version that it sees."""

    def unpin(self, volume: Handle) -> None:
        """A transaction has ended."""

    def before_read(self) -> None:
        """SQLite reads."""

    def before_commit(self) -> None:
        """A transaction is about to be published."""


class Residence(Protocol):
    """The miss hook: where the bytes of slots come from that are not in the pool file."""

    def is_resident(self, slot: int) -> bool:
        """Whether the pool file has the bytes of a slot.  Called before every read, so it must be cheap."""

    def fetch(self, slot: int) -> None:
        """Write the bytes of a slot to the pool file.  Raises StorageError, OSError if they cannot be had."""


class Target(NamedTuple):
    """What a name stands for: a volume, and how to find the volume that replaces it.

    ``tend`` is called after many commits to a volume that retains its past; ``gate`` makes the gate of an open file.
    """

    row: VolumeRow
    follow: Callable[[], VolumeRow | None]
    tend: Callable[[], None] = lambda: None
    gate: Callable[[], Gate] | None = None
    read_only: bool = False


Resolver = Callable[[str], Target]
"""Name -> volume.  Raises LookupError with a text for the user if no volume has that name."""


class StoreVFS(Protocol):
    """A SQLite VFS over one store, registered until it is closed."""

    @property
    def name(self) -> str:
        """The name it is registered under."""

    def open_names(self) -> list[str]:
        """The names of the volumes that connections have open through it."""

    def orphan_files(self) -> None:
        """In the child of a fork: make every open file refuse to work; the parent owns its locks and pins."""

    def close(self) -> None:
        """Unregister it; no file may be open."""
