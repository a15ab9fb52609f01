"""What can go wrong below SQL: one tree, no cluster names (the layers above add them).

Every error says what happened and, where a person can act, what to do.  ``BUG:`` opens the text of states that
the invariants exclude.
"""

from __future__ import annotations

__all__ = [
    "CorruptionError",
    "FencedError",
    "ForkedError",
    "FormatError",
    "DisconnectedError",
    "NotAPoolError",
    "PastVersionGoneError",
    "PoolFullError",
    "ReadOnlyError",
    "RegistryBusyError",
    "InjectedFaultError",
    "SnapshotMovedError",
    "StorageError",
    "StoreFailedError",
    "StoreInUseError",
    "TooManySessionsError",
    "TooManyVolumesError",
    "UnknownDataPlaneError",
    "UnsupportedFileSystemError",
    "VolumeDroppedError",
    "WriterBusyError",
]


class StorageError(Exception):
    """Base of all errors of the storage layer."""


class FormatError(StorageError):
    """The store has a format that this release does not read."""


class NotAPoolError(FormatError):
    """There is no page pool."""


class UnsupportedFileSystemError(StorageError):
    """The store lies on a file system whose locks or shared mappings do not hold between processes."""


class CorruptionError(StorageError):
    """Stored bytes contradict their checksums or each other."""


class PoolFullError(StorageError):
    """The device has no room for the page pool to grow; the transaction can be rolled back."""


class StoreInUseError(StorageError):
    """Other processes have the store open, and it must be closed for what was asked."""


class StoreFailedError(StorageError):
    """A sync of the pool failed earlier; what reached the device is unknown until the store is reopened."""


class VolumeDroppedError(StorageError):
    """The volume was dropped while this handle had it open."""


class WriterBusyError(StorageError):
    """Another handle is the writer of the volume."""


class PastVersionGoneError(StorageError):
    """The version is not retained."""


class DisconnectedError(StorageError):
    """The gate of a handle has cut it off: it was opened for something that is there no more."""


class InjectedFaultError(StorageError):
    """A fault that was requested."""


class ForkedError(StorageError):
    """A handle was used in the child of the process that opened it."""


class UnknownDataPlaneError(StorageError):
    """``CLUSTERDB_IMPL`` names a data plane that is not there."""


class FencedError(StorageError):
    """A failover has begun a new epoch of the volume; this handle wrote in the old one."""


class SnapshotMovedError(StorageError):
    """The volume has a newer version than the one this handle has read; start the transaction again."""


class RegistryBusyError(StorageError):
    """Another process has a transaction of the catalog open, or a short lock, and does not get on: is it stopped?"""


class ReadOnlyError(StorageError):
    """A write was asked of a read-only handle."""


class TooManySessionsError(StorageError):
    """Every row of the session table is taken."""


class TooManyVolumesError(StorageError):
    """Every row of the volume table is taken."""
