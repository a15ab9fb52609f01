"""ListMetrics."""

from __future__ import annotations

from typing import Any

from clusterdb.server.call import Call
from clusterdb.server.faults import Fault
from clusterdb.server.monitoring.names import NAMESPACE, Dimensions
from clusterdb.server.monitoring.sampling import sampled
from clusterdb.server.monitoring.tokens import digest_of, position_of, token_of

__all__ = ["list_metrics"]

PAGE = 500


def list_metrics(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    """The metrics that have data, in the order of their names.

    All data are of the last three hours, so ``RecentlyActive`` selects everything.
    """
    token = values.get("NextToken")
    monitor, place = sampled(call, token)
    digest = digest_of(values)
    metrics = [metric for metric in monitor.metrics(place) if _is_wanted(values, call.account, *metric)]
    if token:
        position = position_of(token, digest, (str,))
        if position is None:
            raise Fault("InvalidParameterValue", "The value of the parameter NextToken is not valid.")
        metrics = [metric for metric in metrics if _position(*metric) > position[0]]
    page = metrics[:PAGE]
    output: dict[str, Any] = {
        "Metrics": [
            {
                "Namespace": NAMESPACE,
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
            }
            for name, dimensions in page
        ]
    }
    if values.get("IncludeLinkedAccounts"):
        output["OwningAccounts"] = [call.account] * len(page)
    if len(metrics) > PAGE:
        output["NextToken"] = token_of(digest, _position(*page[-1]))
    return output


def _position(name: str, dimensions: Dimensions) -> str:
    """A text in the order of metrics."""
    return "\0".join((name, *(text for pair in dimensions for text in pair)))


def _is_wanted(values: dict[str, Any], account: str, name: str, dimensions: Dimensions) -> bool:
    return (
        values.get("Namespace", NAMESPACE) == NAMESPACE
        and values.get("MetricName", name) == name
        and values.get("OwningAccount", account) == account
        and all(
            any(key == wanted["Name"] and value == wanted.get("Value", value) for key, value in dimensions)
            for wanted in values.get("Dimensions") or []
        )
    )
