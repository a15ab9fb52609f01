"""The errors of the storage layer: one tree, without cluster names (the layers above add them).

Every message states what happened and, where the user can act, what to do.  ``BUG:`` begins the message of a state that
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
    """The page pool does not exist."""


class UnsupportedFileSystemError(StorageError):
    """The store is on a file system whose locks or shared mappings do not work between machines."""


class CorruptionError(StorageError):
    """Stored bytes contradict their checksums or each other."""


class PoolFullError(StorageError):
    """The device has no room for the page pool to grow; the transaction can be rolled back."""


class StoreInUseError(StorageError):
    """Other processes have the store open, and must close it before the operation."""


class StoreFailedError(StorageError):
    """A sync of the pool failed earlier; the state of the device is unknown until the store is reopened."""


class VolumeDroppedError(StorageError):
    """The volume was dropped while this handle had it open."""


class WriterBusyError(StorageError):
    """Another handle is the writer of the volume."""


class PastVersionGoneError(StorageError):
    """The version is not retained."""


class DisconnectedError(StorageError):
    """The gate of a handle has disconnected it: the instance or endpoint it was opened for no longer exists."""


class InjectedFaultError(StorageError):
    """A fault that was requested."""


class ForkedError(StorageError):
    """A handle was used in the child of the process that opened it."""


class UnknownDataPlaneError(StorageError):
    """``CLUSTERDB_IMPL`` names a data plane that this build does not have."""


class FencedError(StorageError):
    """A failover has begun a new epoch of the volume; this handle wrote in the old one."""


class SnapshotMovedError(StorageError):
    """The volume has a newer version than the one this handle has read; start the transaction again."""


class RegistryBusyError(StorageError):
    """Another process has held the catalog or a short lock for too long: it may be stopped."""


class ReadOnlyError(StorageError):
    """A write was requested through a read-only handle."""


class TooManySessionsError(StorageError):
    """Every row of the session table is in use."""


class TooManyVolumesError(StorageError):
    """Every row of the volume table is in use."""
