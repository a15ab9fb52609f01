"""What can go wrong above SQL: one tree under :class:`Error`, each text one line that says what to do."""

from __future__ import annotations

from vfs.errors import RegistryBusyError

__all__ = [
    "BacktrackDisabledError",
    "CloneLimitError",
    "ClosedError",
    "ClusterExistsError",
    "ClusterNotFoundError",
    "CorruptStoreError",
    "ClusterStateError",
    "DatabaseDamagedError",
    "DeletionProtectedError",
    "EndpointExistsError",
    "EndpointNotFoundError",
    "Error",
    "ExportTargetError",
    "ForkedStoreError",
    "InstanceExistsError",
    "InstanceNotFoundError",
    "InstanceRestartedError",
    "InvalidArgumentError",
    "InvalidNameError",
    "InvalidRestoreTimeError",
    "NotADatabaseError",
    "NotAStoreError",
    "NoReaderError",
    "NoSourceError",
    "SnapshotExistsError",
    "SnapshotNotFoundError",
    "StoreBusyError",
    "StoreFormatError",
    "StoreFullError",
    "StoreInUseError",
    "StoreReadOnlyError",
    "StoreUnreadableError",
    "TooManyReadersError",
    "UnknownEngineError",
    "UnsupportedFileSystemError",
]


class Error(Exception):
    """Base of every error that clusterdb raises itself (SQL errors come from the connection)."""


class StoreUnreadableError(Error):
    """The store's directory or files cannot be read or written with this user's rights."""


class NotAStoreError(Error):
    """The path holds no clusterdb store."""


class StoreFormatError(Error):
    """The store has a format that this release does not read."""


class StoreBusyError(Error, RegistryBusyError):
    """Another process kept the catalog, or the allocation of slots, locked for too long."""


class StoreInUseError(Error):
    """The store cannot do that while others have it open."""


class StoreFullError(Error):
    """The device of the store is full."""


class StoreReadOnlyError(Error):
    """The store is open for reading only."""


class CorruptStoreError(Error):
    """Files of the store contradict each other or their checksums."""


class UnsupportedFileSystemError(Error):
    """The store's directory is on a file system whose locks do not hold."""


class ForkedStoreError(Error):
    """The store was opened before a fork; a child process must open its own."""


class ClosedError(Error):
    """The store is closed."""


class InvalidNameError(Error):
    """Not a cluster name."""


class InvalidArgumentError(Error):
    """An argument has a value that makes no sense here."""


class UnknownEngineError(InvalidArgumentError):
    """No engine has that name."""


class ClusterStateError(Error):
    """The cluster's status does not allow that (Aurora: InvalidDBClusterStateFault)."""


class DeletionProtectedError(ClusterStateError):
    """The cluster is protected from deletion (Aurora: InvalidDBClusterStateFault, InvalidParameterCombination)."""


class InstanceExistsError(Error):
    """The name is taken (Aurora: DBInstanceAlreadyExists)."""


class InstanceNotFoundError(Error):
    """The cluster has no instance of that name (Aurora: DBInstanceNotFound)."""


class InstanceRestartedError(Error):
    """The instance that the connection was made through crashed, failed over or was deleted: open a new connection."""


class TooManyReadersError(Error):
    """A cluster has up to 15 readers (Aurora: InstanceQuotaExceeded)."""


class NoReaderError(ClusterStateError):
    """There is no reader to fail over to (Aurora: InvalidDBClusterStateFault)."""


class EndpointExistsError(Error):
    """The name is taken (Aurora: DBClusterEndpointAlreadyExistsFault)."""


class EndpointNotFoundError(Error):
    """The cluster has no such endpoint (Aurora: DBClusterEndpointNotFoundFault)."""


class InvalidRestoreTimeError(Error):
    """The point in time lies outside of what can be restored (Aurora: InvalidRestoreFault)."""


class BacktrackDisabledError(InvalidRestoreTimeError):
    """The cluster keeps no past to go back in (Aurora: InvalidDBClusterStateFault)."""


class NoSourceError(Error):
    """The cluster is no clone, or its source is gone (Aurora: DBClusterNotFoundFault)."""


class CloneLimitError(Error):
    """The cluster has as many copy-on-write clones as it may have (Aurora: DBClusterQuotaExceededFault)."""


class SnapshotExistsError(Error):
    """The name is taken (Aurora: DBClusterSnapshotAlreadyExistsFault)."""


class SnapshotNotFoundError(Error):
    """No snapshot has that name (Aurora: DBClusterSnapshotNotFoundFault)."""


class ClusterExistsError(Error):
    """The name is taken."""


class ClusterNotFoundError(Error):
    """No cluster has that name."""


class NotADatabaseError(Error):
    """The file to import is no SQLite database."""


class DatabaseDamagedError(Error):
    """The file to import is a SQLite database, but truncated or damaged."""


class ExportTargetError(Error):
    """The file to export to exists already, or cannot be written."""
