"""Cluster parameter groups: kept and shown; their values have no effect on SQLite."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.checks import require_tags
from clusterdb.server.rds.clusters_seen import all_seen
from clusterdb.server.rds.documents import TAGS, all_documents, document, in_transaction, keep, remove
from clusterdb.server.rds.engines import ENGINES, family_of
from clusterdb.server.rds.faults import combination, fault, invalid
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.paging import filtered, paged
from clusterdb.server.rds.parameter_defaults import defaults_of

__all__ = ["OPERATIONS"]

_KIND = "DBClusterParameterGroup"
_VALUES = "DBClusterParameterGroupDetails"
_NAME = re.compile(r"(?=.{1,255}\Z)[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*\Z")
_SOURCES = ("user", "engine-default", "system")


def _families() -> list[str]:
    return sorted({family_of(engine, version) for engine in ENGINES.values() for version in engine.versions})


def _groups(call: Call) -> dict[str, dict[str, Any]]:
    """All groups by name, those that exist by default too."""
    place = place_of(call)
    groups = {f"default.{family}": _default(family) for family in _families()}
    groups |= {name: values for (_, name), values in all_documents(call.store, _KIND).items()}
    return {
        name: {**group, "DBClusterParameterGroupArn": place.arn("cluster-pg", name)}
        for name, group in sorted(groups.items())
    }


def _default(family: str) -> dict[str, Any]:
    return {
        "DBClusterParameterGroupName": f"default.{family}",
        "DBParameterGroupFamily": family,
        "Description": f"Default cluster parameter group for {family}",
    }


def _group(call: Call, identifier: str) -> dict[str, Any]:
    name = place_of(call).name_in(identifier, "cluster-pg").lower()
    group = _groups(call).get(name)
    if group is None:
        raise fault("DBParameterGroupNotFound", f"DBClusterParameterGroup not found: {identifier}")
    return group


def _own_group(call: Call, identifier: str) -> str:
    """The name of a group that may be changed.  Raises Fault."""
    name = str(_group(call, identifier)["DBClusterParameterGroupName"])
    if name.startswith("default."):
        raise fault("InvalidDBParameterGroupState", f"The default parameter group {name} can't be changed or deleted.")
    return name


def create_db_cluster_parameter_group(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    family = values["DBParameterGroupFamily"]
    if family not in _families():
        raise invalid(f"ParameterGroupFamily {family:.60} is not a valid parameter group family")
    require_tags(values.get("Tags"))
    name = _new_name(call, values["DBClusterParameterGroupName"], "DBClusterParameterGroupName")
    return _created(call, name, family, values["Description"], values.get("Tags"))


def _new_name(call: Call, text: str, parameter: str) -> str:
    if not _NAME.match(text):
        raise invalid(
            f"The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain "
            "only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive "
            "hyphens."
        )
    if text.lower() in _groups(call):
        raise fault("DBParameterGroupAlreadyExists", f"Parameter group {text.lower()} already exists")
    return text.lower()


def _created(call: Call, name: str, family: str, description: str, tags: list[dict[str, str]] | None) -> dict[str, Any]:
    group = {"DBClusterParameterGroupName": name, "DBParameterGroupFamily": family, "Description": description}
    keep(call.store, _KIND, group, name)
    if tags:
        keep(call.store, TAGS, {"TagList": tags}, f"cluster-pg:{name}")
    return {"DBClusterParameterGroup": _group(call, name)}


def copy_db_cluster_parameter_group(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    source = _group(call, values["SourceDBClusterParameterGroupIdentifier"])
    require_tags(values.get("Tags"))
    target = values["TargetDBClusterParameterGroupIdentifier"]
    name = _new_name(call, target, "TargetDBClusterParameterGroupIdentifier")
    description = values["TargetDBClusterParameterGroupDescription"]
    created = _created(call, name, source["DBParameterGroupFamily"], description, values.get("Tags"))
    changed = document(call.store, _VALUES, source["DBClusterParameterGroupName"])
    if changed:
        keep(call.store, _VALUES, changed, name)
    return created


def delete_db_cluster_parameter_group(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = _own_group(call, values["DBClusterParameterGroupName"])
    if any(view.parameter_group == name for view in all_seen(call)):
        raise fault(
            "InvalidDBParameterGroupState",
            f"One or more DB clusters are still members of this parameter group {name}, so the group cannot be deleted",
        )
    for kind, key in ((_KIND, name), (_VALUES, name), (TAGS, f"cluster-pg:{name}")):
        remove(call.store, kind, key)
    return {}


def describe_db_cluster_parameter_groups(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = values.get("DBClusterParameterGroupName")
    groups = [_group(call, name)] if name else list(_groups(call).values())
    matching = filtered(values, groups, {})
    page, marker = paged(values, "groups", matching, lambda group: str(group["DBClusterParameterGroupName"]))
    return {"DBClusterParameterGroups": page, **marker}


# --- parameters -------------------------------------------------------------------------------------------------------
def describe_db_cluster_parameters(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    group = _group(call, values["DBClusterParameterGroupName"])
    source = values.get("Source")
    if source is not None and source not in _SOURCES:
        raise invalid(f"Invalid source: {source:.60}. Valid values: {', '.join(_SOURCES)}")
    parameters = {parameter["ParameterName"]: parameter for parameter in defaults_of(group["DBParameterGroupFamily"])}
    kept = document(call.store, _VALUES, group["DBClusterParameterGroupName"]) or {}
    for parameter in kept.get("Parameters", []):
        default = parameters.get(parameter["ParameterName"], {"DataType": "string", "IsModifiable": True})
        parameters[parameter["ParameterName"]] = {**default, **parameter, "Source": "user"}
    shown = [parameter for _, parameter in sorted(parameters.items()) if source in (None, parameter["Source"])]
    matching = filtered(values, shown, {"parameter-name": lambda parameter: [parameter["ParameterName"]]})
    page, marker = paged(values, "parameters", matching, lambda parameter: str(parameter["ParameterName"]))
    return {"Parameters": page, **marker}


def modify_db_cluster_parameter_group(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = _own_group(call, values["DBClusterParameterGroupName"])
    if not 1 <= len(values["Parameters"]) <= 20:
        raise invalid("From 1 to 20 parameters can be modified in a single request.")
    kept = {parameter["ParameterName"]: parameter for parameter in _kept_parameters(call, name)}
    for parameter in values["Parameters"]:
        key, value = parameter.get("ParameterName"), parameter.get("ParameterValue")
        if not key or value is None or not parameter.get("ApplyMethod"):
            raise invalid("The parameters ParameterName, ParameterValue and ApplyMethod must be provided.")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.\-]{0,127}", key):
            raise invalid(f"Could not find parameter with name: {key:.100}")
        kept[key] = {"ParameterName": key, "ParameterValue": value, "ApplyMethod": parameter["ApplyMethod"]}
    keep(call.store, _VALUES, {"Parameters": [kept[key] for key in sorted(kept)]}, name)
    return {"DBClusterParameterGroupName": name}


def _kept_parameters(call: Call, name: str) -> list[dict[str, Any]]:
    return list((document(call.store, _VALUES, name) or {}).get("Parameters", []))


def reset_db_cluster_parameter_group(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = _own_group(call, values["DBClusterParameterGroupName"])
    resets_all, parameters = values.get("ResetAllParameters", False), values.get("Parameters")
    if bool(resets_all) == bool(parameters):
        raise combination("Either ResetAllParameters or a list of Parameters must be specified.")
    reset = {parameter.get("ParameterName") for parameter in parameters or []}
    kept = [item for item in _kept_parameters(call, name) if not resets_all and item["ParameterName"] not in reset]
    keep(call.store, _VALUES, {"Parameters": kept}, name)
    return {"DBClusterParameterGroupName": name}


def describe_engine_default_cluster_parameters(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    family = values["DBParameterGroupFamily"]
    if family not in _families():
        raise invalid(f"Invalid DB parameter group family: {family:.60}")
    parameters = filtered(values, defaults_of(family), {})
    page, marker = paged(values, "defaults", parameters, lambda parameter: str(parameter["ParameterName"]))
    return {"EngineDefaults": {"DBParameterGroupFamily": family, "Parameters": page, **marker}}


OPERATIONS: Mapping[str, Operation] = {
    "CreateDBClusterParameterGroup": in_transaction(create_db_cluster_parameter_group),
    "CopyDBClusterParameterGroup": in_transaction(copy_db_cluster_parameter_group),
    "DeleteDBClusterParameterGroup": in_transaction(delete_db_cluster_parameter_group),
    "DescribeDBClusterParameterGroups": describe_db_cluster_parameter_groups,
    "DescribeDBClusterParameters": describe_db_cluster_parameters,
    "ModifyDBClusterParameterGroup": in_transaction(modify_db_cluster_parameter_group),
    "ResetDBClusterParameterGroup": in_transaction(reset_db_cluster_parameter_group),
    "DescribeEngineDefaultClusterParameters": describe_engine_default_cluster_parameters,
}
