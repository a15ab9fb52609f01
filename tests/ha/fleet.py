"""Clusters with instances, the clock of a store, and what connections to endpoints reach."""

from __future__ import annotations

import time
from typing import Any

import apsw

import clusterdb
from clusterdb.access.sqlite import InstanceConnection
from tests.support.inside import catalog_of
from tests.support.stores import rows

FAR_MS = 10_000
SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
FOR = "FOR INTERVAL 2 MINUTE"


class Clock:
    """The clocks of a store: real time and an offset, or frozen; what is slept is noted instead."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.offset_ns = 0
        self.frozen_ns = 0
        self.slept: list[float] = []

    def time_ns(self) -> int:
        return self.frozen_ns or time.time_ns() + self.offset_ns

    def clock_gettime_ns(self, which: int) -> int:
        return time.clock_gettime_ns(which) + self.time_ns() - time.time_ns()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def cluster_with(store: clusterdb.Store, name: str = "prod", **settings: Any) -> clusterdb.Cluster:
    cluster = store.create_cluster(name, **{"backup_retention_days": 0, **settings})
    run(cluster, "CREATE TABLE t (n INTEGER PRIMARY KEY)")
    return cluster


def add(cluster: clusterdb.Cluster, *names: str, **values: Any) -> None:
    for name in names:
        cluster.add_instance(name, **values)


def run(cluster: clusterdb.Cluster, sql: str, endpoint: str = "writer") -> list[tuple[object, ...]]:
    """The answer to a statement on a connection of its own."""
    connection = cluster.connect(endpoint)
    try:
        return rows(connection, sql)
    finally:
        connection.close()


def commit(cluster: clusterdb.Cluster, *numbers: int) -> None:
    for n in numbers:
        run(cluster, f"INSERT INTO t VALUES ({n})")


def seen(connection: apsw.Connection) -> list[int]:
    return [n for (n,) in rows(connection, "SELECT n FROM t ORDER BY n")]  # type: ignore[misc]


def seen_by(cluster: clusterdb.Cluster, endpoint: str = "writer") -> list[int]:
    connection = cluster.connect(endpoint)
    try:
        return seen(connection)
    finally:
        connection.close()


def reached(cluster: clusterdb.Cluster, endpoint: str, attempts: int = 60) -> set[str]:
    """The instances that connections to an endpoint come to; no other may be open."""
    names = set()
    for _ in range(attempts):
        connection = cluster.connect(endpoint)
        assert isinstance(connection, InstanceConnection)
        names.add(connection.instance_name)
        connection.close()
    return names


def roles(cluster: clusterdb.Cluster) -> list[tuple[str, str]]:
    return [(instance.name, instance.role) for instance in cluster.instances()]


def endpoint_of(cluster: clusterdb.Cluster, name: str) -> clusterdb.instances.Endpoint:
    (match,) = [endpoint for endpoint in cluster.endpoints() if endpoint.name == name]
    return match


def code_of(error: Any) -> int:
    return int(error.extendedresult)


def event_messages(store: clusterdb.Store, category: str) -> list[str]:
    """The messages of a category of events."""
    return [event.message for event in catalog_of(store).events.all() if event.category == category]
