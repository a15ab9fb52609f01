"""Clusters of SQLite databases that clone in constant time.

    import clusterdb
    store = clusterdb.open("./store")
    prod = store.create_cluster("prod", from_file="app.db")
    dev = prod.clone("dev")
    connection = dev.connect()

See README.md, and ``clusterdb/ARCHITECTURE.md`` for how it is built.
"""

from clusterdb.backups import Snapshot
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
    Error,
    ExportTargetError,
    ForkedStoreError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidRestoreTimeError,
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
    UnknownEngineError,
    UnsupportedFileSystemError,
)
from clusterdb.points import Point
from clusterdb.settings import ClusterSettings
from clusterdb.sqlite import Connection
from clusterdb.store import Store, StoreStats, open, repair
from vfs.check import CheckReport
from vfs.sweep import SweepReport

__version__ = "0.1.0"

__all__ = [
    "BacktrackDisabledError",
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
    "Error",
    "ExportTargetError",
    "ForkedStoreError",
    "InvalidArgumentError",
    "InvalidNameError",
    "InvalidRestoreTimeError",
    "NoSourceError",
    "NotADatabaseError",
    "NotAStoreError",
    "Point",
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
    "UnknownEngineError",
    "UnsupportedFileSystemError",
    "open",
    "repair",
]
