"""Global clusters: kept and shown, with their primary cluster.

There are no secondary clusters, since nothing is replicated to another region.  A global cluster is known in the region
where it was created.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.server.call import Call, Operation
from clusterdb.server.rds import engines
from clusterdb.server.rds.checks import require_tags
from clusterdb.server.rds.clusters import changed
from clusterdb.server.rds.clusters_seen import Seen, all_seen, require_available, seen
from clusterdb.server.rds.documents import TAGS, all_documents, document, in_transaction, keep, remove
from clusterdb.server.rds.faults import checked_identifier, combination, fault, invalid
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.paging import filtered, paged

__all__ = ["OPERATIONS"]

_KIND = "GlobalCluster"


def _kept(call: Call, identifier: str) -> dict[str, Any]:
    """What is kept for a global cluster.  Raises Fault ``GlobalClusterNotFoundFault``."""
    name = place_of(call).name_in(identifier, "global-cluster").lower()
    kept = document(call.store, _KIND, name)
    if kept is None:
        raise fault("GlobalClusterNotFoundFault", f"Global cluster {identifier} not found.")
    return kept


def _shape(call: Call, kept: dict[str, Any], members: list[Seen]) -> dict[str, Any]:
    name, account = kept["GlobalClusterIdentifier"], call.account
    return {
        "StorageEncrypted": False,
        "DeletionProtection": False,
        "TagList": (document(call.store, TAGS, f"global-cluster:{name}") or {}).get("TagList", []),
        **kept,
        "GlobalClusterArn": f"arn:aws:rds::{account}:global-cluster:{name}",
        "Status": "available",
        "GlobalClusterMembers": [
            {"DBClusterArn": view.arn, "Readers": [], "IsWriter": True, "SynchronizationStatus": "connected"}
            for view in members
        ],
    }


def _members(call: Call, name: str) -> list[Seen]:
    return [view for view in all_seen(call) if view.kept.get("GlobalClusterIdentifier") == name]


def _answer(call: Call, name: str) -> dict[str, Any]:
    return {"GlobalCluster": _shape(call, _kept(call, name), _members(call, name))}


def create_global_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    identifier = values.get("GlobalClusterIdentifier")
    if not identifier:
        raise invalid("The parameter GlobalClusterIdentifier must be provided and must not be blank.")
    name = checked_identifier(identifier, "GlobalClusterIdentifier")
    require_tags(values.get("Tags"))
    source = values.get("SourceDBClusterIdentifier")
    if source and values.get("Engine"):
        raise combination(
            "When creating global cluster from existing db cluster, value for engineName should not be specified."
        )
    if not source and not values.get("Engine"):
        raise invalid("Either Engine or SourceDBClusterIdentifier must be specified.")
    view = seen(call, source) if source else None
    engine = view.engine if view is not None else engines.engine_named(values["Engine"])
    version = view.version if view is not None else engines.resolved_version(engine, values.get("EngineVersion"))
    if document(call.store, _KIND, name) is not None:
        raise fault("GlobalClusterAlreadyExistsFault", f"Global cluster {name} already exists.")
    if view is not None:
        require_available(view)
        if view.kept.get("GlobalClusterIdentifier"):
            raise fault("InvalidDBClusterStateFault", f"DB cluster {view.name} is a part of a global cluster.")
    kept: dict[str, Any] = {
        "GlobalClusterIdentifier": name,
        "GlobalClusterResourceId": place_of(call).resource_id("cluster", "global", call.request_id).lower()[:24],
        "Engine": engine.name,
        "EngineVersion": version,
        **{key: values[key] for key in ("DatabaseName", "StorageEncrypted", "DeletionProtection") if key in values},
    }
    keep(call.store, _KIND, kept, name)
    if values.get("Tags"):
        keep(call.store, TAGS, {"TagList": values["Tags"]}, f"global-cluster:{name}")
    if view is not None:
        changed(call, view, {"GlobalClusterIdentifier": name})
    return _answer(call, name)


def describe_global_clusters(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    identifier = values.get("GlobalClusterIdentifier")
    every = [_kept(call, identifier)] if identifier else list(all_documents(call.store, _KIND).values())
    matching = filtered(
        values,
        every,
        {
            "db-cluster-id": lambda kept: [
                text for view in _members(call, kept["GlobalClusterIdentifier"]) for text in (view.name, view.arn)
            ],
            "region": lambda kept: [call.region],
        },
    )
    page, marker = paged(values, "globals", matching, lambda kept: str(kept["GlobalClusterIdentifier"]))
    clusters = all_seen(call) if page else []
    shapes = [
        _shape(
            call,
            kept,
            [view for view in clusters if view.kept.get("GlobalClusterIdentifier") == kept["GlobalClusterIdentifier"]],
        )
        for kept in page
    ]
    return {"GlobalClusters": shapes, **marker}


def modify_global_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    identifier = values.get("GlobalClusterIdentifier")
    if not identifier:
        raise invalid("The parameter GlobalClusterIdentifier must be provided and must not be blank.")
    kept = _kept(call, identifier)
    name = kept["GlobalClusterIdentifier"]
    if "DeletionProtection" in values:
        kept["DeletionProtection"] = values["DeletionProtection"]
    if values.get("EngineVersion"):
        kept["EngineVersion"] = engines.resolved_version(engines.ENGINES[kept["Engine"]], values["EngineVersion"])
    new_name = values.get("NewGlobalClusterIdentifier")
    if new_name:
        new_name = checked_identifier(new_name, "NewGlobalClusterIdentifier")
        if new_name != name and document(call.store, _KIND, new_name) is not None:
            raise fault("GlobalClusterAlreadyExistsFault", f"Global cluster {new_name} already exists.")
        for view in _members(call, name):
            changed(call, view, {"GlobalClusterIdentifier": new_name})
        remove(call.store, _KIND, name)
        kept["GlobalClusterIdentifier"] = name = new_name
    keep(call.store, _KIND, kept, name)
    return _answer(call, name)


def remove_from_global_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    identifier, member = values.get("GlobalClusterIdentifier"), values.get("DbClusterIdentifier")
    if not identifier or not member:
        raise invalid("The parameters GlobalClusterIdentifier and DbClusterIdentifier must be provided.")
    name = _kept(call, identifier)["GlobalClusterIdentifier"]
    view = seen(call, member)
    if view.kept.get("GlobalClusterIdentifier") != name:
        raise fault("DBClusterNotFoundFault", f"DBCluster {member} is not a member of the global cluster {name}.")
    picture = _answer(call, name)
    changed(call, view, {"GlobalClusterIdentifier": None})
    return picture


def delete_global_cluster(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    kept = _kept(call, values["GlobalClusterIdentifier"])
    name = kept["GlobalClusterIdentifier"]
    if kept.get("DeletionProtection"):
        raise combination("Cannot delete protected global cluster, please disable deletion protection and try again.")
    if _members(call, name):
        raise fault("InvalidGlobalClusterStateFault", f"Global cluster {name} is not empty.")
    remove(call.store, _KIND, name)
    remove(call.store, TAGS, f"global-cluster:{name}")
    return {"GlobalCluster": _shape(call, kept, [])}


OPERATIONS: Mapping[str, Operation] = {
    "CreateGlobalCluster": in_transaction(create_global_cluster),
    "DescribeGlobalClusters": describe_global_clusters,
    "ModifyGlobalCluster": in_transaction(modify_global_cluster),
    "RemoveFromGlobalCluster": in_transaction(remove_from_global_cluster),
    "DeleteGlobalCluster": in_transaction(delete_global_cluster),
}
