"""Backtracks, and automated backups: the past of clusters."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from clusterdb.errors import ClusterNotFoundError, InvalidRestoreTimeError
from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.cluster_shapes import db_cluster
from clusterdb.server.rds.clusters_seen import Seen, all_seen, handle, require_available, seen
from clusterdb.server.rds.documents import all_documents, keep
from clusterdb.server.rds.faults import fault, invalid
from clusterdb.server.rds.paging import filtered, paged

__all__ = ["OPERATIONS"]

_KIND = "DBClusterBacktrack"
_KEPT_MAX = 100


def backtrack_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found = seen(call, values["DBClusterIdentifier"])
    require_available(found)
    window_s = found.row.settings.backtrack_window_s
    if not window_s:
        raise fault("InvalidDBClusterStateFault", "Backtrack is not enabled for the DB cluster.")
    now, wanted = datetime.now(timezone.utc), values["BacktrackTo"]
    if wanted > now:
        raise invalid("The parameter BacktrackTo must be a time in the past.")
    cluster = handle(call, found)
    try:
        cluster.backtrack(wanted)
    except InvalidRestoreTimeError as error:
        if not values.get("UseEarliestTimeOnPointInTimeUnavailable"):
            raise invalid(f"The specified time is outside of the backtrack window: {error}") from None
        wanted = max(handle(call, found).restorable()[0], now - timedelta(seconds=window_s))
        try:
            cluster.backtrack(wanted)
        except InvalidRestoreTimeError as again:
            raise fault("InvalidDBClusterStateFault", str(again)) from None
    identifier = str(uuid.uuid4())
    entry = {
        "DBClusterIdentifier": found.name,
        "BacktrackIdentifier": identifier,
        "BacktrackTo": wanted,
        "BacktrackedFrom": now,
        "BacktrackRequestCreationTime": now,
        "Status": "COMPLETED",
    }
    keep(call.store, _KIND, entry, identifier, cluster=found.row.cluster)
    _forget_old(call, found)
    return {**entry, "Status": "PENDING"}


def _forget_old(call: Call, found: Seen) -> None:
    catalog = call.store.context.catalog
    entries = sorted(
        all_documents(call.store, _KIND, found.row.cluster).items(),
        key=lambda item: item[1]["BacktrackRequestCreationTime"],
    )
    with catalog.transaction():
        for (cluster, name), _ in entries[:-_KEPT_MAX]:
            catalog.documents.remove(cluster, _KIND, name)


def describe_db_cluster_backtracks(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found = seen(call, values["DBClusterIdentifier"])
    entries = sorted(
        all_documents(call.store, _KIND, found.row.cluster).values(),
        key=lambda entry: entry["BacktrackRequestCreationTime"],
        reverse=True,
    )
    wanted = values.get("BacktrackIdentifier")
    if wanted:
        entries = [entry for entry in entries if entry["BacktrackIdentifier"] == wanted]
        if not entries:
            raise fault("DBClusterBacktrackNotFoundFault", f"Backtrack {wanted} not found.")
    matching = filtered(
        values,
        [{**entry, "DBClusterIdentifier": found.name} for entry in entries],
        {
            "db-cluster-backtrack-id": lambda entry: [entry["BacktrackIdentifier"]],
            "db-cluster-backtrack-status": lambda entry: [entry["Status"], entry["Status"].lower()],
        },
    )
    newest_first = {str(entry["BacktrackIdentifier"]): f"{at:08d}" for at, entry in enumerate(matching)}
    page, marker = paged(values, "backtracks", matching, lambda entry: newest_first[entry["BacktrackIdentifier"]])
    return {"DBClusterBacktracks": page, **marker}


# --- automated backups ------------------------------------------------------------------------------------------------
def describe_db_cluster_automated_backups(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    clusters = [found for found in all_seen(call) if found.row.settings.backup_retention_days]
    identifier, resource_id = values.get("DBClusterIdentifier"), values.get("DbClusterResourceId")
    if identifier:
        clusters = [found for found in clusters if identifier.lower() in (found.name.lower(), found.arn.lower())]
    if resource_id:
        clusters = [found for found in clusters if found.resource_id == resource_id]
    if (identifier or resource_id) and not clusters:
        raise fault(
            "DBClusterAutomatedBackupNotFoundFault", f"No automated backup of {identifier or resource_id} exists."
        )
    matching = filtered(
        values,
        clusters,
        {
            "status": lambda found: ["active"],
            "db-cluster-id": lambda found: [found.name, found.arn],
            "db-cluster-resource-id": lambda found: [found.resource_id],
        },
    )
    page, marker = paged(values, "backups", matching, lambda found: found.name)
    return {"DBClusterAutomatedBackups": [_backup(call, found) for found in page], **marker}


def _backup(call: Call, found: Seen) -> dict[str, Any]:
    cluster = db_cluster(found)
    shared = (
        *(
            "DBClusterIdentifier",
            "DBClusterArn",
            "DbClusterResourceId",
            "Engine",
            "EngineVersion",
            "EngineMode",
            "Port",
        ),
        *("MasterUsername", "ClusterCreateTime", "StorageEncrypted", "KmsKeyId", "AllocatedStorage", "StorageType"),
        *("BackupRetentionPeriod", "PreferredBackupWindow", "AvailabilityZones", "IAMDatabaseAuthenticationEnabled"),
    )
    shape = {member: cluster[member] for member in shared if member in cluster}
    with suppress(ClusterNotFoundError):
        earliest, latest = handle(call, found).restorable()
        shape["RestoreWindow"] = {"EarliestTime": earliest, "LatestTime": latest}
    digest = found.place.resource_id("ab", found.row.cluster).lower()
    return {
        **shape,
        "VpcId": "vpc-00000000",
        "Region": found.place.region,
        "Status": "active",
        "LicenseModel": "postgresql-license" if found.engine.name == "aurora-postgresql" else found.engine.name,
        "DBClusterAutomatedBackupsArn": found.place.arn("cluster-auto-backup", digest),
    }


OPERATIONS: Mapping[str, Operation] = {
    "BacktrackDBCluster": backtrack_db_cluster,
    "DescribeDBClusterBacktracks": describe_db_cluster_backtracks,
    "DescribeDBClusterAutomatedBackups": describe_db_cluster_automated_backups,
}
