"""Clusters of SQLite databases that clone in constant time.

    import clusterdb
    store = clusterdb.open("./store")
    prod = store.create_cluster("prod", from_file="app.db")
    dev = prod.clone("dev")
    connection = dev.connect()

See README.md, and ``clusterdb/ARCHITECTURE.md`` for how it is built.
"""

from clusterdb.cluster import Cluster, ClusterStats
from clusterdb.errors import (
    ClosedError,
    ClusterExistsError,
    ClusterNotFoundError,
    CorruptStoreError,
    DatabaseDamagedError,
    Error,
    ExportTargetError,
    ForkedStoreError,
    InvalidArgumentError,
    InvalidNameError,
    NotADatabaseError,
    NotAStoreError,
    StoreBusyError,
    StoreFormatError,
    StoreFullError,
    StoreInUseError,
    StoreReadOnlyError,
    StoreUnreadableError,
    UnsupportedFileSystemError,
)
from clusterdb.sqlite import Connection
from clusterdb.store import Store, StoreStats, open, repair
from vfs.check import CheckReport
from vfs.sweep import SweepReport

__version__ = "0.1.0"

__all__ = [
    "CheckReport",
    "ClosedError",
    "Cluster",
    "ClusterExistsError",
    "ClusterNotFoundError",
    "ClusterStats",
    "Connection",
    "CorruptStoreError",
    "DatabaseDamagedError",
    "Error",
    "ExportTargetError",
    "ForkedStoreError",
    "InvalidArgumentError",
    "InvalidNameError",
    "NotADatabaseError",
    "NotAStoreError",
    "Store",
    "StoreBusyError",
    "StoreFormatError",
    "StoreFullError",
    "StoreInUseError",
    "StoreReadOnlyError",
    "StoreStats",
    "StoreUnreadableError",
    "SweepReport",
    "UnsupportedFileSystemError",
    "open",
    "repair",
]
