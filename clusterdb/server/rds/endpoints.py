"""Verbs of custom endpoints; the list shows the endpoints that every cluster has too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.catalog.rows import EndpointRow
from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.checks import require_tags
from clusterdb.server.rds.clusters_seen import Seen, all_seen, handle, require_available, seen
from clusterdb.server.rds.documents import TAGS, keep, remove
from clusterdb.server.rds.faults import checked_identifier, combination, fault, invalid
from clusterdb.server.rds.paging import filtered, paged

__all__ = ["OPERATIONS", "custom_endpoint"]

_TYPES = ("READER", "WRITER", "ANY")
_ENDPOINTS_MAX = 5


def custom_endpoint(call: Call, name: str) -> tuple[Seen, EndpointRow]:
    """The custom endpoint of that name, and its cluster.  Raises Fault ``DBClusterEndpointNotFoundFault``."""
    for found in all_seen(call):
        for row in found.endpoints:
            if row.name in (name, name.lower()):
                return found, row
    raise fault("DBClusterEndpointNotFoundFault", f"DB cluster endpoint {name} not found.")


def _shape(found: Seen, row: EndpointRow, status: str = "available") -> dict[str, Any]:
    place = found.place
    return {
        "DBClusterEndpointIdentifier": row.name,
        "DBClusterIdentifier": found.name,
        "DBClusterEndpointResourceIdentifier": place.resource_id("cluster-endpoint", found.row.cluster, row.name),
        "Endpoint": place.host(row.name, "cluster-custom-"),
        "Status": status,
        "EndpointType": "CUSTOM",
        "CustomEndpointType": row.type,
        "StaticMembers": list(row.members),
        "ExcludedMembers": list(row.excluded),
        "DBClusterEndpointArn": place.arn("cluster-endpoint", row.name),
    }


def create_db_cluster_endpoint(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = checked_identifier(values["DBClusterEndpointIdentifier"], "DBClusterEndpointIdentifier")
    found = seen(call, values["DBClusterIdentifier"])
    require_tags(values.get("Tags"))
    kind, members, excluded = _members(found, values)
    require_available(found)
    if any(row.name == name for other in all_seen(call) for row in other.endpoints):
        raise fault("DBClusterEndpointAlreadyExistsFault", f"DB cluster endpoint {name} already exists.")
    if len(found.endpoints) >= _ENDPOINTS_MAX:
        raise fault(
            "DBClusterEndpointQuotaExceededFault", f"A DB cluster has at most {_ENDPOINTS_MAX} custom endpoints."
        )
    handle(call, found).add_endpoint(name, kind, members=members, excluded=excluded)
    if values.get("Tags"):
        keep(call.store, TAGS, {"TagList": values["Tags"]}, f"cluster-endpoint:{name}", cluster=found.row.cluster)
    return _shape(*custom_endpoint(call, name), status="creating")


def _members(found: Seen, values: Mapping[str, Any]) -> tuple[Any, list[str], list[str]]:
    kind = values.get("EndpointType", "ANY").upper()
    if kind not in _TYPES:
        raise invalid(f"Invalid endpoint type: {kind:.60}. Valid values: {', '.join(_TYPES)}")
    members, excluded = values.get("StaticMembers") or [], values.get("ExcludedMembers") or []
    if members and excluded:
        raise combination("StaticMembers and ExcludedMembers can't be specified together.")
    names = {instance.name for instance in found.instances}
    for name in (*members, *excluded):
        if name.lower() not in {other.lower() for other in names}:
            raise fault("DBInstanceNotFound", f"DBInstance {name} not found in DB cluster {found.name}.")
    by_lower = {name.lower(): name for name in names}
    return kind, [by_lower[name.lower()] for name in members], [by_lower[name.lower()] for name in excluded]


def describe_db_cluster_endpoints(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    clusters = [seen(call, values["DBClusterIdentifier"])] if values.get("DBClusterIdentifier") else all_seen(call)
    shapes = [shape for found in clusters for shape in (*_own(found), *(_shape(found, row) for row in found.endpoints))]
    wanted = values.get("DBClusterEndpointIdentifier")
    if wanted:
        shapes = [shape for shape in shapes if wanted.lower() == shape.get("DBClusterEndpointIdentifier")]
        if not shapes:
            raise fault("DBClusterEndpointNotFoundFault", f"DB cluster endpoint {wanted} not found.")
    matching = filtered(
        values,
        shapes,
        {
            "db-cluster-endpoint-type": lambda shape: _both(shape["EndpointType"]),
            "db-cluster-endpoint-custom-type": lambda shape: _both(shape.get("CustomEndpointType")),
            "db-cluster-endpoint-id": lambda shape: [shape.get("DBClusterEndpointIdentifier")],
            "db-cluster-endpoint-status": lambda shape: [shape["Status"]],
        },
    )
    matching.sort(key=_key)
    page, marker = paged(values, "endpoints", matching, _key)
    return {"DBClusterEndpoints": page, **marker}


def _key(shape: dict[str, Any]) -> str:
    rank = ("WRITER", "READER", "CUSTOM").index(shape["EndpointType"])
    return f"{shape['DBClusterIdentifier']} {rank} {shape['Endpoint']}"


def _both(text: str | None) -> list[str | None]:
    return [text, text.lower() if text else None]


def _own(found: Seen) -> list[dict[str, Any]]:
    """The endpoints that every cluster has."""
    shared = {"DBClusterIdentifier": found.name, "Status": "available"}
    return [
        {**shared, "Endpoint": found.place.host(found.name, "cluster-"), "EndpointType": "WRITER"},
        {**shared, "Endpoint": found.place.host(found.name, "cluster-ro-"), "EndpointType": "READER"},
    ]


def modify_db_cluster_endpoint(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found, row = custom_endpoint(call, values["DBClusterEndpointIdentifier"])
    present: dict[str, Any] = {"EndpointType": row.type}
    if not (values.get("StaticMembers") or values.get("ExcludedMembers")):
        present |= {"StaticMembers": list(row.members), "ExcludedMembers": list(row.excluded)}
    kind, members, excluded = _members(found, {**present, **values})
    cluster, context = handle(call, found), call.store.context
    context.require_writable()
    with context.catalog.transaction():
        cluster.delete_endpoint(row.name)
        cluster.add_endpoint(row.name, kind, members=members, excluded=excluded)
    return _shape(*custom_endpoint(call, row.name), status="modifying")


def delete_db_cluster_endpoint(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found, row = custom_endpoint(call, values["DBClusterEndpointIdentifier"])
    handle(call, found).delete_endpoint(row.name)
    remove(call.store, TAGS, f"cluster-endpoint:{row.name}", cluster=found.row.cluster)
    return _shape(found, row, status="deleting")


OPERATIONS: Mapping[str, Operation] = {
    "CreateDBClusterEndpoint": create_db_cluster_endpoint,
    "DescribeDBClusterEndpoints": describe_db_cluster_endpoints,
    "ModifyDBClusterEndpoint": modify_db_cluster_endpoint,
    "DeleteDBClusterEndpoint": delete_db_cluster_endpoint,
}
