"""Rows with the numbers from 1 on, so that each version of a cluster can be told from the others."""

from __future__ import annotations

from typing import Any

import apsw

import clusterdb
from tests.support.inside import pages_of
from tests.support.stores import rows
from vfs.reclaim import retention

KEEPS: dict[str, Any] = {"backup_retention_days": 1, "backtrack_window_s": 3600}


def numbers(connection: apsw.Connection) -> list[int]:
    """What is in the table, which has as many rows as its highest number says."""
    return [n for (n,) in rows(connection, "SELECT n FROM t ORDER BY n")]  # type: ignore[misc]


def numbers_of(cluster: clusterdb.Cluster) -> list[int]:
    connection = cluster.connect(read_only=True)
    try:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return numbers(connection)
    finally:
        connection.close()


def fill(cluster: clusterdb.Cluster, count: int = 10) -> dict[int, list[int]]:
    """Commit 1 to count one by one: what each version has."""
    connection = cluster.connect()
    connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, body)")
    states = {}
    for n in range(1, count + 1):
        connection.execute("INSERT INTO t VALUES (?, randomblob(3000))", (n,))
        states[cluster.stats().version] = numbers(connection)
    connection.close()
    return states


def give_up(store: clusterdb.Store, cluster: clusterdb.Cluster, before: int | None) -> None:
    """As if everything before that version were too old."""
    row = store.context.volume_of(cluster)
    with pages_of(store).session() as session, session.volume_locked(row.table_index):
        retention.give_up_past(pages_of(store).queue, session, store.context.volume_of(cluster), before)
