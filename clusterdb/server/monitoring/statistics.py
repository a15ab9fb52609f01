"""GetMetricStatistics."""

from __future__ import annotations

from typing import Any

from clusterdb.server.call import Call
from clusterdb.server.faults import Fault
from clusterdb.server.monitoring.names import NAMESPACE, UNITS, Dimensions
from clusterdb.server.monitoring.ranges import require_period, require_times, time_at
from clusterdb.server.monitoring.sampling import Monitor, Place, sampled
from clusterdb.server.monitoring.series import Datum

__all__ = ["data_of", "get_metric_statistics"]

DATAPOINTS_MAX = 1440
_INVALID = "InvalidParameterValue"
_CONTRADICTORY = "InvalidParameterCombination"


def get_metric_statistics(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    """The statistics of a metric by period, in the order of time; nothing for a metric that has no data."""
    statistics = values.get("Statistics") or []
    if bool(statistics) == bool(values.get("ExtendedStatistics")):
        raise Fault(_CONTRADICTORY, "Specify either Statistics or ExtendedStatistics, but not both.")
    if values.get("ExtendedStatistics"):
        raise Fault(_INVALID, "ExtendedStatistics are not implemented here: use Statistics.")
    times = require_times(values["StartTime"], values["EndTime"], _INVALID)
    period = require_period(values["Period"], _INVALID)
    count = times.count(period)
    if count > DATAPOINTS_MAX:
        raise Fault(
            _CONTRADICTORY,
            f"You have requested up to {count:,} datapoints, which exceeds the limit of {DATAPOINTS_MAX:,}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range.",
        )
    name = values["MetricName"]
    data = times.periods(period, data_of(*sampled(call), values, values.get("Unit")))
    return {
        "Label": name,
        "Datapoints": [
            {"Timestamp": time_at(begin), "Unit": UNITS[name], **{key: datum.statistic(key) for key in statistics}}
            for begin, datum in data.items()
        ],
    }


def data_of(monitor: Monitor, place: Place, metric: dict[str, Any], unit: str | None) -> dict[int, Datum]:
    """The data by the minute of a metric, as ``Namespace``, ``MetricName`` and ``Dimensions``; none in another unit."""
    name = metric["MetricName"]
    if metric["Namespace"] != NAMESPACE or unit not in (None, UNITS.get(name)):
        return {}
    dimensions: Dimensions = tuple((pair["Name"], pair["Value"]) for pair in metric.get("Dimensions") or [])
    return monitor.selected(place, name, dimensions)
