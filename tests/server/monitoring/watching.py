"""Short forms of CloudWatch's calls."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

__all__ = ["NOON", "Watched", "at", "dimensions", "query"]

NOON = 1_767_268_800.0
"""2026-01-01 12:00 in seconds since 1970."""


def at(minutes: float = 0) -> datetime:
    """Minutes after noon."""
    return datetime.fromtimestamp(NOON, timezone.utc) + timedelta(minutes=minutes)


def dimensions(cluster: str = "", *, instance: str = "", role: str = "") -> list[dict[str, str]]:
    """The dimensions of a metric."""
    pairs = {"Role": role, "DBInstanceIdentifier": instance, "DBClusterIdentifier": cluster}
    return [{"Name": name, "Value": value} for name, value in pairs.items() if value]


def query(
    name: str,
    stat: str = "Sum",
    *,
    id: str = "a",
    period: int = 60,
    cluster: str = "",
    instance: str = "",
    role: str = "",
) -> dict[str, Any]:
    """A query of one metric, of the cluster ``prod`` unless stated."""
    where = dimensions(cluster or ("" if instance else "prod"), instance=instance, role=role)
    metric = {"Namespace": "AWS/RDS", "MetricName": name, "Dimensions": where}
    return {"Id": id, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


class Watched:
    """A client of CloudWatch."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def points(self, name: str, *statistics: str, period: int = 60, **where: str) -> list[dict[str, Any]]:
        """The data points of a metric from an hour before noon to an hour after it."""
        answer = self.client.get_metric_statistics(
            Namespace="AWS/RDS",
            MetricName=name,
            Dimensions=dimensions(**(where or {"cluster": "prod"})),
            StartTime=at(-60),
            EndTime=at(60),
            Period=period,
            Statistics=list(statistics),
        )
        assert answer["Label"] == name
        points: list[dict[str, Any]] = answer["Datapoints"]
        return points

    def values(self, *queries: dict[str, Any], **options: Any) -> dict[str, list[float]]:
        """The values of queries by their ids, from an hour before noon to an hour after it, in the order of time."""
        parameters = {"StartTime": at(-60), "EndTime": at(60), "ScanBy": "TimestampAscending", **options}
        answer = self.client.get_metric_data(MetricDataQueries=list(queries), **parameters)
        return {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}
