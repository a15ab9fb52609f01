"""What can be created: engine versions and instance classes; and what is pending: nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.clusters_seen import all_seen
from clusterdb.server.rds.engines import ENGINES, Engine, default_version, family_of
from clusterdb.server.rds.faults import invalid
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.paging import filtered, paged

__all__ = ["OPERATIONS"]

_CLASSES = (
    *("db.local", "db.serverless", "db.t3.medium", "db.t3.large", "db.t4g.medium", "db.t4g.large"),
    *(f"db.r{kind}.{size}" for kind in ("5", "6g", "6i", "7g") for size in ("large", "xlarge", "2xlarge", "4xlarge")),
)


def describe_db_engine_versions(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name, version = values.get("Engine"), values.get("EngineVersion")
    family = values.get("DBParameterGroupFamily")
    shapes = [
        _version(engine, text)
        for engine in ENGINES.values()
        for text in engine.versions
        if name in (None, engine.name)
        and (version is None or text == version or text.startswith(f"{version}."))
        and family in (None, family_of(engine, text))
        and (not values.get("DefaultOnly") or text == default_version(engine))
    ]
    matching = filtered(
        values,
        shapes,
        {
            "db-parameter-group-family": lambda shape: [shape["DBParameterGroupFamily"]],
            "engine": lambda shape: [shape["Engine"]],
            "engine-mode": lambda shape: shape["SupportedEngineModes"],
            "engine-version": lambda shape: [shape["EngineVersion"]],
            "status": lambda shape: [shape["Status"]],
        },
    )
    page, marker = paged(values, "versions", matching, lambda shape: f"{shape['Engine']} {shape['EngineVersion']}")
    return {"DBEngineVersions": page, **marker}


def _version(engine: Engine, text: str) -> dict[str, Any]:
    later = engine.versions[engine.versions.index(text) + 1 :]
    return {
        "Engine": engine.name,
        "MajorEngineVersion": family_of(engine, text).removeprefix(engine.name),
        "EngineVersion": text,
        "DBParameterGroupFamily": family_of(engine, text),
        "DBEngineDescription": engine.description,
        "DBEngineVersionDescription": f"{engine.description} {text}",
        "DefaultCharacterSet": {"CharacterSetName": engine.charset, "CharacterSetDescription": engine.charset},
        "ValidUpgradeTarget": [
            {
                "Engine": engine.name,
                "EngineVersion": other,
                "Description": f"{engine.description} {other}",
                "AutoUpgrade": False,
                "IsMajorVersionUpgrade": family_of(engine, other) != family_of(engine, text),
            }
            for other in later
        ],
        "ExportableLogTypes": list(engine.logs),
        "SupportsLogExportsToCloudwatchLogs": bool(engine.logs),
        "SupportsReadReplica": False,
        "SupportedEngineModes": ["provisioned"],
        "SupportedFeatureNames": [],
        "Status": "available",
        "SupportsParallelQuery": False,
        "SupportsGlobalDatabases": False,
        "SupportsBabelfish": False,
    }


def describe_orderable_db_instance_options(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    engine = ENGINES.get(values["Engine"])
    if engine is None:
        raise invalid(f"Invalid DB engine: {values['Engine']:.60}")
    zones = [{"Name": zone} for zone in place_of(call).zones()]
    version, wanted = values.get("EngineVersion"), values.get("DBInstanceClass")
    shapes = [
        {
            "Engine": engine.name,
            "EngineVersion": text,
            "DBInstanceClass": name,
            "LicenseModel": "postgresql-license" if engine.name == "aurora-postgresql" else "general-public-license",
            "AvailabilityZones": zones,
            "MultiAZCapable": False,
            "ReadReplicaCapable": False,
            "Vpc": True,
            "SupportsStorageEncryption": True,
            "StorageType": "aurora",
            "SupportsIops": False,
            "SupportsEnhancedMonitoring": True,
            "SupportsIAMDatabaseAuthentication": True,
            "SupportsPerformanceInsights": True,
            "SupportedEngineModes": ["provisioned"],
            "SupportsStorageAutoscaling": False,
            "SupportsGlobalDatabases": False,
            "SupportedNetworkTypes": ["IPV4"],
            "SupportsClusters": True,
        }
        for text in engine.versions
        if version in (None, text)
        for name in sorted(_CLASSES)
        if wanted in (None, name)
    ]
    matching = filtered(values, shapes, {})
    page, marker = paged(
        values,
        "options",
        sorted(matching, key=lambda shape: (str(shape["EngineVersion"]), str(shape["DBInstanceClass"]))),
        lambda shape: f"{shape['EngineVersion']} {shape['DBInstanceClass']}",
    )
    return {"OrderableDBInstanceOptions": page, **marker}


def describe_pending_maintenance_actions(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    paged(values, "actions", [], str)
    filtered(values, [], {"db-cluster-id": lambda _: [], "db-instance-id": lambda _: []})
    return {"PendingMaintenanceActions": []}


def describe_account_attributes(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    clusters = all_seen(call)
    quotas = {
        "DBClusters": (len(clusters), 40),
        "DBInstances": (sum(len(found.instances) for found in clusters), 40),
        "ManualClusterSnapshots": (len(call.store.snapshots()), 100),
        "CustomEndpointsPerDBCluster": (max((len(found.endpoints) for found in clusters), default=0), 5),
    }
    return {
        "AccountQuotas": [
            {"AccountQuotaName": name, "Used": used, "Max": most} for name, (used, most) in quotas.items()
        ]
    }


OPERATIONS: Mapping[str, Operation] = {
    "DescribeDBEngineVersions": describe_db_engine_versions,
    "DescribeOrderableDBInstanceOptions": describe_orderable_db_instance_options,
    "DescribePendingMaintenanceActions": describe_pending_maintenance_actions,
    "DescribeAccountAttributes": describe_account_attributes,
}
