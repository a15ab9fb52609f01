"""Verbs of instances: create, describe, modify, reboot, delete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from clusterdb.catalog.rows import InstanceRow
from clusterdb.errors import TooManyReadersError
from clusterdb.ha.instances import state_of
from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.checks import require_tags
from clusterdb.server.rds.clusters_seen import Seen, all_seen, handle, require_available, seen, seen_of, status_key
from clusterdb.server.rds.documents import all_documents, document, keep, remove
from clusterdb.server.rds.faults import checked_identifier, combination, fault, invalid, no_instance
from clusterdb.server.rds.instance_shapes import KIND, db_instance, kept_members
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.paging import filtered, paged
from clusterdb.server.rds.transitions import transitions_of

__all__ = ["OPERATIONS", "instance_of"]

_CLASS = re.compile(r"db\.[a-z0-9]+(\.[a-z0-9-]+)*\Z")


def instance_of(call: Call, identifier: str) -> tuple[Seen, InstanceRow]:
    """The instance with a name or ARN, and its cluster.  Raises Fault ``DBInstanceNotFound``."""
    name = place_of(call).name_in(identifier, "db")
    catalog = call.store.context.catalog
    for wanted in dict.fromkeys((name, name.lower())):
        cluster = catalog.instances.cluster_of(wanted)
        row = catalog.clusters.get(cluster) if cluster is not None else None
        if row is not None:
            found = seen_of(call, row)
            for instance in found.instances:
                if instance.name == wanted:
                    return found, instance
    raise no_instance(identifier)


def _shape(
    call: Call, found: Seen, row: InstanceRow, kept: dict[str, Any] | None, status: str | None
) -> dict[str, Any]:
    shown = status or transitions_of(call).status("instance", status_key(call, row.instance))
    if shown is None:
        shown = "stopped" if found.row.status == "stopped" else "available"
    return db_instance(found, row, kept or {}, shown)


def _answer(call: Call, name: str, status: str | None = None) -> dict[str, Any]:
    found, row = instance_of(call, name)
    if status is not None:
        transitions_of(call).begin("instance", status_key(call, row.instance), status, call.serving.delay_s)
    kept = document(call.store, KIND, str(row.instance), cluster=row.cluster)
    return {"DBInstance": _shape(call, found, row, kept, status)}


def create_db_instance(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = checked_identifier(values["DBInstanceIdentifier"], "DBInstanceIdentifier")
    identifier = values.get("DBClusterIdentifier")
    if not identifier:
        raise combination("DB instances outside of a DB cluster are not available here: specify DBClusterIdentifier.")
    found = seen(call, identifier)
    if values["Engine"].lower() != found.engine.name:
        raise combination(
            f"The engine name requested for your DB instance ({values['Engine']:.60}) doesn't match the engine name of "
            f"your DB cluster ({found.engine.name})."
        )
    _require_instance_values(values)
    require_available(found)
    zone = values.get("AvailabilityZone") or found.place.zones()[len(found.instances) % 3]
    if not re.fullmatch(rf"{call.region}[a-f]", zone):
        raise invalid(f"Invalid availability zone: {zone:.60}")
    if call.store.context.catalog.instances.cluster_of(name) is not None:
        raise fault("DBInstanceAlreadyExists", "DB instance already exists")
    try:
        handle(call, found).add_instance(
            name,
            instance_class=values["DBInstanceClass"],
            promotion_tier=values.get("PromotionTier", 1),
            availability_zone=zone,
        )
    except TooManyReadersError as error:
        raise fault("InstanceQuotaExceeded", str(error)) from None
    _, row = instance_of(call, name)
    kept = kept_members(values)
    kept |= {"TagList": values.get("Tags") or [], "InstanceCreateTime": datetime.now(timezone.utc)}
    keep(call.store, KIND, kept, str(row.instance), cluster=row.cluster)
    return _answer(call, name, "creating")


def _require_instance_values(values: Mapping[str, Any]) -> None:
    instance_class, tier = values.get("DBInstanceClass"), values.get("PromotionTier")
    if instance_class is not None and not _CLASS.match(instance_class):
        raise invalid(f"Invalid DB Instance class: {instance_class:.60}")
    if tier is not None and not 0 <= tier <= 15:
        raise invalid(f"Invalid promotion tier: {tier}. Must be between 0 and 15")
    if values.get("MasterUsername") or values.get("MasterUserPassword"):
        raise combination("The master user of an instance in a DB cluster is that of the DB cluster.")
    require_tags(values.get("Tags"))


def describe_db_instances(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    ghosts = transitions_of(call).ghosts("instance", status_key(call, 0)[0])
    identifier = values.get("DBInstanceIdentifier")
    if identifier:
        gone = [
            ghost for ghost in ghosts if identifier.lower() in (ghost["DBInstanceIdentifier"], ghost["DBInstanceArn"])
        ]
        if gone:
            return {"DBInstances": gone[-1:]}
        return {"DBInstances": [_answer(call, identifier)["DBInstance"]]}
    kept = all_documents(call.store, KIND)
    shapes = [
        _shape(call, found, row, kept.get((row.cluster, str(row.instance))), None)
        for found in all_seen(call)
        for row in found.instances
    ]
    shapes.sort(key=lambda shape: str(shape["DBInstanceIdentifier"]))
    matching = filtered(
        values,
        shapes,
        {
            "db-cluster-id": lambda shape: [
                shape["DBClusterIdentifier"],
                place_of(call).arn("cluster", shape["DBClusterIdentifier"]),
            ],
            "db-instance-id": lambda shape: [shape["DBInstanceIdentifier"], shape["DBInstanceArn"]],
            "dbi-resource-id": lambda shape: [shape["DbiResourceId"]],
            "domain": lambda shape: [],
            "engine": lambda shape: [shape["Engine"]],
        },
    )
    page, marker = paged(values, "instances", matching, lambda shape: str(shape["DBInstanceIdentifier"]))
    return {"DBInstances": [*page, *(ghosts if not marker and not values.get("Filters") else [])], **marker}


def modify_db_instance(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found, row = instance_of(call, values["DBInstanceIdentifier"])
    _require_instance_values(values)
    new_name = values.get("NewDBInstanceIdentifier")
    context = call.store.context
    context.require_writable()
    if new_name:
        new_name = checked_identifier(new_name, "NewDBInstanceIdentifier")
        if new_name != row.name and context.catalog.instances.cluster_of(new_name) is not None:
            raise fault("DBInstanceAlreadyExists", "DB instance already exists")
    tier = values.get("PromotionTier")
    if tier is not None:
        handle(call, found).modify_instance(row.name, promotion_tier=tier)
    kept = document(call.store, KIND, str(row.instance), cluster=row.cluster) or {}
    kept |= kept_members(values)
    with context.catalog.transaction():
        keep(call.store, KIND, kept, str(row.instance), cluster=row.cluster)
        context.catalog.instances.describe(
            row, name=new_name or row.name, instance_class=values.get("DBInstanceClass") or row.instance_class
        )
    return _answer(call, new_name or row.name, "modifying" if call.serving.delay_s else None)


def reboot_db_instance(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found, row = instance_of(call, values["DBInstanceIdentifier"])
    if found.row.status == "stopped":
        raise fault("InvalidDBInstanceState", f"DB instance {row.name} is stopped.")
    context = call.store.context
    context.require_writable()
    if values.get("ForceFailover"):
        raise combination("ForceFailover can't be specified for an instance of an Aurora DB cluster.")
    state_of(context, row).restart()
    with context.catalog.transaction():
        context.catalog.events.add("instance", row.name, "availability", f"instance '{row.name}' restarted")
    return _answer(call, row.name, "rebooting")


def delete_db_instance(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    found, row = instance_of(call, values["DBInstanceIdentifier"])
    if values.get("FinalDBSnapshotIdentifier"):
        raise combination("FinalDBSnapshotIdentifier can't be specified for an instance of a DB cluster.")
    kept = document(call.store, KIND, str(row.instance), cluster=row.cluster)
    if kept is not None and kept.get("DeletionProtection"):
        raise combination("Cannot delete protected DB Instance, please disable deletion protection and try again.")
    picture = _shape(call, found, row, kept, "deleting")
    handle(call, found).delete_instance(row.name)
    remove(call.store, KIND, str(row.instance), cluster=row.cluster)
    transitions_of(call).bury("instance", status_key(call, row.instance), picture, call.serving.delay_s)
    return {"DBInstance": picture}


OPERATIONS: Mapping[str, Operation] = {
    "CreateDBInstance": create_db_instance,
    "DescribeDBInstances": describe_db_instances,
    "ModifyDBInstance": modify_db_instance,
    "RebootDBInstance": reboot_db_instance,
    "DeleteDBInstance": delete_db_instance,
}
