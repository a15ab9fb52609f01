"""The structure ``DBCluster``, from a cluster and what is kept for it; and what is kept, from the input of verbs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from clusterdb.past.find import utc
from clusterdb.rules.settings import ClusterSettings
from clusterdb.server.rds.clusters_seen import Seen

__all__ = ["db_cluster", "kept_members", "member_zone", "settings_of", "tag_list", "tags_of"]

_RENAMED = {
    "DBClusterParameterGroupName": "DBClusterParameterGroup",
    "DBSubnetGroupName": "DBSubnetGroup",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnableHttpEndpoint": "HttpEndpointEnabled",
    "EnableCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "EnableGlobalWriteForwarding": "GlobalWriteForwardingRequested",
    "EnableVPCNetworking": "VPCNetworkingEnabled",
    "EnableInternetAccessGateway": "InternetAccessGatewayEnabled",
}
_SAME = frozenset(
    (
        *("AvailabilityZones", "CharacterSetName", "DatabaseName", "Port", "MasterUsername", "PreferredBackupWindow"),
        *("StorageEncrypted", "KmsKeyId", "EngineMode", "StorageType", "Iops", "NetworkType"),
        *("CopyTagsToSnapshot", "MonitoringInterval", "MonitoringRoleArn", "DatabaseInsightsMode", "DBSystemId"),
        *("PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod", "EngineLifecycleSupport"),
        *("ClusterScalabilityType", "AutoMinorVersionUpgrade", "DBClusterInstanceClass"),
    )
)
_SETTINGS = {
    "BackupRetentionPeriod": "backup_retention_days",
    "BacktrackWindow": "backtrack_window_s",
    "DeletionProtection": "deletion_protection",
}


def kept_members(values: Mapping[str, Any]) -> dict[str, Any]:
    """The members of ``DBCluster`` that an input of a verb sets, and that no setting of the cluster expresses."""
    kept = {_RENAMED.get(key, key): value for key, value in values.items() if key in _RENAMED or key in _SAME}
    if "PreferredMaintenanceWindow" in values:
        kept["PreferredMaintenanceWindow"] = values["PreferredMaintenanceWindow"].lower()
    if values.get("VpcSecurityGroupIds"):
        kept["VpcSecurityGroups"] = [
            {"VpcSecurityGroupId": group, "Status": "active"} for group in values["VpcSecurityGroupIds"]
        ]
    scaling = values.get("ServerlessV2ScalingConfiguration")
    if scaling:
        kept["ServerlessV2ScalingConfiguration"] = {
            key: value
            for key, value in scaling.items()
            if key in ("MinCapacity", "MaxCapacity", "SecondsUntilAutoPause")
        }
    if values.get("ScalingConfiguration"):
        kept["ScalingConfigurationInfo"] = dict(values["ScalingConfiguration"])
    if values.get("AssociatedRoles"):
        kept["AssociatedRoles"] = [{**role, "Status": "ACTIVE"} for role in values["AssociatedRoles"]]
    return kept


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the cluster that an input of a verb sets."""
    settings = {name: values[key] for key, name in _SETTINGS.items() if key in values}
    if values.get("Tags"):
        settings["tags"] = tags_of(values["Tags"])
    return settings


def tags_of(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Texts by key."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """AWS's list of tags."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def member_zone(view: Seen, zone: str) -> str:
    """The availability zone of an instance, as AWS names it."""
    return zone if zone.startswith(view.place.region) else f"{view.place.region}a"


def _storage_zones(view: Seen) -> list[str]:
    """The availability zones of the storage: those of its copies, named as AWS names them; else any three."""
    region = view.place.region
    names = [zone for zone, *_ in view.row.settings.zones]
    return [name if len(name) > 1 else f"{region}{name}" for name in names] or view.place.zones()


def db_cluster(
    view: Seen, restorable: tuple[datetime, datetime] | None = None, *, status: str | None = None
) -> dict[str, Any]:
    """``DBCluster``; ``restorable``: the earliest and the latest time; ``status``: in place of the present one."""
    row, place, settings = view.row, view.place, view.row.settings
    writer_first = view.instances
    zones = {member_zone(view, instance.zone) for instance in writer_first}
    shape: dict[str, Any] = {
        "AllocatedStorage": 1,
        "AvailabilityZones": _storage_zones(view),
        "BackupRetentionPeriod": settings.backup_retention_days,
        "DBSubnetGroup": "default",
        "MultiAZ": len(zones) > 1,
        "Port": view.engine.port,
        "MasterUsername": "admin",
        "PreferredBackupWindow": "07:00-07:30",
        "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
        "ReadReplicaIdentifiers": [],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-00000000000000000", "Status": "active"}],
        "HostedZoneId": "Z2R2ITUGPM61AM",
        "StorageEncrypted": False,
        "AssociatedRoles": [],
        "IAMDatabaseAuthenticationEnabled": False,
        "EnabledCloudwatchLogsExports": [],
        "EngineMode": "provisioned",
        "CopyTagsToSnapshot": False,
        "CrossAccountClone": False,
        "DomainMemberships": [],
        "AutoMinorVersionUpgrade": True,
        "NetworkType": "IPV4",
        "EngineLifecycleSupport": "open-source-rds-extended-support",
        "ActivityStreamStatus": "stopped",
        "DatabaseInsightsMode": "standard",
        "PerformanceInsightsEnabled": False,
        "LocalWriteForwardingStatus": "disabled",
        **view.kept,
        "DBClusterIdentifier": row.name,
        "DBClusterParameterGroup": view.parameter_group,
        "Status": status or view.status,
        "Endpoint": place.host(row.name, "cluster-"),
        "ReaderEndpoint": place.host(row.name, "cluster-ro-"),
        "CustomEndpoints": [place.host(endpoint.name, "cluster-custom-") for endpoint in view.endpoints],
        "Engine": view.engine.name,
        "EngineVersion": view.version,
        "DBClusterMembers": [
            {
                "DBInstanceIdentifier": instance.name,
                "IsClusterWriter": instance.is_writer,
                "DBClusterParameterGroupStatus": "in-sync",
                "PromotionTier": instance.tier,
            }
            for instance in writer_first
        ],
        "DbClusterResourceId": view.resource_id,
        "DBClusterArn": view.arn,
        "ClusterCreateTime": utc(row.created_ns),
        "HttpEndpointEnabled": view.has_http_endpoint,
        "DeletionProtection": settings.deletion_protection,
        "TagList": tag_list(settings.tags),
    }
    if view.clone_group is not None:
        shape["CloneGroupId"] = view.clone_group
    if restorable is not None:
        shape["EarliestRestorableTime"], shape["LatestRestorableTime"] = restorable
    _add_backtrack(shape, settings, restorable)
    return shape


def _add_backtrack(
    shape: dict[str, Any], settings: ClusterSettings, restorable: tuple[datetime, datetime] | None
) -> None:
    if settings.backtrack_window_s:
        shape["BacktrackWindow"] = settings.backtrack_window_s
        shape["BacktrackConsumedChangeRecords"] = 0
        if restorable is not None:
            shape["EarliestBacktrackTime"] = restorable[0]
