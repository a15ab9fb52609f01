"""Clusters of SQLite databases that clone in constant time.

    import clusterdb
    store = clusterdb.open("./store")
    prod = store.create_cluster("prod", from_file="app.db")
    dev = prod.clone("dev")
    connection = clusterdb.connect(dev)

The module is a DB-API 2.0 module too (PEP 249), see :mod:`clusterdb.dbapi2`.

See README.md, and ``clusterdb/ARCHITECTURE.md`` for how it is built.
"""

from typing import Any

from clusterdb import dbapi2
from clusterdb.backups import Snapshot
from clusterdb.billing import Bill
from clusterdb.cluster import Cluster, ClusterStats
from clusterdb.dbapi2 import *  # noqa: F403 - what PEP 249 and sqlite3 have
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
    "CorruptStoreError",
    "DatabaseDamagedError",
    "DeletionProtectedError",
    "Endpoint",
    "EndpointExistsError",
    "EndpointNotFoundError",
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
__all__ += dbapi2.__all__


def __getattr__(name: str) -> Any:
    """The SQLITE_ constants."""
    return getattr(dbapi2, name) if name.startswith("SQLITE_") else _missing(name)


def _missing(name: str) -> Any:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
