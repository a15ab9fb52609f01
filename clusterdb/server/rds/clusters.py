"""Verbs of clusters: create, describe, modify, delete; start, stop, reboot, fail over; the Data API's switch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters.creating import create
from clusterdb.core.volumes import writers_held_off
from clusterdb.errors import ClusterNotFoundError
from clusterdb.ha.instances import restart_all
from clusterdb.server.call import Call, Operation
from clusterdb.server.faults import Fault
from clusterdb.server.rds import engines
from clusterdb.server.rds.checks import checked_cluster_values
from clusterdb.server.rds.cluster_shapes import db_cluster, kept_members, settings_of
from clusterdb.server.rds.clusters_seen import (
    KIND,
    Seen,
    all_seen,
    handle,
    require_available,
    seen,
    seen_of,
    status_key,
)
from clusterdb.server.rds.documents import document, keep
from clusterdb.server.rds.faults import checked_identifier, combination, fault, invalid
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.paging import filtered, paged
from clusterdb.server.rds.snapshot_shapes import keep_snapshot
from clusterdb.server.rds.transitions import transitions_of
from clusterdb.store import Cluster

__all__ = ["OPERATIONS", "answer", "changed", "require_free_snapshot", "require_password", "with_times"]


def with_times(call: Call, view: Seen, *, status: str | None = None) -> dict[str, Any]:
    """``DBCluster`` with the times that can be restored; they are absent while the cluster is being created."""
    times = None
    if (status or view.status) != "creating":
        with suppress(ClusterNotFoundError):
            times = handle(call, view).restorable()
    return db_cluster(view, times, status=status)


def answer(call: Call, number: int, *, status: str | None = None) -> dict[str, Any]:
    """The output with the present ``DBCluster`` of a row, shown with a transitional status."""
    row = call.store.context.catalog.clusters.get(number)
    if row is None:
        raise fault("DBClusterNotFoundFault", "The DB cluster was deleted meanwhile.")
    if status is not None:
        transitions_of(call).begin("cluster", status_key(call, number), status, call.serving.delay_s)
    return {"DBCluster": with_times(call, seen_of(call, row), status=status)}


def changed(call: Call, view: Seen, changes: Mapping[str, Any]) -> None:
    """Keep changed members for a cluster; None forgets a member."""
    context = call.store.context
    context.require_writable()
    with context.catalog.transaction():
        kept = document(call.store, KIND, cluster=view.row.cluster)
        if kept is None:  # what was derived so far is kept from now on
            kept = {"HttpEndpointEnabled": view.has_http_endpoint}
            if view.clone_group is not None:
                kept["CloneGroupId"] = view.clone_group
        keep(call.store, KIND, {**kept, **changes}, cluster=view.row.cluster)


_EXPRESS: dict[str, Any] = {
    "MasterUsername": "postgres",
    "BackupRetentionPeriod": 7,
    "EnableIAMDatabaseAuthentication": True,
    "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.0, "MaxCapacity": 16.0, "SecondsUntilAutoPause": 300},
}


# --- create, describe -------------------------------------------------------------------------------------------------
def create_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = checked_identifier(values["DBClusterIdentifier"], "DBClusterIdentifier")
    engine = engines.engine_named(values["Engine"])
    version = engines.resolved_version(engine, values.get("EngineVersion"))
    is_express = bool(values.get("WithExpressConfiguration"))
    if is_express:
        values = {**_EXPRESS, **values}
    checked_cluster_values(call, values, engine, version)
    global_name = _global_name(call, values)
    if call.store.context.catalog.clusters.named(name) is not None:
        raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    _require_master(values, engine, is_express=is_express)
    settings = {"backup_retention_days": 1, **settings_of(values), "engine": engine.flavour}
    kept = {**kept_members(values), "Engine": engine.name, "EngineVersion": version}
    kept.setdefault("HttpEndpointEnabled", False)
    if global_name is not None:
        kept["GlobalClusterIdentifier"] = global_name

    def also(row: ClusterRow) -> None:
        if values.get("ManageMasterUserPassword"):
            kept["MasterUserSecret"] = _secret(call, row.cluster, values)
        keep(call.store, KIND, kept, cluster=row.cluster)

    row = create(call.store.context, name, None, None, settings, check=True, progress=None, also=also)
    if is_express:
        Cluster(call.store, name, row.cluster).add_instance(f"{name}-instance-1", instance_class="db.serverless")
    return answer(call, row.cluster, status="creating")


def _global_name(call: Call, values: Mapping[str, Any]) -> str | None:
    """The name of the global cluster that a new cluster is the primary of.  Raises Fault."""
    identifier = values.get("GlobalClusterIdentifier")
    if not identifier:
        return None
    name = place_of(call).name_in(identifier, "global-cluster").lower()
    if document(call.store, "GlobalCluster", name) is None:
        raise fault("GlobalClusterNotFoundFault", f"Global cluster {identifier} not found.")
    if any(view.kept.get("GlobalClusterIdentifier") == name for view in all_seen(call)):
        raise fault(
            "InvalidGlobalClusterStateFault", f"Global cluster {name} has a primary; secondaries are not available."
        )
    return name


def _require_master(values: Mapping[str, Any], engine: engines.Engine, *, is_express: bool) -> None:
    """Check the master user and its password, which nothing checks later: SQLite has no users."""
    password, is_managed = values.get("MasterUserPassword"), bool(values.get("ManageMasterUserPassword"))
    if password and is_managed:
        raise combination("You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.")
    if engine.flavour != "sqlite" and not is_express and not values.get("ReplicationSourceIdentifier"):
        if not values.get("MasterUsername"):
            raise invalid("The parameter MasterUsername must be provided and must not be blank.")
        if not password and not is_managed:
            raise invalid("The parameter MasterUserPassword must be provided and must not be blank.")
    require_password(password)
    name = values.get("MasterUsername")
    if name and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
        raise invalid(
            "The parameter MasterUsername is not a valid identifier. Identifiers must begin with a letter; must "
            "contain only ASCII letters, digits, and underscores."
        )


def require_password(password: str | None) -> None:
    """Check the form of a master password.  Raises Fault."""
    if password is None:
        return
    if not 8 <= len(password) <= 128:
        why = "shorter than 8" if len(password) < 8 else "longer than 128"
        raise invalid(f"The parameter MasterUserPassword is not a valid password because it is {why} characters.")
    if re.search(r'[/@" ]|[^\x20-\x7e]', password):
        raise invalid(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides "
            "'/', '@', '\"', ' ' may be used."
        )


def _secret(call: Call, cluster: int, values: Mapping[str, Any]) -> dict[str, str]:
    place = place_of(call)
    default_key = (
        f"arn:aws:kms:{place.region}:{place.account}:key/{place.resource_id('aws-secretsmanager')[-20:].lower()}"
    )
    return {
        "SecretArn": place.secret_arn(cluster),
        "SecretStatus": "active",
        "KmsKeyId": values.get("MasterUserSecretKmsKeyId") or default_key,
    }


def describe_db_clusters(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    ghosts = transitions_of(call).ghosts("cluster", status_key(call, 0)[0])
    identifier = values.get("DBClusterIdentifier")
    if identifier:
        try:
            return {"DBClusters": [with_times(call, seen(call, identifier))]}
        except Fault:
            gone = [
                ghost for ghost in ghosts if identifier.lower() in (ghost["DBClusterIdentifier"], ghost["DBClusterArn"])
            ]
            if not gone:
                raise
            return {"DBClusters": gone[-1:]}
    matching = filtered(
        values,
        all_seen(call),
        {
            "clone-group-id": lambda view: [view.clone_group],
            "db-cluster-id": lambda view: [view.name, view.arn],
            "db-cluster-resource-id": lambda view: [view.resource_id],
            "domain": lambda view: [],
            "engine": lambda view: [view.engine.name],
        },
    )
    page, marker = paged(values, "clusters", matching, lambda view: view.name)
    shown = [with_times(call, view) for view in page]
    return {"DBClusters": [*shown, *(ghosts if not marker and not values.get("Filters") else [])], **marker}


# --- modify -----------------------------------------------------------------------------------------------------------
def modify_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    view = seen(call, values["DBClusterIdentifier"])
    require_available(view)
    engine = view.engine
    version = view.version
    if values.get("EngineVersion"):
        version = engines.resolved_version(engine, values["EngineVersion"])
        is_major = engines.family_of(engine, version) != engines.family_of(engine, view.version)
        if is_major and not values.get("AllowMajorVersionUpgrade"):
            raise combination(
                "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
            )
    checked_cluster_values(call, values, engine, version)
    require_password(values.get("MasterUserPassword"))
    if values.get("BacktrackWindow") and not view.row.settings.backtrack_window_s:
        raise combination("Backtrack can only be enabled when a DB cluster is created, cloned or restored.")
    new_name = values.get("NewDBClusterIdentifier")
    if new_name:
        new_name = checked_identifier(new_name, "NewDBClusterIdentifier")
        other = call.store.context.catalog.clusters.named(new_name)
        if other is not None and other.cluster != view.row.cluster:
            raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    changes = kept_members(values)
    if values.get("EngineVersion"):
        changes["EngineVersion"] = version
    exports = values.get("CloudwatchLogsExportConfiguration")
    if exports:
        enabled = set(view.kept.get("EnabledCloudwatchLogsExports", ())) | set(exports.get("EnableLogTypes", ()))
        changes["EnabledCloudwatchLogsExports"] = sorted(enabled - set(exports.get("DisableLogTypes", ())))
    if values.get("ManageMasterUserPassword") is not None:
        is_managed = values["ManageMasterUserPassword"]
        changes["MasterUserSecret"] = _secret(call, view.row.cluster, values) if is_managed else None
    cluster = handle(call, view)
    settings = settings_of(values)
    if settings:
        cluster.modify(**settings)
    if changes:
        changed(call, view, changes)
    if new_name and new_name != view.name:
        cluster.rename(new_name)
    status = ("renaming" if new_name else "modifying") if call.serving.delay_s else None
    return answer(call, cluster.id, status=status)


# --- delete -----------------------------------------------------------------------------------------------------------
def delete_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    view = seen(call, values["DBClusterIdentifier"])
    final, skips = values.get("FinalDBSnapshotIdentifier"), bool(values.get("SkipFinalSnapshot"))
    if final and skips:
        raise combination("FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot.")
    if not final and not skips:
        raise combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
    if view.row.settings.deletion_protection:
        raise combination("Cannot delete protected Cluster, please disable deletion protection and try again.")
    if view.kept.get("GlobalClusterIdentifier"):
        raise fault(
            "InvalidDBClusterStateFault",
            "This cluster is a part of a global cluster, please remove it from globalcluster first",
        )
    if view.status == "creating":
        require_available(view)
    if view.instances:
        raise fault(
            "InvalidDBClusterStateFault",
            "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
        )
    cluster, context = handle(call, view), call.store.context
    picture = with_times(call, view, status="deleting")
    if final:
        final = checked_identifier(final, "FinalDBSnapshotIdentifier")
        require_free_snapshot(call, final)
        with writers_held_off(context, context.volume_of(cluster)):  # the snapshot has all that was committed
            cluster.snapshot(final)
            tags = view.row.settings.tags if view.kept.get("CopyTagsToSnapshot") else {}
            keep_snapshot(call, final, view, tags)
            cluster.delete()
    else:
        cluster.delete()
    transitions_of(call).bury("cluster", status_key(call, view.row.cluster), picture, call.serving.delay_s)
    return {"DBCluster": picture}


def require_free_snapshot(call: Call, name: str) -> None:
    """Raise Fault if a snapshot has this name."""
    if call.store.context.catalog.snapshots.named(name) is not None:
        raise fault(
            "DBClusterSnapshotAlreadyExistsFault",
            f"Cannot create the cluster snapshot because one with the identifier {name} already exists.",
        )


# --- status -----------------------------------------------------------------------------------------------------------
def stop_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    view = seen(call, values["DBClusterIdentifier"])
    require_available(view)
    handle(call, view).stop()
    return answer(call, view.row.cluster, status="stopping")


def start_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    view = seen(call, values["DBClusterIdentifier"])
    if view.status != "stopped":
        raise fault("InvalidDBClusterStateFault", f"DbCluster {view.name} is not in stopped state.")
    handle(call, view).start()
    return answer(call, view.row.cluster, status="starting")


def reboot_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    view = seen(call, values["DBClusterIdentifier"])
    require_available(view)
    context = call.store.context
    context.require_writable()
    restart_all(context, view.row)
    with context.catalog.transaction():
        context.catalog.events.add("cluster", view.name, "notification", f"cluster '{view.name}' rebooted")
    return answer(call, view.row.cluster, status="rebooting")


def failover_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    view = seen(call, values["DBClusterIdentifier"])
    require_available(view)
    target = values.get("TargetDBInstanceIdentifier")
    if target:
        target = view.place.name_in(target, "db")
        named = next((instance for instance in view.instances if instance.name in (target, target.lower())), None)
        if named is None:
            raise invalid(f"Cannot find target instance: {target} in DB cluster {view.name}")
        if named.is_writer:
            raise fault("InvalidDBInstanceState", f"DB instance {target} is the writer of the DB cluster already.")
        target = named.name
    if not [instance for instance in view.instances if not instance.is_writer]:
        raise fault("InvalidDBClusterStateFault", f"DB cluster {view.name} has no Aurora Replica to fail over to.")
    handle(call, view).failover(target)
    return answer(call, view.row.cluster, status="failing-over")


# --- the Data API's switch --------------------------------------------------------------------------------------------
def enable_http_endpoint(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    return _switch_http_endpoint(call, values["ResourceArn"], is_enabled=True)


def disable_http_endpoint(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    return _switch_http_endpoint(call, values["ResourceArn"], is_enabled=False)


def _switch_http_endpoint(call: Call, arn: str, *, is_enabled: bool) -> dict[str, Any]:
    if not arn.startswith("arn:"):
        raise invalid(f"Invalid resource name: {arn}")
    try:
        view = seen(call, arn)
    except Fault as error:
        if error.code != "DBClusterNotFoundFault":
            raise
        raise fault("ResourceNotFoundFault", f"The resource {arn} was not found.") from None
    if view.status != "available":
        raise fault("InvalidResourceStateFault", f"DB cluster {view.name} is not in the available state.")
    changed(call, view, {"HttpEndpointEnabled": is_enabled})
    return {"ResourceArn": view.arn, "HttpEndpointEnabled": is_enabled}


OPERATIONS: Mapping[str, Operation] = {
    "CreateDBCluster": create_db_cluster,
    "DescribeDBClusters": describe_db_clusters,
    "ModifyDBCluster": modify_db_cluster,
    "DeleteDBCluster": delete_db_cluster,
    "StopDBCluster": stop_db_cluster,
    "StartDBCluster": start_db_cluster,
    "RebootDBCluster": reboot_db_cluster,
    "FailoverDBCluster": failover_db_cluster,
    "EnableHttpEndpoint": enable_http_endpoint,
    "DisableHttpEndpoint": disable_http_endpoint,
}
