"""What can go wrong: one tree under :class:`Error`, each text one line that says what to do.

The upper part of the tree is that of PEP 249 (https://peps.python.org/pep-0249/#exceptions); what clusterdb raises
itself hangs below it, so ``except clusterdb.OperationalError`` catches a deleted cluster as well as a locked table.
"""

from __future__ import annotations

from vfs.errors import RegistryBusyError

__all__ = [
    "BacktrackDisabledError",
    "ChangesetConflictError",
    "CloneLimitError",
    "ClosedError",
    "ClusterExistsError",
    "ClusterNotFoundError",
    "CorruptStoreError",
    "ClusterStateError",
    "DataError",
    "DatabaseDamagedError",
    "DatabaseError",
    "DeletionProtectedError",
    "EndpointExistsError",
    "EndpointNotFoundError",
    "Error",
    "ExportTargetError",
    "ForkedStoreError",
    "InstanceExistsError",
    "ImportSourceError",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Warning",
    "InstanceNotFoundError",
    "InstanceRestartedError",
    "InvalidArgumentError",
    "InvalidNameError",
    "InvalidRestoreTimeError",
    "LimitExceededError",
    "NotADatabaseError",
    "NotAStoreError",
    "NotAuthorizedError",
    "NoReaderError",
    "NoSourceError",
    "SnapshotExistsError",
    "SnapshotNotFoundError",
    "StoreBusyError",
    "StoreFailedError",
    "StoreFormatError",
    "StoreFullError",
    "StoreInUseError",
    "StoreReadOnlyError",
    "StoreUnreadableError",
    "StoreUnsafeError",
    "TooManyClustersError",
    "TooManyConnectionsError",
    "TooManyReadersError",
    "UnknownEngineError",
    "UnsupportedFileSystemError",
]


class Warning(Exception):
    """PEP 249: an important warning.  Nothing raises it."""


class Error(Exception):
    """Base of every error.  ``sqlite_errorcode`` and ``sqlite_errorname`` are there if SQLite said it."""

    sqlite_errorcode: int
    sqlite_errorname: str


class InterfaceError(Error):
    """PEP 249: the interface was used in a way that it does not support."""


class DatabaseError(Error):
    """PEP 249: base of the errors that have to do with the database."""


class DataError(DatabaseError):
    """PEP 249: a value is too large."""


class OperationalError(DatabaseError):
    """PEP 249: something that is not necessarily the program's fault: busy, full, read-only, gone, no such table."""


class IntegrityError(DatabaseError):
    """PEP 249: a constraint was violated."""


class InternalError(DatabaseError):
    """PEP 249: SQLite is confused."""


class ProgrammingError(DatabaseError):
    """PEP 249: the program's fault: closed, wrong number of parameters, not allowed here."""


class NotSupportedError(DatabaseError):
    """PEP 249: cannot be done in SQLite."""


class NotAuthorizedError(ProgrammingError):
    """SQL on an untrusted connection asked for something that is not allowed there (SQLITE_AUTH)."""


class LimitExceededError(OperationalError):
    """A statement on an untrusted connection used more than its limits allow, and was stopped."""


class StoreUnreadableError(OperationalError):
    """The store's directory or files cannot be read or written with this user's rights."""


class StoreUnsafeError(OperationalError):
    """Other users can write to the store's directory, or it belongs to one of them."""


class NotAStoreError(OperationalError):
    """The path holds no clusterdb store."""


class StoreFormatError(OperationalError):
    """The store has a format that this release does not read."""


class StoreBusyError(OperationalError, RegistryBusyError):
    """Another process kept the catalog, or the allocation of slots, locked for too long."""


class StoreFailedError(OperationalError):
    """A sync failed, so it is unknown what reached the device: close the store and open it again."""


class TooManyConnectionsError(OperationalError):
    """As many connections are open on the store as it has room for."""


class TooManyClustersError(OperationalError):
    """The store has as many clusters as it has room for (Aurora: DBClusterQuotaExceededFault)."""


class StoreInUseError(OperationalError):
    """The store cannot do that while others have it open."""


class StoreFullError(OperationalError):
    """The device of the store is full."""


class StoreReadOnlyError(OperationalError):
    """The store is open for reading only."""


class CorruptStoreError(DatabaseError):
    """Files of the store contradict each other or their checksums."""


class UnsupportedFileSystemError(OperationalError):
    """The store's directory is on a file system whose locks do not hold."""


class ForkedStoreError(ProgrammingError):
    """The store was opened before a fork; a child process must open its own."""


class ClosedError(ProgrammingError):
    """The store is closed."""


class InvalidNameError(ProgrammingError):
    """Not a cluster name."""


class InvalidArgumentError(ProgrammingError):
    """An argument has a value that makes no sense here."""


class UnknownEngineError(InvalidArgumentError):
    """No engine has that name."""


class ClusterStateError(OperationalError):
    """The cluster's status does not allow that (Aurora: InvalidDBClusterStateFault)."""


class DeletionProtectedError(ClusterStateError):
    """The cluster is protected from deletion (Aurora: InvalidDBClusterStateFault, InvalidParameterCombination)."""


class InstanceExistsError(OperationalError):
    """The name is taken (Aurora: DBInstanceAlreadyExists)."""


class InstanceNotFoundError(OperationalError):
    """The cluster has no instance of that name (Aurora: DBInstanceNotFound)."""


class InstanceRestartedError(OperationalError):
    """The instance that the connection was made through crashed, failed over or was deleted: open a new connection."""


class TooManyReadersError(OperationalError):
    """A cluster has up to 15 readers (Aurora: InstanceQuotaExceeded)."""


class NoReaderError(ClusterStateError):
    """There is no reader to fail over to (Aurora: InvalidDBClusterStateFault)."""


class EndpointExistsError(OperationalError):
    """The name is taken (Aurora: DBClusterEndpointAlreadyExistsFault)."""


class EndpointNotFoundError(OperationalError):
    """The cluster has no such endpoint (Aurora: DBClusterEndpointNotFoundFault)."""


class InvalidRestoreTimeError(OperationalError):
    """The point in time lies outside of what can be restored (Aurora: InvalidRestoreFault)."""


class BacktrackDisabledError(InvalidRestoreTimeError):
    """The cluster keeps no past to go back in (Aurora: InvalidDBClusterStateFault)."""


class NoSourceError(OperationalError):
    """The cluster is no clone, or its source is gone (Aurora: DBClusterNotFoundFault)."""


class CloneLimitError(OperationalError):
    """The cluster has as many copy-on-write clones as it may have (Aurora: DBClusterQuotaExceededFault)."""


class ChangesetConflictError(IntegrityError):
    """A change of a changeset does not fit what the cluster has; nothing was applied."""


class SnapshotExistsError(OperationalError):
    """The name is taken (Aurora: DBClusterSnapshotAlreadyExistsFault)."""


class SnapshotNotFoundError(OperationalError):
    """No snapshot has that name (Aurora: DBClusterSnapshotNotFoundFault)."""


class ClusterExistsError(OperationalError):
    """The name is taken."""


class ClusterNotFoundError(OperationalError):
    """No cluster has that name."""


class NotADatabaseError(OperationalError):
    """The file to import is no SQLite database."""


class ImportSourceError(OperationalError):
    """The file to import cannot be read now: locked, in need of recovery, or only its owner's program can check it."""


class DatabaseDamagedError(DatabaseError):
    """The file to import is a SQLite database, but truncated or damaged."""


class ExportTargetError(OperationalError):
    """The file to export to exists already, or cannot be written."""
