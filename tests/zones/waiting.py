"""Statuses that come after a while: a commit returns at four of six nodes, the others get its batch behind it."""

from __future__ import annotations

import time

import clusterdb
from clusterdb.zones.status import NodeStatus

_PATIENCE_S = 30


def wait_for_statuses(cluster: clusterdb.Cluster, *expected: str) -> list[NodeStatus]:
    """The nodes, once their statuses are these."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        nodes = cluster.nodes()
        if [node.status for node in nodes] == list(expected):
            return nodes
        assert time.monotonic() < until, nodes
        time.sleep(0.01)
