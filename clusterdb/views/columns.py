"""The columns that a list shows of each kind of record: a header, and the cell made of a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from clusterdb.views.text import bytes_text, table, time_text

if TYPE_CHECKING:
    from clusterdb.clusters.billing import Bill
    from clusterdb.clusters.figures import ClusterDetails, ClusterStats, Event, ListedCluster
    from clusterdb.ha.endpoints import Endpoint
    from clusterdb.ha.instances import Instance
    from clusterdb.ha.replica_status import ReplicaStatus
    from clusterdb.past.snapshots import Snapshot
    from clusterdb.remote import RemoteDatabase
    from clusterdb.zones.status import NodeStatus

__all__ = [
    "BILLS",
    "CLUSTERS",
    "ENDPOINTS",
    "EVENTS",
    "INSTANCES",
    "LISTED",
    "LISTED_DEFAULT",
    "NODES",
    "REMOTE",
    "REPLICAS",
    "SNAPSHOTS",
    "Columns",
    "pays_text",
    "records_table",
    "row_of",
    "size_rows",
    "source_text",
]

Record = TypeVar("Record")
Columns = Mapping[str, Callable[[Record], object]]
"""The header of each column, and the function that makes its cell of a record."""

REMOTE: Columns[RemoteDatabase] = {
    "database": lambda database: database.name,
    "version": lambda database: database.version,
    "size": lambda database: bytes_text(database.size_bytes),
    "engine": lambda database: database.engine,
    "pushed": lambda database: time_text(database.pushed_at),
}
NODES: Columns[NodeStatus] = {
    "node": lambda node: node.number,
    "zone": lambda node: node.zone,
    "status": lambda node: node.status,
    "batch": lambda node: node.batch if node.status != "lost" else None,
    "behind": lambda node: node.batches_behind if node.status != "lost" else None,
    "url": lambda node: node.url,
    "problem": lambda node: node.problem,
}
CLUSTERS: Columns[ClusterStats] = {
    "cluster": lambda stats: stats.name,
    "cloned from": lambda stats: stats.source,
    "version": lambda stats: stats.version,
    "logical": lambda stats: bytes_text(stats.logical_bytes),
    "own": lambda stats: bytes_text(stats.own_bytes),
    "shared": lambda stats: bytes_text(stats.shared_bytes),
    "created": lambda stats: time_text(stats.created_at),
}
LISTED: Columns[tuple[ListedCluster, Bill | None]] = {
    "cluster": lambda row: row[0].stats.name,
    "cloned from": lambda row: source_text(row[0]),
    "version": lambda row: row[0].stats.version,
    "logical": lambda row: bytes_text(row[0].stats.logical_bytes),
    "own": lambda row: bytes_text(row[0].stats.own_bytes),
    "shared": lambda row: bytes_text(row[0].stats.shared_bytes),
    "pays": lambda row: pays_text(row[1]) if row[1] is not None else None,
    "created": lambda row: time_text(row[0].stats.created_at),
    "status": lambda row: row[0].status,
    "engine": lambda row: row[0].settings.engine,
    "zones": lambda row: ", ".join(name for name, *_ in row[0].settings.zones),
    "tags": lambda row: ", ".join(f"{key}={value}" for key, value in sorted(row[0].settings.tags.items())),
    "test": lambda row: row[0].test,
}
"""A cluster, and its bill if the column ``pays`` is shown."""
LISTED_DEFAULT = ("cluster", "cloned from", "version", "logical", "own", "shared", "created")
SNAPSHOTS: Columns[Snapshot] = {
    "snapshot": lambda snapshot: snapshot.name,
    "cluster": lambda snapshot: snapshot.cluster,
    "version": lambda snapshot: snapshot.version,
    "shows": lambda snapshot: time_text(snapshot.taken_at),
    "logical": lambda snapshot: bytes_text(snapshot.logical_bytes),
}
INSTANCES: Columns[Instance] = {
    "instance": lambda instance: instance.name,
    "role": lambda instance: instance.role,
    "class": lambda instance: instance.instance_class,
    "tier": lambda instance: instance.promotion_tier,
    "zone": lambda instance: instance.availability_zone,
    "lag ms": lambda instance: instance.replica_lag_ms,
    "jitter ms": lambda instance: instance.lag_jitter_ms,
}
ENDPOINTS: Columns[Endpoint] = {
    "endpoint": lambda endpoint: endpoint.name,
    "kind": lambda endpoint: endpoint.kind,
    "type": lambda endpoint: endpoint.type,
    "leads to": lambda endpoint: ", ".join(endpoint.members),
}
REPLICAS: Columns[ReplicaStatus] = {
    "instance": lambda replica: replica.server_id,
    "session": lambda replica: replica.session_id,
    "durable": lambda replica: replica.durable_lsn,
    "reads": lambda replica: replica.current_read_lsn,
    "lag ms": lambda replica: replica.replica_lag_in_msec,
}
EVENTS: Columns[Event] = {
    "time": lambda event: time_text(event.time),
    "kind": lambda event: event.kind,
    "name": lambda event: event.source,
    "what": lambda event: event.message,
}
BILLS: Columns[Bill] = {
    "kind": lambda bill: bill.kind,
    "name": lambda bill: bill.name,
    "written": lambda bill: bytes_text(bill.own_bytes),
    "part of shared": lambda bill: bytes_text(round(bill.shared_bytes)),
    "pays": lambda bill: pays_text(bill),
}


def row_of(record: Record, columns: Columns[Record]) -> list[object]:
    """The cells of a record, in the order of the columns."""
    return [cell(record) for cell in columns.values()]


def records_table(records: Iterable[Record], columns: Columns[Record], *, width: int | None = None) -> str:
    """Records as a text table; with ``width``, long texts are cut."""
    return table([row_of(record, columns) for record in records], list(columns), width=width)


def pays_text(bill: Bill) -> str:
    """The bytes that a cluster or a snapshot pays for."""
    return bytes_text(round(bill.bytes))


def source_text(cluster: ListedCluster | ClusterDetails) -> str | None:
    """The source of a clone, and whether it was deleted."""
    source = cluster.stats.source
    return source if source is None or cluster.has_source else f"{source} (deleted)"


def size_rows(stats: ClusterStats) -> list[tuple[str, str]]:
    """The sizes of a cluster as rows of a name and a size: its database, its own slots, the shared ones."""
    return [
        ("logical", bytes_text(stats.logical_bytes)),
        ("own", bytes_text(stats.own_bytes)),
        ("shared", bytes_text(stats.shared_bytes)),
    ]
