"""The public names of ``clusterdb``, and the modules that define them."""

from clusterdb import dbapi2
from clusterdb.access.untrusted import Limits
from clusterdb.clusters.billing import Bill
from clusterdb.clusters.figures import ClusterStats, Event, StoreStats
from clusterdb.dbapi2 import *  # noqa: F403 - what PEP 249 and sqlite3 have
from clusterdb.diff import Applied, Diff, RowChange, SchemaChange, TableChanges
from clusterdb.errors import (
    BacktrackDisabledError,
    ChangesetConflictError,
    CloneLimitError,
    ClosedError,
    ClusterExistsError,
    ClusterNotFoundError,
    ClusterStateError,
    CorruptStoreError,
    DatabaseDamagedError,
    DeletionProtectedError,
    EndpointExistsError,
    EndpointNotFoundError,
    ExportTargetError,
    ForkedStoreError,
    ImportSourceError,
    InstanceExistsError,
    InstanceNotFoundError,
    InstanceRestartedError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidRestoreTimeError,
    LimitExceededError,
    NoReaderError,
    NoSourceError,
    NotADatabaseError,
    NotAStoreError,
    NotAuthorizedError,
    SnapshotExistsError,
    SnapshotNotFoundError,
    StoreBusyError,
    StoreFailedError,
    StoreFormatError,
    StoreFullError,
    StoreInUseError,
    StoreReadOnlyError,
    StoreUnreadableError,
    StoreUnsafeError,
    TooManyClustersError,
    TooManyConnectionsError,
    TooManyReadersError,
    UnknownEngineError,
    UnsupportedFileSystemError,
)
from clusterdb.flavours.loaded import LoadedDump
from clusterdb.ha.endpoints import Endpoint
from clusterdb.ha.instances import Instance
from clusterdb.ha.replica_status import ReplicaStatus
from clusterdb.history import Answer, Bisection, LogEntry
from clusterdb.past.find import Moment
from clusterdb.past.snapshots import Snapshot
from clusterdb.past.switching import Switched
from clusterdb.rules.points import Point
from clusterdb.rules.settings import ClusterSettings
from clusterdb.store import Cluster, Store, open, repair
from vfs.reclaim.sweep import SweepReport
from vfs.tools.check import CheckReport

__all__ = [
    "Answer",
    "Applied",
    "BacktrackDisabledError",
    "Bill",
    "Bisection",
    "ChangesetConflictError",
    "CheckReport",
    "CloneLimitError",
    "ClosedError",
    "Cluster",
    "ClusterExistsError",
    "ClusterNotFoundError",
    "ClusterSettings",
    "ClusterStateError",
    "ClusterStats",
    "CorruptStoreError",
    "DatabaseDamagedError",
    "DeletionProtectedError",
    "Diff",
    "Endpoint",
    "EndpointExistsError",
    "EndpointNotFoundError",
    "Event",
    "ExportTargetError",
    "ForkedStoreError",
    "ImportSourceError",
    "Instance",
    "InstanceExistsError",
    "InstanceNotFoundError",
    "InstanceRestartedError",
    "InvalidArgumentError",
    "InvalidNameError",
    "InvalidRestoreTimeError",
    "LimitExceededError",
    "Limits",
    "LoadedDump",
    "LogEntry",
    "Moment",
    "NoReaderError",
    "NoSourceError",
    "NotADatabaseError",
    "NotAStoreError",
    "NotAuthorizedError",
    "Point",
    "ReplicaStatus",
    "RowChange",
    "SchemaChange",
    "Snapshot",
    "SnapshotExistsError",
    "SnapshotNotFoundError",
    "Store",
    "StoreBusyError",
    "StoreFailedError",
    "StoreFormatError",
    "StoreFullError",
    "StoreInUseError",
    "StoreReadOnlyError",
    "StoreStats",
    "StoreUnreadableError",
    "StoreUnsafeError",
    "SweepReport",
    "Switched",
    "TableChanges",
    "TooManyClustersError",
    "TooManyConnectionsError",
    "TooManyReadersError",
    "UnknownEngineError",
    "UnsupportedFileSystemError",
    "open",
    "repair",
]
__all__ += dbapi2.__all__
