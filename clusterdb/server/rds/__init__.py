"""Amazon RDS on clusters: the operations for clusters, their instances, snapshots and what belongs to them.

clusters.py, cloning.py, snapshots.py, instances.py, endpoints.py, backtracks.py, parameters.py, subnets.py, roles.py,
tags.py, events.py, offers.py, globals.py   operations, by subject
cluster_shapes.py, snapshot_shapes.py, instance_shapes.py   AWS's structures, as pure functions
clusters_seen.py       a cluster with what is kept for AWS; finding it
documents.py           what is kept
transitions.py         statuses such as ``creating``
naming.py, engines.py, parameter_defaults.py, paging.py, checks.py, faults.py   rules
"""

from __future__ import annotations

from collections.abc import Mapping

from clusterdb.server.call import Operation
from clusterdb.server.rds import (
    backtracks,
    cloning,
    clusters,
    endpoints,
    events,
    globals,
    instances,
    offers,
    parameters,
    roles,
    snapshots,
    subnets,
    tags,
)

__all__ = ["OPERATIONS"]

OPERATIONS: Mapping[str, Operation] = {
    **clusters.OPERATIONS,
    **cloning.OPERATIONS,
    **snapshots.OPERATIONS,
    **instances.OPERATIONS,
    **endpoints.OPERATIONS,
    **backtracks.OPERATIONS,
    **parameters.OPERATIONS,
    **subnets.OPERATIONS,
    **roles.OPERATIONS,
    **tags.OPERATIONS,
    **events.OPERATIONS,
    **offers.OPERATIONS,
    **globals.OPERATIONS,
}
