"""Verbs of snapshots: take, describe, copy, delete, share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clusterdb.catalog.rows import SnapshotRow
from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.checks import require_tags
from clusterdb.server.rds.cluster_shapes import tags_of
from clusterdb.server.rds.clusters import require_free_snapshot
from clusterdb.server.rds.clusters_seen import handle, require_available, seen, status_key
from clusterdb.server.rds.documents import all_documents, document, keep, remove
from clusterdb.server.rds.faults import checked_identifier, invalid, no_snapshot
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.paging import filtered, paged
from clusterdb.server.rds.snapshot_shapes import KIND, db_cluster_snapshot, keep_snapshot
from clusterdb.server.rds.transitions import transitions_of

__all__ = ["OPERATIONS", "snapshot_row"]

_ATTRIBUTES = "DBClusterSnapshotAttributesResult"
_TYPES = ("manual", "automated", "shared", "public", "awsbackup")


def snapshot_row(call: Call, identifier: str) -> SnapshotRow:
    """The snapshot with a name or ARN.  Raises Fault ``DBClusterSnapshotNotFoundFault``."""
    snapshots = call.store.context.catalog.snapshots
    name = place_of(call).name_in(identifier, "cluster-snapshot")
    row = snapshots.named(name) or snapshots.named(name.lower())
    if row is None:
        raise no_snapshot(identifier)
    return row


def _status(call: Call, row: SnapshotRow) -> str:
    return transitions_of(call).status("snapshot", status_key(call, row.snapshot)) or "available"


def _answer(call: Call, name: str, status: str) -> dict[str, Any]:
    row = snapshot_row(call, name)
    transitions_of(call).begin("snapshot", status_key(call, row.snapshot), status, call.serving.delay_s)
    return {"DBClusterSnapshot": db_cluster_snapshot(call, row, status=status)}


def create_db_cluster_snapshot(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = checked_identifier(values["DBClusterSnapshotIdentifier"], "DBClusterSnapshotIdentifier")
    require_tags(values.get("Tags"))
    found = seen(call, values["DBClusterIdentifier"])
    require_available(found)
    require_free_snapshot(call, name)
    handle(call, found).snapshot(name)
    inherited = found.row.settings.tags if found.kept.get("CopyTagsToSnapshot") else {}
    keep_snapshot(call, name, found, {**inherited, **tags_of(values.get("Tags") or [])})
    return _answer(call, name, "creating")


def copy_db_cluster_snapshot(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    source = snapshot_row(call, values["SourceDBClusterSnapshotIdentifier"])
    name = checked_identifier(values["TargetDBClusterSnapshotIdentifier"], "TargetDBClusterSnapshotIdentifier")
    require_tags(values.get("Tags"))
    require_free_snapshot(call, name)
    call.store.copy_snapshot(source.name, name)
    copied = snapshot_row(call, name)
    kept = document(call.store, KIND, str(source.snapshot)) or {}
    tags = values.get("Tags") or (kept.get("TagList", []) if values.get("CopyTags") else [])
    arn = place_of(call).arn("cluster-snapshot", source.name)
    changes: dict[str, Any] = {"TagList": tags, "SourceDBClusterSnapshotArn": arn}
    if values.get("KmsKeyId"):
        changes |= {"KmsKeyId": values["KmsKeyId"], "StorageEncrypted": True}
    keep(call.store, KIND, {**kept, **changes}, str(copied.snapshot))
    database = document(call.store, "DBCluster", f"snapshot:{source.snapshot}")
    if database is not None:
        keep(call.store, "DBCluster", database, f"snapshot:{copied.snapshot}")
    return _answer(call, name, "available" if not call.serving.delay_s else "copying")


def delete_db_cluster_snapshot(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    row = snapshot_row(call, values["DBClusterSnapshotIdentifier"])
    shape = db_cluster_snapshot(call, row, status="available")
    call.store.delete_snapshot(row.name)
    for kind, name in (
        (KIND, str(row.snapshot)),
        (_ATTRIBUTES, str(row.snapshot)),
        ("DBCluster", f"snapshot:{row.snapshot}"),
    ):
        remove(call.store, kind, name)
    return {"DBClusterSnapshot": shape}


def describe_db_cluster_snapshots(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    kind = values.get("SnapshotType")
    if kind is not None and kind not in _TYPES:
        raise invalid(f"Invalid snapshot type: {kind}. Valid values: {', '.join(_TYPES)}")
    if values.get("DBClusterSnapshotIdentifier"):
        rows = [snapshot_row(call, values["DBClusterSnapshotIdentifier"])]
    else:
        rows = call.store.context.catalog.snapshots.all()
    if kind not in (None, "manual"):
        rows = []
    if values.get("DBClusterIdentifier"):
        wanted = place_of(call).name_in(values["DBClusterIdentifier"], "cluster")
        rows = [row for row in rows if row.cluster in (wanted, wanted.lower())]
    kept = {name: body for (_, name), body in all_documents(call.store, KIND).items()}
    shapes = [
        db_cluster_snapshot(call, row, kept.get(str(row.snapshot), {}), status=_status(call, row)) for row in rows
    ]
    matching = filtered(
        values,
        shapes,
        {
            "db-cluster-id": lambda shape: [
                shape["DBClusterIdentifier"],
                place_of(call).arn("cluster", shape["DBClusterIdentifier"]),
            ],
            "db-cluster-snapshot-id": lambda shape: [
                shape["DBClusterSnapshotIdentifier"],
                shape["DBClusterSnapshotArn"],
            ],
            "snapshot-type": lambda shape: [shape["SnapshotType"]],
            "engine": lambda shape: [shape["Engine"]],
        },
    )
    page, marker = paged(values, "snapshots", matching, lambda shape: str(shape["DBClusterSnapshotIdentifier"]))
    return {"DBClusterSnapshots": page, **marker}


# --- sharing ----------------------------------------------------------------------------------------------------------
def describe_db_cluster_snapshot_attributes(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    return _attributes(call, snapshot_row(call, values["DBClusterSnapshotIdentifier"]))


def modify_db_cluster_snapshot_attribute(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    row = snapshot_row(call, values["DBClusterSnapshotIdentifier"])
    if values["AttributeName"] != "restore":
        raise invalid(f"Invalid attribute name: {values['AttributeName']:.100}. Valid values: restore")
    added, removed = values.get("ValuesToAdd") or [], values.get("ValuesToRemove") or []
    for account in (*added, *removed):
        if not re.fullmatch(r"all|\d{12}", account):
            raise invalid(f"Invalid value {account:.100} for attribute restore: use all, or an account of 12 digits")
    present = _attributes(call, row)["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"][0]
    accounts = [account for account in dict.fromkeys([*present["AttributeValues"], *added]) if account not in removed]
    attribute = {"AttributeName": "restore", "AttributeValues": accounts}
    keep(call.store, _ATTRIBUTES, {"DBClusterSnapshotAttributes": [attribute]}, str(row.snapshot))
    return _attributes(call, row)


def _attributes(call: Call, row: SnapshotRow) -> dict[str, Any]:
    kept = document(call.store, _ATTRIBUTES, str(row.snapshot)) or {}
    attributes = kept.get("DBClusterSnapshotAttributes") or [{"AttributeName": "restore", "AttributeValues": []}]
    attributes = [{"AttributeValues": [], **attribute} for attribute in attributes]
    return {
        "DBClusterSnapshotAttributesResult": {
            "DBClusterSnapshotIdentifier": row.name,
            "DBClusterSnapshotAttributes": attributes,
        }
    }


OPERATIONS: Mapping[str, Operation] = {
    "CreateDBClusterSnapshot": create_db_cluster_snapshot,
    "CopyDBClusterSnapshot": copy_db_cluster_snapshot,
    "DeleteDBClusterSnapshot": delete_db_cluster_snapshot,
    "DescribeDBClusterSnapshots": describe_db_cluster_snapshots,
    "DescribeDBClusterSnapshotAttributes": describe_db_cluster_snapshot_attributes,
    "ModifyDBClusterSnapshotAttribute": modify_db_cluster_snapshot_attribute,
}
