"""Tags: those of clusters are settings; those of other resources are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.checks import TAGS_MAX, require_tags
from clusterdb.server.rds.cluster_shapes import tag_list, tags_of
from clusterdb.server.rds.clusters_seen import handle, seen
from clusterdb.server.rds.documents import STORE, TAGS, document, in_transaction, keep
from clusterdb.server.rds.endpoints import custom_endpoint
from clusterdb.server.rds.faults import fault, invalid
from clusterdb.server.rds.instances import instance_of
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.snapshots import snapshot_row

__all__ = ["OPERATIONS"]


def _kept_tags(call: Call, arn: str) -> tuple[Callable[[], dict[str, str]], Callable[[dict[str, str]], object]]:
    """How the tags of a resource are read and changed.  Raises Fault if it does not exist."""
    kind, name = place_of(call).split(arn)
    if kind == "cluster":
        cluster = handle(call, seen(call, arn))
        return lambda: dict(cluster.settings.tags), lambda tags: cluster.modify(tags=tags)
    structure, key, number = _document_of(call, kind, name)

    def kept() -> dict[str, Any]:
        return document(call.store, structure, key, cluster=number) or {}

    def change(tags: dict[str, str]) -> None:
        keep(call.store, structure, {**kept(), "TagList": tag_list(tags)}, key, cluster=number)

    return lambda: tags_of(kept().get("TagList", [])), change


def _document_of(call: Call, kind: str, name: str) -> tuple[str, str, int]:
    """The kind, the name and the cluster of the document with the tags of a resource.  Raises Fault."""
    if kind == "db":
        _, row = instance_of(call, name)
        return "DBInstance", str(row.instance), row.cluster
    if kind == "cluster-snapshot":
        return "DBClusterSnapshot", str(snapshot_row(call, name).snapshot), STORE
    if kind == "cluster-endpoint":
        view, endpoint = custom_endpoint(call, name)
        return TAGS, f"{kind}:{endpoint.name}", view.row.cluster
    structures = {
        "cluster-pg": ("DBClusterParameterGroup", "DBParameterGroupNotFound"),
        "subgrp": ("DBSubnetGroup", "DBSubnetGroupNotFoundFault"),
        "global-cluster": ("GlobalCluster", "GlobalClusterNotFoundFault"),
    }
    if kind not in structures:
        raise invalid(f"Invalid resource name: a resource of type '{kind:.40}' does not exist here")
    structure, code = structures[kind]
    if document(call.store, structure, name.lower()) is None and not name.startswith("default"):
        raise fault(code, f"{structure} {name} not found.")
    return TAGS, f"{kind}:{name.lower()}", STORE


def add_tags_to_resource(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    require_tags(values["Tags"])
    present, change = _kept_tags(call, values["ResourceName"])
    tags = {**present(), **tags_of(values["Tags"])}
    if len(tags) > TAGS_MAX:
        raise invalid(f"A resource can have at most {TAGS_MAX} tags")
    change(tags)
    return {}


def remove_tags_from_resource(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    present, change = _kept_tags(call, values["ResourceName"])
    tags = present()
    remaining = {key: value for key, value in tags.items() if key not in values["TagKeys"]}
    if remaining != tags:
        change(remaining)
    return {}


def list_tags_for_resource(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    if values.get("Filters"):
        raise invalid("This parameter isn't currently supported: Filters")
    present, _ = _kept_tags(call, values["ResourceName"])
    return {"TagList": tag_list(present())}


OPERATIONS: Mapping[str, Operation] = {
    "AddTagsToResource": in_transaction(add_tags_to_resource),
    "RemoveTagsFromResource": in_transaction(remove_tags_from_resource),
    "ListTagsForResource": list_tags_for_resource,
}
