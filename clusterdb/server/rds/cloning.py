"""Clones and restores: RestoreDBClusterToPointInTime and RestoreDBClusterFromSnapshot.

``copy-on-write`` is clusterdb's clone; ``full-copy``, AWS's default, is a copy that shares nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters import cloning
from clusterdb.errors import InvalidRestoreTimeError
from clusterdb.server.call import Call, Operation
from clusterdb.server.rds import engines
from clusterdb.server.rds.checks import checked_cluster_values, require_restore_values
from clusterdb.server.rds.cluster_shapes import kept_members, settings_of
from clusterdb.server.rds.clusters import answer, changed
from clusterdb.server.rds.clusters_seen import KIND, Seen, handle, seen, seen_by_resource_id
from clusterdb.server.rds.documents import document, keep
from clusterdb.server.rds.faults import checked_identifier, combination, fault, invalid
from clusterdb.server.rds.snapshot_shapes import KIND as SNAPSHOT
from clusterdb.server.rds.snapshots import snapshot_row

__all__ = ["OPERATIONS"]

_COPY_ON_WRITE, _FULL_COPY = "copy-on-write", "full-copy"
_INHERITED = (
    *("Engine", "EngineVersion", "DatabaseName", "MasterUsername", "StorageEncrypted", "KmsKeyId"),
    *("CharacterSetName", "EngineMode", "StorageType", "PreferredBackupWindow", "PreferredMaintenanceWindow"),
)
"""What a clone has of its source; all else is a default unless the call sets it."""


def restore_db_cluster_to_point_in_time(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = checked_identifier(values["DBClusterIdentifier"], "DBClusterIdentifier")
    restore_type = values.get("RestoreType", _FULL_COPY)
    if restore_type not in (_COPY_ON_WRITE, _FULL_COPY):
        raise invalid(f"Invalid restore type: {restore_type:.100}. Valid values: {_FULL_COPY}, {_COPY_ON_WRITE}")
    time, uses_latest = values.get("RestoreToTime"), bool(values.get("UseLatestRestorableTime"))
    if restore_type == _COPY_ON_WRITE and time is not None:
        raise combination("RestoreToTime can't be specified if RestoreType is copy-on-write.")
    if time is not None and uses_latest:
        raise combination("RestoreToTime can't be specified if UseLatestRestorableTime is specified.")
    if time is None and not uses_latest:
        raise combination("Either RestoreToTime or UseLatestRestorableTime must be specified.")
    source = _source(call, values)
    require_restore_values(values)
    checked_cluster_values(call, values, source.engine, source.version)
    if source.status not in ("available", "stopped"):
        raise fault("InvalidDBClusterStateFault", f"DbCluster {source.name} is not currently in the available state.")
    if restore_type == _COPY_ON_WRITE and not source.instances:
        raise fault(
            "InvalidDBClusterStateFault",
            f"The source DB cluster {source.name} has no DB instances: a DB cluster without instances can't be cloned.",
        )
    if call.store.context.catalog.clusters.named(name) is not None:
        raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    return _cloned(call, source, name, restore_type, time, values)


def _source(call: Call, values: Mapping[str, Any]) -> Seen:
    identifier, resource_id = values.get("SourceDBClusterIdentifier"), values.get("SourceDbClusterResourceId")
    if identifier and resource_id:
        raise combination("SourceDBClusterIdentifier and SourceDbClusterResourceId can't be specified together.")
    if identifier:
        return seen(call, identifier)
    if not resource_id:
        raise combination("Either SourceDBClusterIdentifier or SourceDbClusterResourceId must be specified.")
    found = seen_by_resource_id(call, resource_id)
    if found is None:
        raise fault(
            "DBClusterAutomatedBackupNotFoundFault", f"No automated backup was found for the DB cluster {resource_id}."
        )
    return found


def _cloned(
    call: Call, source: Seen, name: str, restore_type: str, time: datetime | None, values: Mapping[str, Any]
) -> dict[str, Any]:
    if time is not None and time > datetime.now(timezone.utc):
        raise fault("InvalidRestoreFault", "RestoreToTime must be before the latest restorable time of the DB cluster.")
    if restore_type == _COPY_ON_WRITE and _has_all_clones(call, source):
        restore_type = _FULL_COPY
    settings = {"backtrack_window_s": 0, "deletion_protection": False, **settings_of(values)}
    kept = {**_inherited(source), **kept_members(values), "HttpEndpointEnabled": False}
    group = source.row.clone_group if restore_type == _COPY_ON_WRITE else source.clone_group
    if group is not None:
        kept["CloneGroupId"] = group
    if values.get("KmsKeyId"):
        kept["StorageEncrypted"] = True

    def also(row: ClusterRow) -> None:
        keep(call.store, KIND, kept, cluster=row.cluster)
        if group is not None and source.kept.get("CloneGroupId") != group:
            changed(call, source, {"CloneGroupId": group})

    try:
        row = cloning.clone(call.store.context, handle(call, source), name, time, restore_type, settings, also)
    except InvalidRestoreTimeError as error:
        raise fault("InvalidRestoreFault", str(error)) from None
    return answer(call, row.cluster, status="creating")


def _has_all_clones(call: Call, source: Seen) -> bool:
    """Whether the server's limit makes the next clone a full copy."""
    limit = call.serving.clone_limit
    return limit is not None and call.store.context.catalog.clusters.clone_count(source.row.clone_group) > limit


def _inherited(source: Seen) -> dict[str, Any]:
    inherited = {member: source.kept[member] for member in _INHERITED if member in source.kept}
    return {"Engine": source.engine.name, "EngineVersion": source.version, **inherited}


def restore_db_cluster_from_snapshot(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = checked_identifier(values["DBClusterIdentifier"], "DBClusterIdentifier")
    row = snapshot_row(call, values["SnapshotIdentifier"])
    snapshot = document(call.store, SNAPSHOT, str(row.snapshot)) or {}
    engine = engines.engine_named(values["Engine"])
    if engine.flavour != row.settings.engine:
        raise combination(f"The engine {engine.name} does not match the engine of the snapshot {row.name}.")
    version = engines.resolved_version(engine, values.get("EngineVersion") or snapshot.get("EngineVersion"))
    require_restore_values(values)
    checked_cluster_values(call, values, engine, version)
    if call.store.context.catalog.clusters.named(name) is not None:
        raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    retention = max(1, row.settings.backup_retention_days)
    settings = {"backup_retention_days": retention, "backtrack_window_s": 0, **settings_of(values)}
    inherited = {member: snapshot[member] for member in _INHERITED if member in snapshot}
    inherited |= document(call.store, "DBCluster", f"snapshot:{row.snapshot}") or {}
    kept = {**inherited, **kept_members(values), "Engine": engine.name, "EngineVersion": version}
    if values.get("KmsKeyId"):
        kept["StorageEncrypted"] = True

    def also(added: ClusterRow) -> None:
        keep(call.store, KIND, {**kept, "HttpEndpointEnabled": False}, cluster=added.cluster)

    restored = cloning.restore_snapshot(call.store.context, row.name, name, settings, also)
    return answer(call, restored.cluster, status="creating")


OPERATIONS: Mapping[str, Operation] = {
    "RestoreDBClusterToPointInTime": restore_db_cluster_to_point_in_time,
    "RestoreDBClusterFromSnapshot": restore_db_cluster_from_snapshot,
}
