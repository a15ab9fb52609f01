"""Global clusters: only what clients read of them; there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.server.call import Call, Operation
from clusterdb.server.rds.faults import fault
from clusterdb.server.rds.paging import filtered, paged

__all__ = ["OPERATIONS"]


def describe_global_clusters(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    name = values.get("GlobalClusterIdentifier")
    if name:
        raise fault("GlobalClusterNotFoundFault", f"Global cluster {name} not found.")
    names = ("db-cluster-id", "region")
    filtered(values, [], dict.fromkeys(names, lambda _: []))
    _, marker = paged(values, "globals", [], str)
    return {"GlobalClusters": [], **marker}


OPERATIONS: Mapping[str, Operation] = {"DescribeGlobalClusters": describe_global_clusters}
