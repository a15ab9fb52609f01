"""GetMetricData: one statistic each of several metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clusterdb.server.call import Call
from clusterdb.server.faults import Fault
from clusterdb.server.monitoring.ranges import Range, require_period, require_times, time_at
from clusterdb.server.monitoring.sampling import Monitor, Place, sampled
from clusterdb.server.monitoring.statistics import data_of
from clusterdb.server.monitoring.tokens import digest_of, position_of, token_of

__all__ = ["get_metric_data"]

DATAPOINTS_MAX = 100_800
_QUERIES_MAX = 500
_STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_INVALID = "ValidationError"
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*\Z")
_ZONE = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d\Z")

_Points = list[tuple[int, float]]


def get_metric_data(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    """The values of metrics by period, the newest first unless ``ScanBy`` states otherwise, by pages.

    Labels are returned as they are given; ``LabelOptions``, which concern times in labels, change nothing.
    """
    queries = values["MetricDataQueries"]
    _require_valid(queries)
    limit = values.get("MaxDatapoints", DATAPOINTS_MAX)
    if not 1 <= limit <= DATAPOINTS_MAX:
        raise Fault(_INVALID, f"The parameter MaxDatapoints must be between 1 and {DATAPOINTS_MAX}, not {limit}.")
    zone = (values.get("LabelOptions") or {}).get("Timezone", "+0000")
    if not _ZONE.match(zone):
        raise Fault(_INVALID, f"The parameter Timezone must be an offset such as +0130, not '{zone:.40}'.")
    times = require_times(values["StartTime"], values["EndTime"], _INVALID)
    digest = digest_of(values, "MaxDatapoints")
    first, after = _position(values.get("NextToken"), digest, len(queries))
    descends = values.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    monitor, place = sampled(call, values.get("NextToken"))
    results: list[dict[str, Any]] = []
    output: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    for number in range(first, len(queries)):
        query = queries[number]
        if query.get("ReturnData") is False:
            continue
        points = _points(monitor, place, query, times, descends=descends)
        if number == first and after is not None:
            points = [point for point in points if (point[0] < after if descends else point[0] > after)]
        if limit == 0:  # the page is full, and more queries follow
            output["NextToken"] = token_of(digest, number, -1)
            break
        page = points[:limit]
        limit -= len(page)
        results.append(_result(query, page, is_complete=len(page) == len(points)))
        if len(page) < len(points):
            output["NextToken"] = token_of(digest, number, page[-1][0])
            break
    return output


def _points(monitor: Monitor, place: Place, query: dict[str, Any], times: Range, *, descends: bool) -> _Points:
    stat = query["MetricStat"]
    if query.get("AccountId", place[0]) != place[0]:
        return []
    data = times.periods(stat["Period"], data_of(monitor, place, stat["Metric"], stat.get("Unit")))
    return sorted(((begin, datum.statistic(stat["Stat"])) for begin, datum in data.items()), reverse=descends)


def _result(query: Mapping[str, Any], points: _Points, *, is_complete: bool) -> dict[str, Any]:
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or query["MetricStat"]["Metric"]["MetricName"],
        "Timestamps": [time_at(begin) for begin, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete" if is_complete else "PartialData",
    }


def _position(token: str | None, digest: str, query_count: int) -> tuple[int, int | None]:
    """The number of the query at which a page begins, and the time after which it does."""
    if not token:
        return 0, None
    position = position_of(token, digest, (int, int))
    if position is None or not 0 <= position[0] < query_count:
        raise Fault("InvalidNextToken", "The value of the parameter NextToken is not valid.")
    return position[0], position[1] if position[1] >= 0 else None


def _require_valid(queries: Sequence[Mapping[str, Any]]) -> None:
    """Raise Fault for queries that CloudWatch refuses, and for what is not implemented."""
    if not 1 <= len(queries) <= _QUERIES_MAX:
        raise Fault(_INVALID, f"The collection MetricDataQueries must have 1 to {_QUERIES_MAX} members.")
    seen: set[str] = set()
    for query in queries:
        name = query["Id"]
        if not _ID.match(name):
            raise Fault(_INVALID, f"The value '{name:.100}' for the parameter Id must match ^[a-z][a-zA-Z0-9_]*$.")
        if name in seen:
            raise Fault(_INVALID, f"The values for the parameter Id in MetricDataQueries must be unique: '{name:.100}'")
        seen.add(name)
        _require_valid_query(name, query)
    if all(query.get("ReturnData") is False for query in queries):
        raise Fault(_INVALID, "At least one member of MetricDataQueries must have ReturnData.")


def _require_valid_query(name: str, query: Mapping[str, Any]) -> None:
    stat = query.get("MetricStat")
    if (stat is None) == (query.get("Expression") is None):
        raise Fault(_INVALID, f"The query '{name:.100}' must have either MetricStat or Expression, but not both.")
    if stat is None:
        raise Fault(_INVALID, f"Metric math is not implemented here: the query '{name:.100}' needs a MetricStat.")
    if "Period" in query:
        raise Fault(_INVALID, f"The query '{name:.100}' has a MetricStat, so its Period must be in the MetricStat.")
    for member in ("Namespace", "MetricName"):
        if not stat["Metric"].get(member):
            raise Fault(_INVALID, f"The parameter {member} is required in the Metric of the query '{name:.100}'.")
    require_period(stat["Period"], _INVALID)
    if stat["Stat"] not in _STATISTICS:
        known = ", ".join(_STATISTICS)
        raise Fault(_INVALID, f"The statistic '{stat['Stat']:.100}' is not implemented here. Implemented: {known}")
