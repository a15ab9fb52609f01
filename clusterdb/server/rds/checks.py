"""Checks of inputs that the shapes of botocore's model do not express."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clusterdb.rules.settings import BACKTRACK_WINDOW_S_MAX
from clusterdb.server.call import Call
from clusterdb.server.rds.documents import document
from clusterdb.server.rds.engines import Engine, family_of
from clusterdb.server.rds.faults import combination, fault, invalid

__all__ = ["checked_cluster_values", "require_restore_values", "require_tags"]

_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d\Z")
_DAY = "(mon|tue|wed|thu|fri|sat|sun)"
_WEEK_WINDOW = re.compile(rf"{_DAY}:[0-2]\d:[0-5]\d-{_DAY}:[0-2]\d:[0-5]\d\Z", re.IGNORECASE)
_DATABASE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
_NOT_ON_RESTORE = ("MonitoringInterval", "MonitoringRoleArn", "EnablePerformanceInsights")
TAGS_MAX = 50


def checked_cluster_values(call: Call, values: Mapping[str, Any], engine: Engine, version: str) -> None:
    """Check the input of a verb that creates or changes a cluster.  Raises Fault."""
    days = values.get("BackupRetentionPeriod")
    if days is not None and not 1 <= days <= 35:
        raise invalid(f"Invalid backup retention period: {days}. Must be between 1 and 35")
    window = values.get("BacktrackWindow")
    if window is not None and not 0 <= window <= BACKTRACK_WINDOW_S_MAX:
        raise invalid(f"Invalid backtrack window: {window}. Must be between 0 and {BACKTRACK_WINDOW_S_MAX}")
    if window and not engine.can_backtrack:
        raise combination(f"Backtrack is not supported by the engine {engine.name}")
    port = values.get("Port")
    if port is not None and not 1150 <= port <= 65535:
        raise invalid(f"Invalid port: {port}. Must be between 1150 and 65535")
    for name, pattern in (("PreferredBackupWindow", _WINDOW), ("PreferredMaintenanceWindow", _WEEK_WINDOW)):
        text = values.get(name)
        if text is not None and not pattern.match(text):
            raise invalid(f"The parameter {name} is not valid: {text:.100}")
    database = values.get("DatabaseName")
    if database and not _DATABASE_NAME.match(database):
        raise invalid("DatabaseName must begin with a letter and contain only alphanumeric characters.")
    require_tags(values.get("Tags"))
    _require_logs(values, engine)
    _require_zones(call, values)
    _require_scaling(values.get("ServerlessV2ScalingConfiguration"))
    _require_groups(call, values, engine, version)


def _require_logs(values: Mapping[str, Any], engine: Engine) -> None:
    exports = values.get("CloudwatchLogsExportConfiguration") or {}
    logs = [*values.get("EnableCloudwatchLogsExports", ()), *exports.get("EnableLogTypes", ())]
    unknown = sorted(set(logs) - set(engine.logs))
    if unknown:
        raise combination(
            f"You cannot use the log types '{', '.join(unknown)}' with engine version {engine.name}. For supported log "
            "types, see the documentation."
        )


def _require_zones(call: Call, values: Mapping[str, Any]) -> None:
    zones = values.get("AvailabilityZones") or []
    if any(not re.fullmatch(rf"{call.region}[a-f]", zone) for zone in zones):
        raise invalid(f"Invalid availability zones: [{', '.join(zones)}]")


def _require_scaling(scaling: Mapping[str, Any] | None) -> None:
    if not scaling:
        return
    low, high = scaling.get("MinCapacity", 0.5), scaling.get("MaxCapacity", 1)
    if not 0 <= low <= high <= 256 or high < 1 or low * 2 % 1 or high * 2 % 1:
        raise invalid(f"Serverless v2 capacity {low} to {high} is not valid: use steps of 0.5 from 0 to 256")


def _require_groups(call: Call, values: Mapping[str, Any], engine: Engine, version: str) -> None:
    group = values.get("DBClusterParameterGroupName")
    family = family_of(engine, version)
    if group and group != f"default.{family}":
        kept = document(call.store, "DBClusterParameterGroup", group.lower())
        if kept is None:
            raise fault("DBClusterParameterGroupNotFound", f"DBClusterParameterGroup not found: {group}")
        if kept["DBParameterGroupFamily"] != family:
            raise combination(
                f"The parameter group {group} with DBParameterGroupFamily {kept['DBParameterGroupFamily']} can't be "
                f"used for this DB cluster. Use a parameter group with DBParameterGroupFamily {family}."
            )
    subnets = values.get("DBSubnetGroupName")
    if subnets and not subnets.startswith("default") and document(call.store, "DBSubnetGroup", subnets.lower()) is None:
        raise fault("DBSubnetGroupNotFoundFault", f"DB subnet group '{subnets}' does not exist.")


def require_tags(tags: list[Mapping[str, str]] | None) -> None:
    """Check the number and the lengths of tags.  Raises Fault."""
    keys = [tag.get("Key", "") for tag in tags or []]
    if len(set(keys)) > TAGS_MAX:
        raise invalid(f"A resource can have at most {TAGS_MAX} tags")
    for tag in tags or []:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not 1 <= len(key) <= 128 or key.lower().startswith("aws:") or len(value) > 256:
            raise invalid(f"The tag {key[:130]!r} is not valid: keys have 1 to 128 characters, values up to 256")


def require_restore_values(values: Mapping[str, Any]) -> None:
    """Check the members that only some kinds of clusters take when they are restored.  Raises Fault."""
    for name in _NOT_ON_RESTORE:
        if values.get(name):
            raise combination(f"{name} can't be specified when restoring a DB cluster of this type.")
