"""Clusters of SQLite databases that clone in constant time.

    import clusterdb
    store = clusterdb.open("./store")
    prod = store.create_cluster("prod", from_file="app.db")
    dev = prod.clone("dev")
    connection = dev.connect()

See README.md, and ``clusterdb/ARCHITECTURE.md`` for how it is built.
"""

from clusterdb.backups import Snapshot
from clusterdb.billing import Bill
from clusterdb.cluster import Cluster, ClusterStats
from clusterdb.errors import (
    BacktrackDisabledError,
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
    Error,
    ExportTargetError,
    ForkedStoreError,
    InstanceExistsError,
    InstanceNotFoundError,
    InstanceRestartedError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidRestoreTimeError,
    NoReaderError,
    NoSourceError,
    NotADatabaseError,
    NotAStoreError,
    SnapshotExistsError,
    SnapshotNotFoundError,
    StoreBusyError,
    StoreFormatError,
    StoreFullError,
    StoreInUseError,
    StoreReadOnlyError,
    StoreUnreadableError,
    TooManyReadersError,
    UnknownEngineError,
    UnsupportedFileSystemError,
)
from clusterdb.instances import Endpoint, Instance, ReplicaStatus
from clusterdb.points import Point
from clusterdb.settings import ClusterSettings
from clusterdb.sqlite import Connection
from clusterdb.store import Event, Store, StoreStats, open, repair
from vfs.check import CheckReport
from vfs.sweep import SweepReport

__version__ = "0.1.0"

__all__ = [
    "BacktrackDisabledError",
    "Bill",
    "CheckReport",
    "CloneLimitError",
    "ClosedError",
    "Cluster",
    "ClusterExistsError",
    "ClusterNotFoundError",
    "ClusterSettings",
    "ClusterStateError",
    "ClusterStats",
    "Connection",
    "CorruptStoreError",
    "DatabaseDamagedError",
    "DeletionProtectedError",
    "Endpoint",
    "EndpointExistsError",
    "EndpointNotFoundError",
    "Error",
    "Event",
    "ExportTargetError",
    "ForkedStoreError",
    "Instance",
    "InstanceExistsError",
    "InstanceNotFoundError",
    "InstanceRestartedError",
    "InvalidArgumentError",
    "InvalidNameError",
    "InvalidRestoreTimeError",
    "NoReaderError",
    "NoSourceError",
    "NotADatabaseError",
    "NotAStoreError",
    "Point",
    "ReplicaStatus",
    "Snapshot",
    "SnapshotExistsError",
    "SnapshotNotFoundError",
    "Store",
    "StoreBusyError",
    "StoreFormatError",
    "StoreFullError",
    "StoreInUseError",
    "StoreReadOnlyError",
    "StoreStats",
    "StoreUnreadableError",
    "SweepReport",
    "TooManyReadersError",
    "UnknownEngineError",
    "UnsupportedFileSystemError",
    "open",
    "repair",
]
