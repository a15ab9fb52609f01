"""Clusters of SQLite databases that clone in constant time.

    import clusterdb
    store = clusterdb.open("./store")
    prod = store.create_cluster("prod", from_file="app.db")
    dev = prod.clone("dev")
    connection = clusterdb.connect(dev)

The module is a DB-API 2.0 module too (PEP 249), see :mod:`clusterdb.dbapi2`.

See README.md, and ``clusterdb/ARCHITECTURE.md`` for how it is built.
"""

from clusterdb.backups import Snapshot
from clusterdb.billing import Bill
from clusterdb.cluster import Cluster, ClusterStats
from clusterdb.dbapi2 import Blob, Connection, Cursor, Row, apilevel, connect, paramstyle, threadsafety
from clusterdb.errors import (
    BacktrackDisabledError,
    CloneLimitError,
    ClosedError,
    ClusterExistsError,
    ClusterNotFoundError,
    ClusterStateError,
    CorruptStoreError,
    DatabaseDamagedError,
    DatabaseError,
    DataError,
    DeletionProtectedError,
    EndpointExistsError,
    EndpointNotFoundError,
    Error,
    ExportTargetError,
    ForkedStoreError,
    InstanceExistsError,
    InstanceNotFoundError,
    InstanceRestartedError,
    IntegrityError,
    InterfaceError,
    InternalError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidRestoreTimeError,
    NoReaderError,
    NoSourceError,
    NotADatabaseError,
    NotAStoreError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
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
    Warning,
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
    "Blob",
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
    "Cursor",
    "DataError",
    "DatabaseDamagedError",
    "DatabaseError",
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
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidNameError",
    "InvalidRestoreTimeError",
    "NoReaderError",
    "NoSourceError",
    "NotADatabaseError",
    "NotAStoreError",
    "NotSupportedError",
    "OperationalError",
    "Point",
    "ProgrammingError",
    "ReplicaStatus",
    "Row",
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
    "Warning",
    "apilevel",
    "connect",
    "open",
    "paramstyle",
    "repair",
    "threadsafety",
]
