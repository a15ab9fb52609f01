"""The structure ``DBClusterSnapshot``, and what is kept for a snapshot when it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.catalog.rows import SnapshotRow
from clusterdb.past.find import utc
from clusterdb.server.call import Call
from clusterdb.server.rds import engines
from clusterdb.server.rds.cluster_shapes import db_cluster, tag_list
from clusterdb.server.rds.clusters_seen import Seen
from clusterdb.server.rds.documents import document, keep
from clusterdb.server.rds.naming import place_of

__all__ = ["KIND", "db_cluster_snapshot", "keep_snapshot"]

KIND = "DBClusterSnapshot"
_OF_CLUSTER = (
    *("AvailabilityZones", "DBClusterIdentifier", "Engine", "EngineMode", "ClusterCreateTime"),
    *("MasterUsername", "EngineVersion", "StorageEncrypted", "KmsKeyId", "IAMDatabaseAuthenticationEnabled"),
    *("StorageType", "DbClusterResourceId", "BackupRetentionPeriod", "PreferredBackupWindow"),
)


def keep_snapshot(call: Call, name: str, found: Seen, tags: Mapping[str, str]) -> None:
    """Keep what a snapshot needs of its cluster, which may be deleted before it is restored."""
    cluster = db_cluster(found)
    kept = {member: cluster[member] for member in _OF_CLUSTER if member in cluster}
    row = call.store.context.catalog.snapshots.named(name)
    if row is not None:
        keep(call.store, KIND, {**kept, "TagList": tag_list(tags)}, str(row.snapshot))
        database = found.kept.get("DatabaseName")
        if database is not None:  # DBClusterSnapshot has no such member
            keep(call.store, "DBCluster", {"DatabaseName": database}, f"snapshot:{row.snapshot}")


def db_cluster_snapshot(
    call: Call, row: SnapshotRow, kept: dict[str, Any] | None = None, *, status: str = "available"
) -> dict[str, Any]:
    """``DBClusterSnapshot``; ``kept`` is read if it is None."""
    place = place_of(call)
    if kept is None:
        kept = document(call.store, KIND, str(row.snapshot)) or {}
    engine = engines.ENGINES[kept.get("Engine") or row.settings.engine]
    return {
        "AvailabilityZones": place.zones(),
        "DBClusterIdentifier": row.cluster,
        "EngineMode": "provisioned",
        "AllocatedStorage": 1,
        "VpcId": "vpc-00000000",
        "MasterUsername": "admin",
        "EngineVersion": engines.default_version(engine),
        "StorageEncrypted": False,
        "IAMDatabaseAuthenticationEnabled": False,
        "TagList": [],
        **kept,
        "Engine": engine.name,
        "LicenseModel": {"aurora-postgresql": "postgresql-license"}.get(engine.name, engine.name),
        "DBClusterSnapshotIdentifier": row.name,
        "SnapshotCreateTime": utc(row.created_ns),
        "Status": status,
        "SnapshotType": "manual",
        "Port": 0,
        "PercentProgress": 0 if status == "creating" else 100,
        "DBClusterSnapshotArn": place.arn("cluster-snapshot", row.name),
    }
