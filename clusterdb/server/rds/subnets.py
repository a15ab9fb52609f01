"""Subnet groups: kept and shown, since infrastructure code names them; they have no effect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.checks import require_tags
from clusterdb.server.rds.clusters_seen import all_seen
from clusterdb.server.rds.documents import TAGS, all_documents, keep, remove
from clusterdb.server.rds.faults import fault, invalid
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.paging import filtered, paged

__all__ = ["OPERATIONS"]

_KIND = "DBSubnetGroup"
_NAME = re.compile(r"[A-Za-z0-9 ._-]{1,255}\Z")


def _groups(call: Call) -> dict[str, dict[str, Any]]:
    place = place_of(call)
    default = {"DBSubnetGroupName": "default", "DBSubnetGroupDescription": "default", "Subnets": []}
    groups = {"default": default} | {name: group for (_, name), group in all_documents(call.store, _KIND).items()}
    return {
        name: {
            **group,
            "VpcId": "vpc-00000000",
            "SubnetGroupStatus": "Complete",
            "DBSubnetGroupArn": place.arn("subgrp", name),
            "SupportedNetworkTypes": ["IPV4"],
        }
        for name, group in sorted(groups.items())
    }


def _group(call: Call, identifier: str) -> dict[str, Any]:
    group = _groups(call).get(place_of(call).name_in(identifier, "subgrp").lower())
    if group is None:
        raise fault("DBSubnetGroupNotFoundFault", f"DB subnet group '{identifier}' does not exist.")
    return group


def _subnets(call: Call, identifiers: list[str]) -> list[dict[str, Any]]:
    zones = place_of(call).zones()
    if len(set(identifiers)) < 2:
        raise fault(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Please add subnets to cover "
            "at least 2 AZs.",
        )
    return [
        {
            "SubnetIdentifier": identifier,
            "SubnetAvailabilityZone": {"Name": zones[number % len(zones)]},
            "SubnetOutpost": {},
            "SubnetStatus": "Active",
        }
        for number, identifier in enumerate(dict.fromkeys(identifiers))
    ]


def create_db_subnet_group(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = values["DBSubnetGroupName"].lower()
    if not _NAME.match(name) or name == "default":
        raise invalid(f"The parameter DBSubnetGroupName is not valid: {name:.100}")
    require_tags(values.get("Tags"))
    if name in _groups(call):
        raise fault("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    _keep(call, name, values["DBSubnetGroupDescription"], values["SubnetIds"])
    if values.get("Tags"):
        keep(call.store, TAGS, {"TagList": values["Tags"]}, f"subgrp:{name}")
    return {"DBSubnetGroup": _group(call, name)}


def _keep(call: Call, name: str, description: str, identifiers: list[str]) -> None:
    group = {"DBSubnetGroupName": name, "DBSubnetGroupDescription": description}
    keep(call.store, _KIND, {**group, "Subnets": _subnets(call, identifiers)}, name)


def modify_db_subnet_group(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    group = _group(call, values["DBSubnetGroupName"])
    name = group["DBSubnetGroupName"]
    _keep(call, name, values.get("DBSubnetGroupDescription", group["DBSubnetGroupDescription"]), values["SubnetIds"])
    return {"DBSubnetGroup": _group(call, name)}


def describe_db_subnet_groups(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = values.get("DBSubnetGroupName")
    groups = filtered(values, [_group(call, name)] if name else list(_groups(call).values()), {})
    page, marker = paged(values, "subnets", groups, lambda group: str(group["DBSubnetGroupName"]))
    return {"DBSubnetGroups": page, **marker}


def delete_db_subnet_group(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = _group(call, values["DBSubnetGroupName"])["DBSubnetGroupName"]
    if name == "default" or any(found.kept.get("DBSubnetGroup") == name for found in all_seen(call)):
        raise fault("InvalidDBSubnetGroupStateFault", f"Cannot delete the subnet group '{name}' because it is in use.")
    remove(call.store, _KIND, name)
    remove(call.store, TAGS, f"subgrp:{name}")
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "CreateDBSubnetGroup": create_db_subnet_group,
    "ModifyDBSubnetGroup": modify_db_subnet_group,
    "DescribeDBSubnetGroups": describe_db_subnet_groups,
    "DeleteDBSubnetGroup": delete_db_subnet_group,
}
