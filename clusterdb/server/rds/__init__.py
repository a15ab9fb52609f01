"""Amazon RDS on clusters: the operations for clusters, their instances, snapshots and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping

from clusterdb.server.call import Operation

__all__ = ["OPERATIONS"]

OPERATIONS: Mapping[str, Operation] = {}
