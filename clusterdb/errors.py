"""The exceptions of clusterdb: one tree under :class:`Error`, each message one line that ends with what to do.

The upper part of the tree is that of PEP 249 (https://peps.python.org/pep-0249/#exceptions); clusterdb's own classes
derive from it, so ``except clusterdb.OperationalError`` catches a deleted cluster as well as a locked table.

A class that corresponds to an error of the RDS API has its code in ``aws_code``: the ``Code`` of the API's reply, which
boto3 shows as ``error.response["Error"]["Code"]``.  Source: botocore's service model ``rds/2014-10-31``; of the codes
that all AWS services share, InvalidParameterValue and InvalidParameterCombination.  The codes of SQL (``sqlstate``,
``errno``) are filled in by :mod:`clusterdb.dbapi2.codes`.
"""

from __future__ import annotations

from typing import ClassVar

from vfs.errors import RegistryBusyError

__all__ = [
    "BacktrackDisabledError",
    "ChangesetConflictError",
    "CloneLimitError",
    "ClosedError",
    "ClusterExistsError",
    "ClusterNotFoundError",
    "ClusterStateError",
    "CorruptStoreError",
    "DataError",
    "DatabaseDamagedError",
    "DatabaseError",
    "DeletionProtectedError",
    "EndpointExistsError",
    "EndpointNotFoundError",
    "Error",
    "ExportTargetError",
    "ForkedStoreError",
    "ImportSourceError",
    "InstanceExistsError",
    "InstanceNotFoundError",
    "InstanceRestartedError",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidNameError",
    "InvalidRestoreTimeError",
    "LimitExceededError",
    "NoReaderError",
    "NoSourceError",
    "NotADatabaseError",
    "NotAStoreError",
    "NotAuthorizedError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "QuorumError",
    "RemoteConflictError",
    "RemoteDamagedError",
    "RemoteError",
    "RemoteFormatError",
    "RemoteNotFoundError",
    "RemoteUnavailableError",
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
    "Warning",
    "WriterFencedError",
]


class Warning(Exception):
    """PEP 249: an important warning.  clusterdb raises none."""


class Error(Exception):
    """PEP 249: base of all errors.

    ``aws_code``: the RDS API's code for it; None if the API has none.  ``sqlstate`` and ``errno``: on a connection to
    an aurora-postgresql or aurora-mysql cluster the five characters of SQLSTATE and MySQL's error number; None where
    the engine has none, or it cannot be determined.  ``position`` and ``detail``: on aurora-postgresql the place in the
    statement (a number of characters, from 1) and the DETAIL of the message, where they are known.
    ``sqlite_errorcode`` and ``sqlite_errorname``: SQLite's result
    code and its name, as in ``sqlite3``; absent if the error is not SQLite's.
    """

    aws_code: ClassVar[str | None] = None
    sqlstate: str | None = None
    errno: int | None = None
    position: int | None = None
    detail: str | None = None
    sqlite_errorcode: int
    sqlite_errorname: str


class InterfaceError(Error):
    """PEP 249: the interface was used in a way that it does not support."""


class DatabaseError(Error):
    """PEP 249: base of the errors that concern the database."""


class DataError(DatabaseError):
    """PEP 249: a value is out of range or too large."""


class OperationalError(DatabaseError):
    """PEP 249: an error that the program need not have caused: busy, full, read-only, deleted, no such table."""


class IntegrityError(DatabaseError):
    """PEP 249: a constraint was violated."""


class InternalError(DatabaseError):
    """PEP 249: SQLite has met an internal error."""


class ProgrammingError(DatabaseError):
    """PEP 249: an error of the program: closed object, number of parameters, operation not allowed here."""


class NotSupportedError(DatabaseError):
    """PEP 249: the statement or operation is not supported."""


class NotAuthorizedError(ProgrammingError):
    """A statement on an untrusted connection requested an operation that is not allowed there (SQLITE_AUTH)."""


class LimitExceededError(OperationalError):
    """A statement on an untrusted connection exceeded its limits and was stopped."""


class StoreUnreadableError(OperationalError):
    """The store's directory or files cannot be read or written with this user's rights."""


class StoreUnsafeError(OperationalError):
    """Other users can write to the store's directory, or own it."""


class NotAStoreError(OperationalError):
    """The path does not hold a clusterdb store."""


class StoreFormatError(OperationalError):
    """The store has a format that this release does not read."""


class StoreBusyError(OperationalError, RegistryBusyError):
    """Another process kept the catalog, or the allocation of slots, locked for too long."""


class StoreFailedError(OperationalError):
    """A sync failed, so the state of the device is unknown: close the store and open it again."""


class TooManyConnectionsError(OperationalError):
    """The store has no room for another open connection."""


class TooManyClustersError(OperationalError):
    """The store has no room for another cluster."""

    aws_code = "DBClusterQuotaExceededFault"


class StoreInUseError(OperationalError):
    """The operation needs exclusive access to the store, but other processes or connections have it open."""


class StoreFullError(OperationalError):
    """The device of the store is full."""

    aws_code = "InsufficientStorageClusterCapacity"


class StoreReadOnlyError(OperationalError):
    """The store is open read-only."""


class CorruptStoreError(DatabaseError):
    """Files of the store contradict each other or their checksums."""


class UnsupportedFileSystemError(OperationalError):
    """The store's directory is on a file system whose locks are not reliable."""


class ForkedStoreError(ProgrammingError):
    """The store was opened before a fork; a child process must open its own."""


class ClosedError(ProgrammingError):
    """The store is closed."""


class InvalidNameError(ProgrammingError):
    """The name is not valid for a cluster, snapshot, instance or endpoint."""

    aws_code = "InvalidParameterValue"


class InvalidArgumentError(ProgrammingError):
    """An argument has a value that is not valid here."""

    aws_code = "InvalidParameterValue"


class UnknownEngineError(InvalidArgumentError):
    """No engine has that name."""

    aws_code = "InvalidParameterValue"


class ClusterStateError(OperationalError):
    """The cluster's status does not allow the operation."""

    aws_code = "InvalidDBClusterStateFault"


class DeletionProtectedError(ClusterStateError):
    """The cluster is protected from deletion."""

    aws_code = "InvalidParameterCombination"


class InstanceExistsError(OperationalError):
    """An instance of that name exists."""

    aws_code = "DBInstanceAlreadyExists"


class InstanceNotFoundError(OperationalError):
    """The cluster has no instance of that name."""

    aws_code = "DBInstanceNotFound"


class InstanceRestartedError(OperationalError):
    """The connection's instance crashed, failed over or was deleted: open a new connection."""


class TooManyReadersError(OperationalError):
    """The cluster has 15 readers, the most that a cluster can have."""

    aws_code = "InstanceQuotaExceeded"


class NoReaderError(ClusterStateError):
    """The cluster has no reader to fail over to."""

    aws_code = "InvalidDBClusterStateFault"


class EndpointExistsError(OperationalError):
    """An endpoint of that name exists."""

    aws_code = "DBClusterEndpointAlreadyExistsFault"


class EndpointNotFoundError(OperationalError):
    """The cluster has no endpoint of that name."""

    aws_code = "DBClusterEndpointNotFoundFault"


class InvalidRestoreTimeError(OperationalError):
    """The point in time is outside of the restorable window."""

    aws_code = "InvalidRestoreFault"


class BacktrackDisabledError(InvalidRestoreTimeError):
    """The cluster has no backtrack window."""

    aws_code = "InvalidDBClusterStateFault"


class NoSourceError(OperationalError):
    """The cluster is not a clone, or its source was deleted."""

    aws_code = "DBClusterNotFoundFault"


class CloneLimitError(OperationalError):
    """The cluster has reached its limit of copy-on-write clones."""

    aws_code = "DBClusterQuotaExceededFault"


class ChangesetConflictError(IntegrityError):
    """A change of a changeset conflicts with the cluster's rows; nothing was applied."""


class SnapshotExistsError(OperationalError):
    """A snapshot of that name exists."""

    aws_code = "DBClusterSnapshotAlreadyExistsFault"


class SnapshotNotFoundError(OperationalError):
    """No snapshot has that name."""

    aws_code = "DBClusterSnapshotNotFoundFault"


class ClusterExistsError(OperationalError):
    """A cluster of that name exists."""

    aws_code = "DBClusterAlreadyExistsFault"


class ClusterNotFoundError(OperationalError):
    """No cluster has that name."""

    aws_code = "DBClusterNotFoundFault"


class NotADatabaseError(OperationalError):
    """The file to import is not a SQLite database."""


class ImportSourceError(OperationalError):
    """The file to import cannot be read now: it is locked, needs recovery, or only its own program can check it."""


class DatabaseDamagedError(DatabaseError):
    """The file to import is a SQLite database, but truncated or damaged."""


class ExportTargetError(OperationalError):
    """The file to export to exists, or cannot be written."""


class RemoteError(OperationalError):
    """A repository on object storage cannot be used as asked: no credentials, for example."""


class RemoteNotFoundError(RemoteError):
    """There is no such repository, or it has no such database."""


class RemoteConflictError(RemoteError):
    """What is to be pushed does not descend from what the repository has, or the place belongs to something else."""


class RemoteUnavailableError(RemoteError):
    """The storage of a repository does not answer, or fails."""


class RemoteFormatError(RemoteError):
    """A repository has a format of a newer release."""


class QuorumError(OperationalError):
    """Fewer than four of a cluster's six storage nodes can be reached."""


class WriterFencedError(OperationalError):
    """A cluster was opened from its copies elsewhere: this store is not its writer any more."""


class RemoteDamagedError(DatabaseError):
    """An object of a repository is missing or damaged."""
