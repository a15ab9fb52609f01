"""The storage nodes of a cluster as they are seen: statuses, progress of a repair, metrics, and a node that hangs."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

import clusterdb
from clusterdb.metrics import prometheus
from clusterdb.remote.objects import Engine
from clusterdb.zones import copies, status, together
from clusterdb.zones.faults import FaultyEngine
from tests.zones.sql import execute
from tests.zones.waiting import wait_for_statuses


def test_node_that_hangs_holds_nobody(prod: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits, statuses and metrics go on without its answer, and it is asked once, however often they are read."""
    node = prod.nodes()[0].url
    answer = threading.Event()

    def hang(self: FaultyEngine) -> Engine:
        if self.url == node:
            answer.wait()
        return self.engine

    monkeypatch.setattr(FaultyEngine, "reached", hang)
    monkeypatch.setattr(status, "_ANSWER_S", 0.1)
    try:
        for number in range(2, 5):
            execute(prod, f"INSERT INTO t VALUES ({number}, 'x')")
        for _ in range(3):
            first = wait_for_statuses(prod, "lost", *["available"] * 5)[0]
            assert first.problem == "it has not answered for 0.1 s"
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("clusterdb-node-status") == 1
    finally:
        answer.set()
    prod.repair_nodes()
    monkeypatch.undo()
    assert {node.status for node in prod.nodes()} == {"available"}


def test_repair_shows_progress(prod: clusterdb.Cluster) -> None:
    shown: list[tuple[int, int]] = []
    prod.lose_node(1)
    execute(prod, "INSERT INTO t VALUES (2, 'two')")
    prod.slow_node(1, 0.12)  # it is back, and has not caught up in the meantime
    assert prod.repair_nodes(progress=lambda done, total: shown.append((done, total))) == 6
    assert shown[0][0] < shown[0][1] == shown[-1][1]


def test_lost_nodes_come_back_when_their_time_is_over(prod: clusterdb.Cluster) -> None:
    prod.lose_zone("a", for_s=0.001)
    prod.lose_node(6, for_s=3600)
    wait_for_statuses(prod, *["available"] * 5, "lost")


def test_metrics_count_nodes_and_what_they_lack(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    def of_nodes() -> dict[str, float]:
        return {metric.name: metric.value for metric in store.metrics() if metric.name.startswith("Storage")}

    prod.repair_nodes()
    assert of_nodes() == {"StorageNodesAvailable": 6, "StorageBatchesBehind": 0}
    prod.lose_zone("b")
    for number in (2, 3):
        execute(prod, f"INSERT INTO t VALUES ({number}, 'x')")
    assert of_nodes() == {"StorageNodesAvailable": 4, "StorageBatchesBehind": 0}
    prod.return_node("b")
    assert of_nodes() == {"StorageNodesAvailable": 6, "StorageBatchesBehind": 2}
    page = prometheus(store.metrics())
    assert 'clusterdb_storage_nodes_available{cluster="prod"} 6' in page.splitlines()
    store.create_cluster("plain")
    assert all(metric.cluster == "prod" for metric in store.metrics() if metric.name.startswith("StorageN"))


def test_nodes_that_return_are_repaired_without_a_commit(
    store: clusterdb.Store, prod: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process that has committed last, while it has the store open."""
    monkeypatch.setattr(copies, "_TEND_S", 0.01)
    prod.lose_zone("a")
    execute(prod, "INSERT INTO t VALUES (2, 'two')")
    time.sleep(0.1)
    assert [node.status for node in prod.nodes()] == ["lost"] * 2 + ["available"] * 4
    store.return_zone("a")
    wait_for_statuses(prod, *["available"] * 6)
    until = time.monotonic() + 30
    while "clusterdb-nodes" in [thread.name for thread in threading.enumerate()]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_commit_whose_flush_fails_is_sent_again(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segments of all nodes end before it; then each of them gets it in another one."""
    execute(prod, "INSERT INTO t VALUES (2, 'two')")
    wait_for_statuses(prod, *["available"] * 6)
    failed: list[int] = []

    def fail(fd: int) -> None:
        if len(failed) < 1:
            failed.append(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(fd)

    monkeypatch.setattr(together.CALLS, "flush", fail)
    for number in range(3, 6):
        execute(prod, f"INSERT INTO t VALUES ({number}, 'x')")
    prod.repair_nodes()
    store.close()
    for numbers in ("a1 b1 c1", "a2 b2 c2"):
        with clusterdb.open(tmp_path / numbers, create=True) as new:
            (copy,) = new.recover([str(tmp_path / "store-zones" / name) for name in numbers.split()])
            assert execute(copy, "SELECT id FROM t") == [(number,) for number in range(1, 6)]
    if together.can_sync_together(tmp_path):
        assert len(failed) == 1
