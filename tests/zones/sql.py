"""SQL on a cluster."""

from __future__ import annotations

import clusterdb


def execute(cluster: clusterdb.Cluster, *statements: str) -> list[tuple[object, ...]]:
    """Execute statements on a new connection; the rows of the last one."""
    rows: list[tuple[object, ...]] = []
    connection = cluster.connect()
    try:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    finally:
        connection.close()
    return rows
