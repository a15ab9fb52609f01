"""Events: those of the store, by AWS's types of sources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.faults import combination, invalid
from clusterdb.server.rds.naming import place_of
from clusterdb.server.rds.paging import filtered, paged

__all__ = ["OPERATIONS"]

_TYPES = {
    "cluster": ("db-cluster", "cluster"),
    "instance": ("db-instance", "db"),
    "snapshot": ("db-cluster-snapshot", "cluster-snapshot"),
}
_CATEGORIES = {
    "db-cluster": (
        "creation",
        "deletion",
        "failover",
        "maintenance",
        "notification",
        "configuration change",
        "recovery",
    ),
    "db-instance": (
        "availability",
        "configuration change",
        "creation",
        "deletion",
        "failover",
        "notification",
        "recovery",
    ),
    "db-cluster-snapshot": ("creation", "deletion", "notification"),
}
_DURATION_MAX = 20_160


def describe_events(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    kind = values.get("SourceType")
    if values.get("SourceIdentifier") and not kind:
        raise combination("SourceType must be specified if SourceIdentifier is specified.")
    begin, end = _period(values)
    place = place_of(call)
    wanted, categories = values.get("SourceIdentifier"), set(values.get("EventCategories") or [])
    shapes: list[dict[str, Any]] = []
    for number, event in enumerate(call.store.events()):
        source_type, resource = _TYPES.get(event.kind, ("db-cluster", "cluster"))
        is_wanted = kind in (None, source_type) and wanted in (None, event.source, place.arn(resource, event.source))
        if is_wanted and begin <= event.time <= end and (not categories or event.category in categories):
            shapes.append(
                {
                    "SourceIdentifier": event.source,
                    "SourceType": source_type,
                    "Message": event.message,
                    "EventCategories": [event.category],
                    "Date": event.time,
                    "SourceArn": place.arn(resource, event.source),
                    "_key": f"{number:012d}",
                }
            )
    matching = filtered(
        values,
        shapes,
        {"event-categories": lambda shape: shape["EventCategories"], "source-arn": lambda shape: [shape["SourceArn"]]},
    )
    page, marker = paged(values, "events", matching, lambda shape: str(shape["_key"]))
    return {"Events": page, **marker}


def _period(values: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """The time of the events that are asked for: by default the last hour."""
    now = datetime.now(timezone.utc)
    minutes = values.get("Duration", 60)
    if not 1 <= minutes <= _DURATION_MAX:
        raise invalid(f"Invalid duration: {minutes}. Must be between 1 and {_DURATION_MAX} minutes")
    end = values.get("EndTime", now)
    if "StartTime" in values:
        begin = values["StartTime"]
        if "EndTime" not in values and "Duration" in values:
            end = begin + timedelta(minutes=minutes)
        if begin > end:
            raise combination("StartTime must be before EndTime.")
        return begin, end
    return end - timedelta(minutes=minutes), end


def describe_event_categories(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    kind = values.get("SourceType")
    if kind is not None and kind not in _CATEGORIES:
        raise invalid(f"Invalid source type: {kind:.60}")
    return {
        "EventCategoriesMapList": [
            {"SourceType": source_type, "EventCategories": list(categories)}
            for source_type, categories in _CATEGORIES.items()
            if kind in (None, source_type)
        ]
    }


OPERATIONS: Mapping[str, Operation] = {
    "DescribeEvents": describe_events,
    "DescribeEventCategories": describe_event_categories,
}
