"""The structure ``DBInstance``, and what is kept for an instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.catalog.rows import InstanceRow
from clusterdb.past.find import utc
from clusterdb.server.rds.cluster_shapes import db_cluster, member_zone
from clusterdb.server.rds.clusters_seen import Seen

__all__ = ["KIND", "db_instance", "kept_members"]

KIND = "DBInstance"
_SAME = frozenset(
    (
        *("AutoMinorVersionUpgrade", "PubliclyAccessible", "CopyTagsToSnapshot", "MonitoringInterval"),
        *("MonitoringRoleArn", "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod"),
        *("CACertificateIdentifier", "PreferredMaintenanceWindow", "LicenseModel", "DatabaseInsightsMode"),
        *("NetworkType", "EngineLifecycleSupport"),
    )
)
_OF_CLUSTER = (
    *("Engine", "EngineVersion", "MasterUsername", "PreferredBackupWindow", "BackupRetentionPeriod"),
    *("VpcSecurityGroups", "StorageEncrypted", "KmsKeyId", "IAMDatabaseAuthenticationEnabled", "DBClusterIdentifier"),
    *("EnabledCloudwatchLogsExports", "NetworkType", "EngineLifecycleSupport"),
)


def kept_members(values: Mapping[str, Any]) -> dict[str, Any]:
    """The members of ``DBInstance`` that an input sets, and that the catalog's row does not express."""
    kept = {key: value for key, value in values.items() if key in _SAME}
    if "EnablePerformanceInsights" in values:
        kept["PerformanceInsightsEnabled"] = values["EnablePerformanceInsights"]
    if values.get("DBParameterGroupName"):
        kept["DBParameterGroups"] = [
            {"DBParameterGroupName": values["DBParameterGroupName"], "ParameterApplyStatus": "in-sync"}
        ]
    return kept


def db_instance(found: Seen, row: InstanceRow, kept: Mapping[str, Any], status: str) -> dict[str, Any]:
    """``DBInstance``: most of it is of the cluster."""
    place, cluster = found.place, db_cluster(found)
    shape: dict[str, Any] = {
        "PreferredMaintenanceWindow": cluster["PreferredMaintenanceWindow"],
        "AutoMinorVersionUpgrade": True,
        "PubliclyAccessible": False,
        "CopyTagsToSnapshot": False,
        "MonitoringInterval": 0,
        "PerformanceInsightsEnabled": False,
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "LicenseModel": "postgresql-license" if found.engine.name == "aurora-postgresql" else "general-public-license",
        "DBParameterGroups": [
            {
                "DBParameterGroupName": f"default.{found.parameter_group.removeprefix('default.')}",
                "ParameterApplyStatus": "in-sync",
            }
            if found.parameter_group.startswith("default.")
            else {"DBParameterGroupName": "default", "ParameterApplyStatus": "in-sync"}
        ],
        "TagList": [],
        **{member: cluster[member] for member in _OF_CLUSTER if member in cluster},
        **kept,
        "DBInstanceIdentifier": row.name,
        "DBInstanceClass": row.instance_class,
        "DBInstanceStatus": status,
        "AllocatedStorage": 1,
        "AvailabilityZone": member_zone(found, row.zone),
        "DBSecurityGroups": [],
        "DBSubnetGroup": {
            "DBSubnetGroupName": cluster["DBSubnetGroup"],
            "DBSubnetGroupDescription": cluster["DBSubnetGroup"],
            "VpcId": "vpc-00000000",
            "SubnetGroupStatus": "Complete",
            "Subnets": [],
        },
        "PendingModifiedValues": {},
        "MultiAZ": False,
        "ReadReplicaDBInstanceIdentifiers": [],
        "OptionGroupMemberships": [],
        "StorageType": "aurora",
        "DbInstancePort": 0,
        "DbiResourceId": place.resource_id("db", row.instance),
        "DomainMemberships": [],
        "PromotionTier": row.tier,
        "DBInstanceArn": place.arn("db", row.name),
        "DeletionProtection": False,
        "AssociatedRoles": [],
        "CustomerOwnedIpEnabled": False,
        "BackupTarget": "region",
    }
    if status != "creating":
        shape["Endpoint"] = {
            "Address": place.host(row.name),
            "Port": cluster["Port"],
            "HostedZoneId": cluster["HostedZoneId"],
        }
        shape.setdefault("InstanceCreateTime", utc(found.row.created_ns))
    if "DatabaseName" in cluster:
        shape["DBName"] = cluster["DatabaseName"]
    return shape
