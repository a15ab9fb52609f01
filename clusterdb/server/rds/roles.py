"""Roles of clusters: kept and shown, without an effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.clusters import changed
from clusterdb.server.rds.clusters_seen import require_available, seen
from clusterdb.server.rds.faults import fault

__all__ = ["OPERATIONS"]

_ROLES_MAX = 5


def add_role_to_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found = seen(call, values["DBClusterIdentifier"])
    require_available(found)
    roles, arn = found.kept.get("AssociatedRoles", []), values["RoleArn"]
    feature = values.get("FeatureName", "")
    if any(role["RoleArn"] == arn and role.get("FeatureName", "") == feature for role in roles):
        raise fault("DBClusterRoleAlreadyExists", f"Role ARN {arn} already exists for DB Cluster {found.name}.")
    if len(roles) >= _ROLES_MAX:
        raise fault("DBClusterRoleQuotaExceeded", f"You have reached the limit of {_ROLES_MAX} roles for a DB Cluster.")
    role = {"RoleArn": arn, "Status": "ACTIVE", **({"FeatureName": feature} if feature else {})}
    changed(call, found, {"AssociatedRoles": [*roles, role]})
    return {}


def remove_role_from_db_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found = seen(call, values["DBClusterIdentifier"])
    require_available(found)
    roles, arn = found.kept.get("AssociatedRoles", []), values["RoleArn"]
    feature = values.get("FeatureName", "")
    remaining = [role for role in roles if role["RoleArn"] != arn or role.get("FeatureName", "") != feature]
    if len(remaining) == len(roles):
        raise fault("DBClusterRoleNotFound", f"Role ARN {arn} cannot be found for DB Cluster {found.name}.")
    changed(call, found, {"AssociatedRoles": remaining})
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "AddRoleToDBCluster": add_role_to_db_cluster,
    "RemoveRoleFromDBCluster": remove_role_from_db_cluster,
}
